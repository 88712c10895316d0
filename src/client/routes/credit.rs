//! Credit: how many bytes each stream's executor may send, so that all that it may send together fits [`Limits::queue_bytes`].
//!
//! Half of the bytes are shared out evenly, so that no stream is ever without; the other half is lent: to a consumer that
//! keeps up more, and when little is left to lend, less. A stream's window is its share and its loan.
//!
//! ```text
//! window = bytes allowed and not arrived (due) + bytes that wait + bytes not allowed yet
//! ```

use std::mem;

use bytes::BytesMut;

use super::chunk::Chunk;
use super::{Entry, Key, Limits, Table};
use crate::protocol::limits::{CREDIT_FIRST_BYTES, CREDIT_WINDOW_BYTES, QUEUE_JOINED_BYTES};

/// A loan is at most one part in so many of what is left, so that later streams find something too.
const LOAN_PARTS: u64 = 8;

/// What is left to lend of one table.
#[derive(Debug)]
pub(super) struct Lender {
    /// What every stream has.
    share: u64,
    /// What can be lent when nothing is.
    pool: u64,
    /// What can be lent now.
    free: u64,
    /// Slots that the executor is to be told of: [`Window::untold`].
    untold: Vec<usize>,
    /// [`super::Notices::credit_waits`] was called, and [`super::Routes::take_credit`] was not.
    is_noticed: bool,
}

/// The credit of one stream.
#[derive(Debug)]
pub(super) struct Window {
    /// Bytes that may be due and waiting together: the share and what was lent.
    size: u64,
    /// Bytes that were allowed and have not arrived.
    due: u64,
    /// The part of `due` that the executor was not told of yet.
    pub(super) untold: u64,
}

/// A frame that is longer than what its executor was allowed.
#[derive(Debug)]
pub(super) struct BeyondCredit {
    /// Bytes that were allowed and had not arrived.
    pub(super) allowed: u64,
}

impl Lender {
    /// Lends what may wait. With more routes than bytes a share is one byte all the same, and that is the bound then.
    pub(super) fn new(limits: &Limits) -> Self {
        let (bytes, routes) = (limits.queue_bytes as u64, limits.routes.max(1) as u64);
        let share = (bytes / 2 / routes).max(1);
        let pool = bytes.saturating_sub(share.saturating_mul(routes));
        Self { share, pool, free: pool, untold: Vec::new(), is_noticed: false }
    }

    /// The window of a new stream.
    pub(super) fn open(&mut self) -> Window {
        let mut window = Window { size: self.share, due: 0, untold: 0 };
        self.lend(&mut window, CREDIT_FIRST_BYTES.saturating_sub(self.share));
        window.due = window.size;
        window
    }

    /// Allows more, once half of the window is used up: so few notifications are sent, and an executor whose frames were all
    /// consumed is never without credit. `waiting` bytes are left for a consumer. Gives the bytes that were allowed.
    pub(super) fn allow(&mut self, window: &mut Window, waiting: usize) -> u64 {
        let used = window.due + waiting as u64;
        if window.size - used < window.size.div_ceil(2) {
            return 0;
        }
        if self.free < self.pool / LOAN_PARTS {
            let back = (window.size - self.share).min(window.size / 2);
            self.take_back(window, back);
        } else if waiting == 0 {
            self.lend(window, window.size);
        }
        let more = window.size - used;
        window.due += more;
        window.untold += more;
        more
    }

    /// Takes back what an ended stream does not need for the bytes that wait.
    pub(super) fn settle(&mut self, window: &mut Window, waiting: usize) {
        (window.due, window.untold) = (0, 0);
        let needed = self.share.max(waiting as u64);
        self.take_back(window, window.size - needed);
    }

    /// Takes everything back.
    pub(super) fn close(&mut self, window: &Window) {
        self.free += window.size - self.share;
    }

    fn lend(&mut self, window: &mut Window, wanted: u64) {
        let most = CREDIT_WINDOW_BYTES.saturating_sub(window.size);
        let loan = wanted.min(most).min(self.free / LOAN_PARTS);
        self.free -= loan;
        window.size += loan;
    }

    fn take_back(&mut self, window: &mut Window, bytes: u64) {
        self.free += bytes;
        window.size -= bytes;
    }
}

impl Window {
    /// What the executor may send at first.
    pub(super) fn first(&self) -> u64 {
        self.size
    }

    /// Takes the arrival of a frame.
    ///
    /// # Errors
    ///
    /// Nothing of it was allowed, or less than it has.
    pub(super) fn arrive(&mut self, bytes: usize) -> Result<(), BeyondCredit> {
        self.due = self.due.checked_sub(bytes as u64).ok_or(BeyondCredit { allowed: self.due })?;
        Ok(())
    }
}

impl Table {
    /// Allows a stream more of which a frame was taken. Whether the executor is to be told, and nobody was asked to yet.
    pub(super) fn allow(&mut self, key: Key) -> bool {
        let (index, _) = key.parts();
        let slot = &mut self.slots[index];
        let (Some(lender), Some(entry)) = (&mut self.lender, &mut slot.entry) else { return false };
        let Some(window) = &mut entry.window else { return false };
        if entry.state.outcome().is_some() {
            lender.settle(window, entry.queued_bytes);
            return false;
        }
        if lender.allow(window, entry.queued_bytes) == 0 {
            return false;
        }
        if !mem::replace(&mut slot.is_untold, true) {
            lender.untold.push(index);
        }
        !mem::replace(&mut lender.is_noticed, true)
    }

    pub(super) fn take_credit(&mut self) -> Vec<(Key, u64)> {
        let Some(lender) = &mut self.lender else { return Vec::new() };
        lender.is_noticed = false;
        let mut credit = Vec::new();
        for index in mem::take(&mut lender.untold) {
            let slot = &mut self.slots[index];
            slot.is_untold = false;
            let window = slot.entry.as_mut().and_then(|entry| entry.window.as_mut());
            // What was allowed to a stream that was here before, nobody needs to hear of.
            if let Some(untold @ 1..) = window.map(|window| mem::take(&mut window.untold)) {
                credit.push((Key::new(index, slot.uses), untold));
            }
        }
        credit
    }
}

impl Entry {
    /// Adds a chunk. Small ones of a stream with credit are joined: their number has no bound, only their bytes have.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.frames += chunk.frames;
        match self.chunks.back_mut() {
            Some(last) if self.window.is_some() && last.data.len() + chunk.data.len() <= QUEUE_JOINED_BYTES => {
                let data = mem::take(&mut last.data);
                let mut joined = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                joined.extend_from_slice(&chunk.data);
                last.data = joined.freeze();
                last.frames += chunk.frames;
                last.charge += chunk.charge;
            }
            _ => self.chunks.push_back(chunk),
        }
    }
}
