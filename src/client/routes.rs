//! The route table: which call an answer belongs to, and what waits for its consumer. The one concurrent file of the client;
//! `model/` compiles it a second time on loom's lock.
//!
//! One lock guards everything. A route is one call: its JSON-RPC answer and, for a streamed call, its body.
//!
//! | part | states |
//! |---|---|
//! | answer | waiting, ready, taken |
//! | body | open or ended as in [`crate::protocol::stream`], and the frames that wait; a buffered call's has ended from the start |
//! | table | connected, or disconnected for a reason that is final: then no route is inserted |
//!
//! The reader of the connection calls [`Routes::answer`], [`Routes::is_open`], [`Routes::poll_deliver`],
//! [`Routes::poll_deliver_run`], [`Routes::fail`] and
//! [`Routes::disconnect`]; the consumer of a call owns its [`Route`], whose drop releases everything at once, on any thread.
//! Wakers are taken under the lock and woken after it; payloads are dropped after it too.

// The paths are written out for `model/`, which names this file by a path, too.
#[path = "routes/bounds.rs"]
mod bounds;
#[path = "routes/chunk.rs"]
mod chunk;
#[path = "routes/credit.rs"]
mod credit;
#[path = "routes/key.rs"]
mod key;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde_json::Value;

use self::bounds::Room;
use self::chunk::Chunk;
use self::credit::{Lender, Window};
use crate::protocol::delta::BodyDelta;
use crate::protocol::error::RpcError;
use crate::protocol::stream::{Disconnect, StreamAction, StreamError, StreamEvent, StreamState};
use crate::sync::{Arc, Mutex};

pub(crate) use self::bounds::{Limits, OnFull};
pub(crate) use self::chunk::Run;
pub(crate) use self::key::Key;

/// What a call expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An answer.
    Call,
    /// An answer and a body in deltas.
    Stream,
}

/// Why no route was inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// The connection is gone.
    Disconnected(Disconnect),
    /// [`Limits::routes`] exist.
    Full,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// The executor answered with an error.
    Rpc(RpcError),
    /// The connection went away before the answer.
    Disconnected(Disconnect),
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// Routes.
    pub(crate) routes: usize,
    /// Bytes charged for waiting frames.
    pub(crate) queued_bytes: usize,
}

/// Hears what the executor is to be told. Called outside the lock, on any thread.
pub(crate) trait Notices: Send + Sync {
    /// A call was given up whose request was sent, and which the executor has not ended (CANCEL-8).
    fn abandoned(&self, key: Key);

    /// [`Routes::take_credit`] has something to give. Not called again before it was asked.
    fn credit_waits(&self);
}

/// The routes of one connection.
pub(crate) struct Routes {
    /// Everything.
    table: Mutex<Table>,
    /// Tells the executor.
    notices: Box<dyn Notices>,
}

/// What the lock guards.
#[derive(Debug)]
struct Table {
    /// All slots ever used; a key's slot number is an index here.
    slots: Vec<Slot>,
    /// Slots without entry that may be used again, the next one last.
    free: Vec<usize>,
    /// How many slots have an entry.
    routes: usize,
    /// The sum of all entries' `queued_bytes`; at most `limits.queue_bytes`.
    queued_bytes: usize,
    /// The reader, while it waits for room.
    reader: Option<Waker>,
    /// Why the connection is gone, once it is; set once.
    disconnected: Option<Disconnect>,
    /// Allows streams their bytes, once the executor keeps to what it is allowed.
    lender: Option<Lender>,
    /// The bounds.
    limits: Limits,
    /// What to do at a bound.
    on_full: OnFull,
}

/// A place for a route.
#[derive(Debug, Default)]
struct Slot {
    /// How many entries this slot had before; a key with another number is stale.
    uses: u64,
    /// The live route.
    entry: Option<Entry>,
    /// It is in [`Lender::untold`].
    is_untold: bool,
}

/// One live route.
#[derive(Debug)]
struct Entry {
    /// What the call expects.
    kind: Kind,
    /// The JSON-RPC answer.
    answer: Answer,
    /// Where the body is, judged on arrival: ahead of the consumer by what `chunks` hold.
    state: StreamState,
    /// Arrived and not taken. They come before the outcome in `state`.
    chunks: VecDeque<Chunk>,
    /// How many of the frames that may wait `chunks` are.
    frames: usize,
    /// What `chunks` are charged together.
    queued_bytes: usize,
    /// The credit of a stream whose executor keeps to one.
    window: Option<Window>,
    /// The consumer, while it waits for the answer or for a frame: never for both.
    consumer: Option<Waker>,
}

