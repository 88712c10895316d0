//! What a session must do: a list of calls and a list of frames.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::protocol::http::RequestParams;
use exec_http::protocol::limits::{
    ACTIVE_STREAMS, DELTA_BYTES, OUTBOUND_BYTES, QUEUED_REQUEST_BYTES, QUEUED_REQUESTS, REPLY_BYTES, REQUEST_ID_BYTES,
    WAITING_HEADS,
};
use exec_http::protocol::session::{Attach, CloseReason};
use serde_json::{Value, json};

/// The session that an `initialize` asks for by its id.
pub type Resume = Option<&'static str>;

/// What the session must do next, given all that happened to it.
#[derive(Default)]
pub struct Oracle {
    /// Where the handshake stands.
    phase: Phase,
    /// All calls that were accepted, oldest first.
    calls: Vec<Call>,
    /// The numbers of those that are queued, of those that were started and not answered, and of the streams among those
    /// that are neither queued nor over. [`Oracle::set`] keeps them.
    queued: BTreeSet<usize>,
    asked: BTreeSet<usize>,
    streams: BTreeSet<usize>,
    /// The ids of the streams that are not over.
    names: BTreeSet<String>,
    /// The length of the frames of all queued calls together.
    queued_bytes: usize,
    /// Frames that were made and not sent, oldest first.
    frames: VecDeque<Value>,
    /// The length of all `frames` together.
    bytes: usize,
}

#[derive(Default)]
enum Phase {
    #[default]
    New,
    Attaching {
        id: Value,
        /// What [`Oracle::poll_attach`] has not given.
        ask: Option<Resume>,
    },
    Greeted,
    Ready,
    Closed(CloseReason),
}

struct Call {
    id: Value,
    params: RequestParams,
    /// The length of its frame.
    bytes: usize,
    state: State,
    /// Not all that was handed in was allowed, and nothing was since.
    waits: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Not started.
    Queued,
    /// Started and not answered.
    Asked,
    /// A stream that was answered.
    Streaming {
        /// The number of its next frame.
        seq: u64,
    },
    Over,
}

impl Oracle {
    pub fn initialize(&mut self, id: Value, meaning: Result<Resume, &str>) {
        match (&self.phase, meaning) {
            (Phase::New, Ok(resume)) => self.phase = Phase::Attaching { id, ask: Some(resume) },
            (Phase::New, Err(text)) => self.refuse(id, -32602, None, text),
            _ => self.refuse(id, -32600, None, "initialize may only be sent once per connection"),
        }
    }

    pub fn poll_attach(&mut self) -> Option<Attach> {
        let Phase::Attaching { ask, .. } = &mut self.phase else { return None };
        ask.take().map(|resume| Attach { resume: resume.map(str::to_owned) })
    }

    pub fn attach(&mut self, granted: Option<&str>, refusal: Option<(i64, &str)>) {
        let Phase::Attaching { id, .. } = &self.phase else { return };
        let id = id.clone();
        if let Some(session_id) = granted {
            self.phase = Phase::Greeted;
            let environment = json!({
                "shell": {"name": "sh", "path": "/bin/sh"},
                "executorVersion": version(),
                "capabilities": {"httpHeaderEnvVars": true},
            });
            let capabilities = json!({"httpHeaderEnvVars": true, "httpRequestCancel": true, "httpBodyCredit": true});
            self.answer(json!({
                "id": id,
                "result": {"sessionId": session_id, "environmentInfo": environment, "capabilities": capabilities},
            }));
        } else if let Some((code, text)) = refusal {
            self.phase = Phase::New;
            self.refuse(id, code, None, text);
        }
    }

    pub fn initialized(&mut self) {
        match self.phase {
            Phase::New | Phase::Attaching { .. } => self.close(CloseReason::HandshakeOrder),
            Phase::Greeted => self.phase = Phase::Ready,
            Phase::Ready | Phase::Closed(_) => {}
        }
    }

