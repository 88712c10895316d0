//! `exec-http zoo`: peers with known defects, which the suite has to catch, and odd but correct ones, which it must not blame.

mod adapter;
mod serve;

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use exec_http::conformance::case::Half;
use exec_http::conformance::report::console::bar;
use exec_http::conformance::select::Selection;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::archive;
use exec_http::conformance::zoo::choice::choose;
use exec_http::conformance::zoo::hunt::{Catch, Fate, Hunt};
use exec_http::conformance::zoo::matrix::Matrix;
use exec_http::conformance::zoo::specimen::Specimen;
use exec_http::conformance::zoo::statement::{scores, statement};

use super::conform::this_program;

/// Options of the zoo.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Zoo {
    #[command(subcommand)]
    task: Option<Task>,
    /// Only executors, or only clients.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Only the specimens whose name matches; may be repeated.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Print the specimens, and run nothing.
    #[arg(long)]
    list: bool,
    /// Cases that run at one time.
    #[arg(short, long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Print what came in every case that failed.
    #[arg(short, long)]
    verbose: bool,
    /// Print the required clauses and the cases that catch nobody.
    #[arg(long)]
    gaps: bool,
    /// Write what the suite is worth to a file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["role", "only"])]
    write: Option<PathBuf>,
    /// Write traces that are worth keeping, one a line.
    #[arg(long, value_name = "FILE")]
    traces: Option<PathBuf>,
    /// Write the outcome as JSON lines, one for each specimen.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run an executor of the zoo.
    Serve(serve::Serve),
    /// Be the adapter of a client of the zoo.
    Adapter(adapter::Adapter),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Executor,
    Client,
}

/// Runs the suite against the zoo, or one of its executors. Status 1: somebody is not caught by the case that should, or is blamed
/// for nothing; status 2: wrong options.
pub(crate) fn run(arguments: &Zoo) -> ExitCode {
    match &arguments.task {
        Some(Task::Serve(options)) => serve::run(options),
        Some(Task::Adapter(options)) => adapter::run(options),
        None => hunt(arguments).unwrap_or_else(|message| {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }),
    }
}

fn hunt(arguments: &Zoo) -> Result<ExitCode, String> {
    let selection = Selection::new(&arguments.only, &[]).map_err(|error| error.to_string())?;
    let wanted = |specimen: &&Specimen| {
        let of_role = match arguments.role {
            None => true,
            Some(Role::Executor) => specimen.role == Half::Executor,
            Some(Role::Client) => specimen.role == Half::Client,
        };
        of_role && selection.left_out(specimen.name).is_none()
    };
    let specimens: Vec<&'static Specimen> = zoo::all().filter(wanted).collect();
    if specimens.is_empty() {
        return Err("no specimen is selected".to_owned());
    }
    if arguments.list {
        let mut out = io::stdout().lock();
        for specimen in &specimens {
            let line = format!("{:<40} {:<13} {}", specimen.name, specimen.clause().unwrap_or("-"), specimen.sentence);
            // Whoever does not read to the end has seen enough.
            let _ = writeln!(out, "{line}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let program = this_program().map_err(|(_, message)| message)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let matrix = runtime.block_on(async {
        let hunt = Hunt::new(program, usize::from(arguments.jobs), 1.0).await.map_err(|unready| unready.to_string())?;
        let bar = bar();
        let catches = hunt.run(&specimens, |over, all| {
            bar.set_length(all as u64);
            bar.set_position(over as u64);
        });
        let catches = catches.await;
        bar.finish_and_clear();
        Ok::<_, String>(Matrix { catches })
    })?;
    runtime.shutdown_background();
    let mut report: String = matrix.catches.iter().map(|catch| shown(catch, arguments.verbose)).collect();
    if arguments.gaps {
        for half in [Half::Executor, Half::Client] {
            let clauses: Vec<_> = matrix.bare_clauses(half).iter().map(|clause| clause.id).collect();
            let cases: Vec<_> = matrix.idle_cases(half).iter().map(|case| case.id.as_str()).collect();
            report += &format!("{half:?}: {} clauses without a caught defect: {}\n", clauses.len(), clauses.join(" "));
            report += &format!("{half:?}: {} cases that catch nobody: {}\n", cases.len(), cases.join(" "));
        }
    }
    if let Some(path) = &arguments.write {
        fs::write(path, statement(&matrix)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.traces {
        let written = fs::File::create(path).and_then(|file| archive::write(&choose(&matrix.catches), file));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.json {
        let lines: String = matrix.catches.iter().map(|catch| format!("{}\n", catch.to_json())).collect();
        fs::write(path, lines).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let wrong = matrix.catches.len() - matrix.good();
    report += &format!("\n{}\n{} passed, {wrong} failed, 0 skipped\n", scores(&matrix), matrix.good());
    // Whoever does not read to the end has seen enough.
    let _ = io::stdout().lock().write_all(report.as_bytes());
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of the matrix, and what came.
fn shown(catch: &Catch, verbose: bool) -> String {
    let how = if matches!(catch.fate, Fate::Owned(_)) { "caught by " } else { "" };
    let mut text =
        format!("{:<40} {:<13} {how}{}\n", catch.specimen.name, catch.specimen.clause().unwrap_or("-"), catch.fate);
    if !catch.wavering.is_empty() {
        text += &format!("    wavering, met again: {}\n", catch.wavering.join(", "));
    }
    for (result, _) in catch.results.iter().filter(|_| verbose) {
        let Some(reason) = &result.reason else { continue };
        let clause = reason.clause.as_deref().unwrap_or_default();
        text += &format!("    {} [{}] {}: {clause}\n", result.case, result.transport, result.verdict);
        text += &format!("        expected {}\n        came     {}\n", reason.expected, reason.came);
    }
    text
}
