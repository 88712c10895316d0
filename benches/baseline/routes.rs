//! Which stream a delta belongs to: a map that readers load without a lock and that writers copy whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, mpsc};

use super::codec::BodyDelta;

/// Frames that may wait in one stream.
pub(crate) const QUEUE_FRAMES: usize = 256;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// By request id.
    streams: ArcSwap<HashMap<String, mpsc::Sender<BodyDelta>>>,
    /// Held while the map is replaced.
    writer: Mutex<()>,
}

impl Routes {
    /// With these streams.
    pub(crate) fn with(streams: HashMap<String, mpsc::Sender<BodyDelta>>) -> Self {
        Self { streams: ArcSwap::from_pointee(streams), writer: Mutex::default() }
    }

    /// Adds a stream.
    pub(crate) async fn insert(&self, id: String, sender: mpsc::Sender<BodyDelta>) {
        let _writer = self.writer.lock().await;
        let mut streams = HashMap::clone(&self.streams.load());
        streams.insert(id, sender);
        self.streams.store(Arc::new(streams));
    }

    /// Takes a stream out.
    pub(crate) async fn remove(&self, id: &str) -> Option<mpsc::Sender<BodyDelta>> {
        let _writer = self.writer.lock().await;
        let streams = self.streams.load();
        let removed = streams.get(id).cloned()?;
        let mut streams = HashMap::clone(&streams);
        streams.remove(id);
        self.streams.store(Arc::new(streams));
        Some(removed)
    }

    /// Finds a stream.
    pub(crate) fn get(&self, id: &str) -> Option<mpsc::Sender<BodyDelta>> {
        self.streams.load().get(id).cloned()
    }
}
