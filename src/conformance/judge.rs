//! The verdict of a case: a pure function over its trace.
//!
//! The driver feeds a [`Judge`] each event as it happens and asks whether the current step is satisfied; [`judge`] feeds
//! it a stored trace and comes to the same verdict.

mod invariants;
mod origins;
mod steps;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::case::template::Names;
use super::case::{Case, Promise, Transport};
use super::clause::{self, Level};
use super::trace::{Event, Trace, What};
use invariants::Connection;
use origins::OriginView;

/// Characters of a frame that a finding shows.
const SHOWN_CHARACTERS: usize = 600;

/// The verdict of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Every step was satisfied, and at least one of them observed the peer.
    Pass,
    /// Only clauses of level SHOULD failed; this is the first.
    Warn(Finding),
    /// The peer broke a clause.
    Fail(FailKind, Finding),
    /// A step that no clause promises did not come by its deadline.
    Timeout(Finding),
    /// The peer was not reached, or did not complete the handshake: the case was not run.
    NoHandshake(Finding),
    /// The suite cannot judge.
    Error(String),
}

/// How a clause was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailKind {
    /// What came, or did not come, is not what the clause says.
    Assertion,
    /// A frame is malformed.
    Malformed,
    /// The process died.
    Crash,
    /// The process holds more than it may.
    Leak,
    /// Something other than messages stands on standard output.
    StdoutPollution,
}

impl fmt::Display for FailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Assertion => "assertion",
            Self::Malformed => "malformed",
            Self::Crash => "crash",
            Self::Leak => "leak",
            Self::StdoutPollution => "stdout-pollution",
        })
    }
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The index of the step.
    pub step: usize,
    /// Its line in the file of the case.
    pub line: usize,
    /// The clause.
    pub clause: String,
    /// What would have satisfied.
    pub expected: String,
    /// What came instead.
    pub got: String,
}

/// A broken invariant.
#[derive(Debug)]
struct Violation {
    /// How it is broken.
    kind: FailKind,
    /// The clause that says it.
    clause: &'static str,
    /// What the clause asks for.
    expected: String,
    /// What came instead.
    got: String,
}

impl Violation {
    fn new(kind: FailKind, clause: &'static str, expected: &str, got: &str) -> Self {
        Self { kind, clause, expected: expected.to_owned(), got: shown(got) }
    }
}

/// Whether the driver has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The current step is not satisfied yet.
    Waiting,
    /// The next step can begin.
    Ready,
    /// The verdict is known.
    Over,
}

/// How far a step is.
#[derive(Debug)]
enum Progress {
    /// Nothing speaks against it yet.
    Pending,
    /// It is satisfied.
    Met {
        /// It shows that the peer did something.
        observed: bool,
    },
    /// It cannot be satisfied any more; what came instead.
    Failed(FailKind, String),
}

/// The verdict of a stored trace.
pub fn judge(case: &Case, trace: &Trace) -> Judgement {
    let mut judge = Judge::new(case);
    for event in &trace.events {
        judge.handle(event);
    }
    judge.finish()
}

/// Follows a case event by event.
#[derive(Debug)]
pub struct Judge<'a> {
    /// The case.
    case: &'a Case,
    /// What names stand for, captured ones included.
    names: Names,
    /// How the peer is reached.
    transport: Transport,
    /// How much longer than usual everything may take.
    time_scale: f64,
    /// The connections by name.
    connections: BTreeMap<String, Connection>,
    /// The two origins.
    origins: [OriginView; 2],
    /// When marks were set, in microseconds.
    marks: BTreeMap<String, u64>,
    /// The process has ended, with that status.
    exited: Option<Option<i32>>,
    /// What the current step measured: bytes of memory, or an HTTP status.
    measured: Option<u64>,
    /// The current step, and whether it is still waited for.
    current: Option<(usize, bool)>,
    /// When the last step was satisfied, in microseconds.
    met_micros: u64,
    /// Some step showed that the peer did something.
    observed: bool,
    /// Errors for malformed frames need not be awaited.
    malformed_allowed: bool,
    /// The first SHOULD that failed.
    warning: Option<Finding>,
    /// The verdict, once it is known.
    verdict: Option<Judgement>,
}

impl<'a> Judge<'a> {
    /// A judge that has seen nothing.
    pub fn new(case: &'a Case) -> Self {
        Self {
            case,
            names: Names::new(),
            transport: Transport::Stdio,
            time_scale: 1.0,
            connections: BTreeMap::new(),
            origins: [OriginView::default(), OriginView::default()],
            marks: BTreeMap::new(),
            exited: None,
            measured: None,
            current: None,
            met_micros: 0,
            observed: false,
            malformed_allowed: false,
            warning: None,
            verdict: None,
        }
    }

    /// What names stand for so far.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// Takes the next event.
    pub fn handle(&mut self, event: &Event) -> State {
        if self.verdict.is_none() {
            self.note(event);
            self.evaluate(event);
        }
        match self.current {
            _ if self.verdict.is_some() => State::Over,
            Some((_, true)) => State::Waiting,
            _ => State::Ready,
        }
    }

    /// The verdict.
    pub fn finish(self) -> Judgement {
        let unfinished = || Judgement::Error("the trace ends before the case does".to_owned());
        self.verdict.unwrap_or_else(unfinished)
    }

    fn connection(&mut self, name: &str) -> &mut Connection {
        let transport = self.transport;
        self.connections.entry(name.to_owned()).or_insert_with(|| Connection::new(transport))
    }

