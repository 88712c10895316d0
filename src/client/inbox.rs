//! What comes from the executor: answers and deltas to the route table, requests to be refused.
//!
//! Data frames are found without reading JSON where they have one of the usual forms, and those of one stream that stand next to
//! each other are decoded next to each other: the route table gets them as one run, the consumer as one chunk. Everything else
//! takes the long way, and says why it is wrong.

use std::future::poll_fn;
use std::mem;

use serde_json::Value;
use tokio::task::yield_now;

use super::buffers::{BUFFER_BYTES, Buffer, Buffers};
use super::link::Replies;
use super::name;
use super::routes::{Key, Routes, Run};
use crate::protocol::base64::most_decoded_bytes;
use crate::protocol::delta::{BodyDelta, DELTA_METHOD, EncodedDelta, NextDelta};
use crate::protocol::error::{MALFORMED_FRAME_ID, RpcError};
use crate::protocol::id::Id;
use crate::protocol::limits::FRAME_CHARGE_BYTES;
use crate::protocol::message::Message;
use crate::protocol::stream::{Disconnect, StreamError};
use crate::transport::{Frame, Reader, TransportError};

/// Frames of one run, at most.
const RUN_FRAMES: usize = 4_096;

/// Frames of one run where each of them counts. Then consumers may run, before their queues are full.
const COUNTED_FRAMES: usize = 128;

/// Bytes of data after which consumers may run, before more is read.
const TURN_BYTES: usize = 64 * 1024;

/// Takes the frames of one connection.
pub(super) struct Inbox<'a> {
    /// Where answers and deltas go.
    routes: &'a Routes,
    /// Answers the executor's own requests.
    replies: &'a Replies,
    /// Where memory comes from.
    buffers: Buffers,
    /// The data of the frames in `run`.
    buffer: Buffer,
    /// Frames that were not delivered yet.
    run: Gathered,
    /// What comes next in the run, where it holds frames.
    next: NextDelta,
    /// The `requestId` of the run, or of one before.
    request_id: Option<(String, Key)>,
    /// Bytes of data that were delivered since consumers could run.
    delivered: usize,
}

/// Data frames of one stream with consecutive numbers.
struct Gathered {
    /// The stream; of no meaning without frames.
    key: Key,
    /// The `seq` of the first.
    first: u64,
    /// How long the data of each is.
    lengths: Vec<usize>,
}

impl<'a> Inbox<'a> {
    pub(super) fn new(routes: &'a Routes, replies: &'a Replies) -> Self {
        let buffers = Buffers::default();
        let buffer = buffers.take(BUFFER_BYTES);
        let run = Gathered { key: Key::from_number(0), first: 0, lengths: Vec::with_capacity(RUN_FRAMES) };
        Self { routes, replies, buffers, buffer, run, next: NextDelta::default(), request_id: None, delivered: 0 }
    }

