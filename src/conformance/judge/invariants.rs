//! What holds on every connection in every case: the peer's frames are well formed, asked for, and in order.

use serde_json::Value;

use super::{FailKind, Violation};
use crate::conformance::case::Transport;
use crate::conformance::trace::Body;
use crate::protocol::cancel::CANCEL_METHOD;
use crate::protocol::credit::{CREDIT_METHOD, CreditParams};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::MALFORMED_FRAME_ID;
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::id::Id;
use crate::protocol::limits::DELTA_BYTES;
use crate::protocol::message::{Malformed, Message};
use crate::protocol::session::{INITIALIZE_METHOD, INITIALIZED_METHOD};

/// One connection as its frames tell it.
#[derive(Debug)]
pub(super) struct Connection {
    /// How frames are cut.
    transport: Transport,
    /// What the suite asked, in order.
    pub(super) calls: Vec<Call>,
    /// What the peer answered, in order.
    pub(super) answers: Vec<Answer>,
    /// Streams that were answered with a result, in order.
    pub(super) streams: Vec<Stream>,
    /// Frames of the suite that may be answered as malformed.
    unreadable: usize,
    /// Errors for malformed frames, in order: code and text.
    pub(super) malformed: Vec<(i64, String)>,
    /// How many of them a step has taken.
    pub(super) malformed_taken: usize,
    /// Payloads of pongs that no step has taken.
    pub(super) pongs: Vec<String>,
    /// The close frame, with its status.
    pub(super) close_frame: Option<Option<u16>>,
    /// The peer has announced that it keeps to credit.
    keeps_credit: bool,
    /// How the peer ended the connection.
    pub(super) ended: Option<String>,
    /// The last frame.
    pub(super) last: Option<String>,
}

/// A request of the suite.
#[derive(Debug)]
pub(super) struct Call {
    /// Its id.
    pub(super) id: Id,
    /// Of a `http/request`: its `requestId`, and whether it asks for a stream.
    http: Option<(String, bool)>,
    /// Of a streamed one: the bytes that were allowed before its answer.
    credit: Option<u64>,
    /// It is `initialize`.
    opens: bool,
    /// Of a `http/request/cancel`: the `requestId` that it names.
    cancels: Option<String>,
    /// When it was sent, in microseconds.
    pub(super) sent_micros: u64,
    /// When it was answered, in microseconds.
    pub(super) answered_micros: Option<u64>,
    /// The answer was an error.
    refused: bool,
    /// It stands in a frame that the peer may refuse to read.
    doubtful: bool,
}

/// An answer of the peer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The id of its request.
    pub(super) id: Id,
    /// A result or an error.
    pub(super) message: Message,
    /// The frame.
    pub(super) text: String,
    /// The number of its event.
    pub(super) number: u64,
    /// A step has taken it.
    pub(super) taken: bool,
}

/// The body of a streamed call.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its `requestId`.
    pub(super) name: String,
    /// The id of its call.
    pub(super) id: Id,
    /// What the next frame must carry.
    next_seq: u64,
    /// The bytes that were allowed and have not come.
    credit: Option<u64>,
    /// The bytes of its frames, one entry a frame.
    pub(super) chunks: Vec<Body>,
    /// When its call was answered, in microseconds.
    pub(super) answered_micros: u64,
    /// When its first frame came, in microseconds.
    pub(super) first_micros: Option<u64>,
    /// Its last frame.
    pub(super) terminal: Option<Terminal>,
    /// A step has taken it.
    pub(super) taken: bool,
}

/// The last frame of a stream.
#[derive(Debug)]
pub(super) struct Terminal {
    /// Why the body is not complete.
    pub(super) error: Option<String>,
    /// The kind of that error.
    pub(super) kind: Option<String>,
    /// The frame.
    pub(super) text: String,
}

impl Connection {
    pub(super) const fn new(transport: Transport) -> Self {
        Self {
            transport,
            calls: Vec::new(),
            answers: Vec::new(),
            streams: Vec::new(),
            unreadable: 0,
            malformed: Vec::new(),
            malformed_taken: 0,
            pongs: Vec::new(),
            close_frame: None,
            keeps_credit: false,
            ended: None,
            last: None,
        }
    }

