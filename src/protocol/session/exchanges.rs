//! The calls that were started, and how each of them ends.

use bytes::Bytes;
use serde_json::Value;

use super::Session;
use super::queue::Queued;
use crate::protocol::cancel::{CANCEL_METHOD, CancelParams, CancelResult};
use crate::protocol::credit::CreditParams;
use crate::protocol::delta::{BodyDelta, DeltaEncoder};
use crate::protocol::error::{ErrorKind, INTERNAL_ERROR, RpcError};
use crate::protocol::http::{REQUEST_METHOD, RequestParams, ResponseHead};
use crate::protocol::id::Id;
use crate::protocol::limits::DELTA_BYTES;
use crate::protocol::message::Message;

/// Names one exchange of a session; never used again in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(super) u64);

impl ExchangeId {
    /// As a number, for people.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A call that was started.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The id of the call.
    call: Id,
    /// Repeated in every delta.
    request_id: String,
    /// What it waits for.
    progress: Progress,
    /// Decoded bytes of its body that may still be sent; `None` means any number.
    credit: Option<u64>,
    /// Bytes were given back for want of credit, and none came since.
    waits_for_credit: bool,
}

/// What an exchange waits for.
#[derive(Debug)]
pub(super) enum Progress {
    /// The whole response of a buffered call.
    Response,
    /// The head of a streamed call.
    Head,
    /// More of the body of a streamed call.
    Body {
        /// The `seq` of the next delta.
        seq: u64,
        /// Writes the deltas.
        encoder: DeltaEncoder,
    },
}

impl Exchange {
    fn is_streamed(&self) -> bool {
        !matches!(self.progress, Progress::Response)
    }
}

impl Session {
    /// The next exchange to start, while LIMIT-1 and LIMIT-2 allow one.
    pub fn poll_start(&mut self) -> Option<(ExchangeId, RequestParams)> {
        let Queued { id, call, params, .. } = self.queue.pop(self.free_streams(), self.free_heads())?;
        let progress = if params.stream_response { Progress::Head } else { Progress::Response };
        self.waiting_heads += 1;
        self.active_streams += usize::from(params.stream_response);
        let (request_id, credit) = (params.request_id.clone(), params.credit);
        self.exchanges.insert(id, Exchange { call, request_id, progress, credit, waits_for_credit: false });
        Some((id, params))
    }

