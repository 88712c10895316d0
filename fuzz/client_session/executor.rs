//! The scripted executor: operations as frames on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::transport::{CloseReason, Connection, Reader, Writer};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::operation::{Answer, Delta, End, Fatal, Fault, Frame, Stray};
use super::oracle::Oracle;
use super::seen::{Event, Loss, Piece};
use super::{LONG_TIME, pick};

/// An id that no client of this session uses.
const UNKNOWN_ID: u64 = 1 << 40;

/// The executor's end of a connection: two tasks, so that neither direction waits for the other or for the test.
pub(super) struct Executor {
    /// To the client, and how many there were; `None` once closed.
    outbox: Option<mpsc::UnboundedSender<String>>,
    /// Frames sent.
    frames: usize,
    /// From the client.
    inbox: mpsc::UnboundedReceiver<Value>,
    /// The task that reads.
    reading: AbortHandle,
    /// Whether it still does.
    reads: bool,
    /// The calls that were read, in the order of the client's calls.
    calls: Vec<Call>,
    /// Requests sent to the client.
    requests: usize,
}

/// A call as it came.
struct Call {
    /// Its JSON-RPC id.
    id: u64,
    /// Its `requestId`.
    request_id: String,
    /// The `seq` of the frame that is due.
    seq: u64,
}

impl Executor {
    pub(super) fn new(Connection { reader, writer }: Connection) -> Self {
        let (outbox, unsent) = mpsc::unbounded_channel();
        let (unread, inbox) = mpsc::unbounded_channel();
        tokio::spawn(write(writer, unsent));
        let reading = tokio::spawn(read(reader, unread)).abort_handle();
        Self { outbox: Some(outbox), frames: 0, inbox, reading, reads: true, calls: Vec::new(), requests: 0 }
    }

