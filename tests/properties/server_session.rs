//! The executor's session does exactly what a list of calls and a list of frames predict, and meets its bounds exactly.

#[allow(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../../fuzz/server_session.rs"]
mod law;

use exec_http::protocol::limits::{
    ACTIVE_STREAMS, DELTA_BYTES, OUTBOUND_BYTES, QUEUED_REQUEST_BYTES, QUEUED_REQUESTS, REPLY_BYTES, WAITING_HEADS,
};
use exec_http::protocol::session::CloseReason;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use self::law::Which::{All, One};
use self::law::{Answer, Operation, Which, run};

/// Bytes of a request that is longer than it has to be, and far from any bound.
const SMALL: usize = 1_000;

/// Milliseconds that a failure is shrunk for.
const SHRINK_MILLIS: u32 = 5_000;

/// The whole response of a buffered call.
const ALL_BUFFERED: Operation = Operation::Buffered(All);

/// The handshake, without resuming.
fn handshake() -> Vec<Operation> {
    vec![Operation::Initialize(0), Operation::PollAttach, Operation::Attach(Answer::Granted), Operation::Initialized]
}

/// One step of a handshake, in any order, or a request that comes at the wrong time.
fn handshake_step() -> impl Strategy<Value = Operation> {
    let answer = prop_oneof![Just(Answer::Granted), Just(Answer::Unknown), Just(Answer::Attached)];
    prop_oneof![
        4 => any::<u8>().prop_map(Operation::Initialize),
        2 => Just(Operation::PollAttach),
        3 => answer.prop_map(Operation::Attach),
        2 => Just(Operation::Initialized),
        2 => request(),
        1 => any::<u8>().prop_map(Operation::Frame),
        1 => Just(Operation::Start(1)),
    ]
}

fn request() -> impl Strategy<Value = Operation> {
    let credit = prop_oneof![3 => Just(None), 2 => (0..6_u64).prop_map(Some)];
    (any::<u8>(), any::<bool>(), credit).prop_map(|(request_id, stream, credit)| Operation::Request {
        request_id,
        stream,
        credit,
        bytes: 0,
    })
}

/// Mostly one of the latest exchanges.
fn which() -> impl Strategy<Value = Which> {
    prop_oneof![6 => (0..4_u8).prop_map(One), 1 => any::<u8>().prop_map(One), 1 => Just(All)]
}

/// What happens to exchanges.
fn event() -> impl Strategy<Value = Operation> {
    let bytes = prop_oneof![60 => 0..4_usize, 1 => Just(DELTA_BYTES), 1 => Just(DELTA_BYTES + 1)];
    prop_oneof![
        3 => which().prop_map(Operation::Head),
        3 => (which(), bytes).prop_map(|(which, bytes)| Operation::Chunk(which, bytes)),
        1 => which().prop_map(Operation::End),
        1 => which().prop_map(Operation::Buffered),
        1 => (which(), any::<bool>()).prop_map(|(which, kind)| Operation::Fail(which, kind)),
    ]
}

/// What happens after a handshake.
fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        40 => request(),
        20 => (0..3_u8).prop_map(Operation::Start),
        60 => event(),
        20 => (0..6_u8).prop_map(Operation::Transmit),
        6 => any::<u8>().prop_map(Operation::Frame),
        2 => (0..40_usize).prop_map(Operation::Unknown),
        8 => any::<u8>().prop_map(Operation::Cancel),
        10 => (any::<u8>(), 0..4_usize).prop_map(|(request_id, bytes)| Operation::Credit(request_id, bytes)),
        2 => handshake_step(),
        1 => Just(Operation::Stop),
    ]
}

/// Operations that meet LIMIT-1 and LIMIT-2: many requests, and all streams that may be active.
fn crowd() -> impl Strategy<Value = Vec<Operation>> {
    let burst = (1..80_u16, any::<bool>())
        .prop_map(|(count, stream)| vec![Operation::Burst(count, stream), Operation::Start(80)]);
    let streams = (0..3_u16).prop_map(|more| fill_streams(ACTIVE_STREAMS as u16 + more));
    prop_oneof![8 => burst, 1 => streams, 12 => event().prop_map(|event| vec![event]), 3 => operation().prop_map(|one| vec![one])]
}

/// So many streams are asked for, and all are answered that may be active.
fn fill_streams(count: u16) -> Vec<Operation> {
    let mut operations = vec![Operation::Burst(count, true)];
    for _ in 0..=ACTIVE_STREAMS / WAITING_HEADS {
        operations.extend([Operation::Start(u8::MAX), Operation::Head(All)]);
    }
    operations
}

/// Calls that take every place among the heads.
fn fill_heads(stream: bool) -> Vec<Operation> {
    vec![Operation::Burst(WAITING_HEADS as u16, stream), Operation::Start(u8::MAX)]
}

