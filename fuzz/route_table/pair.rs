//! The production table and its oracle, side by side.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{End, Operation, Seq, Setup};
use crate::protocol::delta::{BodyDelta, DeltaFault};
use crate::protocol::error::RpcError;
use crate::protocol::limits::FRAME_CHARGE_BYTES;
use crate::protocol::stream::{Disconnect, Outcome, Overflow, StreamError};
use crate::routes::{AnswerError, Census, InsertError, Key, Kind, Limits, Notices, OnFull, Route, Routes};

/// One call in so many is dropped before its request is sent.
const UNSENT: usize = 5;

/// The table and its oracle.
pub(super) struct Pair {
    /// The production code.
    routes: Arc<Routes>,
    /// The calls that the executor is told of.
    told: Told,
    /// Its bounds.
    limits: Limits,
    /// What happens at a bound.
    pause: bool,
    /// All calls ever started.
    calls: Vec<Call>,
    /// Why the connection is gone.
    disconnected: Option<Disconnect>,
    /// The frame that waits for room, and what wakes the reader.
    paused: Option<(usize, BodyDelta, Arc<Wakes>)>,
}

/// What the oracle knows of one call.
struct Call {
    /// The consumer's end, until it is dropped.
    route: Option<Route>,
    /// Its key.
    key: Key,
    /// Whether it has a body.
    streamed: bool,
    /// Whether its request was sent.
    sent: bool,
    /// The answer that came; taken when the caller has it.
    answer: Option<Result<Value, AnswerError>>,
    /// Whether the caller has its answer.
    answer_taken: bool,
    /// The next frame's number, or how the body ended.
    body: Result<u64, Outcome>,
    /// What waits for the consumer.
    frames: VecDeque<Bytes>,
    /// The consumer's last poll, if it was pending.
    waiting: Option<(Wait, Arc<Wakes>)>,
}

/// What a consumer waits for.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Answer,
    Chunk,
}

/// Notes calls that were given up.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Key>>>);

impl Notices for Told {
    fn abandoned(&self, key: Key) {
        self.0.lock().expect("nobody panics with it").push(key);
    }

    fn credit_waits(&self) {
        unreachable!("no executor of this law keeps to credit");
    }
}

/// Counts wake-ups.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn woken(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Call {
    fn live(&self) -> bool {
        self.route.is_some()
    }

    fn answered(&self) -> bool {
        self.answer.is_some() || self.answer_taken
    }

    fn open(&self) -> bool {
        self.live() && self.body.is_ok()
    }

    /// The executor was not seen to end it: its answer, or its last frame in order, is missing.
    fn goes_on(&self) -> bool {
        let ended = matches!(self.body, Err(Ok(()) | Err(StreamError::Remote { .. })));
        if self.streamed { !ended } else { !self.answered() }
    }

    /// What its waiting frames are charged.
    fn held(&self) -> usize {
        self.frames.iter().map(charge).sum()
    }

    /// Whether its consumer would get something.
    fn ready(&self, wait: Wait) -> bool {
        match wait {
            Wait::Answer => self.answer.is_some(),
            Wait::Chunk => !self.frames.is_empty() || self.body.is_err(),
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if self.body.is_ok() {
            self.body = Err(outcome);
        }
    }

    /// Ends the body before its waiting frames.
    fn abandon(&mut self, error: StreamError) {
        self.frames.clear();
        self.body = Err(Err(error));
    }
}

impl Pair {
    pub(super) fn new(setup: Setup) -> Self {
        let limits = Limits {
            routes: usize::from(setup.routes % 4) + 1,
            slot_uses: u64::from(setup.slot_uses % 3) + 1,
            queue_frames: usize::from(setup.queue_frames % 4) + 1,
            queue_bytes: (usize::from(setup.queue_charges % 8) + 1) * FRAME_CHARGE_BYTES,
        };
        let on_full = if setup.pause { OnFull::Pause } else { OnFull::Fail };
        let (told, calls, disconnected, paused) = (Told::default(), Vec::new(), None, None);
        let routes = Routes::new(limits, on_full, Box::new(told.clone()));
        Self { routes, told, limits, pause: setup.pause, calls, disconnected, paused }
    }

