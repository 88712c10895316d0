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
pub fn write(summary: &Summary, repeat: &Repeat, mut out: impl Write) -> io::Result<()> {
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
    let xml = report.to_string().map_err(io::Error::other)?;
    out.write_all(without_sum_of_skipped(&xml).as_bytes())
}

/// The schema that CI services use has `skipped` for each suite, and none for all of them together.
fn without_sum_of_skipped(xml: &str) -> String {
    let Some(start) = xml.find("<testsuites") else { return xml.to_owned() };
    let end = xml[start..].find('>').map_or(xml.len(), |end| start + end);
    let head: Vec<&str> = xml[start..end].split(' ').filter(|word| !word.starts_with("skipped=")).collect();
    format!("{}{}{}", &xml[..start], head.join(" "), &xml[end..])
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
        let all = r#"<testsuites name="exec-http" tests="8" errors="2" failures="3" time="1.500">"#;
        let without = r#"<testsuites name="exec-http" tests="8" failures="3" errors="2" time="1.500">"#;
        assert!(xml.contains(all) || xml.contains(without), "{xml}");
        assert!(xml.contains("seq &lt;2&gt;") && xml.contains(r#"message="needs resume""#), "{xml}");
    }
}
