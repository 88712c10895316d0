//! `exec-http judge`: the verdict about a trace that was kept.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use exec_http::conformance::case::{Case, Half};
use exec_http::conformance::clause::{self, Side};
use exec_http::conformance::report::card::card;
use exec_http::conformance::report::paint::{Paint, Shade};
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::result::CaseResult;
use exec_http::conformance::stage::CaseRun;
use exec_http::conformance::suites;
use exec_http::conformance::tap::{self, Complaint, TAP};
use exec_http::conformance::trace::{Trace, What};
use exec_http::conformance::transcript::printable;
use exec_http::conformance::verdict::{Bearing, RunOutcome, Tally, Verdict};

/// Options of `judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// A trace, or the folder of a run with its traces.
    #[arg(required = true, value_name = "TRACE|RUN")]
    traces: Vec<PathBuf>,
    /// The case that a trace is of, where it is none of the library: an id, or the file of a script.
    #[arg(long, value_name = "CASE|FILE")]
    case: Option<String>,
}

/// Judges each trace, and prints what is wrong in full. The exit code is that of a run.
pub(crate) fn run(arguments: &JudgeArgs) -> ExitCode {
    judge(arguments).map_or_else(
        |message| {
            eprintln!("error: {message}");
            RunOutcome::Usage.into()
        },
        ExitCode::from,
    )
}

fn judge(arguments: &JudgeArgs) -> Result<RunOutcome, String> {
    let paint = Paint::of(&io::stdout());
    let given = arguments.case.as_deref().map(case_of).transpose()?;
    let mut tally = Tally::default();
    for path in files(&arguments.traces)? {
        let trace = read(&path)?;
        let id = match trace.events.first().map(|event| &event.what) {
            Some(What::Begun { case, .. }) => case.clone(),
            _ => return Err(format!("{}: not a trace: it does not say where it begins", path.display())),
        };
        if id == TAP && given.is_none() {
            let complaints = tap::judge(&trace);
            complaints.iter().for_each(|one| _ = super::print(&complaint(one, paint)));
            let heard = trace.events.iter().any(|event| matches!(event.what, What::Received { .. }));
            if !heard {
                super::print(&format!("{}: nothing was heard of the executor\n", path.display()));
            }
            // Whoever says nothing has kept no promise.
            let without = if heard { Verdict::Pass } else { Verdict::NotRun };
            tally.add(complaints.first().map_or(without, |one| Verdict::Fail(one.kind)));
            continue;
        }
        let case = match &given {
            Some(case) => case,
            None => find(&id).ok_or_else(|| {
                format!("{}: no case is called {id:?}; --case names the one that the trace is of", path.display())
            })?,
        };
        let run = CaseRun::of_trace(case, trace);
        let result = CaseResult::of_run(case, run.transport(), &run, String::new(), None);
        tally.add(result.verdict);
        if result.verdict != Verdict::Pass {
            super::print(&card(&result, &Repeat::default(), paint));
        }
    }
    let (passed, failed) = (tally.passed(false), tally.failed(false));
    super::print(&format!("{passed} passed, {failed} failed, {} skipped\n", tally.skipped()));
    Ok(tally.outcome(false))
}

/// The files of traces; a folder of a run has them in a folder of their own.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let folder = path.join("trace");
        let listed = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut in_it: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
        in_it.sort();
        files.append(&mut in_it);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Trace, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Trace::read(BufReader::new(file)).map_err(|error| format!("{}: not a trace: {error}", path.display()))
}

fn find(id: &str) -> Option<&'static Case> {
    suites::of(Half::of(id)).iter().find(|case| case.id == id)
}

/// The case of that id, or in that file.
fn case_of(name: &str) -> Result<Case, String> {
    if let Some(case) = find(name) {
        return Ok(case.clone());
    }
    let text = fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
    exec_http::conformance::script::read(name, &text).map_err(|error| error.to_string())
}

/// What a side is blamed for, in full.
pub(super) fn complaint(one: &Complaint, paint: Paint) -> String {
    let side = match one.side {
        Side::Client => "client",
        Side::Executor | Side::Both => "executor",
    };
    let mut text = format!("{}\n", paint.verdict(&format!("{side} fail({})", one.kind), Bearing::Violation));
    let sentence = clause::find(&one.finding.clause).map_or("", |clause| clause.sentence);
    for (name, said) in [
        ("clause", format!("{}: {sentence}", one.finding.clause)),
        ("allowed", one.finding.expected.clone()),
        ("came", printable(&one.finding.got)),
        ("event", one.number.to_string()),
    ] {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}  {said}", paint.shade(&format!("{name:<10}"), Shade::Dim));
    }
    text
}
