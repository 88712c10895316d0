//! Sessions of a client against its oracle; operations and oracle are those of the fuzz target of the same name.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::client_session_law::{Answer, Delta, End, Fatal, Fault, Frame, Operation, Settings, Stray, run};

/// A call, few enough that most operations meet one that lives.
fn call() -> impl Strategy<Value = u8> {
    0..6_u8
}

fn settings() -> impl Strategy<Value = Settings> {
    any::<(bool, u8, u8, u8, bool)>().prop_map(|(pause, frames, bytes, calls, leave)| Settings {
        pause,
        frames,
        bytes,
        calls: calls | 4,
        leave,
    })
}

fn bytes() -> impl Strategy<Value = u16> {
    prop_oneof![1 => Just(0), 4 => 1..4_u16, 2 => 250..260_u16, 2 => 400..700_u16, 1 => 0..1024_u16]
}

fn answer() -> impl Strategy<Value = Answer> {
    let head = (prop::option::weighted(0.3, 0..6_u8), 0..6_u8);
    prop_oneof![
        8 => head.prop_map(|(promised, bytes)| Answer::Head { promised, bytes }),
        1 => Just(Answer::Refusal),
        1 => Just(Answer::NoHead),
    ]
}

fn delta() -> impl Strategy<Value = Delta> {
    let end = prop_oneof![3 => Just(End::Done), 1 => Just(End::Error), 1 => Just(End::DoneAndError)];
    let fault = prop::sample::select(vec![
        Fault::SeqMissing,
        Fault::SeqNegative,
        Fault::DataMissing,
        Fault::DataUnpadded,
        Fault::DoneNumber,
        Fault::ErrorObject,
    ]);
    prop_oneof![
        12 => bytes().prop_map(|bytes| Delta::Data { bytes }),
        4 => (bytes(), end).prop_map(|(bytes, end)| Delta::Last { bytes, end }),
        1 => (0..6_u8, bytes(), any::<bool>()).prop_map(|(seq, bytes, done)| Delta::Numbered { seq, bytes, done }),
        1 => fault.prop_map(Delta::Malformed),
    ]
}

fn stray() -> impl Strategy<Value = Stray> {
    prop_oneof![
        call().prop_map(|call| Stray::TextId { call }),
        Just(Stray::UnknownId),
        call().prop_map(|call| Stray::Misspelt { call }),
        Just(Stray::UnknownStream),
        Just(Stray::UnknownMalformed),
        Just(Stray::Notification),
    ]
}

fn fatal() -> impl Strategy<Value = Fatal> {
    prop::sample::select(vec![
        Fatal::Garbage,
        Fatal::CutOff,
        Fatal::NoRequestId,
        Fatal::NoParams,
        Fatal::Unreadable,
        Fatal::UnreadableNull,
    ])
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        40 => (call(), answer()).prop_map(|(call, answer)| Frame::Answer { call, answer }),
        80 => (call(), delta()).prop_map(|(call, delta)| Frame::Delta { call, delta }),
        8 => stray().prop_map(Frame::Stray),
        2 => Just(Frame::Request),
        1 => fatal().prop_map(Frame::Fatal),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        20 => prop::bool::weighted(0.8).prop_map(|stream| Operation::Start { stream }),
        20 => call().prop_map(|call| Operation::Receive { call }),
        8 => call().prop_map(|call| Operation::Drain { call }),
        4 => call().prop_map(|call| Operation::Leave { call }),
        40 => frame().prop_map(Operation::Send),
        10 => vec(frame(), 0..12).prop_map(Operation::Burst),
        1 => Just(Operation::Close),
        1 => Just(Operation::StopReading),
        1 => Just(Operation::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_consumer_sees_what_the_oracle_says(settings in settings(), operations in vec(operation(), 0..60)) {
        run(settings, &operations);
    }
}
