//! RFC 6455 section 5 without I/O: messages out of one flat buffer that is read into again and again, and heads of frames.
//!
//! A whole message is a slice of that buffer, unmasked in place; only fragments are copied together. What is refused is what
//! tungstenite refuses, as soon as a head says so. Lengths that are written longer than they need be are taken, as RFC 6455 asks
//! senders for the shortest and receivers for nothing.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::BytesMut;

/// Bytes of memory that a connection begins with, and asks for at a time.
pub const READ_BYTES: usize = 256 * 1024;

/// Less room than this, in bytes, is not read into: what is unread moves to the front first.
const ROOM_BYTES: usize = 64 * 1024;

/// Bytes of memory that are kept when a large message is done with.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of the payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_BYTES: usize = 125;

/// Bytes of the longest head of a frame.
const HEAD_BYTES: usize = 14;

/// The answer to a close frame with a code that may not be sent.
const BAD_CODE: &[u8] = b"\x03\xeaProtocol violation";

/// Which side of a connection this is. A client masks what it sends, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It dialled.
    Client,
    /// It accepted.
    Server,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A message of text, or its first fragment.
    Text = 1,
    /// A message of bytes, or its first fragment.
    Binary = 2,
    /// The last frame of its sender.
    Close = 8,
    /// To be answered by a pong of the same payload.
    Ping = 9,
    /// An answer, or a sign of life.
    Pong = 10,
}

impl Opcode {
    fn new(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Why a connection cannot go on. Holds no data of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The peer broke the protocol.
    Violation(&'static str),
    /// A message is longer than the bound, in bytes.
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// The reason in a close frame is not UTF-8.
    NotUtf8,
}

/// What came; [`Decoder::payload`] has its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message. Whether text is UTF-8 is for the reader to see.
    Message {
        /// Whether its sender calls it text.
        is_text: bool,
    },
    /// The payload is that of the pong to send.
    Ping,
    /// A pong.
    Pong,
    /// The payload is that of the close frame to answer with. Nothing may follow.
    Close,
}

/// Messages out of bytes.
#[derive(Debug)]
pub struct Decoder {
    /// The side that receives.
    role: Role,
    /// The longest message, in bytes.
    message_bytes: usize,
    /// What came.
    buffer: BytesMut,
    /// How much of the buffer was given already.
    taken: usize,
    /// The head of the frame of which `buffer` has not everything behind `taken` yet.
    head: Option<Incoming>,
    /// Fragments of the message at hand.
    joined: Vec<u8>,
    /// Whether the message at hand is text; `None` between messages.
    unfinished: Option<bool>,
    /// Where the bytes of the last event are.
    payload: Payload,
}

/// Where the bytes of an event are.
#[derive(Debug)]
enum Payload {
    /// In the buffer.
    Buffer(Range<usize>),
    /// The fragments.
    Joined,
    /// The answer to a close frame that may not be repeated.
    BadCode,
}

/// The head of a frame that comes.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    /// Whether no fragment follows.
    is_final: bool,
    /// Whether a bit is set that no extension was agreed on for.
    reserved: bool,
    /// What it is.
    opcode: Opcode,
    /// What it is masked with.
    mask: Option<[u8; 4]>,
    /// Bytes of its payload.
    length: u64,
}

impl Decoder {
    /// For one direction of a connection, messages of so many bytes.
    pub fn new(role: Role, message_bytes: usize) -> Self {
        Self {
            role,
            message_bytes,
            buffer: BytesMut::new(),
            taken: 0,
            head: None,
            joined: Vec::new(),
            unfinished: None,
            payload: Payload::Buffer(0..0),
        }
    }

    /// Refuses longer messages from now on, that at hand included.
    pub fn limit(&mut self, bytes: usize) {
        self.message_bytes = self.message_bytes.min(bytes);
    }

