//! What the executor is told beside requests: of calls that were given up, and of bytes that it may send.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::link::Outbound;
use super::name;
use super::routes::{Key, Notices};
use crate::protocol::cancel::{CANCEL_METHOD, CancelParams};
use crate::protocol::credit::{CREDIT_METHOD, CreditParams};
use crate::protocol::message::Message;
use crate::sync::Arc;

/// Sends one `http/request/cancel` for each call that is given up, once the executor has offered it, and has the writing loop
/// ask for credit.
///
/// Needs no bound of its own: a request goes out before its cancel and waits for room, so that no more cancels can wait than
/// the requests before them, and [`super::ClientConfig::calls`]; of credit one reminder waits at most.
#[derive(Clone)]
pub(super) struct Notifier {
    /// To the writing loop; does not keep the connection open.
    outbox: mpsc::WeakUnboundedSender<Outbound>,
    /// The executor has offered to cancel.
    cancels: Arc<AtomicBool>,
}

impl Notifier {
    pub(super) fn new(outbox: mpsc::WeakUnboundedSender<Outbound>) -> Self {
        Self { outbox, cancels: Arc::default() }
    }

    /// From now on the executor hears of calls that are given up.
    pub(super) fn offer_cancel(&self) {
        self.cancels.store(true, Ordering::Relaxed);
    }

    fn send(&self, outbound: Outbound) {
        if let Some(outbox) = self.outbox.upgrade() {
            // A closed outbox means that the connection is ending, and with it all that the executor could be told of.
            let _ = outbox.send(outbound);
        }
    }
}

impl Notices for Notifier {
    fn abandoned(&self, key: Key) {
        if !self.cancels.load(Ordering::Relaxed) {
            return;
        }
        let params = CancelParams { request_id: name::request_id(key) }.to_value();
        let request =
            Message::Request { id: name::cancel_id(key), method: CANCEL_METHOD.to_owned(), params: Some(params) };
        self.send(Outbound::Frame { frame: request.encode().into(), permit: None });
    }

    fn credit_waits(&self) {
        self.send(Outbound::Credit);
    }
}

/// The notification that allows the executor more of a body.
pub(super) fn credit(key: Key, bytes: u64) -> Bytes {
    let params = CreditParams { request_id: name::request_id(key), bytes }.to_value();
    Message::Notification { method: CREDIT_METHOD.to_owned(), params: Some(params) }.encode().into()
}
