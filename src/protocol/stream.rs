//! The life of one body stream as a transition table.
//!
//! A stream is *open* and expects a `seq`, or it has *ended* with an outcome. The first outcome is final.
//!
//! | state | event | action | next |
//! |---|---|---|---|
//! | open, expects n | data, seq n | deliver | open, expects n + 1 |
//! | open, expects n | terminal without error, seq n | deliver, end | ended: complete |
//! | open, expects n | terminal with error, seq n | deliver, end | ended: remote |
//! | open, expects n | any frame, seq other than n | end | ended: sequence |
//! | open | malformed, overflow, disconnect | end | ended: that fault |
//! | ended | anything | ignore | the same |
//!
//! The production table is [`StreamState::apply`]; `tests/golden` holds a snapshot of all it does.

use std::fmt;
use std::time::Duration;

use super::delta::{BodyDelta, DeltaFault};
use super::error::ErrorKind;
use super::length::WrongLength;

/// Why a connection is no longer usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The peer closed it in good order.
    Closed,
    /// This side closed it.
    Local,
    /// The transport failed; the text names no peer data.
    Transport(String),
    /// The peer sent a frame that is not a message.
    Malformed(String),
    /// The peer answered that it could not read one of this side's frames, and cannot say which.
    Unreadable(String),
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("connection closed by the executor"),
            Self::Local => f.write_str("connection closed by this client"),
            Self::Transport(what) => write!(f, "transport failed: {what}"),
            Self::Malformed(what) => write!(f, "executor sent a frame that is not a message: {what}"),
            Self::Unreadable(what) => write!(f, "executor could not read a frame of this client: {what}"),
        }
    }
}

impl std::error::Error for Disconnect {}

/// Why a body ended without being whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The executor ended it with an error.
    Remote {
        /// The executor's text.
        message: String,
        /// What failed, where the executor said so.
        kind: Option<ErrorKind>,
    },
    /// A frame is missing, repeated or out of order.
    Sequence {
        /// The number that came.
        received: u64,
        /// The number that had to come.
        expected: u64,
    },
    /// The consumer was too slow: the stream's queue or the connection's byte budget was full.
    Overflow(Overflow),
    /// A frame brought more bytes than the client had allowed (extension).
    BeyondCredit {
        /// Bytes of the frame.
        received: usize,
        /// Bytes that were allowed and had not come.
        allowed: u64,
    },
    /// A frame of this stream could not be read.
    Malformed(DeltaFault),
    /// The connection went away first.
    Disconnected(Disconnect),
    /// The body is longer or shorter than its head promised.
    WrongLength(WrongLength),
    /// The time that the client gave the whole call passed before the end of the body.
    Deadline(Duration),
}

/// Which bound a slow consumer met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// So many frames waited in the stream.
    Frames(usize),
    /// So many bytes waited on the connection, and this stream held most of them.
    Bytes(usize),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { message, kind: None } => write!(f, "executor ended the body: {message}"),
            Self::Remote { message, kind: Some(kind) } => write!(f, "executor ended the body: {message} ({kind})"),
            Self::Sequence { received, expected } => write!(f, "body frame {received} came where {expected} was due"),
            Self::Overflow(Overflow::Frames(limit)) => write!(f, "body was not read: {limit} frames waited"),
            Self::Overflow(Overflow::Bytes(limit)) => {
                write!(f, "body was not read: {limit} bytes waited on the connection")
            }
            Self::BeyondCredit { received, allowed } => {
                write!(f, "body frame of {received} bytes came where the client had allowed {allowed}")
            }
            Self::Malformed(fault) => write!(f, "unreadable body frame: {fault}"),
            Self::Disconnected(why) => write!(f, "body cut off: {why}"),
            Self::WrongLength(wrong) => wrong.fmt(f),
            Self::Deadline(limit) => write!(f, "body was not whole within {limit:?}, the deadline of its call"),
        }
    }
}

impl std::error::Error for StreamError {}

/// How a stream ended: whole, or not.
pub type Outcome = Result<(), StreamError>;

/// Where a stream is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Frames may come.
    Open {
        /// The `seq` that the next frame must have; starts at 1.
        expected: u64,
    },
    /// Nothing more comes; the outcome is final.
    Ended(Outcome),
}

