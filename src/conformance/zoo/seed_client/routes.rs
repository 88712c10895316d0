//! Where answers and frames go: the maps of the seed client.
//!
//! | map | from | to | until |
//! |---|---|---|---|
//! | routes | `requestId` | the sender of the stream's queue | the last frame |
//! | records | `requestId` | the last frame, where the queue had no room for it | it is read or the stream is dropped |
//! | queues | `requestId` | the receiver of the queue | the stream is released |
//! | pending | JSON-RPC id | who waits for the answer | the answer |
//!
//! The original has the first two, each behind an atomic pointer and copied for every change
//! ([`Defect::MapCopiedOnEachChange`]). Here one lock guards all, so that a switch shows its defect every time, and
//! without switches nothing races.

mod budget;
mod stray;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::Census;
use super::defect::{Defect, Defects};
use super::error::CallError;
use super::queue::{Frame, Queue, Waiting};
use crate::protocol::delta::BodyDelta;
use crate::protocol::error::RpcError;
use crate::protocol::limits::{QUEUE_BYTES, QUEUE_FRAMES};
use crate::protocol::stream::{Disconnect, Overflow, StreamError};
use crate::sync::{Arc, Mutex};

/// Bytes that a stream with credit may have due and waiting: what all calls have together is the byte budget.
pub(super) const WINDOW_BYTES: u64 = (QUEUE_BYTES / CALLS) as u64;

/// Calls that may wait for their answers at one time.
pub const CALLS: usize = 16_384;

/// What a pending call gets: the answer, or the end of the connection.
pub(super) type Answer = Result<Result<Value, RpcError>, Disconnect>;

/// The maps of one connection.
#[derive(Debug)]
pub(super) struct Routes {
    /// Everything.
    table: Mutex<Table>,
    /// The switches that are on.
    defects: Defects,
    /// Whether the connection is gone.
    gone: watch::Sender<bool>,
    /// Cancel requests that were not answered.
    cancels: watch::Sender<usize>,
}

/// What the lock guards.
#[derive(Debug, Default)]
struct Table {
    /// Open streams.
    routes: HashMap<String, Route>,
    /// Last frames that found their queue full.
    records: HashMap<String, Frame>,
    /// All streams that were not released, ended ones too.
    queues: HashMap<String, Arc<Queue>>,
    /// Calls that wait for their answers.
    pending: HashMap<i64, oneshot::Sender<Answer>>,
    /// Bytes that wait in all queues.
    waiting: Waiting,
    /// How many calls were registered; the JSON-RPC id of the last one.
    calls: i64,
    /// How many streams were registered; the number in the name of the last one.
    streams: u64,
    /// Entries that were copied from map to map.
    copied_routes: usize,
    /// Notes of streams that failed. Only some switches count them.
    failed: usize,
    /// The numbers that come next in streams which are not open. Only some switches follow them.
    late: HashMap<String, u64>,
    /// The ids of streams that were released. Only [`Defect::CallerIdUnlessEnded`] keeps them.
    ended: HashSet<String>,
    /// Frames that came since nothing waited. Only [`Defect::OneRing`] counts them.
    ring: usize,
    /// The executor keeps to a credit.
    keeps_credit: bool,
    /// Why the connection is gone, once it is; set once.
    disconnected: Option<Disconnect>,
}

/// An open stream.
#[derive(Clone, Debug)]
struct Route {
    /// Fills the queue.
    sender: mpsc::Sender<Frame>,
    /// The number that the next frame must have.
    next_seq: u64,
    /// Bytes that were allowed and have not come; `None` without a credit.
    due: Option<u64>,
    /// The last frame was queued. Only [`Defect::RouteKeptAfterTerminal`] keeps such a route.
    draining: bool,
}

/// How a consumer parts with its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// It has read the last frame.
    Read,
    /// It does not want the rest.
    Dropped,
}

