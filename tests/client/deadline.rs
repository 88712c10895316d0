//! The client's own deadline: what it ends, when, and what it leaves alone.

use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{CallError, Client, ClientConfig, RequestOptions};
use exec_http::protocol::stream::{Disconnect, StreamError};
use futures_util::FutureExt as _;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::executor::{Executor, assert_nothing_held, connected, connected_with, get, head, read};

const LIMIT: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

fn within(deadline: Duration) -> http::Request<Bytes> {
    let mut request = get();
    request.extensions_mut().insert(RequestOptions { deadline: Some(deadline), ..RequestOptions::default() });
    request
}

/// A client of an executor that offers to cancel.
async fn connected_to_canceller() -> (Client, Executor) {
    let result = json!({"sessionId": "s", "capabilities": {"httpRequestCancel": true}});
    connected_with(ClientConfig::default(), result).await
}

/// The next message must give up this call.
async fn assert_cancelled(executor: &mut Executor, request_id: &str) {
    let message = executor.next().await.expect("the connection is open");
    assert_eq!(message["method"], "http/request/cancel");
    assert_eq!(message["params"]["requestId"], request_id);
}

/// CANCEL-8, CLOSE-11.
#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_at_its_deadline_and_is_given_up_at_the_executor() {
    let (client, mut executor) = connected_to_canceller().await;
    for streamed in [false, true] {
        let start = Instant::now();
        let call = async {
            if streamed {
                client.stream(within(LIMIT)).await.expect_err("silence")
            } else {
                client.request(within(LIMIT)).await.expect_err("silence")
            }
        };
        let (error, call) = tokio::join!(call, executor.call());
        assert_eq!(error, CallError::Deadline { limit: LIMIT, sent: true });
        assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
        assert_eq!(call.params.get("timeoutMs"), None, "the executor's deadline is another");
        assert_cancelled(&mut executor, call.request_id()).await;
        assert_nothing_held(&client);
    }
    executor.settle(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_ends_at_the_deadline_of_its_call() {
    let (client, mut executor) = connected_to_canceller().await;
    let start = Instant::now();
    let (response, request_id) = tokio::join!(client.stream(within(LIMIT)), async {
        let call = executor.call().await;
        sleep(SECOND).await;
        executor.respond(&call, head()).await;
        call.request_id().to_owned()
    });
    let mut body = response.expect("in time").into_body();
    // Another task than the one that waited for the head.
    let reader = tokio::spawn(async move {
        let got = read(&mut body).await;
        (got, body)
    });
    for seq in 1..=3 {
        sleep(SECOND).await;
        executor.data(&request_id, seq, "x").await;
    }
    let (got, mut body) = timeout(LIMIT * 2, reader).await.expect("the deadline wakes it").expect("no panic");
    assert_eq!(got, (b"xxx".to_vec(), Err(StreamError::Deadline(LIMIT))));
    assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
    assert_cancelled(&mut executor, &request_id).await;
    assert_nothing_held(&client);
    // What comes nevertheless is for nobody.
    executor.data(&request_id, 4, "late").await;
    executor.settle(&client).await;
    assert_eq!(read(&mut body).await, (vec![], Err(StreamError::Deadline(LIMIT))));
}

/// Starts a streamed call with a deadline that is answered at once.
async fn open(client: &Client, executor: &mut Executor) -> (exec_http::client::Body, String) {
    let (response, request_id) = tokio::join!(client.stream(within(LIMIT)), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        call.request_id().to_owned()
    });
    (response.expect("in time").into_body(), request_id)
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_the_deadline_is_not_delivered_and_an_end_that_was_seen_stays() {
    let (client, mut executor) = connected().await;
    let (mut slow, slow_id) = open(&client, &mut executor).await;
    let (mut quick, quick_id) = open(&client, &mut executor).await;
    for request_id in [&slow_id, &quick_id] {
        executor.data(request_id, 1, "x").await;
        executor.end(request_id, 2).await;
    }
    executor.settle(&client).await;
    assert_eq!(read(&mut quick).await, (b"x".to_vec(), Ok(())));
    sleep(LIMIT).await;
    assert_eq!(read(&mut slow).await, (vec![], Err(StreamError::Deadline(LIMIT))));
    assert_eq!(read(&mut quick).await, (vec![], Ok(())));
    assert_nothing_held(&client);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_nothing_sends_nothing() {
    let (client, mut executor) = connected().await;
    let passed = CallError::Deadline { limit: Duration::ZERO, sent: false };
    assert_eq!(client.request(within(Duration::ZERO)).await.map(drop), Err(passed.clone()));
    assert_eq!(client.stream(within(Duration::ZERO)).await.expect_err("passed"), passed);
    assert_nothing_held(&client);
    // Memory keeps the order: a request would come first.
    executor.settle(&client).await;
    assert_eq!(executor.next().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_no_clock_can_hold_is_none() {
    let (client, mut executor) = connected().await;
    let (response, ()) = tokio::join!(client.request(within(Duration::MAX)), async {
        let call = executor.call().await;
        sleep(LIMIT * 1000).await;
        executor.respond(&call, head()).await;
    });
    response.expect("there is time");
}

/// A request that still waits for room when its deadline passes is never sent.
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_room_ends_at_its_deadline_unsent() {
    let (client, mut executor) = connected().await;
    // The executor does not read: memory holds 64 frames, and the next one waits in the outbox.
    let mut waiting: Vec<_> = (0..65).map(|_| Box::pin(client.request(get()))).collect();
    for call in &mut waiting {
        assert!(call.now_or_never().is_none());
    }
    let mut large = within(LIMIT);
    *large.body_mut() = vec![0; 4 * 1024 * 1024].into();
    let start = Instant::now();
    assert_eq!(client.request(large).await.map(drop), Err(CallError::Deadline { limit: LIMIT, sent: false }));
    assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
    for _ in 0..65 {
        assert_eq!(executor.call().await.params.get("bodyBase64"), None);
    }
    executor.settle(&client).await;
}

/// The disconnect is told, not the lost timer.
#[test]
fn a_body_with_a_deadline_outlives_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime();
    let mut body = first.block_on(async {
        let (client, mut executor) = connected().await;
        let (mut body, _) = open(&client, &mut executor).await;
        assert_eq!(body.chunk().now_or_never(), None, "it waits, with a timer");
        body
    });
    drop(first);
    let lost = Err(StreamError::Disconnected(Disconnect::Local));
    let (bytes, end) = runtime().block_on(read(&mut body));
    assert_eq!(bytes, b"");
    assert!(end == lost || end == Err(StreamError::Disconnected(Disconnect::Closed)), "{end:?}");
}
