//! One frame a websocket message: text and binary in, text out.
//!
//! Framing and masking are tungstenite's; the accepting side's HTTP, upgrade included, is hyper's.

use std::convert::Infallible;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{CloseReason, Connection, Reader, TransportError, Writer};
use crate::protocol::limits::WEBSOCKET_MESSAGE_BYTES;

/// How long the opening handshake may take on either side.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Handshakes that may be under way at one time; further connections wait in the kernel.
const HANDSHAKES: usize = 128;

/// Any byte stream below a websocket.
trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for T {}

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Dials `ws://HOST:PORT/...`.
///
/// # Errors
///
/// [`TransportError::Refused`] when the peer answers with a status other than 101, [`TransportError::Io`] for everything
/// below that, an unusable URL and a handshake of more than ten seconds included.
pub async fn connect(url: &str) -> Result<Connection, TransportError> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not a ws://HOST:PORT URL");
    let parsed = url::Url::parse(url).ok().filter(|parsed| parsed.scheme() == "ws").ok_or_else(invalid)?;
    let host = parsed.host_str().ok_or_else(invalid)?.trim_matches(['[', ']']);
    let port = parsed.port_or_known_default().unwrap_or(80);
    let dial = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = Box::new(stream);
        let (socket, _response) = client_async_with_config(url, stream, Some(config())).await.map_err(fault)?;
        Ok(connection(socket))
    };
    tokio::time::timeout(HANDSHAKE_TIME, dial).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Accepts websocket connections.
///
/// Any request with an `Origin` header gets 403, so that no web page can reach a loopback executor; `GET /readyz` gets
/// 200; a websocket is opened at `/` only, whatever the query.
#[derive(Debug)]
pub struct Listener {
    /// The bound socket.
    socket: TcpListener,
    /// Opening handshakes under way; each gives a connection or nothing.
    handshakes: JoinSet<Option<Connection>>,
}

impl Listener {
    /// Binds the address; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, handshakes: JoinSet::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The URL that a client dials.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn url(&self) -> io::Result<String> {
        Ok(format!("ws://{}", self.address()?))
    }

    /// The next websocket connection that finished its handshake.
    ///
    /// # Errors
    ///
    /// What the system says of the listening socket; the listener stays usable.
    ///
    /// # Cancel safety
    ///
    /// Safe: handshakes under way go on in the next call.
    pub async fn accept(&mut self) -> io::Result<Connection> {
        loop {
            tokio::select! {
                accepted = self.socket.accept(), if self.handshakes.len() < HANDSHAKES => {
                    let (stream, _peer) = accepted?;
                    // Without it every small frame waits for the acknowledgement of the one before.
                    stream.set_nodelay(true)?;
                    self.handshakes.spawn(async {
                        tokio::time::timeout(HANDSHAKE_TIME, upgrade(stream)).await.ok().flatten()
                    });
                }
                Some(finished) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = finished {
                        return Ok(connection);
                    }
                }
            }
        }
    }
}

/// Serves one HTTP connection up to its upgrade; `None` when it asked for something else.
async fn upgrade(stream: TcpStream) -> Option<Connection> {
    let (sender, mut upgraded) = mpsc::channel(1);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let response = answer(&request);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // There is room: an upgrade ends the HTTP connection.
            let _sent = sender.try_send(hyper::upgrade::on(&mut request));
        }
        async { Ok::<_, Infallible>(response) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    http.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok()?;
    let stream: Box<dyn Stream> = Box::new(TokioIo::new(upgraded.try_recv().ok()?.await.ok()?));
    Some(connection(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await))
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |status, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    let headers = request.headers();
    let has_token = |name, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    };
    if headers.contains_key(ORIGIN) {
        return text(StatusCode::FORBIDDEN, "requests of web pages are refused\n");
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/readyz") => text(StatusCode::OK, "ready\n"),
        (&Method::GET, "/") => {
            let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
            match headers.get(SEC_WEBSOCKET_KEY) {
                Some(key) if version && has_token(CONNECTION, "upgrade") && has_token(UPGRADE, "websocket") => {
                    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
                    let headers = response.headers_mut();
                    headers.insert(CONNECTION, http::HeaderValue::from_static("Upgrade"));
                    headers.insert(UPGRADE, http::HeaderValue::from_static("websocket"));
                    if let Ok(accept) = derive_accept_key(key.as_bytes()).parse() {
                        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
                    }
                    response
                }
                _ => {
                    let mut response = text(StatusCode::UPGRADE_REQUIRED, "this is a websocket endpoint\n");
                    response.headers_mut().insert(UPGRADE, http::HeaderValue::from_static("websocket"));
                    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13"));
                    response
                }
            }
        }
        (_, "/" | "/readyz") => text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        _ => text(StatusCode::NOT_FOUND, "the websocket is at /\n"),
    }
}

fn config() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(WEBSOCKET_MESSAGE_BYTES);
    config.max_frame_size = Some(WEBSOCKET_MESSAGE_BYTES);
    config
}

fn connection(socket: Socket) -> Connection {
    let (sink, stream) = socket.split();
    Connection {
        reader: Reader::WebSocket(WebSocketReader {
            stream: Some(stream),
            message_bytes: WEBSOCKET_MESSAGE_BYTES,
            activity: 0,
        }),
        writer: Writer::WebSocket(WebSocketWriter { sink }),
    }
}

fn fault(error: Error) -> TransportError {
    match error {
        Error::Io(error) => TransportError::Io(error),
        Error::Capacity(_) => TransportError::TooLong { limit: WEBSOCKET_MESSAGE_BYTES },
        Error::Http(response) => TransportError::Refused(response.status().as_u16()),
        Error::Utf8(_) => TransportError::NotUtf8,
        Error::ConnectionClosed | Error::AlreadyClosed => TransportError::WebSocket("already closed"),
        Error::Protocol(_) => TransportError::WebSocket("the peer broke the protocol or left without a close frame"),
        _ => TransportError::WebSocket("failed"),
    }
}

