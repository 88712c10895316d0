//! What waits for a slow consumer: its bounds, who pays, and what is returned.

use exec_http::client::{Client, ClientConfig, QueuePolicy};
use exec_http::protocol::limits::{DELTA_BYTES, FRAME_CHARGE_BYTES, QUEUE_BYTES, QUEUE_FRAMES};
use exec_http::protocol::stream::{Overflow, StreamError};
use serde_json::json;

use crate::executor::{Executor, assert_nothing_held, connected, connected_with, get, head, read};

/// Sends `frames` frames of one byte, from `seq` 1.
async fn small_frames(executor: &mut Executor, id: &str, frames: usize) {
    for seq in 1..=frames {
        executor.data(id, seq as u64, "x").await;
    }
}

/// ROUTE-8.
#[tokio::test]
async fn one_frame_too_many_ends_that_stream_behind_the_waiting_ones() {
    let (client, mut executor) = connected().await;
    let (mut slow, slow_id) = executor.open(&client).await;
    let (mut other, other_id) = executor.open(&client).await;
    small_frames(&mut executor, &slow_id, QUEUE_FRAMES + 1).await;
    executor.end(&slow_id, QUEUE_FRAMES as u64 + 2).await;
    executor.data(&other_id, 1, "a").await;
    executor.end(&other_id, 2).await;
    executor.settle(&client).await;
    let overflow = StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES));
    assert_eq!(read(&mut slow).await, (vec![b'x'; QUEUE_FRAMES], Err(overflow)));
    assert_eq!(read(&mut other).await, (b"a".to_vec(), Ok(())));
    assert_nothing_held(&client);
}

/// ROUTE-9, ROUTE-12: the end and the last bytes have a place of their own.
#[tokio::test]
async fn a_full_queue_and_a_terminal_frame_complete() {
    let (client, mut executor) = connected().await;
    for (data, error, end) in [
        ("", None, Ok(())),
        ("eA==", None, Ok(())),
        ("eA==", Some("reset"), Err(StreamError::Remote { message: "reset".into(), kind: None })),
    ] {
        let (mut body, id) = executor.open(&client).await;
        small_frames(&mut executor, &id, QUEUE_FRAMES).await;
        let last = json!({"seq": QUEUE_FRAMES + 1, "deltaBase64": data, "done": true, "error": error});
        executor.delta(&id, last).await;
        executor.settle(&client).await;
        let bytes = QUEUE_FRAMES + usize::from(!data.is_empty());
        assert_eq!(read(&mut body).await, (vec![b'x'; bytes], end));
    }
    assert_nothing_held(&client);
}

/// STREAM-29: frames without bytes take no place.
#[tokio::test]
async fn empty_frames_do_not_fill_the_queue() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    for seq in 1..=QUEUE_FRAMES as u64 * 2 {
        executor.data(&id, seq, "").await;
    }
    executor.end(&id, QUEUE_FRAMES as u64 * 2 + 1).await;
    executor.settle(&client).await;
    assert_eq!(read(&mut body).await, (vec![], Ok(())));
}

/// Fills the whole byte budget with one stream's frames.
async fn fill_budget(client: &Client, executor: &mut Executor, id: &str) {
    let chunk = vec![b'h'; DELTA_BYTES];
    for seq in 1..=QUEUE_BYTES / DELTA_BYTES {
        executor.data(id, seq as u64, &chunk).await;
    }
    executor.settle(client).await;
    assert_eq!(client.usage().queued_bytes, QUEUE_BYTES);
}