impl Routes {
    /// Empty maps, connected.
    pub(super) fn new(defects: Defects) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            defects,
            gone: watch::Sender::new(false),
            cancels: watch::Sender::new(0),
        })
    }

    /// The switches that are on.
    pub(super) fn defects(&self) -> Defects {
        self.defects
    }

    /// Registers a call.
    pub(super) fn insert_call(&self) -> Result<(i64, oneshot::Receiver<Answer>), CallError> {
        let mut table = self.table.lock();
        self.check_connected(&table)?;
        if table.pending.len() == CALLS {
            return Err(CallError::TooManyCalls);
        }
        table.calls += 1;
        let (id, (sender, receiver)) = (table.calls, oneshot::channel());
        table.pending.insert(id, sender);
        Ok((id, receiver))
    }

    /// Forgets a call; its answer will be ignored.
    pub(super) fn remove_call(&self, id: i64) {
        self.table.lock().pending.remove(&id);
    }

    /// From now on streams have a credit.
    pub(super) fn keep_credit(&self) {
        self.table.lock().keeps_credit = true;
    }

    /// The bytes that were allowed to an open stream.
    pub(super) fn credit(&self, id: &str) -> Option<u64> {
        self.table.lock().routes.get(id)?.due
    }

    /// Allows an open stream as many bytes as were read of it; whether it has a credit.
    pub(super) fn allow(&self, id: &str, bytes: u64) -> bool {
        let mut table = self.table.lock();
        let Some(due) = table.routes.get_mut(id).and_then(|route| route.due.as_mut()) else { return false };
        *due += bytes;
        true
    }

    /// Registers a stream, before its call is sent. `wanted` is the id that the caller asked for; it gets another one.
    pub(super) fn insert_stream(&self, wanted: &str) -> Result<(String, Arc<Queue>), CallError> {
        let mut table = self.table.lock();
        self.check_connected(&table)?;
        table.streams += 1;
        if self.defects.has(Defect::EndedStreamsSwept) {
            let ended = table.queues.iter().filter(|(id, _)| !table.routes.contains_key(*id));
            ended.for_each(|(_, queue)| queue.clear());
        }
        let chosen = self.defects.has(Defect::CallerChosenReusedId)
            || self.defects.has(Defect::CallerIdUnlessOpen) && !table.routes.contains_key(wanted)
            || self.defects.has(Defect::CallerIdUnlessEnded) && !table.ended.contains(wanted);
        let id = if chosen {
            wanted.to_owned()
        } else if self.defects.has(Defect::LowestFreeId) {
            let free = (1..=table.streams).map(numbered).find(|id| !table.routes.contains_key(id));
            free.expect("fewer streams are open than there were")
        } else {
            numbered(table.streams)
        };
        let due = table.keeps_credit.then_some(WINDOW_BYTES);
        let places = if self.defects.has(Defect::QueueUnbounded) {
            Semaphore::MAX_PERMITS
        } else if due.is_some() && !self.defects.has(Defect::CreditedFramesCounted) {
            // A frame that takes a place has a byte.
            WINDOW_BYTES as usize
        } else {
            QUEUE_FRAMES
        };
        let (sender, queue) = Queue::new(places);
        let route = Route { sender, next_seq: 1, due, draining: false };
        table.queues.insert(id.clone(), Arc::clone(&queue));
        self.change(&mut table, |routes| routes.insert(id.clone(), route));
        Ok((id, queue))
    }

    /// The call of a stream was answered with an error.
    pub(super) fn refused(&self, id: &str) {
        let mut table = self.table.lock();
        if id == numbered(table.streams) && self.defects.has(Defect::RefusedIdReused) {
            table.streams -= 1;
        }
    }

    /// The consumer of a stream has read an error of the executor.
    pub(super) fn error_read(&self) {
        let mut table = self.table.lock();
        table.failed += usize::from(self.defects.has(Defect::ReadErrorKept));
        let forgotten = usize::from(self.defects.has(Defect::UnreadErrorKept));
        table.failed = table.failed.saturating_sub(forgotten);
    }

    /// Releases all that a stream holds.
    pub(super) fn release(&self, id: &str, release: Release) {
        let has = |defect| self.defects.has(defect);
        let (read, mut table) = (release == Release::Read, self.table.lock());
        if table.disconnected.is_some() && has(Defect::NothingReleasedWhenGone) {
            return;
        }
        let open = table.routes.get(id).map(|route| (route.next_seq, route.draining));
        if let Some((next, _)) = open
            && has(Defect::LateGapIsFatal)
        {
            table.late.insert(id.to_owned(), next);
        }
        if has(Defect::CallerIdUnlessEnded) {
            table.ended.insert(id.to_owned());
        }
        let stays = open.is_some_and(|(_, draining)| draining) || has(Defect::RouteWaitsForEnd);
        if read || !stays {
            self.change(&mut table, |routes| routes.remove(id));
        }
        let kept = has(Defect::BudgetNotReturned) || open.is_none() && has(Defect::FailedBytesKept);
        if let Some(queue) = table.queues.remove(id)
            && !read
            && kept
        {
            table.waiting.fetch_add(queue.waiting_bytes(), Ordering::Relaxed);
        }
        if read || !self.defects.has(Defect::FailureRecordLeaksOnDrop) {
            table.records.remove(id);
        }
    }

    /// The end of the stream has not come.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.table.lock().routes.contains_key(id)
    }

    /// The last frame of a stream whose queue had no room for it.
    pub(super) fn take_record(&self, id: &str) -> Option<Frame> {
        self.table.lock().records.remove(id)
    }

    /// Takes the answer of a call; false when nobody waits for it.
    pub(super) fn answer(&self, id: i64, result: Result<Value, RpcError>) -> bool {
        let call = self.table.lock().pending.remove(&id);
        // The caller may have gone away just now.
        call.map(|call| call.send(Ok(result))).is_some()
    }

    /// A cancel request was sent.
    pub(super) fn count_cancel(&self, sent: bool) {
        self.cancels.send_modify(|waiting| *waiting += usize::from(sent));
    }

    /// A cancel request was answered; false when none was waiting for that.
    pub(super) fn cancel_answered(&self) -> bool {
        self.cancels.send_if_modified(|waiting| {
            let had = *waiting > 0;
            *waiting = waiting.saturating_sub(1);
            had
        })
    }

    /// Waits until all cancel requests were answered.
    pub(super) async fn cancels_answered(&self) {
        // An error would mean that there is no connection to wait for.
        let _ = self.cancels.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// Takes a frame; false when a switch makes it the end of the connection.
    pub(super) fn deliver(&self, mut delta: BodyDelta) -> bool {
        let id = mem::take(&mut delta.request_id);
        let mut table = self.table.lock();
        if self.defects.has(Defect::OneRing) {
            let idle = table.queues.values().all(|queue| queue.is_empty());
            table.ring = if idle { 1 } else { table.ring + 1 };
        }
        let ring = table.ring;
        let Some(route) = table.routes.get_mut(&id) else { return self.stray(&mut table, id, delta) };
        let (expected, places) = (route.next_seq, route.sender.capacity());
        route.next_seq = expected.saturating_add(1);
        let terminal = delta.is_terminal();
        let mut frame = Frame::of(delta, self.defects);
        if frame.seq != expected && !self.defects.has(Defect::GapSeenWhenConsumed) {
            let forgiven = if expected == 1 { Defect::WrongStartForgiven } else { Defect::GapForgiven };
            if frame.seq > expected && self.defects.has(forgiven) {
                table.late.insert(id.clone(), frame.seq.saturating_add(1));
            }
            frame = Frame::failure(expected, StreamError::Sequence { received: frame.seq, expected });
        } else if let Some(allowed) = self.exceeded(&mut route.due, &frame, terminal) {
            if self.defects.has(Defect::BeyondCreditIsFatal) {
                drop(table);
                self.disconnect(Disconnect::Local);
                return false;
            }
            let received = frame.data.len();
            frame = Frame::failure(expected, StreamError::BeyondCredit { received, allowed });
            if self.defects.has(Defect::BeyondCreditLosesAll)
                && let Some(queue) = table.queues.get(&id)
            {
                queue.clear();
                frame.seq = 1;
            }
        } else if self.overflows(&frame, terminal, places) || ring > QUEUE_FRAMES {
            if self.defects.has(Defect::FullQueueLosesFrame) {
                return true;
            }
            table.failed += usize::from(self.defects.has(Defect::OverflowKept));
            let error = if self.defects.has(Defect::OverflowAsDisconnect) {
                StreamError::Disconnected(Disconnect::Local)
            } else {
                StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES))
            };
            frame = Frame::failure(expected, error);
        } else if matches!(frame.outcome, Some(Err(_))) {
            table.failed += usize::from(self.defects.has(Defect::UnreadErrorKept));
        }
        let fatal = frame.overflowed() && self.defects.has(Defect::OverflowIsFatal);
        self.charge(&mut table, &id, &mut frame);
        self.queue(&mut table, &id, frame);
        drop(table);
        if fatal {
            self.disconnect(Disconnect::Local);
        }
        true
    }

    /// Takes the bytes of a frame from those that are due; gives what was, where it is too little.
    fn exceeded(&self, due: &mut Option<u64>, frame: &Frame, terminal: bool) -> Option<u64> {
        let due = due.as_mut()?;
        if self.defects.has(Defect::BeyondCreditTaken)
            || terminal && self.defects.has(Defect::TerminalBeyondCreditTaken)
        {
            return None;
        }
        let kept = if self.defects.has(Defect::CreditHalved) { WINDOW_BYTES / 2 } else { 0 };
        match due.checked_sub(frame.data.len() as u64) {
            Some(left) if left >= kept || frame.data.is_empty() => {
                *due = left;
                None
            }
            _ => Some(*due),
        }
    }

    /// A frame finds so many free places in its queue, and that is one too few.
    fn overflows(&self, frame: &Frame, terminal: bool, places: usize) -> bool {
        let has = |defect| self.defects.has(defect);
        match &frame.outcome {
            None => places == 0 || frame.seq > QUEUE_FRAMES as u64 && has(Defect::FramesCountedForEver),
            Some(_) if !terminal => false,
            Some(_) if has(Defect::EndTakesSecondSlot) => places < 2,
            Some(_) if has(Defect::LastSlotIsOverflow) => places == 1,
            Some(Err(_)) if has(Defect::ErrorTakesQueueSlot) => places == 0,
            Some(_) => places == 0 && has(Defect::TerminalTakesQueueSlot),
        }
    }

    /// Ends one stream behind its waiting frames. Ignored when it is not open.
    pub(super) fn fail(&self, id: &str, error: StreamError) {
        let mut table = self.table.lock();
        if let Some(route) = table.routes.get(id) {
            let frame = Frame::failure(route.next_seq, error);
            self.queue(&mut table, id, frame);
        }
    }

    /// Ends everything: pending calls, and open streams behind their waiting frames. The first reason stays.
    pub(super) fn disconnect(&self, reason: Disconnect) {
        let mut table = self.table.lock();
        if table.disconnected.is_some() {
            return;
        }
        table.disconnected = Some(reason.clone());
        self.gone.send_replace(!self.defects.has(Defect::DisconnectNotTold));
        if !self.defects.has(Defect::CallsOutliveDisconnect) {
            for (_, call) in table.pending.drain() {
                let _ = call.send(Err(reason.clone()));
            }
        }
        if self.defects.has(Defect::StreamsOutliveDisconnect) {
            return;
        }
        let open: Vec<(String, Route)> = table.routes.iter().map(|(id, route)| (id.clone(), route.clone())).collect();
        for (id, route) in open {
            let full = route.sender.capacity() == 0;
            let first = table.queues.get(&id).filter(|_| !full && self.defects.has(Defect::DisconnectBehindFirstFrame));
            let seq = match first.and_then(|queue| queue.clear_behind_first(&route.sender)) {
                Some(first) => first + 1,
                None if self.defects.has(Defect::DisconnectAsSequenceError) => 1,
                None => route.next_seq,
            };
            if full && self.defects.has(Defect::CleanEndOnDisconnectWithFullQueue) {
                self.change(&mut table, |routes| routes.remove(&id));
                continue;
            }
            let error = if full && self.defects.has(Defect::DisconnectAsOverflow) {
                StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES))
            } else {
                StreamError::Disconnected(reason.clone())
            };
            self.queue(&mut table, &id, Frame::failure(seq, error));
        }
    }

    /// Waits until the connection is gone; keeps nothing of it.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut gone = self.gone.subscribe();
        async move {
            // Nobody is left who could be told when the sender is gone.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Why the connection is gone, if it is.
    pub(super) fn disconnected(&self) -> Option<Disconnect> {
        self.table.lock().disconnected.clone()
    }

    /// Counts what is held.
    pub(super) fn census(&self) -> Census {
        let table = self.table.lock();
        Census {
            routes: table.routes.len(),
            failure_records: table.records.len() + table.failed,
            queued_bytes: table.waiting.load(Ordering::Relaxed),
            copied_routes: table.copied_routes,
        }
    }

    fn check_connected(&self, table: &Table) -> Result<(), CallError> {
        match &table.disconnected {
            Some(reason) if !self.defects.has(Defect::InsertAfterDisconnect) => {
                Err(CallError::Disconnected { reason: reason.clone(), sent: false })
            }
            _ => Ok(()),
        }
    }

    /// Adds or removes a route.
    fn change<T>(&self, table: &mut Table, change: impl FnOnce(&mut HashMap<String, Route>) -> T) -> T {
        if self.defects.has(Defect::MapCopiedOnEachChange) {
            table.copied_routes += table.routes.len();
            table.routes = table.routes.clone();
        }
        change(&mut table.routes)
    }

    /// Puts a frame into the queue of an open stream. The last one closes the queue; it goes to the records where the queue
    /// has no room.
    fn queue(&self, table: &mut Table, id: &str, frame: Frame) {
        let last = frame.outcome.is_some();
        let Some(route) = table.routes.get_mut(id) else { return };
        if matches!(frame.outcome, Some(Err(_))) && self.defects.has(Defect::FailedIdsKept) {
            table.failed += 1;
        }
        let sent = route.sender.try_send(frame);
        route.draining = last && self.defects.has(Defect::RouteKeptAfterTerminal);
        if last && !route.draining {
            self.change(table, |routes| routes.remove(id));
        }
        if let Err(TrySendError::Full(frame)) = sent
            && !(matches!(frame.outcome, Some(Ok(()))) && self.defects.has(Defect::EndLostAtFullQueue))
        {
            table.records.insert(id.to_owned(), frame);
        }
    }
}

/// The id of the stream with that number.
fn numbered(number: u64) -> String {
    format!("http-{number}")
}
