//! What the tasks of one connection share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::metrics::Metrics;
use crate::protocol::batch::Batch;
use crate::protocol::limits::SessionLimits;
use crate::protocol::session::{Extensions, Session};
use crate::sync::Mutex;

/// The session of a connection, and who is to be woken by what happens in it.
///
/// Each [`Notify`] has one waiter at most, so `notify_one` never wakes the wrong one; it also remembers a call that came
/// before its waiter did.
#[derive(Debug)]
pub(super) struct Shared {
    /// Never locked across an await.
    pub(super) session: Mutex<Session>,
    /// Wakes the connection's task: an exchange has made room for another, or the session wants to close.
    pub(super) startable: Notify,
    /// Wakes the writer: frames wait.
    pub(super) sendable: Notify,
    /// Wakes the writer: it is time for a ping.
    pub(super) pingable: Notify,
    /// Pings that were sent.
    pings: AtomicU64,
    /// Wakes the exchange that has the turn: the writer has taken frames.
    pub(super) room: Notify,
    /// Held by the exchange that hands something in next. Fair: first come, first served.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// The executor's counters.
    pub(super) metrics: Arc<Metrics>,
}

impl Shared {
    /// A connection on which nothing has happened.
    pub(super) fn new(extensions: Extensions, limits: SessionLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            session: Mutex::new(Session::with_limits(extensions, limits)),
            startable: Notify::new(),
            sendable: Notify::new(),
            pingable: Notify::new(),
            pings: AtomicU64::new(0),
            room: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            metrics,
        }
    }

    /// Takes all frames that wait, for one write; false when nothing will ever come.
    pub(super) fn take_frames(&self, batch: &mut Batch) -> bool {
        let mut session = self.session.lock();
        session.take_transmits(batch);
        !batch.is_empty() || session.poll_close().is_none()
    }

    pub(super) fn pings_sent(&self) -> u64 {
        self.pings.load(Ordering::Relaxed)
    }

    pub(super) fn count_ping(&self) {
        self.pings.fetch_add(1, Ordering::Relaxed);
    }
}