/// ROUTE-11, ROUTE-13: the stream that holds most pays, a stream that is read completes.
#[tokio::test]
async fn an_unread_stream_pays_for_the_budget_that_it_holds() {
    let (client, mut executor) = connected().await;
    let (mut hoarder, hoarder_id) = executor.open(&client).await;
    let (mut reading, reading_id) = executor.open(&client).await;
    fill_budget(&client, &mut executor, &hoarder_id).await;
    executor.data(&reading_id, 1, vec![b'r'; DELTA_BYTES]).await;
    executor.settle(&client).await;
    assert_eq!(client.usage().queued_bytes, DELTA_BYTES);
    executor.end(&reading_id, 2).await;
    assert_eq!(read(&mut reading).await, (vec![b'r'; DELTA_BYTES], Ok(())));
    let overflow = StreamError::Overflow(Overflow::Bytes(QUEUE_BYTES));
    assert_eq!(read(&mut hoarder).await, (vec![], Err(overflow)));
    assert_nothing_held(&client);
}

/// ROUTE-10: the stream's own next frame does not fit, so it ends behind what waits.
#[tokio::test]
async fn the_budget_is_never_exceeded() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    fill_budget(&client, &mut executor, &id).await;
    executor.data(&id, QUEUE_BYTES as u64 / DELTA_BYTES as u64 + 1, "x").await;
    executor.settle(&client).await;
    assert_eq!(client.usage().queued_bytes, QUEUE_BYTES);
    let (bytes, end) = read(&mut body).await;
    assert_eq!((bytes.len(), end), (QUEUE_BYTES, Err(StreamError::Overflow(Overflow::Bytes(QUEUE_BYTES)))));
    assert_nothing_held(&client);
}

/// ROUTE-12: an end without bytes needs no budget.
#[tokio::test]
async fn ends_are_kept_with_the_budget_used_up() {
    let (client, mut executor) = connected().await;
    let (mut hoarder, hoarder_id) = executor.open(&client).await;
    let (mut failing, failing_id) = executor.open(&client).await;
    fill_budget(&client, &mut executor, &hoarder_id).await;
    let text = "a long text ".repeat(1000);
    executor.delta(&failing_id, json!({"seq": 1, "deltaBase64": "", "done": true, "error": text})).await;
    executor.end(&hoarder_id, QUEUE_BYTES as u64 / DELTA_BYTES as u64 + 1).await;
    executor.settle(&client).await;
    let remote = StreamError::Remote { message: text, kind: None };
    assert_eq!(read(&mut failing).await, (vec![], Err(remote)));
    let (bytes, end) = read(&mut hoarder).await;
    assert_eq!((bytes.len(), end), (QUEUE_BYTES, Ok(())));
}

/// ROUTE-12: last bytes that do not fit are lost, but the body failed anyway and keeps its own reason.
#[tokio::test]
async fn an_error_is_kept_where_its_bytes_do_not_fit() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    fill_budget(&client, &mut executor, &id).await;
    let seq = QUEUE_BYTES / DELTA_BYTES + 1;
    executor.delta(&id, json!({"seq": seq, "deltaBase64": "eA==", "done": true, "error": "reset"})).await;
    executor.settle(&client).await;
    let remote = StreamError::Remote { message: "reset".into(), kind: None };
    let (bytes, end) = read(&mut body).await;
    assert_eq!((bytes.len(), end), (QUEUE_BYTES, Err(remote)));
}

/// ROUTE-10: consuming, dropping and failing return a stream's share; small frames are charged a minimum.
#[tokio::test]
async fn the_budget_is_returned() {
    let (client, mut executor) = connected().await;
    let (mut body, id) = executor.open(&client).await;
    let (dropped, dropped_id) = executor.open(&client).await;
    small_frames(&mut executor, &id, 3).await;
    small_frames(&mut executor, &dropped_id, 2).await;
    executor.settle(&client).await;
    assert_eq!(client.usage().queued_bytes, 5 * FRAME_CHARGE_BYTES);
    drop(dropped);
    assert_eq!(client.usage().queued_bytes, 3 * FRAME_CHARGE_BYTES);
    body.chunk().await.expect("a chunk").expect("no error");
    assert_eq!(client.usage().queued_bytes, 2 * FRAME_CHARGE_BYTES);
    executor.data(&id, 9, "a gap").await;
    executor.settle(&client).await;
    assert!(matches!(read(&mut body).await, (_, Err(StreamError::Sequence { received: 9, expected: 4 }))));
    assert_nothing_held(&client);
}

