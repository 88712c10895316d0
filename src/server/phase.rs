//! Whether an executor serves, drains or has stopped.

use tokio::sync::watch;

/// The life of an executor; it goes one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// All is well.
    #[default]
    Serving,
    /// What goes on may finish, nothing new starts, and connections on which nothing goes on end.
    Draining,
    /// All connections end.
    Stopped,
}

/// Waits for a phase, or a later one. Cancel safe.
pub(super) async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // An error means that no server is left that could be stopped, which comes to the same.
    _ = phases.wait_for(|now| *now >= phase).await;
}
