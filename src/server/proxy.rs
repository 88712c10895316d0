//! Proxies between the executor and its origins, named by the environment as curl reads it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::connector::{ConnectError, Connector};

/// The port of a proxy that is named without one, as curl has it.
const PROXY_PORT: u16 = 1080;

/// Which requests go through which proxy. Requests for `http` go to the proxy as they are, with their whole URL; for `https` the
/// proxy is asked for a tunnel, and sees nothing but host and port.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// Knows the proxies and the hosts that need none.
    matcher: Arc<Matcher>,
}

/// A variable of the environment that names no proxy that could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError {
    /// The name of the variable; its value may hold a password.
    pub variable: &'static str,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {} must name a proxy as http://HOST:PORT; no other scheme is supported", self.variable)
    }
}

impl std::error::Error for ProxyError {}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy` or `HTTPS_PROXY`, for both `all_proxy` or `ALL_PROXY`, and `no_proxy` or `NO_PROXY`. A
    /// variable that is empty counts as missing. `HTTP_PROXY` is not read: a web server sets it from a header of its client.
    ///
    /// # Errors
    ///
    /// A variable that names something else than an HTTP proxy, SOCKS among it.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let first = |names: &'static [&'static str]| {
            names.iter().find_map(|name| read(name).filter(|value| !value.is_empty()).map(|value| (*name, value)))
        };
        let proxy = |names| match first(names) {
            Some((variable, value)) if !is_http(&value) => Err(ProxyError { variable }),
            found => Ok(found.map_or(String::new(), |(_, value)| value)),
        };
        let matcher = Matcher::builder()
            .http(proxy(&["http_proxy"])?)
            .https(proxy(&["https_proxy", "HTTPS_PROXY"])?)
            .all(proxy(&["all_proxy", "ALL_PROXY"])?)
            .no(first(&["no_proxy", "NO_PROXY"]).map_or(String::new(), |(_, value)| value));
        Ok(Self { matcher: Arc::new(matcher.build()) })
    }

    /// The proxy for that URL, if there is one.
    pub(super) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        self.matcher.intercept(uri)
    }

    /// The value of `proxy-authorization` for a request that goes to a proxy as it is.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        self.intercept(uri)?.basic_auth().cloned()
    }
}

/// As the matcher reads it, which passes over what it does not understand.
fn is_http(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else { return false };
    uri.host().is_some_and(|host| !host.is_empty()) && uri.scheme_str().is_none_or(|scheme| scheme == "http")
}

/// Connects to a proxy, and through it to the origin if the URL is one of https.
///
/// # Errors
///
/// [`ConnectError::Proxy`].
pub(super) async fn connect(connector: Connector, proxy: Intercept, uri: &Uri) -> Result<ProxyStream, ConnectError> {
    let mut dialer = Dialer(connector);
    if uri.scheme_str() != Some("https") {
        let stream = dialer.call(proxy.uri().clone()).await?;
        return Ok(ProxyStream { stream, whole_url: true });
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    tunnel.call(uri.clone()).await.map(ProxyStream::direct).map_err(|_| ConnectError::Proxy)
}

/// Connects to the proxy itself.
struct Dialer(Connector);

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            let host = proxy.host().ok_or(ConnectError::Proxy)?;
            connector.connect_to_proxy(host, proxy.port_u16().unwrap_or(PROXY_PORT)).await
        })
    }
}

/// A TCP connection to an origin, to the far end of a tunnel, or to a proxy that takes whole URLs.
#[derive(Debug)]
pub(super) struct ProxyStream {
    /// The connection.
    stream: TokioIo<TcpStream>,
    /// Whether requests on it name their whole URL.
    whole_url: bool,
}

impl ProxyStream {
    /// A connection whose other end is the origin.
    pub(super) fn direct(stream: TokioIo<TcpStream>) -> Self {
        Self { stream, whole_url: false }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Connection for ProxyStream {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.whole_url)
    }
}

impl Read for ProxyStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl Write for ProxyStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests;
