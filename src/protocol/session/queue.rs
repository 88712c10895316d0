//! Requests that wait for a place among the exchanges.

use std::collections::VecDeque;
use std::mem;

use super::ExchangeId;
use crate::protocol::error::{ErrorKind, INTERNAL_ERROR, RpcError};
use crate::protocol::http::{REQUEST_METHOD, RequestParams};
use crate::protocol::id::Id;
use crate::protocol::limits::SessionLimits;

/// A request that was accepted and not started.
#[derive(Debug)]
pub(super) struct Queued {
    /// Rises with the order of arrival.
    pub(super) id: ExchangeId,
    /// The id of the call.
    pub(super) call: Id,
    /// What to do.
    pub(super) params: RequestParams,
    /// The length of its frame.
    pub(super) bytes: usize,
}

/// First come, first served, except that buffered calls pass streamed ones that wait for a stream to end.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Streamed calls, oldest first.
    streamed: VecDeque<Queued>,
    /// Buffered calls, oldest first.
    buffered: VecDeque<Queued>,
    /// The [`Queued::bytes`] of all together.
    bytes: usize,
}

impl Queue {
    /// Takes a request. One that can start at once always fits, and so does one that waits alone.
    ///
    /// # Errors
    ///
    /// LIMIT-3, when too many requests wait or too many bytes in them.
    pub(super) fn push(
        &mut self,
        queued: Queued,
        free_streams: bool,
        free_heads: bool,
        limits: &SessionLimits,
    ) -> Result<(), RpcError> {
        let streamed = queued.params.stream_response;
        let waits = !free_heads || (streamed && !free_streams);
        let length = self.streamed.len() + self.buffered.len();
        let too_long = length > 0 && self.bytes + queued.bytes > limits.queued_request_bytes;
        if waits && (length >= limits.queued_requests || too_long) {
            let text = format!("{REQUEST_METHOD} failed: too many requests wait on this connection");
            return Err(RpcError::new(INTERNAL_ERROR, text).with_kind(ErrorKind::Limit));
        }
        self.bytes += queued.bytes;
        if streamed {
            self.streamed.push_back(queued)
        } else {
            self.buffered.push_back(queued)
        }
        Ok(())
    }

    /// The oldest request that may start.
    pub(super) fn pop(&mut self, free_streams: bool, free_heads: bool) -> Option<Queued> {
        if !free_heads {
            return None;
        }
        let streamed = self.streamed.front().filter(|_| free_streams).map(|queued| queued.id);
        let buffered = self.buffered.front().map(|queued| queued.id);
        let oldest = streamed.into_iter().chain(buffered).min()?;
        let queue = if streamed == Some(oldest) { &mut self.streamed } else { &mut self.buffered };
        let queued = queue.pop_front()?;
        self.bytes -= queued.bytes;
        Some(queued)
    }

    /// Takes out every request of that `requestId`, oldest first.
    pub(super) fn take(&mut self, request_id: &str) -> Vec<Queued> {
        let mut taken = Vec::new();
        for queue in [&mut self.streamed, &mut self.buffered] {
            let all = mem::take(queue).into_iter();
            for queued in all {
                if queued.params.request_id == request_id { taken.push(queued) } else { queue.push_back(queued) }
            }
        }
        taken.sort_unstable_by_key(|queued| queued.id);
        self.bytes -= taken.iter().map(|queued| queued.bytes).sum::<usize>();
        taken
    }

    /// The credit of a streamed request.
    pub(super) fn credit_mut(&mut self, id: ExchangeId) -> Option<&mut u64> {
        self.streamed.iter_mut().find(|queued| queued.id == id)?.params.credit.as_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streamed.is_empty() && self.buffered.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
