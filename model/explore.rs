//! Runs a model, and the small vocabulary that all models share.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use serde_json::Value;

use crate::protocol::delta::{BodyDelta, DeltaFault};
use crate::protocol::http::ParamsError;
use crate::protocol::stream::{Outcome, StreamError};
use crate::routes::{AnswerError, Census, Key, Kind, Limits, Notices, OnFull, Route, Routes};
use crate::sync;

/// What a frame of a model is charged: it is smaller.
pub(crate) const CHARGE: usize = exec_http::protocol::limits::FRAME_CHARGE_BYTES;

/// Preemptions that are enough for every legal result of every model to happen.
const TELLING_PREEMPTIONS: usize = 2;

/// A budget that no model uses up.
pub(crate) const PLENTY: usize = 64 * CHARGE;

/// One race. A test hands it a body, which loom runs once per interleaving.
pub(crate) struct Model {
    /// Its scenario.
    name: &'static str,
    /// All threads, the one that runs the body included.
    threads: usize,
    /// Preemptions in one execution; `None` explores every interleaving. `LOOM_MAX_PREEMPTIONS` overrules it.
    bound: Option<usize>,
}

impl Model {
    /// Two threads, every interleaving.
    pub(crate) const fn pair(name: &'static str) -> Self {
        Self { name, threads: 2, bound: None }
    }

    /// Three threads, with at most three preemptions by default.
    pub(crate) const fn trio(name: &'static str) -> Self {
        Self { name, threads: 3, bound: Some(3) }
    }

    /// Runs `body` once per interleaving, prints how many there were, and compares the results seen with the legal ones: no
    /// other may have happened, and each must have, unless the bound leaves too few preemptions for that.
    #[track_caller]
    pub(crate) fn results(self, legal: &[&'static str], body: impl Fn() -> &'static str + Send + Sync + 'static) {
        let Self { name, threads, bound } = self;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(bound);
        let extent =
            builder.preemption_bound.map_or("exhaustive".into(), |bound| format!("at most {bound} preemptions"));
        let seen = Arc::new(Mutex::new((0_usize, BTreeSet::new())));
        let record = Arc::clone(&seen);
        builder.check(move || {
            let result = body();
            let mut seen = record.lock().expect("no panic under this lock");
            seen.0 += 1;
            seen.1.insert(result);
        });
        let (executions, results) = &*seen.lock().expect("no panic under this lock");
        // `writeln!`, as the test harness hides what `eprintln!` prints.
        writeln!(std::io::stderr(), "model {name}: {threads} threads, {extent}, {executions} executions")
            .expect("stderr is open");
        assert_ne!(*executions, 0, "{name} explored nothing");
        let legal = legal.iter().copied().collect();
        if builder.preemption_bound.is_some_and(|bound| bound < TELLING_PREEMPTIONS) {
            assert!(results.is_subset(&legal), "{name}: results seen {results:?}, and the legal ones {legal:?}");
        } else {
            assert_eq!(results, &legal, "{name}: results seen, and the legal ones");
        }
    }
}

/// A table for two frames a stream.
pub(crate) fn routes() -> sync::Arc<Routes> {
    bounded(OnFull::Fail, 2, PLENTY)
}

/// A table with the given bounds of its queues.
pub(crate) fn bounded(on_full: OnFull, queue_frames: usize, queue_bytes: usize) -> sync::Arc<Routes> {
    recorded(on_full, queue_frames, queue_bytes).0
}

/// The same, and the calls that were given up.
pub(crate) fn recorded(
    on_full: OnFull,
    queue_frames: usize,
    queue_bytes: usize,
) -> (sync::Arc<Routes>, Arc<Mutex<Vec<Key>>>) {
    let recorder = Recorder::default();
    let given_up = Arc::clone(&recorder.given_up);
    let limits = Limits { routes: 4, slot_uses: 2, queue_frames, queue_bytes };
    (Routes::new(limits, on_full, Box::new(recorder)), given_up)
}

/// A table whose executor keeps to a credit: each stream is allowed one byte at a time. And how often it said that credit waits.
pub(crate) fn credited() -> (sync::Arc<Routes>, Arc<AtomicUsize>) {
    let recorder = Recorder::default();
    let notices = Arc::clone(&recorder.notices);
    let limits = Limits { routes: 4, slot_uses: 2, queue_frames: 1, queue_bytes: 8 };
    let routes = Routes::new(limits, OnFull::Fail, Box::new(recorder));
    routes.keep_credit();
    (routes, notices)
}

/// Notes what the executor is to be told. Its lock is no part of the model: it is never held while another thread runs.
#[derive(Default)]
struct Recorder {
    /// The calls that were given up.
    given_up: Arc<Mutex<Vec<Key>>>,
    /// How often credit waited.
    notices: Arc<AtomicUsize>,
}

impl Notices for Recorder {
    fn abandoned(&self, key: Key) {
        self.given_up.lock().expect("no panic under this lock").push(key);
    }

