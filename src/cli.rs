//! Arguments, exit codes, one file a subcommand.

mod adapter;
mod conform;
mod explore;
mod file;
mod log;
mod request;
mod serve;
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
#[command(version)]
struct Arguments {
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
    /// Play all orders of a few wire events to an executor or a client.
    #[command(subcommand)]
    Explore(explore::Explore),
    /// Be the adapter of the built-in client, on standard input and output.
    Adapter(adapter::Adapter),
    /// Run the suite against peers with known defects.
    Zoo(zoo::Zoo),
    /// Print each clause with its cases, the defects that they catch, and the other layers that notice when it is broken.
    TraceTable,
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
    let command = Arguments::parse().command;
    log::start(match &command {
        Some(Command::Serve(arguments)) => arguments.log_format(),
        _ => log::Format::default(),
    });
    let run = || match command {
        Some(Command::Serve(arguments)) => serve::run(&arguments),
        Some(Command::Request(arguments)) => request::run(*arguments),
        Some(Command::Conform(half)) => Conform::run(Some(&half)).into(),
        Some(Command::Explore(half)) => explore::run(&half).into(),
        Some(Command::Adapter(arguments)) => adapter::run(&arguments),
        Some(Command::Zoo(arguments)) => zoo::run(&arguments),
        Some(Command::TraceTable) => print(statement::trace_table()),
        Some(Command::Schema { what }) => print_schema(what),
        None => Conform::run(None).into(),
    };
    // The panic hook has printed the message.
    panic::catch_unwind(panic::AssertUnwindSafe(run)).unwrap_or(RunOutcome::SuiteBug.into())
}
