//! One event at a time: how long it takes from its origin to the consumer.

use std::sync::Arc;

use super::size;
use crate::clock;
use crate::harness::{Figure, Goal, Per, Round, Row, Sides, quantile};
use crate::options::Options;
use crate::origin::{EVENT_BYTES, Origin};
use crate::side::{Client, Executor, Side};

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let events = if options.quick { 500 } else { 2_000 };
    vec![Row {
        name: format!("ws, latency of one event of {}", size(EVENT_BYTES)),
        per: Per::One("event"),
        figures: vec![(Figure::P50, Some(Goal::Faster(1.0))), (Figure::P90, None)],
        rounds: options.rounds(9),
        point: None,
        setup: Box::new(move || Sides { baseline: round(Side::Baseline, events), ours: round(Side::Ours, events) }),
    }]
}

fn round(side: Side, events: usize) -> Round {
    let (origin, executor) = (Arc::new(Origin::start()), Executor::start(side));
    let client = Client::connect(side, &executor.url);
    Box::new(move || {
        let (_lives, origin) = (&executor, Arc::clone(&origin));
        let mut body = client.stream(&format!("{}/events/{events}", origin.url));
        let times = client.run(async move {
            let mut times = Vec::with_capacity(events);
            for _ in 0..events {
                origin.signal();
                let event = body.chunk().await.expect("one more event");
                times.push(clock::nanoseconds(origin.since_written()));
                assert_eq!(event.len(), EVENT_BYTES);
            }
            assert!(body.chunk().await.is_none(), "that were all");
            times
        });
        vec![quantile(&times, 0.5), quantile(&times, 0.9)]
    })
}
