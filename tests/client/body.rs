//! What a body makes of its frames.

use bytes::Bytes;
use exec_http::client::CallError;
use exec_http::protocol::delta::DeltaFault;
use exec_http::protocol::error::ErrorKind;
use exec_http::protocol::length::WrongLength;
use exec_http::protocol::limits::DELTA_BYTES;
use exec_http::protocol::stream::StreamError;
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::executor::{assert_nothing_held, connected, get, read};

/// Streams these deltas and compares what the consumer gets: bytes, then the end, which stays.
#[track_caller]
fn check(deltas: Vec<Value>, bytes: &str, end: Result<(), StreamError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let got = runtime.block_on(async {
        let (client, mut executor) = connected().await;
        let (mut body, id) = executor.open(&client).await;
        for delta in &deltas {
            executor.delta(&id, delta.clone()).await;
        }
        executor.settle(&client).await;
        let got = read(&mut body).await;
        assert_nothing_held(&client);
        got
    });
    assert_eq!(got, (bytes.as_bytes().to_vec(), end), "{deltas:?}");
}

fn data(seq: u64, text: &str) -> Value {
    json!({"seq": seq, "deltaBase64": text})
}

fn remote(message: &str) -> Result<(), StreamError> {
    Err(StreamError::Remote { message: message.into(), kind: None })
}

fn sequence(received: u64, expected: u64) -> Result<(), StreamError> {
    Err(StreamError::Sequence { received, expected })
}

/// STREAM-20, STREAM-21: recognised on arrival, told behind the frames before it.
#[test]
fn a_gap_a_repeat_and_a_wrong_start_end_the_stream() {
    check(vec![data(1, "YQ=="), data(3, "Yw=="), data(2, "Yg==")], "a", sequence(3, 2));
    check(vec![data(1, "YQ=="), data(1, "YQ=="), data(2, "Yg==")], "a", sequence(1, 2));
    check(vec![data(0, "YQ=="), data(1, "Yg==")], "", sequence(0, 1));
    check(vec![data(2, "YQ==")], "", sequence(2, 1));
    let terminal = |seq, error: Value| json!({"seq": seq, "deltaBase64": "YQ==", "done": true, "error": error});
    check(vec![terminal(2, Value::Null)], "", sequence(2, 1));
    check(vec![data(1, "YQ=="), terminal(1, json!("failed"))], "a", sequence(1, 2));
}

/// STREAM-15, STREAM-18, STREAM-29.
#[test]
fn bytes_of_the_terminal_frame_come_once_and_nothing_after() {
    let last = |seq| json!({"seq": seq, "deltaBase64": "Yg==", "done": true});
    check(vec![data(1, "YQ=="), last(2)], "ab", Ok(()));
    check(vec![data(1, "YQ=="), last(2), last(2), last(3), data(3, "Yw==")], "ab", Ok(()));
    check(vec![data(1, ""), data(2, "YQ=="), data(3, ""), last(4)], "ab", Ok(()));
    check(vec![last(1), json!({"seq": 2, "deltaBase64": "", "done": true, "error": "late"})], "b", Ok(()));
}

/// STREAM-14, STREAM-16, STREAM-17.
#[test]
fn an_error_ends_the_stream_behind_its_bytes_with_and_without_done() {
    for done in [json!({}), json!({"done": true}), json!({"done": false})] {
        for text in ["broke", ""] {
            let mut delta = json!({"seq": 2, "deltaBase64": "Yg==", "error": text});
            if let Some(done) = done.get("done") {
                delta["done"] = done.clone();
            }
            check(vec![data(1, "YQ=="), delta, data(3, "Yw==")], "ab", remote(text));
        }
    }
    let kind = json!({"seq": 1, "deltaBase64": "", "done": true, "error": "x", "errorKind": "truncated"});
    check(vec![kind], "", Err(StreamError::Remote { message: "x".into(), kind: Some(ErrorKind::Truncated) }));
    let null = json!({"seq": 1, "deltaBase64": "YQ==", "done": false, "error": null});
    check(vec![null, json!({"seq": 2, "deltaBase64": "", "done": true, "error": null})], "a", Ok(()));
}

/// STREAM-22, STREAM-23: the stream that is named ends, another one goes on.
#[tokio::test]
async fn a_malformed_frame_ends_only_the_stream_that_it_names() {
    let (client, mut executor) = connected().await;
    let (mut healthy, healthy_id) = executor.open(&client).await;
    executor.data(&healthy_id, 1, "a").await;
    let too_long = "A".repeat((DELTA_BYTES + 3) / 3 * 4);
    for malformed in [
        json!({"seq": 2}),
        json!({"seq": 2, "deltaBase64": null}),
        json!({"seq": 2, "deltaBase64": "YQ"}),
        json!({"seq": 2, "deltaBase64": "-_=="}),
        json!({"seq": 2, "deltaBase64": too_long}),
        json!({"seq": -1, "deltaBase64": ""}),
        json!({"seq": 1.5, "deltaBase64": ""}),
        json!({"deltaBase64": ""}),
        json!({"seq": 2, "deltaBase64": "", "done": 1}),
        json!({"seq": 2, "deltaBase64": "", "done": true, "error": 7}),
    ] {
        let (mut body, id) = executor.open(&client).await;
        executor.data(&id, 1, "before").await;
        let expected_too_long = malformed["deltaBase64"].as_str().is_some_and(|text| text.len() > DELTA_BYTES);
        executor.delta(&id, malformed).await;
        executor.end(&id, 2).await;
        match read(&mut body).await {
            (bytes, Err(StreamError::Malformed(fault))) => {
                assert_eq!(bytes, b"before");
                assert_eq!(fault == DeltaFault::TooLong, expected_too_long);
            }
            other => panic!("not told: {other:?}"),
        }
    }
    executor.data(&healthy_id, 2, "b").await;
    executor.end(&healthy_id, 3).await;
    assert_eq!(read(&mut healthy).await, (b"ab".to_vec(), Ok(())));
    assert_nothing_held(&client);
}

