//! Deltas on their short way, on generated frames.

use exec_http::protocol::base64;
use exec_http::protocol::batch::Batch;
use exec_http::protocol::delta::{BodyDelta, DeltaEncoder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::delta_law::{check, found, short_way};

/// The law of `fuzz/delta.rs`, on bytes that mostly make frames.
#[test]
fn what_is_found_without_reading_json_is_what_json_says() {
    let config = ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let before = found();
    runner
        .run(&vec(any::<u8>(), 0..200), |data| {
            check(&data);
            Ok(())
        })
        .expect("the law");
    assert!(found() - before > 500, "{} frames were found", found() - before);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What this executor writes is found by this client, and each encoder writes the same.
    #[test]
    fn data_frames_are_found(number in any::<u64>(), seq in 0..10_u64.pow(19), data in vec(any::<u8>(), 0..3_000)) {
        let request_id = format!("http-{number}");
        let mut batch = Batch::default();
        let length = DeltaEncoder::new(&request_id).write(seq, &data, &mut batch);
        let frame = batch.frames().next().expect("one was written");
        prop_assert_eq!(frame.len(), length);
        prop_assert_eq!(short_way(frame), Some((request_id.clone(), seq, data.clone())));
        let delta = BodyDelta { request_id, seq, data: data.into(), done: false, error: None, error_kind: None };
        let mut other = Vec::new();
        delta.encode_into(&mut other);
        prop_assert_eq!(frame, &other[..]);
    }

    /// Any id is written so that it is read as the same.
    #[test]
    fn ids_are_escaped(request_id in any::<String>(), seq in any::<u64>()) {
        let mut batch = Batch::default();
        DeltaEncoder::new(&request_id).write(seq, b"x", &mut batch);
        let value: serde_json::Value = serde_json::from_slice(batch.frames().next().expect("one was written")).expect("JSON");
        let delta = BodyDelta::from_value(&value["params"]).expect("a delta");
        prop_assert_eq!((delta.request_id, delta.seq), (request_id, seq));
    }

    /// The engine for this machine accepts and says what the scalar engine does, on texts with one byte changed too.
    #[test]
    fn base64_is_what_the_scalar_engine_says(data in vec(any::<u8>(), 0..400), flaw in any::<Option<(prop::sample::Index, u8)>>()) {
        use ::base64::Engine as _;
        let mut text = ::base64::engine::general_purpose::STANDARD.encode(&data).into_bytes();
        prop_assert_eq!(base64::encode(&data).into_bytes(), text.clone());
        if let Some((at, byte)) = flaw.filter(|_| !text.is_empty()) {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let scalar = ::base64::engine::general_purpose::STANDARD.decode(&text).ok();
        prop_assert_eq!(base64::decode(&text).map(Vec::from), scalar);
    }
}
