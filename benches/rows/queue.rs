//! Pieces of one stream from the task that reads to the task that consumes, in bursts, on one thread.

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::baseline::routes::QUEUE_FRAMES;
use crate::clock::Start;
use crate::harness::{Figure, Per, Round, Row, Sides};
use crate::options::Options;
use crate::ours::Table;

/// Pieces that come at one time.
const BURST: usize = 64;

/// Bursts of a round.
const BURSTS: usize = 4_000;

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let sides = || Sides { baseline: theirs(), ours: ours() };
    vec![Row {
        name: format!("queue, bursts of {BURST}"),
        per: Per::One("piece"),
        figures: vec![(Figure::Cpu, None)],
        rounds: options.rounds(15),
        point: None,
        setup: Box::new(sides),
    }]
}

/// Bytes of a piece.
const PIECE_BYTES: usize = 64;

/// What comes at one time.
const DATA: Bytes = Bytes::from_static(&[0; BURST * PIECE_BYTES]);

/// The queue alone: what the baseline sends in it, with the stream's name, is larger.
fn theirs() -> Round {
    round(|| async {
        let (sender, mut receiver) = mpsc::channel(QUEUE_FRAMES);
        let consumer = tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(piece) = receiver.recv().await {
                bytes += Bytes::len(&piece);
            }
            bytes
        });
        for _ in 0..BURSTS {
            let mut data = DATA;
            for _ in 0..BURST {
                sender.send(data.split_to(PIECE_BYTES)).await.expect("the consumer is there");
            }
            tokio::task::yield_now().await;
        }
        drop(sender);
        consumer.await.expect("no panic")
    })
}

fn ours() -> Round {
    round(|| async {
        let table = Table::new(1);
        let mut stream = table.stream();
        let mut feeder = stream.feeder();
        let consumer = tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(chunk) = stream.chunk().await {
                bytes += chunk.len();
            }
            bytes
        });
        for _ in 0..BURSTS {
            feeder.deliver(DATA, BURST).await;
            tokio::task::yield_now().await;
        }
        feeder.end().await;
        consumer.await.expect("no panic")
    })
}

fn round<F: Future<Output = usize>>(mut task: impl FnMut() -> F + 'static) -> Round {
    let runtime = Builder::new_current_thread().build().expect("no threads are needed");
    Box::new(move || {
        let start = Start::thread();
        assert_eq!(runtime.block_on(task()), BURSTS * BURST * PIECE_BYTES);
        vec![start.cost().cpu / (BURSTS * BURST) as f64]
    })
}
