//! Credit: what executors that keep to one are allowed, and told (CREDIT-9 to CREDIT-12).

use exec_http::client::{Body, Client, ClientConfig};
use exec_http::protocol::limits::{CREDIT_FIRST_BYTES, QUEUE_FRAMES};
use exec_http::protocol::stream::StreamError;
use serde_json::{Value, json};

use crate::executor::{Executor, assert_nothing_held, connected_with, get, head, read};

async fn connected(config: ClientConfig) -> (Client, Executor) {
    connected_with(config, json!({"sessionId": "s", "capabilities": {"httpBodyCredit": true}})).await
}

/// A stream, its `requestId` and what its request allows.
async fn open(client: &Client, executor: &mut Executor) -> (Body, String, u64) {
    let (response, (request_id, credit)) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        (call.request_id().to_owned(), call.params["creditBytes"].as_u64().expect("a count"))
    });
    (response.expect("a response").into_body(), request_id, credit)
}

/// The next message, which must be a credit notification for that stream.
async fn credit(executor: &mut Executor, request_id: &str) -> u64 {
    let message = executor.next().await.expect("the connection is open");
    assert_eq!((&message["method"], &message["id"]), (&json!("http/request/credit"), &Value::Null));
    assert_eq!(message["params"]["requestId"], request_id);
    message["params"]["bytes"].as_u64().filter(|bytes| *bytes > 0).expect("a count")
}

#[tokio::test]
async fn only_an_executor_that_offers_it_hears_of_credit() {
    for (capabilities, extensions) in
        [(json!({"httpBodyCredit": true}), false), (json!({"httpBodyCredit": "true"}), true), (Value::Null, true)]
    {
        let config = ClientConfig { extensions, ..ClientConfig::default() };
        let (client, mut executor) =
            connected_with(config, json!({"sessionId": "s", "capabilities": capabilities})).await;
        let call = tokio::join!(client.stream(get()), async {
            let call = executor.call().await;
            executor.respond(&call, head()).await;
            call
        });
        assert_eq!(call.1.params.get("creditBytes"), None);
    }
    let (client, mut executor) = connected(ClientConfig::default()).await;
    let (response, params) = tokio::join!(client.request(get()), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        call.params
    });
    response.expect("a response");
    assert_eq!(params.get("creditBytes"), None, "a buffered body needs none");
}

#[tokio::test]
async fn a_slow_consumer_loses_nothing_in_any_number_of_frames() {
    let (client, mut executor) = connected(ClientConfig::default()).await;
    let (mut body, id, first) = open(&client, &mut executor).await;
    assert_eq!(first, CREDIT_FIRST_BYTES);
    let frames = QUEUE_FRAMES as u64 * 4;
    for seq in 1..=frames {
        executor.data(&id, seq, [seq as u8]).await;
    }
    let rest = usize::try_from(first - frames).expect("the first credit is small");
    executor.data(&id, frames + 1, vec![b'x'; rest]).await;
    executor.settle(&client).await;
    assert_eq!(client.usage().queued_bytes as u64, first);
    executor.end(&id, frames + 2).await;
    executor.settle(&client).await;
    let (bytes, end) = read(&mut body).await;
    let expected: Vec<u8> = (1..=frames).map(|seq| seq as u8).chain(vec![b'x'; rest]).collect();
    assert!(bytes == expected && end == Ok(()), "{end:?}");
    assert_nothing_held(&client);
}

#[tokio::test]
async fn credit_grows_with_a_consumer_that_keeps_up() {
    let (client, mut executor) = connected(ClientConfig::default()).await;
    let (mut body, id, first) = open(&client, &mut executor).await;
    let (mut allowed, mut sent, mut seq) = (first, 0, 0);
    while sent < 8 << 20 {
        let frame = usize::try_from(allowed - sent).expect("windows are small").min(100_000);
        seq += 1;
        executor.data(&id, seq, vec![b'x'; frame]).await;
        sent += frame as u64;
        let mut received = 0;
        while received < frame {
            received += body.chunk().await.expect("more").expect("no error").len();
        }
        while allowed == sent {
            allowed += credit(&mut executor, &id).await;
        }
    }
    assert!(allowed - sent <= 1 << 20 && allowed > sent);
}

#[tokio::test]
async fn a_frame_beyond_the_credit_ends_its_stream_behind_those_before_it() {
    let (client, mut executor) = connected(ClientConfig::default()).await;
    let (mut other, other_id, _) = open(&client, &mut executor).await;
    let (mut body, id, first) = open(&client, &mut executor).await;
    let first = usize::try_from(first).expect("small");
    executor.data(&id, 1, vec![b'x'; first - 1]).await;
    executor.data(&id, 2, "xx").await;
    executor.data(&other_id, 1, "a").await;
    executor.end(&other_id, 2).await;
    executor.settle(&client).await;
    let beyond = StreamError::BeyondCredit { received: 2, allowed: 1 };
    assert_eq!(read(&mut body).await, (vec![b'x'; first - 1], Err(beyond)));
    assert_eq!(read(&mut other).await, (b"a".to_vec(), Ok(())));
    drop((body, other));
    assert_nothing_held(&client);
}

#[tokio::test]
async fn all_streams_together_are_allowed_no_more_than_fits() {
    let config = ClientConfig { queue_bytes: 1 << 20, calls: 256, ..ClientConfig::default() };
    let (client, mut executor) = connected(config).await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(open(&client, &mut executor).await);
    }
    let all: u64 = streams.iter().map(|(_, _, first)| first).sum();
    assert!(all <= 1 << 20, "{all}");
    for (_, id, first) in &streams {
        executor.data(id, 1, vec![b'x'; usize::try_from(*first).expect("small")]).await;
        executor.end(id, 2).await;
    }
    for (body, _, first) in &mut streams {
        let (bytes, end) = read(body).await;
        assert_eq!((bytes.len() as u64, end), (*first, Ok(())));
    }
}

#[tokio::test]
async fn an_ended_or_dropped_stream_is_allowed_nothing_more() {
    let (client, mut executor) = connected(ClientConfig::default()).await;
    let (mut ended, id, first) = open(&client, &mut executor).await;
    executor.data(&id, 1, vec![b'x'; usize::try_from(first).expect("small")]).await;
    executor.end(&id, 2).await;
    executor.settle(&client).await;
    read(&mut ended).await.1.expect("whole");
    let (dropped, id, first) = open(&client, &mut executor).await;
    executor.data(&id, 1, vec![b'x'; usize::try_from(first).expect("small")]).await;
    drop(dropped);
    // The next message is the call that this sends.
    executor.settle(&client).await;
}
