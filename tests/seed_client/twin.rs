//! With all switches off the seed client is correct: whatever an executor sends, its caller observes what the caller of the
//! production client observes, and both hold nothing at the end.
//!
//! Generated scripts of calls, frames, receives and drops are run against both, one after the other. What the script leaves
//! to chance is not the point here, only that the two agree.

use bytes::Bytes;
use exec_http::client::{self, Client};
use exec_http::conformance::zoo::seed_client::{self, Defects, SeedClient};
use exec_http::protocol::limits::QUEUE_FRAMES;
use exec_http::protocol::stream::StreamError;
use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::json;
use tokio::task::coop::unconstrained;

use crate::executor::{Call, Executor, connected, get};
use crate::{disconnect, held, params, production, seed, settle};

/// More receives than a body has frames and then some.
const TO_THE_END: usize = QUEUE_FRAMES + 10;

/// What an executor and a caller do.
#[derive(Clone, Debug)]
enum Operation {
    /// A streamed call, with frames ahead of its answer.
    Open { early: usize, length: Option<usize> },
    /// A streamed call that is refused, with frames ahead of the refusal.
    Refuse { early: usize },
    /// Frames in order, with one byte each.
    Frames { stream: usize, count: usize },
    /// One frame, so many places from where it is due.
    Frame { stream: usize, ahead: i64, members: Members },
    /// So many receives, each polled once.
    Receive { stream: usize, times: usize },
    /// The caller drops a body.
    Drop { stream: usize },
}

/// What a frame carries beside its number.
#[derive(Clone, Copy, Debug)]
enum Members {
    Data,
    End,
    DataAndEnd,
    Error,
    DataAndError,
    BadBase64,
}

/// What one poll of a receive gives; `None` when it has to wait.
type Received = Option<Result<Option<Bytes>, StreamError>>;

/// What a caller observes of one operation: the bytes, then everything else, neighbours that are equal once.
#[derive(Debug, Default, PartialEq)]
struct Observation {
    bytes: String,
    ends: Vec<Received>,
}

impl FromIterator<Received> for Observation {
    fn from_iter<I: IntoIterator<Item = Received>>(received: I) -> Self {
        let mut observation = Self::default();
        for received in received {
            match received {
                Some(Ok(Some(chunk))) if observation.ends.is_empty() => {
                    observation.bytes.push_str(std::str::from_utf8(&chunk).expect("text was sent"));
                }
                end => observation.ends.push(end),
            }
        }
        observation.ends.dedup();
        observation
    }
}

/// A client with its executor.
trait Subject: Sized {
    type Body;

    async fn connect() -> (Self, Executor);
    /// `None` when the executor refuses.
    async fn open(&self) -> Option<Self::Body>;
    fn receive(body: &mut Self::Body) -> impl Future<Output = Result<Option<Bytes>, StreamError>>;
    async fn settle(&self, executor: &mut Executor);
    async fn disconnect(&self, executor: Executor);
    fn queued_bytes(&self) -> usize;
    fn holds_nothing(&self) -> bool;
}

impl Subject for SeedClient {
    type Body = seed_client::Body;

    async fn connect() -> (Self, Executor) {
        seed(Defects::NONE).await
    }

    async fn open(&self) -> Option<Self::Body> {
        Some(self.stream(params("x")).await.ok()?.1)
    }

    async fn receive(body: &mut Self::Body) -> Result<Option<Bytes>, StreamError> {
        body.recv().await
    }

    async fn settle(&self, executor: &mut Executor) {
        settle(self, executor).await;
    }

    async fn disconnect(&self, executor: Executor) {
        disconnect(self, executor).await;
    }

    fn queued_bytes(&self) -> usize {
        self.census().queued_bytes
    }

    fn holds_nothing(&self) -> bool {
        held(self) == (0, 0) && self.census().queued_bytes == 0
    }
}

impl Subject for Client {
    type Body = client::Body;

    async fn connect() -> (Self, Executor) {
        connected().await
    }

    async fn open(&self) -> Option<Self::Body> {
        Some(self.stream(get()).await.ok()?.into_body())
    }

    async fn receive(body: &mut Self::Body) -> Result<Option<Bytes>, StreamError> {
        body.chunk().await.transpose()
    }

    async fn settle(&self, executor: &mut Executor) {
        executor.settle(self).await;
    }

    async fn disconnect(&self, executor: Executor) {
        production::disconnect(self, executor).await;
    }

    fn queued_bytes(&self) -> usize {
        self.usage().queued_bytes
    }

    fn holds_nothing(&self) -> bool {
        self.usage() == client::Usage { routes: 0, queued_bytes: 0 }
    }
}

/// A call that was answered.
struct Stream<S: Subject> {
    request_id: String,
    /// The number of the next frame in order.
    next_seq: u64,
    /// `None` once dropped.
    body: Option<S::Body>,
}

/// So many receives, each polled once and then dropped.
fn receive<S: Subject>(body: &mut S::Body, times: usize) -> Observation {
    std::iter::repeat_with(|| unconstrained(S::receive(body)).now_or_never()).take(times).collect()
}

