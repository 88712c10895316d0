//! TCP connections to origins.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

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
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| ConnectError::Dns)?;
    let mut outcome = Err(ConnectError::Dns);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                outcome = stream.set_nodelay(true).map(|()| stream).map_err(ConnectError::Tcp);
                break;
            }
            Err(error) => outcome = Err(ConnectError::Tcp(error)),
        }
    }
    outcome
}
