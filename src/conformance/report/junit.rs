//! The report for CI servers. A violation is a failure, a case without a verdict an error, everything grey is skipped.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::super::case::Half;
use super::super::result::CaseResult;
use super::super::verdict::Bearing;
use super::Summary;
use super::card::card;
use super::paint::Paint;
use super::repeat::Repeat;

/// Writes the report; `repeat` as in the cards.
///
/// # Errors
///
/// Those of `out`.
pub fn write(summary: &Summary, repeat: &Repeat, out: impl Write) -> io::Result<()> {
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    for result in &summary.results {
        let half = match Half::of(&result.case) {
            Half::Executor => "server",
            Half::Client => "client",
        };
        let name = format!("{half}::{}", result.transport);
        let mut case = TestCase::new(result.case.as_str(), status(result, summary.strict_should, repeat));
        case.set_classname(format!("{name}::{}", result.area())).set_time(result.duration);
        if !result.stderr.is_empty() {
            case.set_system_err(result.stderr.as_str());
        }
        let suite = suites.entry(name).or_insert_with_key(|name| TestSuite::new(name.as_str()));
        suite.add_test_case(case);
    }
    let mut report = Report::new("exec-http");
    report.set_time(summary.duration).add_test_suites(suites.into_values());
    report.serialize(out).map_err(io::Error::other)
}

fn status(result: &CaseResult, strict_should: bool, repeat: &Repeat) -> TestCaseStatus {
    let kind = match result.verdict.bearing() {
        Bearing::Good => return TestCaseStatus::success(),
        Bearing::Advice if !strict_should => return TestCaseStatus::success(),
        Bearing::Neutral => {
            let mut status = TestCaseStatus::skipped();
            status.set_type(result.verdict.class()).set_message(result.came());
            return status;
        }
        Bearing::Violation | Bearing::Advice => NonSuccessKind::Failure,
        Bearing::Incomplete => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(result.verdict.to_string()).set_message(result.came()).set_description(card(
        result,
        repeat,
        Paint::PLAIN,
    ));
    status
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::{result, summary};
    use super::*;

    #[test]
    fn violations_are_failures_and_missing_verdicts_are_errors() {
        let results = vec![
            result("a/pass", Verdict::Pass, ""),
            result("a/fail", Verdict::Fail(FailKind::Assertion), "seq <2>"),
            result("a/timeout", Verdict::Timeout, "nothing"),
            result("a/xpass", Verdict::Xpass, "passed"),
            result("a/error", Verdict::Error, "no origin"),
            result("a/not-run", Verdict::NotRun, "no peer"),
            result("a/skipped", Verdict::Skipped, "--skip"),
            result("a/absent", Verdict::NotApplicable, "needs resume"),
        ];
        let mut xml = Vec::new();
        write(&summary(results), &Repeat::default(), &mut xml).expect("memory takes everything");
        let xml = String::from_utf8(xml).expect("XML is UTF-8");
        let suite = r#"<testsuite name="server::stdio" tests="8" skipped="2" errors="2" failures="3""#;
        assert!(xml.contains(suite), "{xml}");
        assert!(xml.contains("seq &lt;2&gt;") && xml.contains(r#"message="needs resume""#), "{xml}");
    }
}
