//! What a specimen does to everything that passes between a client and an executor.
//!
//! A [`Tamper`] stands between a correct peer and whoever tests it, and decides for each [`Unit`] what becomes of it.

mod message;
mod outlet;
mod rules;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use message::{Message, Unit, Way, text};
pub use outlet::{Effect, Outlet};
pub use rules::{
    answers, calls, deltas, failures, frames, hang_up_at, instead, lose, requests, responses, results, terminals,
    unreadable,
};

/// What happens to messages.
type OnMessage = Box<dyn FnMut(Message, &mut Outlet) + Send>;

/// What happens to everything that is no JSON message.
type OnUnit = Box<dyn FnMut(Way, Unit, &mut Outlet) + Send>;

/// What happens to the heads of a request for a websocket and of its response.
pub type OnUpgrade = fn(Way, &mut String);

/// How an executor takes it when its client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outflow {
    /// It reads nothing more from its origins.
    Blocks,
    /// It hoards so many bytes before it does that.
    Hoards(usize),
    /// It keeps so many bytes, and what has to wait longer than that for room is lost.
    Loses(usize, Duration),
}
/// What one read from standard output returns instead of these bytes; never nothing.
pub type OnRead = fn(&[u8]) -> Vec<u8>;

/// Sees what passes, before anything happens to it.
pub type OnWatch = Box<dyn FnMut(Way, &Unit) + Send>;

/// What a specimen does to one connection.
pub struct Tamper {
    /// To messages.
    on_message: OnMessage,
    /// To everything else.
    on_unit: OnUnit,
    /// To the heads by which a websocket is opened.
    on_upgrade: OnUpgrade,
    /// When the connection is open, before anything is read.
    opening: Vec<Effect>,
    /// The direction in which bytes are read as they come.
    unframed: Option<Way>,
    /// To what a client does not read.
    outflow: Outflow,
    /// The executor is reached on two connections.
    doubled: bool,
    /// To what comes from the executor, before it is cut into lines.
    on_read: Option<OnRead>,
    /// Who sees everything first.
    watch: Option<OnWatch>,
    /// The requests under way in each direction, by the text of their ids.
    asked: HashMap<(Way, String), Arc<Value>>,
}

impl Tamper {
    /// Changes nothing.
    pub fn none() -> Self {
        Self::messages(|message, out| out.pass(message))
    }

    /// Decides about each message.
    pub fn messages(rule: impl FnMut(Message, &mut Outlet) + Send + 'static) -> Self {
        Self {
            on_message: Box::new(rule),
            on_unit: Box::new(|way, unit, out| out.unit(way, unit)),
            on_upgrade: |_, _| {},
            opening: Vec::new(),
            unframed: None,
            outflow: Outflow::Blocks,
            doubled: false,
            on_read: None,
            watch: None,
            asked: HashMap::new(),
        }
    }

    /// Decides about everything that is no JSON message.
    pub fn units(rule: impl FnMut(Way, Unit, &mut Outlet) + Send + 'static) -> Self {
        Self::none().with_units(rule)
    }

    /// The same, which also decides about everything that is no JSON message.
    #[must_use]
    pub fn with_units(self, rule: impl FnMut(Way, Unit, &mut Outlet) + Send + 'static) -> Self {
        Self { on_unit: Box::new(rule), ..self }
    }

    /// Does this when the connection is open, before anything is read.
    pub fn opening(rule: impl FnOnce(&mut Outlet)) -> Self {
        let mut out = Outlet::default();
        rule(&mut out);
        Self { opening: out.effects, ..Self::none() }
    }

    /// Decides about the bytes that go that way, as they come: there every unit is [`Unit::Raw`], or the end.
    pub fn bytes(way: Way, rule: impl FnMut(Way, Unit, &mut Outlet) + Send + 'static) -> Self {
        Self { unframed: Some(way), ..Self::units(rule) }
    }

