//! A pair of connections inside one process, for tests: frames as they are, bounded, without bytes or sockets.

use std::mem;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Connection, Frame, Reader, TransportError, Writer};
use crate::protocol::batch::Batch;

/// Frames that may be under way in one direction.
const FRAMES: usize = 64;

/// Two connections, each the other's peer.
pub fn pair() -> (Connection, Connection) {
    let (near_sender, far_receiver) = mpsc::channel(FRAMES);
    let (far_sender, near_receiver) = mpsc::channel(FRAMES);
    let connection = |sender, receiver| Connection {
        reader: Reader::Memory(MemoryReader {
            receiver,
            frame: Bytes::new(),
            is_fresh: false,
            frame_bytes: usize::MAX,
            activity: 0,
        }),
        writer: Writer::Memory(MemoryWriter { sender: Some(sender) }),
    };
    (connection(near_sender, near_receiver), connection(far_sender, far_receiver))
}

/// The receiving half.
#[derive(Debug)]
pub struct MemoryReader {
    /// What the other side sent.
    receiver: mpsc::Receiver<Bytes>,
    /// The last frame that came.
    frame: Bytes,
    /// It was not given yet.
    is_fresh: bool,
    /// The longest frame, in bytes.
    frame_bytes: usize,
    /// Frames received.
    activity: u64,
}

impl MemoryReader {
    pub(super) fn buffered(&mut self) -> Option<Frame<'_>> {
        if !mem::take(&mut self.is_fresh) {
            return None;
        }
        Some(Frame { bytes: &self.frame, is_text: false })
    }

    pub(super) async fn fill(&mut self) -> Result<bool, TransportError> {
        let Some(frame) = self.receiver.recv().await else { return Ok(false) };
        self.activity += 1;
        if frame.len() > self.frame_bytes {
            return Err(TransportError::TooLong { limit: self.frame_bytes });
        }
        (self.frame, self.is_fresh) = (frame, true);
        Ok(true)
    }

    pub(super) fn limit_frames(&mut self, bytes: usize) {
        self.frame_bytes = self.frame_bytes.min(bytes);
    }

    pub(super) fn activity(&self) -> u64 {
        self.activity
    }
}

/// The sending half.
#[derive(Debug)]
pub struct MemoryWriter {
    /// `None` once this side was closed.
    sender: Option<mpsc::Sender<Bytes>>,
}

impl MemoryWriter {
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), TransportError> {
        let gone = || TransportError::Io(std::io::ErrorKind::BrokenPipe.into());
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        for frame in batch.frames() {
            sender.send(Bytes::copy_from_slice(frame)).await.map_err(|_| gone())?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.sender = None;
    }
}
