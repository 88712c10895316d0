//! Websocket messages out of bytes.

use std::io::{self, Read, Write};

use exec_http::transport::websocket::framing::{Decoder, Event, FramingError, READ_BYTES, Role};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{self, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// The longest message, in bytes: one that is met at once, one on either side of a control frame's, one beyond 16 bits.
pub const LIMITS: [usize; 4] = [10, 124, 300, 70_000];

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message.
    Text(Vec<u8>),
    /// A message.
    Binary(Vec<u8>),
    /// To be answered.
    Ping(Vec<u8>),
    /// Its payload is of no use.
    Pong,
    /// With the payload of the answer.
    Close(Vec<u8>),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More may come.
    Open,
    /// By a close frame.
    Closed,
    /// By a breach of the protocol.
    Violation,
    /// By a message that is too long.
    TooLong,
    /// By text that is none.
    NotUtf8,
}

/// What a stream gives.
pub type Outcome = (Vec<Seen>, End);

/// Any chunking of any bytes gives the messages and the kind of end that tungstenite gives, but for the differences that
/// [`agree`] names. The first byte chooses the side and the bound, the second two sizes of chunks that take turns.
pub fn check(data: &[u8]) {
    let Some((&[side, sizes], stream)) = data.split_first_chunk() else { return };
    let role = if side & 1 == 0 { Role::Client } else { Role::Server };
    let limit = LIMITS[usize::from(side >> 1) % LIMITS.len()];
    let sizes = [usize::from(sizes & 15) + 1, usize::from(sizes >> 4) + 1];
    for sizes in [sizes, [1, 1], [stream.len().max(1); 2]] {
        agree(role, limit, stream, sizes);
    }
}

/// Panics where the two differ on a stream otherwise than these ways:
///
/// - Early: what a head shows is refused by it. Tungstenite waits for the frame to be whole.
/// - Late: that text is UTF-8 is seen when the message is whole. Tungstenite looks at each fragment.
pub fn agree(role: Role, limit: usize, stream: &[u8], sizes: [usize; 2]) {
    let (seen, end) = ours(role, limit, stream, sizes);
    let (expected, expected_end) = theirs(role, limit, stream.to_vec());
    match (end, expected_end) {
        (End::Violation | End::TooLong, End::Open) => {
            let whole = [stream, &vec![0; limit]].concat();
            assert_eq!((seen, end), theirs(role, limit, whole), "early, {sizes:?}");
        }
        (_, End::NotUtf8) if end != End::NotUtf8 => {
            let more = seen.strip_prefix(&*expected).expect("late: what came before is the same");
            let is_control = |seen: &Seen| !matches!(seen, Seen::Text(_) | Seen::Binary(_));
            assert!(more.iter().all(is_control), "late: {more:?} behind text that is none, {sizes:?}");
        }
        _ if end == End::NotUtf8 && expected_end == End::NotUtf8 => {
            assert!(seen.starts_with(&expected), "{seen:?} for {expected:?}, {sizes:?}");
        }
        _ => assert_eq!((seen, end), (expected, expected_end), "chunks of {sizes:?}"),
    }
}

/// What our framing makes of it.
pub fn ours(role: Role, limit: usize, stream: &[u8], sizes: [usize; 2]) -> Outcome {
    let mut decoder = Decoder::new(role, limit);
    let mut seen = Vec::new();
    let mut ahead = stream;
    for size in sizes.into_iter().cycle() {
        let (chunk, behind) = ahead.split_at(size.min(ahead.len()));
        ahead = behind;
        decoder.buffer_mut().extend_from_slice(chunk);
        loop {
            let event = match decoder.poll_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(FramingError::Violation(_)) => return (seen, End::Violation),
                Err(FramingError::TooLong { .. }) => return (seen, End::TooLong),
                Err(FramingError::NotUtf8) => return (seen, End::NotUtf8),
            };
            let payload = decoder.payload().to_vec();
            match event {
                Event::Message { is_text: true } if str::from_utf8(&payload).is_err() => return (seen, End::NotUtf8),
                Event::Message { is_text: true } => seen.push(Seen::Text(payload)),
                Event::Message { is_text: false } => seen.push(Seen::Binary(payload)),
                Event::Ping => seen.push(Seen::Ping(payload)),
                Event::Pong => seen.push(Seen::Pong),
                Event::Close => {
                    seen.push(Seen::Close(payload));
                    return (seen, End::Closed);
                }
            }
        }
        let memory = decoder.memory();
        assert!(memory <= 2 * READ_BYTES + 2 * limit, "{memory} bytes are held");
        if ahead.is_empty() {
            break;
        }
    }
    (seen, End::Open)
}

/// A peer that has said all, and takes everything.
struct Script(io::Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of it.
fn theirs(role: Role, limit: usize, stream: Vec<u8>) -> Outcome {
    let role = match role {
        Role::Client => protocol::Role::Client,
        Role::Server => protocol::Role::Server,
    };
    let config =
        WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(limit)).max_frame_size(Some(limit));
    let mut socket = WebSocket::from_raw_socket(Script(io::Cursor::new(stream)), role, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Message::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Message::Pong(_)) => Seen::Pong,
            Ok(Message::Frame(_)) => unreachable!("frames are read as messages"),
            Ok(Message::Close(frame)) => {
                let payload =
                    frame.map(|frame| [&u16::from(frame.code).to_be_bytes(), frame.reason.as_bytes()].concat());
                seen.push(Seen::Close(payload.unwrap_or_default()));
                return (seen, End::Closed);
            }
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (seen, End::Open),
            Err(Error::Protocol(_)) => return (seen, End::Violation),
            Err(Error::Capacity(_)) => return (seen, End::TooLong),
            Err(Error::Utf8(_)) => return (seen, End::NotUtf8),
            Err(error) => unreachable!("a script does not fail: {error}"),
        });
    }
}
