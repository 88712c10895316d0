//! A run is what its frames are, one by one: two route tables, one of which gets runs, hold the same at any time.

use std::task::{Context, Poll, Waker};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use exec_http::protocol::delta::BodyDelta;
use exec_http::protocol::limits::FRAME_CHARGE_BYTES;
use exec_http::protocol::stream::StreamError;
use serde_json::Value;

use crate::routes::{Key, Kind, Limits, Notices, OnFull, Route, Routes, Run};
use crate::sync::Arc;

/// Streams of a table.
const STREAMS: usize = 3;

/// The bounds of both tables, small so that they are met often.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    /// Whether the reader waits for consumers.
    pub pause: bool,
    /// Whether executors keep to a credit.
    pub credit: bool,
    /// Frames that wait in one stream, from 1 to 8.
    pub queue_frames: u8,
    /// Bytes that wait in all streams, from 1 to 16 times what a small frame is charged.
    pub queue_charges: u8,
}

/// What happens to both tables.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    /// Frames of these lengths, each of one byte at least, come together for one stream.
    Frames {
        /// Whose.
        stream: u8,
        /// Whether a number is left out before the first.
        ahead: bool,
        /// How long they are.
        lengths: Vec<u16>,
    },
    /// A consumer takes one chunk of the table with runs, and as many bytes of the other.
    Read {
        /// Whose.
        stream: u8,
    },
    /// A consumer gives up.
    Drop {
        /// Which.
        stream: u8,
    },
}

/// Reads a setup and steps from any bytes and runs them.
pub fn check(data: &[u8]) {
    if let Ok((setup, steps)) = <(Setup, Vec<Step>)>::arbitrary_take_rest(Unstructured::new(data)) {
        run(setup, &steps);
    }
}

/// Runs steps; panics where the tables differ.
pub fn run(setup: Setup, steps: &[Step]) {
    let limits = Limits {
        routes: STREAMS,
        slot_uses: 1,
        // Where a reader pauses a run counts as one frame; then only bytes are compared.
        queue_frames: if setup.pause { usize::MAX } else { 1 + usize::from(setup.queue_frames % 8) },
        queue_bytes: (1 + usize::from(setup.queue_charges % 16)) * FRAME_CHARGE_BYTES,
    };
    let on_full = if setup.pause { OnFull::Pause } else { OnFull::Fail };
    let (runs, singles) = (Side::new(limits, on_full, setup.credit), Side::new(limits, on_full, setup.credit));
    assert_eq!(runs.routes.counts_frames(), !setup.pause && !setup.credit);
    let mut pair = Pair { runs, singles, due: [1; STREAMS] };
    for step in steps {
        pair.take(step);
    }
}

/// Nobody hears it.
struct Unheard;

impl Notices for Unheard {
    fn abandoned(&self, _: Key) {}
    fn credit_waits(&self) {}
}

/// One table and its streams.
struct Side {
    /// The table.
    routes: Arc<Routes>,
    /// The streams that were not given up.
    streams: Vec<Option<Route>>,
}

impl Side {
    fn new(limits: Limits, on_full: OnFull, credit: bool) -> Self {
        let routes = Routes::new(limits, on_full, Box::new(Unheard));
        if credit {
            routes.keep_credit();
        }
        let streams = (0..STREAMS).map(|_| Routes::insert(&routes, Kind::Stream).ok()).collect::<Vec<_>>();
        for route in streams.iter().flatten() {
            routes.answer(route.key(), Ok(Value::Null));
        }
        Self { routes, streams }
    }

    fn read(&mut self, stream: usize) -> Poll<Option<Result<Bytes, StreamError>>> {
        let Some(route) = &mut self.streams[stream] else { return Poll::Pending };
        route.poll_chunk(&mut Context::from_waker(Waker::noop()))
    }

    /// Delivers frames until one has to wait; how many were taken.
    fn one_by_one(&self, key: Key, first: u64, frames: &[Bytes]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let taken = (first..).zip(frames).take_while(|(seq, data)| {
            let data = (*data).clone();
            let request_id = String::new();
            let mut delta = BodyDelta { request_id, seq: *seq, data, done: false, error: None, error_kind: None };
            self.routes.poll_deliver(&mut cx, key, &mut delta).is_ready()
        });
        taken.count()
    }
}

/// Both tables.
struct Pair {
    /// Gets runs.
    runs: Side,
    /// Gets frames one by one.
    singles: Side,
    /// The number that comes next in each stream.
    due: [u64; STREAMS],
}

impl Pair {
    fn take(&mut self, step: &Step) {
        let index = |stream: u8| usize::from(stream) % STREAMS;
        match step {
            Step::Frames { lengths, .. } if lengths.is_empty() => {}
            Step::Frames { stream, ahead, lengths } => self.frames(index(*stream), u64::from(*ahead), lengths),
            Step::Read { stream } => self.read(index(*stream)),
            Step::Drop { stream } => {
                let stream = index(*stream);
                (self.runs.streams[stream], self.singles.streams[stream]) = (None, None);
            }
        }
        assert_eq!(self.runs.routes.census(), self.singles.routes.census());
    }

    fn frames(&mut self, stream: usize, ahead: u64, lengths: &[u16]) {
        let Some(key) = self.runs.streams[stream].as_ref().map(Route::key) else { return };
        let first = self.due[stream] + ahead;
        let lengths: Vec<usize> = lengths.iter().map(|length| 1 + usize::from(length % 1024)).collect();
        let frames: Vec<Bytes> = (first..)
            .zip(&lengths)
            .map(|(seq, length)| vec![u8::try_from(seq % 256).expect("a remainder"); *length].into())
            .collect();
        let charge = lengths.iter().map(|length| (*length).max(FRAME_CHARGE_BYTES)).sum();
        let run = Run { first, frames: frames.len(), data: frames.concat().into(), charge };
        let before = self.runs.routes.census();
        match self.runs.routes.poll_deliver_run(&mut Context::from_waker(Waker::noop()), key, &run) {
            Poll::Ready(true) => {
                assert_eq!(self.singles.one_by_one(key, first, &frames), frames.len(), "each of them fits");
                self.due[stream] += frames.len() as u64;
            }
            not_taken => {
                assert_eq!(self.runs.routes.census(), before, "nothing has happened");
                let taken = self.runs.one_by_one(key, first, &frames);
                assert_eq!(self.singles.one_by_one(key, first, &frames), taken);
                assert!(not_taken.is_ready() || taken < frames.len(), "only what has to wait waits");
                self.due[stream] += taken as u64;
            }
        }
    }

    fn read(&mut self, stream: usize) {
        match self.runs.read(stream) {
            Poll::Ready(Some(Ok(chunk))) => {
                let mut rest = &chunk[..];
                while !rest.is_empty() {
                    let Poll::Ready(Some(Ok(part))) = self.singles.read(stream) else { panic!("bytes are missing") };
                    rest = rest.strip_prefix(&part[..]).expect("the same bytes");
                }
            }
            end => assert_eq!(self.singles.read(stream), end),
        }
    }
}
