//! A peer that does what a case asks for and nothing that a clause forbids; how it orders and divides what it sends is
//! chosen by bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arbitrary::Unstructured;
use bytes::Bytes;
use exec_http::conformance::case::template::{Names, Template, resolve_json};
use exec_http::conformance::case::{Action, Case, Condition, Expect, OriginCheck, Outcome, Shape};
use exec_http::conformance::trace::{Body, What};
use exec_http::protocol::delta::BodyDelta;
use exec_http::protocol::error::{ErrorKind, INVALID_REQUEST, MALFORMED_FRAME_ID, METHOD_NOT_FOUND, RpcError};
use exec_http::protocol::http::{REQUEST_METHOD, ResponseHead, ResponseHeader};
use exec_http::protocol::id::Id;
use exec_http::protocol::message::Message;
use serde_json::{Value, json};

/// The peer of one case.
pub(super) struct Peer<'case> {
    /// What it is asked for.
    case: &'case Case,
    /// Calls that were not answered yet, in order.
    calls: Vec<Call>,
    /// Frames that are still to come, one queue for each call; the order between queues is free.
    queues: Vec<Queue>,
    /// Steps whose frames stand in a queue or have come.
    served: BTreeSet<usize>,
    /// Requests that the two origins have seen, by path.
    requests: [BTreeMap<String, usize>; 2],
}

/// A request of the suite.
struct Call {
    /// The connection that it came on.
    connection: String,
    /// Its id.
    id: Id,
    /// The stream that it asks for.
    stream: Option<String>,
    /// It is an exchange, not some other method.
    is_http: bool,
}

/// The frames that answer one call.
struct Queue {
    /// The connection that they go to.
    connection: String,
    /// In the order that they must have.
    frames: VecDeque<String>,
}

impl<'case> Peer<'case> {
    pub(super) fn new(case: &'case Case) -> Self {
        Self { case, calls: Vec::new(), queues: Vec::new(), served: BTreeSet::new(), requests: Default::default() }
    }

    /// The suite has sent a frame. What is awaited later can come from now on.
    pub(super) fn handle_sent(&mut self, connection: &str, frame: &[u8], names: &Names, bytes: &mut Unstructured<'_>) {
        let Ok(Message::Request { id, method, params }) = Message::decode(frame) else { return };
        let params = params.unwrap_or_default();
        let stream = params["requestId"].as_str().filter(|_| params["streamResponse"] == true);
        let is_http = method == REQUEST_METHOD;
        let stream = stream.filter(|_| is_http).map(str::to_owned);
        self.calls.push(Call { connection: connection.to_owned(), id: id.clone(), stream, is_http });
        let second = |action: &Action| matches!(action, Action::Before(_, second) if *second == id.to_value());
        if self.case.steps.iter().any(|step| second(&step.action)) {
            // Answered when it is awaited, behind the other one.
            return;
        }
        let awaits = |index: &usize| {
            let step = &self.case.steps[*index];
            let Action::Expect(Expect::Answer(expected, _)) = &step.action else { return false };
            let expected = resolve_json(expected, names);
            step.connection == connection && !self.served.contains(index) && expected == Ok(id.to_value())
        };
        if let Some(step) = (0..self.case.steps.len()).find(awaits) {
            self.serve(step, names, bytes);
        }
    }

    /// One of the frames that can come next.
    pub(super) fn poll_frame(&mut self, bytes: &mut Unstructured<'_>) -> Option<What> {
        self.queues.retain(|queue| !queue.frames.is_empty());
        let queue = bytes.choose_index(self.queues.len()).unwrap_or(0);
        let Queue { connection, frames } = self.queues.get_mut(queue)?;
        Some(What::Received { connection: connection.clone(), text: frames.pop_front()?, binary: false })
    }

    /// Something that brings the step nearer to what it waits for.
    pub(super) fn poll_awaited(&mut self, index: usize, names: &Names, bytes: &mut Unstructured<'_>) -> Option<What> {
        let step = &self.case.steps[index];
        let connection = step.connection.clone();
        match &step.action {
            Action::Expect(Expect::Answer(..)) if !self.served.contains(&index) => {
                self.serve(index, names, bytes);
                self.poll_frame(bytes)
            }
            Action::Expect(Expect::Closed) => {
                let ended = What::Ended { connection, reason: "end of input".to_owned() };
                Some(self.poll_frame(bytes).unwrap_or(ended))
            }
            Action::Expect(Expect::Exit(code)) => Some(What::Exited { code: Some(code.unwrap_or(0)) }),
            Action::Expect(Expect::CloseFrame(code)) => Some(What::CloseFrame { connection, code: *code }),
            Action::Expect(Expect::Pong(payload)) => {
                Some(What::Pong { connection, text: payload.resolve_text(names).ok()? })
            }
            Action::Expect(Expect::Malformed) => {
                let error = RpcError::new(INVALID_REQUEST, "not a message");
                let frame = Message::Error { id: Some(MALFORMED_FRAME_ID.into()), error };
                Some(What::Received { connection, text: text(frame.encode())?, binary: false })
            }
            Action::Expect(_) => self.poll_frame(bytes),
            Action::Origin(origin, check) => self.poll_origin(*origin, check, names),
            _ => None,
        }
    }

