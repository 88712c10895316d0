//! TCP connections to origins.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

/// How long one address may take when there is another to try.
const ADDRESS_TIME: Duration = Duration::from_secs(5);

/// Name resolutions that may be under way at one time in this process; further ones wait.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Resolves the host of a URL and connects to the first of its addresses that answers.
#[derive(Clone, Debug)]
pub(super) struct Connector;

/// Why there is no TCP connection. hyper-util's own connector does not tell the two apart.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The name did not resolve.
    Dns,
    /// None of the addresses could be reached; the error of the last one.
    Tcp(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("name resolution failed"),
            Self::Tcp(error) => write!(f, "connect failed: {}", error.kind()),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move { connect(&uri).await.map(TokioIo::new) })
    }
}

async fn connect(uri: &Uri) -> Result<TcpStream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Dns)?.trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let addresses = resolve(host.to_owned(), port).await?;
    let mut outcome = Err(ConnectError::Dns);
    for (index, address) in addresses.iter().enumerate() {
        let dial = TcpStream::connect(address);
        let dialled = if index + 1 == addresses.len() {
            dial.await
        } else {
            timeout(ADDRESS_TIME, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match dialled {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream).map_err(ConnectError::Tcp),
            Err(error) => outcome = Err(ConnectError::Tcp(error)),
        }
    }
    outcome
}

/// The system's resolver cannot be interrupted. The permit lives as long as its thread and not as long as this future, so that
/// calls with short deadlines cannot use up the threads that standard input and output need too.
async fn resolve(host: String, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let permit = LOOKUPS.acquire().await.map_err(|_| ConnectError::Dns)?;
    let lookup = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    });
    lookup.await.ok().and_then(Result::ok).ok_or(ConnectError::Dns)
}