    /// The suite sent a frame.
    pub(super) fn handle_sent(&mut self, text: &str, micros: u64) {
        let call = |id, http, doubtful| Call {
            id,
            http,
            credit: None,
            opens: false,
            cancels: None,
            sent_micros: micros,
            answered_micros: None,
            refused: false,
            doubtful,
        };
        match Message::decode(text.as_bytes()) {
            Ok(Message::Request { id, method, params }) => {
                let member = |name: &str| params.as_ref().and_then(|params| params.get(name));
                let name = || member("requestId").and_then(Value::as_str).unwrap_or_default().to_owned();
                let http = (method == REQUEST_METHOD)
                    .then(|| (name(), member("streamResponse").and_then(Value::as_bool).unwrap_or(false)));
                let cancels = (method == CANCEL_METHOD).then(name);
                let streamed = http.as_ref().is_some_and(|(_, streamed)| *streamed);
                let credit = member("creditBytes").and_then(Value::as_u64).filter(|_| streamed);
                let opens = method == INITIALIZE_METHOD;
                self.calls.push(Call { credit, opens, cancels, ..call(id, http, false) });
            }
            Ok(Message::Notification { method, .. }) if method == INITIALIZED_METHOD => {}
            Ok(Message::Notification { method, params }) if method == CREDIT_METHOD => {
                if let Some(params) = CreditParams::from_value(params.as_ref()) {
                    self.handle_credit(&params);
                }
            }
            Ok(_) => self.unreadable += 1,
            Err(_) => {
                self.unreadable += 1;
                self.calls.extend(ids_within(text).into_iter().map(|id| call(id, None, true)));
            }
        }
    }

    /// What is allowed to the call of that name that goes on.
    fn handle_credit(&mut self, CreditParams { request_id, bytes }: &CreditParams) {
        let open = |stream: &&mut Stream| stream.name == *request_id && stream.terminal.is_none();
        let waits = |call: &&mut Call| {
            let named = call.http.as_ref().is_some_and(|(name, _)| name == request_id);
            named && call.answered_micros.is_none()
        };
        let credit = match self.streams.iter_mut().rev().find(open) {
            Some(stream) => &mut stream.credit,
            None => match self.calls.iter_mut().filter(|call| call.credit.is_some()).find(waits) {
                Some(call) => &mut call.credit,
                None => return,
            },
        };
        *credit = credit.map(|credit| credit.saturating_add(*bytes));
    }

