//! The receiving half of a websocket.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::door::Place;
use super::framing::{Decoder, Event, FramingError};
use super::outlet::Outlet;
use crate::transport::{Frame, TransportError};

/// The receiving half. Answers pings and close frames by itself.
pub struct WebSocketReader {
    /// Where the bytes come from.
    input: Box<dyn AsyncRead + Send + Unpin>,
    /// Holds what came and was not given.
    decoder: Decoder,
    /// Where answers go.
    outlet: Arc<Outlet>,
    /// An answer may not have been sent.
    owes: bool,
    /// The peer has closed, or there was an error.
    ended: bool,
    /// Messages of any kind received.
    activity: u64,
    /// The connection's place at its listener; `None` for one that was dialled.
    _place: Option<Arc<Place>>,
}

impl WebSocketReader {
    pub(super) fn new(
        input: Box<dyn AsyncRead + Send + Unpin>,
        decoder: Decoder,
        outlet: Arc<Outlet>,
        place: Option<Arc<Place>>,
    ) -> Self {
        Self { input, decoder, outlet, owes: false, ended: false, activity: 0, _place: place }
    }

    #[inline]
    pub(in crate::transport) fn buffered(&mut self) -> Result<Option<Frame<'_>>, TransportError> {
        while !self.ended {
            let event = self.decoder.poll_event().map_err(|error| self.fail(error.into()))?;
            let Some(event) = event else { break };
            self.activity += 1;
            match event {
                Event::Message { is_text } => return Ok(Some(Frame { bytes: self.decoder.payload(), is_text })),
                Event::Ping => self.owes = !self.outlet.pong(self.decoder.payload()),
                Event::Pong => {}
                Event::Close => {
                    self.ended = true;
                    // Nothing is waited for, as the peer is done.
                    self.outlet.close_answered(self.decoder.payload());
                }
            }
        }
        Ok(None)
    }

    pub(in crate::transport) async fn fill(&mut self) -> Result<bool, TransportError> {
        if self.ended {
            return Ok(false);
        }
        let read = poll_fn(|context| {
            if self.owes && self.outlet.poll_answers(context).is_ready() {
                self.owes = false;
            }
            pin!(self.input.read_buf(self.decoder.buffer_mut())).poll(context)
        });
        match read.await {
            Ok(0) => Err(self.fail(TransportError::WebSocket("the peer left without a close frame"))),
            Ok(_) => Ok(true),
            Err(error) => Err(self.fail(error.into())),
        }
    }

    pub(in crate::transport) fn limit_frames(&mut self, bytes: usize) {
        self.decoder.limit(bytes);
    }

    pub(in crate::transport) fn activity(&self) -> u64 {
        self.activity
    }

    /// Nothing follows an error.
    fn fail(&mut self, error: TransportError) -> TransportError {
        self.ended = true;
        error
    }
}

impl From<FramingError> for TransportError {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::Violation(what) => Self::WebSocket(what),
            FramingError::TooLong { limit } => Self::TooLong { limit },
            FramingError::NotUtf8 => Self::NotUtf8,
        }
    }
}

impl fmt::Debug for WebSocketReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketReader").field("ended", &self.ended).finish_non_exhaustive()
    }
}
