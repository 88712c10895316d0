//! The end of a connection: who learns of it, how, and what closes it.

use exec_http::client::CallError;
use exec_http::protocol::limits::QUEUE_FRAMES;
use exec_http::protocol::stream::{Disconnect, StreamError};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::executor::{Executor, assert_nothing_held, connected, disconnect_of, get, head, read};

/// CLOSE-8, CLOSE-9: with an empty, a partly filled and a full queue.
#[tokio::test]
async fn every_open_stream_ends_with_the_disconnect_behind_its_frames() {
    for frames in [0, 1, 7, QUEUE_FRAMES] {
        let (client, mut executor) = connected().await;
        let (mut body, id) = executor.open(&client).await;
        let (mut waiting, _) = executor.open(&client).await;
        for seq in 1..=frames as u64 {
            executor.data(&id, seq, "x").await;
        }
        executor.close().await;
        let lost = Err(StreamError::Disconnected(Disconnect::Closed));
        assert_eq!(read(&mut waiting).await, (vec![], lost.clone()));
        assert_eq!(read(&mut body).await, (vec![b'x'; frames], lost));
        assert_nothing_held(&client);
    }
}

/// CLOSE-10, CLOSE-11, CLOSE-12, ROUTE-18.
#[tokio::test]
async fn a_pending_call_is_told_that_its_outcome_is_unknown_and_a_later_one_is_not_sent() {
    let (client, mut executor) = connected().await;
    let (result, ()) = tokio::join!(client.request(get()), async {
        executor.call().await;
        executor.close().await;
    });
    let error = result.as_ref().expect_err("the connection is gone").to_string();
    assert!(error.contains("outcome is unknown"), "{error}");
    assert_eq!(disconnect_of(result), (Disconnect::Closed, true));
    assert_eq!(disconnect_of(client.request(get()).await), (Disconnect::Closed, false));
    assert_eq!(disconnect_of(client.stream(get()).await), (Disconnect::Closed, false));
    assert_nothing_held(&client);
}

/// CLOSE-13.
#[tokio::test]
async fn a_disconnect_after_the_terminal_frame_changes_nothing() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    executor.data(&id, 1, "a").await;
    executor.end(&id, 2).await;
    executor.close().await;
    assert!(client.request(get()).await.is_err());
    assert_eq!(read(&mut body).await, (b"a".to_vec(), Ok(())));
}

/// A response and a disconnect back to back: the call succeeds, its body tells.
#[tokio::test]
async fn a_response_before_the_disconnect_is_kept() {
    let (client, mut executor) = connected().await;
    let (response, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        executor.close().await;
    });
    let mut body = response.expect("the answer came first").into_body();
    assert_eq!(read(&mut body).await, (vec![], Err(StreamError::Disconnected(Disconnect::Closed))));
}

/// Whatever the executor sent before it closed is delivered, also when the client finds out by a failed write.
#[tokio::test]
async fn frames_before_a_failed_write_are_delivered() {
    for frames in [1, 60] {
        let (client, mut executor) = connected().await;
        let (mut body, id) = executor.open(&client).await;
        for seq in 1..=frames {
            executor.data(&id, seq, "x").await;
        }
        executor.end(&id, frames + 1).await;
        drop(executor);
        assert_eq!(disconnect_of(client.request(get()).await), (Disconnect::Closed, true));
        let whole = vec![b'x'; usize::try_from(frames).expect("few")];
        assert_eq!(read(&mut body).await, (whole, Ok(())));
    }
}

/// Sends this text while a call and a stream are open: both must end with the same reason, and the transport must close.
async fn ends_the_connection(text: &str) -> Disconnect {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    executor.data(&id, 1, "x").await;
    let (result, ()) = tokio::join!(client.request(get()), async {
        executor.call().await;
        executor.send_text(text).await;
        assert_eq!(executor.next().await, None, "the transport is closed");
    });
    let (reason, sent) = disconnect_of(result);
    assert!(sent);
    assert_eq!(read(&mut body).await, (b"x".to_vec(), Err(StreamError::Disconnected(reason.clone()))));
    reason
}

