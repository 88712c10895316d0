//! Memory for data on its way from the transport to consumers, used again and again.
//!
//! A page that is touched for the first time costs more than decoding what goes into it, and decoders want memory that is
//! initialised. So large chunks are handed out in buffers that come back, with what they held, when their consumer is done.

use std::fmt;
use std::mem;

use bytes::Bytes;

use crate::sync::{Arc, Mutex};

/// Bytes of the buffers that wait to be used again, on one connection, at most.
const IDLE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of the smallest buffer; larger ones have a power of two, and [`SPARE_BYTES`] too.
pub(super) const BUFFER_BYTES: usize = 64 * 1024 + SPARE_BYTES;

/// Bytes beyond a power of two, for decoders want room for a little more than the data is.
const SPARE_BYTES: usize = 64;

/// The buffers of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    /// Those that wait, and their bytes together.
    idle: Arc<Mutex<Idle>>,
}

/// What the lock guards.
#[derive(Default)]
struct Idle {
    /// All of them initialised.
    buffers: Vec<Vec<u8>>,
    /// The length of all together, at most [`IDLE_BYTES`].
    bytes: usize,
}

/// A buffer in use; it goes back when it is dropped, on any thread.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Initialised all over.
    memory: Vec<u8>,
    /// How many bytes at the start are data.
    length: usize,
    /// Where it goes back to.
    home: Buffers,
}

impl Buffers {
    /// A buffer of at least so many bytes, with whatever it held before.
    pub(super) fn take(&self, bytes: usize) -> Buffer {
        let bytes = (bytes.saturating_sub(SPARE_BYTES).next_power_of_two() + SPARE_BYTES).max(BUFFER_BYTES);
        let mut idle = self.idle.lock();
        // One that is much larger would be pinned for little.
        let fitting = idle.buffers.iter().rposition(|buffer| buffer.len() == bytes);
        let memory = fitting.map(|index| idle.buffers.swap_remove(index));
        idle.bytes -= memory.as_ref().map_or(0, Vec::len);
        drop(idle);
        Buffer { memory: memory.unwrap_or_else(|| vec![0; bytes]), length: 0, home: self.clone() }
    }
}

impl Buffer {
    /// The bytes behind the data.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.length..]
    }

    /// So many more bytes of [`Buffer::room`] are data.
    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.length += bytes;
    }

    /// No byte is data any more.
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// A copy of the data, in memory of its size.
    pub(super) fn copied(&self) -> Bytes {
        Bytes::copy_from_slice(&self.memory[..self.length])
    }

    /// The data itself; the buffer goes back when nobody holds any of it.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Whether the data is so much of the buffer that handing it out pins little else.
    pub(super) fn is_half_full(&self) -> bool {
        self.length >= self.memory.len() / 2
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = mem::take(&mut self.memory);
        let mut idle = self.home.idle.lock();
        if idle.bytes + memory.len() <= IDLE_BYTES {
            idle.bytes += memory.len();
            idle.buffers.push(memory);
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("buffers", &self.buffers.len()).field("bytes", &self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_nobody_holds_its_data_and_the_idle_ones_are_bounded() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(5);
        buffer.room()[..5].copy_from_slice(b"hello");
        buffer.advance(5);
        let address = buffer.as_ref().as_ptr();
        let data = buffer.into_bytes();
        let part = data.slice(1..3);
        drop(data);
        assert_eq!(&part[..], b"el");
        assert_ne!(buffers.take(1).as_ref().as_ptr(), address, "somebody holds it");
        drop(part);
        let (first, second) = (buffers.take(1), buffers.take(BUFFER_BYTES));
        let addresses = [first.as_ref().as_ptr(), second.as_ref().as_ptr()];
        assert!(addresses.contains(&address) && first.length == 0);
        let many: Vec<_> = (0..100).map(|_| buffers.take(BUFFER_BYTES)).collect();
        drop((many, first, second));
        let most = IDLE_BYTES / BUFFER_BYTES * BUFFER_BYTES;
        assert_eq!(buffers.idle.lock().bytes, most);
        assert!(buffers.take(BUFFER_BYTES + 1).memory.len() > BUFFER_BYTES, "idle ones are too small");
        assert_eq!(buffers.idle.lock().bytes, most);
    }
}
