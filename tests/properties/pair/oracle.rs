//! What each consumer must have seen, from what came out of the relay.

use exec_http::client::CallError;
use exec_http::protocol::stream::{Disconnect, Outcome, StreamError};

use super::consumer::Record;
use super::executor::{body, refusal, status};
use super::relay::{Log, Passed, What};
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
        if self.log.is_untouched(number) && !self.garbled {
            self.judge_untouched(number, record, &whole);
        }
    }

    /// A call none of whose frames was touched gets what its origin sent, whatever happened to others.
    fn judge_untouched(&self, number: usize, record: &Record, whole: &[u8]) {
        let call = &self.scenario.calls[number];
        match (call.end, &record.head, &record.end) {
            // What these saw was judged already.
            (_, Ok(_), None | Some(Err(StreamError::Overflow(_)))) => return,
            (OriginEnd::Whole, Ok(_), Some(Ok(()))) => {}
            (OriginEnd::Short, Ok(_), Some(Err(StreamError::WrongLength(_)))) if call.stream => {}
            (OriginEnd::Broken, Ok(_), Some(Err(StreamError::Remote { message, .. }))) if call.stream => {
                assert_eq!(*message, refusal(number));
            }
            (OriginEnd::Short, Err(CallError::WrongLength(_)), None) if !call.stream => return,
            (OriginEnd::Broken, Err(CallError::Executor(_)), None) if !call.stream => return,
            (OriginEnd::Refused, Err(CallError::Executor(_)), None) => return,
            _ => panic!("call {number} of {call:?} saw {record:?}"),
        }
        assert_eq!(record.body, whole, "call {number}");
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

    /// What arrived of one call, and whether it can be read.
    fn arrived_of(&self, number: usize) -> impl Iterator<Item = (&What, bool)> {
        let of_all = self.arrived.iter().filter_map(|passed| match passed {
            Passed::Intact(sent) => Some((sent, true)),
            Passed::Spoilt(sent) => Some((sent, false)),
            Passed::Garbled | Passed::Misdirected => None,
        });
        of_all.filter(move |(sent, _)| sent.call == number).map(|(sent, readable)| (&sent.what, readable))
    }

    /// The first answer that arrived (ID-7).
    fn answer(&self, number: usize) -> Answer {
        let mut answers = self.arrived_of(number).filter_map(|(what, readable)| match what {
            What::Head if readable => Some(Answer::Head),
            What::Head => Some(Answer::Unreadable),
            What::Refusal => Some(Answer::Refusal),
            What::Delta { .. } => None,
        });
        answers.next().unwrap_or(Answer::Missing)
    }

    /// The bytes that arrived in order, and what came behind them (STREAM-15 to STREAM-22, CLOSE-8).
    fn body(&self, number: usize) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let mut expected = 1;
        for (what, readable) in self.arrived_of(number) {
            let What::Delta { seq, data, done, failed } = what else { continue };
            if !readable {
                return (bytes, End::Malformed);
            }
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
        (bytes, End::Lost)
    }

    /// Whether so much arrived that a bound may have been met. A client that pauses meets none, except by frames that came
    /// before their answer.
    fn may_overflow(&self, number: usize) -> bool {
        let is_early = matches!(self.arrived_of(number).next(), Some((What::Delta { .. }, _)));
        if self.scenario.pause && !is_early {
            return false;
        }
        let lengths = |number| {
            self.arrived_of(number).filter_map(|(what, _)| match what {
                What::Delta { data, .. } if !data.is_empty() => Some(data.len().max(LEAST_CHARGE_BYTES)),
                _ => None,
            })
        };
        let charged: usize = (0..self.scenario.calls.len()).flat_map(lengths).sum();
        lengths(number).count() > self.scenario.queue_frames || charged > self.scenario.queue_bytes
    }
}
