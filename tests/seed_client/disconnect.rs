//! Defects in how a disconnect is told.

use exec_http::conformance::zoo::seed_client::{CallError, Defect, SeedClient};
use exec_http::protocol::error::RpcError;
use exec_http::protocol::stream::Disconnect;
use serde_json::json;

use crate::executor::Executor;
use crate::{disconnect, ends, held, lost, open, params, shows};

#[tokio::test(start_paused = true)]
async fn waiting_consumer_is_not_told_of_a_disconnect() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (mut body, _) = open(&client, &mut executor).await;
        disconnect(&client, executor).await;
        ends(body.recv()).await
    };
    shows(Defect::StreamsOutliveDisconnect, scenario, None, Some(Err(lost()))).await;
}

#[tokio::test(start_paused = true)]
async fn call_after_a_disconnect_waits_for_ever() {
    let scenario = async |client: SeedClient, executor: Executor| {
        disconnect(&client, executor).await;
        let mut call = Box::pin(client.stream(params("x")));
        let error = ends(&mut call).await.map(|result| result.map(drop));
        (error, held(&client))
    };
    let refused = CallError::Disconnected { reason: Disconnect::Closed, sent: false };
    let (wrong, right) = ((None, (1, 0)), (Some(Err(refused)), (0, 0)));
    shows(Defect::InsertAfterDisconnect, scenario, wrong, right).await;
}

#[tokio::test(start_paused = true)]
async fn error_answer_is_taken_for_a_disconnect() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (result, ()) = tokio::join!(client.request(params("x")), async {
            let call = executor.call().await;
            executor.refuse(&call, json!({"code": -32000, "message": "JSON-RPC transport closed"})).await;
        });
        result
    };
    let wrong = CallError::Disconnected { reason: Disconnect::Closed, sent: true };
    let right = CallError::Executor(RpcError::new(-32000, "JSON-RPC transport closed"));
    shows(Defect::DisconnectGuessedFromAnswer, scenario, Err(wrong), Err(right)).await;
}

#[tokio::test(start_paused = true)]
async fn call_that_was_sent_is_said_not_to_be() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (result, ()) = tokio::join!(client.request(params("x")), async {
            executor.call().await;
            executor.close().await;
        });
        result
    };
    let error = |sent| Err(CallError::Disconnected { reason: Disconnect::Closed, sent });
    shows(Defect::OutcomeOfSentCallNotSaid, scenario, error(false), error(true)).await;
}

#[tokio::test(start_paused = true)]
async fn call_whose_frame_was_unreadable_waits_for_ever() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (result, ()) = tokio::join!(ends(client.request(params("x"))), async {
            executor.call().await;
            executor.send(json!({"id": -1, "error": {"code": -32600, "message": "what?"}})).await;
        });
        result
    };
    let reason = Disconnect::Unreadable("what? (-32600)".into());
    shows(Defect::UnreadableFrameIgnored, scenario, None, Some(Err(CallError::Disconnected { reason, sent: true })))
        .await;
}

#[tokio::test(start_paused = true)]
async fn transport_stays_open_behind_a_frame_that_is_no_message() {
    let scenario = async |_client: SeedClient, mut executor: Executor| {
        executor.send_text("{").await;
        ends(executor.next()).await
    };
    shows(Defect::TransportLeftOpen, scenario, None, Some(None)).await;
}
