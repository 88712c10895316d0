//! One connection as the executor sees it: handshake, scheduling of exchanges, and the order of what is sent.

mod exchanges;
mod handshake;
mod outbox;
mod queue;

use std::collections::{HashMap, VecDeque};
use std::{fmt, mem};

use bytes::Bytes;
use serde_json::Value;

use self::exchanges::Exchange;
use self::handshake::Phase;
use self::outbox::Outbox;
use self::queue::{Queue, Queued};
use super::batch::Batch;
use super::cancel::CANCEL_METHOD;
use super::credit::CREDIT_METHOD;
use super::error::{self, ErrorKind, RpcError};
use super::http::{CREDIT_MEMBER, REQUEST_METHOD, RequestParams};
use super::id::Id;
use super::limits::SessionLimits;
use super::message::Message;

pub use self::exchanges::ExchangeId;
pub use self::handshake::{Attach, AttachError, Extensions};

/// The request that opens a session.
pub const INITIALIZE_METHOD: &str = "initialize";
/// The notification that completes the handshake.
pub const INITIALIZED_METHOD: &str = "initialized";

/// The executor's end of one connection, without I/O, time or tasks.
///
/// - *in*: [`handle_frame`](Self::handle_frame) for each frame of the client,
///   [`handle_attach`](Self::handle_attach) for the answer of the session registry, and for each exchange either
///   [`handle_buffered`](Self::handle_buffered), or [`handle_head`](Self::handle_head), then any number of
///   [`handle_chunk`](Self::handle_chunk), then [`handle_end`](Self::handle_end); or at any point
///   [`handle_failure`](Self::handle_failure). What does not fit the exchange, or comes when it is over, is ignored.
/// - *out*: [`poll_attach`](Self::poll_attach), [`poll_start`](Self::poll_start), [`poll_cancel`](Self::poll_cancel),
///   [`poll_credit`](Self::poll_credit), [`poll_transmit`](Self::poll_transmit) or
///   [`take_transmits`](Self::take_transmits), [`poll_close`](Self::poll_close).
///
/// Call order: after `handle_frame` first `poll_attach`, and `handle_attach` if it gave something, before the next
/// frame; after any `handle_*` the other `poll_*` until they give nothing. An exchange should hand something in only
/// while [`has_room`](Self::has_room): nothing breaks otherwise, but the client's slowness must slow the origins.
///
/// | phase | `initialize` | `initialized` | `http/request` | `http/request/cancel`, if offered |
/// |---|---|---|---|---|
/// | new | attaching | closing | -32600 | -32600 |
/// | attaching | -32600 | closing | -32600 | -32600 |
/// | greeted | -32600 | ready | -32600 | -32600 |
/// | ready | -32600 | ignored | queued | answered |
/// | closing | all frames are ignored | | | |
///
/// An *attaching* that the registry refuses leads back to *new*.
#[derive(Debug, Default)]
pub struct Session {
    /// What the client is offered.
    extensions: Extensions,
    /// What it holds at most.
    limits: SessionLimits,
    /// Where the handshake stands.
    phase: Phase,
    /// Requests that were accepted and not started.
    queue: Queue,
    /// Exchanges that were started and are not over.
    exchanges: HashMap<ExchangeId, Exchange>,
    /// Members of `exchanges` without a head; at most [`SessionLimits::waiting_heads`].
    waiting_heads: usize,
    /// Streamed members of `exchanges`; at most [`SessionLimits::active_streams`].
    active_streams: usize,
    /// Every streamed call in `queue` or `exchanges`, by its `requestId`.
    streams: HashMap<String, ExchangeId>,
    /// Exchanges that were cancelled and not handed out by [`Session::poll_cancel`].
    cancelled: VecDeque<ExchangeId>,
    /// Exchanges that waited for credit and have some; not handed out by [`Session::poll_credit`].
    credited: VecDeque<ExchangeId>,
    /// [`Session::drain`] was called.
    draining: bool,
    /// Calls that were refused for a bound since [`Session::take_refused`], draining aside.
    refused: u64,
    /// The id of the next exchange.
    next_exchange: u64,
    /// Encoded frames that were not sent.
    outbox: Outbox,
}

/// Why the executor closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// `initialized` came without a successful `initialize`.
    HandshakeOrder,
    /// More than [`SessionLimits::reply_bytes`] of replies wait for a client that does not read.
    RepliesUnread,
    /// [`Session::stop`] was called.
    Stopped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandshakeOrder => f.write_str("initialized before initialize"),
            Self::RepliesUnread => {
                f.write_str("more bytes of replies than the limit wait for a client that does not read")
            }
            Self::Stopped => f.write_str("connection ended"),
        }
    }
}

impl Session {
    /// A connection on which nothing has happened.
    pub fn new(extensions: Extensions) -> Self {
        Self::with_limits(extensions, SessionLimits::default())
    }

    /// The same with other bounds.
    pub fn with_limits(extensions: Extensions, limits: SessionLimits) -> Self {
        Self { extensions, limits, ..Self::default() }
    }

    /// Whether an exchange may hand in its next piece: fewer than [`SessionLimits::outbound_bytes`] wait to be sent.
    pub fn has_room(&self) -> bool {
        self.outbox.bytes() < self.limits.outbound_bytes
    }