/// ENVELOPE-22, STREAM-25.
#[tokio::test]
async fn a_frame_that_is_no_message_ends_everything() {
    for text in [
        "",
        "{",
        "[]",
        "7",
        "{}",
        r#"{"id":1}"#,
        r#"{"id":1.5,"result":{}}"#,
        r#"{"id":1,"id":1,"result":{}}"#,
        r#"{"method":"http/request/bodyDelta"}"#,
        r#"{"method":"http/request/bodyDelta","params":null}"#,
        r#"{"method":"http/request/bodyDelta","params":{"requestId":1,"seq":1,"deltaBase64":""}}"#,
    ] {
        let reason = ends_the_connection(text).await;
        assert!(matches!(reason, Disconnect::Malformed(_)), "{text}: {reason:?}");
    }
}

/// ENVELOPE-23.
#[tokio::test]
async fn an_error_that_names_no_call_ends_everything() {
    for id in ["-1", "null"] {
        let text = format!(r#"{{"id":{id},"error":{{"code":-32600,"message":"what?"}}}}"#);
        let reason = ends_the_connection(&text).await;
        assert!(matches!(reason, Disconnect::Unreadable(_)), "{reason:?}");
    }
}

/// ROUTE-19: an answer that reads like a disconnect is an answer.
#[tokio::test]
async fn no_answer_is_mistaken_for_a_disconnect() {
    let (client, mut executor) = connected().await;
    let (result, ()) = tokio::join!(client.request(get()), async {
        let call = executor.call().await;
        executor.refuse(&call, json!({"code": -32000, "message": "JSON-RPC transport closed"})).await;
    });
    assert!(matches!(result, Err(CallError::Executor(error)) if error.code == -32000));
    executor.settle(&client).await;
}

/// ENVELOPE-24.
#[tokio::test]
async fn requests_and_notifications_of_the_executor_do_no_harm() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    executor.send(json!({"method": "process/output", "params": {"requestId": id}})).await;
    for request in [json!(0), json!("a"), json!(-1)] {
        executor.send(json!({"id": request, "method": "network/policyRequest", "params": {}})).await;
        let reply = executor.next().await.expect("an answer");
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&request, &json!(-32601)));
    }
    executor.end(&id, 1).await;
    assert_eq!(read(&mut body).await, (vec![], Ok(())));
}

/// An executor that asks and never reads the answers is cut off; nothing grows, and reading never waits for writing.
#[tokio::test]
async fn unread_answers_are_bounded() {
    let (client, mut executor) = connected().await;
    let mut pending = Box::pin(client.request(get()));
    assert!(pending.as_mut().now_or_never().is_none());
    let mut asked = 0;
    while executor.try_send_text(r#"{"id":1,"method":"m"}"#).await {
        asked += 1;
        assert!(asked < 1000, "every request found room");
    }
    let (reason, _) = disconnect_of(pending.await);
    assert!(matches!(reason, Disconnect::Transport(_)), "{reason:?}");
}

/// The connection lives as long as a client or a body of it.
#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    let clone = client.clone();
    drop(client);
    executor.settle(&clone).await;
    drop(clone);
    executor.data(&id, 1, "a").await;
    assert_eq!(body.chunk().await, Some(Ok("a".into())));
    assert_eq!(executor.next().now_or_never(), None::<Option<Value>>, "the body keeps the connection");
    drop(body);
    assert_eq!(executor.next().await, None);
}

/// A request that was accepted before the last handle went away is still written.
#[tokio::test]
async fn what_was_sent_is_flushed_before_the_connection_closes() {
    let (client, mut executor) = connected().await;
    let mut pending = Box::pin(client.request(get()));
    assert!(pending.as_mut().now_or_never().is_none());
    drop(pending);
    drop(client);
    executor.call().await;
    assert_eq!(executor.next().await, None);
}

/// A body whose runtime is gone ends; it does not wait for ever.
#[test]
fn a_body_outlives_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime();
    let (client, mut executor): (_, Executor) = first.block_on(connected());
    let (mut body, id) = first.block_on(executor.open(&client));
    first.block_on(async {
        executor.data(&id, 1, "a").await;
        executor.settle(&client).await;
    });
    drop(first);
    let lost = Err(StreamError::Disconnected(Disconnect::Local));
    assert_eq!(runtime().block_on(read(&mut body)), (b"a".to_vec(), lost));
    assert_eq!(disconnect_of(runtime().block_on(client.request(get()))), (Disconnect::Local, false));
    assert_nothing_held(&client);
}
