//! Which call an answer or a frame belongs to, and what is left when a call is gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use exec_http::client::{CallError, ClientConfig};
use exec_http::protocol::error::ErrorKind;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::executor::{assert_nothing_held, connected, connected_with, get, head, read};

/// ROUTE-1.
#[tokio::test]
async fn frames_before_the_response_are_delivered() {
    let (client, mut executor) = connected().await;
    let (response, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.data(call.request_id(), 1, "early").await;
        executor.end(call.request_id(), 2).await;
        executor.respond(&call, head()).await;
    });
    let mut body = response.expect("a response").into_body();
    assert_eq!(read(&mut body).await, (b"early".to_vec(), Ok(())));
    assert_nothing_held(&client);
}

/// ROUTE-2, STREAM-24.
#[tokio::test]
async fn frames_without_a_route_are_ignored_even_when_malformed() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    executor.data(&id, 1, "a").await;
    let number = id.strip_prefix("http-").expect("the client's form");
    for other in ["", "http-", "http-999", &format!("http-0{number}"), &format!("HTTP-{number}"), &format!("{id} ")] {
        executor.data(other, 1, "not mine").await;
        executor.delta(other, json!({"seq": "x", "deltaBase64": "%"})).await;
        executor.delta(other, json!({})).await;
    }
    executor.end(&id, 2).await;
    assert_eq!(read(&mut body).await, (b"a".to_vec(), Ok(())));
}

/// ROUTE-3, ID-6: whatever happens to a call, its ids are its own for the life of the connection.
#[tokio::test]
async fn ids_are_never_used_twice() {
    let (client, mut executor) = connected().await;
    let mut ids = BTreeSet::new();
    let mut bodies = Vec::new();
    for round in 0..300 {
        let buffered = round % 3 == 0;
        let (_, call) = tokio::join!(
            async {
                if buffered {
                    client.request(get()).await.expect("a response");
                } else {
                    bodies.push(client.stream(get()).await.expect("a response").into_body());
                }
            },
            async {
                let call = executor.call().await;
                executor.respond(&call, head()).await;
                call
            }
        );
        assert!(ids.insert(call.id.to_string()), "the id {} came twice", call.id);
        assert!(ids.insert(call.request_id().to_owned()), "the requestId {} came twice", call.request_id());
        if round % 7 == 0 {
            bodies.clear();
        }
    }
}

/// PARAMS-28.
#[tokio::test]
async fn a_buffered_call_asks_for_no_stream_and_has_a_text_request_id() {
    let (client, mut executor) = connected().await;
    let (_, call) = tokio::join!(client.request(get()), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        call
    });
    assert_eq!(call.params["streamResponse"], false);
    assert!(call.params["requestId"].is_string());
}

/// ROUTE-4: the late response and the late frames of a cancelled call change nothing.
#[tokio::test]
async fn a_call_cancelled_before_its_response_leaves_nothing() {
    let (client, mut executor) = connected().await;
    let mut pending = Box::pin(client.stream(get()));
    assert!(pending.as_mut().now_or_never().is_none());
    let call = executor.call().await;
    executor.data(call.request_id(), 1, "early").await;
    executor.settle(&client).await;
    assert_eq!(client.usage().routes, 1);
    drop(pending);
    assert_nothing_held(&client);
    executor.respond(&call, head()).await;
    executor.data(call.request_id(), 2, "late").await;
    executor.delta(call.request_id(), json!({"seq": "malformed"})).await;
    executor.settle(&client).await;
    assert_nothing_held(&client);
}

/// ROUTE-5: late frames of a dropped stream reach nobody, the next stream in its slot included.
#[tokio::test]
async fn a_dropped_stream_leaves_nothing_to_the_next_one() {
    let (client, mut executor) = connected().await;
    let (body, old) = executor.open(&client).await;
    executor.data(&old, 1, "waits").await;
    executor.settle(&client).await;
    assert_eq!(client.usage().routes, 1);
    drop(body);
    assert_nothing_held(&client);
    let (mut body, new) = executor.open(&client).await;
    executor.data(&old, 1, "old").await;
    executor.data(&new, 1, "new").await;
    executor.data(&old, 9, "old").await;
    executor.end(&new, 2).await;
    assert_eq!(read(&mut body).await, (b"new".to_vec(), Ok(())));
    assert_nothing_held(&client);
}

