//! How `exec-http serve` ends.

use std::io;
use std::time::Duration;

use exec_http::server::Server;

/// Options of the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// How long requests that go on may take to finish after SIGTERM or SIGINT, in milliseconds; a second signal ends them at once.
    // With the second in which what was computed is still sent, the process ends within the two of CLOSE-6.
    #[arg(long, value_name = "N", default_value_t = 500)]
    drain_ms: u64,
}

impl Drain {
    pub(super) const fn limit(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

/// Lets what goes on finish, until the limit or one more signal; nothing goes on behind it.
///
/// # Errors
///
/// The system does not let this process wait for signals.
pub(super) async fn drain(server: &Server, limit: Duration, signals: &mut Signals) -> io::Result<()> {
    let signalled = tokio::select! {
        () = server.drain(limit) => Ok(()),
        signalled = signals.next() => signalled,
    };
    server.shut_down();
    signalled
}

/// SIGINT and SIGTERM, from when this was made; none is lost between two calls.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next of them. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.interrupt.recv() => Ok(()),
            _ = self.terminate.recv() => Ok(()),
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// The next of them. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