fn after_handshake(operations: impl IntoIterator<Item = Operation>) -> Vec<Operation> {
    handshake().into_iter().chain(operations).collect()
}

/// A crowd takes long to run, so that a failure is shrunk for a while only.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: SHRINK_MILLIS, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_handshake_follows_the_table_of_phases(operations in vec(handshake_step(), 0..12)) {
        run(&operations);
    }

    #[test]
    fn every_call_is_answered_once_and_every_stream_ends_once(operations in vec(operation(), 0..60)) {
        run(&after_handshake(operations));
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn any_bytes_spell_operations_that_hold(bytes in vec(any::<u8>(), 0..200)) {
        law::check(&bytes);
    }

    #[test]
    fn a_crowd_waits_for_its_places_and_leaks_none(operations in vec(crowd(), 0..16)) {
        run(&after_handshake(operations.into_iter().flatten()));
    }
}

#[test]
fn requests_wait_for_heads_up_to_a_count() {
    for stream in [false, true] {
        let mut operations = after_handshake(fill_heads(stream));
        operations.push(Operation::Burst(QUEUED_REQUESTS as u16 - 1, !stream));
        // The last that fits, one too many, one more place, and the one that takes it.
        operations.extend([Operation::Burst(2, stream), Operation::Fail(One(0), true), Operation::Start(1)]);
        operations.extend([Operation::Burst(2, stream), Operation::Transmit(u8::MAX)]);
        run(&operations);
    }
}

#[test]
fn streams_wait_for_streams_up_to_a_count_and_buffered_calls_pass_them() {
    let mut operations = after_handshake(fill_streams(ACTIVE_STREAMS as u16));
    operations.push(Operation::Burst(QUEUED_REQUESTS as u16, true));
    // One stream is refused, a buffered call is not.
    let stream = Operation::Request { request_id: 0, stream: true, credit: None, bytes: 0 };
    operations.extend([stream.clone(), Operation::Burst(1, false), Operation::Start(2), ALL_BUFFERED]);
    // The refusal left its id free (LIMIT-4).
    operations.extend([Operation::End(One(0)), Operation::End(One(1)), Operation::Start(2), stream.clone(), stream]);
    run(&operations);
}

#[test]
fn requests_wait_for_heads_up_to_a_number_of_bytes() {
    let half = QUEUED_REQUEST_BYTES / 2;
    let request = |request_id, bytes| Operation::Request { request_id, stream: false, credit: None, bytes };
    let mut operations = after_handshake([]);
    // What starts at once may have any length, and so may what waits alone.
    operations.extend([
        request(0, 2 * QUEUED_REQUEST_BYTES),
        Operation::Start(1),
        Operation::Burst(63, false),
        Operation::Start(63),
    ]);
    operations.extend([
        request(0, 2 * QUEUED_REQUEST_BYTES),
        request(1, 0),
        Operation::Fail(All, false),
        Operation::Start(1),
    ]);
    operations.extend([Operation::Burst(63, false), Operation::Start(63)]);
    // Exactly the bound waits; not a byte more, nor another request.
    operations.extend([
        request(0, SMALL),
        request(1, half),
        request(2, half - SMALL + 1),
        request(2, half - SMALL),
        request(3, 0),
    ]);
    // What starts gives its bytes back, and no more.
    operations.extend([Operation::Fail(One(0), false), Operation::Start(1), request(0, SMALL + 1), request(0, SMALL)]);
    operations.extend([ALL_BUFFERED, Operation::Start(2), request(0, half)]);
    run(&operations);
}

#[test]
fn there_is_room_below_the_bound_only() {
    for less in 0..3 {
        let answer = json!({"id": "", "error": {"code": -32601, "message": "method not found"}}).to_string().len();
        let fill = Operation::Unknown(OUTBOUND_BYTES - answer - less);
        run(&[fill.clone(), Operation::Transmit(1), fill, Operation::Unknown(0), Operation::Transmit(1)]);
    }
}

#[test]
fn unread_replies_close_the_connection_above_the_bound_only() {
    let answer = json!({"id": "", "error": {"code": -32601, "message": "method not found"}}).to_string().len();
    let half = Operation::Unknown(REPLY_BYTES / 2 - answer);
    // At the bound the connection lives; the least answer more closes it.
    run(&[half.clone(), half, Operation::Unknown(0), Operation::Stop, Operation::Unknown(0)]);
}

#[test]
fn reasons_to_close_have_texts() {
    assert_eq!(CloseReason::HandshakeOrder.to_string(), "initialized before initialize");
    let unread = "more bytes of replies than the limit wait for a client that does not read";
    assert_eq!(CloseReason::RepliesUnread.to_string(), unread);
    assert_eq!(CloseReason::Stopped.to_string(), "connection ended");
}
