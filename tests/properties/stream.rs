//! The life of a stream is a prefix of its frames and one outcome.

use bytes::Bytes;
use exec_http::protocol::delta::{BodyDelta, DeltaFault};
use exec_http::protocol::error::ErrorKind;
use exec_http::protocol::http::ParamsError;
use exec_http::protocol::length::WrongLength;
use exec_http::protocol::stream::{Disconnect, Outcome, Overflow, StreamAction, StreamError, StreamEvent, StreamState};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Something that happens to a stream.
#[derive(Clone, Debug)]
enum Operation {
    /// A frame comes, as the sender meant it.
    Frame { seq: Seq, done: bool, error: Option<String>, error_kind: Option<ErrorKind> },
    /// Anything else that ends a stream.
    Fault(StreamError),
}

/// The number of a frame.
#[derive(Clone, Copy, Debug)]
enum Seq {
    /// The one that is due.
    Due,
    /// That one, due or not.
    Number(u64),
}

/// All faults, with the texts that people read.
fn faults() -> [(StreamError, &'static str); 12] {
    let remote = |kind| StreamError::Remote { message: "reset by origin".into(), kind };
    let seq = DeltaFault::Member(ParamsError { member: "seq", expected: "an unsigned integer" });
    [
        (remote(None), "executor ended the body: reset by origin"),
        (remote(Some(ErrorKind::Reset)), "executor ended the body: reset by origin (reset)"),
        (StreamError::Sequence { received: 7, expected: 5 }, "body frame 7 came where 5 was due"),
        (StreamError::Overflow(Overflow::Frames(256)), "body was not read: 256 frames waited"),
        (StreamError::Overflow(Overflow::Bytes(9)), "body was not read: 9 bytes waited on the connection"),
        (StreamError::Malformed(seq), "unreadable body frame: seq must be an unsigned integer"),
        (StreamError::Malformed(DeltaFault::TooLong), "unreadable body frame: body delta exceeds 1048576 bytes"),
        (StreamError::Disconnected(Disconnect::Closed), "body cut off: connection closed by the executor"),
        (StreamError::Disconnected(Disconnect::Local), "body cut off: connection closed by this client"),
        (
            StreamError::Disconnected(Disconnect::Transport("broken pipe".into())),
            "body cut off: transport failed: broken pipe",
        ),
        (
            StreamError::Disconnected(Disconnect::Malformed("incomplete JSON".into())),
            "body cut off: executor sent a frame that is not a message: incomplete JSON",
        ),
        (
            StreamError::Disconnected(Disconnect::Unreadable("malformed message".into())),
            "body cut off: executor could not read a frame of this client: malformed message",
        ),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let seq = prop_oneof![
        12 => Just(Seq::Due),
        2 => (0..6_u64).prop_map(Seq::Number),
        1 => select([u64::MAX - 1, u64::MAX].as_slice()).prop_map(Seq::Number),
    ];
    let error = option::weighted(0.1, any::<String>());
    let error_kind = option::of(select(ErrorKind::ALL.as_slice()));
    let frame = (seq, prop::bool::weighted(0.1), error, error_kind)
        .prop_map(|(seq, done, error, error_kind)| Operation::Frame { seq, done, error, error_kind });
    let fault = select(faults().map(|(fault, _)| fault).to_vec()).prop_map(Operation::Fault);
    prop_oneof![20 => frame, 1 => fault]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_stream_delivers_a_prefix_and_its_first_outcome_is_final(operations in vec(operation(), 0..16)) {
        let mut state = StreamState::new();
        prop_assert_eq!(&state, &StreamState::default());
        // What the oracle knows: how many frames were delivered, and how the stream ended.
        let (mut delivered, mut outcome): (u64, Option<Outcome>) = (0, None);
        for operation in operations {
            let open = outcome.is_none();
            let (event, in_turn) = match operation {
                Operation::Fault(fault) => {
                    outcome = outcome.or(Some(Err(fault.clone())));
                    (StreamEvent::Fault(fault), false)
                }
                Operation::Frame { seq, done, error, error_kind } => {
                    let expected = delivered + 1;
                    let seq = if let Seq::Number(number) = seq { number } else { expected };
                    let meant = match &error {
                        Some(message) => Some(Err(StreamError::Remote { message: message.clone(), kind: error_kind })),
                        None => done.then_some(Ok(())),
                    };
                    let misplaced = Some(Err(StreamError::Sequence { received: seq, expected }));
                    outcome = outcome.or(if seq == expected { meant } else { misplaced });
                    let delta = BodyDelta { request_id: "s".into(), seq, data: Bytes::new(), done, error, error_kind };
                    prop_assert_eq!(delta.is_terminal(), !matches!(StreamEvent::of(&delta), StreamEvent::Data { .. }));
                    (StreamEvent::of(&delta), seq == expected)
                }
            };
            let expected = match (open, in_turn) {
                (false, _) => StreamAction::Ignore,
                (true, true) => StreamAction::Deliver,
                (true, false) => StreamAction::End,
            };
            prop_assert_eq!(state.apply(event), expected);
            delivered += u64::from(expected == StreamAction::Deliver);
            prop_assert_eq!(state.outcome(), outcome.as_ref());
        }
    }
}

#[test]
fn every_fault_has_its_text() {
    for (fault, text) in faults() {
        assert_eq!(fault.to_string(), text);
    }
    let wrong = WrongLength { promised: 5, received: 3 };
    assert_eq!(StreamError::WrongLength(wrong).to_string(), "body of 3 bytes where Content-Length promises 5");
}

#[test]
fn the_last_number_of_all_overflows_nothing() {
    let mut state = StreamState::Open { expected: u64::MAX };
    assert_eq!(state.apply(StreamEvent::Data { seq: u64::MAX }), StreamAction::Deliver);
    assert_eq!(state.outcome(), None);
}
