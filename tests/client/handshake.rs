//! How a connection begins, and how it fails to.

use std::time::Duration;

use exec_http::client::{Client, ConnectError};
use exec_http::protocol::stream::Disconnect;
use exec_http::transport::memory;
use serde_json::{Value, json};

use crate::executor::{Executor, connected_with};

/// Answers `initialize` with these members beside its id.
async fn connect_answered(members: Value) -> Result<Client, ConnectError> {
    let (near, far) = memory::pair();
    let mut executor = Executor::new(far);
    let (result, ()) = tokio::join!(Client::connect(near), async {
        let mut answer = members;
        answer["id"] = executor.next().await.expect("initialize")["id"].clone();
        executor.send(answer).await;
    });
    result
}

/// HANDSHAKE-1, ENVELOPE-3.
#[tokio::test]
async fn initialize_comes_first_and_initialized_before_any_call() {
    let (near, far) = memory::pair();
    let mut executor = Executor::new(far);
    let (client, ()) = tokio::join!(Client::connect(near), async {
        let initialize = executor.next().await.expect("initialize");
        assert_eq!(initialize["method"], "initialize");
        assert_eq!(initialize["params"], json!({"clientName": "exec-http"}));
        assert!(initialize["id"].is_i64() && initialize.get("jsonrpc").is_none());
        executor.send(json!({"id": initialize["id"], "result": {"sessionId": "session", "more": []}})).await;
    });
    let client = client.expect("a handshake");
    assert_eq!(client.session_id(), "session");
    assert_eq!(executor.next().await, Some(json!({"method": "initialized", "params": {}})));
    executor.settle(&client).await;
}

#[tokio::test]
async fn a_refused_handshake_says_why() {
    let error = json!({"error": {"code": -32600, "message": "not today"}});
    match connect_answered(error).await {
        Err(ConnectError::Executor(error)) => assert_eq!((error.code, error.message.as_str()), (-32600, "not today")),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_result_without_a_session_is_refused() {
    for result in [json!(null), json!({}), json!({"sessionId": ""}), json!({"sessionId": 7})] {
        let connected = connect_answered(json!({"result": result})).await;
        assert!(matches!(connected, Err(ConnectError::Result(error)) if error.member == "sessionId"));
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_handshake_is_told() {
    let (near, far) = memory::pair();
    let (result, ()) = tokio::join!(Client::connect(near), Executor::new(far).close());
    assert!(matches!(result, Err(ConnectError::Disconnected(Disconnect::Closed | Disconnect::Transport(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_executor_is_given_up_after_ten_seconds_and_the_connection_closed() {
    let (near, far) = memory::pair();
    let mut executor = Executor::new(far);
    let start = tokio::time::Instant::now();
    let error = Client::connect(near).await.expect_err("silence");
    assert_eq!(error, ConnectError::Timeout(Duration::from_secs(10)));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(executor.next().await.expect("initialize")["method"], "initialize");
    assert_eq!(executor.next().await, None);
}

/// HANDSHAKE-17.
#[tokio::test]
async fn a_capability_is_false_unless_it_is_true() {
    let capability = |capabilities: Value| json!({"sessionId": "s", "environmentInfo": {"capabilities": capabilities}});
    for (result, expected) in [
        (capability(json!({"httpHeaderEnvVars": true})), true),
        (capability(json!({"httpHeaderEnvVars": false})), false),
        (capability(json!({"httpHeaderEnvVars": "true"})), false),
        (capability(json!({})), false),
        (json!({"sessionId": "s", "environmentInfo": null}), false),
        (json!({"sessionId": "s"}), false),
    ] {
        let (client, _executor) = connected_with(Default::default(), result.clone()).await;
        assert_eq!(client.resolves_header_env_vars(), expected, "{result}");
    }
}
