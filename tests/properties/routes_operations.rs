//! The client's route table under generated sequences of operations, against the oracle that fuzzing uses too.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::route_table::{End, Operation, Seq, Setup, run};

fn setup() -> impl Strategy<Value = Setup> {
    let small = || 0..8_u8;
    (any::<bool>(), small(), small(), small(), small()).prop_map(
        |(pause, routes, slot_uses, queue_frames, queue_charges)| Setup {
            pause,
            routes,
            slot_uses,
            queue_frames,
            queue_charges,
        },
    )
}

/// Few calls, so that most operations meet; mostly frames that are as they should be, so that queues fill.
fn operation() -> impl Strategy<Value = Operation> {
    let call = || 0..6_u8;
    let seq = prop_oneof![12 => Just(Seq::Right), 1 => Just(Seq::Repeated), 1 => Just(Seq::Ahead)];
    let end = prop_oneof![12 => Just(End::No), 2 => Just(End::Done), 1 => Just(End::Error)];
    let charges = prop_oneof![6 => 0..3_u8, 1 => 3..10_u8];
    prop_oneof![
        6 => any::<bool>().prop_map(|buffered| Operation::Insert { streamed: !buffered }),
        4 => (call(), prop::bool::weighted(0.2)).prop_map(|(call, refused)| Operation::Answer { call, refused }),
        16 => (call(), seq, charges, end)
            .prop_map(|(call, seq, charges, end)| Operation::Deliver { call, seq, charges, end }),
        1 => call().prop_map(|call| Operation::Fail { call }),
        1 => (0..4_u64, 0..4_u64).prop_map(|(slot, uses)| Operation::Probe { number: uses << 24 | slot }),
        1 => prop::bool::weighted(0.5).prop_map(|local| Operation::Disconnect { local }),
        4 => call().prop_map(|call| Operation::PollAnswer { call }),
        8 => call().prop_map(|call| Operation::PollChunk { call }),
        4 => call().prop_map(|call| Operation::Drop { call }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_route_table_does_what_the_oracle_says(setup in setup(), operations in vec(operation(), 0..60)) {
        run(setup, &operations);
    }
}