    /// Puts the frames in a queue that answer the call which this step awaits.
    fn serve(&mut self, index: usize, names: &Names, bytes: &mut Unstructured<'_>) -> Option<()> {
        let step = &self.case.steps[index];
        let Action::Expect(Expect::Answer(id, outcomes)) = &step.action else { return None };
        let id = Id::from_value(&resolve_json(id, names).ok()?)?;
        let call = self.calls.iter().position(|call| call.id == id && call.connection == step.connection);
        let call = call.map(|call| self.calls.remove(call));
        let stream = call.as_ref().and_then(|call| call.stream.clone());
        // Which outcome a stream has is said by the steps that await its frames.
        let last = if stream.is_some() { 0 } else { outcomes.len() - 1 };
        let outcome = &outcomes[bytes.int_in_range(0..=last).unwrap_or(0)];
        let message = answer(id, outcome, call.is_some_and(|call| call.is_http), names)?;
        let mut frames = VecDeque::from([text(message.encode())?]);
        if let (Message::Response { .. }, Some(name)) = (message, stream) {
            frames.extend(self.deltas(&step.connection, &name, names, bytes)?);
        }
        self.queues.push(Queue { connection: step.connection.clone(), frames });
        self.served.insert(index);
        Some(())
    }

    /// The frames of the next stream of that name.
    fn deltas(
        &mut self,
        connection: &str,
        name: &str,
        names: &Names,
        bytes: &mut Unstructured<'_>,
    ) -> Option<Vec<String>> {
        let is_name = |template: &Template| template.resolve_text(names).is_ok_and(|other| other == name);
        let mut body = Vec::new();
        let mut end = None;
        for (index, step) in self.case.steps.iter().enumerate() {
            let Action::Expect(expect) = &step.action else { continue };
            if step.connection != connection || self.served.contains(&index) {
                continue;
            }
            match expect {
                Expect::Part(stream, part) if is_name(stream) => body = part.resolve(names).ok()?,
                Expect::Whole(stream, whole, frames) if is_name(stream) => {
                    body = whole.as_ref().map_or(Ok(body), |whole| whole.resolve(names)).ok()?;
                    end = Some((*frames, None));
                }
                Expect::Failed(stream, whole, conditions) if is_name(stream) => {
                    body = whole.as_ref().map_or(Ok(body), |whole| whole.resolve(names)).ok()?;
                    end = Some((None, Some(kind(conditions))));
                }
                _ => continue,
            }
            self.served.insert(index);
            if end.is_some() {
                break;
            }
        }
        let mut chunks = divide(&body, end.and_then(|(frames, _)| frames), bytes);
        let terminal = end.map(|(_, failure)| (chunks.pop().unwrap_or_default(), failure));
        let delta = |seq, data, done, failure: Option<Option<ErrorKind>>| {
            let error = failure.map(|_| "the exchange failed".to_owned());
            let mut frame = Vec::new();
            BodyDelta { request_id: name.to_owned(), seq, data, done, error, error_kind: failure.flatten() }
                .encode_into(&mut frame);
            text(frame)
        };
        let last = chunks.len() as u64 + 1;
        let chunks = (1..).zip(chunks).map(|(seq, data)| delta(seq, data, false, None));
        chunks.chain(terminal.map(|(data, failure)| delta(last, data, true, failure))).collect()
    }

    /// Something that an origin sees.
    fn poll_origin(&mut self, origin: usize, check: &OriginCheck, names: &Names) -> Option<What> {
        match check {
            OriginCheck::Connections(_) => Some(What::Accepted { origin }),
            OriginCheck::Idle => Some(What::Closed { origin }),
            OriginCheck::Count(path, _) | OriginCheck::Request(path, ..) => self.request(origin, path, names),
            OriginCheck::Aborted(path, _) => Some(What::Aborted { origin, path: path.clone() }),
            OriginCheck::Blocked(path, _) => Some(What::Blocked { origin, path: path.clone(), written: 0 }),
        }
    }

