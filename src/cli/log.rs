//! What is logged, and how: to standard error, filtered by `RUST_LOG`.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Options of commands that run for long.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// How the log on standard error is written. RUST_LOG says what is logged: `info` has a line for each exchange.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: Format,
}

impl Log {
    pub(crate) const fn format(&self) -> Format {
        self.log_format
    }
}

/// Starts to log, warnings and errors unless `RUST_LOG` says otherwise. Nothing that it can ask for has secrets in it (ERROR-16).
pub(super) fn start(format: Format) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    match format {
        Format::Text => log.init(),
        Format::Json => log.json().init(),
    }
}
