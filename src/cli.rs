//! Arguments, exit codes, one file a subcommand.

mod adapter;
mod ci;
mod conform;
mod expect;
mod explain;
mod explore;
mod file;
mod judge;
mod log;
mod pages;
mod peer;
mod replay;
mod report;
mod request;
mod serve;
mod shrink;
mod tap;
mod version;
mod zoo;

use std::io::{self, Write as _};
use std::panic;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use exec_http::conformance::client::{relay, schema};
use exec_http::conformance::verdict::RunOutcome;
use exec_http::conformance::zoo::statement;

use conform::Conform;

/// HTTP requests that run on a remote executor: a client, an executor, and a conformance suite.
///
/// Without a command the conformance suite tests the client and the executor that are built in.
#[derive(Debug, Parser)]
#[command(disable_version_flag = true)]
struct Arguments {
    /// Print the version, and what the suite asks.
    // Not clap's own flag: its text would be made at each start, out of all cases.
    #[arg(short = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an executor.
    Serve(Box<serve::Serve>),
    /// Send one HTTP request through an executor.
    Request(Box<request::RequestArgs>),
    /// Run the conformance suite.
    #[command(subcommand)]
    Conform(Conform),
    /// Show a run that is all green and a failure in full, in a few seconds.
    Demo,
    /// Look at an implementation for the first time, and write a declaration for it.
    Doctor(conform::doctor::Doctor),
    /// Say what a case asks or a clause says, and what stands behind it.
    Explain(explain::Explain),
    /// Judge a trace that was kept once more.
    Judge(judge::JudgeArgs),
    /// Stand between a client and an executor, and record and judge what passes.
    Tap(tap::TapArgs),
    /// Write down what goes wrong today, so that a run is green until something changes.
    Expect(expect::Expect),
    /// Write a workflow that runs the suite in CI.
    Ci(ci::Ci),
    /// Write the page about a run, or several side by side.
    Report(report::Report),
    /// Run one case, and print everything that happens.
    Replay(Box<replay::Replay>),
    /// Make a failing case as small as possible.
    Shrink(Box<shrink::Shrink>),
    /// Play all orders of a few wire events to an executor or a client.
    #[command(subcommand)]
    Explore(explore::Explore),
    /// Be the adapter of the built-in client, on standard input and output.
    Adapter(adapter::Adapter),
    /// Run the suite against peers with known defects.
    Zoo(zoo::Zoo),
    /// Print each clause with its cases, the defects that they catch, and the other layers that notice when it is broken.
    TraceTable,
    /// Print the completions for a shell.
    Completions(pages::Completions),
    /// Print the manual page.
    Man(pages::Man),
    /// Print a JSON Schema.
    Schema {
        /// Of what.
        what: Schema,
    },
}

/// What has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schema {
    /// What the suite and an adapter say to each other.
    Adapter,
}

fn print_schema(what: Schema) -> ExitCode {
    print(match what {
        Schema::Adapter => schema::SCHEMA,
    })
}

/// Prints it; whoever does not read to the end has seen enough.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Runs the command line. Logs go to standard error, filtered by `RUST_LOG`. Wrong arguments end with status 2, a panic
/// with 70.
pub(crate) fn main() -> ExitCode {
    // The suite gives this program to clients under test, as the executor that they start.
    if let Some(code) = relay::run_if_asked() {
        return code;
    }
    let Arguments { version, command } = Arguments::parse();
    if version {
        return print(&version::text());
    }
    log::start(match &command {
        Some(Command::Serve(arguments)) => arguments.log_format(),
        _ => log::Format::default(),
    });
    let run = || match command {
        Some(Command::Serve(arguments)) => serve::run(&arguments),
        Some(Command::Request(arguments)) => request::run(*arguments),
        Some(Command::Conform(half)) => Conform::run(Some(&half)).into(),
        Some(Command::Report(arguments)) => report::run(&arguments),
        Some(Command::Replay(arguments)) => replay::run(&arguments).into(),
        Some(Command::Shrink(arguments)) => shrink::run(&arguments).into(),
        Some(Command::Explore(half)) => explore::run(&half).into(),
        Some(Command::Adapter(arguments)) => adapter::run(&arguments),
        Some(Command::Demo) => conform::demo::run().into(),
        Some(Command::Doctor(arguments)) => arguments.run().into(),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Judge(arguments)) => judge::run(&arguments),
        Some(Command::Tap(arguments)) => tap::run(&arguments),
        Some(Command::Expect(arguments)) => expect::run(&arguments),
        Some(Command::Ci(arguments)) => ci::run(&arguments),
        Some(Command::Zoo(arguments)) => zoo::run(&arguments),
        Some(Command::Completions(arguments)) => pages::completions(&arguments),
        Some(Command::Man(arguments)) => pages::man(&arguments),
        Some(Command::TraceTable) => print(statement::trace_table()),
        Some(Command::Schema { what }) => print_schema(what),
        None => Conform::run(None).into(),
    };
    // The panic hook has printed the message.
    panic::catch_unwind(panic::AssertUnwindSafe(run)).unwrap_or(RunOutcome::SuiteBug.into())
}
