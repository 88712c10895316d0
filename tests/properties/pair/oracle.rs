//! What each consumer must have seen, from what came out of the relay.

use exec_http::client::CallError;
use exec_http::protocol::stream::{Disconnect, Outcome, StreamError};

use super::consumer::Record;
use super::executor::{body, refusal, status};
use super::relay::{Log, Passed, Sent, What};
use super::{OriginEnd, Scenario};

/// What a waiting frame counts at least, in bytes.
const LEAST_CHARGE_BYTES: usize = 256;

/// Judges the records of one run.
pub(super) struct Judge<'run> {
    /// What was to happen.
    scenario: &'run Scenario,
    /// What happened.
    log: &'run Log,
    /// What the client looked at.
    arrived: &'run [Passed],
    /// Whether the connection ended with a frame that is no message.
    garbled: bool,
}

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// With a head.
    Head,
    /// With an error.
    Refusal,
    /// With a result that is no head.
    Unreadable,
    /// Not at all.
    Missing,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    WrongLength,
    Remote,
    Sequence { received: u64, expected: u64 },
    Malformed,
    Lost,
}

impl<'run> Judge<'run> {
    pub(super) fn new(scenario: &'run Scenario, log: &'run Log) -> Self {
        let end = log.passed.iter().position(|passed| matches!(passed, Passed::Garbled));
        let arrived = &log.passed[..end.unwrap_or(log.passed.len())];
        Self { scenario, log, arrived, garbled: end.is_some() }
    }

    /// Judges what the consumer of one call saw.
    pub(super) fn judge(&self, number: usize, record: &Record) {
        let call = &self.scenario.calls[number];
        let whole = body(number, call);
        // Whatever happens: never other bytes, and a clean end only behind all of them.
        assert!(whole.starts_with(&record.body), "call {number} got other bytes: {record:?}");
        if record.end == Some(Ok(())) {
            assert_eq!((record.body.len(), call.end), (whole.len(), OriginEnd::Whole), "call {number} is not whole");
        }
        match (self.answer(number), &record.head) {
            (Answer::Head, Ok(seen)) => assert_eq!(*seen, status(number), "call {number}"),
            (Answer::Head, Err(CallError::WrongLength(_))) if !call.stream && call.end == OriginEnd::Short => {}
            (Answer::Refusal, Err(CallError::Executor(error))) => assert_eq!(error.message, refusal(number)),
            (Answer::Unreadable, Err(CallError::Result(_))) => {}
            (Answer::Missing, Err(CallError::Disconnected { reason, sent })) => {
                assert!(self.is_the_loss(reason), "call {number}: {reason:?}");
                assert!(*sent || !self.log.was_read(number), "call {number} was sent");
            }
            (answer, head) => panic!("call {number} has {answer:?} and saw {head:?}"),
        }
        if call.stream && record.head.is_ok() {
            self.judge_body(number, record);
        }
    }

    fn judge_body(&self, number: usize, record: &Record) {
        let (arrived, must_end) = self.body(number);
        let Some(end) = &record.end else {
            assert!(arrived.starts_with(&record.body) && self.scenario.calls[number].leave.is_some());
            return;
        };
        if let Err(StreamError::Overflow(_)) = end {
            assert!(arrived.starts_with(&record.body), "call {number} got bytes that did not arrive");
            assert!(self.may_overflow(number), "call {number} was read in time");
            return;
        }
        assert_eq!(record.body, arrived, "call {number}: {end:?}");
        assert!(self.agrees(end, must_end), "call {number} ends with {must_end:?} and saw {end:?}");
    }

    fn agrees(&self, seen: &Outcome, must: End) -> bool {
        match (seen, must) {
            (Ok(()), End::Whole) | (Err(StreamError::WrongLength(_)), End::WrongLength) => true,
            (Err(StreamError::Remote { .. }), End::Remote) | (Err(StreamError::Malformed(_)), End::Malformed) => true,
            (Err(StreamError::Sequence { received, expected }), must) => {
                must == End::Sequence { received: *received, expected: *expected }
            }
            (Err(StreamError::Disconnected(reason)), End::Lost) => self.is_the_loss(reason),
            _ => false,
        }
    }

    fn is_the_loss(&self, reason: &Disconnect) -> bool {
        if self.garbled { matches!(reason, Disconnect::Malformed(_)) } else { *reason == Disconnect::Closed }
    }

    /// The first answer that arrived (ID-7).
    fn answer(&self, number: usize) -> Answer {
        let mut answers = self.arrived.iter().filter_map(|passed| match passed {
            Passed::Intact(Sent { call, what: What::Head }) if *call == number => Some(Answer::Head),
            Passed::Intact(Sent { call, what: What::Refusal }) if *call == number => Some(Answer::Refusal),
            Passed::Spoilt(Sent { call, what: What::Head }) if *call == number => Some(Answer::Unreadable),
            _ => None,
        });
        answers.next().unwrap_or(Answer::Missing)
    }

    /// The bytes that arrived in order, and what came behind them (STREAM-15 to STREAM-22, CLOSE-8).
    fn body(&self, number: usize) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let mut expected = 1;
        for passed in self.arrived {
            match passed {
                Passed::Spoilt(Sent { call, what: What::Delta { .. } }) if *call == number => {
                    return (bytes, End::Malformed);
                }
                Passed::Intact(Sent { call, what: What::Delta { seq, data, done, failed } }) if *call == number => {
                    if *seq != expected {
                        return (bytes, End::Sequence { received: *seq, expected });
                    }
                    expected += 1;
                    bytes.extend_from_slice(data);
                    match (failed, done) {
                        (true, _) => return (bytes, End::Remote),
                        (false, true) if self.scenario.calls[number].end == OriginEnd::Short => {
                            return (bytes, End::WrongLength);
                        }
                        (false, true) => return (bytes, End::Whole),
                        (false, false) => {}
                    }
                }
                _ => {}
            }
        }
        (bytes, End::Lost)
    }

    /// Whether so much arrived that a bound may have been met. A client that pauses meets none, except by frames that came
    /// before their answer.
    fn may_overflow(&self, number: usize) -> bool {
        let data = |passed: &Passed| match passed {
            Passed::Intact(Sent { call, what: What::Delta { data, .. } }) if !data.is_empty() => {
                Some((*call, data.len()))
            }
            _ => None,
        };
        let is_answer =
            |passed: &&Passed| matches!(passed, Passed::Intact(Sent { call, what: What::Head }) if *call == number);
        let early = self.arrived.iter().take_while(|passed| !is_answer(passed)).filter_map(data);
        if self.scenario.pause && !early.clone().any(|(call, _)| call == number) {
            return false;
        }
        let frames = self.arrived.iter().filter_map(data).filter(|(call, _)| *call == number).count();
        let charged: usize = self.arrived.iter().filter_map(data).map(|(_, bytes)| bytes.max(LEAST_CHARGE_BYTES)).sum();
        frames > self.scenario.queue_frames || charged > self.scenario.queue_bytes
    }
}
