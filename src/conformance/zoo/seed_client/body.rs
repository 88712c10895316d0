//! The body of a streamed response, as its consumer reads it.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::defect::{Defect, Defects};
use super::link::Link;
use super::queue::{Frame, Queue};
use super::routes::Release;
use crate::protocol::length::{LengthCheck, WrongLength};
use crate::protocol::stream::{Disconnect, Outcome, StreamError};
use crate::sync::Arc;

/// When [`Defect::ReleasedBySweep`] releases what was dropped.
const SWEEP: Duration = Duration::from_millis(500);

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
        /// A receive waits, or was given up while it did.
        waiting: bool,
    },
    /// The last frame was taken; nothing is held any more.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// The consumer knows.
        told: bool,
    },
}

impl Body {
    /// The body of a stream whose answer has come.
    pub(super) fn new(mut stream: Stream, check: LengthCheck, link: Arc<Link>) -> Self {
        stream.phase = Phase::Reading;
        Self { state: State::Open { stream, next_seq: 1, check, waiting: false }, link }
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
                State::Open { stream, next_seq, check, waiting } => {
                    let abandoned = mem::replace(waiting, true);
                    let mut frame = stream.next(*next_seq).await;
                    *waiting = false;
                    if abandoned && defects.has(Defect::AbandonedReceiveTakesFrame) {
                        frame.data = Bytes::new();
                    }
                    if defects.has(Defect::TakenBytesKept) {
                        // Its drop would return it.
                        mem::forget(frame.charge.take());
                    }
                    *next_seq = next_seq.saturating_add(1);
                    if frame.outcome.is_none() && stream.has_more() && defects.has(Defect::SecondFrameAwaited) {
                        tokio::task::yield_now().await;
                    }
                    self.link.allow(stream.request_id(), frame.data.len() as u64);
                    checked(frame, check, defects)
                }
                State::Ended { outcome, told } => {
                    let end = outcome.clone();
                    if *told && defects.has(Defect::ToldErrorNotCancelSafe) {
                        *outcome = Ok(());
                        tokio::task::yield_now().await;
                        *outcome = end.clone();
                    }
                    *told = true;
                    if is_told_once(&end, defects) {
                        *outcome = Ok(());
                    } else if end.is_ok() && defects.has(Defect::ReadBehindEndFails) {
                        *outcome = Err(StreamError::Disconnected(Disconnect::Local));
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
        let open = mem::replace(&mut self.state, State::Ended { outcome: Ok(()), told: false });
        let defects = self.link.defects();
        let waits = match &outcome {
            // The frame that was taken was the first one.
            Ok(()) if matches!(open, State::Open { next_seq: 2, .. }) => defects.has(Defect::WholeBodyNotCancelSafe),
            Err(StreamError::Remote { .. }) => defects.has(Defect::ErrorNotCancelSafe),
            _ => false,
        };
        if waits || defects.has(Defect::ReceiveNotCancelSafe) {
            // In the original: a wait for the lock of the map, which other streams may hold.
            tokio::task::yield_now().await;
        }
        if let State::Open { stream, .. } = open {
            stream.release();
        }
        if matches!(outcome, Err(StreamError::Remote { .. })) {
            self.link.routes().error_read();
        }
        self.state = State::Ended { outcome, told: false };
    }
}

/// What the consumer gets of a frame, and how the body ends behind it: the length that the head promised counts too.
fn checked(frame: Frame, check: &mut LengthCheck, defects: Defects) -> (Bytes, Option<Outcome>) {
    let unmeasured = frame.outcome.is_some() && defects.has(Defect::TerminalNotMeasured);
    let accepted = |wrong: &WrongLength| {
        let short = wrong.received < wrong.promised;
        defects.has(if short { Defect::ShortBodyAccepted } else { Defect::LongBodyAccepted })
    };
    let judge = |length: Result<(), WrongLength>| match length {
        Err(wrong) if !accepted(&wrong) => Err(StreamError::WrongLength(wrong)),
        _ => Ok(()),
    };
    if let Err(wrong) = judge(check.handle_chunk(if unmeasured { 0 } else { frame.data.len() })) {
        return (Bytes::new(), Some(Err(wrong)));
    }
    let outcome = frame.outcome.map(|outcome| outcome.and_then(|()| judge(check.handle_end())));
    (frame.data, outcome)
}

/// The consumer is told of that end once, and then of a clean one.
fn is_told_once(end: &Outcome, defects: Defects) -> bool {
    let switch = match end {
        Err(StreamError::Disconnected(_)) => Defect::DisconnectToldOnce,
        Err(StreamError::Overflow(_)) => Defect::OverflowToldOnce,
        Err(StreamError::Remote { .. }) => Defect::ErrorToldOnce,
        Err(StreamError::Sequence { .. }) => Defect::GapToldOnce,
        _ => Defect::EndNotSticky,
    };
    defects.has(switch) || defects.has(Defect::EndNotSticky)
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Open { check, .. } => check,
            State::Ended { outcome, .. } => outcome,
        };
        f.debug_tuple("Body").field(state).finish()
    }
}

