//! Credit in the client's route table: under any operations what may arrive fits, and nobody who reads is left without.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use serde_json::Value;

use crate::protocol::delta::BodyDelta;
use crate::protocol::stream::StreamError;
use crate::routes::{Key, Kind, Limits, Notices, OnFull, Route, Routes};

/// Streams at one time.
pub const ROUTES: usize = 4;

/// What one run of [`check`] holds at most.
const OPERATIONS: usize = 128;

/// What happens to a table whose executor keeps to its credit. Numbers that choose a stream wrap around.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    /// A streamed call starts.
    Open,
    /// The executor sends so many bytes, or as many as it may.
    Send {
        /// Whose.
        stream: u8,
        /// How many at most.
        #[arbitrary(with = some)]
        bytes: usize,
    },
    /// The executor sends a byte more than it may.
    Exceed {
        /// Whose.
        stream: u8,
    },
    /// The executor ends a body.
    End {
        /// Whose.
        stream: u8,
    },
    /// The consumer takes what one receive gives.
    Receive {
        /// Whose.
        stream: u8,
    },
    /// The writing loop tells the executor.
    Tell,
    /// The consumer goes away.
    Drop {
        /// Whose.
        stream: u8,
    },
}

/// A stream as both sides know it.
struct Stream {
    route: Route,
    key: Key,
    seq: u64,
    /// What the executor was allowed, less what it sent.
    due: u64,
    /// What was sent and not received, each byte the low one of its number.
    waiting: VecDeque<u8>,
    sent: usize,
    ended: Option<Result<(), StreamError>>,
}

#[derive(Clone, Default)]
struct Noticed(Arc<AtomicUsize>);

impl Notices for Noticed {
    fn abandoned(&self, _: Key) {}

