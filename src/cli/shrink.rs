//! `exec-http shrink`: a failing case as small as possible.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use exec_http::conformance::shrink::check::Check;
use exec_http::conformance::shrink::failure::{Setting, failure};
use exec_http::conformance::shrink::{Budget, TIME};
use exec_http::conformance::transcript::printable;
use exec_http::conformance::trial::Trial;
use exec_http::conformance::verdict::RunOutcome;

use super::conform::{Failure, unless_interrupted};
use super::peer::CaseArgs;

/// Options of `shrink`.
#[derive(Debug, Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    case: CaseArgs,
    /// Write the script to a file instead of to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = TIME.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
}

/// Shrinks the failure of a case on the first transport on which it fails. Each smaller case is a line on standard error. Status 0:
/// there is a script; 3: the case does not fail.
pub(crate) fn run(arguments: &Shrink) -> RunOutcome {
    arguments.run().unwrap_or_else(|(outcome, message)| {
        eprintln!("error: {message}");
        outcome
    })
}

impl Shrink {
    fn run(&self) -> Result<RunOutcome, Failure> {
        let found = self.case.find()?;
        let runtime = tokio::runtime::Runtime::new().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
        let budget = Budget { time: Duration::from_secs(self.seconds), ..Budget::default() };
        let script = runtime.block_on(unless_interrupted(async {
            for &transport in &found.transports {
                let trial = Trial { transport, time_scale: found.time_scale, judge_end: true };
                let (result, _) = trial.run(&found.pair.peer, &found.case, drop).await;
                let Some(check) = Check::of(&found.case, &result) else {
                    eprintln!("{} [{transport}] {} {}", found.case.id, result.verdict, printable(result.came()));
                    continue;
                };
                eprintln!("{} [{transport}] {}", found.case.id, printable(&check.to_string()));
                let setting = Setting { pair: &found.pair, transport, time_scale: found.time_scale };
                return Ok(Some(failure(&found.case, &check, setting, budget, |line| eprintln!("{line}")).await));
            }
            Ok(None)
        }));
        runtime.shutdown_background();
        let Some(script) = script? else {
            return Err((RunOutcome::Incomplete, "the case does not fail: there is nothing to shrink".to_owned()));
        };
        eprintln!("{}", script.remark);
        let unwritten = |error: io::Error| (RunOutcome::Incomplete, format!("the script cannot be written: {error}"));
        match &self.output {
            Some(path) => std::fs::write(path, &script.text).map_err(unwritten)?,
            None => io::stdout().lock().write_all(script.text.as_bytes()).map_err(unwritten)?,
        }
        Ok(RunOutcome::Conforms)
    }
}
