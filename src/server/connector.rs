//! TCP connections to origins, or to the proxy in front of them.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

use super::destination::{DestinationPolicy, Host};
use super::proxy::{self, Proxies, ProxyStream};

/// How long one address may take when there is another to try.
const ADDRESS_TIME: Duration = Duration::from_secs(5);

/// Name resolutions that may be under way at one time in this process; further ones wait.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Connects to the host of a URL: to the first of its addresses that is not refused and answers. An address is judged after the
/// name was resolved, and what was judged is what is dialled, so that no second lookup can put another in its place.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// Where requests may go. It never changes, so that a pooled connection needs no second look.
    policy: Arc<DestinationPolicy>,
    /// What is reached through a proxy.
    proxies: Option<Proxies>,
    /// What names mean.
    resolver: Arc<dyn Resolve>,
}

/// Finds the addresses of a name; may block.
trait Resolve: fmt::Debug + Send + Sync {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
#[derive(Debug)]
struct System;

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (host, port).to_socket_addrs().map(Vec::from_iter)
    }
}

/// Why there is no TCP connection. hyper-util's own connector does not tell them apart.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The name did not resolve.
    Dns,
    /// The policy refuses the host or all of its addresses.
    Denied,
    /// None of the addresses could be reached; the error of the last one.
    Tcp(io::Error),
    /// The proxy could not be reached, or opened no tunnel.
    Proxy,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("name resolution failed"),
            Self::Denied => f.write_str("destination refused"),
            Self::Tcp(error) => write!(f, "connect failed: {}", error.kind()),
            Self::Proxy => f.write_str("proxy failed"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Service<Uri> for Connector {
    type Response = ProxyStream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

impl Connector {
    pub(super) fn new(policy: DestinationPolicy, proxies: Option<Proxies>) -> Self {
        Self { policy: Arc::new(policy), proxies, resolver: Arc::new(System) }
    }

    async fn connect(&self, uri: &Uri) -> Result<ProxyStream, ConnectError> {
        let text = uri.host().ok_or(ConnectError::Dns)?;
        let host = Host::parse(text).ok_or(ConnectError::Dns)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        if let Some(proxy) = self.proxies.as_ref().and_then(|proxies| proxies.intercept(uri)) {
            if self.policy.refuses(&host, None, port) {
                return Err(ConnectError::Denied);
            }
            return proxy::connect(self.clone(), proxy, uri).await;
        }
        if self.policy.refuses_unresolved(&host, port) {
            return Err(ConnectError::Denied);
        }
        let mut addresses = self.resolve(text, port).await?;
        addresses.retain(|address| !self.policy.refuses(&host, Some(address.ip()), port));
        if addresses.is_empty() {
            return Err(ConnectError::Denied);
        }
        dial(&addresses).await.map(ProxyStream::direct)
    }

    /// Connects to a proxy, which the operator has named: no policy applies to it.
    pub(super) async fn connect_to_proxy(&self, host: &str, port: u16) -> Result<TokioIo<TcpStream>, ConnectError> {
        let addresses = self.resolve(host, port).await.map_err(|_| ConnectError::Proxy)?;
        dial(&addresses).await.map_err(|_| ConnectError::Proxy)
    }

    /// At least one address. The system's resolver cannot be interrupted. The permit lives as long as its thread and not as long
    /// as this future, so that calls with short deadlines cannot use up the threads that standard input and output need too.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Some(address) = Host::parse(host).and_then(|host| host.address()) {
            return Ok(vec![(address, port).into()]);
        }
        let (host, resolver) = (host.to_owned(), Arc::clone(&self.resolver));
        let permit = LOOKUPS.acquire().await.map_err(|_| ConnectError::Dns)?;
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            resolver.resolve(&host, port)
        });
        let addresses = lookup.await.ok().and_then(Result::ok).ok_or(ConnectError::Dns)?;
        if addresses.is_empty() { Err(ConnectError::Dns) } else { Ok(addresses) }
    }
}

/// Connects to the first address that answers; there is at least one.
async fn dial(addresses: &[SocketAddr]) -> Result<TokioIo<TcpStream>, ConnectError> {
    let mut outcome = Err(ConnectError::Dns);
    for (index, address) in addresses.iter().enumerate() {
        let dial = TcpStream::connect(address);
        let dialled = if index + 1 == addresses.len() {
            dial.await
        } else {
            timeout(ADDRESS_TIME, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match dialled {
            Ok(stream) => {
                return stream.set_nodelay(true).map(|()| TokioIo::new(stream)).map_err(ConnectError::Tcp);
            }
            Err(error) => outcome = Err(ConnectError::Tcp(error)),
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
