//! What it means that two scripts fail the same check.

use std::fmt;

use crate::conformance::case::{Action, Case, Expect, Shape, Step};
use crate::conformance::result::CaseResult;
use crate::conformance::verdict::Verdict;

/// What a case failed on, without anything that a smaller script may change.
///
/// Two results fail the same check when all of this is equal:
/// - the verdict with its kind, such as `fail(assertion)` or `timeout`;
/// - the clause;
/// - what was looked at: a step of one kind (`<- status`, `<- deltas`, `origin-aborted`, …), or an invariant with the same
///   sentence, numbers aside;
/// - for a step: how it was missed, by the first two words of what came, numbers aside (`nothing within`, `the end`,
///   `header x-name`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its class and kind.
    verdict: Verdict,
    /// The clause that was broken; empty where none was.
    clause: String,
    /// A kind of step, or the sentence of an invariant.
    subject: String,
    /// The first words of what came instead at a step.
    came: String,
}

impl Check {
    /// What a result failed on; `None` if it is no failure, or nothing that a script could repeat.
    pub fn of(case: &Case, result: &CaseResult) -> Option<Self> {
        if !matches!(result.verdict, Verdict::Fail(_) | Verdict::Timeout | Verdict::Warn) {
            return None;
        }
        let reason = result.reason.as_ref()?;
        let line = reason.place.as_ref().and_then(|place| place.rsplit(':').next()?.parse::<usize>().ok());
        let step = case.steps.iter().find(|step| Some(step.line) == line && step.source == reason.expected);
        let (subject, came) = match step {
            Some(step) => (kind(step), first_words(&reason.came)),
            None => (without_numbers(&reason.expected), String::new()),
        };
        Some(Self { verdict: result.verdict, clause: reason.clause.clone().unwrap_or_default(), subject, came })
    }

    /// It fails by waiting for a deadline, which takes its time.
    pub fn is_deadline(&self) -> bool {
        self.came == "nothing within"
    }

    /// The verdict that a result with this check has.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {}", self.verdict, self.clause, self.subject)?;
        if self.came.is_empty() { Ok(()) } else { write!(f, ": {} …", self.came) }
    }
}

/// The kind of a step: its first words, as far as they are no names and numbers.
fn kind(step: &Step) -> String {
    let word = match &step.action {
        Action::Expect(Expect::Answer(_, outcomes)) => match outcomes.first().map(|outcome| &outcome.shape) {
            Some(Shape::Status(_)) => "<- status",
            Some(Shape::Error(_)) => "<- error",
            Some(Shape::Result(_)) => "<- result",
            Some(Shape::Answered) | None => "<- answered",
        },
        Action::Expect(_) | Action::Client(_) => {
            let word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            let mut words = step.source.split_whitespace();
            return match words.find(|word| matches!(*word, "<-" | "=>")) {
                Some(arrow) => format!("{arrow} {}", words.find(word).unwrap_or_default()),
                None => step.source.split_whitespace().next_back().unwrap_or_default().to_owned(),
            };
        }
        _ => step.source.split_whitespace().next().unwrap_or_default(),
    };
    word.to_owned()
}

fn first_words(came: &str) -> String {
    without_numbers(&came.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// The text with `#` for each number.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::Transport;
    use crate::conformance::case::parse::parse_cases;
    use crate::conformance::judge::FailKind;
    use crate::conformance::result::Reason;

    const CASE: &str = "# One.\ncase a/b\nclauses ORDER-11\n-> 1 stream s GET /a\n<- 1 200\n<- deltas s \"x\"\nping \"p\"\n<- pong \"p\"\norigin-aborted /a\n";

    fn check(line: usize, expected: &str, came: &str) -> Check {
        let case = parse_cases("a.case", CASE).expect("a good case").remove(0);
        let mut reason = Reason::broken("ORDER-11", expected, came);
        reason.place = Some(format!("a.case:{line}"));
        let fail = Verdict::Fail(FailKind::Assertion);
        Check::of(&case, &CaseResult::without_run("a/b", Transport::Stdio, fail, reason)).expect("it is a failure")
    }

    #[test]
    fn steps_of_one_kind_that_are_missed_in_one_way_are_the_same() {
        let missed = check(5, "<- 1 200", "nothing within 5000 ms; 3 requests wait");
        assert_eq!(missed.to_string(), "fail(assertion) of ORDER-11 at <- status: nothing within …");
        assert_eq!(missed, check(5, "<- 1 200", "nothing within 2000 ms; 1 requests wait"));
        assert_ne!(missed, check(5, "<- 1 200", "the end of the connection by the peer: reset"));
        assert_ne!(missed, check(6, "<- deltas s \"x\"", "nothing within 2000 ms"));
        assert_eq!(check(6, "<- deltas s \"x\"", "4 bytes that begin").subject, "<- deltas");
        assert_eq!(check(8, "<- pong \"p\"", "nothing").subject, "<- pong");
        assert_eq!(check(9, "origin-aborted /a", "nothing").subject, "origin-aborted");
    }

    #[test]
    fn an_invariant_is_its_sentence_wherever_it_is_broken() {
        assert_eq!(check(5, "seq 1", "{...}"), check(6, "seq 12", "{}"));
        assert_ne!(check(5, "seq 1", "{...}"), check(5, "no frame behind the terminal frame", "{...}"));
    }

    #[test]
    fn what_passes_fails_no_check() {
        let case = parse_cases("a.case", CASE).expect("a good case").remove(0);
        for verdict in [Verdict::Pass, Verdict::NotRun, Verdict::Error, Verdict::NotApplicable] {
            let result = CaseResult::without_run("a/b", Transport::Stdio, verdict, Reason::plain("x"));
            assert_eq!(Check::of(&case, &result), None);
        }
    }
}
