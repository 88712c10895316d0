//! A stream into the table of live streams, and the oldest one out of it.

use std::collections::{HashMap, VecDeque};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::baseline;
use crate::clock::Start;
use crate::harness::{Curve, Figure, Goal, Per, Round, Row, Sides};
use crate::options::Options;
use crate::ours::Table;

/// Live streams.
pub(crate) const LIVE: [usize; 4] = [1, 100, 10_000, 100_000];

/// Pairs of a round.
const PAIRS: usize = 100_000;

/// Entries that the baseline copies in a round, about.
const COPIED: usize = 2_000_000;

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let row = |name: String, point, goal, setup: Box<dyn FnOnce() -> Sides>| Row {
        name,
        per: Per::One("pair"),
        figures: vec![(Figure::Cpu, goal)],
        rounds: options.rounds(9),
        point,
        setup,
    };
    let goals = [None, Some(100.0), Some(5_000.0), Some(50_000.0)];
    let churn = LIVE.iter().zip(goals).map(|(&live, goal)| {
        let sides = move || Sides { baseline: theirs(live), ours: ours(live) };
        row(
            format!("insert and remove a stream, {live} live"),
            Some((Curve::Churn, live)),
            goal.map(Goal::Faster),
            Box::new(sides),
        )
    });
    let [fewest, .., most] = LIVE;
    let growth = row(
        format!("insert and remove with {most} live against {fewest}"),
        None,
        Some(Goal::Growth(8.0)),
        Box::new(move || Sides { baseline: ours(fewest), ours: ours(most) }),
    );
    churn.chain([growth]).collect()
}

fn ours(live: usize) -> Round {
    let table = Table::new(live + 1);
    let mut routes: VecDeque<_> = (0..live).map(|_| table.insert()).collect();
    churn(PAIRS, move || {
        routes.push_back(table.insert());
        routes.pop_front();
    })
}

/// Each stream has a queue of its own, as ours has.
fn theirs(live: usize) -> Round {
    let name = |number: usize| format!("http-{number}");
    let queues = (0..live).map(|number| (name(number), mpsc::channel(baseline::routes::QUEUE_FRAMES)));
    let (streams, mut receivers): (HashMap<_, _>, VecDeque<_>) =
        queues.map(|(name, (sender, receiver))| ((name, sender), receiver)).unzip();
    let routes = baseline::routes::Routes::with(streams);
    let mut next = live;
    churn((COPIED / (live + 10)).clamp(8, PAIRS), move || {
        let (sender, receiver) = mpsc::channel(baseline::routes::QUEUE_FRAMES);
        receivers.push_back(receiver);
        routes.insert(name(next), sender).now_or_never().expect("nobody else holds the lock");
        routes.remove(&name(next - live)).now_or_never().expect("nobody else holds the lock");
        receivers.pop_front();
        next += 1;
    })
}

fn churn(pairs: usize, mut pair: impl FnMut() + 'static) -> Round {
    Box::new(move || {
        let start = Start::thread();
        for _ in 0..pairs {
            pair();
        }
        vec![start.cost().cpu / pairs as f64]
    })
}
