//! `exec-http replay`: one case, with everything that happens.

use std::io::{self, BufRead as _, Write as _};

use clap::{Args, ValueEnum};
use exec_http::conformance::python;
use exec_http::conformance::report::card::card;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::result::CaseResult;
use exec_http::conformance::trace::Trace;
use exec_http::conformance::transcript::whole;
use exec_http::conformance::trial::{Tested, Trial};
use exec_http::conformance::verdict::{RunOutcome, Tally};

use super::conform::{Failure, unless_interrupted, usage};
use super::peer::{CaseArgs, Found};

/// Options of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    case: CaseArgs,
    /// Repeat until it fails, so many times at most.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "100",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat_until_failure: Option<u32>,
    /// Print the process id of the peer and wait for Enter before the first step.
    #[arg(long)]
    wait_for_debugger: bool,
    /// Print a program that does the same without exec-http, and run nothing.
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    emit: Option<Language>,
}

/// What a script can be turned into.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// Python 3.8 with its standard library.
    Python,
}

/// Runs the case on each transport. Exit codes as in [`RunOutcome`].
pub(crate) fn run(arguments: &Replay) -> RunOutcome {
    arguments.run().unwrap_or_else(|(outcome, message)| {
        eprintln!("error: {message}");
        outcome
    })
}

impl Replay {
    fn run(&self) -> Result<RunOutcome, Failure> {
        if let Some(Language::Python) = self.emit {
            let program = python::program(&self.case.case()?).map_err(usage)?;
            return print(&program).map(|()| RunOutcome::Conforms);
        }
        let found = self.case.find()?;
        if self.wait_for_debugger && matches!(&found.pair.peer, Tested::Executor(target) if !target.is_spawned()) {
            return Err(usage("--wait-for-debugger needs a peer that is started here: --cmd, not --url"));
        }
        let runtime = tokio::runtime::Runtime::new().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
        let outcome = runtime.block_on(unless_interrupted(self.replay(&found)));
        runtime.shutdown_background();
        outcome
    }

    async fn replay(&self, found: &Found) -> Result<RunOutcome, Failure> {
        let repetitions = self.repeat_until_failure.unwrap_or(1);
        for nth in 1..=repetitions {
            let mut tally = Tally::default();
            let mut text = String::new();
            for &transport in &found.transports {
                let trial = Trial { transport, time_scale: found.time_scale, judge_end: true };
                let (result, trace) = trial.run(&found.pair.peer, &found.case, |pid| self.wait(pid)).await;
                tally.add(result.verdict);
                text += &shown(found, result, &trace);
            }
            let outcome = tally.outcome(true);
            if self.repeat_until_failure.is_none() {
                return print(&text).map(|()| tally.outcome(false));
            }
            if outcome != RunOutcome::Conforms {
                return print(&format!("{text}failed in run {nth}\n")).map(|()| outcome);
            }
        }
        print(&format!("passed {repetitions} times\n")).map(|()| RunOutcome::Conforms)
    }

    /// Lets somebody attach a debugger.
    fn wait(&self, pid: Option<u32>) {
        if let Some(pid) = pid.filter(|_| self.wait_for_debugger) {
            eprint!("process {pid} is waiting; press Enter to go on ");
            // The end of standard input is an answer, too.
            let _ = io::stdin().lock().read_line(&mut String::new());
        }
    }
}

/// What happened, and what came of it.
fn shown(found: &Found, mut result: CaseResult, trace: &Trace) -> String {
    let mut text = format!("{} [{}]\n", found.case.id, result.transport);
    whole(&found.case, trace).iter().for_each(|line| text += &format!("{line}\n"));
    // The frames stand above.
    result.transcript.clear();
    let cards = [Paint::PLAIN, Paint::of(&io::stdout())].map(|paint| card(&result, &Repeat::default(), paint));
    // How to repeat it is what the user has just typed.
    let typed = |plain: &str| plain.starts_with("  again ") || plain.starts_with("  alone ");
    let lines = cards[0].lines().zip(cards[1].lines()).filter(|(plain, _)| !typed(plain));
    lines.for_each(|(_, painted)| text += &format!("{painted}\n"));
    text
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever does not read to the end has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err((RunOutcome::Incomplete, error.to_string())),
        _ => Ok(()),
    }
}