    /// The peer sent a frame.
    pub(super) fn handle_received(
        &mut self,
        text: &str,
        binary: bool,
        number: u64,
        micros: u64,
    ) -> Result<(), Violation> {
        self.last = Some(text.to_owned());
        let fail = |clause, expected| Err(Violation::new(FailKind::Assertion, clause, expected, text));
        if binary {
            return fail("TRANSPORT-10", "messages as text");
        }
        let message = Message::decode(text.as_bytes()).map_err(|malformed| match malformed {
            Malformed::Json(_) if self.transport == Transport::Stdio => Violation::new(
                FailKind::StdoutPollution,
                "TRANSPORT-7",
                "nothing but messages on standard output",
                text,
            ),
            Malformed::Error => {
                Violation::new(FailKind::Malformed, "ERROR-1", "an error with an integer code and a message", text)
            }
            other => Violation::new(FailKind::Malformed, "ENVELOPE-1", &format!("a message; this is {other}"), text),
        })?;
        match message {
            Message::Notification { method, params } if method == DELTA_METHOD => {
                self.handle_delta(&params.unwrap_or_default(), text, micros)
            }
            // An echo of the handshake shows that this is no executor at all, which the handshake's deadline tells.
            Message::Request { .. } | Message::Notification { .. } if self.answers.is_empty() => Ok(()),
            Message::Request { .. } | Message::Notification { .. } => {
                fail("ENVELOPE-20", "nothing unasked but body deltas")
            }
            Message::Response { ref id, .. } => self.handle_answer(id.clone(), message, text, number, micros),
            Message::Error { ref id, ref error } => {
                if error.message.is_empty() {
                    return fail("ERROR-1", "an error with a message");
                }
                match id {
                    Some(id) if *id != Id::Integer(MALFORMED_FRAME_ID) || self.waits(id) => {
                        self.handle_answer(id.clone(), message, text, number, micros)
                    }
                    _ => {
                        self.malformed.push((error.code, text.to_owned()));
                        if self.malformed.len() > self.unreadable {
                            return fail("ENVELOPE-19", "no error for a malformed frame, as there was none");
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    fn waits(&self, id: &Id) -> bool {
        self.calls.iter().any(|call| call.id == *id && call.answered_micros.is_none())
    }

    fn handle_answer(
        &mut self,
        id: Id,
        message: Message,
        text: &str,
        number: u64,
        micros: u64,
    ) -> Result<(), Violation> {
        let fail = |clause, expected| Err(Violation::new(FailKind::Assertion, clause, expected, text));
        let waiting = |call: &&mut Call| call.id == id && call.answered_micros.is_none();
        let Some(call) = self.calls.iter_mut().find(waiting) else {
            let expected = "one answer for each request, and none for what was not asked";
            return fail("ENVELOPE-19", expected);
        };
        call.answered_micros = Some(micros);
        call.refused = matches!(message, Message::Error { .. });
        if let (true, Message::Response { result, .. }) = (call.opens, &message) {
            self.keeps_credit = result["capabilities"]["httpBodyCredit"] == true;
        }
        let mut fault = Ok(());
        if let (Message::Response { result, .. }, Some(name)) = (&message, &call.cancels)
            && result.get("cancelled") == Some(&Value::Bool(true))
            && self.streams.iter().any(|stream| stream.name == *name && stream.terminal.is_none())
        {
            fault = fail("CANCEL-6", "the terminal frame of a cancelled stream before the answer");
        }
        if let (Message::Response { result, .. }, Some((name, streamed))) = (&message, &call.http) {
            fault = check_result(result, *streamed, text);
            if *streamed {
                self.streams.push(Stream {
                    name: name.clone(),
                    id: id.clone(),
                    next_seq: 1,
                    credit: call.credit.filter(|_| self.keeps_credit),
                    chunks: Vec::new(),
                    answered_micros: micros,
                    first_micros: None,
                    terminal: None,
                    taken: false,
                });
            }
        }
        self.answers.push(Answer { id, message, text: text.to_owned(), number, taken: false });
        fault
    }

    fn handle_delta(&mut self, params: &Value, text: &str, micros: u64) -> Result<(), Violation> {
        let fail = |clause, expected| Err(Violation::new(FailKind::Assertion, clause, expected, text));
        let malformed = |clause, expected| Err(Violation::new(FailKind::Malformed, clause, expected, text));
        let Some(name) = params.get("requestId").and_then(Value::as_str) else {
            return malformed("PARAMS-7", "a delta with the requestId of its call");
        };
        let Some(stream) =
            self.streams.iter_mut().rev().find(|stream| stream.name == name && stream.terminal.is_none())
        else {
            return Err(self.homeless_delta(name, text));
        };
        let Some(seq) = params.get("seq").and_then(Value::as_u64) else {
            return malformed("STREAM-1", "a delta with an integer seq");
        };
        let Some(body) = params.get("deltaBase64").and_then(Value::as_str).and_then(Body::from_text) else {
            return malformed("PARAMS-17", "a delta with standard base64 with padding");
        };
        if seq != stream.next_seq {
            return fail("STREAM-1", &format!("seq {}", stream.next_seq));
        }
        if body.len() > DELTA_BYTES as u64 {
            return fail("STREAM-6", "at most 1,048,576 bytes in a frame");
        }
        if let Some(credit) = stream.credit {
            let Some(left) = credit.checked_sub(body.len()) else {
                return fail("CREDIT-2", &format!("at most {credit} bytes, as no more were allowed"));
            };
            stream.credit = Some(left);
        }
        let done = match params.get("done") {
            None => false,
            Some(Value::Bool(done)) => *done,
            Some(_) => return malformed("STREAM-4", "done as a boolean"),
        };
        let error = match params.get("error") {
            None | Some(Value::Null) => None,
            Some(Value::String(error)) => Some(error.clone()),
            Some(_) => return malformed("STREAM-9", "error as a text or null"),
        };
        stream.next_seq += 1;
        stream.first_micros.get_or_insert(micros);
        stream.chunks.push(body);
        if done {
            let kind = params.get("errorKind").and_then(Value::as_str).map(str::to_owned);
            stream.terminal = Some(Terminal { error, kind, text: text.to_owned() });
        } else if error.is_some() {
            return fail("STREAM-4", "done with error");
        }
        Ok(())
    }

    /// Says which rule a delta breaks that belongs to no open stream.
    fn homeless_delta(&self, name: &str, text: &str) -> Violation {
        let of_name = |call: &&Call| call.http.as_ref().is_some_and(|(id, _)| id == name);
        let streamed = |call: &&Call| call.http.as_ref().is_some_and(|(_, streamed)| *streamed);
        let mut calls = self.calls.iter().filter(of_name);
        let (clause, expected) =
            if self.calls.iter().filter(of_name).any(|call| streamed(&call) && call.answered_micros.is_none()) {
                ("ORDER-1", "the response before the first frame of its stream")
            } else if self.streams.iter().any(|stream| stream.name == name) {
                ("STREAM-3", "no frame behind the terminal frame")
            } else if calls.clone().any(|call| streamed(&call) && call.refused) {
                ("STREAM-7", "no frame for a call that was answered with an error")
            } else if calls.next().is_some() {
                ("RESPONSE-4", "no frame for a buffered call")
            } else {
                ("ENVELOPE-20", "no frame for a stream that was not asked for")
            };
        Violation::new(FailKind::Assertion, clause, expected, text)
    }

    /// The error that the last streamed call of that name was answered with.
    pub(super) fn refusal(&self, name: &str) -> Option<&str> {
        let of_name = |call: &&Call| call.http.as_ref().is_some_and(|(id, streamed)| id == name && *streamed);
        let call = self.calls.iter().rev().find(of_name).filter(|call| call.refused)?;
        self.answers.iter().rev().find(|answer| answer.id == call.id).map(|answer| answer.text.as_str())
    }

    /// How many requests wait for their answer, those aside that the peer may have refused to read.
    pub(super) fn waiting(&self) -> usize {
        self.calls.iter().filter(|call| call.answered_micros.is_none() && !call.doubtful).count()
    }
}

fn check_result(result: &Value, streamed: bool, text: &str) -> Result<(), Violation> {
    let fail = |kind, clause, expected| Err(Violation::new(kind, clause, expected, text));
    let status = result.get("status").and_then(Value::as_u64).is_some_and(|status| (100..=999).contains(&status));
    let entry = |header: &Value| {
        let member = |name: &str| header.get(name).is_some_and(Value::is_string);
        member("name") && member("value")
    };
    let headers = result.get("headers").and_then(Value::as_array).is_some_and(|headers| headers.iter().all(entry));
    let body = result.get("bodyBase64").and_then(Value::as_str);
    if !status || !headers || body.is_none() {
        return fail(FailKind::Malformed, "RESPONSE-1", "a result with status, headers and bodyBase64");
    }
    match body.and_then(Body::from_text) {
        None => fail(FailKind::Malformed, "PARAMS-17", "a bodyBase64 of standard base64 with padding"),
        Some(body) if streamed && !body.is_empty() => {
            fail(FailKind::Assertion, "RESPONSE-3", "an empty bodyBase64 for a streamed call")
        }
        Some(_) => Ok(()),
    }
}

/// The ids in a text that is no message: a peer that reads it anyway answers to one of them.
fn ids_within(text: &str) -> Vec<Id> {
    let behind = text.split("\"id\":").skip(1);
    let value = |rest: &str| serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok();
    behind.filter_map(|rest| Id::from_value(&value(rest)?)).collect()
}
