//! Defects in what the consumer is given.

use exec_http::conformance::zoo::seed_client::{Defect, SeedClient};
use exec_http::protocol::length::WrongLength;
use exec_http::protocol::limits::QUEUE_FRAMES;
use exec_http::protocol::stream::{Overflow, StreamError};
use futures_util::FutureExt as _;
use serde_json::json;

use crate::executor::Executor;
use crate::{fill, open, params, read, remote, reset, settle, shows};

#[tokio::test(start_paused = true)]
async fn cancelled_receive_loses_the_last_frame() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.delta(&id, reset()).await;
        settle(&client, &mut executor).await;
        (body.recv().now_or_never(), read(&mut body).await)
    };
    let wrong = (None, (vec![], Ok(())));
    let right = (Some(Ok(Some("last".into()))), (vec![], Err(remote())));
    shows(Defect::ReceiveNotCancelSafe, scenario, wrong, right).await;
}

#[tokio::test(start_paused = true)]
async fn error_is_followed_by_a_clean_end() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.data(&id, 2, "b").await;
        executor.data(&id, 1, "a").await;
        (body.recv().await, body.recv().await)
    };
    let gap = Err(StreamError::Sequence { received: 2, expected: 1 });
    shows(Defect::EndNotSticky, scenario, (gap.clone(), Ok(None)), (gap.clone(), gap)).await;
}

#[tokio::test(start_paused = true)]
async fn overflow_is_a_clean_end() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        fill(&mut executor, &id, QUEUE_FRAMES + 1).await;
        settle(&client, &mut executor).await;
        read(&mut body).await
    };
    let (bytes, overflow) = (vec![b'x'; QUEUE_FRAMES], StreamError::Overflow(Overflow::Frames(QUEUE_FRAMES)));
    shows(Defect::ClosedQueueIsCleanEnd, scenario, (bytes.clone(), Ok(())), (bytes, Err(overflow))).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_terminal_frame_are_lost() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.delta(&id, json!({"seq": 1, "deltaBase64": "bGFzdA==", "done": true})).await;
        read(&mut body).await
    };
    shows(Defect::TerminalDataLost, scenario, (vec![], Ok(())), (b"last".to_vec(), Ok(()))).await;
}

#[tokio::test(start_paused = true)]
async fn body_shorter_than_promised_is_a_clean_end() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (response, ()) = tokio::join!(client.stream(params("x")), async {
            let call = executor.call().await;
            let headers = [json!({"name": "content-length", "value": "5"})];
            executor.respond(&call, json!({"status": 200, "headers": headers, "bodyBase64": ""})).await;
            executor.data(call.request_id(), 1, "last").await;
            executor.end(call.request_id(), 2).await;
        });
        read(&mut response.expect("a response").1).await
    };
    let short = StreamError::WrongLength(WrongLength { promised: 5, received: 4 });
    shows(Defect::LengthNotChecked, scenario, (b"last".to_vec(), Ok(())), (b"last".to_vec(), Err(short))).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_beside_an_error_are_lost() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, id) = open(&client, &mut executor).await;
        executor.delta(&id, reset()).await;
        read(&mut body).await
    };
    shows(Defect::DataWithErrorLost, scenario, (vec![], Err(remote())), (b"last".to_vec(), Err(remote()))).await;
}
