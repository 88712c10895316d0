//! The first look at an adapter: does it speak its protocol, and does it tell the truth. Without this no case can be judged.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::json;

use super::adapter::{Adapter, Talk};
use super::driver::{Surroundings, run_case};
use super::messages::{CONTROL, Hello, Order, Reply};
use crate::conformance::case::Case;
use crate::conformance::case::parse::parse_cases;
use crate::conformance::judge::{Finding, Judgement};

/// How long an adapter may take for a reply that needs nothing from the network.
pub(super) const REPLY: Duration = Duration::from_secs(5);

/// Round trips that are measured.
const ROUND_TRIPS: usize = 20;

/// Where the protocol is described.
const DOCUMENT: &str = "docs/adapter.md";

static CASES: LazyLock<Vec<Case>> =
    LazyLock::new(|| parse_cases("check.case", include_str!("check.case")).expect("a test reads them"));

/// What the first look showed.
#[derive(Clone, Debug)]
pub struct Introduced {
    /// What the adapter declares.
    pub hello: Hello,
    /// The slowest of some round trips.
    pub round_trip: Duration,
}

/// Asks an adapter who it is, twice, and something that nobody knows. It may take `start` for its first reply.
///
/// # Errors
///
/// What the author of the adapter has to do first.
pub async fn introduce(adapter: &Adapter, start: Duration, time_scale: f64) -> Result<Introduced, String> {
    let reply = REPLY.mul_f64(time_scale);
    let mut talk = Talk::with(adapter);
    let hello = || Order::Hello { control: vec![CONTROL], suite: env!("CARGO_PKG_VERSION").to_owned() };
    let first = expect_hello(talk.ask(hello(), start).await)?;
    if first.control != CONTROL {
        let theirs = first.control;
        return Err(format!(
            "the adapter speaks version {theirs} of the adapter protocol; this suite speaks {CONTROL}"
        ));
    }
    let noisy = json!({"command": "hello", "control": [CONTROL], "suite": "", "news": {"of": [1, null]}});
    let second = expect_hello(talk.ask_freely(noisy, reply).await)?;
    if first != second {
        return Err("two `hello`s of the adapter declare different things; they have to be equal".to_owned());
    }
    match talk.ask_freely(json!({"command": "no-such-command", "of": [1]}), reply).await {
        Ok(Reply::Unsupported { .. }) => {}
        Ok(other) => {
            let next = format!("reply `unsupported`, with a reason, to every command that {DOCUMENT} does not have");
            return Err(format!("the adapter answers an unknown command with {other:?}; next: {next}"));
        }
        Err(fault) => {
            return Err(format!(
                "an unknown command: {fault}; next: reply `unsupported` to it, and go on ({DOCUMENT})"
            ));
        }
    }
    let mut round_trip = Duration::ZERO;
    for _ in 0..ROUND_TRIPS {
        let start = tokio::time::Instant::now();
        match talk.ask(Order::Sync, reply).await {
            Ok(Reply::Ok) => round_trip = round_trip.max(start.elapsed()),
            Ok(other) => return Err(format!("the adapter answers `sync` with {other:?}; next: reply `ok`")),
            Err(fault) => return Err(format!("sync: {fault}; next: reply `ok` to it ({DOCUMENT})")),
        }
    }
    Ok(Introduced { hello: first, round_trip })
}

fn expect_hello(answer: Result<Reply, String>) -> Result<Hello, String> {
    let next = format!("next: let it read a line, and reply to `hello` with its declaration ({DOCUMENT})");
    match answer {
        Ok(Reply::Hello(hello)) => Ok(hello),
        Ok(other) => Err(format!("the adapter answers `hello` with {other:?}; {next}")),
        Err(fault) => Err(format!("hello: {fault}; {next}")),
    }
}

/// Plays a few calls whose outcome is beyond doubt. A clause that the library breaks on the way is left to its own cases.
///
/// # Errors
///
/// What the author of the adapter has to do first.
pub async fn check(adapter: &Adapter, around: Surroundings<'_>) -> Result<(), String> {
    for case in CASES.iter() {
        let run = run_case(case, adapter, around, None).await;
        let found = |finding: &Finding| format!("at `{}` came: {}", finding.expected, finding.got);
        let came = match &run.judgement {
            Judgement::Pass | Judgement::Warn(_) => continue,
            Judgement::Fail(_, finding) if is_of_the_library(case, finding) => continue,
            Judgement::Fail(_, finding) | Judgement::Timeout(finding) | Judgement::NoHandshake(finding) => {
                found(finding)
            }
            Judgement::Error(reason) => reason.clone(),
        };
        // In the same words on every transport, so that a run with several has one cause.
        return Err(format!(
            "the adapter is not ready: {} {came}; next: look at what it does there, step by step:\n{}",
            case.description, case.text
        ));
    }
    Ok(())
}

/// Whether it was no step that failed, but a clause that the check is not about.
fn is_of_the_library(case: &Case, finding: &Finding) -> bool {
    let of_step = case.steps.get(finding.step).is_some_and(|step| step.source == finding.expected);
    !of_step && !case.clauses.contains(&finding.clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_read() {
        assert_eq!(CASES.len(), 4);
    }
}
