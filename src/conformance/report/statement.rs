//! The conformance statement of a run: what was asked of whom, under which claims, and what came of it, as one JSON object.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::artifacts::Stamp;
use super::super::declaration::Declaration;
use super::super::suites;
use super::super::verdict::Verdict;
use super::super::zoo::statement::published_scores;
use super::Summary;
use super::json::SUITE;

/// What a statement says besides the results.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The command line of the run.
    pub command: &'a str,
    /// The transports that were tested.
    pub transports: &'a [&'a str],
    /// What the implementation claims.
    pub declaration: &'a Declaration,
    /// SHA-256 of the expectation file, in hexadecimal digits.
    pub expectations: Option<String>,
}

/// Writes the statement.
///
/// # Errors
///
/// Those of `out`.
pub fn write(subject: &Subject<'_>, summary: &Summary, mut out: impl Write) -> io::Result<()> {
    let classes: Map<String, Value> =
        summary.tally.classes().map(|(class, count)| (class.to_owned(), count.into())).collect();
    let partial = summary.results.iter().any(|result| result.verdict == Verdict::Skipped);
    let scores: Map<String, Value> = published_scores()
        .map(|(score, [executors, clients])| (score.to_owned(), json!({"executors": executors, "clients": clients})))
        .collect();
    let statement = json!({
        "suite": SUITE,
        "digest": suites::digest(),
        "revision": subject.declaration.revision().to_string(),
        "command": subject.command,
        "transports": subject.transports,
        "declaration": subject.declaration,
        "expectations": subject.expectations,
        "ended": Stamp::now().rfc3339(),
        "seconds": summary.duration.as_secs_f64(),
        "results": summary.results.len(),
        "classes": classes,
        "partial": partial,
        "strictShould": summary.strict_should,
        "exitCode": summary.outcome().exit_code(),
        "suiteScores": scores,
    });
    writeln!(out, "{statement:#}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{result, summary};
    use super::*;

    #[test]
    fn a_run_that_left_cases_out_says_so() {
        let declaration = Declaration::default();
        let subject = Subject {
            command: "exec-http conform server",
            transports: &["stdio"],
            declaration: &declaration,
            expectations: None,
        };
        let statement = |results| {
            let mut text = Vec::new();
            write(&subject, &summary(results), &mut text).expect("memory takes everything");
            serde_json::from_slice::<Value>(&text).expect("it is JSON")
        };
        let whole = statement(vec![result("a/b", Verdict::Pass, "")]);
        assert_eq!((&whole["partial"], &whole["exitCode"]), (&json!(false), &json!(0)));
        assert_eq!(whole["revision"], "extension");
        assert!(whole["suiteScores"]["defects"]["executors"].as_u64().is_some_and(|count| count > 0), "{whole}");
        let partial = statement(vec![result("a/b", Verdict::Pass, ""), result("a/c", Verdict::Skipped, "--skip")]);
        assert_eq!(partial["partial"], true);
    }
}
