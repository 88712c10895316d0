//! Arguments, exit codes, one file a subcommand.

use std::process::ExitCode;

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    ExitCode::SUCCESS
}
