//! A session between a client and an executor that somebody else runs: recorded, and judged by what each of them promises
//! whatever the other does.
//!
//! In the trace of a tap `sent` is what the client said, and `received` what the executor said. Messages of other protocols on the
//! same connection are recorded and not judged.

use std::sync::LazyLock;
use std::time::Instant;

use super::artifacts::TraceFile;
use super::case::parse::parse_cases;
use super::case::template::Names;
use super::case::{Case, MAIN, Transport};
use super::clause::Side;
use super::judge::{FailKind, Finding, Judge, Judgement, State};
use super::trace::{Event, Trace, What, shorten};
use super::zoo::tamper::{Unit, Way};
use crate::protocol::message::Message;

/// What the trace of a tap has in the place of the id of a case.
pub const TAP: &str = "tap/session";

/// The names of methods that are judged begin so.
const METHODS: [&str; 3] = ["initialize", "environment/info", "http/"];

/// The step by which errors for malformed frames need not be awaited; the one before it opens the connection.
const ALLOWANCE: usize = 1;

/// Events of one session that are judged: the judges keep every call.
const SESSION_EVENTS: u64 = 1_000_000;

static CASES: LazyLock<Vec<Case>> =
    LazyLock::new(|| parse_cases("tap.case", include_str!("tap.case")).expect("a test reads it"));

/// A promise that one side broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Who.
    pub side: Side,
    /// How.
    pub kind: FailKind,
    /// Which clause, and by what.
    pub finding: Finding,
    /// The number of the event that shows it.
    pub number: u64,
}

/// Judges both sides of a session.
#[derive(Debug)]
pub struct Sides {
    /// The executor's; `None` when it has complained.
    executor: Option<Judge<'static>>,
    /// The client's, likewise.
    client: Option<Judge<'static>>,
}

impl Sides {
    /// A session of which nothing was heard.
    pub fn new(transport: Transport) -> Self {
        let [mut executor, mut client] = [Judge::new(&CASES[0]), Judge::new(&CASES[1])];
        for (judge, step) in [(&mut executor, ALLOWANCE), (&mut client, 0)] {
            let begun = |what| Event { number: 0, micros: 0, what };
            judge.handle(&begun(begin(transport)));
            judge.handle(&begun(What::Step { step }));
        }
        Self { executor: Some(executor), client: Some(client) }
    }

    /// Takes the next event. Each side is complained about once: behind a broken promise nothing is sure.
    pub fn handle(&mut self, event: &Event) -> Vec<Complaint> {
        if !is_judged(&event.what) {
            return Vec::new();
        }
        let mirrored = Event { what: mirrored(event.what.clone()), ..event.clone() };
        let sides = [(Side::Executor, &mut self.executor, event), (Side::Client, &mut self.client, &mirrored)];
        let complain = |(side, judge, event): (Side, &mut Option<Judge<'static>>, &Event)| {
            if judge.as_mut()?.handle(event) != State::Over {
                return None;
            }
            match judge.take()?.finish() {
                Judgement::Fail(kind, finding) => Some(Complaint { side, kind, finding, number: event.number }),
                _ => None,
            }
        };
        sides.into_iter().filter_map(complain).collect()
    }
}

/// Everything that can be said against either side of a stored session.
pub fn judge(trace: &Trace) -> Vec<Complaint> {
    let over = |what: &What| matches!(what, What::Begun { transport, .. } if transport == "ws");
    let is_websocket = trace.events.first().is_some_and(|event| over(&event.what));
    let mut sides = Sides::new(if is_websocket { Transport::Websocket } else { Transport::Stdio });
    trace.events.iter().skip(1).flat_map(|event| sides.handle(event)).collect()
}

fn begin(transport: Transport) -> What {
    What::Begun { case: TAP.to_owned(), names: Names::new(), transport: transport.to_string(), time_scale: 1.0 }
}

/// The event as the executor's end sees it: the client is the one that is tested.
fn mirrored(what: What) -> What {
    match what {
        What::Sent { connection, text } => What::Received { connection, text, binary: false },
        What::Received { connection, text, .. } => What::Sent { connection, text },
        other => other,
    }
}

/// Connections of real executors carry other methods too, about which this suite knows nothing.
fn is_judged(what: &What) -> bool {
    let (What::Sent { text, .. } | What::Received { text, .. }) = what else {
        // The end of a connection, a ping: neither side promises when.
        return false;
    };
    match Message::decode(text.as_bytes()) {
        Ok(Message::Notification { method, .. }) => METHODS.iter().any(|known| method.starts_with(known)),
        // The answers to other requests have to be known, and so do the requests.
        _ => true,
    }
}

/// A session under way.
#[derive(Debug)]
pub struct Tap {
    /// Where it is recorded.
    file: Option<TraceFile>,
    /// Its judges.
    sides: Sides,
    /// When it began.
    start: Instant,
    /// The number of the last event.
    number: u64,
}

impl Tap {
    /// A session that begins, recorded in that file.
    pub fn begin(transport: Transport, file: Option<TraceFile>) -> Self {
        let mut tap = Self { file, sides: Sides::new(transport), start: Instant::now(), number: 0 };
        tap.record(begin(transport));
        tap
    }

