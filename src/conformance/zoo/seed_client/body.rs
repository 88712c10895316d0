//! The body of a streamed response, as its consumer reads it.

use std::fmt;
use std::future::poll_fn;
use std::mem;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::defect::Defect;
use super::link::Link;
use super::queue::{Frame, Queue};
use super::routes::{Release, Routes};
use crate::protocol::length::LengthCheck;
use crate::protocol::stream::{Disconnect, Outcome, StreamError};
use crate::sync::Arc;

/// A response body that arrives in pieces.
///
/// Dropping it early releases all its state; frames that come later are ignored. The connection stays open as long as a body
/// of it is alive.
pub struct Body {
    /// Where the body is.
    state: State,
    /// Keeps the connection open, and knows the switches.
    link: Arc<Link>,
}

/// Where a body is, as its consumer sees it.
enum State {
    /// The last frame was not taken yet.
    Open {
        /// Where the frames come from.
        stream: Stream,
        /// The number that the next frame must have.
        next_seq: u64,
        /// What was taken, against what the head promised.
        check: LengthCheck,
    },
    /// The last frame was taken; nothing is held any more.
    Ended(Outcome),
}

impl Body {
    /// The body of a stream whose answer has come.
    pub(super) fn new(mut stream: Stream, check: LengthCheck, link: Arc<Link>) -> Self {
        stream.phase = Phase::Reading;
        Self { state: State::Open { stream, next_seq: 1, check }, link }
    }

    /// Waits for the next bytes; never for none. `None` is the clean end. An end or an error is returned again by every later
    /// call.
    ///
    /// # Errors
    ///
    /// See [`StreamError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped before it returns has taken nothing.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, StreamError> {
        let defects = self.link.defects();
        loop {
            let (data, outcome) = match &mut self.state {
                State::Open { stream, next_seq, check } => {
                    let frame = stream.next(*next_seq).await;
                    *next_seq = next_seq.saturating_add(1);
                    checked(frame, check)
                }
                State::Ended(outcome) => {
                    let end = outcome.clone();
                    if defects.has(Defect::EndNotSticky) {
                        *outcome = Ok(());
                    }
                    return end.map(|()| None);
                }
            };
            if let Some(outcome) = outcome {
                self.finish(outcome).await;
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// Releases the stream behind its last frame.
    async fn finish(&mut self, outcome: Outcome) {
        let open = mem::replace(&mut self.state, State::Ended(Ok(())));
        if self.link.defects().has(Defect::ReceiveNotCancelSafe) {
            // In the original: a wait for the lock of the map, which other streams may hold.
            tokio::task::yield_now().await;
        }
        if let State::Open { stream, .. } = open {
            stream.release();
        }
        self.state = State::Ended(outcome);
    }
}

/// What the consumer gets of a frame, and how the body ends behind it: the length that the head promised counts too.
fn checked(frame: Frame, check: &mut LengthCheck) -> (Bytes, Option<Outcome>) {
    if let Err(wrong) = check.handle_chunk(frame.data.len()) {
        return (Bytes::new(), Some(Err(StreamError::WrongLength(wrong))));
    }
    let outcome =
        frame.outcome.map(|outcome| outcome.and_then(|()| check.handle_end().map_err(StreamError::WrongLength)));
    (frame.data, outcome)
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Open { check, .. } => check,
            State::Ended(outcome) => outcome,
        };
        f.debug_tuple("Body").field(state).finish()
    }
}

/// The registration of a stream; its drop releases it.
pub(super) struct Stream {
    /// Where it is registered.
    routes: Arc<Routes>,
    /// Its id on the wire.
    request_id: String,
    /// What waits.
    queue: Arc<Queue>,
    /// How far its consumer is.
    phase: Phase,
}

/// How far the consumer of a stream is.
enum Phase {
    /// It waits for the response.
    Calling,
    /// It reads the body.
    Reading,
    /// It has taken the last frame; nothing is registered any more.
    Released,
}

impl Stream {
    /// The registration under this id.
    pub(super) fn new(routes: Arc<Routes>, request_id: String, queue: Arc<Queue>) -> Self {
        Self { routes, request_id, queue, phase: Phase::Calling }
    }

    /// Its id on the wire.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Waits for the next frame in order, or for one that tells why there is none.
    async fn next(&self, expected: u64) -> Frame {
        let defects = self.routes.defects();
        let failure = match poll_fn(|cx| self.queue.poll_frame(cx)).await {
            Some(frame) if frame.seq == expected => return frame,
            Some(frame) => StreamError::Sequence { received: frame.seq, expected },
            None => match self.routes.take_record(&self.request_id) {
                Some(frame) if !defects.has(Defect::ClosedQueueIsCleanEnd) => return frame,
                None if !defects.has(Defect::CleanEndOnDisconnectWithFullQueue) => {
                    StreamError::Disconnected(Disconnect::Local)
                }
                _ => return Frame::clean_end(expected),
            },
        };
        Frame::failure(expected, failure)
    }

    /// Parts with the stream behind its last frame.
    fn release(mut self) {
        self.routes.release(&self.request_id, Release::Read);
        self.phase = Phase::Released;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let defects = self.routes.defects();
        match self.phase {
            Phase::Released => {}
            Phase::Calling if defects.has(Defect::RouteLeaksOnCancel) => {}
            Phase::Calling | Phase::Reading if defects.has(Defect::CleanupNeedsRuntime) => {
                if let Ok(runtime) = Handle::try_current() {
                    let (routes, request_id) = (Arc::clone(&self.routes), mem::take(&mut self.request_id));
                    runtime.spawn(async move { routes.release(&request_id, Release::Dropped) });
                }
            }
            Phase::Calling | Phase::Reading => self.routes.release(&self.request_id, Release::Dropped),
        }
    }
}
