//! Credit in the client's route table under generated sequences of operations, by the law that fuzzing uses too.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::credit_law::{Operation, ROUTES, run};

fn operation() -> impl Strategy<Value = Operation> {
    let stream = || 0..ROUTES as u8;
    prop_oneof![
        3 => Just(Operation::Open),
        12 => (stream(), prop_oneof![4 => 0..40_usize, 1 => 0..3_000_000_usize])
            .prop_map(|(stream, bytes)| Operation::Send { stream, bytes }),
        12 => stream().prop_map(|stream| Operation::Receive { stream }),
        6 => Just(Operation::Tell),
        1 => stream().prop_map(|stream| Operation::Exceed { stream }),
        1 => stream().prop_map(|stream| Operation::End { stream }),
        2 => stream().prop_map(|stream| Operation::Drop { stream }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_may_come_fits_and_whoever_reads_gets_more(
        bytes in prop_oneof![Just(0_usize), Just(7), 1..5_000_usize, 1_000_000..20_000_000_usize],
        operations in vec(operation(), 0..120),
    ) {
        run(bytes, &operations);
    }
}