    /// What happens first.
    pub fn take_opening(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.opening)
    }

    /// Bytes that go that way are read as they come.
    pub fn is_unframed(&self, way: Way) -> bool {
        self.unframed == Some(way)
    }

    /// Changes the heads by which a websocket is opened.
    pub fn upgrade(rule: OnUpgrade) -> Self {
        Self { on_upgrade: rule, ..Self::none() }
    }

    /// Takes it in that way when the client does not read.
    pub fn outflow(outflow: Outflow) -> Self {
        Self { outflow, ..Self::none() }
    }

    /// The same with a second connection to the executor. What comes on it is treated as if it came on the first; nothing goes there
    /// but by [`Outlet::aside`].
    #[must_use]
    pub fn doubled(self) -> Self {
        Self { doubled: true, ..self }
    }

    /// What happens to those heads.
    pub fn on_upgrade(&self) -> OnUpgrade {
        self.on_upgrade
    }

    /// How it takes it when the client does not read.
    pub const fn on_silence(&self) -> Outflow {
        self.outflow
    }

    /// It wants a second connection to the executor.
    pub const fn is_doubled(&self) -> bool {
        self.doubled
    }

    /// Changes what a client reads from a pipe, before it is cut into lines.
    pub fn reads(rule: OnRead) -> Self {
        Self { on_read: Some(rule), ..Self::none() }
    }

    /// What happens to each such read.
    pub const fn on_read(&self) -> Option<OnRead> {
        self.on_read
    }

    /// The same, with somebody who sees everything first.
    #[must_use]
    pub fn watched(self, watch: impl FnMut(Way, &Unit) + Send + 'static) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// Decides what becomes of a unit.
    pub fn take(&mut self, way: Way, unit: Unit) -> Vec<Effect> {
        if let Some(watch) = &mut self.watch {
            watch(way, &unit);
        }
        let mut out = Outlet::default();
        let json = match &unit {
            Unit::Message { bytes, .. } => serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object),
            _ => None,
        };
        match json {
            Some(json) => {
                let asked = self.asked_by(way, &json);
                (self.on_message)(Message { way, json: json.clone(), asked, original: (json, unit) }, &mut out);
            }
            None => (self.on_unit)(way, unit, &mut out),
        }
        out.effects
    }

    /// Keeps a request, and finds the one that a message answers.
    fn asked_by(&mut self, way: Way, json: &Value) -> Option<Arc<Value>> {
        let id = json.get("id")?.to_string();
        if json.get("method").is_some() {
            self.asked.insert((way, id), Arc::new(json.clone()));
            return None;
        }
        self.asked.remove(&(way.back(), id))
    }
}

impl fmt::Debug for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tamper").field("asked", &self.asked.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::protocol::delta::DELTA_METHOD;
    use crate::protocol::http::REQUEST_METHOD;

    fn message(text: &str) -> Unit {
        Unit::Message { bytes: Bytes::copy_from_slice(text.as_bytes()), binary: false }
    }

    #[test]
    fn what_nobody_touches_keeps_its_bytes() {
        let mut tamper = deltas(|_| {});
        for text in [r#"{"b":1, "a":1.0}"#, "not JSON", "[1]", r#"{"a":1,"a":2}"#] {
            let sent = Effect::Send(Way::ToExecutor, message(text));
            assert_eq!(tamper.take(Way::ToExecutor, message(text)), [sent]);
        }
        let end = Effect::Send(Way::ToClient, Unit::End);
        assert_eq!(tamper.take(Way::ToClient, Unit::End), [end]);
    }

    #[test]
    fn an_answer_belongs_to_the_request_of_the_other_side() {
        let mut tamper = answers("a", |answer| answer["result"] = json!(2));
        let ask = |method: &str| message(&json!({"id": 1, "method": method}).to_string());
        let answer = message(r#"{"id":1,"result":1}"#);
        let changed = Effect::Send(Way::ToClient, message(r#"{"id":1,"result":2}"#));
        let same = Effect::Send(Way::ToClient, answer.clone());
        // The executor's own request has the same id and is no business of its answers.
        tamper.take(Way::ToClient, ask("a"));
        assert_eq!(tamper.take(Way::ToClient, answer.clone()), std::slice::from_ref(&same));
        tamper.take(Way::ToExecutor, ask("a"));
        assert_eq!(tamper.take(Way::ToClient, answer.clone()), [changed]);
        tamper.take(Way::ToExecutor, ask("b"));
        assert_eq!(tamper.take(Way::ToClient, answer), [same]);
    }

    #[test]
    fn an_exchange_ends_with_its_answer_or_behind_its_body() {
        let mut tamper = Tamper::messages(|message, out| {
            if message.is_end() {
                let refusal = message.refusal(-1, message.request_id(), None);
                out.send(Way::ToClient, &refusal);
            }
        });
        let call = |id: u64, streamed: bool| {
            let params = json!({"requestId": format!("r{id}"), "streamResponse": streamed});
            message(&json!({"id": id, "method": REQUEST_METHOD, "params": params}).to_string())
        };
        let delta = |done: bool| {
            let params = json!({"requestId": "r2", "seq": 1, "deltaBase64": "", "done": done});
            message(&json!({"method": DELTA_METHOD, "params": params}).to_string())
        };
        let result = |id: u64| message(&json!({"id": id, "result": {}}).to_string());
        let failed = |id: u64| message(&json!({"id": id, "error": {}}).to_string());
        for (id, streamed) in [(1, false), (2, true), (3, true)] {
            assert_eq!(tamper.take(Way::ToExecutor, call(id, streamed)), []);
        }
        for (unit, ended) in [
            (result(1), Some("r1")),
            (result(2), None),
            (delta(false), None),
            (delta(true), Some("r2")),
            (failed(3), Some("r3")),
            (failed(4), None),
        ] {
            let effects = tamper.take(Way::ToClient, unit.clone());
            let shown = format!("{effects:?}");
            assert_eq!(effects.len(), usize::from(ended.is_some()), "{unit:?}");
            assert!(shown.contains(ended.unwrap_or_default()), "{shown}");
        }
    }
}
