//! Arguments, exit codes, one file a subcommand.

mod conform;

use std::panic;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use exec_http::conformance::verdict::RunOutcome;

use conform::{Conform, Server};

/// HTTP requests that run on a remote executor: a client, an executor, and a conformance suite.
///
/// Without a command the conformance suite tests the executor that is built in.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the conformance suite.
    #[command(subcommand)]
    Conform(Conform),
}

/// Runs the command line. Wrong arguments end with status 2, a panic with 70.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = || match arguments.command {
        None => Server::default().run().exit_code(),
        Some(Command::Conform(Conform::Server(server))) => server.run().exit_code(),
    };
    // The panic hook has printed the message.
    let code = panic::catch_unwind(panic::AssertUnwindSafe(run)).unwrap_or(RunOutcome::SuiteBug.exit_code());
    ExitCode::from(code)
}
