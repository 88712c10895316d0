//! How an exchange hands its results to the session of its connection.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::record::Record;
use super::shared::Shared;
use crate::protocol::error::RpcError;
use crate::protocol::http::ResponseHead;
use crate::protocol::session::{ExchangeId, Session};

/// The way back of one exchange.
///
/// Every method waits for its turn and for room in the connection's outbound queue. Exchanges are served in the order in
/// which they ask, so that many fast streams cannot starve a small reply.
///
/// # Cancellation
///
/// Dropping a future before it is ready hands nothing in.
#[derive(Debug)]
pub(super) struct Reply {
    /// Which exchange.
    id: ExchangeId,
    /// Its connection.
    shared: Arc<Shared>,
    /// Woken when the client allows more of the body.
    credit: Arc<Notify>,
    /// What is told of it.
    pub(super) record: Arc<Record>,
}

impl Reply {
    pub(super) fn new(id: ExchangeId, shared: Arc<Shared>, credit: Arc<Notify>, record: Arc<Record>) -> Self {
        Self { id, shared, credit, record }
    }

    /// The head of a streamed exchange.
    pub(super) async fn head(&self, head: ResponseHead) {
        let status = head.status;
        self.hand_in(|session| session.handle_head(self.id, head)).await;
        self.record.head(status);
        self.shared.startable.notify_one();
    }

    /// The next bytes of a streamed body; waits, without a turn, until the client allows them all (CREDIT-3).
    pub(super) async fn chunk(&self, mut data: Bytes) {
        loop {
            let bytes = data.len();
            data = self.hand_in(|session| session.handle_chunk(self.id, data)).await;
            self.record.body(bytes - data.len());
            if data.is_empty() {
                return;
            }
            self.credit.notified().await;
        }
    }

    /// The clean end of a streamed body.
    pub(super) async fn end(&self) {
        self.hand_in(|session| session.handle_end(self.id)).await;
        self.shared.startable.notify_one();
    }

    /// The whole response of a buffered exchange.
    pub(super) async fn buffered(&self, response: ResponseHead) {
        self.hand_in(|session| session.handle_buffered(self.id, &response)).await;
        self.record.head(response.status);
        self.record.body(response.body.len());
        self.shared.startable.notify_one();
    }

    /// The failure of either.
    pub(super) async fn failure(&self, error: RpcError) {
        self.hand_in(|session| session.handle_failure(self.id, error)).await;
        self.shared.startable.notify_one();
    }

    async fn hand_in<T>(&self, handle: impl FnOnce(&mut Session) -> T) -> T {
        let _turn = self.shared.turn.lock().await;
        let taken = loop {
            {
                let mut session = self.shared.session.lock();
                if session.has_room() {
                    break handle(&mut session);
                }
            }
            self.shared.room.notified().await;
        };
        self.shared.sendable.notify_one();
        taken
    }
}
