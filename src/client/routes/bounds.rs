//! The bounds of a route table, and who pays when one is met.

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk::Chunk;
use super::credit::BeyondCredit;
use super::{Answer, Entry, Key, Table};
use crate::protocol::delta::BodyDelta;
use crate::protocol::limits::FRAME_CHARGE_BYTES;
use crate::protocol::stream::{Overflow, StreamError};

/// The bounds of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Routes that may exist at one time; at most 2^24.
    pub(crate) routes: usize,
    /// How often one slot is used. At most 2^29, which keeps a key's number below 2^53 and so exact in every JSON reader.
    pub(crate) slot_uses: u64,
    /// Data frames that may wait in one route. The data of a terminal frame has a place of its own.
    pub(crate) queue_frames: usize,
    /// Bytes that may wait in all routes together, a frame counted with [`FRAME_CHARGE_BYTES`] at least.
    pub(crate) queue_bytes: usize,
}

/// What happens when a consumer is too slow for [`Limits::queue_frames`] or [`Limits::queue_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFull {
    /// A stream ends with an overflow: the one whose frames are too many, or the one that holds most bytes.
    Fail,
    /// The reader waits for room, and with it everything else on the connection.
    Pause,
}

/// Whether a frame may wait.
pub(super) enum Room {
    /// It may.
    Free,
    /// It may once a consumer has caught up.
    Later,
    /// It may not, and the stream ends with this error.
    None(StreamError),
}

impl Table {
    /// Judges both bounds, and makes room where another stream has to pay for it.
    pub(super) fn room_for(&mut self, key: Key, delta: &BodyDelta, evicted: &mut Vec<VecDeque<Chunk>>) -> Room {
        let Limits { queue_frames, queue_bytes, .. } = self.limits;
        let received = delta.data.len();
        if let Some(window) = self.entry(key).and_then(|entry| entry.window.as_mut()) {
            // What may come fits, however slow the consumer is.
            return match window.arrive(received) {
                Ok(()) => Room::Free,
                Err(BeyondCredit { allowed }) => Room::None(StreamError::BeyondCredit { received, allowed }),
            };
        }
        let charge = self.charge(&delta.data);
        let waiting = self.entry(key).map_or(0, |entry| entry.frames);
        let frames_full = waiting >= queue_frames && !delta.is_terminal();
        let bytes_full = self.queued_bytes + charge > queue_bytes;
        if !frames_full && !bytes_full {
            return Room::Free;
        }
        // Before the answer nobody takes frames, and a paused reader would never come to the answer: neither may this stream's
        // frames wait for room then, nor any stream's for bytes that others were sent before their answers.
        let unread = |entry: &Entry| matches!(entry.answer, Answer::Waiting);
        let (held, is_unread) = self.entry(key).map_or((0, false), |entry| (entry.queued_bytes, unread(entry)));
        let pauses = self.on_full == OnFull::Pause;
        let waits = pauses && !is_unread && charge <= queue_bytes;
        let full = |bound| if waits { Room::Later } else { Room::None(StreamError::Overflow(bound)) };
        if frames_full {
            return full(Overflow::Frames(queue_frames));
        }
        // With a pause nobody pays for being slow.
        let pays = |entry: &Entry| (!pauses || unread(entry)) && (waits || entry.queued_bytes > held);
        if self.evict_for(charge, pays, evicted) { Room::Free } else { full(Overflow::Bytes(queue_bytes)) }
    }

    /// The next chunk of a stream, and its bytes back to the budget.
    pub(super) fn take_chunk(&mut self, key: Key) -> Option<Bytes> {
        let entry = self.entry(key)?;
        let Chunk { data, frames, charge } = entry.chunks.pop_front()?;
        entry.frames -= frames;
        entry.queued_bytes -= charge;
        self.queued_bytes -= charge;
        Some(data)
    }

    /// What a waiting frame costs of the byte budget. With credit small frames are joined, and cost no more than their bytes.
    pub(super) fn charge(&self, frame: &Bytes) -> usize {
        if self.lender.is_some() { frame.len() } else { frame.len().max(FRAME_CHARGE_BYTES) }
    }

    /// Ends the streams that have to pay, the largest first, until so many more bytes fit. False when all of them would not be
    /// enough: then none pays in vain.
    fn evict_for(&mut self, charge: usize, pays: impl Fn(&Entry) -> bool, evicted: &mut Vec<VecDeque<Chunk>>) -> bool {
        let payers = self.slots.iter().filter_map(|slot| slot.entry.as_ref()).filter(|entry| pays(entry));
        let evictable: usize = payers.map(|entry| entry.queued_bytes).sum();
        if self.queued_bytes - evictable + charge > self.limits.queue_bytes {
            return false;
        }
        while self.queued_bytes + charge > self.limits.queue_bytes {
            let payers = self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut()).filter(|entry| pays(entry));
            let largest = payers.max_by_key(|entry| entry.queued_bytes).expect("payers hold what is missing");
            let overflow = StreamError::Overflow(Overflow::Bytes(self.limits.queue_bytes));
            let (chunks, returned) = largest.abandon(overflow);
            self.queued_bytes -= returned;
            // No wake: its consumer does not wait for frames, it was woken for the first of these.
            evicted.push(chunks);
        }
        true
    }
}