    /// Takes one frame of the client.
    pub fn handle_frame(&mut self, frame: &[u8]) {
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        match Message::decode(frame) {
            Err(malformed) => {
                let error = RpcError::new(error::INVALID_REQUEST, format!("malformed message: {malformed}"));
                self.reply_error(error::MALFORMED_FRAME_ID.into(), error);
            }
            Ok(Message::Request { id, method, params }) => match method.as_str() {
                INITIALIZE_METHOD => self.handle_initialize(id, params),
                REQUEST_METHOD => {
                    if let Err(error) = self.handle_request(&id, params, frame.len()) {
                        self.refused += u64::from(error.kind == Some(ErrorKind::Limit) && !self.draining);
                        self.reply_error(id, error);
                    }
                }
                CANCEL_METHOD if self.extensions.cancel => {
                    if let Err(error) = self.handle_cancel(&id, params.as_ref()) {
                        self.reply_error(id, error);
                    }
                }
                _ => self.reply_error(id, RpcError::new(error::METHOD_NOT_FOUND, "method not found")),
            },
            Ok(Message::Notification { method, .. }) if method == INITIALIZED_METHOD => match self.phase {
                Phase::New | Phase::Attaching { .. } => self.close(CloseReason::HandshakeOrder),
                Phase::Greeted => self.phase = Phase::Ready,
                Phase::Ready | Phase::Closing(_) => {}
            },
            Ok(Message::Notification { method, params }) if method == CREDIT_METHOD && self.extensions.credit => {
                self.handle_credit(params.as_ref());
            }
            // ENVELOPE-16 to ENVELOPE-18: what nobody here waits for is ignored.
            Ok(Message::Notification { .. } | Message::Response { .. } | Message::Error { .. }) => {}
        }
    }

    fn handle_request(&mut self, call: &Id, mut params: Option<Value>, bytes: usize) -> Result<(), RpcError> {
        if !self.extensions.credit {
            // Then it is a member like any other that nobody knows.
            params.as_mut().and_then(Value::as_object_mut).map(|params| params.remove(CREDIT_MEMBER));
        }
        let params = RequestParams::from_value(params)?;
        self.check_ready(REQUEST_METHOD)?;
        if self.draining {
            // As when no more calls may wait (LIMIT-4): it was not begun, and may be made elsewhere.
            let text = format!("{REQUEST_METHOD} failed: this executor is shutting down");
            return Err(RpcError::new(error::INTERNAL_ERROR, text).with_kind(ErrorKind::Limit));
        }
        if params.request_id.len() > self.limits.request_id_bytes {
            let text = format!("{REQUEST_METHOD} requestId exceeds {} bytes", self.limits.request_id_bytes);
            return Err(RpcError::new(error::INVALID_PARAMS, text).with_kind(ErrorKind::Limit));
        }
        if params.stream_response && self.streams.contains_key(&params.request_id) {
            let text = format!("{REQUEST_METHOD} requestId belongs to a stream that is still active");
            return Err(RpcError::new(error::INVALID_PARAMS, text));
        }
        let stream_id = params.stream_response.then(|| params.request_id.clone());
        let id = ExchangeId(self.next_exchange);
        let queued = Queued { id, call: call.clone(), params, bytes };
        self.queue.push(queued, self.free_streams(), self.free_heads(), &self.limits)?;
        self.next_exchange += 1;
        self.streams.extend(stream_id.map(|request_id| (request_id, id)));
        Ok(())
    }

    /// The next frame to send, without a line end.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// All frames that wait, into an empty batch: what [`Session::poll_transmit`] gives one by one. Use one or the other.
    pub fn take_transmits(&mut self, batch: &mut Batch) {
        self.outbox.take(batch);
    }

    /// Why the connection is to be closed once [`Session::poll_transmit`] gives nothing more.
    pub fn poll_close(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closing(reason) => Some(reason),
            _ => None,
        }
    }

    /// Refuses every call from now on, with kind `limit`; those that were accepted go on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no call waits or goes on.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.exchanges.is_empty()
    }

    /// How many calls were refused for a bound since the last time, draining aside.
    pub fn take_refused(&mut self) -> u64 {
        mem::take(&mut self.refused)
    }

    /// Ends the session: nothing is started or taken any more; frames that wait may still be sent (CLOSE-5).
    pub fn stop(&mut self) {
        self.close(CloseReason::Stopped);
    }

    /// The first reason stands.
    fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        self.phase = Phase::Closing(reason);
        self.queue.clear();
        self.exchanges.clear();
        self.streams.clear();
        (self.waiting_heads, self.active_streams) = (0, 0);
        if reason == CloseReason::RepliesUnread {
            self.outbox.clear();
        }
    }

    fn free_heads(&self) -> bool {
        self.waiting_heads < self.limits.waiting_heads
    }

    fn free_streams(&self) -> bool {
        self.active_streams < self.limits.active_streams
    }

    fn reply_error(&mut self, id: Id, error: RpcError) {
        self.reply(&Message::Error { id: Some(id), error });
    }

    fn reply(&mut self, message: &Message) {
        // One frame can have several answers, and the first of them may close the connection.
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        self.outbox.push(&message.encode());
        if self.outbox.bytes() > self.limits.reply_bytes {
            self.close(CloseReason::RepliesUnread);
        }
    }
}