    pub fn request(&mut self, id: Value, params: RequestParams, bytes: usize) {
        let waiting = self.queued.len();
        let full = waiting >= QUEUED_REQUESTS || (waiting > 0 && self.queued_bytes + bytes > QUEUED_REQUEST_BYTES);
        match self.phase {
            Phase::New | Phase::Attaching { .. } => {
                self.refuse(id, -32600, None, "client must call initialize before http/request");
            }
            Phase::Greeted => self.refuse(id, -32600, None, "client must send initialized before http/request"),
            _ if params.request_id.len() > REQUEST_ID_BYTES => {
                self.refuse(id, -32602, Some("limit"), "http/request requestId exceeds 1024 bytes");
            }
            _ if params.stream_response && self.names.contains(&params.request_id) => {
                self.refuse(id, -32602, None, "http/request requestId belongs to a stream that is still active");
            }
            _ if full && !self.may_start(params.stream_response) => {
                let text = "http/request failed: too many requests wait on this connection";
                self.refuse(id, -32603, Some("limit"), text);
            }
            Phase::Ready => {
                self.calls.push(Call { id, params, bytes, state: State::Over, waits: false });
                self.set(self.calls.len() - 1, State::Queued);
            }
            Phase::Closed(_) => {}
        }
    }

    /// Whether LIMIT-1 and LIMIT-2 leave a place.
    fn may_start(&self, stream: bool) -> bool {
        self.asked.len() < WAITING_HEADS && !(stream && self.streams.len() >= ACTIVE_STREAMS)
    }

    /// Moves a call into a state.
    fn set(&mut self, number: usize, state: State) {
        let Call { params, bytes, state: old, .. } = &mut self.calls[number];
        self.queued_bytes -= if *old == State::Queued { *bytes } else { 0 };
        self.queued_bytes += if state == State::Queued { *bytes } else { 0 };
        *old = state;
        let keep = |set: &mut BTreeSet<usize>, holds| if holds { set.insert(number) } else { set.remove(&number) };
        keep(&mut self.queued, state == State::Queued);
        keep(&mut self.asked, state == State::Asked);
        if params.stream_response {
            keep(&mut self.streams, matches!(state, State::Asked | State::Streaming { .. }));
            if state == State::Over {
                self.names.remove(&params.request_id);
            } else {
                self.names.insert(params.request_id.clone());
            }
        }
    }

    /// The oldest call that may start: its number and its params.
    pub fn start(&mut self) -> Option<(usize, RequestParams)> {
        let may_start = [self.may_start(false), self.may_start(true)];
        let may_start = |number: &&usize| may_start[usize::from(self.calls[**number].params.stream_response)];
        let number = *self.queued.iter().find(may_start)?;
        self.set(number, State::Asked);
        Some((number, self.calls[number].params.clone()))
    }

    pub fn head(&mut self, number: usize) {
        let call = &self.calls[number];
        if call.state == State::Asked && call.params.stream_response {
            let id = call.id.clone();
            self.set(number, State::Streaming { seq: 1 });
            self.answer(json!({"id": id, "result": {"status": 200, "headers": [], "bodyBase64": ""}}));
        }
    }

    /// How many of the bytes may be sent, or are of no use to anybody.
    pub fn chunk(&mut self, number: usize, data: &[u8]) -> usize {
        let call = &mut self.calls[number];
        if !matches!(call.state, State::Streaming { .. }) {
            return data.len();
        }
        let allowed = call.params.credit.map_or(data.len(), |credit| data.len().min(credit.min(1 << 40) as usize));
        call.params.credit = call.params.credit.map(|credit| credit - allowed as u64);
        call.waits = allowed < data.len();
        for piece in data[..allowed].chunks(DELTA_BYTES) {
            self.delta(number, piece, false, None, None);
        }
        allowed
    }

    /// Allows a stream more. Returns it if it was started and waited for that.
    pub fn credit(&mut self, name: &str, bytes: u64) -> Option<usize> {
        let is_it = |number: &&usize| {
            let params = &self.calls[**number].params;
            params.stream_response && params.request_id == name
        };
        let number = *self.queued.union(&self.streams).find(is_it)?;
        let call = &mut self.calls[number];
        call.params.credit = call.params.credit.map(|credit| credit.saturating_add(bytes));
        let woken = call.waits && bytes > 0;
        call.waits &= !woken;
        woken.then_some(number)
    }

    pub fn end(&mut self, number: usize) {
        self.delta(number, b"", true, None, None);
    }

    pub fn buffered(&mut self, number: usize, body: &[u8]) {
        let call = &self.calls[number];
        if call.state == State::Asked && !call.params.stream_response {
            let id = call.id.clone();
            self.set(number, State::Over);
            self.answer(
                json!({"id": id, "result": {"status": 200, "headers": [], "bodyBase64": STANDARD.encode(body)}}),
            );
        }
    }

