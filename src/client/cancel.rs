//! Tells the executor of calls that were given up.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::link::Outbound;
use super::name;
use super::routes::{Abandoned, Key};
use crate::protocol::cancel::{CANCEL_METHOD, CancelParams};
use crate::protocol::message::Message;
use crate::sync::Arc;

/// Sends one `http/request/cancel` for each call that is given up, once the executor has offered it.
///
/// Needs no bound of its own: a request goes out before its cancel and waits for room, so that no more cancels can wait than
/// the requests before them, and [`super::ClientConfig::calls`].
#[derive(Clone)]
pub(super) struct Canceller {
    /// To the writing loop; does not keep the connection open.
    outbox: mpsc::WeakUnboundedSender<Outbound>,
    /// The executor has offered it.
    is_offered: Arc<AtomicBool>,
}

impl Canceller {
    pub(super) fn new(outbox: mpsc::WeakUnboundedSender<Outbound>) -> Self {
        Self { outbox, is_offered: Arc::default() }
    }

    /// From now on the executor hears of calls that are given up.
    pub(super) fn offered(&self) {
        self.is_offered.store(true, Ordering::Relaxed);
    }
}

impl Abandoned for Canceller {
    fn abandoned(&self, key: Key) {
        if !self.is_offered.load(Ordering::Relaxed) {
            return;
        }
        let params = CancelParams { request_id: name::request_id(key) }.to_value();
        let request =
            Message::Request { id: name::cancel_id(key), method: CANCEL_METHOD.to_owned(), params: Some(params) };
        if let Some(outbox) = self.outbox.upgrade() {
            // A closed outbox means that the connection is ending, and the call with it.
            let _ = outbox.send(Outbound { frame: request.encode().into(), permit: None });
        }
    }
}
