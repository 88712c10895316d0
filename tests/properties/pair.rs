//! A client and an executor in one process, in virtual time, and a relay between them that breaks what the executor sends.
//!
//! | file | concept |
//! |---|---|
//! | `executor` | the executor's session, with origins that follow a script |
//! | `relay` | what becomes of each frame, and a record of it |
//! | `consumer` | who makes the calls and reads the bodies |
//! | `oracle` | what each of them must have seen |

use std::collections::BTreeMap;
use std::time::Duration;

use exec_http::client::{Client, ClientConfig, ConnectError, QueuePolicy};
use exec_http::protocol::stream::Disconnect;
use exec_http::transport::{CloseReason, memory};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

mod consumer;
mod executor;
mod oracle;
mod relay;

use oracle::Judge;

/// Virtual time within which everything must be over.
const HANG_TIME: Duration = Duration::from_secs(24 * 3600);

/// A client's settings, its calls, and what the relay does.
#[derive(Clone, Debug)]
struct Scenario {
    /// Whether the client waits for slow consumers.
    pause: bool,
    /// Frames that may wait in one stream.
    queue_frames: usize,
    /// Bytes that may wait in all streams.
    queue_bytes: usize,
    /// What is called.
    calls: Vec<Call>,
    /// What happens to the executor's frames, counted from 0 behind the handshake; nothing to all others.
    faults: BTreeMap<usize, Fault>,
    /// The connection is cut after so many frames.
    cut: Option<usize>,
}

/// One call: its consumer and its origin.
#[derive(Clone, Debug)]
struct Call {
    /// When it starts, in milliseconds.
    start: u64,
    /// Whether its body is streamed.
    stream: bool,
    /// How long the origin takes for the head and for each piece, in milliseconds.
    origin_pace: u64,
    /// The lengths of the body's pieces.
    pieces: Vec<usize>,
    /// How the origin ends it.
    end: OriginEnd,
    /// How long the consumer takes for each piece, in milliseconds.
    reader_pace: u64,
    /// The consumer leaves after so many pieces.
    leave: Option<usize>,
}

/// How an origin ends a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginEnd {
    /// The body is whole, and its head says how long it is.
    Whole,
    /// The same, but the head promises another byte.
    Short,
    /// It breaks off behind the pieces.
    Broken,
    /// There is no head.
    Refused,
}

/// What the relay does with one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It is lost.
    Drop,
    /// It comes twice.
    Twice,
    /// It comes behind so many later ones.
    Late(usize),
    /// An older frame comes once more behind it: so many before it.
    Replay(usize),
    /// A byte of it, at this place modulo its length, becomes one that no JSON text has.
    Garble(usize),
    /// One member of it becomes unreadable.
    Spoil,
    /// It names a call that does not exist.
    Misdirect,
}

/// Runs a scenario, and holds what every consumer saw against what the oracle says. The executor's frames are returned.
fn run(scenario: &Scenario) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let (records, log) = runtime.block_on(async {
        let (near, far) = memory::pair();
        let executor = tokio::spawn(executor::serve(far, scenario.clone()));
        let config = ClientConfig {
            queue_policy: if scenario.pause { QueuePolicy::Pause } else { QueuePolicy::Fail },
            queue_frames: scenario.queue_frames,
            queue_bytes: scenario.queue_bytes,
            ..ClientConfig::default()
        };
        let client = Client::connect_with(near, config).await.expect("the handshake is not touched");
        let calls = scenario.calls.iter().cloned().enumerate();
        let consumers: Vec<_> =
            calls.map(|(number, call)| tokio::spawn(consumer::consume(client.clone(), number, call))).collect();
        let mut records = Vec::new();
        for consumer in consumers {
            let record = tokio::time::timeout(HANG_TIME, consumer).await.expect("a consumer hangs");
            records.push(record.expect("consumers do not panic"));
        }
        let usage = client.usage();
        assert_eq!((usage.routes, usage.queued_bytes), (0, 0), "something is left of the calls");
        drop(client);
        let log = tokio::time::timeout(HANG_TIME, executor).await.expect("the connection stays open");
        (records, log.expect("the executor does not panic"))
    });
    let judge = Judge::new(scenario, &log);
    for (number, record) in records.iter().enumerate() {
        judge.judge(number, record);
    }
    log.frames()
}

