//! What the executor is told of calls that are given up (CANCEL-8, STREAM-31).

use exec_http::client::{Client, ClientConfig};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::executor::{Executor, connected_with, get, read};

/// A client of an executor that offers to cancel.
async fn connected() -> (Client, Executor) {
    connected_to(json!({"httpRequestCancel": true}), true).await
}

async fn connected_to(capabilities: Value, extensions: bool) -> (Client, Executor) {
    let config = ClientConfig { extensions, ..ClientConfig::default() };
    connected_with(config, json!({"sessionId": "s", "capabilities": capabilities})).await
}

/// The next message, which must be a cancel request, and the `requestId` that it names.
async fn cancel(executor: &mut Executor) -> (Value, String) {
    let mut message = executor.next().await.expect("the connection is open");
    assert_eq!(message["method"], "http/request/cancel");
    let request_id = message["params"]["requestId"].as_str().expect("a text").to_owned();
    (message["id"].take(), request_id)
}

#[tokio::test]
async fn a_stream_dropped_before_its_end_is_cancelled_once_and_nobody_waits_for_the_answer() {
    let (client, mut executor) = connected().await;
    let (body, request_id) = executor.open(&client).await;
    executor.data(&request_id, 1, "part").await;
    drop(body);
    let (id, named) = cancel(&mut executor).await;
    assert_eq!(named, request_id);
    // The call would be stuck behind an answer that the client waited for.
    executor.settle(&client).await;
    executor.send(json!({"id": id, "result": {"cancelled": true}})).await;
    executor.settle(&client).await;
    assert_eq!(client.usage().routes, 0);
}

#[tokio::test]
async fn calls_given_up_before_their_answers_are_cancelled() {
    let (client, mut executor) = connected().await;
    for streamed in [true, false] {
        let mut stream = Box::pin(client.stream(get()));
        let mut request = Box::pin(client.request(get()));
        if streamed {
            assert!(stream.as_mut().now_or_never().is_none());
        } else {
            assert!(request.as_mut().now_or_never().is_none());
        }
        let call = executor.call().await;
        drop((stream, request));
        let (id, named) = cancel(&mut executor).await;
        assert_eq!(named, call.request_id());
        executor.send(json!({"id": id, "error": {"code": -32601, "message": "method not found"}})).await;
    }
    executor.settle(&client).await;
}

#[tokio::test]
async fn what_the_executor_has_ended_is_not_cancelled() {
    let (client, mut executor) = connected().await;
    let (mut whole, first) = executor.open(&client).await;
    let (mut failed, second) = executor.open(&client).await;
    let (unread, third) = executor.open(&client).await;
    for request_id in [&first, &third] {
        executor.data(request_id, 1, "x").await;
        executor.end(request_id, 2).await;
    }
    executor.delta(&second, json!({"seq": 1, "deltaBase64": "", "done": true, "error": "reset"})).await;
    executor.settle(&client).await;
    assert_eq!(read(&mut whole).await, (b"x".to_vec(), Ok(())));
    assert!(read(&mut failed).await.1.is_err());
    drop((whole, failed, unread));
    let (refused, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.refuse(&call, json!({"code": -32603, "message": "refused"})).await;
    });
    assert!(refused.is_err());
    // A cancel request would come first.
    executor.settle(&client).await;
}

/// The frames of a stream that failed on this side alone go on and on.
#[tokio::test]
async fn a_stream_that_failed_on_this_side_is_cancelled() {
    let (client, mut executor) = connected().await;
    let (mut body, request_id) = executor.open(&client).await;
    executor.data(&request_id, 7, "not the first").await;
    executor.settle(&client).await;
    assert!(read(&mut body).await.1.is_err());
    assert_eq!(cancel(&mut executor).await.1, request_id);
}

#[tokio::test]
async fn an_executor_that_does_not_offer_it_is_not_told_and_neither_is_one_whose_offer_is_not_wanted() {
    for (capabilities, extensions) in [
        (Value::Null, true),
        (json!({}), true),
        (json!({"httpRequestCancel": false}), true),
        (json!({"httpRequestCancel": "true"}), true),
        (json!({"httpRequestCancel": true}), false),
    ] {
        let (client, mut executor) = connected_to(capabilities, extensions).await;
        let (body, _) = executor.open(&client).await;
        drop(body);
        // Memory keeps the order: a cancel request would come first.
        executor.settle(&client).await;
    }
}

#[test]
fn a_body_dropped_on_a_plain_thread_is_cancelled_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (client, mut executor) = runtime.block_on(connected());
    let (body, request_id) = runtime.block_on(executor.open(&client));
    std::thread::spawn(move || drop(body)).join().expect("no panic");
    assert_eq!(runtime.block_on(cancel(&mut executor)).1, request_id);
}
