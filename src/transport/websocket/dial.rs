//! The dialling side of a websocket: TCP, TLS, and the upgrade as a client asks for it.
//!
//! The HTTP is hyper's and not tungstenite's, which logs the whole request, token included.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::{Position, Url};

use super::framing::Role;
use super::tls::Roots;
use super::token::Token;
use super::{HANDSHAKE_TIME, Stream, connection, header_has};
use crate::transport::{Connection, TransportError};

/// How to dial.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// Shown to the executor, whatever the scheme.
    pub token: Option<Token>,
    /// Who may have certified the executor, for `wss://`.
    pub roots: Roots,
}

/// Dials `ws://HOST:PORT/...` or `wss://HOST:PORT/...` without a token, the latter with the system's authorities.
///
/// # Errors
///
/// As [`connect_with`].
///
/// # Cancel safety
///
/// As [`connect_with`].
pub async fn connect(url: &str) -> Result<Connection, TransportError> {
    connect_with(url, &Dial::default()).await
}

/// Dials `ws://HOST:PORT/...` or `wss://HOST:PORT/...`.
///
/// # Errors
///
/// [`TransportError::Refused`] when the peer answers with a status other than 101, [`TransportError::WebSocket`] when what
/// it answers is no upgrade, [`TransportError::Io`] for everything below that, an unusable URL, a certificate that is not
/// trusted and a handshake of more than ten seconds included.
///
/// # Cancel safety
///
/// Dropping the future closes what was opened.
pub async fn connect_with(url: &str, dial: &Dial) -> Result<Connection, TransportError> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not a ws://HOST:PORT or wss://HOST:PORT URL");
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "ws" | "wss")).ok_or_else(invalid)?;
    let host = url.host_str().ok_or_else(invalid)?.trim_matches(['[', ']']);
    let port = url.port_or_known_default().ok_or_else(invalid)?;
    let connected = async {
        let stream = TcpStream::connect((host, port)).await?;
        // Without it every small frame waits for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        if url.scheme() == "ws" {
            return upgrade(stream, &url, dial).await;
        }
        let roots = dial.roots.clone();
        let config = tokio::task::spawn_blocking(move || roots.config()).await.map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config.map_err(io::Error::other)?));
        let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
        upgrade(connector.connect(name, stream).await?, &url, dial).await
    };
    tokio::time::timeout(HANDSHAKE_TIME, connected).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Asks for the websocket.
async fn upgrade<S: Stream>(stream: S, url: &Url, dial: &Dial) -> Result<Connection, TransportError> {
    let key = generate_key();
    let request = request(url, &key, dial.token.as_ref()).ok_or(TransportError::WebSocket("the URL is unusable"))?;
    let (mut sender, http) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let asked = Box::pin(async {
        let response = sender.send_request(request).await.map_err(broken)?;
        check(&response, &key)?;
        hyper::upgrade::on(response).await.map_err(broken)
    });
    let upgraded = match select(asked, Box::pin(http.with_upgrades())).await {
        Either::Left((upgraded, _)) => upgraded,
        // The connection is at its end, so that the other has its answer or gets none.
        Either::Right((_, asked)) => asked.await,
    }?;
    let parts =
        upgraded.downcast::<TokioIo<S>>().map_err(|_| TransportError::WebSocket("upgraded to something else"))?;
    Ok(connection(parts.io.into_inner().halves(), &parts.read_buf, Role::Client, None))
}

fn request(url: &Url, key: &str, token: Option<&Token>) -> Option<Request<Empty<Bytes>>> {
    let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key)
        .body(Empty::new())
        .ok()?;
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, token.header().clone());
    }
    Some(request)
}

/// RFC 6455, section 4.1: what a client has to see before it believes in the websocket.
fn check(response: &Response<Incoming>, key: &str) -> Result<(), TransportError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(TransportError::Refused(response.status().as_u16()));
    }
    let headers = response.headers();
    let accepts = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes)
        == Some(derive_accept_key(key.as_bytes()).as_bytes());
    if accepts && header_has(headers, CONNECTION, "upgrade") && header_has(headers, UPGRADE, "websocket") {
        Ok(())
    } else {
        Err(TransportError::WebSocket("the peer's answer is no upgrade to a websocket"))
    }
}

/// What hyper says, of the kind that the socket had.
fn broken(error: hyper::Error) -> TransportError {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    TransportError::Io(io::Error::new(cause.map_or(io::ErrorKind::Other, io::Error::kind), error))
}
