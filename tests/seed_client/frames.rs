//! Defects in what frames are taken for, and in what is sent.

use exec_http::conformance::zoo::seed_client::{Defect, SeedClient};
use exec_http::protocol::http::RequestParams;
use exec_http::protocol::limits::{DELTA_BYTES, QUEUE_BYTES, QUEUE_FRAMES};
use exec_http::protocol::stream::{Disconnect, Overflow, StreamError};
use serde_json::json;

use crate::executor::{Executor, head};
use crate::{fill, open, params, read, remote, settle, shows};

/// Frames that use up the byte budget.
const BUDGET_FRAMES: usize = QUEUE_BYTES / DELTA_BYTES;

fn overflow() -> StreamError {
    StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES))
}

#[tokio::test(start_paused = true)]
async fn terminal_frame_behind_a_full_queue_is_an_overflow() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        executor.end(&id, QUEUE_FRAMES as u64 + 1).await;
        settle(&client, &mut executor).await;
        read(&mut body).await
    };
    let bytes = vec![b'x'; QUEUE_FRAMES];
    shows(Defect::TerminalTakesQueueSlot, scenario, (bytes.clone(), Err(overflow())), (bytes, Ok(()))).await;
}

#[tokio::test(start_paused = true)]
async fn gap_behind_a_full_queue_is_an_overflow() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES).await;
        executor.data(&id, 300, "y").await;
        settle(&client, &mut executor).await;
        read(&mut body).await
    };
    let gap = StreamError::Sequence { received: 300, expected: 257 };
    let bytes = vec![b'x'; QUEUE_FRAMES];
    shows(Defect::GapSeenWhenConsumed, scenario, (bytes.clone(), Err(overflow())), (bytes, Err(gap))).await;
}

#[tokio::test(start_paused = true)]
async fn error_without_done_is_ignored() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.delta(&id, json!({"seq": 1, "deltaBase64": "", "error": "reset"})).await;
        executor.data(&id, 2, "more").await;
        executor.end(&id, 3).await;
        read(&mut body).await
    };
    shows(Defect::ErrorWithoutDoneIgnored, scenario, (b"more".to_vec(), Ok(())), (vec![], Err(remote()))).await;
}

#[tokio::test(start_paused = true)]
async fn malformed_delta_of_no_stream_ends_the_connection() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.delta("of nobody", json!({"seq": 1, "deltaBase64": "?"})).await;
        executor.data(&id, 1, "a").await;
        executor.end(&id, 2).await;
        read(&mut body).await
    };
    let reason = Disconnect::Malformed("deltaBase64 must be standard base64 with padding".into());
    let wrong = (vec![], Err(StreamError::Disconnected(reason)));
    shows(Defect::MalformedDeltaIsFatal, scenario, wrong, (b"a".to_vec(), Ok(()))).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_have_no_bound() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (_body, id) = open(&client, &mut executor).await;
        fill_budget(&mut executor, &id).await;
        executor.data(&id, BUDGET_FRAMES as u64 + 1, vec![b'x'; DELTA_BYTES]).await;
        settle(&client, &mut executor).await;
        client.census().queued_bytes
    };
    shows(Defect::NoByteBudget, scenario, QUEUE_BYTES + DELTA_BYTES, QUEUE_BYTES).await;
}

#[tokio::test(start_paused = true)]
async fn unread_stream_ends_another_one() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut hoarder, hoarder_id) = open(&client, &mut executor).await;
        let (mut body, id) = open(&client, &mut executor).await;
        fill_budget(&mut executor, &hoarder_id).await;
        executor.end(&hoarder_id, BUDGET_FRAMES as u64 + 1).await;
        executor.data(&id, 1, "a").await;
        executor.end(&id, 2).await;
        settle(&client, &mut executor).await;
        let (bytes, end) = read(&mut hoarder).await;
        (read(&mut body).await, (bytes.len(), end))
    };
    let overflow = StreamError::Overflow(Overflow::Bytes(QUEUE_BYTES));
    let wrong = ((vec![], Err(overflow.clone())), (QUEUE_BYTES, Ok(())));
    let right = ((b"a".to_vec(), Ok(())), (0, Err(overflow)));
    shows(Defect::NewestFramePays, scenario, wrong, right).await;
}

#[tokio::test(start_paused = true)]
async fn buffered_call_asks_for_a_stream() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let asked = RequestParams { stream_response: true, ..params("x") };
        let (result, asks) = tokio::join!(client.request(asked), async {
            let call = executor.call().await;
            executor.respond(&call, head()).await;
            call.params["streamResponse"] == json!(true)
        });
        result.expect("a response");
        asks
    };
    shows(Defect::BufferedCallAsksForStream, scenario, true, false).await;
}

async fn fill_budget(executor: &mut Executor, request_id: &str) {
    for seq in 1..=BUDGET_FRAMES as u64 {
        executor.data(request_id, seq, vec![b'x'; DELTA_BYTES]).await;
    }
}