    pub(super) fn apply(&mut self, operation: Operation) {
        let calls = self.calls.len();
        let needs_no_call =
            matches!(operation, Operation::Insert { .. } | Operation::Probe { .. } | Operation::Disconnect { .. });
        if calls == 0 && !needs_no_call {
            return;
        }
        let index = |call: u8| usize::from(call) % calls;
        match operation {
            Operation::Insert { streamed } => self.insert(streamed),
            Operation::Probe { number } => {
                let expected = self.calls.iter().any(|call| call.key.number() == number && call.open());
                assert_eq!(self.routes.is_open(Key::from_number(number)), expected, "key {number}");
            }
            Operation::Disconnect { local } => self.disconnect(local),
            Operation::Answer { call, refused } => self.answer(index(call), refused),
            Operation::Deliver { call, seq, charges, end } => self.deliver(index(call), seq, charges, end),
            Operation::Fail { call } => self.fail(index(call)),
            Operation::PollAnswer { call } => self.poll_answer(index(call)),
            Operation::PollChunk { call } => self.poll_chunk(index(call)),
            Operation::Drop { call } => self.drop_call(index(call)),
        }
    }

    fn insert(&mut self, streamed: bool) {
        let kind = if streamed { Kind::Stream } else { Kind::Call };
        let live = self.calls.iter().filter(|call| call.live()).count();
        match Routes::insert(&self.routes, kind) {
            Err(InsertError::Disconnected(reason)) => assert_eq!(Some(reason), self.disconnected),
            Err(InsertError::Full) => assert_eq!((live, &self.disconnected), (self.limits.routes, &None)),
            Ok(mut route) => {
                assert!(live < self.limits.routes && self.disconnected.is_none());
                let key = route.key();
                self.check_new(key);
                let body = if streamed { Ok(1) } else { Err(Ok(())) };
                let sent = self.calls.len() % UNSENT != UNSENT - 1;
                if sent {
                    route.mark_sent();
                }
                self.calls.push(Call {
                    route: Some(route),
                    key,
                    streamed,
                    sent,
                    answer: None,
                    answer_taken: false,
                    body,
                    frames: VecDeque::new(),
                    waiting: None,
                });
            }
        }
    }

    /// A key is never given twice, fits a JSON number, and takes a free slot that was used before where there is one.
    fn check_new(&self, key: Key) {
        let number = key.number();
        let slot = |key: Key| key.number() & 0xff_ffff;
        let uses = |of: u64| self.calls.iter().filter(|call| slot(call.key) == of).count() as u64;
        assert!(number < 1 << 53 && self.calls.iter().all(|call| call.key != key), "{number} was given before");
        assert!(uses(slot(key)) < self.limits.slot_uses, "slot of {number} is used too often");
        assert!(self.calls.iter().all(|call| !call.live() || slot(call.key) != slot(key)), "slot of {number} is taken");
        let free = |call: &Call| {
            let lives = self.calls.iter().any(|other| other.live() && slot(other.key) == slot(call.key));
            !lives && uses(slot(call.key)) < self.limits.slot_uses
        };
        assert!(uses(slot(key)) > 0 || !self.calls.iter().any(free), "{number} takes a new slot, others are free");
    }

    fn answer(&mut self, index: usize, refused: bool) {
        if !self.reader_is_free() {
            return;
        }
        let result = if refused { Err(RpcError::new(-32603, "refused")) } else { Ok(json!(index)) };
        let call = &mut self.calls[index];
        self.routes.answer(call.key, result.clone());
        if call.live() && call.answer.is_none() && !call.answer_taken {
            if refused {
                call.abandon(StreamError::Remote { message: "refused".into(), kind: None });
            }
            call.answer = Some(result.map_err(AnswerError::Rpc));
        }
    }

    fn deliver(&mut self, index: usize, seq: Seq, charges: u8, end: End) {
        if !self.reader_is_free() {
            return;
        }
        let due = *self.calls[index].body.as_ref().unwrap_or(&1);
        let seq = match seq {
            Seq::Right => due,
            Seq::Repeated => due - 1,
            Seq::Ahead => due + 1,
        };
        // One byte is charged as a small frame; more are charged as they are.
        let length = match usize::from(charges % 10) {
            charges @ 0..=1 => charges,
            charges => charges * FRAME_CHARGE_BYTES,
        };
        let content = u8::try_from((index * 16 + seq as usize) % 256).expect("a remainder of 256");
        let delta = BodyDelta {
            request_id: String::new(),
            seq,
            data: vec![content; length].into(),
            done: matches!(end, End::Done),
            error: matches!(end, End::Error).then(|| "reset".to_owned()),
            error_kind: None,
        };
        self.try_deliver(index, delta);
    }

