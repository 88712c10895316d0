//! The verdict of a case: a pure function over its trace.
//!
//! The driver feeds a [`Judge`] each event as it happens and asks whether the current step is satisfied; [`judge`] feeds
//! it a stored trace and comes to the same verdict.

mod executor;
mod invariants;
mod origins;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::case::template::Names;
use super::case::{Action, Case, Half, Promise, Step, TimeBound, Transport};
use super::clause::{self, Level};
use super::client::judge::Client;
use super::trace::{Event, Trace, What};
use executor::Executor;

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
pub(super) struct Violation {
    /// How it is broken.
    kind: FailKind,
    /// The clause that says it; empty for that of the step.
    clause: &'static str,
    /// What the clause asks for.
    expected: String,
    /// What came instead.
    got: String,
}

impl Violation {
    pub(super) fn new(kind: FailKind, clause: &'static str, expected: &str, got: &str) -> Self {
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

/// Why a case ends before its steps do.
#[derive(Debug)]
pub(super) enum Fault {
    /// The peer broke a clause.
    Peer(Violation),
    /// The adapter broke its protocol, so that nothing can be said about the peer.
    Adapter(String),
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Peer(violation)
    }
}

/// How far a step is.
#[derive(Debug)]
pub(super) enum Progress {
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

impl Progress {
    /// Satisfied by something that the peer did.
    pub(super) const MET: Self = Self::Met { observed: true };

    /// Satisfied, which says nothing about the peer.
    pub(super) const DONE: Self = Self::Met { observed: false };

    /// Something else came.
    pub(super) fn failed(got: impl Into<String>) -> Self {
        Self::Failed(FailKind::Assertion, got.into())
    }
}

/// What is known about the run as a whole.
#[derive(Debug)]
pub(super) struct Setting {
    /// What names stand for, captured ones included.
    pub(super) names: Names,
    /// How the peer is reached.
    pub(super) transport: Transport,
    /// How much longer than usual everything may take.
    pub(super) time_scale: f64,
}

/// What the events of a case show about the peer of one half of the suite.
pub(super) trait Scene: fmt::Debug + Send {
    /// Keeps what an event says, and judges the invariants. `step` is the current one.
    ///
    /// # Errors
    ///
    /// The invariant that the event breaks.
    fn note(&mut self, event: &Event, step: Option<&Step>, setting: &mut Setting) -> Result<(), Fault>;

    /// How far a step is after that event.
    fn progress(&mut self, step: &Step, event: &Event, setting: &mut Setting) -> Progress;

    /// That connection has ended.
    fn has_ended(&self, connection: &str) -> bool;

    /// What stands out when a step of that connection waits in vain.
    fn describe(&self, connection: &str) -> Option<String>;

    /// What the end of the case shows to be wrong.
    ///
    /// # Errors
    ///
    /// The broken invariant.
    fn finish(&self) -> Result<(), Fault>;
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
    /// What is known about the run.
    setting: Setting,
    /// What is known about the peer.
    scene: Box<dyn Scene>,
    /// When marks were set, in microseconds.
    marks: BTreeMap<String, u64>,
    /// The current step, and whether it is still waited for.
    current: Option<(usize, bool)>,
    /// When the last step was satisfied, in microseconds.
    met_micros: u64,
    /// Some step showed that the peer did something.
    observed: bool,
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
            setting: Setting { names: Names::new(), transport: Transport::Stdio, time_scale: 1.0 },
            scene: match case.half() {
                Half::Executor => Box::new(Executor::default()),
                Half::Client => Box::new(Client::default()),
            },
            marks: BTreeMap::new(),
            current: None,
            met_micros: 0,
            observed: false,
            warning: None,
            verdict: None,
        }
    }

    /// What names stand for so far.
    pub const fn names(&self) -> &Names {
        &self.setting.names
    }

    /// Takes the next event.
    pub fn handle(&mut self, event: &Event) -> State {
        if self.verdict.is_none() {
            self.note(event);
        }
        if self.verdict.is_none() {
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

    /// Keeps what the event says, and judges the invariants.
    fn note(&mut self, event: &Event) {
        match &event.what {
            What::Begun { names, transport, time_scale, .. } => {
                let transport = if transport == "ws" { Transport::Websocket } else { Transport::Stdio };
                self.setting = Setting { names: names.clone(), transport, time_scale: *time_scale };
            }
            What::Step { step } => self.current = Some((*step, true)),
            What::Broken { reason } => self.verdict = Some(Judgement::Error(reason.clone())),
            What::Unreached { reason, .. } => {
                self.verdict = Some(Judgement::NoHandshake(self.finding(reason.clone())));
            }
            _ => {}
        }
        let step = self.current.and_then(|(index, _)| self.case.steps.get(index));
        let mut noted = self.scene.note(event, step, &mut self.setting);
        if event.what == What::Finished {
            noted = noted.and_then(|()| self.scene.finish());
        }
        let Err(fault) = noted else { return };
        if self.verdict.is_none() {
            self.verdict = Some(match fault {
                Fault::Adapter(reason) => Judgement::Error(reason),
                Fault::Peer(Violation { kind, clause, expected, got }) => {
                    let of_step = self.finding(got);
                    let clause = if clause.is_empty() { of_step.clause.clone() } else { clause.to_owned() };
                    Judgement::Fail(kind, Finding { clause, expected, ..of_step })
                }
            });
        }
    }

    /// Looks whether the current step is satisfied.
    fn evaluate(&mut self, event: &Event) {
        if event.what == What::Finished {
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

    /// How far a step is after that event.
    fn progress(&mut self, index: usize, event: &Event) -> Progress {
        let case = self.case;
        let Some(step) = case.steps.get(index) else {
            return Progress::failed("the trace has more steps than the case");
        };
        match &step.action {
            Action::Mark(name) => {
                self.marks.insert(name.clone(), event.micros);
                Progress::DONE
            }
            Action::Elapsed(name, bound) => self.elapsed(name, *bound),
            _ => self.scene.progress(step, event, &mut self.setting),
        }
    }

    fn elapsed(&self, name: &str, bound: TimeBound) -> Progress {
        let Some(mark) = self.marks.get(name) else { return Progress::failed(format!("no mark {name}")) };
        let milliseconds = self.met_micros.saturating_sub(*mark) / 1_000;
        let good = match bound {
            TimeBound::Below(below) => milliseconds as f64 <= below.as_millis() as f64 * self.setting.time_scale,
            TimeBound::AtLeast(least) => u128::from(milliseconds) >= least.as_millis(),
        };
        if good { Progress::DONE } else { Progress::failed(format!("{milliseconds} ms")) }
    }

    /// The current step cannot be satisfied any more.
    fn fail(&mut self, index: usize, kind: FailKind, got: &str) {
        let finding = self.finding(shown(got));
        let gone = self.case.steps.get(index).is_some_and(|step| self.scene.has_ended(&step.connection));
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
        let step = self.case.steps.get(index);
        let described = step.and_then(|step| self.scene.describe(&step.connection));
        let got = format!("nothing within {milliseconds} ms{}", described.unwrap_or_default());
        if index < self.case.handshake_steps {
            self.verdict = Some(Judgement::NoHandshake(self.finding(got)));
        } else if step.is_some_and(|step| step.promise == Promise::Setup) {
            self.verdict = Some(Judgement::Timeout(self.finding(got)));
        } else {
            self.fail(index, FailKind::Assertion, &got);
        }
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
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
