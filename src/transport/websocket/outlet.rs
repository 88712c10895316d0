//! The sending direction of a websocket as both of its halves share it: the writer's blocks, and between them what the reader
//! has to answer.
//!
//! The lock is held for one system call that does not wait, so that neither half waits for the other's peer.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite;

use super::framing::{CONTROL_BYTES, Head, Opcode, Role, mask};
use crate::transport::TransportError;

/// The sending direction.
pub(super) struct Outlet {
    /// For one call at a time.
    state: Mutex<State>,
}

struct State {
    /// Where the bytes go.
    output: Box<dyn AsyncWrite + Send + Unpin>,
    /// A client masks.
    role: Role,
    /// What goes out before any other frame: whole control frames, and the rest of what was begun.
    begun: BytesMut,
    /// The answer to the latest ping; the ones before it need none (RFC 6455, section 5.5.3).
    pong: Option<Control>,
    /// The close frame, until it is begun.
    close: Option<Control>,
    /// A close frame was queued: no message, ping or pong follows it.
    closed: bool,
    /// The writer is at work, and will send what is queued.
    writing: bool,
    /// Something was written since the last flush.
    unflushed: bool,
}

/// The payload of a control frame.
#[derive(Clone, Copy)]
struct Control {
    /// The payload, and nothing behind it.
    bytes: [u8; CONTROL_BYTES],
    /// Bytes of it.
    len: usize,
}

impl Outlet {
    pub(super) fn new(output: Box<dyn AsyncWrite + Send + Unpin>, role: Role) -> Self {
        let begun = BytesMut::new();
        let state =
            State { output, role, begun, pong: None, close: None, closed: false, writing: false, unflushed: false };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn role(&self) -> Role {
        self.lock().role
    }

    /// Answers a ping, at once if that is possible. False when [`Outlet::poll_answers`] is to be called.
    pub(super) fn pong(&self, payload: &[u8]) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.pong = Some(Control::new(payload));
        }
        state.answer_now()
    }

    /// Answers the peer's close frame, at once if that is possible, unless it is itself an answer.
    pub(super) fn close_answered(&self, payload: &[u8]) {
        let mut state = self.lock();
        state.close(payload);
        state.answer_now();
    }

    /// Sends the answers that are queued; ready when the writer will, too.
    pub(super) fn poll_answers(&self, context: &mut Context<'_>) -> Poll<()> {
        self.lock().poll_answers(context)
    }

    /// From now on the writer sends what is queued, until [`Outlet::end`].
    pub(super) fn begin(&self) {
        self.lock().writing = true;
    }

    /// The writer is done. `rest` is what is left of frames of which the peer has a part; it goes out first.
    pub(super) fn end<'a>(&self, rest: impl Iterator<Item = &'a [u8]>) {
        let mut state = self.lock();
        rest.for_each(|rest| state.begun.extend_from_slice(rest));
        state.writing = false;
    }

    /// Writes a part of a block, behind what is queued if this is the first part. How many bytes it was.
    pub(super) fn poll_write(
        &self,
        context: &mut Context<'_>,
        block: &[IoSlice<'_>],
        is_first: bool,
    ) -> Poll<Result<usize, TransportError>> {
        let mut state = self.lock();
        if is_first {
            ready!(state.poll_queued(context))?;
            if state.closed {
                return Poll::Ready(Err(TransportError::WebSocket("already closed")));
            }
        }
        let written = ready!(Pin::new(&mut state.output).poll_write_vectored(context, block))?;
        state.unflushed = true;
        Poll::Ready(Ok(some(written)?))
    }

    /// Writes what is queued and flushes; the writer is done then.
    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        ready!(state.poll_flush(context))?;
        state.writing = false;
        Poll::Ready(Ok(()))
    }

    /// Queues a ping; false when a close frame was queued before.
    pub(super) fn ping(&self) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.queue(Opcode::Ping, &Control::new(&[]));
        }
        !state.closed
    }

    /// Queues a close frame, unless there was one.
    pub(super) fn close(&self, code: u16) {
        self.lock().close(&code.to_be_bytes());
    }
}

impl State {
    fn close(&mut self, payload: &[u8]) {
        if !self.closed {
            self.closed = true;
            self.close = Some(Control::new(payload));
        }
    }

    /// Behind what was begun, as a whole frame.
    fn queue(&mut self, opcode: Opcode, control: &Control) {
        let key = (self.role == Role::Client).then(rand::random);
        self.begun.extend_from_slice(Head::new(opcode, control.len, key).as_bytes());
        let start = self.begun.len();
        self.begun.extend_from_slice(&control.bytes[..control.len]);
        mask(&mut self.begun[start..], key.unwrap_or_default());
    }

    /// Whether nothing is left to be done by the reader.
    fn answer_now(&mut self) -> bool {
        // Nobody is woken: whoever is told that something is left polls again. The writer's own waker must stay.
        self.poll_answers(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn poll_answers(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.writing {
            return Poll::Ready(());
        }
        // A failure is met by the next to read or write, too.
        self.poll_flush(context).map(drop)
    }

    /// Writes everything that goes out before a block.
    fn poll_queued(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.begun.is_empty() {
                let written = some(ready!(Pin::new(&mut self.output).poll_write(context, &self.begun))?)?;
                self.begun.advance(written);
                self.unflushed = true;
            }
            if let Some(pong) = self.pong.take() {
                self.queue(Opcode::Pong, &pong);
            } else if let Some(close) = self.close.take() {
                self.queue(Opcode::Close, &close);
            } else {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(context))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.output).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Control {
    /// Payloads of the peer are no longer than one of a control frame may be.
    fn new(payload: &[u8]) -> Self {
        let mut control = Self { bytes: [0; CONTROL_BYTES], len: payload.len() };
        control.bytes[..payload.len()].copy_from_slice(payload);
        control
    }
}

/// A stream that takes nothing will never take more.
fn some(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}
