//! One connection as the executor sees it: handshake, scheduling of exchanges, and the order of what is sent.

mod outbox;
mod queue;

use std::collections::{HashMap, HashSet};
use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

use self::outbox::Outbox;
use self::queue::{Queue, Queued};
use super::delta::BodyDelta;
use super::error::{self, ErrorKind, RpcError};
use super::http::{REQUEST_METHOD, RequestParams, ResponseHead};
use super::id::Id;
use super::limits::{ACTIVE_STREAMS, DELTA_BYTES, REPLY_BYTES, REQUEST_ID_BYTES, WAITING_HEADS};
use super::message::Message;

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
/// - *out*: [`poll_attach`](Self::poll_attach), [`poll_start`](Self::poll_start),
///   [`poll_transmit`](Self::poll_transmit), [`poll_close`](Self::poll_close).
///
/// Call order: after `handle_frame` first `poll_attach`, and `handle_attach` if it gave something, before the next
/// frame; after any `handle_*` the other `poll_*` until they give nothing. An exchange should hand something in only
/// while [`has_room`](Self::has_room): nothing breaks otherwise, but the client's slowness must slow the origins.
///
/// | phase | `initialize` | `initialized` | `http/request` |
/// |---|---|---|---|
/// | new | attaching | closing | -32600 |
/// | attaching | -32600 | closing | -32600 |
/// | greeted | -32600 | ready | -32600 |
/// | ready | -32600 | ignored | queued |
/// | closing | all frames are ignored | | |
///
/// An *attaching* that the registry refuses leads back to *new*.
#[derive(Debug, Default)]
pub struct Session {
    /// Where the handshake stands.
    phase: Phase,
    /// Requests that were accepted and not started.
    queue: Queue,
    /// Exchanges that were started and are not over.
    exchanges: HashMap<ExchangeId, Exchange>,
    /// Members of `exchanges` without a head; at most [`WAITING_HEADS`].
    waiting_heads: usize,
    /// Streamed members of `exchanges`; at most [`ACTIVE_STREAMS`].
    active_streams: usize,
    /// The `requestId` of every streamed call in `queue` or `exchanges`.
    stream_ids: HashSet<String>,
    /// The id of the next exchange.
    next_exchange: u64,
    /// Encoded frames that were not sent.
    outbox: Outbox,
}

/// Where the handshake stands.
#[derive(Debug, Default)]
enum Phase {
    /// No `initialize` succeeded.
    #[default]
    New,
    /// The session registry was asked, or is about to be.
    Attaching {
        /// The id of the `initialize`.
        call: Id,
        /// What [`Session::poll_attach`] has not handed out.
        attach: Option<Attach>,
    },
    /// `initialize` was answered.
    Greeted,
    /// `initialized` has come.
    Ready,
    /// No frame is read any more; what waits may still be sent.
    Closing(CloseReason),
}

/// What the client wants of the session registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The session to resume; `None` for a new one.
    pub resume: Option<String>,
}

/// Why the session registry refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// No such session, or not any more.
    Unknown,
    /// The session belongs to another live connection.
    Attached,
}

/// Why the executor closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// `initialized` came without a successful `initialize`.
    HandshakeOrder,
    /// More than [`REPLY_BYTES`] of replies wait for a client that does not read.
    RepliesUnread,
    /// [`Session::stop`] was called.
    Stopped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandshakeOrder => f.write_str("initialized before initialize"),
            Self::RepliesUnread => write!(f, "{REPLY_BYTES} bytes of replies wait for a client that does not read"),
            Self::Stopped => f.write_str("connection ended"),
        }
    }
}

/// Names one exchange of a session; never used again in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(u64);

/// A call that was started.
#[derive(Debug)]
struct Exchange {
    /// The id of the call.
    call: Id,
    /// Repeated in every delta.
    request_id: String,
    /// What it waits for.
    progress: Progress,
}

/// What an exchange waits for.
#[derive(Debug)]
enum Progress {
    /// The whole response of a buffered call.
    Response,
    /// The head of a streamed call.
    Head,
    /// More of the body of a streamed call.
    Body {
        /// The `seq` of the next delta.
        seq: u64,
    },
}

