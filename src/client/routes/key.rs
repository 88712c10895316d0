//! What a route is called.

/// Bits of a key's number that name the slot; those above count the slot's uses.
const SLOT_BITS: u32 = 24;

/// Names one route for the life of the connection; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// The key of a slot that was used so often before.
    pub(super) fn new(index: usize, uses: u64) -> Self {
        Self(uses << SLOT_BITS | index as u64)
    }

    /// The number to write on the wire, below 2^53.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// The key of a number that was read from the wire; it may be stale, or never have been given.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The slot, and how often it was used before.
    pub(super) fn parts(self) -> (usize, u64) {
        ((self.0 & ((1 << SLOT_BITS) - 1)) as usize, self.0 >> SLOT_BITS)
    }
}
