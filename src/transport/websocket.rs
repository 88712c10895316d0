//! One frame a websocket message: text and binary in, text out.
//!
//! Framing and masking are our own, since every delta passes them; the handshake's key is tungstenite's, and tests hold the
//! framing against tungstenite's; HTTP, upgrade included, is hyper's; TLS is rustls's.
//!
//! | file | concept |
//! |---|---|
//! | [`framing`] | RFC 6455 without I/O: messages out of a buffer, heads of frames |
//! | `reader` | the receiving half |
//! | `writer` | the sending half |
//! | `block` | frames that go out in one write |
//! | `outlet` | where both halves send: messages, and the answers between them |
//! | `listener` | accepts connections, so many at one time |
//! | `door` | what is answered to each HTTP request: who may come in |
//! | `observer` | what a listener tells, and asks of, the program behind it |
//! | `dial` | the client's side of an upgrade |
//! | `token` | bearer tokens and their digests |
//! | `tls` | certificates, and who is trusted to have made them |

mod block;
mod dial;
mod door;
pub mod framing;
mod listener;
mod observer;
mod outlet;
mod reader;
mod tls;
mod token;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use self::door::Place;
use self::framing::{Decoder, Role};
use self::outlet::Outlet;
use super::{Connection, Reader, Writer};
use crate::protocol::limits::WEBSOCKET_MESSAGE_BYTES;

pub use self::dial::{Dial, connect, connect_with};
pub use self::door::Refusal;
pub use self::listener::{CONNECTIONS, Listener, ListenerConfig};
pub use self::observer::Observer;
pub use self::reader::WebSocketReader;
pub use self::tls::{Authorities, Identity, Roots, TlsError};
pub use self::token::{Token, TokenError, TokenHash};
pub use self::writer::WebSocketWriter;

/// How long the opening handshake, TLS included, may take on either side.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The directions of a byte stream.
type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// A byte stream below a websocket, to be used by two tasks.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    fn halves(self) -> Halves;
}

impl Stream for TcpStream {
    /// Without a lock.
    fn halves(self) -> Halves {
        let (reader, writer) = self.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

/// With a lock: both directions of TLS are one state.
macro_rules! locked {
    ($($stream:ty),+) => {$(
        impl Stream for $stream {
            fn halves(self) -> Halves {
                let (reader, writer) = tokio::io::split(self);
                (Box::new(reader), Box::new(writer))
            }
        }
    )+};
}

locked!(client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);

/// A connection on which `early` came already. One that was accepted holds its place until both halves are dropped.
fn connection((input, output): Halves, early: &[u8], role: Role, place: Option<Place>) -> Connection {
    let mut decoder = Decoder::new(role, WEBSOCKET_MESSAGE_BYTES);
    decoder.buffer_mut().extend_from_slice(early);
    let outlet = Arc::new(Outlet::new(output, role));
    let place = place.map(Arc::new);
    Connection {
        reader: Reader::WebSocket(WebSocketReader::new(input, decoder, Arc::clone(&outlet), place.clone())),
        writer: Writer::WebSocket(WebSocketWriter::new(outlet, place)),
    }
}

/// Whether one of a header's comma-separated words is this one, in any case.
fn header_has(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|other| other.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    use super::*;
    use crate::transport::CloseReason;

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

    #[tokio::test]
    async fn a_frame_that_comes_with_the_request_is_not_lost() {
        let (mut listener, url) = listener().await;
        let address = url.strip_prefix("ws://").expect("a ws URL");
        let mut stream = TcpStream::connect(address).await.expect("listening");
        let head = format!(
            "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let request = [head.as_bytes(), b"\x81\x82\0\0\0\0{}\x81"].concat();
        let (sent, accepted) = tokio::join!(stream.write_all(&request), listener.accept());
        sent.expect("open");
        let mut accepted = accepted.expect("accepted");
        assert_eq!(accepted.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
        stream.write_all(b"\x82\0\0\0\0[]").await.expect("open");
        assert_eq!(accepted.reader.next().await.expect("open").as_deref(), Some(&b"[]"[..]));
    }

    #[tokio::test]
    async fn a_frame_that_comes_with_the_response_is_not_lost() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("ws://{}", listener.local_addr().expect("bound"));
        let serving = async {
            let (mut stream, _) = listener.accept().await.expect("dialled");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.expect("open");
            }
            let head = String::from_utf8(head).expect("ASCII");
            let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {}\r\n\r\n\u{1}\u{1}{{",
                derive_accept_key(key.as_bytes())
            );
            stream.write_all(response.as_bytes()).await.expect("open");
            stream
        };
        let (dialled, mut stream) = tokio::join!(connect(&url), serving);
        stream.write_all(b"\x80\x01}").await.expect("open");
        let mut dialled = dialled.expect("dialled");
        assert_eq!(dialled.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
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
