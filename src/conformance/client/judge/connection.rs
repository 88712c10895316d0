//! One connection as the frames of the client show it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::conformance::case::Condition;
use crate::conformance::case::template::Names;
use crate::conformance::judge::{FailKind, Progress, Violation};
use crate::conformance::matcher::{match_body, match_header, match_lacks};
use crate::conformance::trace::Body;
use crate::protocol::cancel::CANCEL_METHOD;
use crate::protocol::credit::{CREDIT_METHOD, CreditParams};
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::id::Id;
use crate::protocol::message::Message;

/// The methods of the handshake.
const INITIALIZE: &str = "initialize";
const INITIALIZED: &str = "initialized";

/// A connection, and what the client has sent on it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// The client had another one before, under the same name.
    pub(super) is_later: bool,
    /// The head of its request for a websocket; empty on stdio. `None` before the client has connected.
    pub(super) head: Option<String>,
    /// Its requests in order.
    pub(super) requests: Vec<Asked>,
    /// Its notifications, in order.
    pub(super) notifications: Vec<Told>,
    /// Its answers to requests of the suite, in order.
    pub(super) answers: Vec<Answer>,
    /// Ids of its requests that were not answered.
    waiting: Vec<Id>,
    /// The `requestId`s of its streams.
    stream_ids: BTreeSet<String>,
    /// The executor has announced `httpHeaderEnvVars`.
    header_env_vars: bool,
    /// The executor has offered `http/request/cancel`.
    cancel: bool,
    /// The executor has offered credit.
    credit: bool,
    /// The `requestId`s of streams that have one.
    credited: BTreeSet<String>,
    /// Payloads of pongs that no step has taken.
    pub(super) pongs: Vec<String>,
    /// How the client ended the connection.
    pub(super) ended: Option<String>,
    /// The last frame.
    pub(super) last: Option<String>,
}

/// A request of the client.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its id.
    pub(super) id: Id,
    /// Its method.
    pub(super) method: String,
    /// Its params.
    pub(super) params: Value,
    /// The frame.
    pub(super) text: String,
    /// A step, or a call of the application, has taken it.
    pub(super) taken: bool,
}

/// A notification of the client.
#[derive(Debug)]
pub(super) struct Told {
    /// Its method.
    pub(super) method: String,
    /// Its params.
    pub(super) params: Value,
    /// A step has taken it.
    pub(super) taken: bool,
}

/// An answer of the client.
#[derive(Debug)]
pub(super) struct Answer {
    /// The id of the request.
    pub(super) id: Id,
    /// A result or an error.
    pub(super) message: Message,
    /// The frame.
    pub(super) text: String,
    /// A step has taken it.
    pub(super) taken: bool,
}

impl Asked {
    /// Whether the request is as a step expects it.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub(super) fn satisfies(&self, condition: &Condition, names: &Names) -> Result<(), String> {
        match condition {
            Condition::Header(..) | Condition::NoHeader(_) => {
                let text = |header: &Value, member| header[member].as_str().unwrap_or_default().to_owned();
                let headers = self.params["headers"].as_array().into_iter().flatten();
                let entries = headers.map(|header| (text(header, "name"), text(header, "value"))).collect();
                match_header(condition, entries, names, false)
            }
            Condition::Body(expected) => {
                match_body(expected, self.params["bodyBase64"].as_str().and_then(Body::from_text).as_ref(), names)
            }
            Condition::Lacks(unwanted) => match_lacks(unwanted, &self.text, names),
            _ => Err("a request has headers, a body and a text only".to_owned()),
        }
    }
}

impl Connection {
    /// Whether the client has connected with such headers.
    pub(super) fn connected(&self, conditions: &[Condition], names: &Names) -> Progress {
        let Some(head) = &self.head else { return Progress::Pending };
        let entry = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let entries: Vec<_> = head.lines().skip(1).filter_map(entry).collect();
        for condition in conditions {
            let matched = match condition {
                Condition::Header(..) | Condition::NoHeader(_) => {
                    match_header(condition, entries.clone(), names, false)
                }
                _ => Err("a connection has headers only".to_owned()),
            };
            if let Err(fault) = matched {
                return Progress::failed(fault);
            }
        }
        Progress::MET
    }

    /// A connection of a client that had one before.
    pub(super) fn later() -> Self {
        Self { is_later: true, ..Self::default() }
    }

    /// The suite sent a frame.
    pub(super) fn handle_sent(&mut self, text: &str) {
        let Ok(message) = Message::decode(text.as_bytes()) else { return };
        if let Message::Response { id, result } = &message {
            let flag = result.pointer("/environmentInfo/capabilities/httpHeaderEnvVars");
            self.header_env_vars |= flag == Some(&Value::Bool(true));
            self.cancel |= result.pointer("/capabilities/httpRequestCancel") == Some(&Value::Bool(true));
            self.credit |= result.pointer("/capabilities/httpBodyCredit") == Some(&Value::Bool(true));
            self.waiting.retain(|waiting| waiting != id);
        } else if let Message::Error { id: Some(id), .. } = &message {
            self.waiting.retain(|waiting| waiting != id);
        }
    }

