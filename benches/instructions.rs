//! Instructions per delta, counted by valgrind where it is present: what neither the machine's load nor its clock changes.

use std::hint::black_box;
use std::process::Command;

use crate::ours::{Decoder, Encoder};
use crate::rows::codec::{declared, delta};

/// The argument with which this program does one thing so many times, for valgrind to count.
pub(crate) const REPEAT: &str = "--repeat";

/// What is counted, bytes of the delta, and instructions that it may take: one tenth more than it took when this was written, with
/// the vector code that valgrind knows (AVX2).
const BOUNDS: [(&str, usize, u64); 6] = [
    ("decode", 64, 960),
    ("decode", 4_096, 6_700),
    ("decode", 65_536, 94_000),
    ("encode", 64, 1_250),
    ("encode", 4_096, 6_500),
    ("encode", 65_536, 91_000),
];

/// Between these two the difference is that of so many deltas, without what the program does besides.
const COUNTS: [u64; 2] = [100, 1_100];

/// Counts and judges, and returns how many are within their bounds, beyond them, and not counted.
pub(crate) fn judge() -> (usize, usize, usize) {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (what, bytes, bound) in BOUNDS {
        let counted = COUNTS.map(|count| instructions(what, bytes, count));
        let [Some(few), Some(many)] = counted else {
            skipped += 1;
            continue;
        };
        let each = (many - few) / (COUNTS[1] - COUNTS[0]);
        println!("{what} a delta of {bytes} bytes: {each} instructions, at most {bound}");
        if each <= bound { passed += 1 } else { failed += 1 }
    }
    if skipped > 0 {
        println!("valgrind is not present: no instructions are counted");
    }
    (passed, failed, skipped)
}

/// All that a process takes which does one thing so many times; `None` without valgrind.
fn instructions(what: &str, bytes: usize, count: u64) -> Option<u64> {
    let program = std::env::current_exe().expect("this program has a file");
    let (bytes, count) = (bytes.to_string(), count.to_string());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([REPEAT, what, &bytes, &count])
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.unwrap_or_else(|| panic!("valgrind counts no instructions: {told}"));
    Some(number.trim().parse().expect("a number"))
}

/// Does one thing so many times, as the arguments behind [`REPEAT`] say.
pub(crate) fn repeat(arguments: impl Iterator<Item = String>) {
    let arguments: Vec<_> = arguments.collect();
    let [what, bytes, count] = &arguments[..] else { panic!("three arguments") };
    let (bytes, count): (usize, u64) = (bytes.parse().expect("bytes"), count.parse().expect("a count"));
    if what == "decode" {
        let (mut decoder, frame) = (Decoder::new(), declared(bytes).into_bytes());
        (0..count).for_each(|_| _ = black_box(decoder.decode(black_box(&frame))));
    } else {
        let delta = delta(bytes);
        let mut encoder = Encoder::new(&delta);
        (0..count).for_each(|_| _ = black_box(encoder.encode(black_box(&delta))));
    }
}
