//! What the events show about an executor, and whether a step is satisfied by it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::invariants::{Connection, Stream};
use super::origins::OriginView;
use super::{FailKind, Fault, Progress, Scene, Setting, Violation, shown};
use crate::conformance::case::template::{Names, Template};
use crate::conformance::case::{Action, Condition, Expect, Outcome, Step, Transport};
use crate::conformance::matcher::{Answered, match_kind, match_lacks, match_outcome};
use crate::conformance::trace::{Event, What};
use crate::protocol::error::INVALID_REQUEST;
use crate::protocol::id::Id;

/// The JSON-RPC code for text that is no JSON.
const PARSE_ERROR: i64 = -32700;

/// What a step makes of an error of the case itself: a name without a value.
fn bad_case(fault: String) -> Progress {
    Progress::Failed(FailKind::Assertion, fault)
}

fn failed(got: impl Into<String>) -> Progress {
    Progress::failed(got)
}

const MET: Progress = Progress::MET;
const DONE: Progress = Progress::DONE;

/// An executor as its frames, its process and the origins show it.
#[derive(Debug, Default)]
pub(super) struct Executor {
    /// The connections by name.
    connections: BTreeMap<String, Connection>,
    /// The two origins.
    origins: [OriginView; 2],
    /// The process has ended, with that status.
    exited: Option<Option<i32>>,
    /// What the current step measured: bytes of memory, or an HTTP status.
    measured: Option<u64>,
    /// Errors for malformed frames need not be awaited.
    malformed_allowed: bool,
}