    /// The executor's side of the handshake.
    pub(super) async fn greet(&mut self) {
        let initialize = self.inbox.recv().await.expect("initialize");
        self.write(&json!({"id": initialize["id"], "result": {"sessionId": "s"}}));
        let initialized = self.inbox.recv().await.expect("initialized");
        assert_eq!(initialized, json!({"method": "initialized", "params": {}}));
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn close(&mut self) {
        self.outbox = None;
    }

    pub(super) fn stop_reading(&mut self) {
        self.reads = false;
        self.reading.abort();
    }

    /// Reads what the client wrote: what the oracle says, all of it unless the connection is gone.
    pub(super) fn read(&mut self, oracle: &mut Oracle) {
        while let Ok(mut message) = self.inbox.try_recv() {
            if message["method"] == "http/request" {
                let id = message["id"].as_u64().expect("an id");
                assert!(self.calls.iter().all(|call| call.id != id), "the id {id} came twice");
                let params = message["params"].take();
                let request_id = params["requestId"].as_str().expect("a text").to_owned();
                assert!(self.calls.iter().all(|call| call.request_id != request_id), "{request_id} came twice");
                let stream = params["streamResponse"] == true;
                assert_eq!(oracle.read_call(id), Some((self.calls.len(), stream)), "this call was not due");
                self.calls.push(Call { id, request_id, seq: 1 });
            } else {
                assert_eq!(message["error"]["code"], -32601, "an executor's request is refused");
                assert_eq!(message["id"].as_str(), oracle.read_refusal().as_deref());
            }
        }
        assert!(!self.reads || oracle.has_read_all(), "frames of the client are missing");
    }

    /// Sends a frame, and says what it means; `None` when there is nobody to send it to, or nothing to name in it.
    pub(super) fn send(&mut self, frame: &Frame) -> Option<Event> {
        self.outbox.as_ref()?;
        let (text, event) = match frame {
            Frame::Answer { call, answer } => {
                let call = pick(*call, self.calls.len())?;
                (answer_frame(call, self.calls[call].id, *answer).to_string(), Event::Answer { call, answer: *answer })
            }
            Frame::Delta { call, delta } => {
                let call = pick(*call, self.calls.len())?;
                let (params, event) = self.delta(call, *delta);
                (notification(&params).to_string(), event)
            }
            Frame::Stray(stray) => (self.stray(*stray)?.to_string(), Event::Stray),
            Frame::Request => {
                self.requests += 1;
                let id = format!("request {}", self.requests);
                (json!({"id": id, "method": "fs/readFile"}).to_string(), Event::Request { id })
            }
            Frame::Fatal(fatal) => (fatal_frame(*fatal), Event::Fatal(loss(*fatal))),
        };
        self.frames += 1;
        self.write_text(text);
        Some(event)
    }

    fn delta(&mut self, call: usize, delta: Delta) -> (Value, Event) {
        // Each frame has bytes of its own, so that none can pass for another.
        let fill = |bytes: u16| vec![self.frames as u8; usize::from(bytes) % 1024];
        let Call { request_id, seq: due, .. } = &mut self.calls[call];
        let mut next = || {
            *due += 1;
            *due - 1
        };
        let error = |end| (end != End::Done).then(|| format!("broke in call {call}"));
        let (seq, data, done, error) = match delta {
            Delta::Data { bytes } => (next(), fill(bytes), false, None),
            Delta::Last { bytes, end } => (next(), fill(bytes), end != End::Error, error(end)),
            Delta::Numbered { seq, bytes, done } => (seq.into(), fill(bytes), done, None),
            Delta::Malformed(fault) => {
                let mut params = json!({"requestId": request_id, "seq": *due, "deltaBase64": "YQ==", "done": true});
                let member = spoil(&mut params, fault);
                return (params, Event::Malformed { call, member });
            }
        };
        let data_text = STANDARD.encode(&data);
        let mut params = json!({"requestId": request_id, "seq": seq, "deltaBase64": data_text, "error": error});
        if done {
            params["done"] = true.into();
        }
        (params, Event::Piece { call, piece: Piece { seq, data, done, error } })
    }

    fn stray(&self, stray: Stray) -> Option<Value> {
        let call = |call| pick(call, self.calls.len()).map(|call| &self.calls[call]);
        let head = json!({"status": 599, "headers": [], "bodyBase64": ""});
        let piece = |id: &str| notification(&json!({"requestId": id, "seq": 1, "deltaBase64": "YQ=="}));
        Some(match stray {
            Stray::TextId { call: index } => json!({"id": call(index)?.id.to_string(), "result": head}),
            Stray::UnknownId => json!({"id": UNKNOWN_ID, "result": head}),
            Stray::Misspelt { call: index } => piece(&format!("{} ", call(index)?.request_id)),
            Stray::UnknownStream => piece(&format!("http-{UNKNOWN_ID}")),
            Stray::UnknownMalformed => notification(&json!({"requestId": "", "seq": "1"})),
            Stray::Notification => json!({"method": "process/output", "params": {"requestId": 7}}),
        })
    }

    fn write(&self, message: &Value) {
        self.write_text(message.to_string());
    }

    fn write_text(&self, text: String) {
        if let Some(outbox) = &self.outbox {
            // A client that is gone reads nothing, and the oracle knows.
            let _ = outbox.send(text);
        }
    }

    /// The client, of which nobody holds anything any more, has closed the connection.
    pub(super) async fn expect_end(mut self) {
        tokio::time::sleep(LONG_TIME).await;
        assert_eq!(self.inbox.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "the connection was closed");
        self.outbox = None;
        tokio::time::sleep(LONG_TIME).await;
    }
}

async fn write(mut writer: Writer, mut unsent: mpsc::UnboundedReceiver<String>) {
    while let Some(text) = unsent.recv().await {
        if writer.send(vec![text.into()]).await.is_err() {
            return;
        }
    }
    writer.close(CloseReason::Done).await;
}

async fn read(mut reader: Reader, unread: mpsc::UnboundedSender<Value>) {
    while let Some(frame) = reader.next().await.expect("memory does not fail") {
        let message = serde_json::from_slice(&frame).expect("the client writes JSON");
        unread.send(message).expect("the test outlives its connection");
    }
}

fn notification(params: &Value) -> Value {
    json!({"method": "http/request/bodyDelta", "params": params})
}

fn answer_frame(call: usize, id: u64, answer: Answer) -> Value {
    match answer {
        Answer::Head { promised, bytes } => {
            let promise = promised.map(|length| json!({"name": "content-length", "value": length.to_string()}));
            let body = STANDARD.encode(answer_body(bytes));
            let headers: Vec<_> = promise.into_iter().collect();
            json!({"id": id, "result": {"status": status(call), "headers": headers, "bodyBase64": body}})
        }
        Answer::Refusal => json!({"id": id, "error": {"code": -32603, "message": format!("refused call {call}")}}),
        Answer::NoHead => json!({"id": id, "result": {"headers": [], "bodyBase64": ""}}),
    }
}

/// The status that call is answered with, so that no answer can pass for another.
pub(super) fn status(call: usize) -> u16 {
    400 + u16::try_from(call % 100).expect("below 100")
}

/// The body of a buffered call.
pub(super) fn answer_body(bytes: u8) -> Vec<u8> {
    vec![b'b'; bytes.into()]
}

/// The member that is wrong then.
fn spoil(params: &mut Value, fault: Fault) -> &'static str {
    let members = params.as_object_mut().expect("an object");
    let (member, value) = match fault {
        Fault::SeqMissing => ("seq", None),
        Fault::SeqNegative => ("seq", Some(json!(-1))),
        Fault::DataMissing => ("deltaBase64", None),
        Fault::DataUnpadded => ("deltaBase64", Some(json!("YQ"))),
        Fault::DoneNumber => ("done", Some(json!(1))),
        Fault::ErrorObject => ("error", Some(json!({}))),
    };
    members.remove(member);
    members.extend(value.map(|value| (member.to_owned(), value)));
    member
}

fn fatal_frame(fatal: Fatal) -> String {
    match fatal {
        Fatal::Garbage => "no message".into(),
        Fatal::CutOff => r#"{"method":"http/request/bodyDelta","params":{"requestId":"http-1","seq":1,"delt"#.into(),
        Fatal::NoRequestId => notification(&json!({"seq": 1, "deltaBase64": ""})).to_string(),
        Fatal::NoParams => r#"{"method":"http/request/bodyDelta"}"#.into(),
        Fatal::Unreadable => json!({"id": -1, "error": {"code": -32600, "message": "malformed"}}).to_string(),
        Fatal::UnreadableNull => json!({"id": null, "error": {"code": -32700, "message": "malformed"}}).to_string(),
    }
}

fn loss(fatal: Fatal) -> Loss {
    match fatal {
        Fatal::Garbage | Fatal::CutOff | Fatal::NoRequestId | Fatal::NoParams => Loss::Malformed,
        Fatal::Unreadable | Fatal::UnreadableNull => Loss::Unreadable,
    }
}
