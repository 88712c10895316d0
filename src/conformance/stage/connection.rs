//! One connection of a case, and the task that reads it.

use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::conformance::origin::Events;
use crate::conformance::trace::{What, shorten};
use crate::conformance::wire::{Incoming, Receiver, Sender, Wire};

/// A connection as the driver holds it.
pub(super) struct Connection {
    /// `None` while a write is under way.
    pub(super) sender: Option<Sender>,
    /// A write was given up in its middle, so that nothing can follow it.
    pub(super) stalled: bool,
    /// A close frame was sent.
    pub(super) closing: bool,
    /// Tells the reading task to pause.
    pub(super) paused: watch::Sender<bool>,
    /// Reads what the peer sends.
    pub(super) reader: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Connection {
    /// Starts to read; all that comes is told with the name of the connection.
    pub(super) fn open(name: &str, wire: Wire, events: Events) -> Self {
        let (paused, watching) = watch::channel(false);
        let reader = tokio::spawn(read(name.to_owned(), wire.receiver, watching, events));
        Self { sender: Some(wire.sender), stalled: false, closing: false, paused, reader }
    }
}

/// Reads a connection until its end, unless paused, and tells all that comes.
async fn read(connection: String, mut receiver: Receiver, mut paused: watch::Receiver<bool>, events: Events) {
    loop {
        if *paused.borrow_and_update() {
            // The sender lives as long as this task.
            let _ = paused.changed().await;
            continue;
        }
        let incoming = tokio::select! {
            incoming = receiver.next() => incoming,
            _ = paused.changed() => continue,
        };
        let connection = connection.clone();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let last = matches!(incoming, Incoming::Garbage(_) | Incoming::End(_));
        let what = match incoming {
            Incoming::Message { bytes, binary } => What::Received { connection, text: shorten(&bytes), binary },
            Incoming::Ping(payload) => What::Ping { connection, text: text(&payload) },
            Incoming::Pong(payload) => What::Pong { connection, text: text(&payload) },
            Incoming::Close(code) => What::CloseFrame { connection, code },
            Incoming::Garbage(reason) => What::Garbage { connection, reason },
            Incoming::End(reason) => What::Ended { connection, reason },
        };
        // The driver is gone when the case is over.
        if events.send((Instant::now(), what)).await.is_err() || last {
            return;
        }
    }
}