/// Runs a script and returns all that its caller observed.
async fn observe<S: Subject>(operations: &[Operation]) -> Vec<(Observation, usize)> {
    let (client, mut executor) = S::connect().await;
    let mut streams: Vec<Stream<S>> = Vec::new();
    let mut observations = Vec::new();
    for operation in operations {
        let observation = apply(operation, &client, &mut executor, &mut streams).await;
        client.settle(&mut executor).await;
        observations.push((observation, client.queued_bytes()));
    }
    client.disconnect(executor).await;
    for body in streams.iter_mut().filter_map(|stream| stream.body.as_mut()) {
        observations.push((receive::<S>(body, TO_THE_END), client.queued_bytes()));
    }
    drop(streams);
    assert!(client.holds_nothing());
    observations
}

async fn apply<S: Subject>(
    operation: &Operation,
    client: &S,
    executor: &mut Executor,
    streams: &mut Vec<Stream<S>>,
) -> Observation {
    let count = streams.len().max(1);
    let at = |stream: &usize| stream % count;
    match operation {
        Operation::Open { early, length } => {
            let headers = length.map(|length| json!({"name": "content-length", "value": length.to_string()}));
            let (body, call) = tokio::join!(client.open(), async {
                let call = early_frames(executor, *early).await;
                let headers: Vec<_> = headers.into_iter().collect();
                executor.respond(&call, json!({"status": 200, "headers": headers, "bodyBase64": ""})).await;
                call
            });
            assert!(body.is_some(), "an answer");
            streams.push(Stream { request_id: call.request_id().to_owned(), next_seq: *early as u64 + 1, body });
        }
        Operation::Refuse { early } => {
            let (body, ()) = tokio::join!(client.open(), async {
                let call = early_frames(executor, *early).await;
                executor.refuse(&call, json!({"code": -32603, "message": "no"})).await;
            });
            assert!(body.is_none(), "a refusal");
        }
        Operation::Frames { stream, count } => {
            let Some(stream) = streams.get_mut(at(stream)) else { return Observation::default() };
            for _ in 0..*count {
                executor.data(&stream.request_id, stream.next_seq, "x").await;
                stream.next_seq += 1;
            }
        }
        Operation::Frame { stream, ahead, members } => {
            let Some(stream) = streams.get_mut(at(stream)) else { return Observation::default() };
            let seq = stream.next_seq.saturating_add_signed(*ahead);
            stream.next_seq += u64::from(*ahead == 0);
            executor.delta(&stream.request_id, members.of_frame(seq)).await;
        }
        Operation::Receive { stream, times } => {
            let Some(body) = streams.get_mut(at(stream)).and_then(|stream| stream.body.as_mut()) else {
                return Observation::default();
            };
            return receive::<S>(body, *times);
        }
        Operation::Drop { stream } => {
            if let Some(stream) = streams.get_mut(at(stream)) {
                stream.body = None;
            }
        }
    }
    Observation::default()
}

/// Reads a call, and sends frames for it.
async fn early_frames(executor: &mut Executor, count: usize) -> Call {
    let call = executor.call().await;
    for seq in 1..=count as u64 {
        executor.data(call.request_id(), seq, "e").await;
    }
    call
}

impl Members {
    fn of_frame(self, seq: u64) -> serde_json::Value {
        match self {
            Self::Data => json!({"seq": seq, "deltaBase64": "ZGF0YQ=="}),
            Self::End => json!({"seq": seq, "deltaBase64": "", "done": true}),
            Self::DataAndEnd => json!({"seq": seq, "deltaBase64": "ZGF0YQ==", "done": true}),
            Self::Error => json!({"seq": seq, "deltaBase64": "", "error": "reset"}),
            Self::DataAndError => json!({"seq": seq, "deltaBase64": "ZGF0YQ==", "done": true, "error": "reset"}),
            Self::BadBase64 => json!({"seq": seq, "deltaBase64": "?"}),
        }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let stream = || 0..4_usize;
    let early = || prop_oneof![4 => 0..3_usize, 1 => 254..260_usize];
    let members = prop_oneof![
        3 => Just(Members::Data),
        2 => Just(Members::End),
        1 => Just(Members::DataAndEnd),
        1 => Just(Members::Error),
        1 => Just(Members::DataAndError),
        1 => Just(Members::BadBase64),
    ];
    prop_oneof![
        2 => (early(), proptest::option::weighted(0.5, 0..8_usize))
            .prop_map(|(early, length)| Operation::Open { early, length }),
        1 => early().prop_map(|early| Operation::Refuse { early }),
        4 => (stream(), prop_oneof![3 => 1..5_usize, 1 => 254..258_usize])
            .prop_map(|(stream, count)| Operation::Frames { stream, count }),
        4 => (stream(), prop_oneof![6 => Just(0), 1 => -2..3_i64], members)
            .prop_map(|(stream, ahead, members)| Operation::Frame { stream, ahead, members }),
        4 => (stream(), prop_oneof![3 => 1..4_usize, 1 => 250..270_usize])
            .prop_map(|(stream, times)| Operation::Receive { stream, times }),
        1 => stream().prop_map(|stream| Operation::Drop { stream }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_switches_it_does_what_the_production_client_does(
        operations in proptest::collection::vec(operation(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let (ours, twin) = runtime.expect("a runtime").block_on(async {
            (observe::<Client>(&operations).await, observe::<SeedClient>(&operations).await)
        });
        prop_assert_eq!(ours, twin);
    }
}
