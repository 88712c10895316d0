//! What is logged, and how: to standard error, filtered by `RUST_LOG`; and what never is.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries that print whole messages of the protocol, with every header value and body in them, below level INFO.
const TALKATIVE: [&str; 2] = ["tungstenite", "tokio_tungstenite"];

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

/// Starts to log, warnings and errors unless `RUST_LOG` says otherwise, which cannot ask for what has secrets in it (ERROR-16).
pub(super) fn start(format: Format) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    let discreet = filter_fn(|metadata| {
        let library = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= Level::INFO || !TALKATIVE.contains(&library)
    });
    match format {
        Format::Text => log.finish().with(discreet).init(),
        Format::Json => log.json().finish().with(discreet).init(),
    }
}
