//! What has passed of each call, for clients whose defect shows in one situation only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::INTERNAL_ERROR;
use crate::sync::{Arc, Mutex};

/// A call, and what has come of it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// Its request.
    pub(super) asked: Value,
    /// The result that answered it.
    pub(super) result: Option<Value>,
    /// It was answered with an error.
    pub(super) refused: bool,
    /// The number that its next frame must have.
    pub(super) next: u64,
    /// Frames that came before its response.
    pub(super) early: u64,
    /// Bytes of its frames.
    pub(super) bytes: usize,
    /// Its last frame has come, or one with a wrong number.
    pub(super) over: bool,
}

impl Exchange {
    fn new(asked: Value) -> Self {
        Self { asked, result: None, refused: false, next: 1, early: 0, bytes: 0, over: false }
    }

    /// A member of its params.
    pub(super) fn param(&self, name: &str) -> &str {
        self.asked["params"][name].as_str().unwrap_or_default()
    }

    /// It asked for a stream.
    pub(super) fn is_streamed(&self) -> bool {
        self.asked["params"]["streamResponse"] == true
    }

    /// It waits for its answer.
    pub(super) fn is_pending(&self) -> bool {
        self.result.is_none() && !self.refused
    }

    /// Its response has come and the end of its body has not.
    pub(super) fn is_open(&self) -> bool {
        self.is_streamed() && self.result.is_some() && !self.over
    }

    /// The first `content-length` of its response.
    pub(super) fn length(&self) -> Option<usize> {
        let headers = self.result.as_ref()?["headers"].as_array()?.iter();
        let mut lengths = headers.filter(|header| header["name"] == "content-length");
        lengths.next()?["value"].as_str()?.parse().ok()
    }

    /// A terminal frame, with that error or without one.
    pub(super) fn end(&self, error: Option<&str>) -> Value {
        let params = json!({
            "requestId": self.param("requestId"), "seq": self.next, "deltaBase64": "", "done": true, "error": error,
        });
        json!({"method": DELTA_METHOD, "params": params})
    }

    /// An error as its answer.
    pub(super) fn refusal(&self, text: &str) -> Value {
        json!({"id": self.asked["id"], "error": {"code": INTERNAL_ERROR, "message": text}})
    }

    /// A response without headers and body as its answer.
    pub(super) fn empty_response(&self) -> Value {
        json!({"id": self.asked["id"], "result": {"status": 200, "headers": [], "bodyBase64": ""}})
    }

    fn note(&mut self, message: &Message) {
        if message.is_answer() {
            self.result = message.json.get("result").cloned();
            self.refused = self.result.is_none();
        } else if !self.over {
            let params = &message.json["params"];
            self.over = message.is_terminal() || params["seq"] != self.next;
            self.next += 1;
            self.early += u64::from(self.is_pending());
            self.bytes += decoded(params).len();
        }
    }
}

/// Decides about answers and frames of calls, knowing what has passed before them.
pub(super) fn exchanges(mut rule: impl FnMut(&Exchange, Message, &mut Outlet) + Send + 'static) -> Tamper {
    let mut all = Vec::new();
    Tamper::messages(move |message, out| match note(&mut all, &message) {
        Some(before) => rule(&before, message, out),
        None => out.pass(message),
    })
}

/// Decides about frames of calls, knowing what has passed before them.
pub(super) fn frames(mut rule: impl FnMut(&Exchange, Message, &mut Outlet) + Send + 'static) -> Tamper {
    exchanges(
        move |before, message, out| if message.is_delta() { rule(before, message, out) } else { out.pass(message) },
    )
}

/// Says something to the client before such a unit that comes from the executor and is no message.
pub(super) fn before(when: fn(&Unit) -> bool, says: fn(&[Exchange]) -> Vec<Value>) -> Tamper {
    let all = Arc::new(Mutex::new(Vec::new()));
    let at_unit = Arc::clone(&all);
    Tamper::messages(move |message, out| {
        note(&mut all.lock(), &message);
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        if way == Way::ToClient && when(&unit) {
            says(&at_unit.lock()).iter().for_each(|json| out.send(way, json));
        }
        out.unit(way, unit);
    })
}

/// The bytes of a frame.
pub(super) fn decoded(delta: &Value) -> Vec<u8> {
    delta["deltaBase64"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

/// Keeps what a message says about its call, which is returned as it was before.
fn note(all: &mut Vec<Exchange>, message: &Message) -> Option<Exchange> {
    if message.is_call() {
        all.push(Exchange::new(message.json.clone()));
        return None;
    }
    if !message.is_answer() && !message.is_delta() {
        return None;
    }
    let (id, name) = (&message.json["id"], message.request_id());
    let belongs = |exchange: &&mut Exchange| {
        if message.is_delta() { exchange.param("requestId") == name } else { exchange.asked["id"] == *id }
    };
    let found = all.iter_mut().rev().find(belongs)?;
    let before = found.clone();
    found.note(message);
    Some(before)
}