/// The receiving half. Answers pings and close frames by itself.
#[derive(Debug)]
pub struct WebSocketReader {
    /// `None` once the peer has closed.
    stream: Option<SplitStream<Socket>>,
    /// The longest message, in bytes.
    message_bytes: usize,
    /// Messages of any kind received.
    activity: u64,
}

impl WebSocketReader {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        while let Some(stream) = &mut self.stream {
            let Some(message) = stream.next().await else { break };
            self.activity += 1;
            match message {
                Ok(message) if message.len() > self.message_bytes => {
                    self.stream = None;
                    return Err(TransportError::TooLong { limit: self.message_bytes });
                }
                Ok(Message::Text(text)) => return Ok(Some(text.into())),
                Ok(Message::Binary(bytes)) => return Ok(Some(bytes)),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    // One more poll writes the answering close frame; nothing may be waited for, as the peer is done.
                    let _answered = stream.next().now_or_never();
                    break;
                }
                Err(error) => {
                    self.stream = None;
                    return Err(fault(error));
                }
            }
        }
        self.stream = None;
        Ok(None)
    }

    pub(super) fn limit_frames(&mut self, bytes: usize) {
        self.message_bytes = self.message_bytes.min(bytes);
    }

    pub(super) fn activity(&self) -> u64 {
        self.activity
    }
}

/// The sending half.
#[derive(Debug)]
pub struct WebSocketWriter {
    /// Collects fed messages and writes them by blocks.
    sink: SplitSink<Socket, Message>,
}

impl WebSocketWriter {
    pub(super) async fn send(&mut self, frames: Vec<Bytes>) -> Result<(), TransportError> {
        for frame in frames {
            let text = Utf8Bytes::try_from(frame).map_err(|_| TransportError::WebSocket("a frame is not UTF-8"))?;
            self.sink.feed(Message::Text(text)).await.map_err(fault)?;
        }
        self.sink.flush().await.map_err(fault)
    }

    pub(super) async fn ping(&mut self) -> Result<(), TransportError> {
        self.sink.send(Message::Ping(Bytes::new())).await.map_err(fault)
    }

    pub(super) async fn close(&mut self, reason: CloseReason) {
        let code = match reason {
            CloseReason::Done => CloseCode::Normal,
            CloseReason::Violation => CloseCode::Protocol,
            CloseReason::TooLong => CloseCode::Size,
            CloseReason::NotUtf8 => CloseCode::Invalid,
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        // The peer may be gone already; there is nobody left to tell.
        let _gone = self.sink.send(Message::Close(Some(frame))).await;
        // When the peer closed first, that was refused, and this writes out the answer to its close frame.
        let _gone = self.sink.close().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listener() -> (Listener, String) {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let url = listener.url().expect("bound");
        (listener, url)
    }

    #[tokio::test]
    async fn frames_pass_both_ways_and_a_close_is_answered() {
        let (mut listener, url) = listener().await;
        let (near, far) = tokio::join!(connect(&url), listener.accept());
        let (mut near, mut far) = (near.expect("dialled"), far.expect("accepted"));
        near.writer.send(vec!["{}".into(), "[]".into()]).await.expect("open");
        assert_eq!(far.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
        assert_eq!(far.reader.next().await.expect("open").as_deref(), Some(&b"[]"[..]));
        let large = Bytes::from(vec![b'x'; 3_000_000]);
        let (sent, received) = tokio::join!(far.writer.send(vec![large.clone()]), near.reader.next());
        sent.expect("open");
        assert_eq!(received.expect("open"), Some(large));
        let ((), ended) = tokio::join!(near.writer.close(CloseReason::Done), far.reader.next());
        assert_eq!(ended.expect("a good end"), None);
        assert_eq!(near.reader.next().await.expect("the answering close frame"), None);
    }

    #[tokio::test]
    async fn a_peer_that_leaves_without_a_close_frame_is_an_error() {
        let (mut listener, url) = listener().await;
        let (near, far) = tokio::join!(connect(&url), listener.accept());
        drop(near);
        far.expect("accepted").reader.next().await.expect_err("no close frame came");
    }

    /// The status line of what the listener answers to a request head.
    async fn status(head: &str) -> String {
        let (mut listener, url) = listener().await;
        let address = url.strip_prefix("ws://").expect("a ws URL").to_owned();
        let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
        let mut stream = TcpStream::connect(&address).await.expect("listening");
        stream.write_all(format!("{head}\r\nhost: {address}\r\n\r\n").as_bytes()).await.expect("open");
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        accepting.abort();
        String::from_utf8(answer).expect("ASCII")
    }

    #[tokio::test]
    async fn other_requests_are_answered_by_status() {
        let open = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(status(&format!("GET /?x=1 HTTP/1.1\r\n{open}")).await, "HTTP/1.1 101");
        assert_eq!(status(&format!("GET / HTTP/1.1\r\norigin: http://h\r\n{open}")).await, "HTTP/1.1 403");
        assert_eq!(status(&format!("GET /other HTTP/1.1\r\n{open}")).await, "HTTP/1.1 404");
        assert_eq!(status("GET / HTTP/1.1\r\nx: y").await, "HTTP/1.1 426");
        assert_eq!(status("GET /readyz HTTP/1.1\r\nx: y").await, "HTTP/1.1 200");
        assert_eq!(status("POST /readyz HTTP/1.1\r\nx: y").await, "HTTP/1.1 405");
    }
}
