//! Websocket frames, written and read one by one, so that a case can send what no proper end would.

use std::io::{self, Cursor};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use url::Url;

use super::{FRAME_BYTES, Incoming};
use crate::transport::websocket::Token;

/// Bytes of a head that the suite reads.
const HEAD_BYTES: usize = 64 * 1024;

/// The mask of all frames of a client: the rule that a client masks is kept, and traces of bytes stay comparable.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Which end of the connection the suite plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It connected: its frames are masked.
    Client,
    /// It accepted: the other's frames are masked.
    Server,
}

/// Connects, upgrades, and returns the stream with what was read behind the response head.
pub(super) async fn connect(url: &str, token: Option<&Token>) -> io::Result<(TcpStream, BytesMut)> {
    let bad_url = || io::Error::new(io::ErrorKind::InvalidInput, "not a ws:// URL with a host");
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "ws").ok_or_else(bad_url)?;
    let host = url.host_str().ok_or_else(bad_url)?.to_owned();
    let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let key = generate_key();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    );
    stream.write_all(&with_token(request.as_bytes(), token)).await?;
    let (head, rest) = read_head(&mut stream).await?;
    let accept = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim())
    });
    if status(&head) != Some(101) || accept != Some(derive_accept_key(key.as_bytes()).as_str()) {
        let line = head.lines().next().unwrap_or_default();
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the peer does not upgrade: {line:?}")));
    }
    Ok((stream, rest))
}

/// The request head with the token behind its first line.
pub(crate) fn with_token(request: &[u8], token: Option<&Token>) -> Vec<u8> {
    let (Some(token), Some(end)) = (token, memchr::memmem::find(request, b"\r\n")) else { return request.to_vec() };
    let (line, rest) = request.split_at(end);
    [line, b"\r\nauthorization: ", token.header().as_bytes(), rest].concat()
}

/// Sends a request head to an address and returns the status of the response.
///
/// # Errors
///
/// Those of the socket; `InvalidData` when what comes back is no response.
pub async fn probe(address: &str, request: &[u8]) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let (head, _) = read_head(&mut stream).await?;
    status(&head).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP response"))
}

/// Reads the request of a client and upgrades. Returns the request head, and what was read behind it.
///
/// # Errors
///
/// Those of the socket; `InvalidData` when the request asks for no websocket: it is answered with status 400.
pub(super) async fn accept(stream: &mut TcpStream) -> io::Result<(String, BytesMut)> {
    stream.set_nodelay(true)?;
    let (head, rest) = read_head(stream).await?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let Some(key) = key.filter(|_| head.starts_with("GET ")) else {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        let line = head.lines().next().unwrap_or_default();
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no request for a websocket: {line:?}")));
    };
    let accept = derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).await?;
    Ok((head, rest))
}

/// Reads a head, and returns what came behind it, too.
///
/// # Errors
///
/// Those of the socket; `InvalidData` when the head is too long.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<(String, BytesMut)> {
    let mut buffer = BytesMut::new();
    loop {
        if let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            return Ok((String::from_utf8_lossy(&head).into_owned(), buffer));
        }
        if buffer.len() > HEAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head has no end"));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

impl End {
    /// A whole message.
    pub(super) fn message(self, bytes: &[u8], binary: bool) -> Vec<u8> {
        self.encode(bytes, OpCode::Data(if binary { Data::Binary } else { Data::Text }), true)
    }

    /// A text message in so many fragments, with a ping behind the first.
    pub(super) fn fragments(self, bytes: &[u8], count: usize) -> Vec<u8> {
        let parts: Vec<_> = bytes.chunks(bytes.len().div_ceil(count.max(1)).max(1)).collect();
        let mut out = Vec::new();
        for (nth, part) in parts.iter().enumerate() {
            let opcode = OpCode::Data(if nth == 0 { Data::Text } else { Data::Continue });
            out.extend(self.encode(part, opcode, nth + 1 == parts.len()));
            if nth == 0 && parts.len() > 1 {
                out.extend(self.ping(b"between"));
            }
        }
        out
    }

    pub(super) fn ping(self, payload: &[u8]) -> Vec<u8> {
        self.encode(payload, OpCode::Control(Control::Ping), true)
    }

    pub(super) fn pong(self, payload: &[u8]) -> Vec<u8> {
        self.encode(payload, OpCode::Control(Control::Pong), true)
    }

    pub(super) fn close(self, status: Option<u16>) -> Vec<u8> {
        let payload = status.map(u16::to_be_bytes);
        self.encode(payload.as_ref().map_or(&[][..], |status| status), OpCode::Control(Control::Close), true)
    }

    fn encode(self, payload: &[u8], opcode: OpCode, is_final: bool) -> Vec<u8> {
        let mask = (self == Self::Client).then_some(MASK);
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        let mut out = Vec::with_capacity(header.len(payload.len() as u64) + payload.len());
        Frame::from_payload(header, Bytes::copy_from_slice(payload)).format(&mut out).expect("memory takes every byte");
        out
    }
}