impl Session {
    /// A connection on which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an exchange may hand in its next piece: fewer than [`super::limits::OUTBOUND_BYTES`] wait to be sent.
    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
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
            // ENVELOPE-16 to ENVELOPE-18: what nobody here waits for is ignored.
            Ok(Message::Notification { .. } | Message::Response { .. } | Message::Error { .. }) => {}
        }
    }

    fn handle_initialize(&mut self, call: Id, params: Option<Value>) {
        if !matches!(self.phase, Phase::New) {
            let error = RpcError::new(error::INVALID_REQUEST, "initialize may only be sent once per connection");
            return self.reply_error(call, error);
        }
        match Attach::from_params(params.as_ref()) {
            Ok(attach) => self.phase = Phase::Attaching { call, attach: Some(attach) },
            Err(wrong) => self.reply_error(call, RpcError::new(error::INVALID_PARAMS, wrong)),
        }
    }

    fn handle_request(&mut self, call: &Id, params: Option<Value>, bytes: usize) -> Result<(), RpcError> {
        let params = RequestParams::from_value(params)?;
        match self.phase {
            Phase::Ready => {}
            Phase::Greeted => return Err(out_of_order("client must send initialized before http/request")),
            _ => return Err(out_of_order("client must call initialize before http/request")),
        }
        if params.request_id.len() > REQUEST_ID_BYTES {
            let text = format!("{REQUEST_METHOD} requestId exceeds {REQUEST_ID_BYTES} bytes");
            return Err(RpcError::new(error::INVALID_PARAMS, text).with_kind(ErrorKind::Limit));
        }
        if params.stream_response && self.stream_ids.contains(&params.request_id) {
            let text = format!("{REQUEST_METHOD} requestId belongs to a stream that is still active");
            return Err(RpcError::new(error::INVALID_PARAMS, text));
        }
        let stream_id = params.stream_response.then(|| params.request_id.clone());
        let queued = Queued { id: ExchangeId(self.next_exchange), call: call.clone(), params, bytes };
        self.queue.push(queued, self.free_streams(), self.free_heads())?;
        self.next_exchange += 1;
        self.stream_ids.extend(stream_id);
        Ok(())
    }

    /// What to ask the session registry; its answer goes to [`Session::handle_attach`].
    pub fn poll_attach(&mut self) -> Option<Attach> {
        match &mut self.phase {
            Phase::Attaching { attach, .. } => attach.take(),
            _ => None,
        }
    }

    /// Takes the session registry's answer: the id of the session, or why there is none.
    pub fn handle_attach(&mut self, answer: Result<&str, AttachError>) {
        let Phase::Attaching { call, .. } = &self.phase else { return };
        let call = call.clone();
        match answer {
            Ok(session_id) => {
                self.phase = Phase::Greeted;
                self.reply(&Message::Response { id: call, result: greeting(session_id) });
            }
            Err(refusal) => {
                self.phase = Phase::New;
                self.reply_error(call, refusal.into());
            }
        }
    }

    /// The next exchange to start, while LIMIT-1 and LIMIT-2 allow one.
    pub fn poll_start(&mut self) -> Option<(ExchangeId, RequestParams)> {
        let Queued { id, call, params, .. } = self.queue.pop(self.free_streams(), self.free_heads())?;
        let progress = if params.stream_response { Progress::Head } else { Progress::Response };
        self.waiting_heads += 1;
        self.active_streams += usize::from(params.stream_response);
        self.exchanges.insert(id, Exchange { call, request_id: params.request_id.clone(), progress });
        Some((id, params))
    }

    /// Takes the head of a streamed exchange. A body in it is not looked at.
    pub fn handle_head(&mut self, id: ExchangeId, head: ResponseHead) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if !matches!(exchange.progress, Progress::Head) {
            return;
        }
        exchange.progress = Progress::Body { seq: 1 };
        self.waiting_heads -= 1;
        // Answered now; an id may be long, and many streams may be active.
        let call = std::mem::replace(&mut exchange.call, Id::Integer(0));
        let head = ResponseHead { body: Bytes::new(), ..head };
        self.reply(&Message::Response { id: call, result: head.to_value() });
    }

    /// Takes the next bytes of a streamed body and cuts them into deltas; no bytes are no delta.
    pub fn handle_chunk(&mut self, id: ExchangeId, data: Bytes) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let Progress::Body { seq } = &mut exchange.progress else { return };
        for start in (0..data.len()).step_by(DELTA_BYTES) {
            let piece = data.slice(start..data.len().min(start + DELTA_BYTES));
            let request_id = exchange.request_id.clone();
            let delta = BodyDelta { request_id, seq: *seq, data: piece, done: false, error: None, error_kind: None };
            *seq += 1;
            self.outbox.push_delta(&delta);
        }
    }

    /// Takes the clean end of a streamed body.
    pub fn handle_end(&mut self, id: ExchangeId) {
        let Some(&Progress::Body { seq }) = self.progress(id) else { return };
        if let Some(exchange) = self.release(id) {
            self.outbox.push_delta(&terminal(exchange.request_id, seq, None));
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
            Some(Exchange { request_id, progress: Progress::Body { seq }, .. }) => {
                self.outbox.push_delta(&terminal(request_id, seq, Some(error)));
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
        if !matches!(exchange.progress, Progress::Response) {
            self.active_streams -= 1;
            self.stream_ids.remove(&exchange.request_id);
        }
        Some(exchange)
    }

    /// The next frame to send, without a line end.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// Why the connection is to be closed once [`Session::poll_transmit`] gives nothing more.
    pub fn poll_close(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closing(reason) => Some(reason),
            _ => None,
        }
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
        self.stream_ids.clear();
        (self.waiting_heads, self.active_streams) = (0, 0);
        if reason == CloseReason::RepliesUnread {
            self.outbox.clear();
        }
    }

    fn free_heads(&self) -> bool {
        self.waiting_heads < WAITING_HEADS
    }

    fn free_streams(&self) -> bool {
        self.active_streams < ACTIVE_STREAMS
    }

    fn reply_error(&mut self, id: Id, error: RpcError) {
        self.reply(&Message::Error { id: Some(id), error });
    }

    fn reply(&mut self, message: &Message) {
        self.outbox.push(message.encode());
        if self.outbox.bytes() > REPLY_BYTES {
            self.close(CloseReason::RepliesUnread);
        }
    }
}

