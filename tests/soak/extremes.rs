//! What happens rarely or in great numbers, one test each.

use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client};
use exec_http::protocol::error::ErrorKind;
use exec_http::protocol::stream::StreamError;
use exec_http::transport::websocket;
use http::Request;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::executor::{Executor, Over, PATIENCE, program};
use crate::origin::{HELD_FIRST, Kind, Origin};
use crate::random::content;

/// Clients of one executor at one time.
const CONNECTIONS: u64 = 1_000;

/// Streams of one client, one after another, and at one time.
const STREAMS_IN_TURN: u64 = 10_000;
const STREAMS_AT_ONCE: u64 = 1_000;

/// Bytes of their bodies.
const LENGTH: usize = 3_000;

/// What the executor's memory may grow by while streams follow each other, after the first thousand.
const GROWTH_BYTES: u64 = 8 * 1024 * 1024;

/// File descriptors of an executor that soon has none left, and streams that need more.
const FEW_DESCRIPTORS: u32 = 48;
const TOO_MANY_STREAMS: u64 = 64;

/// How long such an executor is watched for not serving a further client.
const NO_ROOM: Duration = Duration::from_millis(300);

fn request(url: String) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).expect("a legal request")
}

/// Streams one body and compares it.
async fn whole(client: &Client, origin: &Origin, kind: Kind, key: u64) -> Result<(), String> {
    let response = client.stream(request(origin.url(kind, key, LENGTH))).await.map_err(|error| error.to_string())?;
    rest(response.into_body(), key, 0).await
}

/// Reads a body to its end, from a byte on, and compares it.
async fn rest(mut body: Body, key: u64, from: usize) -> Result<(), String> {
    let mut received = Vec::new();
    while let Some(piece) = body.chunk().await {
        received.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    let same = received == content(key, from, LENGTH - from);
    if same { Ok(()) } else { Err(format!("stream {key} has other bytes")) }
}

/// All results of some tasks, or the first error.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T, String>>) -> Result<Vec<T>, String> {
    let mut results = Vec::new();
    while let Some(task) = tasks.join_next().await {
        results.push(task.map_err(|error| error.to_string())??);
    }
    Ok(results)
}

fn nothing_left(client: &Client) -> Result<(), String> {
    let usage = client.usage();
    if (usage.routes, usage.queued_bytes) == (0, 0) { Ok(()) } else { Err(format!("left in the client: {usage:?}")) }
}

/// The client's process is killed in an endless body: the executor lets go of the origin.
pub(crate) async fn client_killed(over: Over) -> Result<(), String> {
    let (executor, origin) = (Executor::start(Over::WebSocket).await, Origin::start().await);
    let start = executor.held();
    let via = match over {
        Over::Stdio => format!("'{}' serve --listen stdio", program()),
        Over::WebSocket => executor.url.clone(),
    };
    let mut client = Command::new(program())
        .args(["request", "--silent", "--stream", "--via", &via, &origin.url(Kind::Endless, 1, 0)])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary was built");
    let patient = |what| move |_| format!("{what} within {PATIENCE:?}");
    timeout(PATIENCE, origin.connections(|open| *open == 1)).await.map_err(patient("no stream"))?;
    client.start_kill().expect("it runs");
    timeout(PATIENCE, origin.connections(|open| *open == 0)).await.map_err(patient("the stream does not end"))?;
    executor.released(start).await
}

/// The executor is killed: whatever the client waits for ends, and says why.
pub(crate) async fn executor_killed(over: Over) -> Result<(), String> {
    let (mut executor, origin) = (Executor::start(over).await, Origin::start().await);
    let client = executor.client().await;
    let mut bodies = Vec::new();
    for key in 0..8 {
        let response = client.stream(request(origin.url(Kind::Held, key, LENGTH))).await;
        bodies.push(response.map_err(|error| error.to_string())?.into_body());
    }
    let caller = client.clone();
    let url = origin.url(Kind::Silent, 0, 0);
    let call = tokio::spawn(async move { caller.request(request(url)).await.map(|_| ()) });
    timeout(PATIENCE, origin.connections(|open| *open == 9)).await.map_err(|_| "the calls do not arrive")?;
    executor.kill();
    for body in &mut bodies {
        let end = async {
            loop {
                match body.chunk().await {
                    Some(Ok(_)) => {}
                    Some(Err(StreamError::Disconnected(_))) => return Ok(()),
                    other => return Err(format!("a body ends with {other:?}")),
                }
            }
        };
        timeout(PATIENCE, end).await.map_err(|_| "a body does not end")??;
    }
    match timeout(PATIENCE, call).await.map_err(|_| "a call does not end")? {
        Ok(Err(CallError::Disconnected { sent: true, .. })) => {}
        other => return Err(format!("the call ends with {other:?}")),
    }
    drop(bodies);
    nothing_left(&client)
}

