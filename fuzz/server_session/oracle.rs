//! What a session must do: a list of calls and a list of frames. Calls are counted anew each time.

use std::collections::VecDeque;

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
            self.answer(json!({"id": id, "result": {"sessionId": session_id, "environmentInfo": environment}}));
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
        let queued = || self.calls.iter().filter(|call| call.state == State::Queued);
        let (waiting, waiting_bytes) = (queued().count(), queued().map(|call| call.bytes).sum::<usize>());
        let full = waiting >= QUEUED_REQUESTS || (waiting > 0 && waiting_bytes + bytes > QUEUED_REQUEST_BYTES);
        let active = |call: &Call| {
            call.state != State::Over && call.params.stream_response && call.params.request_id == params.request_id
        };
        match self.phase {
            Phase::New | Phase::Attaching { .. } => {
                self.refuse(id, -32600, None, "client must call initialize before http/request");
            }
            Phase::Greeted => self.refuse(id, -32600, None, "client must send initialized before http/request"),
            _ if params.request_id.len() > REQUEST_ID_BYTES => {
                self.refuse(id, -32602, Some("limit"), "http/request requestId exceeds 1024 bytes");
            }
            _ if params.stream_response && self.calls.iter().any(active) => {
                self.refuse(id, -32602, None, "http/request requestId belongs to a stream that is still active");
            }
            _ if full && !self.may_start(params.stream_response) => {
                let text = "http/request failed: too many requests wait on this connection";
                self.refuse(id, -32603, Some("limit"), text);
            }
            Phase::Ready => self.calls.push(Call { id, params, bytes, state: State::Queued }),
            Phase::Closed(_) => {}
        }
    }

    /// Whether LIMIT-1 and LIMIT-2 leave a place.
    fn may_start(&self, stream: bool) -> bool {
        let asked = self.calls.iter().filter(|call| call.state == State::Asked).count();
        let streams = self
            .calls
            .iter()
            .filter(|call| call.params.stream_response && matches!(call.state, State::Asked | State::Streaming { .. }));
        asked < WAITING_HEADS && !(stream && streams.count() >= ACTIVE_STREAMS)
    }

    /// The oldest call that may start: its number and its params.
    pub fn start(&mut self) -> Option<(usize, RequestParams)> {
        let may_start = [self.may_start(false), self.may_start(true)];
        let mut queued = self.calls.iter_mut().enumerate().filter(|(_, call)| call.state == State::Queued);
        let (number, call) = queued.find(|(_, call)| may_start[usize::from(call.params.stream_response)])?;
        call.state = State::Asked;
        Some((number, call.params.clone()))
    }

    pub fn head(&mut self, number: usize) {
        let call = &mut self.calls[number];
        if call.state == State::Asked && call.params.stream_response {
            call.state = State::Streaming { seq: 1 };
            let id = call.id.take();
            self.answer(json!({"id": id, "result": {"status": 200, "headers": [], "bodyBase64": ""}}));
        }
    }

    pub fn chunk(&mut self, number: usize, data: &[u8]) {
        for piece in data.chunks(DELTA_BYTES) {
            self.delta(number, piece, false, None, None);
        }
    }

    pub fn end(&mut self, number: usize) {
        self.delta(number, b"", true, None, None);
    }

    pub fn buffered(&mut self, number: usize, body: &[u8]) {
        let call = &mut self.calls[number];
        if call.state == State::Asked && !call.params.stream_response {
            call.state = State::Over;
            let id = call.id.take();
            self.answer(
                json!({"id": id, "result": {"status": 200, "headers": [], "bodyBase64": STANDARD.encode(body)}}),
            );
        }
    }

    pub fn fail(&mut self, number: usize, text: &str, kind: Option<&str>) {
        let call = &mut self.calls[number];
        if call.state == State::Asked {
            call.state = State::Over;
            let id = call.id.take();
            self.refuse(id, -32603, kind, text);
        } else {
            self.delta(number, b"", true, Some(text), kind);
        }
    }

    /// One frame of a stream, if it is one that was answered and is not over.
    fn delta(&mut self, number: usize, data: &[u8], done: bool, error: Option<&str>, kind: Option<&str>) {
        let Call { params, state, .. } = &mut self.calls[number];
        let State::Streaming { seq } = *state else { return };
        *state = if done { State::Over } else { State::Streaming { seq: seq + 1 } };
        let mut frame = json!({
            "requestId": params.request_id, "seq": seq, "deltaBase64": STANDARD.encode(data), "done": done, "error": error,
        });
        if let Some(kind) = kind {
            frame["errorKind"] = kind.into();
        }
        self.push(json!({"method": "http/request/bodyDelta", "params": frame}));
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
        self.calls.iter().any(|call| call.state != State::Over)
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
            self.calls.iter_mut().for_each(|call| call.state = State::Over);
        }
    }
}

/// The version of the executor, which is not that of the package that runs this.
fn version() -> &'static str {
    let manifest = include_str!("../../Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.expect("the first version is the package's")
}
