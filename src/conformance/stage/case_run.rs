//! What became of a case, as it ran or as its trace tells it.

use std::time::Duration;

use crate::conformance::case::{Case, Transport};
use crate::conformance::judge::{Judge, Judgement, State};
use crate::conformance::trace::{Event, Trace, What};

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseRun {
    /// Everything that happened.
    pub trace: Trace,
    /// The number of the event after which the verdict was known, when the case ended before its steps did.
    pub decided: Option<u64>,
    /// The verdict.
    pub judgement: Judgement,
    /// How long it took.
    pub duration: Duration,
}

impl CaseRun {
    /// A run that was recorded, judged again.
    pub fn of_trace(case: &Case, trace: Trace) -> Self {
        let mut judge = Judge::new(case);
        let mut decided = None;
        for event in &trace.events {
            if judge.handle(event) == State::Over {
                decided.get_or_insert(event.number);
            }
        }
        let duration = trace.events.last().map_or(Duration::ZERO, Event::at);
        Self { judgement: judge.finish(), trace, decided, duration }
    }

    /// How the peer was reached.
    pub fn transport(&self) -> Transport {
        match self.trace.events.first().map(|event| &event.what) {
            Some(What::Begun { transport, .. }) if transport == Transport::Websocket.as_str() => Transport::Websocket,
            _ => Transport::Stdio,
        }
    }
}