/// The JSON-RPC answer of a call.
#[derive(Debug)]
enum Answer {
    /// Not there yet.
    Waiting,
    /// There, not taken.
    Ready(Result<Value, AnswerError>),
    /// Handed to the consumer.
    Taken,
}

/// The consumer's end of one call. Its drop removes the entry and returns its bytes to the budget.
#[derive(Debug)]
pub(crate) struct Route {
    /// The table that holds the entry.
    routes: Arc<Routes>,
    /// Names the entry, which exists as long as this value.
    key: Key,
    /// The request was handed to the transport.
    is_sent: bool,
    /// What the request allows the executor to send.
    credit: Option<u64>,
}

impl Routes {
    /// An empty, connected table.
    pub(crate) fn new(limits: Limits, on_full: OnFull, notices: Box<dyn Notices>) -> Arc<Self> {
        let table = Table {
            slots: Vec::new(),
            free: Vec::new(),
            routes: 0,
            queued_bytes: 0,
            reader: None,
            disconnected: None,
            lender: None,
            limits,
            on_full,
        };
        Arc::new(Self { table: Mutex::new(table), notices })
    }

    /// Adds a route, before its request is sent.
    ///
    /// # Errors
    ///
    /// Refused after a disconnect and when there are too many; then nothing is left behind.
    pub(crate) fn insert(routes: &Arc<Self>, kind: Kind) -> Result<Route, InsertError> {
        let (key, credit) = routes.table.lock().insert(kind)?;
        Ok(Route { routes: Arc::clone(routes), key, is_sent: false, credit })
    }

    /// Takes the answer of a call. Ignored when the call was answered before, or dropped. An error answer ends the body too.
    pub(crate) fn answer(&self, key: Key, result: Result<Value, RpcError>) {
        let (consumer, chunks) = self.table.lock().answer(key, result);
        wake(consumer);
        drop(chunks);
    }

    /// Whether a frame for this key would be looked at; if not, it need not even be decoded.
    pub(crate) fn is_open(&self, key: Key) -> bool {
        self.table.lock().open_entry(key).is_some()
    }

    /// Takes a frame: its data is queued, its `seq` and its end are judged at once. Ignored when the stream has ended.
    ///
    /// Pending only with [`OnFull::Pause`]: the delta is untouched, and the task is woken when it is worth another try.
    pub(crate) fn poll_deliver(&self, cx: &mut Context<'_>, key: Key, delta: &mut BodyDelta) -> Poll<()> {
        let mut evicted = Vec::new();
        let mut table = self.table.lock();
        let (poll, consumer, outdated) = match table.deliver(key, delta, &mut evicted) {
            Poll::Ready(consumer) => (Poll::Ready(()), consumer, None),
            Poll::Pending => (Poll::Pending, None, table.reader.replace(cx.waker().clone())),
        };
        drop(table);
        wake(consumer);
        drop((outdated, evicted));
        poll
    }

    /// Ends one stream behind its waiting frames. Ignored when it has ended.
    pub(crate) fn fail(&self, key: Key, error: StreamError) {
        let consumer = self.table.lock().open_entry(key).and_then(|entry| entry.end(error));
        wake(consumer);
    }

