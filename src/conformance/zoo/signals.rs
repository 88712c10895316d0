//! The signals that end the process of a specimen, and those that it ignores.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

static IGNORES_SIGTERM: AtomicBool = AtomicBool::new(false);
static IGNORES_SIGINT: AtomicBool = AtomicBool::new(false);

/// From now on the process ignores SIGTERM or SIGINT, or heeds it again. It heeds no other signal.
pub fn ignore(signal: Signal, ignores: bool) {
    match signal {
        Signal::SIGTERM => IGNORES_SIGTERM.store(ignores, Ordering::Relaxed),
        Signal::SIGINT => IGNORES_SIGINT.store(ignores, Ordering::Relaxed),
        _ => {}
    }
}

/// Waits for a SIGTERM or a SIGINT that is not ignored when it comes. Those that come from now on count, not only those from the first
/// poll; must be called within a runtime.
///
/// # Errors
///
/// Those of the system.
pub fn wait() -> impl Future<Output = io::Result<()>> {
    let signals =
        signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    async move {
        let (mut terminate, mut interrupt) = signals?;
        loop {
            let ignores = tokio::select! {
                _ = terminate.recv() => &IGNORES_SIGTERM,
                _ = interrupt.recv() => &IGNORES_SIGINT,
            };
            if !ignores.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
}