    /// Takes the head of a streamed exchange. A body in it is not looked at.
    pub fn handle_head(&mut self, id: ExchangeId, head: ResponseHead) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if !matches!(exchange.progress, Progress::Head) {
            return;
        }
        exchange.progress = Progress::Body { seq: 1, encoder: DeltaEncoder::new(&exchange.request_id) };
        self.waiting_heads -= 1;
        // Answered now; an id may be long, and many streams may be active.
        let call = std::mem::replace(&mut exchange.call, Id::Integer(0));
        let head = ResponseHead { body: Bytes::new(), ..head };
        self.reply(&Message::Response { id: call, result: head.to_value() });
    }

    /// Takes the next bytes of a streamed body, as many as its credit allows, and cuts them into deltas; no bytes are no delta.
    /// Gives back what has to wait until [`Session::poll_credit`] names the exchange.
    #[must_use = "what is given back was not sent"]
    pub fn handle_chunk(&mut self, id: ExchangeId, mut data: Bytes) -> Bytes {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Bytes::new() };
        let Progress::Body { seq, encoder } = &mut exchange.progress else { return Bytes::new() };
        let allowed = exchange.credit.map_or(data.len(), |credit| data.len().min(saturating(credit)));
        let rest = data.split_off(allowed);
        exchange.waits_for_credit = !rest.is_empty();
        exchange.credit = exchange.credit.map(|credit| credit - allowed as u64);
        for piece in data.chunks(DELTA_BYTES) {
            self.outbox.push_data(encoder, *seq, piece);
            *seq += 1;
        }
        rest
    }

    /// Adds to the credit of a stream, whether it is queued, waits for its head or is being sent. Ignored when it has no
    /// credit to add to (CREDIT-6).
    pub(super) fn handle_credit(&mut self, params: Option<&Value>) {
        let Some(CreditParams { request_id, bytes }) = CreditParams::from_value(params) else { return };
        let Some(&id) = self.streams.get(&request_id) else { return };
        let exchange = self.exchanges.get_mut(&id);
        let wakes = exchange.as_ref().is_some_and(|exchange| exchange.waits_for_credit && bytes > 0);
        let credit = match exchange {
            Some(exchange) => {
                exchange.waits_for_credit &= !wakes;
                exchange.credit.as_mut()
            }
            None => self.queue.credit_mut(id),
        };
        if let Some(credit) = credit {
            *credit = credit.saturating_add(bytes);
        }
        self.credited.extend(wakes.then_some(id));
    }

    /// An exchange whose credit has grown: what [`Session::handle_chunk`] gave back may be handed in again.
    pub fn poll_credit(&mut self) -> Option<ExchangeId> {
        self.credited.pop_front()
    }

    /// Takes the clean end of a streamed body.
    pub fn handle_end(&mut self, id: ExchangeId) {
        let Some(&Progress::Body { seq, .. }) = self.progress(id) else { return };
        if let Some(exchange) = self.release(id) {
            self.outbox.push_terminal(&terminal(exchange.request_id, seq, None));
        }
    }

    /// Takes the whole response of a buffered exchange.
    pub fn handle_buffered(&mut self, id: ExchangeId, response: &ResponseHead) {
        let Some(Progress::Response) = self.progress(id) else { return };
        if let Some(exchange) = self.release(id) {
            self.reply(&Message::Response { id: exchange.call, result: response.to_value() });
        }
    }

    /// Takes the failure of an exchange: an error reply before its head, an error in the terminal frame after it.
    pub fn handle_failure(&mut self, id: ExchangeId, error: RpcError) {
        match self.release(id) {
            Some(Exchange { request_id, progress: Progress::Body { seq, .. }, .. }) => {
                self.outbox.push_terminal(&terminal(request_id, seq, Some(error)));
            }
            Some(Exchange { call, .. }) => self.reply_error(call, error),
            None => {}
        }
    }

    fn progress(&self, id: ExchangeId) -> Option<&Progress> {
        self.exchanges.get(&id).map(|exchange| &exchange.progress)
    }

    /// Forgets an exchange: its permits and its id are free before its last frame exists (ORDER-6).
    fn release(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        self.waiting_heads -= usize::from(!matches!(exchange.progress, Progress::Body { .. }));
        if exchange.is_streamed() {
            self.active_streams -= 1;
            self.streams.remove(&exchange.request_id);
        }
        Some(exchange)
    }

    /// Ends every call of that `requestId`, and answers behind their last frames (CANCEL-6).
    pub(super) fn handle_cancel(&mut self, call: &Id, params: Option<&Value>) -> Result<(), RpcError> {
        let CancelParams { request_id } = CancelParams::from_value(params)?;
        self.check_ready(CANCEL_METHOD)?;
        let queued = self.queue.take(&request_id);
        let named = self.exchanges.iter().filter(|(_, exchange)| exchange.request_id == request_id);
        let mut started: Vec<ExchangeId> = named.map(|(id, _)| *id).collect();
        started.sort_unstable();
        let cancelled = !queued.is_empty() || !started.is_empty();
        for id in started {
            self.cancelled.push_back(id);
            self.handle_failure(id, given_up());
        }
        for Queued { call, params, .. } in queued {
            if params.stream_response {
                self.streams.remove(&params.request_id);
            }
            self.reply_error(call, given_up());
        }
        self.reply(&Message::Response { id: call.clone(), result: CancelResult { cancelled }.to_value() });
        Ok(())
    }

    /// An exchange that was cancelled: its upstream connection is to be dropped. What it still hands in is ignored.
    pub fn poll_cancel(&mut self) -> Option<ExchangeId> {
        let id = self.cancelled.pop_front();
        // When the connection closes, everything ends.
        id.filter(|_| self.poll_close().is_none())
    }
}

/// A count of bytes as far as this machine can hold so many.
fn saturating(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn given_up() -> RpcError {
    RpcError::new(INTERNAL_ERROR, format!("{REQUEST_METHOD} failed: the client cancelled it"))
        .with_kind(ErrorKind::Cancelled)
}

/// The last frame of a stream: separate and empty (STREAM-11).
fn terminal(request_id: String, seq: u64, error: Option<RpcError>) -> BodyDelta {
    let (error, error_kind) = error.map_or((None, None), |error| (Some(error.message), error.kind));
    BodyDelta { request_id, seq, data: Bytes::new(), done: true, error, error_kind }
}
