//! A body from its origin through an executor to the consumer of a client.

use std::sync::Arc;

use super::size;
use crate::clock::Start;
use crate::harness::{Figure, Goal, Per, Round, Row, Sides};
use crate::options::Options;
use crate::origin::Origin;
use crate::side::{Client, Executor, Side};

/// Bytes that are compared with what the origin sent, before anything is measured.
const CHECKED_BYTES: usize = 8 << 20;

/// How executor and client are connected.
#[derive(Clone, Copy, Debug)]
enum Wire {
    /// In one process, over loopback.
    Websocket,
    /// The executor is a child.
    Stdio,
}

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let large = if options.quick { 256 << 20 } else { 1 << 30 };
    // A message of the baseline takes so long over stdio that there are fewer of them.
    let chunks = |wire, chunk: usize| match (wire, options.quick) {
        (Wire::Websocket, true) => (chunk * 200_000).min(128 << 20),
        (Wire::Websocket, false) => (chunk * 1_000_000).min(512 << 20),
        (Wire::Stdio, true) => (chunk * 20_000).min(64 << 20),
        (Wire::Stdio, false) => (chunk * 100_000).min(256 << 20),
    };
    let mut rows = Vec::new();
    for (wire, word, wall, cpu) in [(Wire::Websocket, "ws", 2.5, Some(3.5)), (Wire::Stdio, "stdio", 3.0, None)] {
        rows.push(Row {
            name: format!("{word}, one body of {}", size(large)),
            per: Per::Byte,
            figures: vec![(Figure::Wall, Some(Goal::Faster(wall))), (Figure::Cpu, cpu.map(Goal::Faster))],
            rounds: options.rounds(7),
            point: None,
            setup: Box::new(move || sides(wire, None, large)),
        });
        for (chunk, wall) in [(64, Some(12.0)), (1 << 10, None), (16 << 10, None)] {
            let goal = wall.filter(|_| matches!(wire, Wire::Websocket)).map(Goal::Faster);
            // Whole periods of the origin's body.
            let bytes = chunks(wire, chunk).next_multiple_of(crate::origin::PERIOD);
            rows.push(Row {
                name: format!("{word}, HTTP chunks of {}", size(chunk)),
                per: Per::One("chunk"),
                figures: vec![(Figure::Wall, goal), (Figure::Cpu, None)],
                rounds: options.rounds(5),
                point: None,
                setup: Box::new(move || sides(wire, Some(chunk), bytes)),
            });
        }
    }
    rows
}

fn sides(wire: Wire, chunk: Option<usize>, bytes: usize) -> Sides {
    let origin = Arc::new(Origin::start());
    let round = |side| round(side, wire, &origin, chunk, bytes);
    Sides { baseline: round(Side::Baseline), ours: round(Side::Ours) }
}

fn round(side: Side, wire: Wire, origin: &Arc<Origin>, chunk: Option<usize>, bytes: usize) -> Round {
    let executor = matches!(wire, Wire::Websocket).then(|| Executor::start(side));
    let client = Arc::new(match &executor {
        Some(executor) => Client::connect(side, &executor.url),
        None => Client::spawn(side),
    });
    let path = |bytes: usize| match chunk {
        None => format!("{}/bytes/{bytes}", origin.url),
        Some(chunk) => format!("{}/chunked/{chunk}/{bytes}", origin.url),
    };
    let checked = CHECKED_BYTES.min(bytes);
    assert_eq!(client.run(client.stream(&path(checked)).check()), checked);
    let (url, per) = (path(bytes), bytes / chunk.unwrap_or(1));
    let origin = Arc::clone(origin);
    Box::new(move || {
        let (_lives, child) = ((&executor, &origin), client.child_cpu());
        let start = Start::process();
        assert_eq!(client.read_all(&url, 1), [bytes]);
        let cost = start.cost();
        let cpu = cost.cpu + client.child_cpu() - child;
        vec![cost.wall / per as f64, cpu / per as f64]
    })
}
