//! Frames on their way out: many small ones copied behind each other, large ones where they are.

use std::io::IoSlice;
use std::ops::Range;

use super::framing::{Head, Opcode, Role, mask};

/// A block of this size, in bytes, is written before more is added to it.
const BLOCK_BYTES: usize = 256 * 1024;

/// Frames of fewer bytes are copied, which costs less than a slice of their own does in the kernel.
const COPIED_BYTES: usize = 4 * 1024;

/// Frames in one block that are not copied.
const TEXTS: usize = 63;

/// Slices of a block: each text, and what is in front of and behind it.
pub(super) const SLICES: usize = 2 * TEXTS + 1;

/// Bytes of memory that are kept when a large block was written.
const KEPT_BYTES: usize = 1024 * 1024;

/// Whole frames that go out in one write, if the peer takes them; used again and again.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Heads and copies.
    encoded: Vec<u8>,
    /// Where texts go between them: how much of `encoded` is in front, and where the text is in the batch.
    texts: Vec<(usize, Range<usize>)>,
    /// Bytes of all of it.
    len: usize,
}

impl Block {
    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.encoded.shrink_to(KEPT_BYTES);
        self.texts.clear();
        self.len = 0;
    }

    /// Adds a text message that is at `range` of the batch.
    pub(super) fn push(&mut self, role: Role, batch: &[u8], range: Range<usize>) {
        // Never the same keys twice, and none that the peer could know before.
        let key = (role == Role::Client).then(rand::random);
        let head = Head::new(Opcode::Text, range.len(), key);
        self.encoded.extend_from_slice(head.as_bytes());
        self.len += head.as_bytes().len() + range.len();
        if let Some(key) = key {
            let start = self.encoded.len();
            self.encoded.extend_from_slice(&batch[range]);
            mask(&mut self.encoded[start..], key);
        } else if range.len() < COPIED_BYTES {
            self.encoded.extend_from_slice(&batch[range]);
        } else {
            self.texts.push((self.encoded.len(), range));
        }
    }

    /// Whether it is to be written now.
    pub(super) fn is_full(&self) -> bool {
        self.len >= BLOCK_BYTES || self.texts.len() == TEXTS
    }

    /// Bytes of all frames.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All but the first `written` bytes, as slices in `room`.
    pub(super) fn rest<'a, 'r>(
        &'a self,
        batch: &'a [u8],
        written: usize,
        room: &'r mut [IoSlice<'a>; SLICES],
    ) -> &'r mut [IoSlice<'a>] {
        let (mut count, mut start) = (0, 0);
        for (end, text) in &self.texts {
            room[count] = IoSlice::new(&self.encoded[start..*end]);
            room[count + 1] = IoSlice::new(&batch[text.clone()]);
            (count, start) = (count + 2, *end);
        }
        if start < self.encoded.len() {
            room[count] = IoSlice::new(&self.encoded[start..]);
            count += 1;
        }
        let mut slices = &mut room[..count];
        IoSlice::advance_slices(&mut slices, written);
        slices
    }
}