    fn credit_waits(&self) {
        self.notices.fetch_add(1, Ordering::Relaxed);
    }
}

/// A route of a streamed call.
pub(crate) fn stream(routes: &sync::Arc<Routes>) -> Route {
    Routes::insert(routes, Kind::Stream).expect("connected, and there is room")
}

/// A route of a streamed call whose answer is there: only then a paused reader waits for its consumer.
pub(crate) fn answered(routes: &sync::Arc<Routes>) -> Route {
    let route = stream(routes);
    routes.answer(route.key(), Ok(Value::Null));
    route
}

/// Starts the other thread of a model.
pub(crate) fn beside<T: 'static>(
    routes: &sync::Arc<Routes>,
    act: impl FnOnce(&sync::Arc<Routes>) -> T + 'static,
) -> JoinHandle<T> {
    let routes = sync::Arc::clone(routes);
    thread::spawn(move || act(&routes))
}

/// Waits for a thread that [`beside`] started.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("loom aborts the model when a thread panics")
}

/// A frame of one byte, its `seq`.
pub(crate) fn data(seq: u64) -> BodyDelta {
    BodyDelta { request_id: String::new(), seq, data: byte(seq), done: false, error: None, error_kind: None }
}

/// A terminal frame without data and without error.
pub(crate) fn terminal(seq: u64) -> BodyDelta {
    BodyDelta { data: Bytes::new(), done: true, ..data(seq) }
}

/// A terminal frame with the last byte.
pub(crate) fn last(seq: u64) -> BodyDelta {
    BodyDelta { done: true, ..data(seq) }
}

/// A terminal frame with the last byte and an error, [`reset`].
pub(crate) fn failed(seq: u64) -> BodyDelta {
    BodyDelta { error: Some("reset".into()), ..data(seq) }
}

/// How a stream ends with [`failed`].
pub(crate) fn reset() -> StreamError {
    StreamError::Remote { message: "reset".into(), kind: None }
}

/// How a stream ends with a frame that cannot be read.
pub(crate) fn malformed() -> StreamError {
    StreamError::Malformed(DeltaFault::Member(ParamsError { member: "seq", expected: "a number" }))
}

/// What [`data`] carries.
pub(crate) fn byte(seq: u64) -> Bytes {
    Bytes::from(vec![u8::try_from(seq).expect("models are small")])
}

/// Delivers where no reader ever waits, by the key's number as a reader has it from the wire.
pub(crate) fn deliver(routes: &Routes, key: Key, mut delta: BodyDelta) {
    let key = Key::from_number(key.number());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(routes.poll_deliver(&mut cx, key, &mut delta), Poll::Ready(()));
}

/// Delivers, and waits for room.
pub(crate) fn deliver_patiently(routes: &Routes, key: Key, mut delta: BodyDelta) {
    block_on(poll_fn(|cx| routes.poll_deliver(cx, key, &mut delta)));
}

/// Waits for the answer.
pub(crate) fn answer(route: &mut Route) -> Result<Value, AnswerError> {
    block_on(poll_fn(|cx| route.poll_answer(cx)))
}

/// Waits for the next chunk.
pub(crate) fn chunk(route: &mut Route) -> Option<Result<Bytes, StreamError>> {
    block_on(poll_fn(|cx| route.poll_chunk(cx)))
}

/// Asks once for the next chunk and gives up waiting for it.
pub(crate) fn glance(route: &mut Route) -> Poll<Option<Result<Bytes, StreamError>>> {
    route.poll_chunk(&mut Context::from_waker(Waker::noop()))
}

/// Reads to the end, which must stay: the chunks are the frames from `first` on, in order. Returns how many came, and the end.
pub(crate) fn read_from(first: u64, route: &mut Route) -> (u64, Outcome) {
    let mut frames = 0;
    loop {
        match chunk(route) {
            Some(Ok(bytes)) => assert_eq!(bytes, byte(first + frames), "chunks come in order"),
            end => {
                assert_eq!(chunk(route), end, "the end stays");
                return (frames, end.map_or(Ok(()), |error| Err(error.expect_err("no data here"))));
            }
        }
        frames += 1;
    }
}

/// As [`read_from`], from the first frame.
pub(crate) fn read(route: &mut Route) -> (u64, Outcome) {
    read_from(1, route)
}

/// Nothing may be left of any route.
pub(crate) fn assert_empty(routes: &Routes) {
    assert_eq!(routes.census(), Census { routes: 0, queued_bytes: 0 });
}