async fn paused() -> (Client, Executor) {
    let config = ClientConfig {
        queue_policy: QueuePolicy::Pause,
        queue_frames: 2,
        queue_bytes: DELTA_BYTES,
        ..ClientConfig::default()
    };
    connected_with(config, json!({"sessionId": "s"})).await
}

/// ROUTE-14.
#[tokio::test]
async fn with_pause_a_slow_consumer_gets_everything() {
    let (client, mut executor) = paused().await;
    let (mut body, id) = executor.open(&client).await;
    let large = vec![b'y'; DELTA_BYTES / 2 + 1];
    let (got, ()) = tokio::join!(read(&mut body), async {
        small_frames(&mut executor, &id, 1000).await;
        for seq in 1001..=1010 {
            executor.data(&id, seq, &large).await;
        }
        executor.end(&id, 1011).await;
    });
    assert_eq!((got.0.len(), got.1), (1000 + 10 * large.len(), Ok(())));
    assert_nothing_held(&client);
}

/// ROUTE-1 and ROUTE-14: frames ahead of the response cannot stop the reader on its way to the response.
#[tokio::test]
async fn with_pause_frames_before_the_response_end_the_stream_and_not_the_connection() {
    let (client, mut executor) = paused().await;
    let (response, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        small_frames(&mut executor, call.request_id(), 3).await;
        executor.respond(&call, head()).await;
    });
    let mut body = response.expect("a response").into_body();
    assert_eq!(read(&mut body).await, (b"xx".to_vec(), Err(StreamError::Overflow(Overflow::Frames(2)))));
    drop(body);
    executor.settle(&client).await;
    assert_nothing_held(&client);
}

/// ROUTE-14: the pause ends with the stream that caused it.
#[tokio::test]
async fn with_pause_a_dropped_body_lets_the_connection_go_on() {
    let (client, mut executor) = paused().await;
    let (body, id) = executor.open(&client).await;
    small_frames(&mut executor, &id, 10).await;
    tokio::task::yield_now().await;
    drop(body);
    executor.settle(&client).await;
    assert_nothing_held(&client);
}

/// ROUTE-1 and ROUTE-14: nor can frames ahead of another call's response, for whose bytes the reader would wait for ever.
#[tokio::test]
async fn with_pause_frames_before_their_response_make_room_for_a_stream_that_is_read() {
    let (client, mut executor) = paused().await;
    let (mut body, id) = executor.open(&client).await;
    let large = vec![b'y'; DELTA_BYTES];
    let (early, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.data(call.request_id(), 1, "too early").await;
        executor.data(&id, 1, &large).await;
        executor.end(&id, 2).await;
        executor.respond(&call, head()).await;
    });
    assert_eq!(read(&mut body).await, (large, Ok(())));
    let mut early = early.expect("a response").into_body();
    assert_eq!(read(&mut early).await, (vec![], Err(StreamError::Overflow(Overflow::Bytes(DELTA_BYTES)))));
    assert_nothing_held(&client);
}

/// ROUTE-14: a slow consumer gets everything, whatever comes ahead of another call's response.
#[tokio::test]
async fn with_pause_frames_before_their_response_end_no_stream_that_is_read() {
    let (client, mut executor) = paused().await;
    let (mut body, id) = executor.open(&client).await;
    let large = vec![b'y'; DELTA_BYTES];
    let (early, ()) = tokio::join!(client.stream(get()), async {
        let call = executor.call().await;
        executor.data(&id, 1, &large).await;
        executor.data(call.request_id(), 1, "too early").await;
        executor.end(&id, 2).await;
        executor.respond(&call, head()).await;
    });
    assert_eq!(read(&mut body).await, (large, Ok(())));
    let mut early = early.expect("a response").into_body();
    assert_eq!(read(&mut early).await, (vec![], Err(StreamError::Overflow(Overflow::Bytes(DELTA_BYTES)))));
    assert_nothing_held(&client);
}
