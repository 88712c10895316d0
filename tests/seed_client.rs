//! The defects of the seed client, one test a switch: the same scenario with the switch on and with all switches off, and what
//! its caller then observes. The first four show what the models of the production client protect from; its own answer to the
//! same scenarios is at the end.

use std::fmt::Debug;
use std::time::Duration;

use exec_http::client::Client;
use exec_http::conformance::zoo::seed_client::{Body, CallError, Census, Config, Defect, Defects, SeedClient};
use exec_http::protocol::http::{RedirectPolicy, RequestParams};
use exec_http::protocol::limits::QUEUE_FRAMES;
use exec_http::protocol::stream::{Disconnect, StreamError};
use exec_http::transport::memory;
use serde_json::{Value, json};

use crate::executor::{Executor, assert_nothing_held, connected, get, head};

#[path = "seed_client/disconnect.rs"]
mod disconnect;
#[path = "seed_client/frames.rs"]
mod frames;
#[path = "seed_client/receive.rs"]
mod receive;
#[path = "seed_client/release.rs"]
mod release;
#[path = "seed_client/twin.rs"]
mod twin;

#[expect(dead_code, reason = "the tests of the production client use the rest")]
#[path = "client/executor.rs"]
mod executor;

/// Longer than anything that ends; in virtual time.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What a consumer read: all bytes, and the end.
type Read = (Vec<u8>, Result<(), StreamError>);

/// Runs a scenario with one switch on and with all switches off.
async fn shows<T: PartialEq + Debug>(
    defect: Defect,
    scenario: impl AsyncFn(SeedClient, Executor) -> T,
    wrong: T,
    right: T,
) {
    assert_ne!(wrong, right, "{defect} would not show");
    for (defects, expected) in [(defect.into(), wrong), (Defects::NONE, right)] {
        let (client, executor) = seed(defects).await;
        assert_eq!(scenario(client, executor).await, expected, "{defects:?}");
    }
}

/// A seed client and its executor, behind the handshake.
async fn seed(defects: Defects) -> (SeedClient, Executor) {
    let (near, far) = memory::pair();
    let mut executor = Executor::new(far);
    let (client, ()) = tokio::join!(SeedClient::connect(near, Config { defects, ..Config::default() }), async {
        let initialize = executor.next().await.expect("initialize");
        executor.send(json!({"id": initialize["id"], "result": {"sessionId": "s"}})).await;
    });
    let initialized = executor.next().await.expect("initialized");
    assert_eq!(initialized, json!({"method": "initialized", "params": {}}));
    (client.expect("a handshake"), executor)
}

/// A request whose caller asks for this `requestId`.
fn params(request_id: &str) -> RequestParams {
    RequestParams {
        request_id: request_id.to_owned(),
        method: "GET".to_owned(),
        url: "http://origin.test/".to_owned(),
        headers: Vec::new(),
        body: None,
        timeout: None,
        redirect_policy: RedirectPolicy::Follow,
        stream_response: false,
        credit: None,
    }
}

/// Starts a streamed call, and returns its body and the `requestId` that it got.
async fn open(client: &SeedClient, executor: &mut Executor) -> (Body, String) {
    let (response, request_id) = tokio::join!(client.stream(params("x")), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        call.request_id().to_owned()
    });
    (response.expect("a response").1, request_id)
}

/// Sends frames of one byte.
async fn fill(executor: &mut Executor, request_id: &str, frames: usize) {
    for seq in 1..=frames as u64 {
        executor.data(request_id, seq, "x").await;
    }
}

/// Returns when the client has handled all that was sent.
async fn settle(client: &SeedClient, executor: &mut Executor) {
    let (response, ()) = tokio::join!(client.request(params("x")), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
    });
    response.expect("the connection lives");
}

/// What a future returns; `None` when it waits for ever.
async fn ends<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(FOR_EVER, future).await.ok()
}

/// Closes the connection, and returns when the client knows.
async fn disconnect(client: &SeedClient, executor: Executor) {
    let (result, ()) = tokio::join!(client.request(params("x")), executor.close());
    assert!(matches!(result, Err(CallError::Disconnected { .. })), "{result:?}");
}

