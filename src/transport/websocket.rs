//! One frame a websocket message: text and binary in, text out.
//!
//! Framing and masking are tungstenite's; HTTP, upgrade included, is hyper's; TLS is rustls's.
//!
//! | file | concept |
//! |---|---|
//! | `listener` | accepts connections, so many at one time |
//! | `door` | what is answered to each HTTP request: who may come in |
//! | `observer` | what a listener tells, and asks of, the program behind it |
//! | `dial` | the client's side of an upgrade |
//! | `token` | bearer tokens and their digests |
//! | `tls` | certificates, and who is trusted to have made them |

mod dial;
mod door;
mod listener;
mod observer;
mod tls;
mod token;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::header::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use self::door::Place;
use super::{CloseReason, Connection, Frame, Reader, TransportError, Writer};
use crate::protocol::batch::Batch;
use crate::protocol::limits::WEBSOCKET_MESSAGE_BYTES;

pub use self::dial::{Dial, connect, connect_with};
pub use self::door::Refusal;
pub use self::listener::{CONNECTIONS, Listener, ListenerConfig};
pub use self::observer::Observer;
pub use self::tls::{Authorities, Identity, Roots, TlsError};
pub use self::token::{Token, TokenError, TokenHash};

/// How long the opening handshake, TLS included, may take on either side.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Any byte stream below a websocket.
trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for T {}

type Socket = WebSocketStream<Box<dyn Stream>>;

fn config() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(WEBSOCKET_MESSAGE_BYTES);
    config.max_frame_size = Some(WEBSOCKET_MESSAGE_BYTES);
    config
}

/// An accepted connection holds its place until both halves are dropped.
fn connection(socket: Socket, place: Option<Place>) -> Connection {
    let (sink, stream) = socket.split();
    let place = place.map(Arc::new);
    Connection {
        reader: Reader::WebSocket(WebSocketReader {
            stream: Some(stream),
            next: None,
            current: None,
            message_bytes: WEBSOCKET_MESSAGE_BYTES,
            activity: 0,
            _place: place.clone(),
        }),
        writer: Writer::WebSocket(WebSocketWriter { sink, _place: place }),
    }
}

/// Whether one of a header's comma-separated words is this one, in any case.
fn header_has(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|other| other.trim().eq_ignore_ascii_case(word))
}

fn fault(error: Error) -> TransportError {
    match error {
        Error::Io(error) => TransportError::Io(error),
        Error::Capacity(_) => TransportError::TooLong { limit: WEBSOCKET_MESSAGE_BYTES },
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
    /// A message that was not given yet.
    next: Option<Bytes>,
    /// The message that was given last.
    current: Option<Bytes>,
    /// The longest message, in bytes.
    message_bytes: usize,
    /// Messages of any kind received.
    activity: u64,
    /// The connection's place at its listener; `None` for one that was dialled.
    _place: Option<Arc<Place>>,
}

impl WebSocketReader {
    pub(super) fn buffered(&mut self) -> Result<Option<Frame<'_>>, TransportError> {
        self.current = self.next.take();
        Ok(self.current.as_deref().map(|bytes| Frame { bytes, is_text: false }))
    }

    pub(super) async fn fill(&mut self) -> Result<bool, TransportError> {
        while let Some(stream) = &mut self.stream {
            let Some(message) = stream.next().await else { break };
            self.activity += 1;
            match message {
                Ok(message) if message.len() > self.message_bytes => {
                    self.stream = None;
                    return Err(TransportError::TooLong { limit: self.message_bytes });
                }
                Ok(Message::Text(text)) => {
                    self.next = Some(text.into());
                    return Ok(true);
                }
                Ok(Message::Binary(bytes)) => {
                    self.next = Some(bytes);
                    return Ok(true);
                }
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
        Ok(false)
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
    /// As the reader's.
    _place: Option<Arc<Place>>,
}

impl WebSocketWriter {
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), TransportError> {
        for frame in batch.frames() {
            let text = Utf8Bytes::try_from(Bytes::copy_from_slice(frame))
                .map_err(|_| TransportError::WebSocket("a frame is not UTF-8"))?;
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
    use tokio::net::TcpStream;

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