/// ROUTE-6.
#[test]
fn a_body_dropped_on_a_plain_thread_releases_everything_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (client, mut executor) = runtime.block_on(connected());
    let body = runtime.block_on(async {
        let (body, id) = executor.open(&client).await;
        executor.data(&id, 1, "waits").await;
        executor.settle(&client).await;
        body
    });
    assert_eq!(client.usage().routes, 1);
    let client = std::thread::spawn(move || {
        assert!(tokio::runtime::Handle::try_current().is_err(), "no runtime here");
        drop(body);
        assert_nothing_held(&client);
        client
    });
    client.join().expect("the drop does not panic");
}

/// ROUTE-7, ERROR-17.
#[tokio::test]
async fn an_error_answer_reaches_the_caller_and_releases_the_route() {
    let (client, mut executor) = connected().await;
    for (data, kind) in
        [(json!({"kind": "dns"}), Some(ErrorKind::Dns)), (json!({"kind": "a later word"}), None), (Value::Null, None)]
    {
        let (result, ()) = tokio::join!(client.stream(get()), async {
            let call = executor.call().await;
            executor.data(call.request_id(), 1, "never").await;
            executor.refuse(&call, json!({"code": -32603, "message": "no such host", "data": data})).await;
            executor.data(call.request_id(), 2, "never").await;
        });
        match result {
            Err(CallError::Executor(error)) => {
                assert_eq!((error.code, error.message.as_str(), error.kind), (-32603, "no such host", kind));
            }
            other => panic!("no error answer: {other:?}"),
        }
        assert_nothing_held(&client);
    }
}

/// ID-7, ORDER-12.
#[tokio::test]
async fn answers_are_joined_by_id_alone() {
    let (client, mut executor) = connected().await;
    let body = |text: &str| json!({"status": 200, "headers": [], "bodyBase64": text});
    let (first, second, ()) = tokio::join!(client.request(get()), client.request(get()), async {
        let (a, b) = (executor.call().await, executor.call().await);
        executor.send(json!({"id": 987_654, "result": body("eA==")})).await;
        executor.send(json!({"id": a.id.to_string(), "result": body("eA==")})).await;
        executor.send(json!({"id": -2, "error": {"code": 1, "message": "x"}})).await;
        executor.respond(&b, body("Yg==")).await;
        executor.respond(&b, body("eA==")).await;
        executor.respond(&a, body("YQ==")).await;
    });
    assert_eq!(first.expect("a response").into_body(), "a");
    assert_eq!(second.expect("a response").into_body(), "b");
    executor.settle(&client).await;
    assert_nothing_held(&client);
}

/// ENVELOPE-21.
#[tokio::test]
async fn no_notification_but_initialized_is_sent() {
    let (client, mut executor) = connected().await;
    let (mut read_to_end, id) = executor.open(&client).await;
    executor.end(&id, 1).await;
    assert_eq!(read(&mut read_to_end).await, (vec![], Ok(())));
    let (dropped, _) = executor.open(&client).await;
    drop(dropped);
    let mut cancelled = Box::pin(client.request(get()));
    assert!(cancelled.as_mut().now_or_never().is_none());
    drop(cancelled);
    drop((client, read_to_end));
    executor.call().await;
    assert_eq!(executor.next().await, None);
}

/// LIMIT-13.
#[tokio::test]
async fn calls_in_flight_are_bounded() {
    let config = ClientConfig { calls: 2, ..ClientConfig::default() };
    let (client, mut executor) = connected_with(config, json!({"sessionId": "s"})).await;
    let held = [executor.open(&client).await, executor.open(&client).await];
    assert_eq!(client.request(get()).await.expect_err("a bound"), CallError::TooManyCalls);
    drop(held);
    executor.settle(&client).await;
}

/// ROUTE-17. A table that is copied for each stream would take sixty-four times as long for eight times the streams.
#[tokio::test]
async fn many_streams_cost_time_in_proportion() {
    let (client, _executor) = connected().await;
    let round = |streams: usize| {
        let start = Instant::now();
        let mut calls: Vec<_> = (0..streams).map(|_| Box::pin(client.stream(get()))).collect();
        for call in &mut calls {
            assert!(call.as_mut().now_or_never().is_none());
        }
        assert_eq!(client.usage().routes, streams);
        drop(calls);
        assert_eq!(client.usage().routes, 0);
        start.elapsed()
    };
    // The fastest rounds count, and a busy machine gets some more: a quadratic cost would be 64 times as much in every round.
    let (mut few, mut many) = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        (few, many) = (few.min(round(2_000)), many.min(round(16_000)));
        if many < few * 32 {
            return;
        }
    }
    panic!("{few:?} for 2,000 streams and {many:?} for 16,000");
}
