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

#[cfg(test)]
mod tests {
    use super::*;

    fn after(order: Order) -> Receives {
        let mut receives = Receives::default();
        receives.note(&order);
        receives
    }

    fn read(max: u32, bytes: Option<u64>) -> Order {
        Order::Read { op: "a".to_owned(), max, bytes, abandon: false }
    }

    #[test]
    fn nobody_asked() {
        let mut receives = after(Order::Sync);
        assert!(receives.is_empty() && !receives.chunk(1) && !receives.outcome());
    }

    #[test]
    fn a_read_ends_with_its_chunks_its_bytes_or_an_outcome() {
        let mut chunks = after(read(2, None));
        assert!(chunks.chunk(0) && !chunks.is_empty() && chunks.chunk(9) && !chunks.chunk(1));
        let mut bytes = after(read(9, Some(5)));
        assert!(bytes.chunk(4) && !bytes.is_empty() && bytes.chunk(4) && !bytes.chunk(1));
        let mut outcome = after(read(9, Some(5)));
        assert!(outcome.chunk(4) && outcome.outcome() && outcome.is_empty());
    }

    #[test]
    fn a_drain_ends_with_an_outcome_only() {
        let mut receives = after(Order::Drain { op: "a".to_owned() });
        assert!((0..1_000).all(|_| receives.chunk(1 << 20)) && receives.outcome() && receives.is_empty());
    }

    #[test]
    fn reads_are_served_in_order() {
        let mut receives = after(read(1, None));
        receives.note(&read(2, None));
        assert!((0..3).all(|_| receives.chunk(1)) && receives.is_empty());
    }
}
