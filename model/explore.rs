//! Runs a model, and the small vocabulary that all models share.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use loom::future::block_on;

use crate::protocol::delta::BodyDelta;
use crate::protocol::stream::StreamError;
use crate::routes::{Census, Key, Kind, Limits, OnFull, Route, Routes};
use crate::sync;

/// Bytes of a frame in a model: few, and charged as `FRAME_CHARGE_BYTES`.
pub(crate) const CHARGE: usize = exec_http::protocol::limits::FRAME_CHARGE_BYTES;

/// A model: `name` is its scenario, `threads` counts all of them, `results` are the legal ones.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) threads: usize,
    /// Preemptions in one execution; `None` explores every interleaving. `LOOM_MAX_PREEMPTIONS` overrules it.
    pub(crate) bound: Option<usize>,
    pub(crate) results: &'static [&'static str],
}

impl Model {
    /// Runs `body` once per interleaving, prints how many there were, and compares the results seen with the legal ones.
    #[track_caller]
    pub(crate) fn explore(self, body: impl Fn() -> &'static str + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(self.bound);
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
        let Self { name, threads, .. } = self;
        // `writeln!`, as the test harness hides what `eprintln!` prints.
        writeln!(std::io::stderr(), "model {name}: {threads} threads, {extent}, {executions} executions")
            .expect("stderr is open");
        assert_ne!(*executions, 0, "{name} explored nothing");
        assert_eq!(results, &self.results.iter().copied().collect(), "{name}: results seen, and the legal ones");
    }
}

/// A table for a few frames.
pub(crate) fn routes(on_full: OnFull, queue_frames: usize, queue_bytes: usize) -> sync::Arc<Routes> {
    Routes::new(Limits { routes: 4, slot_uses: 2, queue_frames, queue_bytes }, on_full)
}

/// A route of a streamed call.
pub(crate) fn stream(routes: &sync::Arc<Routes>) -> Route {
    Routes::insert(routes, Kind::Stream).expect("connected, and there is room")
}

/// A frame of one byte, its `seq`.
pub(crate) fn data(seq: u64) -> BodyDelta {
    BodyDelta { request_id: String::new(), seq, data: byte(seq), done: false, error: None, error_kind: None }
}

/// A terminal frame without data and without error.
pub(crate) fn terminal(seq: u64) -> BodyDelta {
    BodyDelta { data: Bytes::new(), done: true, ..data(seq) }
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

/// Waits for the next chunk.
pub(crate) fn chunk(route: &mut Route) -> Option<Result<Bytes, StreamError>> {
    block_on(poll_fn(|cx| route.poll_chunk(cx)))
}

/// Reads to the end: the chunks must be the frames from `first` on, in order; returns how many came, and the end, which
/// must be the same when asked for again.
pub(crate) fn read_from(first: u64, route: &mut Route) -> (u64, Result<(), StreamError>) {
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

/// Nothing may be left of any route.
pub(crate) fn assert_empty(routes: &Routes) {
    assert_eq!(routes.census(), Census { routes: 0, queued_bytes: 0 });
}
