//! Properties of the pure core, over generated input.
//!
//! - Framing: the lines depend on the bytes only, never on how they were chunked, and hold every byte that is no line end.
//! - JSON: what the strict reader accepts, the library reads as the same value; and it accepts whatever the library writes.
//! - Messages and deltas: what is written can be read, under any order of members and with unknown ones between them.
//! - The life of a stream: bytes that are delivered are a prefix of what was sent, complete before a clean end, and the
//!   first outcome is final.
//! - A client session: whatever an executor sends, each consumer sees what an oracle says, is woken when there is something to
//!   see, and leaves nothing behind.
//!
//! Races are not looked for here; that is what `model/` does.

#[path = "../../src/sync.rs"]
mod sync;

#[path = "../../src/client/routes.rs"]
mod routes;

use exec_http::protocol;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/route_table.rs"]
mod route_table;

mod routes_operations;
mod server_session;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/client_session.rs"]
mod client_session_law;

mod client_session;

use bytes::Bytes;
use exec_http::protocol::delta::BodyDelta;
use exec_http::protocol::framing::LineFramer;
use exec_http::protocol::json;
use exec_http::protocol::message::Message;
use exec_http::protocol::stream::{StreamAction, StreamEvent, StreamState};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Lines cut out of chunks.
fn lines<'chunk>(chunks: impl IntoIterator<Item = &'chunk [u8]>) -> Vec<Bytes> {
    let mut framer = LineFramer::new(1_000);
    let mut lines = Vec::new();
    for chunk in chunks {
        framer.handle_bytes(chunk);
        while let Some(line) = framer.poll_line().expect("all input is below the bound") {
            lines.push(line);
        }
    }
    lines
}

/// Bytes with many line ends.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => Just(b'\n'), 2 => Just(b'\r'), 1 => Just(b' '), 8 => any::<u8>()], 0..200)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has finite numbers only", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6).prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

/// An object as text, its members in the order of `order` and with unknown ones between them.
fn shuffled(object: &Map<String, Value>, order: &[usize]) -> String {
    let mut members: Vec<_> = object.iter().collect();
    for (index, other) in order.iter().enumerate() {
        let (index, other) = (index % members.len(), other % members.len());
        members.swap(index, other);
    }
    let member = |(index, (name, value)): (usize, &(&String, &Value))| {
        format!(" \"unknown-{index}\" : [{{}}], {}\t:\r\n{value} ", Value::from(name.as_str()))
    };
    format!("{{{}}}", members.iter().enumerate().map(member).collect::<Vec<_>>().join(","))
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_lines(stream in stream(), cuts in vec(0..200_usize, 0..20)) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        let whole = lines([stream.as_slice()]);
        prop_assert_eq!(lines(chunks), whole.clone());
        let ended = stream.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let by_hand = stream[..ended].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let by_hand: Vec<_> = by_hand.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).collect();
        prop_assert_eq!(whole, by_hand);
    }

    #[test]
    fn the_strict_reader_accepts_what_the_library_writes(value in value()) {
        let text = value.to_string();
        prop_assert_eq!(json::parse(text.as_bytes()), Ok(serde_json::from_str::<Value>(&text).expect("just written")));
    }

    #[test]
    fn what_the_strict_reader_accepts_the_library_reads_the_same(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(strict) = json::parse(&text) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&text).ok(), Some(strict));
        }
    }

    #[test]
    fn members_may_come_in_any_order(params in value(), id in any::<i64>(), method in any::<String>(), order in vec(0..8_usize, 0..8)) {
        let message = Message::Request { id: id.into(), method, params: Some(params) };
        let value = message.to_value();
        let text = shuffled(value.as_object().expect("messages are objects"), &order);
        let read = Message::decode(text.as_bytes());
        // Numbers are compared as the library reads them from text.
        prop_assert_eq!(read.map(|read| read.to_value()), Ok(serde_json::from_str(&value.to_string()).expect("just written")));
    }

    #[test]
    fn a_delta_survives_any_order_of_its_members(
        request_id in any::<String>(), seq in any::<u64>(), data in vec(any::<u8>(), 0..300), done in any::<bool>(),
        error in any::<Option<String>>(), order in vec(0..8_usize, 0..8),
    ) {
        let delta = BodyDelta { request_id, seq, data: data.into(), done, error, error_kind: None };
        let mut frame = Vec::new();
        delta.encode_into(&mut frame);
        let frame = json::parse(&frame).expect("frames are JSON");
        let params = shuffled(frame["params"].as_object().expect("params are an object"), &order);
        prop_assert_eq!(BodyDelta::from_value(&json::parse(params.as_bytes()).expect("still JSON")), Ok(delta));
    }

    #[test]
    fn a_stream_delivers_a_prefix_and_ends_once(events in vec((0..6_u64, any::<bool>()), 0..12)) {
        let (mut state, mut delivered, mut outcome) = (StreamState::new(), Vec::new(), None);
        for (seq, terminal) in events {
            let event = if terminal { StreamEvent::Terminal { seq, outcome: Ok(()) } } else { StreamEvent::Data { seq } };
            let action = state.apply(event);
            match &outcome {
                Some(first) => prop_assert_eq!((action, state.outcome()), (StreamAction::Ignore, Some(first))),
                None if action == StreamAction::Deliver => delivered.push(seq),
                None => prop_assert!(matches!(state.outcome(), Some(Err(_))), "a frame was lost without an error"),
            }
            outcome = state.outcome().cloned();
        }
        prop_assert_eq!(delivered.clone(), (1..=delivered.len() as u64).collect::<Vec<_>>());
    }
}