    /// Where what comes is to be appended, with room for it. Takes memory for what has come and as much again, and gives it
    /// back behind a large message. The last event's payload is gone.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        self.payload = Payload::Buffer(0..0);
        let held = self.buffer.len() - self.taken;
        if held == 0 {
            self.buffer.clear();
            self.taken = 0;
        }
        let length = self.head.map_or(0, |head| usize::try_from(head.length).unwrap_or(usize::MAX));
        // A head alone is no reason to take memory.
        let room = length.saturating_sub(held).clamp(ROOM_BYTES, held.max(READ_BYTES));
        if self.buffer.capacity() > KEPT_BYTES && held + room <= READ_BYTES {
            let mut small = BytesMut::with_capacity(READ_BYTES);
            small.extend_from_slice(&self.buffer[self.taken..]);
            (self.buffer, self.taken) = (small, 0);
        } else if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.copy_within(self.taken.., 0);
            self.buffer.truncate(held);
            self.taken = 0;
            if self.buffer.capacity() - held < room {
                self.buffer.reserve(room.max(READ_BYTES));
            }
        }
        &mut self.buffer
    }

    /// What came next; `None` when there has to be more first.
    ///
    /// # Errors
    ///
    /// [`FramingError`]. Nothing may be asked for behind one, nor behind [`Event::Close`].
    #[inline]
    pub fn poll_event(&mut self) -> Result<Option<Event>, FramingError> {
        if let Payload::Joined = self.payload {
            self.joined.clear();
            if self.joined.capacity() > KEPT_BYTES {
                self.joined = Vec::new();
            }
        }
        self.payload = Payload::Buffer(0..0);
        loop {
            let head = match self.head {
                Some(head) => head,
                None => {
                    let Some((head, bytes)) = Incoming::parse(&self.buffer[self.taken..])? else { return Ok(None) };
                    self.taken += bytes;
                    head
                }
            };
            let length = self.checked_length(&head)?;
            if self.buffer.len() - self.taken < length {
                self.head = Some(head);
                return Ok(None);
            }
            self.head = None;
            let range = self.taken..self.taken + length;
            self.taken = range.end;
            if let Some(key) = head.mask {
                mask(&mut self.buffer[range.clone()], key);
            }
            if let Some(event) = self.frame(&head, range)? {
                return Ok(Some(event));
            }
        }
    }

    /// The bytes of the last event.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Buffer(range) => &self.buffer[range.clone()],
            Payload::Joined => &self.joined,
            Payload::BadCode => BAD_CODE,
        }
    }

    /// Memory that is held, in bytes.
    pub fn memory(&self) -> usize {
        self.buffer.capacity() + self.joined.capacity()
    }

    /// The length of a frame that may come, in bytes.
    #[inline]
    fn checked_length(&self, head: &Incoming) -> Result<usize, FramingError> {
        let too_long = FramingError::TooLong { limit: self.message_bytes };
        let length =
            usize::try_from(head.length).ok().filter(|length| *length <= self.message_bytes).ok_or(too_long)?;
        let fault = match (self.role, head.mask) {
            (Role::Server, None) => "a client sent a frame that is not masked",
            _ if head.reserved => "a reserved bit is set",
            (Role::Client, Some(_)) => "a server sent a masked frame",
            _ if head.opcode.is_control() && !head.is_final => "a control frame is fragmented",
            _ if head.opcode.is_control() && length > CONTROL_BYTES => "a control frame has more than 125 bytes",
            _ => match (head.opcode, self.unfinished) {
                (Opcode::Continuation, None) => "a fragment continues no message",
                (Opcode::Text | Opcode::Binary, Some(_)) => "a message begins within another",
                (Opcode::Continuation, Some(_)) if length > self.message_bytes.saturating_sub(self.joined.len()) => {
                    return Err(too_long);
                }
                _ => return Ok(length),
            },
        };
        Err(FramingError::Violation(fault))
    }

    /// What a whole frame gives.
    #[inline]
    fn frame(&mut self, head: &Incoming, range: Range<usize>) -> Result<Option<Event>, FramingError> {
        let payload = &self.buffer[range.clone()];
        let event = match head.opcode {
            Opcode::Ping => Event::Ping,
            Opcode::Pong => Event::Pong,
            Opcode::Close => {
                if !may_close(payload)? {
                    self.payload = Payload::BadCode;
                    return Ok(Some(Event::Close));
                }
                Event::Close
            }
            Opcode::Text | Opcode::Binary if head.is_final => Event::Message { is_text: head.opcode == Opcode::Text },
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let is_text = *self.unfinished.get_or_insert(head.opcode == Opcode::Text);
                self.joined.extend_from_slice(payload);
                if !head.is_final {
                    return Ok(None);
                }
                self.unfinished = None;
                self.payload = Payload::Joined;
                return Ok(Some(Event::Message { is_text }));
            }
        };
        self.payload = Payload::Buffer(range);
        Ok(Some(event))
    }
}

impl Incoming {
    /// The head at the front, and its own length in bytes; `None` when it is not whole.
    #[inline]
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FramingError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (length, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        let (mask, rest) = match rest.split_first_chunk() {
            _ if second & 0x80 == 0 => (None, rest),
            Some((mask, rest)) => (Some(*mask), rest),
            None => return Ok(None),
        };
        let opcode = Opcode::new(first & 0x0f).ok_or(FramingError::Violation("an opcode is reserved"))?;
        let (is_final, reserved) = (first & 0x80 != 0, first & 0x70 != 0);
        Ok(Some((Self { is_final, reserved, opcode, mask, length }, bytes.len() - rest.len())))
    }
}

/// Whether a close frame has a code that may be sent (RFC 6455, section 7.4), or none.
fn may_close(payload: &[u8]) -> Result<bool, FramingError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let fault = FramingError::Violation("a close frame has half a code");
        return if payload.is_empty() { Ok(true) } else { Err(fault) };
    };
    std::str::from_utf8(reason).map_err(|_| FramingError::NotUtf8)?;
    Ok(matches!(u16::from_be_bytes(*code), 1000..=1003 | 1007..=1013 | 3000..=4999))
}

/// Masks with a key, or takes it off: one operation.
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let (blocks, rest) = bytes.as_chunks_mut::<16>();
    // Four keys side by side, in whatever order the machine has bytes.
    let wide = u128::from(u32::from_ne_bytes(key)) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The head of a frame to send.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The head, and nothing behind it.
    bytes: [u8; HEAD_BYTES],
    /// Bytes of it.
    len: usize,
}

impl Head {
    /// Of an unfragmented frame with a payload of so many bytes, which is masked with the key where there is one.
    pub fn new(opcode: Opcode, length: usize, key: Option<[u8; 4]>) -> Self {
        let mut head = Self { bytes: [0; HEAD_BYTES], len: 0 };
        let masked = if key.is_some() { 0x80 } else { 0 };
        head.push(&[0x80 | opcode as u8]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ 0..126), _) => head.push(&[masked | length]),
            (_, Ok(length)) => {
                head.push(&[masked | 126]);
                head.push(&length.to_be_bytes());
            }
            _ => {
                head.push(&[masked | 127]);
                head.push(&(length as u64).to_be_bytes());
            }
        }
        head.push(key.as_ref().map_or(&[], |key| key));
        head
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
