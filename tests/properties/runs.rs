//! Runs of frames against their frames one by one, on generated steps; the law is that of the fuzz target of the same name.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::runs_law::{Setup, Step, run};

fn setup() -> impl Strategy<Value = Setup> {
    any::<(bool, bool, u8, u8)>().prop_map(|(pause, credit, queue_frames, queue_charges)| Setup {
        pause,
        credit,
        queue_frames,
        queue_charges,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || 0..3_u8;
    let length = prop_oneof![8 => 0..4_u16, 2 => 0..800_u16];
    prop_oneof![
        8 => (stream(), prop::bool::weighted(0.05), vec(length, 1..5))
            .prop_map(|(stream, ahead, lengths)| Step::Frames { stream, ahead, lengths }),
        6 => stream().prop_map(|stream| Step::Read { stream }),
        1 => stream().prop_map(|stream| Step::Drop { stream }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_what_its_frames_are(setup in setup(), steps in vec(step(), 0..60)) {
        run(setup, &steps);
    }
}
