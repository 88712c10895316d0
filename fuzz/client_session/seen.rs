//! What can be seen: by a consumer, and by a client that looks at a frame.

use super::operation::Answer;

/// What a consumer sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has to wait.
    Nothing,
    /// The status of a streamed call.
    Head(u16),
    /// The status and body of a buffered call.
    Whole(u16, Vec<u8>),
    /// The call failed.
    Failed(Failure),
    /// A piece of the body.
    Chunk(Vec<u8>),
    /// The end of the body, which stays.
    End(End),
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The executor said so.
    Refused(String),
    /// The result is no head.
    NoHead,
    /// The body is not as long as its head says.
    WrongLength,
    /// The client's bound was met.
    TooManyCalls,
    /// The connection went away.
    Lost { loss: Loss, sent: bool },
}

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Clean.
    Whole,
    /// With the executor's error.
    Remote(String),
    /// By a frame with another number than the one that was due.
    Sequence { received: u64, expected: u64 },
    /// By a frame in which this member is wrong.
    Malformed(&'static str),
    /// By the bound of its frames.
    TooManyFrames(usize),
    /// By the bound of all bytes.
    TooManyBytes(usize),
    /// Shorter or longer than its head says.
    WrongLength { promised: u64, received: u64 },
    /// With the connection.
    Lost(Loss),
}

/// Why the connection went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The executor closed it.
    Closed,
    /// The executor sent what is no message.
    Malformed,
    /// The executor could not read a frame.
    Unreadable,
    /// What the client wrote did not arrive.
    Transport,
}

/// What a frame of the executor means.
pub(super) enum Event {
    /// An answer.
    Answer { call: usize, answer: Answer },
    /// A delta.
    Piece { call: usize, piece: Piece },
    /// A delta with this member wrong.
    Malformed { call: usize, member: &'static str },
    /// Nothing.
    Stray,
    /// A request with this id.
    Request { id: String },
    /// The end of the connection.
    Fatal(Loss),
}

/// A delta that can be read.
pub(super) struct Piece {
    /// Its number.
    pub(super) seq: u64,
    /// Its bytes.
    pub(super) data: Vec<u8>,
    /// Whether it says that it is the last.
    pub(super) done: bool,
    /// What it says of a failure.
    pub(super) error: Option<String>,
}
