//! What may happen in a session.

use arbitrary::Arbitrary;

/// The client's bounds, small so that they are met often, and how the session is left.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Settings {
    /// Whether the reader waits for slow consumers.
    pub pause: bool,
    /// For 1 to 4 frames in one stream.
    pub frames: u8,
    /// For 256 to 2,303 bytes in all streams.
    pub bytes: u8,
    /// For 1 to 8 calls at a time.
    pub calls: u8,
    /// Whether all consumers leave while the connection lives; otherwise it is closed, and they read to their ends.
    pub leave: bool,
}

/// What happens next. Calls are named by their order, modulo their number.
#[derive(Arbitrary, Clone, Debug)]
pub enum Operation {
    /// A consumer starts a call.
    Start {
        /// With a streamed body.
        stream: bool,
    },
    /// A consumer waits for what comes next, once, and gives the wait up when there is nothing.
    Receive {
        /// Whose.
        call: u8,
    },
    /// A consumer takes all there is.
    Drain {
        /// Whose.
        call: u8,
    },
    /// A consumer leaves.
    Leave {
        /// Whose.
        call: u8,
    },
    /// The executor sends one frame.
    Send(Frame),
    /// The executor sends many at once.
    Burst(Vec<Frame>),
    /// The executor closes its side.
    Close,
    /// The executor reads no more: what the client writes fails.
    StopReading,
    /// Nothing happens for longer than the client waits for anything.
    Wait,
}

/// A frame of the executor.
#[derive(Arbitrary, Clone, Debug)]
pub enum Frame {
    /// The answer of a call, whether or not it was answered before.
    Answer {
        /// Whose.
        call: u8,
        /// What it says.
        answer: Answer,
    },
    /// A delta of a call, whether or not it has a stream.
    Delta {
        /// Whose.
        call: u8,
        /// What it says.
        delta: Delta,
    },
    /// One without effect.
    Stray(Stray),
    /// A request, which the client has to refuse.
    Request,
    /// One that ends the connection.
    Fatal(Fatal),
}

/// The answer of a call.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Answer {
    /// A head.
    Head {
        /// Its `content-length`.
        promised: Option<u8>,
        /// Bytes of the body in it, which a streamed call does not look at.
        bytes: u8,
    },
    /// An error.
    Refusal,
    /// A result that is no head.
    NoHead,
}

/// A delta. Data is as long as `bytes` modulo 1,024.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Delta {
    /// The frame that is due.
    Data {
        /// Its length.
        bytes: u16,
    },
    /// The terminal frame that is due.
    Last {
        /// The length of its data.
        bytes: u16,
        /// How it ends the body.
        end: End,
    },
    /// A frame with this number, which may happen to be the one that is due.
    Numbered {
        /// The number.
        seq: u8,
        /// The length of its data.
        bytes: u16,
        /// Whether it is terminal.
        done: bool,
    },
    /// A frame that cannot be read.
    Malformed(Fault),
}

/// How a terminal frame ends its body.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `done`.
    Done,
    /// `error`.
    Error,
    /// Both.
    DoneAndError,
}

/// What is wrong with a malformed delta.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Fault {
    /// No `seq`.
    SeqMissing,
    /// `seq` is negative.
    SeqNegative,
    /// No `deltaBase64`.
    DataMissing,
    /// `deltaBase64` lacks its padding.
    DataUnpadded,
    /// `done` is a number.
    DoneNumber,
    /// `error` is an object.
    ErrorObject,
}

/// A frame that has no effect.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Stray {
    /// An answer whose id is this call's, but as text.
    TextId {
        /// Whose.
        call: u8,
    },
    /// An answer whose id was never used.
    UnknownId,
    /// A delta whose `requestId` is nearly this call's.
    Misspelt {
        /// Whose.
        call: u8,
    },
    /// A delta whose `requestId` was never used.
    UnknownStream,
    /// The same, and the rest of it is malformed.
    UnknownMalformed,
    /// A notification that the client does not know.
    Notification,
}

/// A frame that ends the connection.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Fatal {
    /// Bytes that are no message.
    Garbage,
    /// A delta that is cut off.
    CutOff,
    /// A delta without `requestId`.
    NoRequestId,
    /// A delta without params.
    NoParams,
    /// An error of id -1.
    Unreadable,
    /// An error without id.
    UnreadableNull,
}
