//! What can be said about one case, and what a whole run amounts to.

use std::fmt;
use std::process::ExitCode;

use super::judge::FailKind;

/// The class of one case on one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Every assertion was evaluated and held, and the peer was seen to do something.
    Pass,
    /// An assertion was evaluated and did not hold.
    Fail(FailKind),
    /// The peer is alive, but a step that no clause of the case names did not come in time.
    Timeout,
    /// The suite cannot judge.
    Error,
    /// Selected but not reached.
    NotRun,
    /// Only clauses of level SHOULD were broken.
    Warn,
    /// The peer does not claim what the case needs, or the case does not exist on this transport or revision.
    NotApplicable,
    /// Left out by the user.
    Skipped,
    /// Expected to go wrong, and went wrong exactly as described.
    Xfail,
    /// Expected to go wrong, and went wrong in another way.
    XfailChanged,
    /// Expected to go wrong, and passed.
    Xpass,
}

/// What a class means for the run. Only [`Bearing::Good`] and [`Bearing::Neutral`] can leave a run green.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// As it should be.
    Good,
    /// The peer or an expectation is wrong.
    Violation,
    /// The suite cannot vouch for the case.
    Incomplete,
    /// Good by default, a violation under `--strict-should`.
    Advice,
    /// Says nothing about the peer.
    Neutral,
}

impl Verdict {
    /// The classes in the order of reports, with one representative for the kinds of [`Verdict::Fail`].
    pub const CLASSES: [Self; 11] = [
        Self::Pass,
        Self::Fail(FailKind::Assertion),
        Self::Timeout,
        Self::Error,
        Self::NotRun,
        Self::Warn,
        Self::NotApplicable,
        Self::Skipped,
        Self::Xfail,
        Self::XfailChanged,
        Self::Xpass,
    ];

    /// The word of the class, without a sub-kind.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::NotRun => "not-run",
            Self::Warn => "warn",
            Self::NotApplicable => "not-applicable",
            Self::Skipped => "skipped",
            Self::Xfail => "xfail",
            Self::XfailChanged => "xfail-changed",
            Self::Xpass => "xpass",
        }
    }

    /// What the class means for the run.
    pub const fn bearing(self) -> Bearing {
        match self {
            Self::Pass => Bearing::Good,
            Self::Fail(_) | Self::Timeout | Self::XfailChanged | Self::Xpass => Bearing::Violation,
            Self::Error | Self::NotRun => Bearing::Incomplete,
            Self::Warn => Bearing::Advice,
            Self::NotApplicable | Self::Skipped | Self::Xfail => Bearing::Neutral,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(kind) => write!(f, "fail({kind})"),
            other => f.write_str(other.class()),
        }
    }
}

/// How many cases fell into each class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// One count for each of [`Verdict::CLASSES`], at the same index.
    counts: [usize; Verdict::CLASSES.len()],
}

impl Tally {
    /// Counts one case.
    pub fn add(&mut self, verdict: Verdict) {
        let index = Verdict::CLASSES.iter().position(|class| class.class() == verdict.class());
        self.counts[index.expect("every verdict has its class in the list")] += 1;
    }

    /// Counts what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
    }

    /// The classes that occurred, with their counts, in the order of [`Verdict::CLASSES`].
    pub fn classes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let counts = Verdict::CLASSES.iter().zip(self.counts).filter(|(_, count)| *count > 0);
        counts.map(|(class, count)| (class.class(), count))
    }

    /// Cases whose class is one of `classes`.
    fn sum(&self, wanted: impl Fn(Verdict) -> bool) -> usize {
        Verdict::CLASSES.iter().zip(self.counts).filter(|(class, _)| wanted(**class)).map(|(_, count)| count).sum()
    }

    /// Cases that passed; warnings count here unless `strict_should`.
    pub fn passed(&self, strict_should: bool) -> usize {
        self.sum(|verdict| match verdict.bearing() {
            Bearing::Good => true,
            Bearing::Advice => !strict_should,
            Bearing::Violation | Bearing::Incomplete | Bearing::Neutral => false,
        })
    }

    /// Cases that ended red after they were started: violations, and errors of the suite.
    pub fn failed(&self, strict_should: bool) -> usize {
        self.violations(strict_should) + self.sum(|verdict| verdict == Verdict::Error)
    }

    /// All other cases: those that were not started, and those that went wrong as expected.
    pub fn skipped(&self) -> usize {
        self.sum(|verdict| verdict.bearing() == Bearing::Neutral || verdict == Verdict::NotRun)
    }

    fn violations(&self, strict_should: bool) -> usize {
        self.sum(|verdict| match verdict.bearing() {
            Bearing::Violation => true,
            Bearing::Advice => strict_should,
            Bearing::Good | Bearing::Incomplete | Bearing::Neutral => false,
        })
    }

    /// What the run amounts to. A violation outweighs an incomplete run; a run in which the peer was never seen to do
    /// anything is incomplete.
    pub fn outcome(&self, strict_should: bool) -> RunOutcome {
        let observed = self.sum(|verdict| matches!(verdict, Verdict::Pass | Verdict::Warn | Verdict::Xfail));
        if self.violations(strict_should) > 0 {
            RunOutcome::Violation
        } else if observed == 0 || self.sum(|verdict| verdict.bearing() == Bearing::Incomplete) > 0 {
            RunOutcome::Incomplete
        } else {
            RunOutcome::Conforms
        }
    }
}

