//! Many clients of few executors, for as long as is wanted: they come, make calls, are cut off, and leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use exec_http::client::{Client, ClientConfig, QueuePolicy};
use exec_http::protocol::limits::QUEUE_FRAMES;
use exec_http::transport::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::executor::{Executor, Held, Over};
use crate::load::{Tally, work};
use crate::origin::Origin;
use crate::random::Random;
use crate::wire::{Fault, Wire};

/// Clients of the websocket's executor at one time.
const WEBSOCKETS: usize = 4;

/// Workers of one client, at most, and calls that each makes, at most.
const WORKERS: u64 = 8;
const CALLS: u64 = 60;

/// Frames that a stream of some clients may hold, so that slow readers meet the bound.
const SHORT_QUEUE: usize = 16;

/// How long a client stays, at most.
const STAY_MILLIS: u64 = 5_000;

/// Bytes after which a wire fails, at most 2^BITS.
const FAULT_BITS: u64 = 24;

/// After this time memory has to be flat.
const WARM_UP: Duration = Duration::from_secs(60);

/// What memory may grow by after that.
const GROWTH: f64 = 1.25;

/// What all clients share.
#[derive(Clone)]
struct Setting {
    origin: Arc<Origin>,
    tally: Arc<Tally>,
    connections: Arc<AtomicU64>,
    end: Instant,
}

/// A client, and what is between it and its executor.
struct Connected {
    client: Client,
    wire: Arc<Wire>,
}

/// Runs the load and prints what came of it; an error when anything was wrong.
pub(crate) async fn run(duration: Duration, seed: u64) -> Result<(), String> {
    let start = Instant::now();
    let setting = Setting {
        origin: Arc::new(Origin::start().await),
        tally: Arc::default(),
        connections: Arc::default(),
        end: start + duration,
    };
    let mut random = Random::new(seed);
    let (websocket, mut stdio) = (Executor::start(Over::WebSocket).await, Executor::start(Over::Stdio).await);
    let (wire, connection) = Wire::pipes(stdio.take_pipes(), Fault::Slow, random.fork());
    let lasting = connect(&setting, wire, connection, &mut random).await.ok_or("no handshake")?;
    // Only now has each of them opened what it always has open.
    let at_first = [websocket.held(), stdio.held()];

    let mut clients = JoinSet::new();
    for _ in 0..WEBSOCKETS {
        clients.spawn(over_websockets(setting.clone(), websocket.url.clone(), random.fork()));
    }
    clients.spawn(over_short_pipes(setting.clone(), random.fork()));
    let lasting = tokio::spawn(over_lasting_pipes(setting.clone(), lasting, random.fork()));

    let memory = Memory::sample(&[&websocket, &stdio], start, setting.end).await;
    while let Some(client) = clients.join_next().await {
        client.map_err(|error| error.to_string())?;
    }
    let lasting = lasting.await.map_err(|error| error.to_string())?;

    // The executors keep idle connections to an origin for a while; it ends them.
    let Setting { origin, tally, connections, .. } = setting;
    drop(origin);
    for (executor, start) in [&websocket, &stdio].into_iter().zip(at_first) {
        executor.released(start).await.unwrap_or_else(|held| tally.wrong(held));
    }
    let at_last = [websocket.held(), stdio.held()];
    drop(lasting);
    stdio.ended().await.unwrap_or_else(|what| tally.wrong(what));

    let (calls, lines) = tally.lines();
    println!("\n{duration:?} of load with seed {seed}");
    println!("{:>8} calls", calls);
    lines.iter().for_each(|line| println!("{line}"));
    println!("{:>8} connections", connections.load(Ordering::Relaxed));
    println!("{:>8} MB of bodies compared", tally.bytes() / 1_000_000);
    println!("{:>8} wrong", tally.wrongs());
    for (index, name) in ["ws", "stdio"].into_iter().enumerate() {
        let Held { descriptors, connections } = at_last[index];
        println!(
            "executor on {name}: {descriptors} descriptors, {connections} connections; first {:?}",
            at_first[index]
        );
        println!("  {}", memory.line(index));
        if memory.growth(index) > GROWTH {
            tally.wrong(format!("memory of the executor on {name} grows: {}", memory.line(index)));
        }
    }
    if tally.wrongs() == 0 { Ok(()) } else { Err(format!("{} wrong", tally.wrongs())) }
}

/// Clients that come one after the other over wires that fail.
async fn over_websockets(setting: Setting, url: String, mut random: Random) {
    while Instant::now() < setting.end {
        let fault = some_fault(&mut random);
        let (wire, connection) = Wire::websocket(&url, fault, random.fork()).await;
        match connection {
            Ok(connection) => session(&setting, wire, connection, &mut random).await,
            Err(_) if wire.has_struck() => {}
            Err(error) => setting.tally.wrong(format!("no websocket: {error}")),
        }
    }
}

