//! Frames over stdio, websocket and memory. A frame is one JSON text; nothing here looks into it.
//!
//! | file | concept |
//! |---|---|
//! | [`lines`] | newline-delimited frames over any byte stream: stdio |
//! | [`websocket`] | one frame a websocket message, dialled or accepted |
//! | [`memory`] | a pair of connections inside one process |

use std::fmt;
use std::io;

use bytes::Bytes;

use crate::protocol::batch::Batch;

pub mod lines;
pub mod memory;
pub mod websocket;

/// Both directions of one connection, to be used by two tasks.
#[derive(Debug)]
pub struct Connection {
    /// What the peer sends.
    pub reader: Reader,
    /// What goes to the peer.
    pub writer: Writer,
}

/// Why a connection broke. Holds no data of the peer.
#[derive(Debug)]
pub enum TransportError {
    /// The operating system reported a failure.
    Io(io::Error),
    /// The peer sent a line or message longer than the bound, in bytes.
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// The peer sent a websocket text message that is not UTF-8.
    NotUtf8,
    /// The peer broke the websocket protocol.
    WebSocket(&'static str),
    /// The websocket handshake was refused with this HTTP status.
    Refused(u16),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLong { limit } => write!(f, "the peer sent a message of more than {limit} bytes"),
            Self::NotUtf8 => f.write_str("websocket: a text message is not UTF-8"),
            Self::WebSocket(what) => write!(f, "websocket: {what}"),
            Self::Refused(status) => write!(f, "websocket handshake refused with status {status}"),
        }
    }
}

impl std::error::Error for TransportError {}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why this side ends a connection; a websocket's close frame says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Nothing more is to be said.
    Done,
    /// The peer broke the protocol.
    Violation,
    /// The peer sent a message that is too long.
    TooLong,
    /// The peer sent text that is not UTF-8.
    NotUtf8,
}

impl CloseReason {
    /// The reason to give for an error of the receiving half.
    pub const fn of(error: &TransportError) -> Self {
        match error {
            TransportError::Io(_) | TransportError::Refused(_) => Self::Done,
            TransportError::TooLong { .. } => Self::TooLong,
            TransportError::NotUtf8 => Self::NotUtf8,
            TransportError::WebSocket(_) => Self::Violation,
        }
    }
}

/// The receiving half of a connection.
#[derive(Debug)]
pub enum Reader {
    /// Newline-delimited.
    Lines(lines::LineReader),
    /// One websocket.
    WebSocket(websocket::WebSocketReader),
    /// In memory.
    Memory(memory::MemoryReader),
}

/// A frame that a [`Reader`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What came.
    bytes: &'a [u8],
    /// The transport promises UTF-8, and has not looked.
    is_text: bool,
}

impl<'a> Frame<'a> {
    /// The bytes, whether they are text or not: enough for a reader that accepts only ASCII.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes, once they are what the transport promises.
    ///
    /// # Errors
    ///
    /// [`TransportError::NotUtf8`] for a websocket text message that is none; the connection is to be closed.
    pub fn text(self) -> Result<&'a [u8], TransportError> {
        if self.is_text && std::str::from_utf8(self.bytes).is_err() {
            Err(TransportError::NotUtf8)
        } else {
            Ok(self.bytes)
        }
    }
}

impl Reader {
    /// The next frame; `None` when the peer ended the connection in good order. Nothing follows an end or an error.
    ///
    /// # Errors
    ///
    /// See [`TransportError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped before it returns has taken no frame.
    pub async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(Bytes::copy_from_slice(frame.text()?)));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The next frame that has come already. `None` when [`Reader::fill`] is to be called first.
    ///
    /// # Errors
    ///
    /// See [`TransportError`]; nothing follows it.
    #[inline]
    pub fn buffered(&mut self) -> Result<Option<Frame<'_>>, TransportError> {
        match self {
            Self::Lines(reader) => reader.buffered(),
            Self::WebSocket(reader) => reader.buffered(),
            Self::Memory(reader) => Ok(reader.buffered()),
        }
    }

    /// Waits for more from the peer, perhaps less than a frame, perhaps many. False when the peer has ended the connection in
    /// good order. To be called when [`Reader::buffered`] gives nothing.
    ///
    /// # Errors
    ///
    /// See [`TransportError`]; nothing follows it.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost by a call that is dropped.
    pub async fn fill(&mut self) -> Result<bool, TransportError> {
        match self {
            Self::Lines(reader) => reader.fill().await,
            Self::WebSocket(reader) => reader.fill().await,
            Self::Memory(reader) => reader.fill().await,
        }
    }

    /// Refuses longer frames from now on; the transport's own bound stands where it is lower.
    pub fn limit_frames(&mut self, bytes: usize) {
        match self {
            Self::Lines(reader) => reader.limit_frames(bytes),
            Self::WebSocket(reader) => reader.limit_frames(bytes),
            Self::Memory(reader) => reader.limit_frames(bytes),
        }
    }

    /// A counter that rises whenever anything came from the peer, pongs included; for noticing a dead peer.
    pub fn activity(&self) -> u64 {
        match self {
            Self::Lines(reader) => reader.activity(),
            Self::WebSocket(reader) => reader.activity(),
            Self::Memory(reader) => reader.activity(),
        }
    }
}

/// The sending half of a connection.
#[derive(Debug)]
pub enum Writer {
    /// Newline-delimited.
    Lines(lines::LineWriter),
    /// One websocket.
    WebSocket(websocket::WebSocketWriter),
    /// In memory.
    Memory(memory::MemoryWriter),
}

impl Writer {
    /// Sends frames in order and flushes once, behind the last of them.
    ///
    /// # Errors
    ///
    /// As [`Writer::send_batch`].
    ///
    /// # Cancel safety
    ///
    /// As [`Writer::send_batch`].
    pub async fn send(&mut self, frames: Vec<Bytes>) -> Result<(), TransportError> {
        self.send_batch(&mut frames.into_iter().collect()).await
    }

    /// Sends the frames of a batch in order, flushes once, behind the last of them, and empties the batch.
    ///
    /// # Errors
    ///
    /// See [`TransportError`]; the connection is of no further use for sending.
    ///
    /// # Cancel safety
    ///
    /// Not safe: a call that is dropped may have sent a part of a frame, and only [`Writer::close`] may follow.
    pub async fn send_batch(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        match self {
            Self::Lines(writer) => writer.send(batch).await?,
            Self::WebSocket(writer) => writer.send(batch).await?,
            Self::Memory(writer) => writer.send(batch).await?,
        }
        batch.clear();
        Ok(())
    }

    /// Asks the peer for a sign of life, where the transport has one; does nothing elsewhere.
    ///
    /// # Errors
    ///
    /// As [`Writer::send`].
    pub async fn ping(&mut self) -> Result<(), TransportError> {
        match self {
            Self::WebSocket(writer) => writer.ping().await,
            Self::Lines(_) | Self::Memory(_) => Ok(()),
        }
    }

    /// Ends this direction in good order: a websocket close frame, the end of the byte stream. Errors are of no interest
    /// any more. The caller bounds the time it waits.
    pub async fn close(&mut self, reason: CloseReason) {
        match self {
            Self::Lines(writer) => writer.close().await,
            Self::WebSocket(writer) => writer.close(reason).await,
            Self::Memory(writer) => writer.close(),
        }
    }
}