/// How a run of the suite ended; the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// All results match the declaration and the expectations.
    Conforms,
    /// At least one violation.
    Violation,
    /// The command line or a configuration file is wrong.
    Usage,
    /// No violation, but cases without a verdict, or nothing seen of the peer.
    Incomplete,
    /// The suite itself is broken.
    SuiteBug,
}

impl RunOutcome {
    /// The exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Conforms => 0,
            Self::Violation => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::SuiteBug => 70,
        }
    }
}

impl From<RunOutcome> for ExitCode {
    fn from(outcome: RunOutcome) -> Self {
        outcome.exit_code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(verdicts: &[Verdict]) -> Tally {
        let mut tally = Tally::default();
        verdicts.iter().for_each(|verdict| tally.add(*verdict));
        tally
    }

    #[track_caller]
    fn check(verdicts: &[Verdict], exit_code: u8, last_line: (usize, usize, usize)) {
        let tally = tally(verdicts);
        assert_eq!(tally.outcome(false).exit_code(), exit_code, "{verdicts:?}");
        assert_eq!((tally.passed(false), tally.failed(false), tally.skipped()), last_line, "{verdicts:?}");
    }

    #[test]
    fn only_a_seen_pass_or_an_expected_failure_makes_a_run_green() {
        check(&[Verdict::Pass], 0, (1, 0, 0));
        check(&[Verdict::Xfail], 0, (0, 0, 1));
        check(&[Verdict::Warn], 0, (1, 0, 0));
        check(&[], 3, (0, 0, 0));
        check(&[Verdict::NotApplicable, Verdict::Skipped], 3, (0, 0, 2));
        check(&[Verdict::Pass, Verdict::NotApplicable, Verdict::Skipped, Verdict::Xfail], 0, (1, 0, 3));
    }

    #[test]
    fn a_violation_outweighs_an_incomplete_run() {
        for kind in [FailKind::Assertion, FailKind::Crash, FailKind::Leak] {
            check(&[Verdict::Pass, Verdict::Fail(kind), Verdict::NotRun], 1, (1, 1, 1));
        }
        check(&[Verdict::Pass, Verdict::Timeout, Verdict::Error], 1, (1, 2, 0));
        check(&[Verdict::Pass, Verdict::Xpass], 1, (1, 1, 0));
        check(&[Verdict::Pass, Verdict::XfailChanged], 1, (1, 1, 0));
        check(&[Verdict::Pass, Verdict::NotRun], 3, (1, 0, 1));
        check(&[Verdict::Pass, Verdict::Error], 3, (1, 1, 0));
    }

    #[test]
    fn strict_should_turns_a_warning_into_a_violation() {
        let tally = tally(&[Verdict::Pass, Verdict::Warn]);
        assert_eq!(tally.outcome(true), RunOutcome::Violation);
        assert_eq!((tally.passed(true), tally.failed(true)), (1, 1));
    }

    #[test]
    fn every_class_is_counted_once_and_in_one_bucket_of_the_last_line() {
        let tally = tally(&Verdict::CLASSES);
        assert_eq!(tally.classes().map(|(_, count)| count).collect::<Vec<_>>(), [1; 11]);
        assert_eq!(tally.passed(false) + tally.failed(false) + tally.skipped(), 11);
        assert_eq!(tally.passed(true) + tally.failed(true) + tally.skipped(), 11);
    }
}
