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

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::Census;
use super::defect::{Defect, Defects};
use super::error::CallError;
use super::queue::{Charge, Frame, Queue, Waiting};
use crate::protocol::delta::BodyDelta;
use crate::protocol::error::RpcError;
use crate::protocol::limits::{QUEUE_BYTES, QUEUE_FRAMES};
use crate::protocol::stream::{Disconnect, Overflow, StreamError};
use crate::sync::{Arc, Mutex};

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
        Arc::new(Self { table: Mutex::default(), defects })
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

    /// Registers a stream, before its call is sent. `wanted` is the id that the caller asked for; it gets another one.
    pub(super) fn insert_stream(&self, wanted: &str) -> Result<(String, Arc<Queue>), CallError> {
        let mut table = self.table.lock();
        self.check_connected(&table)?;
        table.streams += 1;
        let chosen = self.defects.has(Defect::CallerChosenReusedId);
        let id = if chosen { wanted.to_owned() } else { format!("http-{}", table.streams) };
        let (sender, queue) = Queue::new();
        let route = Route { sender, next_seq: 1, draining: false };
        table.queues.insert(id.clone(), Arc::clone(&queue));
        self.change(&mut table, |routes| routes.insert(id.clone(), route));
        Ok((id, queue))
    }

    /// Releases all that a stream holds.
    pub(super) fn release(&self, id: &str, release: Release) {
        let (read, mut table) = (release == Release::Read, self.table.lock());
        if read || !table.routes.get(id).is_some_and(|route| route.draining) {
            self.change(&mut table, |routes| routes.remove(id));
        }
        table.queues.remove(id);
        if read || !self.defects.has(Defect::FailureRecordLeaksOnDrop) {
            table.records.remove(id);
        }
    }

    /// The last frame of a stream whose queue had no room for it.
    pub(super) fn take_record(&self, id: &str) -> Option<Frame> {
        self.table.lock().records.remove(id)
    }

    /// Takes the answer of a call; one that nobody waits for is ignored.
    pub(super) fn answer(&self, id: i64, result: Result<Value, RpcError>) {
        if let Some(call) = self.table.lock().pending.remove(&id) {
            // The caller may have gone away just now.
            let _ = call.send(Ok(result));
        }
    }

    /// Takes a frame. Ignored when its stream is not open.
    pub(super) fn deliver(&self, mut delta: BodyDelta) {
        let id = mem::take(&mut delta.request_id);
        let mut table = self.table.lock();
        let Some(route) = table.routes.get_mut(&id) else { return };
        let (expected, full) = (route.next_seq, route.sender.capacity() == 0);
        route.next_seq = expected.saturating_add(1);
        let terminal = delta.is_terminal();
        let mut frame = Frame::of(delta, self.defects);
        if frame.seq != expected && !self.defects.has(Defect::GapSeenWhenConsumed) {
            frame = Frame::failure(expected, StreamError::Sequence { received: frame.seq, expected });
        } else if full && (frame.outcome.is_none() || terminal && self.defects.has(Defect::TerminalTakesQueueSlot)) {
            frame = Frame::failure(expected, StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES)));
        }
        self.charge(&mut table, &id, &mut frame);
        self.queue(&mut table, &id, frame);
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
        for (_, call) in table.pending.drain() {
            let _ = call.send(Err(reason.clone()));
        }
        if self.defects.has(Defect::StreamsOutliveDisconnect) {
            return;
        }
        let open: Vec<(String, Route)> = table.routes.iter().map(|(id, route)| (id.clone(), route.clone())).collect();
        for (id, route) in open {
            let seq = if self.defects.has(Defect::DisconnectAsSequenceError) { 1 } else { route.next_seq };
            if route.sender.capacity() == 0 && self.defects.has(Defect::CleanEndOnDisconnectWithFullQueue) {
                self.change(&mut table, |routes| routes.remove(&id));
            } else {
                self.queue(&mut table, &id, Frame::failure(seq, StreamError::Disconnected(reason.clone())));
            }
        }
    }

    /// Counts what is held.
    pub(super) fn census(&self) -> Census {
        let table = self.table.lock();
        Census {
            routes: table.routes.len(),
            failure_records: table.records.len(),
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
        let sent = route.sender.try_send(frame);
        route.draining = last && self.defects.has(Defect::RouteKeptAfterTerminal);
        if last && !route.draining {
            self.change(table, |routes| routes.remove(id));
        }
        if let Err(TrySendError::Full(frame)) = sent {
            table.records.insert(id.to_owned(), frame);
        }
    }

    /// Takes a frame's share of the byte budget. Where that is used up, the streams that hold more than this one end, the
    /// largest first, until there is room; when this one holds most, it is the one that ends.
    fn charge(&self, table: &mut Table, id: &str, frame: &mut Frame) {
        let Some(queue) = table.queues.get(id).cloned() else { return };
        let bytes = Charge::bytes(&frame.data);
        let overflow = StreamError::Overflow(Overflow::Bytes(QUEUE_BYTES));
        while bytes > 0 && !self.has_room(table, bytes) {
            let Some(largest) = self.larger_than(table, queue.waiting_bytes()) else {
                frame.data = Bytes::new();
                // A body that failed anyway keeps its own reason.
                if !matches!(frame.outcome, Some(Err(_))) {
                    frame.outcome = Some(Err(overflow));
                }
                return;
            };
            self.evict(table, &largest, overflow.clone());
        }
        frame.charge = Some(Charge::new(bytes, [Arc::clone(queue.waiting()), Arc::clone(&table.waiting)]));
    }

    fn has_room(&self, table: &Table, bytes: usize) -> bool {
        table.waiting.load(Ordering::Relaxed) + bytes <= QUEUE_BYTES || self.defects.has(Defect::NoByteBudget)
    }

    /// The stream that holds most, if that is more than so many bytes.
    fn larger_than(&self, table: &Table, bytes: usize) -> Option<String> {
        if self.defects.has(Defect::NewestFramePays) {
            return None;
        }
        let larger = table.queues.iter().filter(|(_, queue)| queue.waiting_bytes() > bytes);
        larger.max_by_key(|(_, queue)| queue.waiting_bytes()).map(|(id, _)| id.clone())
    }

    /// Ends a stream before its waiting frames, and before an end that its consumer has not seen yet.
    fn evict(&self, table: &mut Table, id: &str, error: StreamError) {
        if let Some(queue) = table.queues.get(id) {
            queue.clear();
        }
        self.change(table, |routes| routes.remove(id));
        table.records.insert(id.to_owned(), Frame::failure(0, error));
    }
}
