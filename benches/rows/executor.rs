//! The executor alone: its client reads bytes and looks at none of them but the last; what it and the origin spend is taken off.

use std::io::Read as _;
use std::thread;

use serde_json::json;

use super::size;
use crate::clock::{self, Start};
use crate::harness::{Figure, Per, Round, Row, Sides};
use crate::options::Options;
use crate::origin::{Origin, PERIOD};
use crate::side::{Executor, Side};
use crate::sockets;
use crate::wire::Peer;

/// Bytes that are read at a time.
const READ: usize = 256 * 1024;

/// Bytes at the end of a stream in which its end is looked for: more than a terminal delta has.
const END: usize = 512;

pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let large: usize = if options.quick { 256 << 20 } else { 1 << 30 };
    let most = if options.quick { 200_000 } else { 1_000_000 };
    let row = |chunk: Option<usize>| {
        let bytes = chunk.map_or(large, |chunk| (chunk * most).min(large / 2).next_multiple_of(PERIOD));
        let what =
            chunk.map_or(format!("one body of {}", size(large)), |chunk| format!("HTTP chunks of {}", size(chunk)));
        Row {
            name: format!("executor alone, {what}"),
            per: chunk.map_or(Per::Byte, |_| Per::One("chunk")),
            figures: vec![(Figure::Wall, None), (Figure::Cpu, None)],
            rounds: options.rounds(7),
            point: None,
            setup: Box::new(move || Sides {
                baseline: round(Side::Baseline, chunk, bytes),
                ours: round(Side::Ours, chunk, bytes),
            }),
        }
    };
    [Some(64), Some(4 << 10), None].map(row).into()
}

fn round(side: Side, chunk: Option<usize>, bytes: usize) -> Round {
    let (origin, executor) = (Origin::start(), Executor::start(side));
    let mut peer = Peer::dial(&executor.url).expect("it listens");
    sockets::set_all();
    let url = match chunk {
        None => format!("{}/bytes/{bytes}", origin.url),
        Some(chunk) => format!("{}/chunked/{chunk}/{bytes}", origin.url),
    };
    let (mut id, mut buffer) = (0, vec![0; READ]);
    Box::new(move || {
        let _lives = &executor;
        id += 1;
        let params = json!({"method": "GET", "url": url, "headers": [], "requestId": "s", "streamResponse": true});
        let (bodies, spent_before) = origin.spent();
        let (start, own) = (Start::process(), clock::this_thread());
        peer.send(&json!({"id": id, "method": "http/request", "params": params})).expect("it is open");
        let (mut received, mut end) = (0, Vec::with_capacity(2 * END));
        while !end.windows(END_MARK.len()).any(|window| window == END_MARK) {
            let read = peer.stream.read(&mut buffer).expect("it is open");
            assert!(read > 0, "the executor closed the connection");
            received += read;
            end.extend_from_slice(&buffer[read.saturating_sub(END)..read]);
            end.drain(..end.len().saturating_sub(END));
        }
        let own = clock::nanoseconds(clock::this_thread() - own);
        let cost = start.cost();
        assert!(received > bytes / 3 * 4, "base64 is longer than what it stands for");
        // The origin has written everything, and will have said so.
        while origin.spent().0 == bodies {
            thread::yield_now();
        }
        let of_origin = clock::nanoseconds(origin.spent().1 - spent_before);
        let per = (bytes / chunk.unwrap_or(1)) as f64;
        vec![cost.wall / per, (cost.cpu - own - of_origin) / per]
    })
}

/// What only the terminal delta has.
const END_MARK: &[u8] = br#""done":true"#;
