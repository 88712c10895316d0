//! Notices a websocket peer that is gone without a word (TRANSPORT-17).

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::transport::Reader;

/// How often a peer is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Pings that a peer may leave unanswered; the last of them for one more [`PING_INTERVAL`].
const UNANSWERED_PINGS: u64 = 2;

/// Judges at each tick whether the peer still lives.
///
/// Only pings that were sent count: a peer that has stopped reading, so that nothing can be sent, is slow and not dead.
#[derive(Debug)]
pub(super) struct Keepalive {
    /// When to judge; `None` for transports that have no pings.
    interval: Option<Interval>,
    /// The reader's activity at the last tick that saw it rise.
    activity: u64,
    /// The pings that had been sent by then.
    pings: u64,
}

impl Keepalive {
    pub(super) fn new(reader: &Reader) -> Self {
        let interval = matches!(reader, Reader::WebSocket(_)).then(|| {
            let mut interval = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, activity: 0, pings: 0 }
    }

    /// Waits until it is time to judge. Cancel safe.
    pub(super) async fn tick(&mut self) {
        match &mut self.interval {
            Some(interval) => _ = interval.tick().await,
            None => std::future::pending().await,
        }
    }

    /// The judgement, given the reader's activity and the pings sent so far.
    pub(super) fn is_dead(&mut self, activity: u64, pings: u64) -> bool {
        if activity != self.activity {
            (self.activity, self.pings) = (activity, pings);
        }
        pings - self.pings >= UNANSWERED_PINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_dead_when_two_pings_in_a_row_are_not_answered() {
        let mut keepalive = Keepalive { interval: None, activity: 0, pings: 0 };
        assert!(!keepalive.is_dead(1, 0));
        assert!(!keepalive.is_dead(1, 1));
        assert!(!keepalive.is_dead(2, 2), "a sign of life");
        assert!(!keepalive.is_dead(2, 3));
        assert!(!keepalive.is_dead(2, 3), "the next ping could not be sent");
        assert!(keepalive.is_dead(2, 4));
    }
}
