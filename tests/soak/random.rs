//! Randomness that a seed repeats, and the bytes of bodies.

/// SplitMix64: small, and good enough for choices and for bytes that no two bodies share.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True once in `of` times.
    pub(crate) fn once_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() as u64 - 1) as usize]
    }

    /// A length up to 2^`bits`: short ones as often as long ones, and often one beside a power of two.
    pub(crate) fn length(&mut self, bits: u64) -> usize {
        let power = 1_usize << self.between(0, bits);
        match self.between(0, 3) {
            0 => power - 1,
            1 => power,
            _ => self.between(0, power as u64) as usize,
        }
    }

    /// Another sequence that follows from this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes of a body that one number gives.
const WORD: usize = size_of::<u64>();

/// The bytes `from..from + length` of the body with this key.
pub(crate) fn content(key: u64, from: usize, length: usize) -> Vec<u8> {
    let (first, last) = (from / WORD, (from + length).div_ceil(WORD));
    let mut bytes = Vec::with_capacity((last - first) * WORD);
    for word in first..last {
        bytes.extend_from_slice(&mix(key.wrapping_add((word as u64).wrapping_mul(STEP))).to_le_bytes());
    }
    bytes.drain(..from - first * WORD);
    bytes.truncate(length);
    bytes
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