    /// Takes all frames that a reader holds.
    ///
    /// # Errors
    ///
    /// Why the connection is of no use any more; the frames before that were taken.
    pub(super) async fn take_buffered(&mut self, reader: &mut Reader) -> Result<(), Disconnect> {
        let taken = loop {
            match reader.buffered() {
                Ok(Some(frame)) => {
                    if !self.gather(frame.bytes())
                        && let Err(reason) = self.take(frame).await
                    {
                        break Err(reason);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(broken(&error)),
            }
        };
        self.deliver_run().await;
        if mem::take(&mut self.delivered) >= TURN_BYTES {
            yield_now().await;
        }
        taken
    }

    /// Takes a frame that [`Inbox::gather`] did not.
    async fn take(&mut self, frame: Frame<'_>) -> Result<(), Disconnect> {
        let is_long = self.is_long();
        self.deliver_run().await;
        if is_long {
            yield_now().await;
        }
        if self.begin(frame.bytes()) {
            return Ok(());
        }
        self.handle(frame.text().map_err(|error| broken(&error))?).await?;
        // A read can bring many frames.
        tokio::task::consume_budget().await;
        Ok(())
    }

    /// Adds a frame to the run. False when it continues no run, or one that is to be delivered first.
    fn gather(&mut self, frame: &[u8]) -> bool {
        let Gathered { key, first, lengths } = &self.run;
        if lengths.is_empty() || self.is_long() {
            return false;
        }
        if let Some(text) = self.next.take(frame) {
            return self.add(text);
        }
        let Some(delta) = EncodedDelta::find(frame) else { return false };
        let continues = self.named(&delta) == Some(*key) && delta.seq == first + lengths.len() as u64;
        if continues {
            self.next.learn(frame, &delta);
        }
        continues && self.add(delta.text)
    }

    /// The stream of a frame, if it is that of the last one.
    fn named(&self, delta: &EncodedDelta<'_>) -> Option<Key> {
        self.request_id.as_ref().filter(|(request_id, _)| delta.is_of(request_id)).map(|(_, key)| *key)
    }

    /// The stream of any frame; it is the last one then.
    fn name(&mut self, delta: &EncodedDelta<'_>) -> Option<Key> {
        let key = name::from_request_id(delta.request_id())?;
        let (last, named) = self.request_id.get_or_insert_with(|| (String::new(), key));
        last.clear();
        last.push_str(delta.request_id());
        *named = key;
        Some(key)
    }

    /// Begins a run with a frame, where none waits. False when the frame has to take the long way.
    fn begin(&mut self, frame: &[u8]) -> bool {
        let Some(delta) = EncodedDelta::find(frame) else { return false };
        let Some(key) = self.named(&delta).or_else(|| self.name(&delta)) else { return false };
        (self.run.key, self.run.first) = (key, delta.seq);
        self.next.learn(frame, &delta);
        let most = delta.most_bytes();
        if self.buffer.room().len() < most {
            self.buffer = self.buffers.take(most);
        }
        self.add(delta.text)
    }

    /// Decodes a frame behind those of the run. False when it has no data, or too much, or is wrong.
    fn add(&mut self, text: &[u8]) -> bool {
        let room = self.buffer.room();
        if text.is_empty() || room.len() < most_decoded_bytes(text.len()) {
            return false;
        }
        let Some(length) = EncodedDelta::decode_text(text, room) else { return false };
        self.buffer.advance(length);
        self.run.lengths.push(length);
        true
    }

    /// Whether the run is so long that consumers should have it.
    fn is_long(&self) -> bool {
        let frames = self.run.lengths.len();
        frames == RUN_FRAMES || (frames == COUNTED_FRAMES && self.routes.counts_frames())
    }

    /// Hands the run to the route table.
    async fn deliver_run(&mut self) {
        let lengths = &mut self.run.lengths;
        if lengths.is_empty() {
            return;
        }
        let data = if self.buffer.is_half_full() {
            mem::replace(&mut self.buffer, self.buffers.take(BUFFER_BYTES)).into_bytes()
        } else {
            self.buffer.copied()
        };
        self.buffer.clear();
        self.delivered += data.len();
        let charge = lengths.iter().map(|length| (*length).max(FRAME_CHARGE_BYTES)).sum();
        let Gathered { key, first, .. } = self.run;
        let run = Run { first, frames: lengths.len(), data, charge };
        if !poll_fn(|cx| self.routes.poll_deliver_run(cx, key, &run)).await {
            let mut rest = run.data;
            for (seq, length) in (first..).zip(&*lengths) {
                let data = rest.split_to(*length);
                let request_id = name::request_id(key);
                let mut delta = BodyDelta { request_id, seq, data, done: false, error: None, error_kind: None };
                poll_fn(|cx| self.routes.poll_deliver(cx, key, &mut delta)).await;
            }
        }
        lengths.clear();
    }

    /// Takes a frame the long way.
    async fn handle(&self, frame: &[u8]) -> Result<(), Disconnect> {
        match Message::decode(frame).map_err(|error| Disconnect::Malformed(error.to_string()))? {
            Message::Response { id, result } => self.answer(&id, Ok(result)),
            Message::Error { id: None | Some(Id::Integer(MALFORMED_FRAME_ID)), error } => {
                return Err(Disconnect::Unreadable(error.to_string()));
            }
            Message::Error { id: Some(id), error } => self.answer(&id, Err(error)),
            Message::Notification { method, params } if method == DELTA_METHOD => {
                self.deliver(&params.unwrap_or_default()).await?;
            }
            Message::Notification { .. } => {}
            Message::Request { id, .. } => self.replies.refuse(id)?,
        }
        Ok(())
    }

    /// Answers of calls that are gone, and those that no call has asked for, are ignored.
    fn answer(&self, id: &Id, result: Result<Value, RpcError>) {
        if let Some(key) = name::from_id(id) {
            self.routes.answer(key, result);
        }
    }

    /// Judges a delta in the order of `STREAM-25`, `STREAM-24`, `STREAM-22`: whose it is, whether anybody wants it, its form.
    async fn deliver(&self, params: &Value) -> Result<(), Disconnect> {
        let Some(request_id) = BodyDelta::request_id(params) else {
            return Err(Disconnect::Malformed("body delta without a requestId".into()));
        };
        let key = name::from_request_id(request_id).filter(|key| self.routes.is_open(*key));
        let Some(key) = key else { return Ok(()) };
        match BodyDelta::from_value(params) {
            Ok(mut delta) => poll_fn(|cx| self.routes.poll_deliver(cx, key, &mut delta)).await,
            Err(fault) => self.routes.fail(key, StreamError::Malformed(fault)),
        }
        Ok(())
    }
}

/// Why the connection is of no use after its reader has failed.
pub(super) fn broken(error: &TransportError) -> Disconnect {
    Disconnect::Transport(error.to_string())
}
