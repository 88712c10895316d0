//! The sending half of a websocket.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;

use super::block::{Block, SLICES};
use super::door::Place;
use super::framing::Role;
use super::outlet::Outlet;
use crate::protocol::batch::Batch;
use crate::transport::{CloseReason, TransportError};

/// The sending half.
#[derive(Debug)]
pub struct WebSocketWriter {
    /// Where frames go.
    outlet: Arc<Outlet>,
    /// A client masks.
    role: Role,
    /// What is written next; empty between calls.
    block: Block,
    /// As the reader's.
    _place: Option<Arc<Place>>,
}

/// The writer at work. Dropped in the middle of a frame, it leaves the rest to be sent in front of the next one.
struct Sending<'a> {
    /// Where frames go.
    outlet: &'a Outlet,
    /// What is written.
    block: &'a mut Block,
    /// The batch that it is from.
    batch: &'a [u8],
    /// Bytes of the block that went out.
    written: usize,
}

impl WebSocketWriter {
    pub(super) fn new(outlet: Arc<Outlet>, place: Option<Arc<Place>>) -> Self {
        Self { role: outlet.role(), outlet, block: Block::default(), _place: place }
    }

    /// Frames are JSON texts of our own, thus UTF-8.
    pub(in crate::transport) async fn send(&mut self, batch: &Batch) -> Result<(), TransportError> {
        debug_assert!(std::str::from_utf8(batch.lines()).is_ok(), "JSON is UTF-8");
        let mut sending = Sending::new(&self.outlet, &mut self.block, batch.lines());
        let mut start = 0;
        for frame in batch.frames() {
            sending.block.push(self.role, batch.lines(), start..start + frame.len());
            // Its line end is not sent.
            start += frame.len() + 1;
            if sending.block.is_full() {
                sending.write().await?;
            }
        }
        sending.write().await?;
        sending.flush().await
    }

    pub(in crate::transport) async fn ping(&mut self) -> Result<(), TransportError> {
        if !self.outlet.ping() {
            return Err(TransportError::WebSocket("already closed"));
        }
        Sending::new(&self.outlet, &mut self.block, &[]).flush().await
    }

    pub(in crate::transport) async fn close(&mut self, reason: CloseReason) {
        // When the peer closed first, this writes out the answer to its close frame.
        self.outlet.close(match reason {
            CloseReason::Done => 1000,
            CloseReason::Violation => 1002,
            CloseReason::TooLong => 1009,
            CloseReason::NotUtf8 => 1007,
        });
        // The peer may be gone already; there is nobody left to tell.
        let _gone = Sending::new(&self.outlet, &mut self.block, &[]).flush().await;
    }
}

impl<'a> Sending<'a> {
    fn new(outlet: &'a Outlet, block: &'a mut Block, batch: &'a [u8]) -> Self {
        outlet.begin();
        Self { outlet, block, batch, written: 0 }
    }

    /// Writes the block and empties it.
    async fn write(&mut self) -> Result<(), TransportError> {
        while self.written < self.block.len() {
            self.written += poll_fn(|context| {
                let mut room = [IoSlice::new(&[]); SLICES];
                let rest = self.block.rest(self.batch, self.written, &mut room);
                self.outlet.poll_write(context, rest, self.written == 0)
            })
            .await?;
        }
        self.block.clear();
        self.written = 0;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        Ok(poll_fn(|context| self.outlet.poll_flush(context)).await?)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut room = [IoSlice::new(&[]); SLICES];
        let rest = self.block.rest(self.batch, self.written, &mut room);
        // Nobody misses frames of which nothing went out.
        self.outlet.end(rest.iter().map(|rest| &rest[..]).filter(|_| self.written > 0));
        self.block.clear();
    }
}