async fn read(body: &mut Body) -> Read {
    let mut bytes = Vec::new();
    loop {
        match body.recv().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

/// Routes and failure records.
fn held(client: &SeedClient) -> (usize, usize) {
    let Census { routes, failure_records, .. } = client.census();
    (routes, failure_records)
}

/// The bytes `last` and this error in one frame.
fn reset() -> Value {
    json!({"seq": 1, "deltaBase64": "bGFzdA==", "done": true, "error": "reset"})
}

/// The error of [`reset`].
fn remote() -> StreamError {
    StreamError::Remote { message: "reset".into(), kind: None }
}

fn lost() -> StreamError {
    StreamError::Disconnected(Disconnect::Closed)
}

#[tokio::test(start_paused = true)]
async fn truncated_body_is_a_clean_end_on_disconnect_with_a_full_queue() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        disconnect(&client, executor).await;
        read(&mut body).await
    };
    let bytes = vec![b'x'; QUEUE_FRAMES];
    let (wrong, right) = ((bytes.clone(), Ok(())), (bytes, Err(lost())));
    shows(Defect::CleanEndOnDisconnectWithFullQueue, scenario, wrong, right).await;
}

#[tokio::test(start_paused = true)]
async fn disconnect_is_misreported_as_a_sequence_error() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.data(&id, 1, "a").await;
        let first = body.recv().await;
        disconnect(&client, executor).await;
        (first, body.recv().await)
    };
    let (first, gap) = (Ok(Some("a".into())), StreamError::Sequence { received: 1, expected: 2 });
    shows(Defect::DisconnectAsSequenceError, scenario, (first.clone(), Err(gap)), (first, Err(lost()))).await;
}

#[tokio::test(start_paused = true)]
async fn failure_record_leaks_on_drop() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (overflowed, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES + 1).await;
        let (cut_off, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        disconnect(&client, executor).await;
        let before = held(&client);
        drop((overflowed, cut_off));
        (before, held(&client))
    };
    shows(Defect::FailureRecordLeaksOnDrop, scenario, ((0, 2), (0, 2)), ((0, 2), (0, 0))).await;
}

#[tokio::test(start_paused = true)]
async fn reused_id_receives_stale_frames() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (dropped, stale) = open(&client, &mut executor).await;
        drop(dropped);
        let (mut body, fresh) = open(&client, &mut executor).await;
        executor.data(&stale, 1, "stale").await;
        executor.data(&fresh, 1, "fresh").await;
        executor.end(&fresh, 2).await;
        read(&mut body).await
    };
    let gap = StreamError::Sequence { received: 1, expected: 2 };
    shows(Defect::CallerChosenReusedId, scenario, (b"stale".to_vec(), Err(gap)), (b"fresh".to_vec(), Ok(()))).await;
}

#[test]
fn every_switch_of_the_merged_client_is_shown() {
    let texts = [
        include_str!("seed_client.rs"),
        include_str!("seed_client/disconnect.rs"),
        include_str!("seed_client/frames.rs"),
        include_str!("seed_client/receive.rs"),
        include_str!("seed_client/release.rs"),
    ];
    for defect in Defects::MERGED {
        let shown = texts.iter().any(|text| text.contains(&format!("shows(Defect::{defect:?},")));
        assert!(shown, "no test shows {defect}");
    }
}

/// The same four scenarios with the production client.
mod production {
    use exec_http::client;

    use super::*;

    pub(crate) async fn disconnect(client: &Client, executor: Executor) {
        let (result, ()) = tokio::join!(client.request(get()), executor.close());
        assert!(matches!(result, Err(client::CallError::Disconnected { .. })), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn truncated_body_is_an_error_on_disconnect_with_a_full_queue() {
        let (client, mut executor) = connected().await;
        let (mut body, id) = executor.open(&client).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        disconnect(&client, executor).await;
        assert_eq!(executor::read(&mut body).await, (vec![b'x'; QUEUE_FRAMES], Err(lost())));
    }

    #[tokio::test(start_paused = true)]
    async fn disconnect_is_reported_as_a_disconnect() {
        let (client, mut executor) = connected().await;
        let (mut body, id) = executor.open(&client).await;
        executor.data(&id, 1, "a").await;
        assert_eq!(body.chunk().await, Some(Ok("a".into())));
        disconnect(&client, executor).await;
        assert_eq!(body.chunk().await, Some(Err(lost())));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_leaks_on_drop() {
        let (client, mut executor) = connected().await;
        let (overflowed, id) = executor.open(&client).await;
        fill(&mut executor, &id, QUEUE_FRAMES + 1).await;
        let (cut_off, id) = executor.open(&client).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        disconnect(&client, executor).await;
        drop((overflowed, cut_off));
        assert_nothing_held(&client);
    }

    #[tokio::test(start_paused = true)]
    async fn next_stream_receives_its_own_frames_only() {
        let (client, mut executor) = connected().await;
        let (dropped, stale) = executor.open(&client).await;
        drop(dropped);
        let (mut body, fresh) = executor.open(&client).await;
        executor.data(&stale, 1, "stale").await;
        executor.data(&fresh, 1, "fresh").await;
        executor.end(&fresh, 2).await;
        assert_eq!(executor::read(&mut body).await, (b"fresh".to_vec(), Ok(())));
    }
}
