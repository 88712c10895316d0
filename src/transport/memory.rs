//! A pair of connections inside one process, for tests: frames as they are, bounded, without bytes or sockets.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Connection, Reader, TransportError, Writer};

/// Frames that may be under way in one direction.
const FRAMES: usize = 64;

/// Two connections, each the other's peer.
pub fn pair() -> (Connection, Connection) {
    let (near_sender, far_receiver) = mpsc::channel(FRAMES);
    let (far_sender, near_receiver) = mpsc::channel(FRAMES);
    let connection = |sender, receiver| Connection {
        reader: Reader::Memory(MemoryReader { receiver, frame_bytes: usize::MAX, activity: 0 }),
        writer: Writer::Memory(MemoryWriter { sender: Some(sender) }),
    };
    (connection(near_sender, near_receiver), connection(far_sender, far_receiver))
}

/// The receiving half.
#[derive(Debug)]
pub struct MemoryReader {
    /// What the other side sent.
    receiver: mpsc::Receiver<Bytes>,
    /// The longest frame, in bytes.
    frame_bytes: usize,
    /// Frames received.
    activity: u64,
}

impl MemoryReader {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        let frame = self.receiver.recv().await;
        self.activity += u64::from(frame.is_some());
        let limit = self.frame_bytes;
        if frame.as_ref().is_some_and(|frame| frame.len() > limit) {
            return Err(TransportError::TooLong { limit });
        }
        Ok(frame)
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
    pub(super) async fn send(&mut self, frames: Vec<Bytes>) -> Result<(), TransportError> {
        let gone = || TransportError::Io(std::io::ErrorKind::BrokenPipe.into());
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        for frame in frames {
            sender.send(frame).await.map_err(|_| gone())?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.sender = None;
    }
}
