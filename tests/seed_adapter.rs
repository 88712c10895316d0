//! The suite against the seed client: correct with all switches off, and caught for each defect that it had when it was merged
//! by the case that owns the clause.

use std::process::Command;

use exec_http::conformance::case::Half;
use exec_http::conformance::suites;
use serde_json::Value;

const EXEC_HTTP: &str = env!("CARGO_BIN_EXE_exec-http");

/// Runs the suite against the seed client, and returns its exit code and the result of each case that ran, on each transport.
fn conform(name: &str, seed: &[&str], only: &[&str]) -> (Option<i32>, Vec<Value>) {
    let results = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("seed-{name}.jsonl"));
    let mut command = Command::new(EXEC_HTTP);
    command.args(["conform", "client", "--no-out", "--json"]).arg(&results);
    command.args(only.iter().flat_map(|case| ["--only", case]));
    command.args(["--", EXEC_HTTP, "adapter", "--seed"]).args(seed);
    let output = command.output().expect("the program can be started");
    let text = std::fs::read_to_string(&results).expect("the results were written");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let ran = |line: &Value| line["event"] == "case" && line["verdict"] != "skipped";
    (output.status.code(), lines.filter(ran).collect())
}

/// Each of these cases owns that clause, and fails on both transports by what came, not by a deadline alone.
#[track_caller]
fn is_caught(name: &str, seed: &[&str], expected: &[(&str, &str)]) {
    let cases: Vec<&str> = expected.iter().map(|(case, _)| *case).collect();
    let (code, results) = conform(name, seed, &cases);
    assert_eq!((code, results.len()), (Some(1), 2 * expected.len()));
    for result in results {
        assert_eq!(result["detail"], "fail(assertion)", "{result}");
    }
    for (id, clause) in expected {
        let owner = suites::of(Half::Client).iter().find(|case| case.id == *id).expect("a case of that name");
        assert!(owner.clauses.iter().any(|owned| owned == clause), "{id} is not about {clause}");
    }
}

#[test]
fn the_correct_one_passes_whatever_applies() {
    let (code, results) = conform("correct", &[], &[]);
    assert_eq!(code, Some(0));
    let count = |verdict| results.iter().filter(|result| result["verdict"] == verdict).count();
    let (passed, rest) = (count("pass"), count("not-applicable"));
    assert!(passed > 300 && passed + rest == results.len(), "{passed} and {rest} of {}", results.len());
}

#[test]
fn the_merged_one_is_caught_by_the_owner_of_each_clause() {
    let expected = [
        // A disconnect that finds the queue full.
        ("client-close/full-queue", "STREAM-28"),
        // A disconnect that is told as a gap.
        ("client-close/kind", "CLOSE-9"),
        // A receive that is given up while it cleans up.
        ("client-route/receive-last-again", "ROUTE-15"),
        // A record of a failure that nobody takes.
        ("client-route/too-many-frames-census", "ROUTE-16"),
        // A drop without a runtime.
        ("client-route/foreign-thread", "ROUTE-6"),
        // Data or a clean end behind an error.
        ("client-stream/error-again", "STREAM-19"),
        // A queue that closes, taken for the end of a whole body.
        ("client-route/too-many-frames", "ROUTE-8"),
        // A terminal frame for which the queue has no place.
        ("client-route/error-at-a-full-queue", "ROUTE-12"),
        // A bad frame of one stream, or of none, that ends them all.
        ("client-stream/bad-base64", "STREAM-22"),
        ("client-stream/unknown-id", "STREAM-24"),
    ];
    is_caught("merged", &["--merged"], &expected);
}

#[test]
fn the_one_with_a_byte_budget_is_caught_for_whom_it_makes_pay() {
    let expected = [("client-route/hoarder-pays", "ROUTE-11")];
    is_caught("budget", &["--defect", "newest-frame-pays"], &expected);
}