    pub fn fail(&mut self, number: usize, text: &str, kind: Option<&str>) {
        let call = &self.calls[number];
        if call.state == State::Asked {
            let id = call.id.clone();
            self.set(number, State::Over);
            self.refuse(id, -32603, kind, text);
        } else {
            self.delta(number, b"", true, Some(text), kind);
        }
    }

    /// One frame of a stream, if it is one that was answered and is not over.
    fn delta(&mut self, number: usize, data: &[u8], done: bool, error: Option<&str>, kind: Option<&str>) {
        let Call { params, state, .. } = &self.calls[number];
        let State::Streaming { seq } = *state else { return };
        let mut frame = json!({
            "requestId": params.request_id, "seq": seq, "deltaBase64": STANDARD.encode(data), "done": done, "error": error,
        });
        if let Some(kind) = kind {
            frame["errorKind"] = kind.into();
        }
        self.set(number, if done { State::Over } else { State::Streaming { seq: seq + 1 } });
        self.push(json!({"method": "http/request/bodyDelta", "params": frame}));
    }

    /// Ends all calls of that id, those that were started first. Returns these, as far as the connection lives.
    pub fn cancel(&mut self, id: Value, name: &str) -> Vec<usize> {
        match self.phase {
            Phase::New | Phase::Attaching { .. } => {
                self.refuse(id, -32600, None, "client must call initialize before http/request/cancel");
                return Vec::new();
            }
            Phase::Greeted => {
                self.refuse(id, -32600, None, "client must send initialized before http/request/cancel");
                return Vec::new();
            }
            Phase::Ready | Phase::Closed(_) => {}
        }
        let named = |number: &usize| self.calls[*number].params.request_id == name;
        let started: BTreeSet<usize> = self.asked.union(&self.streams).copied().filter(named).collect();
        let queued: Vec<usize> = self.queued.iter().copied().filter(named).collect();
        let any = !(started.is_empty() && queued.is_empty());
        let text = "http/request failed: the client cancelled it";
        for number in &started {
            self.fail(*number, text, Some("cancelled"));
        }
        for number in queued {
            let id = self.calls[number].id.clone();
            self.set(number, State::Over);
            self.refuse(id, -32603, Some("cancelled"), text);
        }
        self.answer(json!({"id": id, "result": {"cancelled": any}}));
        if self.close_reason().is_some() { Vec::new() } else { started.into_iter().collect() }
    }

    pub fn stop(&mut self) {
        self.close(CloseReason::Stopped);
    }

    pub fn close_reason(&self) -> Option<CloseReason> {
        if let Phase::Closed(reason) = self.phase { Some(reason) } else { None }
    }

    pub fn has_room(&self) -> bool {
        self.bytes < OUTBOUND_BYTES
    }

    pub fn transmit(&mut self) -> Option<Value> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.to_string().len();
        Some(frame)
    }

    /// Whether a call waits for anything.
    pub fn is_busy(&self) -> bool {
        !(self.queued.is_empty() && self.asked.is_empty() && self.streams.is_empty())
    }

    /// An error answer; none once the session is closed.
    pub fn refuse(&mut self, id: Value, code: i64, kind: Option<&str>, text: &str) {
        let mut error = json!({"code": code, "message": text});
        if let Some(kind) = kind {
            error["data"] = json!({"kind": kind});
        }
        self.answer(json!({"id": id, "error": error}));
    }

    fn answer(&mut self, frame: Value) {
        if self.close_reason().is_some() {
            return;
        }
        self.push(frame);
        if self.bytes > REPLY_BYTES {
            (self.frames, self.bytes) = (VecDeque::new(), 0);
            self.close(CloseReason::RepliesUnread);
        }
    }

    fn push(&mut self, frame: Value) {
        self.bytes += frame.to_string().len();
        self.frames.push_back(frame);
    }

    /// The first reason stands.
    fn close(&mut self, reason: CloseReason) {
        if self.close_reason().is_none() {
            self.phase = Phase::Closed(reason);
            (0..self.calls.len()).for_each(|number| self.set(number, State::Over));
        }
    }
}

/// The version of the executor, which is not that of the package that runs this.
fn version() -> &'static str {
    let manifest = include_str!("../../Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.expect("the first version is the package's")
}