    fn credit_waits(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Table {
    routes: Arc<Routes>,
    streams: Vec<Stream>,
    noticed: Noticed,
    bytes: usize,
}

impl Table {
    fn new(bytes: usize) -> Self {
        let limits = Limits { routes: ROUTES, slot_uses: 1 << 20, queue_frames: 1, queue_bytes: bytes };
        let noticed = Noticed::default();
        let routes = Routes::new(limits, OnFull::Fail, Box::new(noticed.clone()));
        routes.keep_credit();
        Self { routes, streams: Vec::new(), noticed, bytes }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open => self.open(),
            Operation::Tell => self.tell(),
            Operation::Send { stream, bytes } => {
                if let Some(index) = self.index(stream) {
                    let allowed = usize::try_from(self.streams[index].due).expect("windows are small");
                    self.send(index, bytes.min(allowed), false);
                }
            }
            Operation::Exceed { stream } => {
                let open = |stream: &Stream| stream.ended.is_none();
                if let Some(index) = self.index(stream).filter(|index| open(&self.streams[*index])) {
                    // The table counts what it has not told yet as well.
                    self.tell();
                    let allowed = self.streams[index].due;
                    let received = usize::try_from(allowed).expect("windows are small") + 1;
                    self.send(index, received, false);
                    self.streams[index].ended = Some(Err(StreamError::BeyondCredit { received, allowed }));
                }
            }
            Operation::End { stream } => {
                if let Some(index) = self.index(stream) {
                    self.send(index, 0, true);
                    self.streams[index].ended.get_or_insert(Ok(()));
                }
            }
            Operation::Receive { stream } => {
                if let Some(index) = self.index(stream) {
                    self.receive(index);
                }
            }
            Operation::Drop { stream } => {
                if let Some(index) = self.index(stream) {
                    self.streams.swap_remove(index);
                }
            }
        }
    }

    fn index(&self, stream: u8) -> Option<usize> {
        (!self.streams.is_empty()).then(|| usize::from(stream) % self.streams.len())
    }

    fn open(&mut self) {
        let Ok(route) = Routes::insert(&self.routes, Kind::Stream) else {
            assert_eq!(self.streams.len(), ROUTES);
            return;
        };
        let (key, due) = (route.key(), route.credit().expect("its executor keeps to one"));
        self.routes.answer(key, Ok(Value::Null));
        self.streams.push(Stream { route, key, seq: 1, due, waiting: VecDeque::new(), sent: 0, ended: None });
    }

    /// A frame of so many bytes; what is allowed of an open stream is kept for its consumer.
    fn send(&mut self, index: usize, bytes: usize, done: bool) {
        let stream = &mut self.streams[index];
        let data: Vec<u8> = (stream.sent..stream.sent + bytes).map(|number| number as u8).collect();
        if stream.ended.is_none() && bytes as u64 <= stream.due {
            stream.waiting.extend(&data);
            stream.sent += bytes;
            stream.due -= bytes as u64;
        }
        let (request_id, data) = (String::new(), Bytes::from(data));
        let mut delta = BodyDelta { request_id, seq: stream.seq, data, done, error: None, error_kind: None };
        stream.seq += 1;
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(self.routes.poll_deliver(&mut cx, stream.key, &mut delta), Poll::Ready(()));
    }

    fn receive(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        let mut cx = Context::from_waker(Waker::noop());
        match stream.route.poll_chunk(&mut cx) {
            Poll::Pending => assert!(stream.ended.is_none() && stream.waiting.is_empty()),
            Poll::Ready(Some(Ok(chunk))) => {
                let expected: Vec<u8> = stream.waiting.drain(..chunk.len()).collect();
                assert_eq!(chunk, expected);
            }
            Poll::Ready(end) => {
                assert!(stream.waiting.is_empty(), "an end comes behind all bytes");
                assert_eq!(Some(end.map_or(Ok(()), |error| error.map(drop))), stream.ended);
            }
        }
    }

    fn tell(&mut self) {
        let credit = self.routes.take_credit();
        assert!(credit.is_empty() || self.noticed.0.swap(0, Ordering::Relaxed) == 1, "noticed once");
        self.noticed.0.store(0, Ordering::Relaxed);
        for (key, bytes) in credit {
            assert!(bytes > 0);
            let stream = self.streams.iter_mut().find(|stream| stream.key == key).expect("only live ones are told of");
            assert!(stream.ended.is_none(), "an ended stream needs no credit");
            stream.due += bytes;
        }
    }

    /// All that may come fits, whoever reads.
    fn check(&self) {
        let due = |stream: &Stream| if stream.ended.is_some() { 0 } else { stream.due };
        let all: u64 = self.streams.iter().map(|stream| due(stream) + stream.waiting.len() as u64).sum();
        assert!(all <= self.bytes.max(ROUTES) as u64, "{all} bytes may wait of {}", self.bytes);
        let waiting: usize = self.streams.iter().map(|stream| stream.waiting.len()).sum();
        assert_eq!((self.routes.census().queued_bytes, self.routes.census().routes), (waiting, self.streams.len()));
    }

    /// Whoever reads is never without: then all is returned.
    fn finish(mut self) {
        for index in 0..self.streams.len() {
            while !self.streams[index].waiting.is_empty() {
                self.receive(index);
            }
        }
        self.tell();
        for stream in &self.streams {
            assert!(stream.ended.is_some() || stream.due > 0, "a consumer that has read everything waits for nobody");
        }
        self.streams.clear();
        let fresh = Self::new(self.bytes);
        let first = |routes: &Arc<Routes>| Routes::insert(routes, Kind::Stream).expect("there is room").credit();
        assert_eq!(first(&self.routes), first(&fresh.routes), "what was lent is back");
    }
}

/// Seldom many: more than a window holds.
fn some(rest: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    Ok(match rest.arbitrary::<u8>()? {
        255 => 3_000_000,
        number @ 200.. => usize::from(number) * 1_000,
        number => number.into(),
    })
}

/// Reads the bound of what may wait and operations from any bytes, and runs them.
pub fn check(data: &[u8]) {
    let mut rest = Unstructured::new(data);
    let bytes = match rest.arbitrary::<u8>() {
        Ok(number @ ..128) => usize::from(number),
        Ok(number) => usize::from(number) * 100_000,
        Err(_) => return,
    };
    let mut operations = Vec::new();
    while !rest.is_empty() && operations.len() < OPERATIONS {
        operations.extend(Operation::arbitrary(&mut rest));
    }
    run(bytes, &operations);
}

/// Runs operations on a table in which so many bytes may wait; panics where it breaks the law.
pub fn run(bytes: usize, operations: &[Operation]) {
    let mut table = Table::new(bytes);
    for operation in operations {
        table.apply(*operation);
        table.check();
    }
    table.finish();
}