/// Every kind of call once, the last one behind the end of the others, so that what they leave is used again.
fn small() -> Scenario {
    let call = Call {
        start: 0,
        stream: true,
        origin_pace: 3,
        pieces: vec![3, 300, 1],
        end: OriginEnd::Whole,
        reader_pace: 0,
        leave: None,
    };
    let calls = vec![
        call.clone(),
        Call { origin_pace: 4, pieces: vec![5], end: OriginEnd::Broken, ..call.clone() },
        Call { stream: false, ..call.clone() },
        Call { end: OriginEnd::Refused, ..call.clone() },
        Call { reader_pace: 7, ..call.clone() },
        Call { start: 30, ..call },
    ];
    Scenario { pause: false, queue_frames: 256, queue_bytes: 1 << 20, calls, faults: BTreeMap::new(), cut: None }
}

/// The small scenario with roomy and with tight bounds, under both policies.
fn small_ones() -> [Scenario; 4] {
    [(false, 256, 1 << 20), (false, 1, 600), (true, 256, 1 << 20), (true, 1, 600)]
        .map(|(pause, queue_frames, queue_bytes)| Scenario { pause, queue_frames, queue_bytes, ..small() })
}

#[test]
fn untouched_frames_give_whole_bodies() {
    small_ones().iter().for_each(|scenario| assert_eq!(run(scenario), 20, "frames of the executor"));
}

#[test]
fn the_connection_may_be_cut_behind_every_frame() {
    for scenario in small_ones() {
        for cut in 0..=run(&scenario) {
            run(&Scenario { cut: Some(cut), ..scenario.clone() });
        }
    }
}

#[test]
fn every_frame_may_suffer_every_fault() {
    let faults = [
        Fault::Drop,
        Fault::Twice,
        Fault::Late(1),
        Fault::Late(4),
        Fault::Late(usize::MAX),
        Fault::Replay(1),
        Fault::Replay(9),
        Fault::Garble(0),
        Fault::Garble(40),
        Fault::Spoil,
        Fault::Misdirect,
    ];
    for scenario in small_ones() {
        for frame in 0..run(&scenario) {
            for fault in faults {
                run(&Scenario { faults: BTreeMap::from([(frame, fault)]), ..scenario.clone() });
            }
        }
    }
}

#[test]
fn a_connection_cut_in_the_handshake_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (near, mut far) = memory::pair();
        let (client, ()) = tokio::join!(Client::connect(near), async {
            far.reader.next().await.expect("memory does not fail").expect("initialize");
            far.writer.close(CloseReason::Done).await;
        });
        assert_eq!(client.err(), Some(ConnectError::Disconnected(Disconnect::Closed)));
    });
}

fn call() -> impl Strategy<Value = Call> {
    let piece = prop_oneof![6 => 1..8_usize, 2 => 200..300_usize, 2 => 500..1_000_usize];
    let end = prop_oneof![
        6 => Just(OriginEnd::Whole),
        1 => Just(OriginEnd::Short),
        1 => Just(OriginEnd::Broken),
        1 => Just(OriginEnd::Refused),
    ];
    let pace = || prop_oneof![2 => Just(0), 1 => 1..20_u64];
    let leave = prop::option::weighted(0.1, 0..4_usize);
    (0..60_u64, prop::bool::weighted(0.8), pace(), vec(piece, 0..8), end, pace(), leave).prop_map(
        |(start, stream, origin_pace, pieces, end, reader_pace, leave)| Call {
            start,
            stream,
            origin_pace,
            pieces,
            end,
            reader_pace,
            leave,
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Drop),
        3 => Just(Fault::Twice),
        3 => (1..6_usize).prop_map(Fault::Late),
        3 => (1..40_usize).prop_map(Fault::Replay),
        1 => (0..1_000_usize).prop_map(Fault::Garble),
        3 => Just(Fault::Spoil),
        2 => Just(Fault::Misdirect),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let bounds = prop_oneof![1 => Just((256, 1 << 20)), 1 => (1..6_usize, 1_000..4_000_usize)];
    let faults = prop_oneof![1 => Just(BTreeMap::new()), 4 => btree_map(0..60_usize, fault(), 0..4)];
    let cut = prop::option::weighted(0.2, 0..60_usize);
    (any::<bool>(), bounds, vec(call(), 1..8), faults, cut).prop_map(
        |(pause, (queue_frames, queue_bytes), calls, faults, cut)| Scenario {
            pause,
            queue_frames,
            queue_bytes,
            calls,
            faults,
            cut,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_consumer_sees_a_prefix_and_a_clean_end_only_behind_all_of_it(scenario in scenario()) {
        run(&scenario);
    }
}
