//! What a run tells: people, other programs, and the caller.

pub mod card;
pub mod console;
pub mod html;
pub mod json;
pub mod junit;
pub mod paint;
pub mod repeat;
pub mod statement;
pub mod summary;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use console::Console;
use json::JsonLines;
use repeat::Repeat;

use super::result::CaseResult;
use super::verdict::{Bearing, RunOutcome, Tally, Verdict};

/// From this share of the started cases on, one common cause is the headline.
const HEADLINE_PERCENT: usize = 90;

/// Everybody who is told about results as they come, and the results.
#[derive(Debug)]
pub struct Reports {
    /// For people.
    console: Console,
    /// For programs.
    json: Vec<JsonLines>,
    /// In the order in which they came.
    results: Vec<CaseResult>,
    /// The first failure to write a report.
    fault: Option<io::Error>,
    /// The start of the run.
    start: Instant,
    /// How long its cases took, once they are over.
    took: Option<Duration>,
}

impl Reports {
    /// Nothing has been run yet.
    pub fn new(console: Console, json: Vec<JsonLines>) -> Self {
        Self { console, json, results: Vec::new(), fault: None, start: Instant::now(), took: None }
    }

    /// The run begins with so many cases, those included that are left out.
    pub fn begin(&mut self, cases: usize) {
        self.console.begin(cases);
    }

    /// Tells one result.
    pub fn add(&mut self, result: CaseResult) {
        self.console.add(&result);
        let written = self.json.iter_mut().try_for_each(|json| json.add(&result));
        self.keep(written);
        self.results.push(result);
    }

    /// The results so far.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// The cases are over; tells what the run does now.
    pub fn note(&mut self, what: &str) {
        self.took = Some(self.start.elapsed());
        self.console.note(what);
    }

    /// Tells the end of the run, and returns what became of it.
    ///
    /// # Errors
    ///
    /// The first failure to write to standard output or to a JSON file.
    pub fn end(mut self, strict_should: bool, repeat: &Repeat, folder: Option<&Path>) -> io::Result<Summary> {
        let mut tally = Tally::default();
        self.results.iter().for_each(|result| tally.add(result.verdict));
        let duration = self.took.unwrap_or_else(|| self.start.elapsed());
        let summary = Summary { results: std::mem::take(&mut self.results), tally, strict_should, duration };
        let written = self.json.iter_mut().try_for_each(|json| json.end(&summary));
        self.keep(written);
        let written = self.console.end(&summary, repeat, folder);
        self.keep(written);
        match self.fault {
            Some(error) => Err(error),
            None => Ok(summary),
        }
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.fault.get_or_insert(error);
        }
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// All results, in the order in which they came.
    pub results: Vec<CaseResult>,
    /// How many of each class.
    pub tally: Tally,
    /// A warning is a violation.
    pub strict_should: bool,
    /// How long the run took.
    pub duration: Duration,
}

impl Summary {
    /// What the run amounts to.
    pub fn outcome(&self) -> RunOutcome {
        self.tally.outcome(self.strict_should)
    }

    /// The last line of the report.
    pub fn last_line(&self) -> String {
        let (passed, failed) = (self.tally.passed(self.strict_should), self.tally.failed(self.strict_should));
        format!("{passed} passed, {failed} failed, {} skipped", self.tally.skipped())
    }

    /// The one cause that (almost) all cases share which did not come out right, and how many they are.
    pub fn headline(&self) -> Option<(usize, &str)> {
        let mut causes: BTreeMap<String, (usize, &str)> = BTreeMap::new();
        let mut started = 0;
        for result in &self.results {
            match result.verdict.bearing() {
                Bearing::Neutral => continue,
                Bearing::Good | Bearing::Advice => started += 1,
                Bearing::Violation | Bearing::Incomplete => {
                    started += 1;
                    causes.entry(normal(result.came())).or_insert((0, result.came())).0 += 1;
                }
            }
        }
        let (count, cause) = causes.into_values().max_by_key(|(count, _)| *count)?;
        (count > 1 && count * 100 > started * HEADLINE_PERCENT).then_some((count, cause))
    }

    /// The results that a reader has to look at: everything red or yellow, with only the first of those that share the headline.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        let headline = self.headline().map(|(_, came)| normal(came));
        let mut shown = false;
        let is_wrong = |result: &CaseResult| match result.verdict.bearing() {
            Bearing::Violation | Bearing::Incomplete | Bearing::Advice => true,
            Bearing::Good | Bearing::Neutral => false,
        };
        self.results.iter().filter(move |result| {
            let common = headline.as_ref().is_some_and(|headline| *headline == normal(result.came()));
            // What was never started says no more than the headline.
            let repeats = common && (shown || result.verdict == Verdict::NotRun);
            shown |= common;
            is_wrong(result) && !repeats
        })
    }
}

/// The text without its numbers, which differ between cases that have the same cause.
fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '0'..='9' if normal.ends_with('#') => {}
            '0'..='9' => normal.push('#'),
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::case::Transport;
    use super::super::judge::FailKind;
    use super::super::result::Reason;
    use super::*;

    /// A made-up result.
    pub(crate) fn result(case: &str, verdict: Verdict, came: &str) -> CaseResult {
        CaseResult::without_run(case, Transport::Stdio, verdict, Reason::broken("STREAM-1", "seq 1", came))
    }

    /// A made-up run.
    pub(crate) fn summary(results: Vec<CaseResult>) -> Summary {
        let mut tally = Tally::default();
        results.iter().for_each(|result| tally.add(result.verdict));
        Summary { results, tally, strict_should: false, duration: Duration::from_millis(1_500) }
    }

    const FAIL: Verdict = Verdict::Fail(FailKind::Assertion);

    #[test]
    fn one_cause_of_almost_all_cases_is_the_headline() {
        let mut results: Vec<_> =
            (0..20).map(|n| result("a/b", Verdict::Timeout, &format!("nothing within {n} ms"))).collect();
        results.push(result("a/c", Verdict::Pass, ""));
        let twenty = summary(results.clone());
        assert_eq!(twenty.headline(), Some((20, "nothing within 0 ms")));
        assert_eq!(twenty.failures().count(), 1);
        results.extend([result("a/d", FAIL, "seq 2"), result("a/e", Verdict::Pass, "")]);
        let mixed = summary(results);
        assert_eq!(mixed.headline(), None);
        assert_eq!(mixed.failures().count(), 21);
    }

    #[test]
    fn what_was_never_started_is_said_once() {
        let reason = "the peer exited with status 0 before answering initialize";
        let summary = summary(vec![result("a/b", Verdict::NotRun, reason), result("a/c", Verdict::NotRun, reason)]);
        assert_eq!(summary.headline(), Some((2, reason)));
        assert_eq!(summary.failures().count(), 0);
        assert_eq!(summary.last_line(), "0 passed, 0 failed, 2 skipped");
        assert_eq!(summary.outcome().exit_code(), 3);
    }
}