    /// A request for that path that is as all steps want it.
    fn request(&mut self, origin: usize, path: &str, names: &Names) -> Option<What> {
        let seen = self.requests[origin].entry(path.to_owned()).or_default();
        *seen += 1;
        let (mut method, mut target, mut headers, mut body) = ("GET", path.to_owned(), Vec::new(), Body::new(b""));
        for step in &self.case.steps {
            let Action::Origin(of, OriginCheck::Request(asked, nth, conditions)) = &step.action else { continue };
            if *of != origin || asked != path || nth.is_some_and(|nth| nth != *seen) {
                continue;
            }
            for condition in conditions {
                match condition {
                    Condition::Method(asked) => method = asked,
                    Condition::Target(asked) => target = asked.resolve_text(names).ok()?,
                    Condition::Body(asked) => body = Body::new(&asked.resolve(names).ok()?),
                    Condition::Header(name, values) => {
                        headers.retain(|(other, _)| other != name);
                        for value in values {
                            // A trace has header bytes as Latin-1.
                            let value = value.resolve(names).ok()?.into_iter().map(char::from).collect();
                            headers.push((name.clone(), value));
                        }
                    }
                    Condition::NoHeader(_) | Condition::Lacks(_) => {}
                    Condition::Kind(_) | Condition::Code(_) | Condition::Says(_) => {}
                }
            }
        }
        Some(What::Request { origin, method: method.to_owned(), target, headers, body })
    }
}

/// An answer that satisfies the outcome.
fn answer(id: Id, outcome: &Outcome, is_http: bool, names: &Names) -> Option<Message> {
    let mut head = ResponseHead { status: 200, headers: Vec::new(), body: Bytes::new() };
    for condition in &outcome.conditions {
        match condition {
            Condition::Body(body) => head.body = body.resolve(names).ok()?.into(),
            Condition::Header(name, values) => {
                for value in values {
                    let value = value.resolve(names).ok()?.into();
                    head.headers.push(ResponseHeader { name: name.clone(), value });
                }
            }
            _ => {}
        }
    }
    Some(match &outcome.shape {
        Shape::Error(codes) => {
            let error = RpcError { kind: kind(&outcome.conditions), ..RpcError::new(*codes.first()?, "refused") };
            Message::Error { id: Some(id), error }
        }
        Shape::Answered if !is_http => {
            Message::Error { id: Some(id), error: RpcError::new(METHOD_NOT_FOUND, "unknown") }
        }
        Shape::Answered => Message::Response { id, result: head.to_value() },
        Shape::Status(statuses) => {
            head.status = *statuses.first()?;
            Message::Response { id, result: head.to_value() }
        }
        Shape::Result(pattern) => {
            let mut result = if is_http { head.to_value() } else { json!({}) };
            for (name, member) in pattern.as_object()? {
                // Any value will do, so the usual one does.
                if *member == "$absent" || (*member == "$any" && result.get(name).is_some()) {
                    continue;
                }
                result[name] = fill(member, names)?;
            }
            Message::Response { id, result }
        }
    })
}

/// A value that matches the pattern.
fn fill(pattern: &Value, names: &Names) -> Option<Value> {
    Some(match pattern {
        Value::String(text) if text == "$any" => Value::Null,
        Value::String(text) if text == "$text" || text.starts_with("$not(") => "other".into(),
        Value::String(text) if text.starts_with("$set(") => "kept".into(),
        Value::Object(members) => {
            let present = members.iter().filter(|(_, member)| *member != "$absent");
            present.map(|(name, member)| Some((name.clone(), fill(member, names)?))).collect::<Option<_>>()?
        }
        Value::Array(items) => items.iter().map(|item| fill(item, names)).collect::<Option<_>>()?,
        plain => resolve_json(plain, names).ok()?,
    })
}

/// A kind that the conditions allow.
fn kind(conditions: &[Condition]) -> Option<ErrorKind> {
    let words = conditions.iter().find_map(|condition| match condition {
        Condition::Kind(words) => Some(words),
        _ => None,
    });
    words?.iter().find_map(|word| ErrorKind::from_word(word))
}

/// The bytes in so many chunks, or in any number of them; empty ones are allowed, and the last may be.
fn divide(mut body: &[u8], count: Option<usize>, bytes: &mut Unstructured<'_>) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while !body.is_empty() && count != Some(chunks.len() + 1) {
        let (chunk, rest) = body.split_at(body.len() - bytes.int_in_range(0..=body.len()).unwrap_or(0));
        chunks.push(Bytes::copy_from_slice(chunk));
        body = rest;
    }
    chunks.resize(count.map_or(chunks.len(), |count| count.saturating_sub(1)), Bytes::new());
    chunks.push(Bytes::copy_from_slice(body));
    chunks
}

/// A frame as a trace keeps it.
fn text(frame: Vec<u8>) -> Option<String> {
    String::from_utf8(frame).ok()
}
