//! What waits for a consumer, and runs: data frames that came together and are taken as one chunk.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Answer, Key, Limits, OnFull, Routes, Table, wake};
use crate::protocol::stream::StreamState;

/// Data that waits.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// At least one byte.
    pub(super) data: Bytes,
    /// How many of the frames that may wait it is.
    pub(super) frames: usize,
    /// What it is charged of the byte budget.
    pub(super) charge: usize,
}

/// Data frames of one stream with consecutive numbers, each with data.
#[derive(Debug)]
pub(crate) struct Run {
    /// The `seq` of the first.
    pub(crate) first: u64,
    /// How many there are.
    pub(crate) frames: usize,
    /// The data of all.
    pub(crate) data: Bytes,
    /// What they are charged together where there is no credit: what each of them is, summed up.
    pub(crate) charge: usize,
}

impl Routes {
    /// Whether a stream fails for want of places in its queue, so that consumers should run before many frames wait.
    pub(crate) fn counts_frames(&self) -> bool {
        let table = self.table.lock();
        table.on_full == OnFull::Fail && table.lender.is_none()
    }

    /// Takes a run as if its frames came one by one, except that it counts as one frame where a reader pauses. False, and nothing
    /// has happened, when they have to: where any of them would not simply be queued.
    ///
    /// Pending only with [`OnFull::Pause`]: nothing has happened, and the task is woken when it is worth another try.
    pub(crate) fn poll_deliver_run(&self, cx: &mut Context<'_>, key: Key, run: &Run) -> Poll<bool> {
        let mut table = self.table.lock();
        let (poll, consumer, outdated) = match table.deliver_run(key, run) {
            Poll::Ready(Some(consumer)) => (Poll::Ready(true), consumer, None),
            Poll::Ready(None) => (Poll::Ready(false), None, None),
            Poll::Pending => (Poll::Pending, None, table.reader.replace(cx.waker().clone())),
        };
        drop(table);
        wake(consumer);
        drop(outdated);
        poll
    }
}

impl Table {
    /// The consumer to wake; `None` when the frames have to come one by one.
    fn deliver_run(&mut self, key: Key, run: &Run) -> Poll<Option<Option<Waker>>> {
        let Run { first, frames, ref data, charge } = *run;
        let charge = if self.lender.is_some() { data.len() } else { charge };
        let bytes_full = self.queued_bytes + charge > self.limits.queue_bytes;
        let pauses = self.on_full == OnFull::Pause;
        // What is one chunk is one of those that a reader waits for; ROUTE-8 counts frames.
        let counted = if pauses { 1 } else { frames };
        let Limits { queue_frames, queue_bytes, .. } = self.limits;
        let due = StreamState::Open { expected: first };
        let Some(entry) = self.entry(key).filter(|entry| entry.state == due) else { return Poll::Ready(None) };
        let fits = match &mut entry.window {
            Some(window) => window.arrive(data.len()).is_ok(),
            None if entry.frames + counted > queue_frames => {
                // What could never fit does not wait, nor what nobody can read yet.
                let waits = pauses && charge <= queue_bytes && !matches!(entry.answer, Answer::Waiting);
                return if waits { Poll::Pending } else { Poll::Ready(None) };
            }
            None => !bytes_full,
        };
        if !fits {
            return Poll::Ready(None);
        }
        entry.state.advance(frames as u64);
        entry.queued_bytes += charge;
        entry.push(Chunk { data: data.clone(), frames: counted, charge });
        let consumer = entry.consumer.take();
        self.queued_bytes += charge;
        Poll::Ready(Some(consumer))
    }
}