pub(crate) async fn a_thousand_connections(over: Over) -> Result<(), String> {
    let (mut executor, origin) = (Executor::start(over).await, std::sync::Arc::new(Origin::start().await));
    let start = executor.held();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(executor.client().await);
    }
    let mut tasks = JoinSet::new();
    for (key, client) in (0..).zip(&clients) {
        let (client, origin) = (client.clone(), std::sync::Arc::clone(&origin));
        tasks.spawn(async move {
            whole(&client, &origin, Kind::Late, key).await?;
            nothing_left(&client)
        });
    }
    all(tasks).await?;
    drop((clients, origin));
    executor.released(start).await
}

pub(crate) async fn ten_thousand_streams_in_turn(over: Over) -> Result<(), String> {
    let (mut executor, origin) = (Executor::start(over).await, Origin::start().await);
    let client = executor.client().await;
    let start = executor.held();
    let mut memory = 0;
    for key in 0..STREAMS_IN_TURN {
        whole(&client, &origin, if key % 2 == 0 { Kind::Whole } else { Kind::Chunked }, key).await?;
        if key == STREAMS_IN_TURN / 10 {
            memory = executor.memory();
        }
    }
    nothing_left(&client)?;
    let growth = executor.memory().saturating_sub(memory);
    if growth > GROWTH_BYTES {
        return Err(format!("the executor's memory has grown by {growth} bytes"));
    }
    drop(origin);
    executor.released(start).await
}

pub(crate) async fn a_thousand_streams_at_once(over: Over) -> Result<(), String> {
    let (mut executor, origin) = (Executor::start(over).await, Origin::start().await);
    let client = executor.client().await;
    let start = executor.held();
    let bodies = held_bodies(&client, &origin, STREAMS_AT_ONCE).await;
    let mut tasks = JoinSet::new();
    for (key, body) in (0..).zip(bodies) {
        let mut body = body.map_err(|error| error.to_string())?;
        // All of them have begun before any of them goes on.
        let first = body.chunk().await.ok_or("an end")?.map_err(|error| error.to_string())?;
        if first != content(key, 0, HELD_FIRST) {
            return Err(format!("stream {key} begins with other bytes"));
        }
        tasks.spawn(rest(body, key, HELD_FIRST));
    }
    if client.usage().routes != STREAMS_AT_ONCE as usize {
        return Err(format!("{:?} with all streams open", client.usage()));
    }
    origin.release(true);
    all(tasks).await?;
    nothing_left(&client)?;
    drop(origin);
    executor.released(start).await
}

/// The executor runs out of file descriptors: who gets none is told so, the others go on, and afterwards all is well.
pub(crate) async fn descriptors_exhausted(over: Over) -> Result<(), String> {
    let (mut executor, origin) = (Executor::start_limited(over, Some(FEW_DESCRIPTORS)).await, Origin::start().await);
    let client = executor.client().await;
    let bodies = held_bodies(&client, &origin, TOO_MANY_STREAMS).await;
    let (mut refused, mut held) = (0, Vec::new());
    for (key, body) in (0..).zip(bodies) {
        match body {
            Ok(body) => held.push((key, body)),
            Err(CallError::Executor(error)) if matches!(error.kind, Some(ErrorKind::Connect | ErrorKind::Limit)) => {
                refused += 1;
            }
            Err(error) => return Err(format!("without descriptors: {error}")),
        }
    }
    if refused == 0 || held.is_empty() {
        return Err(format!("{refused} refused, {} held", held.len()));
    }
    // A client that comes now has to wait; it is served when there is room again.
    let url = executor.url.clone();
    let mut late = (over == Over::WebSocket).then(|| tokio::spawn(async move { websocket::connect(&url).await }));
    if let Some(late) = &mut late
        && let Ok(early) = timeout(NO_ROOM, late).await
    {
        return Err(format!(
            "with no descriptor left, a client gets {:?}",
            early.map(|connection| connection.map(|_| ()))
        ));
    }
    origin.release(true);
    for (key, body) in held {
        rest(body, key, 0).await?;
    }
    whole(&client, &origin, Kind::Whole, 1).await?;
    nothing_left(&client)?;
    // Its idle connections to the origin are what the executor has too many of; the origin ends them.
    drop(origin);
    if let Some(late) = late {
        let connection =
            late.await.map_err(|error| error.to_string())?.map_err(|error| format!("the late client: {error}"))?;
        let client = Client::connect(connection).await.map_err(|error| format!("the late client: {error}"))?;
        whole(&client, &Origin::start().await, Kind::Whole, 2).await?;
    }
    Ok(())
}

/// So many streams that have begun and wait, or why they have not.
async fn held_bodies(client: &Client, origin: &Origin, count: u64) -> Vec<Result<Body, CallError>> {
    let calls = (0..count).map(|key| client.stream(request(origin.url(Kind::Held, key, LENGTH))));
    let responses = futures_util::future::join_all(calls).await;
    responses.into_iter().map(|response| response.map(http::Response::into_body)).collect()
}
