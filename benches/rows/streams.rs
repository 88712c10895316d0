//! The same bytes in more and more streams at one time: no body begins before all have had their heads.

use std::sync::Arc;

use crate::clock::Start;
use crate::harness::{Curve, Figure, Per, Round, Row, Sides};
use crate::options::Options;
use crate::origin::Origin;
use crate::side::{Client, Executor, Side};

/// Streams at one time.
pub(crate) const STREAMS: [usize; 4] = [1, 10, 100, 1_000];

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let bytes = if options.quick { 128 << 20 } else { 512 << 20 };
    let row = |streams: usize| Row {
        name: format!("ws, the same bytes in {streams} stream{}", if streams == 1 { "" } else { "s" }),
        per: Per::Byte,
        figures: vec![(Figure::Wall, None), (Figure::Cpu, None)],
        rounds: options.rounds(5),
        point: Some((Curve::Streams, streams)),
        setup: Box::new(move || Sides {
            baseline: round(Side::Baseline, streams, bytes / streams),
            ours: round(Side::Ours, streams, bytes / streams),
        }),
    };
    STREAMS.map(row).into()
}

fn round(side: Side, streams: usize, each: usize) -> Round {
    let (origin, executor) = (Origin::start(), Executor::start(side));
    let client = Arc::new(Client::connect(side, &executor.url));
    let (url, all) = (format!("{}/together/{streams}/{each}", origin.url), (streams * each) as f64);
    Box::new(move || {
        let _lives = (&executor, &origin);
        let start = Start::process();
        assert_eq!(client.read_all(&url, streams), vec![each; streams]);
        let cost = start.cost();
        vec![cost.wall / all, cost.cpu / all]
    })
}