/// Reads the frames of the other end.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Which end reads.
    end: End,
    /// Bytes that came and were not used yet.
    buffer: BytesMut,
    /// The fragments of an unfinished message, and whether it is binary.
    unfinished: Option<(BytesMut, bool)>,
}

impl Decoder {
    pub(super) const fn new(end: End, buffer: BytesMut) -> Self {
        Self { end, buffer, unfinished: None }
    }

    pub(super) const fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next message or control frame, if it is there in full.
    pub(super) fn poll(&mut self) -> Result<Option<Incoming>, String> {
        while let Some((header, payload)) = self.poll_frame()? {
            match header.opcode {
                OpCode::Control(Control::Ping) => return Ok(Some(Incoming::Ping(payload.freeze()))),
                OpCode::Control(Control::Pong) => return Ok(Some(Incoming::Pong(payload.freeze()))),
                OpCode::Control(_) => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Ok(Some(Incoming::Close(code)));
                }
                OpCode::Data(data) => {
                    let begun = self.unfinished.take();
                    let (mut message, binary) = begun.unwrap_or_else(|| (BytesMut::new(), data == Data::Binary));
                    if message.is_empty() {
                        message = payload;
                    } else {
                        message.extend_from_slice(&payload);
                    }
                    if header.is_final {
                        return Ok(Some(Incoming::Message { bytes: message.freeze(), binary }));
                    }
                    if message.len() > FRAME_BYTES {
                        return Err("a message is longer than the suite reads".to_owned());
                    }
                    self.unfinished = Some((message, binary));
                }
            }
        }
        Ok(None)
    }

    /// A frame that breaks a rule stays in the buffer.
    fn poll_frame(&mut self) -> Result<Option<(FrameHeader, BytesMut)>, String> {
        let mut cursor = Cursor::new(&self.buffer[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| error.to_string())?;
        let Some((header, length)) = parsed else { return Ok(None) };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err("a frame has reserved bits".to_owned());
        }
        match (self.end, header.mask) {
            (End::Client, Some(_)) => return Err("a frame of the executor is masked".to_owned()),
            (End::Server, None) => return Err("a frame of the client is not masked".to_owned()),
            (End::Client, None) | (End::Server, Some(_)) => {}
        }
        match (header.opcode, &self.unfinished) {
            (OpCode::Control(_), _) if !header.is_final || length > 125 => {
                return Err("a control frame is fragmented or too long".to_owned());
            }
            (OpCode::Data(Data::Continue), None) => return Err("a continuation without a beginning".to_owned()),
            (OpCode::Data(Data::Text | Data::Binary), Some(_)) => return Err("a new message inside another".to_owned()),
            _ => {}
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= FRAME_BYTES);
        let length = length.ok_or("a frame is longer than the suite reads")?;
        let start = cursor.position() as usize;
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        self.buffer.advance(start);
        let mut payload = self.buffer.split_to(length);
        if let Some(mask) = header.mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        Ok(Some((header, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_messages_at_both_ends() {
        for (sender, reader) in [(End::Server, End::Client), (End::Client, End::Server)] {
            let mut bytes = sender.encode(b"he", OpCode::Data(Data::Text), false);
            bytes.extend(sender.ping(b"p"));
            bytes.extend(sender.encode(b"llo", OpCode::Data(Data::Continue), true));
            bytes.extend(sender.message(&vec![b'x'; 70_000], true));
            bytes.extend(sender.encode(&1009u16.to_be_bytes(), OpCode::Control(Control::Close), true));
            for size in [1, 2, 3, 7, 1000, bytes.len()] {
                let mut decoder = Decoder::new(reader, BytesMut::new());
                let mut all = Vec::new();
                for chunk in bytes.chunks(size) {
                    decoder.buffer_mut().extend_from_slice(chunk);
                    while let Some(incoming) = decoder.poll().expect("good frames") {
                        all.push(incoming);
                    }
                }
                let message = |bytes: &[u8], binary| Incoming::Message { bytes: Bytes::copy_from_slice(bytes), binary };
                let ping = Incoming::Ping(Bytes::from_static(b"p"));
                let expected =
                    [ping, message(b"hello", false), message(&[b'x'; 70_000], true), Incoming::Close(Some(1009))];
                assert_eq!(all, expected, "chunks of {size} to the {reader:?}");
            }
        }
    }

    #[test]
    fn broken_rules_are_told() {
        for (reader, bytes, reason) in [
            (End::Client, End::Client.message(b"x", false), "a frame of the executor is masked"),
            (End::Server, End::Server.message(b"x", false), "a frame of the client is not masked"),
            (
                End::Client,
                End::Server.encode(b"x", OpCode::Data(Data::Continue), true),
                "a continuation without a beginning",
            ),
            (End::Client, vec![0xc1, 0], "a frame has reserved bits"),
            (End::Client, End::Server.ping(&[0; 126]), "a control frame is fragmented or too long"),
        ] {
            let mut decoder = Decoder::new(reader, BytesMut::from(&bytes[..]));
            assert_eq!(decoder.poll(), Err(reason.to_owned()));
            assert_eq!(decoder.buffer_mut()[..], bytes);
        }
    }
}
