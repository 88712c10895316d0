//! What waits for the consumer of one stream, and what that costs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::defect::{Defect, Defects};
use crate::protocol::delta::BodyDelta;
use crate::protocol::limits::FRAME_CHARGE_BYTES;
use crate::protocol::stream::{Disconnect, Outcome, StreamError};
use crate::sync::{Arc, Mutex};

/// A frame on its way to the consumer: one that came over the wire, or one that the client made to tell how a stream ended.
#[derive(Debug)]
pub(super) struct Frame {
    /// Its number in the stream; the consumer expects 1, 2, 3 and so on.
    pub(super) seq: u64,
    /// Bytes of the body.
    pub(super) data: Bytes,
    /// How the stream ends behind `data`; `None` while it goes on.
    pub(super) outcome: Option<Outcome>,
    /// What `data` takes of the byte budget as long as the frame exists.
    pub(super) charge: Option<Charge>,
}

impl Frame {
    /// The frame that a delta is.
    pub(super) fn of(delta: BodyDelta, defects: Defects) -> Self {
        let BodyDelta { seq, data, done, error, error_kind, .. } = delta;
        let error = error.filter(|_| done || !defects.has(Defect::ErrorWithoutDoneIgnored));
        let (outcome, lost) = match error {
            Some(message) => {
                let error = if defects.has(Defect::ErrorAsDisconnect) {
                    StreamError::Disconnected(Disconnect::Transport(message))
                } else {
                    StreamError::Remote { message, kind: error_kind }
                };
                (Some(Err(error)), defects.has(Defect::DataWithErrorLost))
            }
            None if done => (Some(Ok(())), defects.has(Defect::TerminalDataLost)),
            None => (None, false),
        };
        Self { seq, data: if lost { Bytes::new() } else { data }, outcome, charge: None }
    }

    /// A clean end that no frame from the wire has told.
    pub(super) fn clean_end(seq: u64) -> Self {
        Self { seq, data: Bytes::new(), outcome: Some(Ok(())), charge: None }
    }

    /// It tells that the consumer was too slow.
    pub(super) const fn overflowed(&self) -> bool {
        matches!(self.outcome, Some(Err(StreamError::Overflow(_))))
    }

    /// A last frame that the client makes itself.
    pub(super) fn failure(seq: u64, error: StreamError) -> Self {
        Self { seq, data: Bytes::new(), outcome: Some(Err(error)), charge: None }
    }
}

/// Bytes that wait: in one queue, or in all queues of a connection.
pub(super) type Waiting = Arc<AtomicUsize>;

/// A frame's share of the byte budget; its drop returns it.
#[derive(Debug)]
pub(super) struct Charge {
    /// The share.
    bytes: usize,
    /// Where it was added: the stream's bytes and the connection's.
    waiting: [Waiting; 2],
}

impl Charge {
    /// What a frame with this data costs.
    pub(super) fn bytes(data: &Bytes) -> usize {
        if data.is_empty() { 0 } else { data.len().max(FRAME_CHARGE_BYTES) }
    }

    pub(super) fn new(bytes: usize, waiting: [Waiting; 2]) -> Self {
        waiting.iter().for_each(|waiting| {
            waiting.fetch_add(bytes, Ordering::Relaxed);
        });
        Self { bytes, waiting }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for waiting in &self.waiting {
            waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The consumer's end of a stream's queue. Shared with the routes, which may have to empty it.
#[derive(Debug)]
pub(super) struct Queue {
    /// The frames; the channel closes when the route is gone.
    frames: Mutex<mpsc::Receiver<Frame>>,
    /// What they are charged together.
    waiting: Waiting,
}

impl Queue {
    /// An empty queue with that many places, and the sender that fills it.
    pub(super) fn new(places: usize) -> (mpsc::Sender<Frame>, Arc<Self>) {
        let (sender, frames) = mpsc::channel(places);
        (sender, Arc::new(Self { frames: Mutex::new(frames), waiting: Waiting::default() }))
    }

    /// Waits for a frame; `None` when no more can come. Takes nothing before it is ready.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.frames.lock().poll_recv(cx)
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.lock().is_empty()
    }

    /// Throws away what waits.
    pub(super) fn clear(&self) {
        let mut frames = self.frames.lock();
        while frames.try_recv().is_ok() {}
    }

    /// Throws away what waits behind the first frame, and tells its number.
    pub(super) fn clear_behind_first(&self, sender: &mpsc::Sender<Frame>) -> Option<u64> {
        let first = self.frames.lock().try_recv().ok()?;
        self.clear();
        let seq = first.seq;
        sender.try_send(first).ok()?;
        Some(seq)
    }

    /// The counter that this queue's frames are charged to.
    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// What waits, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
