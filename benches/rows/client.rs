//! The client alone: frames that were made before come in large blocks; what the thread that writes them spends is taken off.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use base64_022::Engine as _;
use base64_022::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::codec::SIZES;
use super::size;
use crate::baseline::codec::DELTA_METHOD;
use crate::clock::{self, Start};
use crate::harness::{Curve, Figure, Goal, Per, Round, Row, Sides};
use crate::options::Options;
use crate::side::{Client, Side};
use crate::wire::{Peer, frame_head};
use crate::{origin, sockets};

/// Bytes that are written at a time.
const WRITE: usize = 256 * 1024;

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let (most_bytes, most_deltas) = if options.quick { (64 << 20, 200_000) } else { (128 << 20, 400_000) };
    let goals = [Some(Goal::Faster(30.0)), None, None, None];
    let row = |(&bytes, goal)| {
        let count: usize = most_deltas.min(most_bytes / bytes);
        Row {
            name: format!("client alone, deltas of {}", size(bytes)),
            per: Per::One("delta"),
            figures: vec![(Figure::Wall, None), (Figure::Cpu, goal)],
            rounds: options.rounds(9),
            point: Some((Curve::Client, bytes)),
            setup: Box::new(move || Sides {
                baseline: round(Side::Baseline, bytes, count),
                ours: round(Side::Ours, bytes, count),
            }),
        }
    };
    SIZES.iter().zip(goals).map(row).collect()
}

fn round(side: Side, bytes: usize, count: usize) -> Round {
    let (feeder, url) = Feeder::start(bytes, count);
    let client = Arc::new(Client::connect(side, &url));
    Box::new(move || {
        // The answer has come, and the deltas are ready.
        let body = client.stream("http://origin/");
        feeder.ready.recv().expect("the feeder lives");
        let start = Start::process();
        feeder.go.send(()).expect("the feeder lives");
        assert_eq!(client.run(body.read()), bytes * count);
        let cost = start.cost();
        let cpu = cost.cpu - clock::nanoseconds(feeder.spent.recv().expect("the feeder lives"));
        vec![cost.wall / count as f64, cpu / count as f64]
    })
}

/// An executor of made-up bodies.
struct Feeder {
    /// A body is ready.
    ready: Receiver<()>,
    /// It may be written.
    go: SyncSender<()>,
    /// What the thread spent on writing it.
    spent: Receiver<Duration>,
}

impl Feeder {
    /// Starts one for one connection, and returns where that can be dialled.
    fn start(bytes: usize, count: usize) -> (Self, String) {
        let listener = sockets::listener();
        let url = format!("ws://{}", listener.local_addr().expect("bound"));
        let (is_ready, ready) = sync_channel(1);
        let (go, may_go) = sync_channel(1);
        let (has_spent, spent) = sync_channel(1);
        thread::spawn(move || -> io::Result<()> {
            let mut peer = Peer::accept(listener.accept()?.0)?;
            loop {
                let message = peer.receive()?;
                match message["method"].as_str() {
                    Some("initialize") => peer.send(&json!({"id": message["id"], "result": {"sessionId": "bench"}}))?,
                    Some("http/request") => {
                        let result = json!({"status": 200, "headers": [], "bodyBase64": ""});
                        let frames = frames(&message["params"]["requestId"], bytes, count);
                        peer.send(&json!({"id": message["id"], "result": result}))?;
                        is_ready.send(()).map_err(io::Error::other)?;
                        may_go.recv().map_err(io::Error::other)?;
                        let before = clock::this_thread();
                        for block in frames.chunks(WRITE) {
                            peer.stream.write_all(block)?;
                        }
                        has_spent.send(clock::this_thread() - before).map_err(io::Error::other)?;
                    }
                    _ => {}
                }
            }
        });
        (Self { ready, go, spent }, url)
    }
}

/// A stream on the wire, its members in the order in which the public executor writes them.
fn frames(id: &Value, bytes: usize, count: usize) -> Vec<u8> {
    let data = STANDARD.encode(&origin::block()[..bytes]);
    let mut frames = Vec::with_capacity((data.len() + 160) * count);
    let mut push = |seq, data: &str, done| {
        let start = format!(r#"{{"method":"{DELTA_METHOD}","params":{{"deltaBase64":""#);
        let end = format!(r#"","done":{done},"error":null,"requestId":{id},"seq":{seq}}}}}"#);
        frames.extend_from_slice(&frame_head(start.len() + data.len() + end.len()));
        [&start, data, &end].iter().for_each(|part| frames.extend_from_slice(part.as_bytes()));
    };
    (1..=count).for_each(|seq| push(seq, &data, false));
    push(count + 1, "", true);
    frames
}