    /// The client sent a frame.
    ///
    /// # Errors
    ///
    /// The clause that the frame breaks.
    pub(super) fn handle_received(&mut self, text: &str) -> Result<(), Violation> {
        self.last = Some(text.to_owned());
        let fail = |clause, expected: &str| Err(Violation::new(FailKind::Assertion, clause, expected, text));
        let message = Message::decode(text.as_bytes()).map_err(|malformed| {
            let expected = format!("a message; this is {malformed}");
            Violation::new(FailKind::Malformed, "ENVELOPE-1", &expected, text)
        })?;
        match message {
            Message::Request { id, method, params } => {
                let params = params.unwrap_or_default();
                if self.requests.is_empty() && method != INITIALIZE {
                    return fail("HANDSHAKE-1", "initialize as the first request");
                }
                if self.waiting.contains(&id) {
                    return fail("ID-6", "an id that no request in flight has");
                }
                if method == REQUEST_METHOD {
                    if !self.notifications.iter().any(|told| told.method == INITIALIZED) {
                        return fail("HANDSHAKE-1", "initialized before the first http/request");
                    }
                    self.check_request(&params, text)?;
                }
                if method == CANCEL_METHOD {
                    self.check_cancel(&params, text)?;
                }
                self.waiting.push(id.clone());
                self.requests.push(Asked { id, method, params, text: text.to_owned(), taken: false });
            }
            Message::Notification { method, params } => {
                let params = params.unwrap_or_default();
                match method.as_str() {
                    INITIALIZED => {}
                    CREDIT_METHOD => self.check_credit(&params, text)?,
                    _ => return fail("ENVELOPE-21", "no notification but initialized"),
                }
                self.notifications.push(Told { method, params, taken: false });
            }
            Message::Response { ref id, .. } | Message::Error { id: Some(ref id), .. } => {
                self.answers.push(Answer { id: id.clone(), message, text: text.to_owned(), taken: false });
            }
            Message::Error { id: None, .. } => {}
        }
        Ok(())
    }

    fn check_cancel(&self, params: &Value, text: &str) -> Result<(), Violation> {
        let fail = |expected| Err(Violation::new(FailKind::Assertion, "CANCEL-8", expected, text));
        let name = params.get("requestId").and_then(Value::as_str);
        let named_by = |method| {
            let mut of_method = self.requests.iter().filter(move |asked| asked.method == method);
            of_method.any(|asked| asked.params["requestId"].as_str() == name)
        };
        if !self.cancel {
            fail("no cancel request, which the executor has not offered")
        } else if !named_by(REQUEST_METHOD) {
            fail("a cancel request for a call of this connection")
        } else if named_by(CANCEL_METHOD) {
            fail("one cancel request for a call")
        } else {
            Ok(())
        }
    }

    fn check_credit(&self, params: &Value, text: &str) -> Result<(), Violation> {
        let fail = |expected| Err(Violation::new(FailKind::Assertion, "CREDIT-9", expected, text));
        match CreditParams::from_value(Some(params)) {
            _ if !self.credit => fail("no credit, which the executor has not offered"),
            Some(CreditParams { bytes: 0, .. }) | None => fail("a requestId, and one byte at least"),
            Some(CreditParams { request_id, .. }) if !self.credited.contains(&request_id) => {
                fail("credit for a stream of this connection that has one")
            }
            Some(_) => Ok(()),
        }
    }

    fn check_request(&mut self, params: &Value, text: &str) -> Result<(), Violation> {
        let malformed = |clause, expected| Err(Violation::new(FailKind::Malformed, clause, expected, text));
        let is_text = |member: &str| params.get(member).is_some_and(Value::is_string);
        if !is_text("method") || !is_text("url") {
            return malformed("PARAMS-1", "a method and a url, both texts");
        }
        let Some(name) = params.get("requestId").and_then(Value::as_str) else {
            return malformed("PARAMS-28", "a requestId, as text");
        };
        let streamed = match params.get("streamResponse") {
            None => false,
            Some(Value::Bool(streamed)) => *streamed,
            Some(_) => return malformed("PARAMS-28", "streamResponse as a boolean"),
        };
        match params.get("bodyBase64") {
            None | Some(Value::Null) => {}
            Some(Value::String(body)) if Body::from_text(body).is_some() => {}
            Some(_) => return malformed("PARAMS-17", "a bodyBase64 of standard base64 with padding"),
        }
        let headers = params.get("headers").and_then(Value::as_array);
        let has_variable = |header: &Value| header.get("valueEnvVar").is_some_and(|variable| !variable.is_null());
        if !self.header_env_vars && headers.into_iter().flatten().any(has_variable) {
            return malformed("PARAMS-27", "no valueEnvVar, which the executor has not announced");
        }
        match params.get("creditBytes") {
            None | Some(Value::Null) => {}
            Some(_) if !self.credit => {
                let expected = "no creditBytes, as the executor has not offered credit";
                return Err(Violation::new(FailKind::Assertion, "CREDIT-9", expected, text));
            }
            Some(credit) if !credit.is_u64() => return malformed("CREDIT-9", "creditBytes as a count"),
            Some(_) => drop(self.credited.insert(name.to_owned())),
        }
        if streamed && !self.stream_ids.insert(name.to_owned()) {
            let expected = "a requestId that no stream of this connection had before";
            return Err(Violation::new(FailKind::Assertion, "ROUTE-3", expected, text));
        }
        Ok(())
    }
}