/// The same with an executor of their own each, which has to end with them.
async fn over_short_pipes(setting: Setting, mut random: Random) {
    while Instant::now() < setting.end {
        let mut executor = Executor::start(Over::Stdio).await;
        let fault = some_fault(&mut random);
        let (wire, connection) = Wire::pipes(executor.take_pipes(), fault, random.fork());
        session(&setting, wire, connection, &mut random).await;
        executor.ended().await.unwrap_or_else(|what| setting.tally.wrong(what));
    }
}

/// One client that stays; it is returned, still connected.
async fn over_lasting_pipes(setting: Setting, mut connected: Connected, mut random: Random) -> Connected {
    while Instant::now() < setting.end {
        calls(&setting, &mut connected, &mut random).await;
    }
    connected
}

fn some_fault(random: &mut Random) -> Fault {
    let after = random.length(FAULT_BITS) as u64;
    random.pick(&[
        Fault::None,
        Fault::None,
        Fault::Slow,
        Fault::Cut(after),
        Fault::Cut(after),
        Fault::Reset(after),
        Fault::HalfOpen(after),
    ])
}

/// Makes the handshake; `None` when the wire ended that.
async fn connect(setting: &Setting, wire: Wire, connection: Connection, random: &mut Random) -> Option<Connected> {
    let config = ClientConfig {
        // Nobody waits longer for an executor that has been silenced.
        handshake_timeout: Duration::from_secs(5),
        queue_frames: random.pick(&[QUEUE_FRAMES, SHORT_QUEUE]),
        queue_policy: if random.once_in(4) { QueuePolicy::Pause } else { QueuePolicy::Fail },
        ..ClientConfig::default()
    };
    match Client::connect_with(connection, config).await {
        Ok(client) => {
            setting.connections.fetch_add(1, Ordering::Relaxed);
            return Some(Connected { client, wire: Arc::new(wire) });
        }
        Err(_) if wire.has_struck() => {}
        Err(error) => setting.tally.wrong(format!("no handshake: {error}")),
    }
    None
}

/// One client, from its handshake until it leaves.
async fn session(setting: &Setting, wire: Wire, connection: Connection, random: &mut Random) {
    if let Some(mut connected) = connect(setting, wire, connection, random).await {
        calls(setting, &mut connected, random).await;
    }
}

/// Some workers for some time; then all that they have not finished is given up at once, and nothing of it may be left.
async fn calls(setting: &Setting, connected: &mut Connected, random: &mut Random) {
    let mut workers = JoinSet::new();
    for _ in 0..random.between(1, WORKERS) {
        let (origin, tally) = (Arc::clone(&setting.origin), Arc::clone(&setting.tally));
        let (client, wire) = (connected.client.clone(), Arc::clone(&connected.wire));
        workers.spawn(work(client, origin, wire, tally, random.fork(), random.between(1, CALLS)));
    }
    let leaves = Instant::now() + Duration::from_millis(random.between(100, STAY_MILLIS));
    let all = async { while workers.join_next().await.is_some_and(|worker| worker.is_ok()) {} };
    tokio::select! {
        () = all => {}
        () = sleep_until(leaves.min(setting.end)) => {}
    }
    workers.abort_all();
    while let Some(worker) = workers.join_next().await {
        if worker.is_err_and(|error| error.is_panic()) {
            setting.tally.wrong("a worker has panicked".into());
        }
    }
    let usage = connected.client.usage();
    if (usage.routes, usage.queued_bytes) != (0, 0) {
        setting.tally.wrong(format!("left in the client: {usage:?}"));
    }
}

/// The memory of some executors, a sample a second.
struct Memory {
    warm_up: usize,
    samples: Vec<Vec<u64>>,
}

impl Memory {
    async fn sample(executors: &[&Executor], start: Instant, end: Instant) -> Self {
        let mut samples = vec![Vec::new(); executors.len()];
        let mut seconds = interval(Duration::from_secs(1));
        while Instant::now() < end {
            seconds.tick().await;
            for (executor, samples) in executors.iter().zip(&mut samples) {
                samples.push(executor.memory());
            }
        }
        // A short run has its second half.
        let warm_up = WARM_UP.min((end - start) / 2).as_secs() as usize;
        Self { warm_up, samples }
    }

    /// The medians of the first and of the last third of what follows the warm-up.
    fn medians(&self, index: usize) -> (u64, u64) {
        let after = &self.samples[index][self.warm_up..];
        let third = after.len().div_ceil(3);
        let median = |samples: &[u64]| {
            let mut samples = samples.to_vec();
            samples.sort_unstable();
            samples[samples.len() / 2]
        };
        (median(&after[..third]), median(&after[after.len() - third..]))
    }

    fn growth(&self, index: usize) -> f64 {
        let (first, last) = self.medians(index);
        last as f64 / first as f64
    }

    fn line(&self, index: usize) -> String {
        let (first, last) = self.medians(index);
        let peak = self.samples[index].iter().max().copied().unwrap_or(0);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        format!(
            "{:.1} MB after {} s, {:.1} MB at the end ({:.2} times), {:.1} MB at most",
            megabytes(first),
            self.warm_up,
            megabytes(last),
            self.growth(index),
            megabytes(peak),
        )
    }
}
