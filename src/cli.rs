//! Arguments, exit codes, one file a subcommand.

mod request;
mod serve;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// The command line.
#[derive(Debug, Parser)]
#[command(version, about)]
enum Command {
    /// Run an executor.
    Serve(serve::Serve),
    /// Send one HTTP request through an executor.
    Request(request::RequestArgs),
}

/// Runs the command line. Logs go to standard error, filtered by `RUST_LOG`.
pub(crate) fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Command::parse() {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Request(arguments) => request::run(arguments),
    }
}
