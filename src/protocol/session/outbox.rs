//! Encoded frames that wait to be sent.

use std::mem;

use bytes::Bytes;

use crate::protocol::batch::Batch;
use crate::protocol::delta::{BodyDelta, DeltaEncoder};

/// One queue for replies and deltas, so that their order is the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Oldest first.
    batch: Batch,
    /// How many of `batch` were taken one by one.
    taken: usize,
    /// The length of all others together.
    bytes: usize,
}

impl Outbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.batch.push(frame);
        self.bytes += frame.len();
    }

    /// Adds a data frame.
    pub(super) fn push_data(&mut self, encoder: &DeltaEncoder, seq: u64, data: &[u8]) {
        self.bytes += encoder.write(seq, data, &mut self.batch);
    }

    /// Adds a terminal frame.
    pub(super) fn push_terminal(&mut self, delta: &BodyDelta) {
        let mut frame = Vec::new();
        delta.encode_into(&mut frame);
        self.push(&frame);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.taken == self.batch.len() {
            return None;
        }
        let frame = Bytes::copy_from_slice(self.batch.frame(self.taken));
        self.taken += 1;
        self.bytes -= frame.len();
        if self.taken == self.batch.len() {
            self.clear();
        }
        Some(frame)
    }

    /// Swaps all that waits for an empty batch.
    pub(super) fn take(&mut self, batch: &mut Batch) {
        debug_assert!(batch.is_empty() && self.taken == 0, "frames are taken one by one or all at once");
        mem::swap(&mut self.batch, batch);
        self.bytes = 0;
    }

    pub(super) fn clear(&mut self) {
        self.batch.clear();
        (self.taken, self.bytes) = (0, 0);
    }
}