    /// Keeps what the event says, and judges the invariants.
    fn note(&mut self, event: &Event) {
        let mut violation = None;
        match &event.what {
            What::Begun { names, transport, time_scale } => {
                self.names.clone_from(names);
                self.time_scale = *time_scale;
                self.transport = if transport == "ws" { Transport::Websocket } else { Transport::Stdio };
            }
            What::Step { step } => {
                self.current = Some((*step, true));
                self.measured = None;
            }
            What::Sent { connection, text } => self.connection(connection).handle_sent(text, event.micros),
            What::Received { connection, text, binary } => {
                let received = self.connection(connection).handle_received(text, *binary, event.number, event.micros);
                violation = received.err();
            }
            What::Pong { connection, text } => self.connection(connection).pongs.push(text.clone()),
            What::CloseFrame { connection, code } => self.connection(connection).close_frame = Some(*code),
            What::Garbage { connection, reason } => {
                self.connection(connection).ended = Some(reason.clone());
                violation = Some(Violation::new(FailKind::Malformed, "ENVELOPE-1", "frames of the transport", reason));
            }
            What::Ended { connection, reason } => self.connection(connection).ended = Some(reason.clone()),
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
            What::Broken { reason } => self.verdict = Some(Judgement::Error(reason.clone())),
            What::Unreached { reason, .. } => {
                self.verdict = Some(Judgement::NoHandshake(self.finding(reason.clone())));
            }
            What::Ping { .. } | What::Stalled { .. } | What::Deadline { .. } | What::Finished => {}
        }
        if let Some(Violation { kind, clause, expected, got }) = violation {
            let finding = Finding { clause: clause.to_owned(), expected, ..self.finding(got) };
            self.verdict = Some(Judgement::Fail(kind, finding));
        }
    }

    /// Looks whether the current step is satisfied.
    fn evaluate(&mut self, event: &Event) {
        if self.verdict.is_some() {
            return;
        }
        if event.what == What::Finished {
            if let Some(text) = self.stray_error() {
                let got = shown(text);
                let expected = "errors of id -1 only where the case awaits them".to_owned();
                let finding = Finding { clause: "ENVELOPE-19".to_owned(), expected, ..self.finding(got) };
                self.verdict = Some(Judgement::Fail(FailKind::Assertion, finding));
                return;
            }
            self.verdict = Some(match self.warning.take() {
                Some(finding) => Judgement::Warn(finding),
                None if self.observed => Judgement::Pass,
                None => Judgement::Error("no step observed the peer".to_owned()),
            });
        }
        let Some((index, true)) = self.current else { return };
        match self.progress(index, event) {
            Progress::Met { observed } => {
                self.observed |= observed && index >= self.case.handshake_steps;
                self.met_micros = event.micros;
                self.current = Some((index, false));
            }
            Progress::Failed(kind, got) => {
                // What is not as it should be was observed nevertheless.
                self.observed = true;
                self.fail(index, kind, &got);
            }
            Progress::Pending => {
                if let What::Deadline { milliseconds } = event.what {
                    self.miss(index, milliseconds);
                }
            }
        }
    }

    /// An error for a malformed frame that no step has taken.
    fn stray_error(&self) -> Option<&str> {
        let mut connections = self.connections.values().filter(|_| !self.malformed_allowed);
        connections.find_map(|connection| Some(connection.malformed.get(connection.malformed_taken)?.1.as_str()))
    }

    /// The current step cannot be satisfied any more.
    fn fail(&mut self, index: usize, kind: FailKind, got: &str) {
        let finding = self.finding(shown(got));
        let gone = self.step_connection(index).is_some_and(|connection| connection.ended.is_some());
        if index < self.case.handshake_steps && gone {
            self.verdict = Some(Judgement::NoHandshake(finding));
        } else if clause::find(&finding.clause).is_some_and(|clause| clause.level == Level::Should) {
            self.warning.get_or_insert(finding);
            self.current = Some((index, false));
        } else {
            self.verdict = Some(Judgement::Fail(kind, finding));
        }
    }

    /// The deadline of the current step has passed.
    fn miss(&mut self, index: usize, milliseconds: u64) {
        let last = self.step_connection(index).map(|connection| {
            let waiting = connection.waiting();
            let last = connection.last.as_deref().map_or("nothing".to_owned(), shown);
            format!("; {waiting} requests wait for an answer; the last frame was: {last}")
        });
        let got = format!("nothing within {milliseconds} ms{}", last.unwrap_or_default());
        if index < self.case.handshake_steps {
            self.verdict = Some(Judgement::NoHandshake(self.finding(got)));
        } else if self.case.steps.get(index).is_some_and(|step| step.promise == Promise::Setup) {
            self.verdict = Some(Judgement::Timeout(self.finding(got)));
        } else {
            self.fail(index, FailKind::Assertion, &got);
        }
    }

    fn step_connection(&self, index: usize) -> Option<&Connection> {
        self.connections.get(&self.case.steps.get(index)?.connection)
    }

    /// A finding about the current step.
    fn finding(&self, got: String) -> Finding {
        let index = self.current.map_or(0, |(index, _)| index);
        let step = self.case.steps.get(index);
        let clause = match step.map(|step| &step.promise) {
            Some(Promise::Clause(clause)) => clause.clone(),
            _ => self.case.clauses.first().cloned().unwrap_or_default(),
        };
        let expected = step.map_or_else(String::new, |step| step.source.clone());
        Finding { step: index, line: step.map_or(self.case.line, |step| step.line), clause, expected, got }
    }
}

/// A frame as a finding shows it.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