    /// Ends everything: calls that wait for an answer, and open streams behind their waiting frames. The first reason stays.
    pub(crate) fn disconnect(&self, reason: Disconnect) {
        let wakers = self.table.lock().disconnect(reason);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// From now on streams are inserted with credit, which their executor keeps to: none of them can be too slow then.
    pub(crate) fn keep_credit(&self) {
        let mut table = self.table.lock();
        table.lender = Some(Lender::new(&table.limits));
    }

    /// The bytes that open streams' executors may send beyond those that they were told of before.
    pub(crate) fn take_credit(&self) -> Vec<(Key, u64)> {
        self.table.lock().take_credit()
    }

    /// Counts what is held.
    pub(crate) fn census(&self) -> Census {
        let table = self.table.lock();
        Census { routes: table.routes, queued_bytes: table.queued_bytes }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Route {
    /// The name of the call on this connection.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// The request was handed to the transport. From now on a drop before the executor has ended the call is told.
    pub(crate) fn mark_sent(&mut self) {
        self.is_sent = true;
    }

    /// The bytes that the request allows the executor to send (CREDIT-2); `None` where it keeps to no credit.
    pub(crate) fn credit(&self) -> Option<u64> {
        self.credit
    }

    /// Waits for the answer. To be called until it is ready, not again after.
    ///
    /// Safe to cancel: nothing is taken before it is ready.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Value, AnswerError>> {
        let mut table = self.routes.table.lock();
        let entry = table.entry(self.key).expect("a route keeps its entry until its drop");
        let (poll, outdated) = match mem::replace(&mut entry.answer, Answer::Taken) {
            Answer::Ready(result) => (Poll::Ready(result), None),
            Answer::Waiting => {
                entry.answer = Answer::Waiting;
                (Poll::Pending, entry.consumer.replace(cx.waker().clone()))
            }
            Answer::Taken => unreachable!("an answer is polled until it is ready, and not again"),
        };
        drop(table);
        drop(outdated);
        poll
    }

    /// Waits for the next bytes of the body; `None` is its clean end. An end is returned again by every later call.
    ///
    /// Safe to cancel: nothing is taken before it is ready.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        let mut table = self.routes.table.lock();
        if let Some(chunk) = table.take_chunk(self.key) {
            let reader = table.reader.take();
            let notices = table.allow(self.key);
            drop(table);
            wake(reader);
            if notices {
                self.routes.notices.credit_waits();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        let entry = table.entry(self.key).expect("a route keeps its entry until its drop");
        let Some(outcome) = entry.state.outcome() else {
            let outdated = entry.consumer.replace(cx.waker().clone());
            drop(table);
            drop(outdated);
            return Poll::Pending;
        };
        Poll::Ready(outcome.clone().err().map(Err))
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut table = self.routes.table.lock();
        let (entry, reader) = table.remove(self.key);
        let goes_on = table.disconnected.is_none() && entry.as_ref().is_some_and(Entry::goes_on);
        drop(table);
        wake(reader);
        drop(entry);
        if self.is_sent && goes_on {
            self.routes.notices.abandoned(self.key);
        }
    }
}

impl Table {
    fn insert(&mut self, kind: Kind) -> Result<(Key, Option<u64>), InsertError> {
        if let Some(reason) = &self.disconnected {
            return Err(InsertError::Disconnected(reason.clone()));
        }
        if self.routes == self.limits.routes {
            return Err(InsertError::Full);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let window = self.lender.as_mut().filter(|_| kind == Kind::Stream).map(Lender::open);
        let credit = window.as_ref().map(Window::first);
        let slot = &mut self.slots[index];
        slot.entry = Some(Entry {
            kind,
            answer: Answer::Waiting,
            state: match kind {
                Kind::Call => StreamState::Ended(Ok(())),
                Kind::Stream => StreamState::new(),
            },
            chunks: VecDeque::new(),
            frames: 0,
            queued_bytes: 0,
            window,
            consumer: None,
        });
        self.routes += 1;
        Ok((Key::new(index, slot.uses), credit))
    }

    /// Takes an entry out. Its slot is used again unless its numbers are used up.
    fn remove(&mut self, key: Key) -> (Option<Entry>, Option<Waker>) {
        let (index, _) = key.parts();
        let slot = &mut self.slots[index];
        let entry = slot.entry.take();
        slot.uses += 1;
        if slot.uses < self.limits.slot_uses {
            self.free.push(index);
        }
        self.routes -= 1;
        self.queued_bytes -= entry.as_ref().map_or(0, |entry| entry.queued_bytes);
        if let (Some(lender), Some(window)) = (&mut self.lender, entry.as_ref().and_then(|entry| entry.window.as_ref()))
        {
            lender.close(window);
        }
        (entry, self.reader.take())
    }

    /// The live entry of this key; `None` for a key that is stale or was never given.
    fn entry(&mut self, key: Key) -> Option<&mut Entry> {
        let (index, uses) = key.parts();
        self.slots.get_mut(index).filter(|slot| slot.uses == uses)?.entry.as_mut()
    }

    /// The live entry of this key whose body may still get frames.
    fn open_entry(&mut self, key: Key) -> Option<&mut Entry> {
        self.entry(key).filter(|entry| entry.state.outcome().is_none())
    }

    fn answer(&mut self, key: Key, result: Result<Value, RpcError>) -> (Option<Waker>, VecDeque<Chunk>) {
        let mut chunks = VecDeque::new();
        let Some(entry) = self.entry(key).filter(|entry| matches!(entry.answer, Answer::Waiting)) else {
            return (None, chunks);
        };
        let consumer = entry.consumer.take();
        let mut returned = 0;
        if let Err(error) = &result {
            // Frames that came before cannot belong to a body: the call has none.
            (chunks, returned) =
                entry.abandon(StreamError::Remote { message: error.message.clone(), kind: error.kind });
        }
        entry.answer = Answer::Ready(result.map_err(AnswerError::Rpc));
        self.queued_bytes -= returned;
        (consumer, chunks)
    }

    /// The consumer to wake, or pending when the delta has to wait for room.
    fn deliver(&mut self, key: Key, delta: &mut BodyDelta, evicted: &mut Vec<VecDeque<Chunk>>) -> Poll<Option<Waker>> {
        let Some(entry) = self.open_entry(key) else { return Poll::Ready(None) };
        let mut next = entry.state.clone();
        let action = next.apply(StreamEvent::of(delta));
        let mut frame = None;
        if action == StreamAction::Deliver && !delta.data.is_empty() {
            match self.room_for(key, delta, evicted) {
                Room::Free => frame = Some(mem::take(&mut delta.data)),
                Room::Later => return Poll::Pending,
                // A body that failed anyway keeps its own reason.
                Room::None(_) if matches!(next, StreamState::Ended(Err(_))) => {}
                Room::None(error) => next = StreamState::Ended(Err(error)),
            }
        }
        let charged = frame.as_ref().map_or(0, |frame| self.charge(frame));
        self.queued_bytes += charged;
        let lender = &mut self.lender;
        let (index, _) = key.parts();
        let Some(entry) = self.slots[index].entry.as_mut() else { return Poll::Ready(None) };
        entry.queued_bytes += charged;
        if let Some(frame) = frame {
            entry.push(Chunk { data: frame, frames: 1, charge: charged });
        }
        entry.state = next;
        if let (Some(lender), Some(window), StreamState::Ended(_)) = (lender, &mut entry.window, &entry.state) {
            lender.settle(window, entry.queued_bytes);
        }
        Poll::Ready(entry.consumer.take())
    }

    fn disconnect(&mut self, reason: Disconnect) -> Vec<Waker> {
        if self.disconnected.is_some() {
            return Vec::new();
        }
        let mut wakers = Vec::new();
        for entry in self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut()) {
            if matches!(entry.answer, Answer::Waiting) {
                entry.answer = Answer::Ready(Err(AnswerError::Disconnected(reason.clone())));
            }
            wakers.extend(entry.end(StreamError::Disconnected(reason.clone())));
        }
        wakers.extend(self.reader.take());
        self.disconnected = Some(reason);
        wakers
    }
}

impl Entry {
    /// The executor has not ended the call, as far as is seen here. A body that ended on this side alone, for example because
    /// it was read too slowly, goes on there.
    fn goes_on(&self) -> bool {
        match self.kind {
            Kind::Call => matches!(self.answer, Answer::Waiting),
            Kind::Stream => !matches!(self.state.outcome(), Some(Ok(()) | Err(StreamError::Remote { .. }))),
        }
    }

    /// Ends the body behind its waiting frames, unless it has ended; the consumer has something to see in both cases.
    fn end(&mut self, error: StreamError) -> Option<Waker> {
        self.state.apply(StreamEvent::Fault(error));
        self.consumer.take()
    }

    /// Ends the body before its waiting chunks, which the consumer will not get, with what they were charged. This replaces
    /// an end that the consumer has not seen yet.
    fn abandon(&mut self, error: StreamError) -> (VecDeque<Chunk>, usize) {
        self.state = StreamState::Ended(Err(error));
        self.frames = 0;
        (mem::take(&mut self.chunks), mem::take(&mut self.queued_bytes))
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