    /// Takes what passes that way.
    pub fn note(&mut self, way: Way, unit: &Unit) -> Vec<Complaint> {
        let connection = MAIN.to_owned();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let what = match (way, unit) {
            (Way::ToExecutor, Unit::Message { bytes, .. } | Unit::Raw(bytes)) => {
                What::Sent { connection, text: shorten(bytes) }
            }
            (Way::ToClient, Unit::Message { bytes, binary }) => {
                What::Received { connection, text: shorten(bytes), binary: *binary }
            }
            (Way::ToClient, Unit::Raw(bytes)) => What::Received { connection, text: shorten(bytes), binary: false },
            (Way::ToClient, Unit::Ping(payload)) => What::Ping { connection, text: text(payload) },
            (Way::ToClient, Unit::Pong(payload)) => What::Pong { connection, text: text(payload) },
            (Way::ToClient, Unit::Close(code)) => What::CloseFrame { connection, code: *code },
            (Way::ToClient, Unit::Reset) => What::Ended { connection, reason: "a reset by the executor".to_owned() },
            (Way::ToClient, Unit::End) => What::Ended { connection, reason: "the end by the executor".to_owned() },
            (Way::ToExecutor, Unit::Reset | Unit::End) => {
                What::Ended { connection, reason: "the end by the client".to_owned() }
            }
            (Way::ToExecutor, Unit::Ping(_) | Unit::Pong(_) | Unit::Close(_)) => return Vec::new(),
        };
        self.record(what)
    }

    fn record(&mut self, what: What) -> Vec<Complaint> {
        self.number += 1;
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = Event { number: self.number, micros, what };
        if let Some(file) = &mut self.file {
            file.add(&event);
        }
        if self.number > SESSION_EVENTS {
            self.sides = Sides { executor: None, client: None };
        }
        self.sides.handle(&event)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn play(messages: &[(Way, Value)]) -> Vec<Complaint> {
        let mut tap = Tap::begin(Transport::Stdio, None);
        let unit = |message: &Value| Unit::Message { bytes: Bytes::from(message.to_string()), binary: false };
        messages.iter().flat_map(|(way, message)| tap.note(*way, &unit(message))).collect()
    }

    fn handshake() -> Vec<(Way, Value)> {
        vec![
            (Way::ToExecutor, json!({"id": 0, "method": "initialize", "params": {"clientName": "c"}})),
            (Way::ToClient, json!({"id": 0, "result": {"sessionId": "s"}})),
            (Way::ToExecutor, json!({"method": "initialized", "params": {}})),
        ]
    }

    fn call(id: u64, name: &str) -> (Way, Value) {
        let params = json!({"method": "GET", "url": "http://127.0.0.1:1/", "headers": [], "requestId": name, "streamResponse": true});
        (Way::ToExecutor, json!({"id": id, "method": "http/request", "params": params}))
    }

    fn response(id: u64) -> (Way, Value) {
        (Way::ToClient, json!({"id": id, "result": {"status": 200, "headers": [], "bodyBase64": ""}}))
    }

    fn delta(name: &str, seq: u64, done: bool) -> (Way, Value) {
        let params = json!({"requestId": name, "seq": seq, "deltaBase64": "", "done": done, "error": null});
        (Way::ToClient, json!({"method": "http/request/bodyDelta", "params": params}))
    }

    #[test]
    fn a_good_session_is_not_complained_about() {
        let others = [
            (Way::ToExecutor, json!({"id": 9, "method": "process/start", "params": {}})),
            (Way::ToClient, json!({"method": "process/output", "params": {}})),
            (Way::ToClient, json!({"id": 9, "result": {}})),
        ];
        let session =
            [handshake(), others.into(), vec![call(1, "a"), response(1), delta("a", 1, false), delta("a", 2, true)]];
        assert_eq!(play(&session.concat()), []);
    }

    #[test]
    fn each_side_is_complained_about_once() {
        let session = [
            handshake(),
            vec![
                call(1, "a"),
                response(1),
                delta("a", 2, false),
                delta("a", 5, true),
                call(2, "b"),
                call(2, "c"),
                call(3, "c"),
            ],
        ];
        let complaints = play(&session.concat());
        let said: Vec<_> = complaints.iter().map(|one| (one.side, one.finding.clause.as_str(), one.number)).collect();
        assert_eq!(said, [(Side::Executor, "STREAM-1", 7), (Side::Client, "ID-6", 10)]);
    }

    #[test]
    fn a_stored_session_is_judged_alike() {
        let mut events = vec![Event { number: 1, micros: 0, what: begin(Transport::Websocket) }];
        for ((way, message), number) in [call(1, "a")].into_iter().zip(2..) {
            let (connection, text) = (MAIN.to_owned(), message.to_string());
            assert_eq!(way, Way::ToExecutor);
            events.push(Event { number, micros: 0, what: What::Sent { connection, text } });
        }
        let complaints = judge(&Trace { events });
        assert_eq!(complaints.len(), 1);
        assert_eq!((complaints[0].side, complaints[0].finding.clause.as_str()), (Side::Client, "HANDSHAKE-1"));
    }
}