impl Scene for Executor {
    fn note(&mut self, event: &Event, _: Option<&Step>, setting: &mut Setting) -> Result<(), Fault> {
        let transport = setting.transport;
        match &event.what {
            What::Step { .. } => self.measured = None,
            What::Sent { connection, text } => self.connection(connection, transport).handle_sent(text, event.micros),
            What::Received { connection, text, binary } => {
                let connection = self.connection(connection, transport);
                connection.handle_received(text, *binary, event.number, event.micros)?;
            }
            What::Pong { connection, text } => self.connection(connection, transport).pongs.push(text.clone()),
            What::CloseFrame { connection, code } => {
                self.connection(connection, transport).close_frame = Some(*code);
            }
            What::Garbage { connection, reason } => {
                self.connection(connection, transport).ended = Some(reason.clone());
                let violation = Violation::new(FailKind::Malformed, "ENVELOPE-1", "frames of the transport", reason);
                return Err(violation.into());
            }
            What::Ended { connection, reason } => {
                self.connection(connection, transport).ended = Some(reason.clone());
            }
            What::Exited { code } => self.exited = Some(*code),
            What::Memory { bytes } => self.measured = Some(*bytes),
            What::Probed { status } => self.measured = Some(u64::from(*status)),
            What::Accepted { origin }
            | What::Closed { origin }
            | What::Request { origin, .. }
            | What::Aborted { origin, .. }
            | What::Blocked { origin, .. } => {
                if let Some(view) = self.origins.get_mut(*origin) {
                    view.handle(&event.what);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn progress(&mut self, step: &Step, _: &Event, setting: &mut Setting) -> Progress {
        match &step.action {
            Action::Expect(expect) => self.expect(step, expect, setting),
            Action::Before(first, second) => {
                let connection = self.connection(&step.connection, setting.transport);
                let number = |id: &Value| {
                    connection.answers.iter().find(|answer| answer.id.to_value() == *id).map(|answer| answer.number)
                };
                match (number(first), number(second)) {
                    (Some(first), Some(second)) if first < second => DONE,
                    _ => failed("the other order"),
                }
            }
            Action::Origin(origin, check) => self.origins[*origin].check(check, &setting.names),
            Action::AllowMalformed => {
                self.malformed_allowed = true;
                DONE
            }
            Action::Memory(below) => match self.measured {
                None => Progress::Pending,
                Some(bytes) if bytes < *below => DONE,
                Some(bytes) => Progress::Failed(FailKind::Leak, format!("{} MiB", bytes >> 20)),
            },
            Action::Probe { status, .. } => match self.measured {
                None => Progress::Pending,
                Some(measured) if measured == u64::from(*status) => MET,
                Some(measured) => failed(format!("status {measured}")),
            },
            Action::FirstDelta { buffered, streamed, below } => {
                let connection = self.connection(&step.connection, setting.transport);
                connection.first_delta(buffered, streamed, below.as_secs_f64() * setting.time_scale)
            }
            _ => DONE,
        }
    }

    fn has_ended(&self, connection: &str) -> bool {
        self.connections.get(connection).is_some_and(|connection| connection.ended.is_some())
    }

    fn describe(&self, connection: &str) -> Option<String> {
        let connection = self.connections.get(connection)?;
        let waiting = connection.waiting();
        let last = connection.last.as_deref().map_or("nothing".to_owned(), shown);
        Some(format!("; {waiting} requests wait for an answer; the last frame was: {last}"))
    }

    /// An error for a malformed frame that no step has taken.
    fn finish(&self) -> Result<(), Fault> {
        let mut connections = self.connections.values().filter(|_| !self.malformed_allowed);
        let stray = connections.find_map(|connection| connection.malformed.get(connection.malformed_taken));
        let expected = "errors of id -1 only where the case awaits them";
        stray.map_or(Ok(()), |(_, text)| Err(Violation::new(FailKind::Assertion, "ENVELOPE-19", expected, text).into()))
    }
}

impl Executor {
    fn connection(&mut self, name: &str, transport: Transport) -> &mut Connection {
        self.connections.entry(name.to_owned()).or_insert_with(|| Connection::new(transport))
    }

    fn expect(&mut self, step: &Step, expect: &Expect, setting: &mut Setting) -> Progress {
        let exited = self.exited;
        let mut names = setting.names.clone();
        let connection = self.connection(&step.connection, setting.transport);
        let progress = match expect {
            Expect::Answer(id, outcomes) => connection.answer(id, outcomes, &mut names),
            Expect::Part(name, bytes) => connection.part(name, bytes, &names),
            Expect::Whole(name, bytes, frames) => connection.whole(name, bytes.as_ref(), *frames, &names),
            Expect::Failed(name, bytes, conditions) => connection.failed(name, bytes.as_ref(), conditions, &names),
            Expect::Malformed => connection.take_malformed(),
            Expect::Pong(payload) => match payload.resolve_text(&names) {
                Err(fault) => bad_case(fault),
                Ok(payload) => match connection.pongs.iter().position(|pong| *pong == payload) {
                    Some(at) => {
                        connection.pongs.remove(at);
                        MET
                    }
                    None => Progress::Pending,
                },
            },
            Expect::CloseFrame(expected) => match connection.close_frame {
                Some(code) if expected.is_none() || code == *expected => MET,
                Some(code) => failed(format!("a close frame with status {code:?}")),
                None => Progress::Pending,
            },
            Expect::Closed if connection.ended.is_some() => DONE,
            Expect::Closed => Progress::Pending,
            Expect::Exit(expected) => match exited {
                Some(code) if expected.is_none() || code == *expected => DONE,
                Some(code) => {
                    failed(code.map_or("the end by a signal".to_owned(), |code| format!("exit status {code}")))
                }
                None => return Progress::Pending,
            },
        };
        if let Progress::Pending = progress {
            if step.or_malformed && matches!(connection.take_malformed(), Progress::Met { .. }) {
                return MET;
            }
            if connection.ended.is_some() {
                return if step.or_closed { DONE } else { self.ended(step, setting.transport) };
            }
        }
        setting.names = names;
        progress
    }

    /// The connection of a step has ended, and nothing more can come.
    fn ended(&mut self, step: &Step, transport: Transport) -> Progress {
        let exited = self.exited;
        let reason = self.connection(&step.connection, transport).ended.clone().unwrap_or_default();
        match exited {
            Some(None) => Progress::Failed(FailKind::Crash, "the process was ended by a signal".to_owned()),
            Some(Some(code)) if code != 0 => {
                Progress::Failed(FailKind::Crash, format!("the process ended with status {code}"))
            }
            _ => failed(format!("the end of the connection by the peer: {reason}")),
        }
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl Connection {
    fn first_delta(&self, buffered: &[Value], streamed: &[Value], below_seconds: f64) -> Progress {
        let calls = self.calls.iter().filter(|call| buffered.contains(&call.id.to_value()));
        let baseline =
            median(calls.filter_map(|call| Some(call.answered_micros?.saturating_sub(call.sent_micros))).collect());
        let streams = self.streams.iter().filter(|stream| streamed.contains(&stream.id.to_value()));
        let gaps = streams.filter_map(|stream| Some(stream.first_micros?.saturating_sub(stream.answered_micros)));
        let gap = median(gaps.collect());
        let bound = below_seconds * 1e6 + 2.0 * baseline as f64;
        if (gap as f64) < bound {
            MET
        } else {
            failed(format!(
                "a median of {:.1} ms; buffered calls take {:.1} ms",
                gap as f64 / 1e3,
                baseline as f64 / 1e3
            ))
        }
    }

    fn answer(&mut self, id: &Value, outcomes: &[Outcome], names: &mut Names) -> Progress {
        let id = match crate::conformance::case::template::resolve_json(id, names).map(|id| Id::from_value(&id)) {
            Ok(Some(id)) => id,
            Ok(None) => return bad_case("this is no id".to_owned()),
            Err(fault) => return bad_case(fault),
        };
        let Some(answer) = self.answers.iter_mut().find(|answer| !answer.taken && answer.id == id) else {
            return Progress::Pending;
        };
        answer.taken = true;
        let answered = Answered { message: &answer.message, text: &answer.text };
        let mut faults = Vec::new();
        for outcome in outcomes {
            match match_outcome(outcome, &answered, names) {
                Ok(()) => return MET,
                Err(fault) => faults.push(fault),
            }
        }
        failed(format!("{} — {}", faults.join("; "), answer.text))
    }

    /// The next stream of that name that no step has taken.
    fn stream(&mut self, name: &Template, names: &Names) -> Result<&mut Stream, Progress> {
        let name = name.resolve_text(names).map_err(bad_case)?;
        let at = self.streams.iter().position(|stream| !stream.taken && stream.name == name);
        let refusal = self.refusal(&name).map(str::to_owned);
        match (at, refusal) {
            (Some(at), _) => self.streams.get_mut(at).ok_or(Progress::Pending),
            (None, Some(text)) => Err(failed(text)),
            (None, None) => Err(Progress::Pending),
        }
    }

    fn part(&mut self, name: &Template, bytes: &Template, names: &Names) -> Progress {
        let stream = match self.stream(name, names) {
            Ok(stream) => stream,
            Err(progress) => return progress,
        };
        let expected = match bytes.resolve(names) {
            Ok(expected) => expected,
            Err(fault) => return bad_case(fault),
        };
        if stream.received() < expected.len() as u64 && stream.terminal.is_none() {
            return Progress::Pending;
        }
        if stream.begins_with(&expected) { MET } else { failed(stream.describe()) }
    }

    fn whole(&mut self, name: &Template, bytes: Option<&Template>, frames: Option<usize>, names: &Names) -> Progress {
        let stream = match self.stream(name, names) {
            Ok(stream) => stream,
            Err(progress) => return progress,
        };
        let Some(terminal) = &stream.terminal else { return Progress::Pending };
        stream.taken = true;
        if terminal.error.is_some() {
            return failed(terminal.text.clone());
        }
        if frames.is_some_and(|frames| frames != stream.chunks.len()) {
            return failed(format!("{} frames", stream.chunks.len()));
        }
        stream.compare(bytes, names)
    }

    fn failed(
        &mut self,
        name: &Template,
        bytes: Option<&Template>,
        conditions: &[Condition],
        names: &Names,
    ) -> Progress {
        let stream = match self.stream(name, names) {
            Ok(stream) => stream,
            Err(progress) => return progress,
        };
        let Some(terminal) = &stream.terminal else { return Progress::Pending };
        stream.taken = true;
        if terminal.error.as_deref().unwrap_or_default().is_empty() {
            return failed(format!("no error: {}", terminal.text));
        }
        for condition in conditions {
            let matched = match condition {
                Condition::Kind(words) => match_kind(words, terminal.kind.as_deref()),
                Condition::Lacks(text) => match_lacks(text, &terminal.text, names),
                _ => Err("a condition for answers only".to_owned()),
            };
            if let Err(fault) = matched {
                return failed(format!("{fault} — {}", terminal.text));
            }
        }
        stream.compare(bytes, names)
    }

    fn take_malformed(&mut self) -> Progress {
        match self.malformed.get(self.malformed_taken) {
            None => Progress::Pending,
            Some((code, _)) if [INVALID_REQUEST, PARSE_ERROR].contains(code) => {
                self.malformed_taken += 1;
                MET
            }
            Some((_, text)) => failed(text.clone()),
        }
    }
}

impl Stream {
    /// Bytes that have come.
    fn received(&self) -> u64 {
        self.chunks.iter().map(crate::conformance::trace::Body::len).sum()
    }

    /// The bytes that came begin with these.
    fn begins_with(&self, mut expected: &[u8]) -> bool {
        for chunk in &self.chunks {
            let length = usize::try_from(chunk.len()).unwrap_or(usize::MAX);
            if expected.len() < length {
                let known = chunk.known();
                let compared = known.len().min(expected.len());
                return known[..compared] == expected[..compared];
            }
            let (head, rest) = expected.split_at(length);
            if !chunk.is(head) {
                return false;
            }
            expected = rest;
        }
        expected.is_empty()
    }

    /// The stream has ended: are these its bytes?
    fn compare(&self, bytes: Option<&Template>, names: &Names) -> Progress {
        match bytes.map(|bytes| bytes.resolve(names)) {
            None => MET,
            Some(Err(fault)) => bad_case(fault),
            Some(Ok(expected)) if self.received() == expected.len() as u64 && self.begins_with(&expected) => MET,
            Some(Ok(_)) => failed(self.describe()),
        }
    }

    fn describe(&self) -> String {
        let known: Vec<u8> = self.chunks.iter().flat_map(|chunk| chunk.known().iter().copied()).take(100).collect();
        let end = if self.terminal.is_some() { "" } else { " so far" };
        format!("{} bytes{end} that begin {:?}", self.received(), String::from_utf8_lossy(&known))
    }
}