fn sized(status: u16, headers: &[(&str, &str)], body: &str) -> Value {
    let headers: Vec<_> = headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"status": status, "headers": headers, "bodyBase64": body})
}

/// STREAM-26.
#[tokio::test]
async fn a_streamed_body_of_the_wrong_length_has_no_clean_end() {
    let (client, mut executor) = connected().await;
    for (length, bytes, received) in [("3", "a", 1), ("0", "", 2), ("1", "", 2)] {
        let (mut body, id) = executor.open_with(&client, sized(200, &[("content-length", length)], "")).await;
        executor.data(&id, 1, if received == 1 { "a" } else { "ab" }).await;
        executor.end(&id, 2).await;
        let promised = length.parse().expect("a number");
        let wrong = StreamError::WrongLength(WrongLength { promised, received });
        assert_eq!(read(&mut body).await, (bytes.as_bytes().to_vec(), Err(wrong)));
        assert_nothing_held(&client);
    }
}

/// STREAM-27.
#[tokio::test]
async fn a_length_that_promises_nothing_is_not_checked() {
    let (client, mut executor) = connected().await;
    for (status, headers) in [
        (204, vec![("content-length", "9")]),
        (304, vec![("content-length", "9")]),
        (200, vec![("content-length", "9"), ("transfer-encoding", "chunked")]),
        (200, vec![("content-length", "9, 9")]),
        (200, vec![("content-length", "9"), ("content-length", "9")]),
    ] {
        let (mut body, id) = executor.open_with(&client, sized(status, &headers, "")).await;
        executor.end(&id, 1).await;
        assert_eq!(read(&mut body).await, (vec![], Ok(())), "{status} {headers:?}");
    }
    let mut request = get();
    *request.method_mut() = http::Method::HEAD;
    let (response, ()) = tokio::join!(client.request(request), async {
        let call = executor.call().await;
        executor.respond(&call, sized(200, &[("content-length", "9")], "")).await;
    });
    assert_eq!(response.expect("no body is due").into_body(), "");
}

/// STREAM-26 for buffered calls.
#[tokio::test]
async fn a_buffered_body_of_the_wrong_length_is_an_error() {
    let (client, mut executor) = connected().await;
    for (length, received) in [("2", 1), ("0", 1)] {
        let (result, ()) = tokio::join!(client.request(get()), async {
            let call = executor.call().await;
            executor.respond(&call, sized(200, &[("content-length", length)], "YQ==")).await;
        });
        let promised = length.parse().expect("a number");
        assert_eq!(result.expect_err("a lie"), CallError::WrongLength(WrongLength { promised, received }));
    }
}

/// RESPONSE-16.
#[tokio::test]
async fn bytes_in_the_response_of_a_streamed_call_are_none_of_its_body() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open_with(&client, sized(200, &[], "eA==")).await;
    executor.data(&id, 1, "a").await;
    executor.end(&id, 2).await;
    assert_eq!(read(&mut body).await, (b"a".to_vec(), Ok(())));
}

/// ROUTE-15: a receive that is dropped at every point where it waits loses nothing and repeats nothing.
#[tokio::test]
async fn a_receive_can_be_cancelled_and_repeated() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    let mut bytes = Vec::new();
    let mut seq = 0;
    for text in ["a", "b", "c"] {
        assert_eq!(body.chunk().now_or_never(), None);
        seq += 1;
        executor.data(&id, seq, text).await;
        assert_eq!(body.chunk().now_or_never(), None, "the frame is still under way");
        executor.settle(&client).await;
        bytes.extend(body.chunk().await.expect("a chunk").expect("no error"));
        assert_eq!(body.chunk().now_or_never(), None);
    }
    executor.delta(&id, json!({"seq": 4, "deltaBase64": "ZA==", "done": true, "error": "x"})).await;
    executor.settle(&client).await;
    assert_eq!(bytes, b"abc");
    assert_eq!(read(&mut body).await, (b"d".to_vec(), remote("x")));
}

#[tokio::test]
async fn a_body_is_a_stream_and_a_http_body() {
    let (client, mut executor) = connected().await;
    let (body, id) = executor.open(&client).await;
    executor.data(&id, 1, "a").await;
    executor.delta(&id, json!({"seq": 2, "deltaBase64": "Yg==", "done": true})).await;
    let whole = BodyExt::collect(body).await.expect("a whole body").to_bytes();
    assert_eq!(whole, "ab");

    let (mut body, id) = executor.open(&client).await;
    executor.data(&id, 1, "a").await;
    executor.delta(&id, json!({"seq": 2, "deltaBase64": "", "done": true, "error": "x"})).await;
    assert_eq!(body.next().await, Some(Ok(Bytes::from("a"))));
    assert_eq!(body.next().await.expect("an error").err(), remote("x").err());
    assert!(body.frame().await.expect("the same error").is_err());
}
