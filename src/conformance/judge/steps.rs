//! Whether a step is satisfied by what has happened.

use serde_json::Value;

use super::invariants::{Connection, Stream};
use super::{FailKind, Judge, Progress};
use crate::conformance::case::template::{Names, Template};
use crate::conformance::case::{Action, Condition, Expect, Outcome, Step, TimeBound};
use crate::conformance::matcher::{Answered, match_kind, match_lacks, match_outcome};
use crate::conformance::trace::Event;
use crate::protocol::error::INVALID_REQUEST;
use crate::protocol::id::Id;

/// The JSON-RPC code for text that is no JSON.
const PARSE_ERROR: i64 = -32700;

/// What a step makes of an error of the case itself: a name without a value.
fn bad_case(fault: String) -> Progress {
    Progress::Failed(FailKind::Assertion, fault)
}

fn failed(got: impl Into<String>) -> Progress {
    Progress::Failed(FailKind::Assertion, got.into())
}

const MET: Progress = Progress::Met { observed: true };
const DONE: Progress = Progress::Met { observed: false };

impl Judge<'_> {
    /// How far a step is after that event.
    pub(super) fn progress(&mut self, index: usize, event: &Event) -> Progress {
        let case = self.case;
        let Some(step) = case.steps.get(index) else { return failed("the trace has more steps than the case") };
        match &step.action {
            Action::Expect(expect) => self.expect(step, expect),
            Action::Before(first, second) => {
                let connection = self.connection(&step.connection);
                let number = |id: &Value| {
                    connection.answers.iter().find(|answer| answer.id.to_value() == *id).map(|answer| answer.number)
                };
                match (number(first), number(second)) {
                    (Some(first), Some(second)) if first < second => DONE,
                    _ => failed("the other order"),
                }
            }
            Action::Origin(origin, check) => self.origins[*origin].check(check, &self.names),
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
            Action::Mark(name) => {
                self.marks.insert(name.clone(), event.micros);
                DONE
            }
            Action::Elapsed(name, bound) => self.elapsed(name, *bound),
            Action::FirstDelta { buffered, streamed, below } => {
                self.first_delta(&step.connection, buffered, streamed, below.as_secs_f64())
            }
            _ => DONE,
        }
    }

    fn expect(&mut self, step: &Step, expect: &Expect) -> Progress {
        let exited = self.exited;
        let mut names = self.names.clone();
        let connection = self.connection(&step.connection);
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
                return if step.or_closed { DONE } else { self.ended(step) };
            }
        }
        self.names = names;
        progress
    }

    /// The connection of a step has ended, and nothing more can come.
    fn ended(&mut self, step: &Step) -> Progress {
        let exited = self.exited;
        let reason = self.connection(&step.connection).ended.clone().unwrap_or_default();
        match exited {
            Some(None) => Progress::Failed(FailKind::Crash, "the process was ended by a signal".to_owned()),
            Some(Some(code)) if code != 0 => {
                Progress::Failed(FailKind::Crash, format!("the process ended with status {code}"))
            }
            _ => failed(format!("the end of the connection by the peer: {reason}")),
        }
    }

    fn elapsed(&self, name: &str, bound: TimeBound) -> Progress {
        let Some(mark) = self.marks.get(name) else { return bad_case(format!("no mark {name}")) };
        let milliseconds = self.met_micros.saturating_sub(*mark) / 1_000;
        let good = match bound {
            TimeBound::Below(below) => milliseconds as f64 <= below.as_millis() as f64 * self.time_scale,
            TimeBound::AtLeast(least) => u128::from(milliseconds) >= least.as_millis(),
        };
        if good { DONE } else { failed(format!("{milliseconds} ms")) }
    }

    fn first_delta(&mut self, connection: &str, buffered: &[Value], streamed: &[Value], below: f64) -> Progress {
        let scale = self.time_scale;
        let connection = self.connection(connection);
        let calls = connection.calls.iter().filter(|call| buffered.contains(&call.id.to_value()));
        let baseline =
            median(calls.filter_map(|call| Some(call.answered_micros?.saturating_sub(call.sent_micros))).collect());
        let streams = connection.streams.iter().filter(|stream| streamed.contains(&stream.id.to_value()));
        let gaps = streams.filter_map(|stream| Some(stream.first_micros?.saturating_sub(stream.answered_micros)));
        let gap = median(gaps.collect());
        let bound = below * scale * 1e6 + 2.0 * baseline as f64;
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
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl Connection {
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
