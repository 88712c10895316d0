//! Leaks on purpose: `.ci/asan` compiles this with the flags of its tests, and expects a report.

use std::hint::black_box;
use std::mem::forget;

fn main() {
    for byte in 0..10 {
        forget(black_box(vec![0_u8; 1_000 + byte]));
    }
}