/// What happens to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A frame that is not terminal.
    Data {
        /// Its number.
        seq: u64,
    },
    /// The terminal frame, with or without data, whole or failed.
    Terminal {
        /// Its number.
        seq: u64,
        /// What it says of the body.
        outcome: Outcome,
    },
    /// Anything else that ends the stream: overflow, a malformed frame, a disconnect.
    Fault(StreamError),
}

/// What to do with the data of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// Hand the frame's data to the consumer; the stream may have ended behind it.
    Deliver,
    /// Drop the frame's data; the stream has ended just now.
    End,
    /// Drop the frame; the stream had ended before.
    Ignore,
}

impl StreamEvent {
    /// The event that a delta is. `error` without `done` is terminal as well.
    pub fn of(delta: &BodyDelta) -> Self {
        match &delta.error {
            Some(message) => Self::Terminal {
                seq: delta.seq,
                outcome: Err(StreamError::Remote { message: message.clone(), kind: delta.error_kind }),
            },
            None if delta.done => Self::Terminal { seq: delta.seq, outcome: Ok(()) },
            None => Self::Data { seq: delta.seq },
        }
    }
}

impl StreamState {
    /// A stream before its first frame.
    pub const fn new() -> Self {
        Self::Open { expected: 1 }
    }

    /// The outcome, once there is one.
    pub const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Open { .. } => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }

    /// The transition table.
    pub fn apply(&mut self, event: StreamEvent) -> StreamAction {
        let Self::Open { expected } = *self else { return StreamAction::Ignore };
        let (action, next) = match event {
            StreamEvent::Data { seq } if seq == expected => {
                // A peer would have to send for centuries to overflow; the next frame is then a sequence error.
                (StreamAction::Deliver, Self::Open { expected: expected.saturating_add(1) })
            }
            StreamEvent::Terminal { seq, outcome } if seq == expected => (StreamAction::Deliver, Self::Ended(outcome)),
            StreamEvent::Data { seq: received } | StreamEvent::Terminal { seq: received, .. } => {
                (StreamAction::End, Self::Ended(Err(StreamError::Sequence { received, expected })))
            }
            StreamEvent::Fault(error) => (StreamAction::End, Self::Ended(Err(error))),
        };
        *self = next;
        action
    }
}

impl StreamState {
    /// Applies [`StreamEvent::Data`] so many times, each with the number that is due.
    pub fn advance(&mut self, frames: u64) {
        if let Self::Open { expected } = self {
            *expected = expected.saturating_add(frames);
        }
    }
}

impl Default for StreamState {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outcome_is_final() {
        let mut state = StreamState::new();
        assert_eq!(state.apply(StreamEvent::Data { seq: 1 }), StreamAction::Deliver);
        assert_eq!(state.apply(StreamEvent::Data { seq: 3 }), StreamAction::End);
        let sequence = Err(StreamError::Sequence { received: 3, expected: 2 });
        for later in [
            StreamEvent::Data { seq: 2 },
            StreamEvent::Terminal { seq: 2, outcome: Ok(()) },
            StreamEvent::Fault(StreamError::Disconnected(Disconnect::Closed)),
        ] {
            assert_eq!(state.apply(later), StreamAction::Ignore);
            assert_eq!(state.outcome(), Some(&sequence));
        }
    }

    #[test]
    fn to_advance_is_to_take_each_frame() {
        for start in [1, u64::MAX - 2] {
            let (mut whole, mut each) = (StreamState::Open { expected: start }, StreamState::Open { expected: start });
            whole.advance(2);
            for seq in [start, start + 1] {
                assert_eq!(each.apply(StreamEvent::Data { seq }), StreamAction::Deliver);
            }
            assert_eq!(whole, each);
        }
        let mut ended = StreamState::Ended(Ok(()));
        ended.advance(1);
        assert_eq!(ended, StreamState::Ended(Ok(())));
    }

    #[test]
    fn an_error_is_terminal_with_and_without_done() {
        for done in [false, true] {
            let delta = BodyDelta {
                request_id: "s".into(),
                seq: 1,
                data: "last bytes".into(),
                done,
                error: Some("x".into()),
                error_kind: Some(ErrorKind::Reset),
            };
            let mut state = StreamState::new();
            assert_eq!(state.apply(StreamEvent::of(&delta)), StreamAction::Deliver);
            let remote = StreamError::Remote { message: "x".into(), kind: Some(ErrorKind::Reset) };
            assert_eq!(state.outcome(), Some(&Err(remote)));
        }
    }
}
