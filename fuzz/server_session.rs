//! One connection as the executor sees it, under any sequence of operations.

// Spelled out, as properties include this file from elsewhere.
#[path = "server_session/oracle.rs"]
mod oracle;

use std::collections::HashSet;
use std::iter;
use std::ops::ControlFlow;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use exec_http::protocol::error::{ErrorKind, INTERNAL_ERROR, RpcError};
use exec_http::protocol::http::{RequestParams, ResponseHead};
use exec_http::protocol::limits::{DELTA_BYTES, REQUEST_ID_BYTES};
use exec_http::protocol::session::{AttachError, ExchangeId, Extensions, Session};
use serde_json::{Value, json};

use self::oracle::{Oracle, Resume};

/// What one run of [`check`] holds at most.
const OPERATIONS: usize = 64;

/// Requests that one [`Operation::Burst`] holds at most: more than may wait.
const BURST_REQUESTS: u16 = 4_400;

/// Requests of all bursts of an input without a crowd: more than may wait for their heads at a time.
const FEW_REQUESTS: u16 = 300;

/// The first byte of an input with a crowd.
const CROWD: u8 = 0xff;

/// Something that happens to a session. Numbers that choose a row or an exchange wrap around.
#[derive(Arbitrary, Clone, Debug)]
pub enum Operation {
    /// The client sends `initialize` with the params in that row of [`INITIALIZE`].
    Initialize(u8),
    /// What the session asks of the registry is taken.
    PollAttach,
    /// The registry answers, asked or not.
    Attach(Answer),
    /// The client sends `initialized`.
    Initialized,
    /// The client sends `http/request`.
    Request {
        /// Chooses a row of [`request_id`], so that ids meet often.
        request_id: u8,
        /// Whether the body comes as deltas.
        stream: bool,
        /// What the executor may send of the body at first.
        #[arbitrary(with = first_credit)]
        credit: Option<u64>,
        /// The frame is padded to this length.
        #[arbitrary(default)]
        bytes: usize,
    },
    /// So many requests, each with an id of its own.
    Burst(#[arbitrary(with = burst)] u16, bool),
    /// The client sends the frame in that row of [`FRAMES`].
    Frame(u8),
    /// The client sends a request of an unknown method, whose id has this length.
    Unknown(#[arbitrary(with = small)] usize),
    /// Up to so many exchanges are started.
    Start(u8),
    /// The head of a streamed exchange has come.
    Head(Which),
    /// So many bytes of a streamed body have come.
    Chunk(Which, #[arbitrary(with = small)] usize),
    /// A streamed body is whole.
    End(Which),
    /// The whole response of a buffered exchange has come.
    Buffered(Which),
    /// An exchange has failed, with or without a kind.
    Fail(Which, bool),
    /// Up to so many frames are sent.
    Transmit(u8),
    /// The connection ends.
    Stop,
    /// The client cancels the calls of that row of [`request_id`].
    Cancel(u8),
    /// The client allows so many bytes more of the stream of that row of [`request_id`].
    Credit(u8, #[arbitrary(with = small)] usize),
}

/// What the registry answers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Answer {
    /// The session is there.
    Granted,
    /// [`AttachError::Unknown`].
    Unknown,
    /// [`AttachError::Attached`].
    Attached,
}

/// Which exchanges something happens to, over or not.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Which {
    /// All that were ever started.
    All,
    /// That one, counted back from the latest.
    One(u8),
}

/// Params of `initialize`, and what they mean.
const INITIALIZE: [(&str, Result<Resume, &str>); 7] = [
    (r#"{"clientName":"c"}"#, Ok(None)),
    (r#"{"clientName":"","resumeSessionId":null,"more":1}"#, Ok(None)),
    (r#"{"clientName":"c","resumeSessionId":"old"}"#, Ok(Some("old"))),
    ("null", Err("initialize params: clientName must be text")),
    (r#"{"clientName":1}"#, Err("initialize params: clientName must be text")),
    (r#"{"resumeSessionId":"old"}"#, Err("initialize params: clientName must be text")),
    (r#"{"clientName":"c","resumeSessionId":1}"#, Err("initialize params: resumeSessionId must be text or null")),
];

/// The error that answers a frame: id, code, message.
type Refusal = (&'static str, i64, &'static str);

/// Frames that mean the same before, during and after the handshake, and the error that answers them, if any.
const FRAMES: [(&[u8], Option<Refusal>); 14] = [
    (b"", Some(("-1", -32600, "malformed message: incomplete JSON"))),
    (b"{]", Some(("-1", -32600, "malformed message: invalid JSON at column 2"))),
    (b"[]", Some(("-1", -32600, "malformed message: not a JSON object"))),
    (b"\"\xff\"", Some(("-1", -32600, "malformed message: invalid UTF-8"))),
    (br#"{"method":"m","method":"m"}"#, Some(("-1", -32600, "malformed message: an object repeats a key"))),
    (
        br#"{"id":null,"method":"initialize"}"#,
        Some(("-1", -32600, "malformed message: id is neither a string nor a 64-bit integer")),
    ),
    (
        br#"{"id":1}"#,
        Some(("-1", -32600, "malformed message: neither a request, a notification, a response nor an error")),
    ),
    (br#"{"id":"x","method":"initialized"}"#, Some(("\"x\"", -32601, "method not found"))),
    (br#"{"id":1,"method":"http/request"}"#, Some(("1", -32602, "http/request params: params must be an object"))),
    (
        br#"{"id":-5,"method":"http/request","params":{"requestId":"a","method":"GET","url":"u","streamResponse":1}}"#,
        Some(("-5", -32602, "http/request params: streamResponse must be a boolean")),
    ),
    (br#"{"method":"http/request","params":{"requestId":"a","method":"GET","url":"u","streamResponse":true}}"#, None),
    (br#"{"method":"initialize","params":{"clientName":"c"}}"#, None),
    (br#"{"id":1,"result":{}}"#, None),
    (br#"{"id":null,"error":{"code":-32600,"message":"x"}}"#, None),
];

/// The `requestId` of that number.
fn request_id(number: u8) -> String {
    match number % 6 {
        0 => "a".into(),
        1 => "b".into(),
        2 => String::new(),
        3 => "é\n\"".into(),
        4 => "é".repeat(REQUEST_ID_BYTES / 2),
        _ => "x".repeat(REQUEST_ID_BYTES + 1),
    }
}

/// Runs the operations that the bytes spell. A crowd of requests takes as long as hundreds of other inputs, so only one
/// that begins with [`CROWD`] has it. Under a fuzzer, which would soon try nothing else, none has: seeds and properties are
/// crowded.
pub fn check(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let mut rest = Unstructured::new(rest);
    let mut operations = Vec::new();
    let mut requests = FEW_REQUESTS + if first == CROWD && !cfg!(fuzzing) { BURST_REQUESTS } else { 0 };
    let mut bytes = 2 * (DELTA_BYTES + 1);
    while !rest.is_empty() && operations.len() < OPERATIONS {
        let Ok(mut operation) = Operation::arbitrary(&mut rest) else { continue };
        match &mut operation {
            Operation::Burst(count, _) => {
                *count = (*count).min(requests);
                requests -= *count;
            }
            // Large chunks come one at a time.
            Operation::Chunk(Which::All, length) => *length = (*length).min(u8::MAX.into()),
            Operation::Unknown(length) | Operation::Chunk(Which::One(_), length) => {
                *length = (*length).min(bytes);
                bytes -= *length;
            }
            _ => {}
        }
        operations.push(operation);
    }
    run(&operations);
}

/// Seldom long: a long burst takes as long as many short runs.
fn burst(rest: &mut Unstructured<'_>) -> arbitrary::Result<u16> {
    match rest.arbitrary::<u8>()? {
        255 => Ok(BURST_REQUESTS),
        number => Ok(number.into()),
    }
}

/// None for one half, and for the largest of the other half as much as can be.
fn first_credit(rest: &mut Unstructured<'_>) -> arbitrary::Result<Option<u64>> {
    Ok(match rest.arbitrary::<u8>()? {
        255 => Some(u64::MAX),
        number => number.checked_sub(128).map(u64::from),
    })
}

/// Seldom large: the bytes of one delta, and one more.
fn small(rest: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    match rest.arbitrary::<u8>()? {
        254 => Ok(DELTA_BYTES),
        255 => Ok(DELTA_BYTES + 1),
        number => Ok(number.into()),
    }
}

/// Applies the operations to a session and to the oracle, which must agree after each; then brings what is under way to
/// its end.
pub fn run(operations: &[Operation]) {
    let mut run = Run::new();
    for operation in operations {
        run.apply(operation);
        run.compare();
    }
    run.finish();
}

/// A session beside its oracle.
struct Run {
    /// What is tested.
    session: Session,
    /// What it must do.
    oracle: Oracle,
    /// All exchanges that were started, oldest first, and the oracle's number of their calls.
    started: Vec<(ExchangeId, usize)>,
    /// Their names.
    names: HashSet<ExchangeId>,
    /// Requests that the client made; tells them apart.
    requests: usize,
    /// Frames that the session read and has to answer.
    asked: usize,
    /// Answers that it sent.
    answered: usize,
    /// Results of streamed calls that it sent.
    streams: usize,
    /// Terminal frames that it sent.
    terminals: usize,
}

impl Run {
    fn new() -> Self {
        Self {
            session: Session::new(Extensions::ALL),
            oracle: Oracle::default(),
            started: Vec::new(),
            names: HashSet::new(),
            requests: 0,
            asked: 0,
            answered: 0,
            streams: 0,
            terminals: 0,
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Initialize(row) => {
                let (params, meaning) = INITIALIZE[usize::from(row) % INITIALIZE.len()];
                let id = self.next_call_id();
                self.frame(format!(r#"{{"params":{params},"method":"initialize","id":{id}}}"#).as_bytes(), true);
                self.oracle.initialize(id, meaning);
            }
            Operation::PollAttach => assert_eq!(self.session.poll_attach(), self.oracle.poll_attach()),
            Operation::Attach(answer) => {
                let (answer, refusal) = match answer {
                    Answer::Granted => (Ok("session \"1\""), None),
                    Answer::Unknown => (Err(AttachError::Unknown), Some((-32600, "unknown session id"))),
                    Answer::Attached => {
                        (Err(AttachError::Attached), Some((-32010, "session is attached to another connection")))
                    }
                };
                self.session.handle_attach(answer);
                self.oracle.attach(answer.ok(), refusal);
            }
            Operation::Initialized => {
                self.frame(br#"{"method":"initialized"}"#, false);
                self.oracle.initialized();
            }
            Operation::Request { request_id: number, stream, credit, bytes } => {
                self.request(request_id(number), stream, credit, bytes);
            }
            Operation::Burst(count, stream) => {
                for _ in 0..count {
                    self.request(format!("burst {}", self.requests), stream, None, 0);
                }
            }
            Operation::Frame(row) => {
                let (frame, refusal) = FRAMES[usize::from(row) % FRAMES.len()];
                self.frame(frame, refusal.is_some());
                if let Some((id, code, text)) = refusal {
                    self.oracle.refuse(serde_json::from_str(id).expect("an id"), code, None, text);
                }
            }
            Operation::Unknown(bytes) => {
                let id = Value::from("i".repeat(bytes));
                self.frame(format!(r#"{{"id":{id},"method":"http/cancel"}}"#).as_bytes(), true);
                self.oracle.refuse(id, -32601, None, "method not found");
            }
            Operation::Start(most) => {
                for _ in 0..most {
                    if self.start().is_break() {
                        break;
                    }
                }
            }
            Operation::Transmit(most) => {
                for _ in 0..most {
                    if self.transmit().is_break() {
                        break;
                    }
                }
            }
            Operation::Stop => {
                self.session.stop();
                self.oracle.stop();
            }
            Operation::Cancel(number) => self.cancel(&request_id(number)),
            Operation::Credit(number, bytes) => self.credit(&request_id(number), bytes as u64),
            Operation::Head(which)
            | Operation::Chunk(which, _)
            | Operation::End(which)
            | Operation::Buffered(which)
            | Operation::Fail(which, _) => {
                for index in self.chosen(which) {
                    self.happen(operation, index);
                }
            }
        }
    }

    fn frame(&mut self, frame: &[u8], wants_answer: bool) {
        self.asked += usize::from(wants_answer && self.session.poll_close().is_none());
        self.session.handle_frame(frame);
    }

    /// Texts and integers, unique ones and one that all share (ID-5).
    fn next_call_id(&mut self) -> Value {
        self.requests += 1;
        match self.requests % 3 {
            0 => json!(7),
            1 => json!(self.requests),
            _ => json!(self.requests.to_string()),
        }
    }

    fn request(&mut self, request_id: String, stream: bool, credit: Option<u64>, bytes: usize) {
        let id = self.next_call_id();
        let mut params = json!({
            "requestId": request_id, "method": "GET", "url": format!("http://h/{}", self.requests), "streamResponse": stream,
        });
        if credit.is_some() {
            params["creditBytes"] = json!(credit);
        }
        let mut frame = format!(r#"{{"id":{id},"method":"http/request","params":{params}}}"#).into_bytes();
        frame.resize(frame.len().max(bytes), b' ');
        self.frame(&frame, true);
        let params = RequestParams::from_value(Some(params)).expect("legal params");
        self.oracle.request(id, params, frame.len());
    }

    fn cancel(&mut self, request_id: &str) {
        let id = self.next_call_id();
        let params = json!({"requestId": request_id});
        self.frame(format!(r#"{{"params":{params},"method":"http/request/cancel","id":{id}}}"#).as_bytes(), true);
        let number = |exchange| self.started.iter().find(|(started, _)| *started == exchange).map(|(_, call)| *call);
        let cancelled: Vec<_> = iter::from_fn(|| self.session.poll_cancel()).filter_map(number).collect();
        assert_eq!(cancelled, self.oracle.cancel(id, request_id));
    }

    fn credit(&mut self, request_id: &str, bytes: u64) {
        let params = json!({"requestId": request_id, "bytes": bytes});
        self.frame(format!(r#"{{"params":{params},"method":"http/request/credit"}}"#).as_bytes(), false);
        let credited = iter::from_fn(|| self.session.poll_credit());
        let number = |exchange| self.started.iter().find(|(started, _)| *started == exchange).map(|(_, call)| *call);
        let credited: Vec<_> = credited.map(|exchange| number(exchange).expect("one that was started")).collect();
        assert_eq!(credited, Vec::from_iter(self.oracle.credit(request_id, bytes)));
    }

    fn start(&mut self) -> ControlFlow<()> {
        let started = self.session.poll_start();
        let Some((call, params)) = self.oracle.start() else {
            assert_eq!(started, None);
            return ControlFlow::Break(());
        };
        let (exchange, started) = started.expect("a place is free");
        assert_eq!(started, params);
        assert!(self.names.insert(exchange), "{exchange:?} names two exchanges");
        self.started.push((exchange, call));
        ControlFlow::Continue(())
    }

    /// Indices into `started`.
    fn chosen(&self, which: Which) -> Vec<usize> {
        match (which, self.started.len()) {
            (_, 0) => Vec::new(),
            (Which::All, count) => (0..count).collect(),
            (Which::One(back), count) => vec![count - 1 - usize::from(back) % count],
        }
    }

    fn happen(&mut self, event: &Operation, index: usize) {
        let (exchange, call) = self.started[index];
        let head = ResponseHead { status: 200, headers: Vec::new(), body: Bytes::from(format!("body {call}")) };
        match *event {
            Operation::Head(_) => {
                self.session.handle_head(exchange, head);
                self.oracle.head(call);
            }
            Operation::Chunk(_, bytes) => {
                let data = body(call, bytes);
                let allowed = self.oracle.chunk(call, &data);
                let rest = self.session.handle_chunk(exchange, data.clone().into());
                assert_eq!(rest, data[allowed..]);
            }
            Operation::End(_) => {
                self.session.handle_end(exchange);
                self.oracle.end(call);
            }
            Operation::Buffered(_) => {
                self.session.handle_buffered(exchange, &head);
                self.oracle.buffered(call, &head.body);
            }
            Operation::Fail(_, with_kind) => {
                let error = RpcError { code: INTERNAL_ERROR, message: "it \"broke\"".into(), kind: None };
                let error = if with_kind { error.with_kind(ErrorKind::Reset) } else { error };
                self.oracle.fail(call, &error.message, with_kind.then_some("reset"));
                self.session.handle_failure(exchange, error);
            }
            _ => unreachable!("not an event of an exchange"),
        }
    }

    fn transmit(&mut self) -> ControlFlow<()> {
        let frame = self.session.poll_transmit();
        let Some(expected) = self.oracle.transmit() else {
            assert_eq!(frame, None);
            return ControlFlow::Break(());
        };
        let frame: Value = serde_json::from_slice(&frame.expect("a frame waits")).expect("frames are JSON");
        self.answered += usize::from(frame.get("id").is_some());
        self.streams += usize::from(frame["result"]["bodyBase64"] == "");
        self.terminals += usize::from(frame["params"]["done"] == true);
        assert_eq!(frame, expected);
        ControlFlow::Continue(())
    }

    fn compare(&mut self) {
        assert_eq!(self.session.poll_close(), self.oracle.close_reason());
        assert_eq!(self.session.has_room(), self.oracle.has_room());
    }

    /// Brings what is under way to its end. While the connection lives, every request is answered once and every stream
    /// ends once; else no more than that.
    fn finish(&mut self) {
        self.apply(&Operation::Attach(Answer::Granted));
        let mut failed = 0;
        while self.oracle.is_busy() {
            self.apply(&Operation::Start(u8::MAX));
            // Those that were started before have failed already.
            for index in failed..self.started.len() {
                self.happen(&Operation::Fail(Which::All, true), index);
            }
            failed = self.started.len();
        }
        self.apply(&Operation::Start(1));
        self.compare();
        while self.transmit().is_continue() {}
        let (left_calls, left_streams) = (self.asked - self.answered, self.streams - self.terminals);
        assert!(self.session.poll_close().is_some() || (left_calls, left_streams) == (0, 0));
    }
}

/// So many bytes that differ from call to call, and in each place from the next.
fn body(call: usize, bytes: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|byte: u8| byte.wrapping_add(call as u8)).collect();
    let mut body = period.repeat(bytes.div_ceil(period.len()));
    body.truncate(bytes);
    body
}
