//! One delta from its frame, and one delta to its frame.

use std::hint::black_box;

use bytes::Bytes;
use exec_http::protocol::delta::BodyDelta;

use super::size;
use crate::baseline::codec::{self, ByteChunk};
use crate::clock::Start;
use crate::harness::{Curve, Figure, Goal, Per, Round, Row, Sides};
use crate::options::Options;
use crate::origin;
use crate::ours::{Decoder, Encoder};

/// Bytes of one delta.
pub(crate) const SIZES: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];

/// Bytes of all deltas of a round, and deltas of a round at most.
const ROUND_BYTES: usize = 32 << 20;
const ROUND_DELTAS: usize = 50_000;

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let row = |what: &str, goal, bytes, point, setup: fn(usize) -> Sides| Row {
        name: format!("{what}, {}", size(bytes)),
        per: Per::One("delta"),
        figures: vec![(Figure::Cpu, Some(Goal::Faster(goal)))],
        rounds: options.rounds(15),
        point,
        setup: Box::new(move || setup(bytes)),
    };
    let decoding = SIZES.iter().map(|&bytes| {
        let setup = |bytes| decode(bytes, declared(bytes));
        row("decode a delta", decode_goal(bytes), bytes, Some((Curve::Decode, bytes)), setup)
    });
    let of_sorted = SIZES.iter().map(|&bytes| {
        let setup = |bytes| decode(bytes, sorted(bytes));
        row("decode a delta, members sorted", decode_goal(bytes), bytes, None, setup)
    });
    decoding
        .chain(of_sorted)
        .chain(SIZES.iter().map(|&bytes| row("encode and frame a delta", 8.0, bytes, None, encode)))
        .collect()
}

/// More is wanted of the feature that is there for it, where the machine can.
fn decode_goal(bytes: usize) -> f64 {
    #[cfg(all(feature = "base64-turbo", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx512vbmi") {
        return if bytes < 1024 { 15.0 } else { 20.0 };
    }
    _ = bytes;
    8.0
}

/// A delta as it is somewhere in a stream.
pub(crate) fn delta(bytes: usize) -> BodyDelta {
    BodyDelta {
        request_id: "http-12".into(),
        seq: 1_234,
        data: Bytes::from(origin::block()).slice(..bytes),
        done: false,
        error: None,
        error_kind: None,
    }
}

/// As this crate's executor writes it.
pub(crate) fn declared(bytes: usize) -> String {
    let mut frame = Vec::new();
    delta(bytes).encode_into(&mut frame);
    String::from_utf8(frame).expect("JSON")
}

/// As the public executor writes it.
fn sorted(bytes: usize) -> String {
    baseline_encode(&delta(bytes).data)
}

fn decode(bytes: usize, frame: String) -> Sides {
    assert!(baseline_decode(&frame)[..] == delta(bytes).data[..], "the baseline decodes what either encodes");
    let (mut decoder, same) = (Decoder::new(), frame.clone().into_bytes());
    assert_eq!(decoder.decode(&same), bytes);
    Sides {
        baseline: repeat(bytes, move || baseline_decode(black_box(&frame)).len()),
        ours: repeat(bytes, move || decoder.decode(black_box(&same))),
    }
}

fn baseline_decode(frame: &str) -> Vec<u8> {
    let Ok(codec::Message::Notification { params: Some(params), .. }) = codec::decode(frame) else {
        panic!("a notification");
    };
    codec::delta(params).expect("a delta").delta_base64.0
}

fn baseline_encode(data: &[u8]) -> String {
    let delta_base64 = ByteChunk(data.to_vec());
    let delta = codec::BodyDelta { request_id: "http-12".into(), seq: 1_234, delta_base64, done: false, error: None };
    codec::encode(&codec::notification(&delta).expect("JSON")).expect("JSON")
}

fn encode(bytes: usize) -> Sides {
    let delta = delta(bytes);
    let data = delta.data.clone();
    let mut encoder = Encoder::new(&delta);
    Sides {
        baseline: repeat(bytes, move || baseline_encode(black_box(&data)).len()),
        ours: repeat(bytes, move || encoder.encode(black_box(&delta))),
    }
}

/// A round of many, on one thread.
fn repeat(bytes: usize, mut once: impl FnMut() -> usize + 'static) -> Round {
    let count = (ROUND_BYTES / bytes).min(ROUND_DELTAS);
    Box::new(move || {
        let start = Start::thread();
        for _ in 0..count {
            assert!(black_box(once()) >= bytes);
        }
        vec![start.cost().cpu / count as f64]
    })
}
