//! The receives that an application has begun on a stream.

use std::collections::VecDeque;

use super::messages::Order;

/// The receives under way on one stream, in order.
#[derive(Debug, Default)]
pub(super) struct Receives(VecDeque<Receive>);

/// One order to receive.
#[derive(Debug)]
struct Receive {
    /// Chunks that it may still give.
    chunks: u32,
    /// Bytes that it may still give: the chunk that reaches them is its last.
    bytes: u64,
}

impl Receives {
    /// The adapter was told to receive.
    pub(super) fn note(&mut self, order: &Order) {
        match *order {
            Order::Read { max, bytes, .. } => {
                self.0.push_back(Receive { chunks: max, bytes: bytes.unwrap_or(u64::MAX) });
            }
            Order::Drain { .. } => self.0.push_back(Receive { chunks: u32::MAX, bytes: u64::MAX }),
            _ => {}
        }
    }

    /// A chunk of so many bytes came; `false` if nobody asked for it.
    pub(super) fn chunk(&mut self, bytes: u64) -> bool {
        let Some(first) = self.0.front_mut() else { return false };
        first.chunks -= 1;
        first.bytes = first.bytes.saturating_sub(bytes);
        if first.chunks == 0 || first.bytes == 0 {
            self.0.pop_front();
        }
        true
    }

    /// An outcome came, which ends an order; `false` if nobody asked for it.
    pub(super) fn outcome(&mut self) -> bool {
        self.0.pop_front().is_some()
    }

    /// Nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
