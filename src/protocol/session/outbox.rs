//! Encoded frames that wait to be sent.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::protocol::delta::BodyDelta;

/// One queue for replies and deltas, so that their order is the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Oldest first.
    frames: VecDeque<Bytes>,
    /// The length of all `frames` together.
    bytes: usize,
}

impl Outbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push_back(frame.into());
    }

    pub(super) fn push_delta(&mut self, delta: &BodyDelta) {
        let mut frame = Vec::new();
        delta.encode_into(&mut frame);
        self.push(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
