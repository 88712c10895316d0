//! What the rows call of this crate below its client and its executor.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use exec_http::protocol::batch::Batch;
use exec_http::protocol::delta::{BodyDelta, DeltaEncoder, EncodedDelta};
use exec_http::protocol::limits::{FRAME_CHARGE_BYTES, QUEUE_BYTES, QUEUE_FRAMES};
use serde_json::Value;

use crate::routes::{Key, Kind, Limits, Notices, OnFull, Route, Routes, Run};

/// Reads deltas.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Used again and again.
    data: Vec<u8>,
}

impl Decoder {
    /// For one connection.
    pub(crate) fn new() -> Self {
        Self { data: Vec::new() }
    }

    /// Decodes one, and returns how long its data is.
    pub(crate) fn decode(&mut self, frame: &[u8]) -> usize {
        let delta = EncodedDelta::find(frame).expect("a data frame");
        if self.data.len() < delta.most_bytes() {
            self.data.resize(delta.most_bytes(), 0);
        }
        delta.decode_into(&mut self.data).expect("a delta")
    }
}

/// Writes the deltas of one stream.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// What is the same in each.
    encoder: DeltaEncoder,
    /// Used again and again.
    batch: Batch,
}

impl Encoder {
    /// For the stream of this delta.
    pub(crate) fn new(delta: &BodyDelta) -> Self {
        Self { encoder: DeltaEncoder::new(&delta.request_id), batch: Batch::default() }
    }

    /// Writes one, and returns how long its frame is.
    pub(crate) fn encode(&mut self, delta: &BodyDelta) -> usize {
        self.batch.clear();
        self.encoder.write(delta.seq, &delta.data, &mut self.batch)
    }
}

/// A table of routes without a connection.
#[derive(Debug)]
pub(crate) struct Table(Arc<Routes>);

/// Hears nothing.
struct Nobody;

impl Notices for Nobody {
    fn abandoned(&self, _: Key) {}

    fn credit_waits(&self) {}
}

impl Table {
    /// For so many routes.
    pub(crate) fn new(routes: usize) -> Self {
        let limits = Limits { routes, slot_uses: 1 << 29, queue_frames: QUEUE_FRAMES, queue_bytes: QUEUE_BYTES };
        Self(Routes::new(limits, OnFull::Pause, Box::new(Nobody)))
    }

    /// Adds a stream, which its drop removes.
    pub(crate) fn insert(&self) -> Route {
        Routes::insert(&self.0, Kind::Stream).expect("there is room")
    }

    /// Adds a stream that has its answer.
    pub(crate) fn stream(&self) -> Stream {
        let mut route = self.insert();
        self.0.answer(route.key(), Ok(Value::Null));
        let answered = route.poll_answer(&mut Context::from_waker(Waker::noop()));
        assert!(answered.is_ready(), "the answer was there");
        Stream { routes: Arc::clone(&self.0), route }
    }
}

/// A stream's consumer.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The table.
    routes: Arc<Routes>,
    /// The consumer's end.
    route: Route,
}

/// A stream's reader.
#[derive(Debug)]
pub(crate) struct Feeder {
    /// The table.
    routes: Arc<Routes>,
    /// The stream.
    key: Key,
    /// What is delivered, over and over.
    delta: BodyDelta,
}

impl Stream {
    pub(crate) fn feeder(&self) -> Feeder {
        let delta = BodyDelta {
            request_id: String::new(),
            seq: 0,
            data: Bytes::new(),
            done: false,
            error: None,
            error_kind: None,
        };
        Feeder { routes: Arc::clone(&self.routes), key: self.route.key(), delta }
    }

    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.route.poll_chunk(cx)).await.map(|chunk| chunk.expect("no failure"))
    }
}

impl Feeder {
    /// Delivers what came together: so many frames with equal parts of the data.
    pub(crate) async fn deliver(&mut self, data: Bytes, frames: usize) {
        let charge = frames * FRAME_CHARGE_BYTES.max(data.len() / frames);
        let run = Run { first: self.delta.seq + 1, frames, data, charge };
        assert!(poll_fn(|cx| self.routes.poll_deliver_run(cx, self.key, &run)).await, "the stream is open");
        self.delta.seq += frames as u64;
    }

    async fn one(&mut self, data: Bytes) {
        self.delta.seq += 1;
        self.delta.data = data;
        poll_fn(|cx| self.routes.poll_deliver(cx, self.key, &mut self.delta)).await;
    }

    pub(crate) async fn end(mut self) {
        self.delta.done = true;
        self.one(Bytes::new()).await;
    }
}