    /// Hands a frame to both. Where it has to wait it becomes `paused`.
    fn try_deliver(&mut self, index: usize, mut delta: BodyDelta) {
        let original = delta.clone();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let poll = self.routes.poll_deliver(&mut Context::from_waker(&waker), self.calls[index].key, &mut delta);
        assert_eq!(poll, self.expect_delivery(index, &original));
        if poll.is_pending() {
            assert_eq!(delta, original, "a frame that has to wait is untouched");
            self.paused = Some((index, delta, wakes));
        }
    }

    /// What must become of a frame; where it is taken, it is taken.
    fn expect_delivery(&mut self, index: usize, delta: &BodyDelta) -> Poll<()> {
        let call = &self.calls[index];
        let Ok(expected) = call.body else { return Poll::Ready(()) };
        if !call.live() {
            return Poll::Ready(());
        }
        if delta.seq != expected {
            self.calls[index].end(Err(StreamError::Sequence { received: delta.seq, expected }));
            return Poll::Ready(());
        }
        let end = match &delta.error {
            Some(message) => Some(Err(StreamError::Remote { message: message.clone(), kind: None })),
            None => delta.done.then_some(Ok(())),
        };
        if !delta.data.is_empty() {
            match self.room(index, delta) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.calls[index].frames.push_back(delta.data.clone()),
                Poll::Ready(Err(overflow)) => {
                    let error = end.and_then(Result::err).unwrap_or(StreamError::Overflow(overflow));
                    self.calls[index].end(Err(error));
                    return Poll::Ready(());
                }
            }
        }
        let call = &mut self.calls[index];
        call.body = end.map_or(Ok(expected + 1), Err);
        Poll::Ready(())
    }

    /// Whether a frame's data fits; ends other streams where they have to pay.
    fn room(&mut self, index: usize, delta: &BodyDelta) -> Poll<Result<(), Overflow>> {
        let Limits { queue_frames, queue_bytes, .. } = self.limits;
        let needed = charge(&delta.data);
        let call = &self.calls[index];
        let too_many = call.frames.len() >= queue_frames && !delta.done && delta.error.is_none();
        let waiting = self.waiting_bytes();
        if !too_many && waiting + needed <= queue_bytes {
            return Poll::Ready(Ok(()));
        }
        let pauses = self.pause && call.answered() && needed <= queue_bytes;
        if too_many {
            return if pauses { Poll::Pending } else { Poll::Ready(Err(Overflow::Frames(queue_frames))) };
        }
        // Those that hold more than this one pay, the largest first. With a pause only those pay that nobody can read before
        // their answers, and for a frame that would wait for them all of those. But nobody pays in vain.
        let held = call.held();
        let pays = |call: &Call| (pauses || call.held() > held) && !(self.pause && call.answered());
        let mut larger: Vec<_> = self.calls.iter().enumerate().filter(|(_, call)| pays(call)).collect();
        larger.sort_by_key(|(_, call)| (call.held(), call.key.number() & 0xff_ffff));
        let mut payers = Vec::new();
        let mut missing = (waiting + needed).saturating_sub(queue_bytes);
        while missing > 0 {
            let Some((payer, call)) = larger.pop() else {
                return if pauses { Poll::Pending } else { Poll::Ready(Err(Overflow::Bytes(queue_bytes))) };
            };
            missing = missing.saturating_sub(call.held());
            payers.push(payer);
        }
        for payer in payers {
            self.calls[payer].abandon(StreamError::Overflow(Overflow::Bytes(queue_bytes)));
        }
        Poll::Ready(Ok(()))
    }

    fn waiting_bytes(&self) -> usize {
        self.calls.iter().map(Call::held).sum()
    }

    /// Tries a paused frame again; false while it still waits, and with it all that the reader has.
    fn reader_is_free(&mut self) -> bool {
        if let Some((index, delta, _)) = self.paused.take() {
            self.try_deliver(index, delta);
        }
        self.paused.is_none()
    }

    fn fail(&mut self, index: usize) {
        if self.reader_is_free() {
            let error = StreamError::Malformed(DeltaFault::TooLong);
            self.routes.fail(self.calls[index].key, error.clone());
            if self.calls[index].live() {
                self.calls[index].end(Err(error));
            }
        }
    }

    /// May come from elsewhere than the reader, which may be waiting.
    fn disconnect(&mut self, local: bool) {
        let reason = if local { Disconnect::Local } else { Disconnect::Closed };
        self.routes.disconnect(reason.clone());
        if self.disconnected.is_none() {
            for call in self.calls.iter_mut().filter(|call| call.live()) {
                call.end(Err(StreamError::Disconnected(reason.clone())));
                if !call.answer_taken && call.answer.is_none() {
                    call.answer = Some(Err(AnswerError::Disconnected(reason.clone())));
                }
            }
            self.disconnected = Some(reason);
        }
    }

    fn poll_answer(&mut self, index: usize) {
        let call = &mut self.calls[index];
        let Some(route) = call.route.as_mut().filter(|_| !call.answer_taken) else { return };
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        match route.poll_answer(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => {
                assert_eq!(Some(answer), call.answer.take());
                call.answer_taken = true;
            }
            Poll::Pending => {
                assert_eq!(call.answer, None, "the answer is there");
                call.waiting = Some((Wait::Answer, wakes));
            }
        }
    }

    fn poll_chunk(&mut self, index: usize) {
        let call = &mut self.calls[index];
        let Some(route) = &mut call.route else { return };
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let poll = route.poll_chunk(&mut Context::from_waker(&waker));
        let expected = match (call.frames.pop_front(), &call.body) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, Err(outcome)) => Poll::Ready(outcome.clone().err().map(Err)),
            (None, Ok(_)) => Poll::Pending,
        };
        assert_eq!(poll, expected);
        if poll.is_pending() {
            call.waiting = Some((Wait::Chunk, wakes));
        }
    }

    fn drop_call(&mut self, index: usize) {
        let call = &mut self.calls[index];
        let owed = call.live() && call.sent && call.goes_on() && self.disconnected.is_none();
        (call.route, call.waiting) = (None, None);
        call.frames.clear();
        let told = std::mem::take(&mut *self.told.0.lock().expect("nobody panics with it"));
        assert_eq!(told, if owed { vec![call.key] } else { Vec::new() });
    }

    /// Drops all calls: nothing is left then.
    pub(super) fn finish(mut self) {
        for call in 0..self.calls.len() {
            self.drop_call(call);
            self.compare();
        }
        assert_eq!(self.routes.census(), Census { routes: 0, queued_bytes: 0 });
    }

    /// What must hold between any two operations.
    pub(super) fn compare(&mut self) {
        let live = self.calls.iter().filter(|call| call.live()).count();
        let queued_bytes = self.waiting_bytes();
        assert_eq!(self.routes.census(), Census { routes: live, queued_bytes });
        assert!(queued_bytes <= self.limits.queue_bytes);
        for call in &mut self.calls {
            assert_eq!(self.routes.is_open(call.key), call.open());
            // Who could go on was woken, and who was woken asks again.
            if let Some((wait, wakes)) = &call.waiting {
                assert!(wakes.woken() || !call.ready(*wait), "a wake-up was lost");
                if wakes.woken() {
                    call.waiting = None;
                }
            }
        }
        if let Some((index, delta, wakes)) = &self.paused {
            let (index, delta, woken) = (*index, delta.clone(), wakes.woken());
            let fits = {
                let call = &self.calls[index];
                let frames = call.frames.len() < self.limits.queue_frames || delta.done || delta.error.is_some();
                !call.open() || frames && queued_bytes + charge(&delta.data) <= self.limits.queue_bytes
            };
            assert!(woken || !fits, "the reader's wake-up was lost");
        }
    }
}

/// What a frame's data costs of the byte budget (ROUTE-10).
fn charge(data: &Bytes) -> usize {
    data.len().max(FRAME_CHARGE_BYTES)
}
