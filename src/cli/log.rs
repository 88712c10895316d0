//! Logs: where they go, and what never gets into them.

use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries that print whole messages of the protocol, with every header value and body in them, below level INFO.
const TALKATIVE: [&str; 2] = ["tungstenite", "tokio_tungstenite"];

/// Sends logs to standard error, filtered by `RUST_LOG`, which cannot ask for what has secrets in it (ERROR-16).
pub(crate) fn start() {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour).finish();
    let discreet = filter_fn(|metadata| {
        let library = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= Level::INFO || !TALKATIVE.contains(&library)
    });
    logs.with(discreet).init();
}
