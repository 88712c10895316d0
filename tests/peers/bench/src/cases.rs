//! What is measured, and what ours is to show.

use std::io;
use std::time::{Duration, Instant};

use crate::executor::{Executor, Kind, Over};

/// One figure of one run.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// What it is, with its unit.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// How many times better than the peer's ours is to be, over a websocket and over stdio.
    pub goal: Option<[f64; 2]>,
    /// Whether less is better.
    pub less: bool,
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    /// So many bodies at one time, of so many bytes.
    Bodies(usize, usize),
    /// One body of so many chunks of so many bytes.
    Chunks(usize, usize),
    /// Small requests, so many of which are under way at one time.
    Small {
        /// In deltas, or whole.
        stream: bool,
        /// How many.
        window: usize,
    },
    /// Nothing, after one request.
    Idle,
}

/// All of them; shorter ones when there is no time.
pub fn all(quick: bool) -> Vec<Case> {
    let mib = if quick { 1 << 18 } else { 1 << 20 };
    let mut cases = vec![Case::Bodies(1, 512 * mib), Case::Bodies(4, 128 * mib), Case::Chunks(200_000, 100)];
    for stream in [false, true] {
        cases.extend([1, 16, 64].map(|window| Case::Small { stream, window }));
    }
    cases.push(Case::Idle);
    cases
}

/// Bytes of a small body.
const SMALL_BYTES: usize = 100;

/// Small requests: over a websocket fewer, for the peer has some twenty in a second.
fn requests(over: Over, quick: bool) -> usize {
    match (over, quick) {
        (Over::Stdio, _) => 2_000,
        (Over::WebSocket, false) => 500,
        (Over::WebSocket, true) => 130,
    }
}

impl Case {
    /// As the table has it.
    pub fn title(self) -> String {
        let mib = |bytes: usize| bytes >> 20;
        match self {
            Self::Bodies(1, bytes) => format!("one body of {} MiB", mib(bytes)),
            Self::Bodies(count, bytes) => format!("{count} x {} MiB at once", mib(bytes)),
            Self::Chunks(count, bytes) => format!("{count} HTTP chunks of {bytes} B"),
            Self::Small { stream: false, window } => format!("small buffered requests, window {window}"),
            Self::Small { stream: true, window } => format!("small streamed requests, window {window}"),
            Self::Idle => "idle, after one request".into(),
        }
    }

    /// Measures it with an executor that has had one request.
    pub fn run(self, executor: &mut Executor, over: Over, origin: &str, quick: bool) -> io::Result<Vec<Value>> {
        let figure = |name, value, goal| Value { name, value, goal, less: false };
        let cost = |name, value, goal| Value { name, value, goal, less: true };
        let (start, cpu) = (Instant::now(), executor.cpu());
        let passed = |executor: &Executor| (start.elapsed().as_secs_f64(), (executor.cpu() - cpu).as_secs_f64());
        match self {
            Self::Bodies(count, bytes) => {
                for _ in 0..count {
                    executor.request(&format!("{origin}/bytes/{bytes}"), true)?;
                }
                let deltas = executor.finish(count)?;
                let (seconds, cpu) = passed(executor);
                let rate = (count * bytes) as f64 / 1e6 / seconds;
                let (rate_goal, memory_goal) =
                    if count == 1 { (Some([1.5, 2.5]), Some([3.0, 3.0])) } else { (None, None) };
                Ok(vec![
                    figure("MB/s", rate, rate_goal),
                    cost("CPU s", cpu, None),
                    cost("peak MB", executor.memory("VmHWM")?, memory_goal),
                    cost("deltas", deltas as f64, None),
                ])
            }
            Self::Chunks(count, bytes) => {
                executor.request(&format!("{origin}/chunked/{bytes}/{}", count * bytes), true)?;
                let deltas = executor.finish(1)?;
                let (seconds, cpu) = passed(executor);
                let rate = (count * bytes) as f64 / 1e6 / seconds;
                Ok(vec![
                    figure("MB/s", rate, Some([3.0, 20.0])),
                    figure("chunks/s", count as f64 / seconds, None),
                    cost("CPU s", cpu, None),
                    cost("deltas", deltas as f64, None),
                ])
            }
            Self::Small { stream, window } => {
                let (count, url) = (requests(over, quick), format!("{origin}/bytes/{SMALL_BYTES}"));
                let mut times = small(executor, &url, stream, window, count)?;
                let (seconds, cpu) = passed(executor);
                times.sort();
                let of = |part: f64| times[(part * (times.len() - 1) as f64).round() as usize].as_secs_f64() * 1e3;
                let goal = match (stream, window) {
                    (true, 1) => Some([100.0, 1.5]),
                    (false, 64) => Some([2.0, 1.5]),
                    _ => None,
                };
                let mut values = vec![figure("requests/s", count as f64 / seconds, goal)];
                if window == 1 {
                    values.extend([cost("p50 ms", of(0.5), None), cost("p99 ms", of(0.99), None)]);
                }
                values.push(cost("CPU us a request", cpu * 1e6 / count as f64, None));
                Ok(values)
            }
            Self::Idle => Ok(vec![cost("MB", executor.memory("VmRSS")?, None)]),
        }
    }
}

/// Asks for a small body again and again; how long each took, where they come one by one.
fn small(executor: &mut Executor, url: &str, stream: bool, window: usize, count: usize) -> io::Result<Vec<Duration>> {
    let last = if stream { Kind::LastDelta } else { Kind::Answer };
    let (mut asked, mut times) = (0, Vec::with_capacity(count));
    let mut since = Instant::now();
    while times.len() < count {
        while asked < count && asked - times.len() < window {
            since = Instant::now();
            executor.request(url, stream)?;
            asked += 1;
        }
        if executor.next()? == last {
            times.push(since.elapsed());
        }
    }
    Ok(times)
}
