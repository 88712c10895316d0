//! The tasks of the exchanges of one connection.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::record::Record;
use crate::protocol::session::ExchangeId;

/// Exchanges that go on, each a task. Dropping them ends them, and with them their upstream connections.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// The tasks; each returns its id.
    tasks: JoinSet<ExchangeId>,
    /// How to reach a task. A task that ended may still be here until it is joined.
    handles: HashMap<ExchangeId, Handle>,
}

/// How the connection reaches one exchange.
#[derive(Debug)]
struct Handle {
    /// Ends the task.
    abort: AbortHandle,
    /// Wakes the exchange when it has new credit.
    credit: Arc<Notify>,
    /// What is told of it.
    record: Arc<Record>,
}

impl Exchanges {
    /// Starts one; `credit` is what it waits for when its credit is used up.
    pub(super) fn spawn(
        &mut self,
        id: ExchangeId,
        credit: Arc<Notify>,
        record: Arc<Record>,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        let run = Arc::clone(&record).of(run);
        let abort = self.tasks.spawn(async move {
            run.await;
            id
        });
        self.handles.insert(id, Handle { abort, credit, record });
    }

    /// Tells one that its credit has grown.
    pub(super) fn credited(&self, id: ExchangeId) {
        if let Some(handle) = self.handles.get(&id) {
            handle.credit.notify_one();
        }
    }

    /// Ends one that its client cancelled, unless it has ended.
    pub(super) fn abort(&mut self, id: ExchangeId) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.record.cancelled();
            handle.abort.abort();
        }
    }

    /// Waits until one has ended; `None` when there is none. Cancel safe.
    ///
    /// # Errors
    ///
    /// It panicked: a bug of this executor.
    pub(super) async fn ended(&mut self) -> Option<Result<(), JoinError>> {
        let ended = self.tasks.join_next().await?;
        Some(self.forget(ended))
    }

    /// As [`Exchanges::ended`], without waiting.
    pub(super) fn try_ended(&mut self) -> Option<Result<(), JoinError>> {
        let ended = self.tasks.try_join_next()?;
        Some(self.forget(ended))
    }

    fn forget(&mut self, ended: Result<ExchangeId, JoinError>) -> Result<(), JoinError> {
        match ended {
            Ok(id) => {
                self.handles.remove(&id);
                Ok(())
            }
            // By `abort`.
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