/// The registration of a stream; its drop releases it.
pub(super) struct Stream {
    /// Its connection, where it is registered.
    link: Arc<Link>,
    /// Its id on the wire.
    request_id: String,
    /// What waits.
    queue: Arc<Queue>,
    /// How far its consumer is.
    phase: Phase,
}

/// How far the consumer of a stream is.
#[derive(Clone, Copy)]
pub(super) enum Phase {
    /// It waits for the response.
    Calling,
    /// The executor has refused the call.
    Refused,
    /// It reads the body.
    Reading,
    /// It has taken the last frame; nothing is registered any more.
    Released,
}

impl Stream {
    /// The registration under this id.
    pub(super) fn new(link: Arc<Link>, request_id: String, queue: Arc<Queue>) -> Self {
        Self { link, request_id, queue, phase: Phase::Calling }
    }

    /// Its id on the wire.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Something waits.
    fn has_more(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Waits for the next frame in order, or for one that tells why there is none.
    async fn next(&self, expected: u64) -> Frame {
        let (routes, defects) = (self.link.routes(), self.link.defects());
        let failure = match poll_fn(|cx| self.queue.poll_frame(cx)).await {
            Some(mut frame) if frame.seq == expected => {
                if frame.outcome.is_some() {
                    self.overrule(&mut frame);
                }
                return frame;
            }
            Some(frame) => StreamError::Sequence { received: frame.seq, expected },
            None => match routes.take_record(&self.request_id) {
                Some(frame) if !defects.has(Defect::ClosedQueueIsCleanEnd) => return frame,
                None if !defects.has(Defect::CleanEndOnDisconnectWithFullQueue) => {
                    StreamError::Disconnected(Disconnect::Local)
                }
                _ => return Frame::clean_end(expected),
            },
        };
        Frame::failure(expected, failure)
    }

    /// What the switches make of the end that the last frame tells.
    fn overrule(&self, frame: &mut Frame) {
        let (routes, defects) = (self.link.routes(), self.link.defects());
        let overruled = match &frame.outcome {
            Some(Ok(())) => defects.has(Defect::LaterErrorCounts),
            Some(Err(StreamError::Sequence { .. })) => {
                let switches = [Defect::LaterEndHidesError, Defect::GapForgiven, Defect::WrongStartForgiven];
                switches.into_iter().any(|switch| defects.has(switch))
            }
            _ => defects.has(Defect::LaterEndHidesError),
        };
        if (overruled || defects.has(Defect::LaterEndCounts))
            && let Some(later) = routes.take_record(&self.request_id)
        {
            frame.outcome = later.outcome;
        }
        if defects.has(Defect::DisconnectBeforeEnd)
            && let Some(reason) = routes.disconnected()
        {
            frame.outcome = Some(Err(StreamError::Disconnected(reason)));
        }
    }

    /// The executor has refused the call: there is nothing that it could be told.
    pub(super) fn refuse(&mut self) {
        self.phase = Phase::Refused;
    }

    /// Parts with the stream and leaves all that is registered.
    pub(super) fn leave(mut self) {
        self.phase = Phase::Released;
    }

    /// Parts with the stream behind its last frame.
    fn release(mut self) {
        self.link.routes().release(&self.request_id, Release::Read);
        self.phase = Phase::Released;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (routes, defects) = (self.link.routes(), self.link.defects());
        if matches!(self.phase, Phase::Released) {
            return;
        }
        let told = self.link.cancel(&self.request_id, self.phase);
        match (self.phase, Handle::try_current()) {
            _ if told && defects.has(Defect::CancelledRouteStays) => {}
            (Phase::Calling | Phase::Refused, _) if defects.has(Defect::RouteLeaksOnCancel) => {}
            (_, Err(_)) if defects.has(Defect::CleanupNeedsRuntime) => {}
            (_, Ok(runtime)) if defects.has(Defect::ReleasedBySweep) => {
                let (routes, request_id) = (Arc::clone(routes), mem::take(&mut self.request_id));
                runtime.spawn(async move {
                    tokio::time::sleep(SWEEP).await;
                    routes.release(&request_id, Release::Dropped);
                });
            }
            _ => routes.release(&self.request_id, Release::Dropped),
        }
    }
}