impl Attach {
    fn from_params(params: Option<&Value>) -> Result<Self, &'static str> {
        let member = |name| params.and_then(|params| params.get(name));
        if !member("clientName").is_some_and(Value::is_string) {
            return Err("initialize params: clientName must be text");
        }
        match member("resumeSessionId") {
            None | Some(Value::Null) => Ok(Self { resume: None }),
            Some(Value::String(session_id)) => Ok(Self { resume: Some(session_id.clone()) }),
            Some(_) => Err("initialize params: resumeSessionId must be text or null"),
        }
    }
}

impl From<AttachError> for RpcError {
    fn from(refusal: AttachError) -> Self {
        match refusal {
            AttachError::Unknown => Self::new(error::INVALID_REQUEST, "unknown session id"),
            AttachError::Attached => Self::new(error::SESSION_ATTACHED, "session is attached to another connection"),
        }
    }
}

fn out_of_order(text: &str) -> RpcError {
    RpcError::new(error::INVALID_REQUEST, text)
}

/// The last frame of a stream: separate and empty (STREAM-11).
fn terminal(request_id: String, seq: u64, error: Option<RpcError>) -> BodyDelta {
    let (error, error_kind) = error.map_or((None, None), |error| (Some(error.message), error.kind));
    BodyDelta { request_id, seq, data: Bytes::new(), done: true, error, error_kind }
}

/// The result of `initialize`.
fn greeting(session_id: &str) -> Value {
    json!({
        "sessionId": session_id,
        "environmentInfo": {
            "shell": {"name": "sh", "path": "/bin/sh"},
            "executorVersion": env!("CARGO_PKG_VERSION"),
            "capabilities": {"httpHeaderEnvVars": true},
        },
    })
}
