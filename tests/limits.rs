//! Each limit of the executor at a low value: its clear error, and that everything else goes on.

#[path = "server/origin.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod origin;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::server::limits::{LIMITS, Limits};
use exec_http::server::{Server, ServerConfig};
use exec_http::transport::{Connection, TransportError, lines, memory, websocket};
use origin::{Origin, response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No event of these tests takes this long on a working executor.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client and its executor.
struct Peer {
    connection: Connection,
    serving: JoinHandle<()>,
}

fn server(change: impl FnOnce(&mut Limits)) -> Server {
    let mut config = ServerConfig::default();
    change(&mut config.limits);
    Server::new(config)
}

impl Peer {
    async fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let (connection, far) = memory::pair();
        Self::greet(server(change), connection, far).await
    }

    async fn greet(server: Server, connection: Connection, far: Connection) -> Self {
        let serving = tokio::spawn(async move { server.serve_connection(far).await });
        let mut peer = Self { connection, serving };
        peer.send(json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}})).await;
        peer.send(json!({"method": "initialized"})).await;
        assert!(peer.next().await["result"].is_object());
        peer
    }

    async fn send(&mut self, message: Value) {
        let frame = message.to_string().into_bytes().into();
        timeout(PATIENCE, self.connection.writer.send(vec![frame])).await.expect("taken").expect("connected");
    }

    /// The id of the call is the `requestId`.
    async fn call(&mut self, request_id: &str, url: &str, more: Value) {
        let mut params = json!({"requestId": request_id, "method": "GET", "url": url});
        let more = more.as_object().expect("an object").clone();
        params.as_object_mut().expect("an object").extend(more);
        self.send(json!({"id": request_id, "method": "http/request", "params": params})).await;
    }

    async fn end(&mut self) -> Option<Value> {
        let frame = timeout(PATIENCE, self.connection.reader.next()).await.expect("in time").expect("no failure");
        frame.map(|frame| serde_json::from_slice(&frame).expect("JSON"))
    }

    async fn next(&mut self) -> Value {
        self.end().await.expect("the connection is open")
    }

    /// The next frame is an error reply of kind `limit` with that text.
    async fn refused(&mut self, id: &str, code: i64, text: &str) {
        let reply = self.next().await;
        let expected = json!({"code": code, "message": format!("http/request {text}"), "data": {"kind": "limit"}});
        assert_eq!(reply, json!({"id": id, "error": expected}));
    }

    /// A buffered call works, and its id was free.
    async fn goes_on(&mut self, id: &str) {
        let origin = Origin::answering(response("", b"x")).await;
        self.call(id, &origin.url("/"), json!({})).await;
        let reply = self.next().await;
        assert_eq!((&reply["id"], &reply["result"]["bodyBase64"]), (&json!(id), &json!("eA==")), "{reply}");
    }
}

#[tokio::test]
async fn calls_beyond_the_waiting_heads_are_queued_and_beyond_the_queue_refused() {
    let silent = Origin::silent().await;
    let mut peer = Peer::new(|limits| {
        limits.session.waiting_heads = 1;
        limits.session.queued_requests = 1;
    })
    .await;
    for id in ["started", "queued", "refused"] {
        peer.call(id, &silent.url("/"), json!({"timeoutMs": 200})).await;
    }
    peer.refused("refused", -32603, "failed: too many requests wait on this connection").await;
    silent.wait_for_connections(1).await;
    assert_eq!(peer.next().await["id"], "started");
    silent.wait_for_connections(2).await;
    assert_eq!(peer.next().await["id"], "queued");
    peer.goes_on("refused").await;
    assert_eq!(silent.connections(), 2);
}

#[tokio::test]
async fn bytes_of_queued_calls_are_bounded() {
    let silent = Origin::silent().await;
    let mut peer = Peer::new(|limits| {
        limits.session.waiting_heads = 1;
        limits.session.queued_request_bytes = 0;
    })
    .await;
    for id in ["started", "alone", "refused"] {
        peer.call(id, &silent.url("/"), json!({"timeoutMs": 200})).await;
    }
    peer.refused("refused", -32603, "failed: too many requests wait on this connection").await;
    assert_eq!(peer.next().await["id"], "started");
    assert_eq!(peer.next().await["id"], "alone");
    peer.goes_on("refused").await;
}

#[tokio::test]
async fn streams_beyond_the_active_ones_are_queued() {
    let stalled = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx").await;
    let mut peer = Peer::new(|limits| limits.session.active_streams = 1).await;
    peer.call("first", &stalled.url("/"), json!({"streamResponse": true})).await;
    peer.call("second", &stalled.url("/"), json!({"streamResponse": true})).await;
    assert_eq!(peer.next().await["id"], "first");
    assert_eq!(peer.next().await["params"]["requestId"], "first");
    peer.goes_on("buffered").await;
    assert_eq!(stalled.connections(), 1);
    stalled.release(b"x").await;
    while peer.next().await["id"] != "second" {}
}

#[tokio::test]
async fn a_request_is_bounded_in_its_parts() {
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::new(|limits| {
        limits.session.request_id_bytes = 4;
        limits.request_headers = 2;
        limits.request_header_bytes = 8;
        limits.request_body_bytes = 3;
    })
    .await;
    let header = |value: &str| json!({"name": "abc", "value": value});
    peer.call("12345", &origin.url("/"), json!({})).await;
    peer.refused("12345", -32602, "requestId exceeds 4 bytes").await;
    peer.call("r", &origin.url("/"), json!({"headers": [header(""), header(""), header("")]})).await;
    peer.refused("r", -32602, "has more than 2 headers").await;
    peer.call("r", &origin.url("/"), json!({"headers": [header("1"), header("22")]})).await;
    peer.refused("r", -32602, "headers exceed 8 bytes").await;
    peer.call("r", &origin.url("/"), json!({"bodyBase64": STANDARD.encode("1234")})).await;
    peer.refused("r", -32602, "body exceeds 3 bytes").await;
    assert_eq!(origin.connections(), 0);
    let most = json!({"headers": [header("1"), header("2")], "bodyBase64": STANDARD.encode("123")});
    peer.call("1234", &origin.url("/"), most).await;
    assert_eq!(peer.next().await["result"]["status"], 200);
}

#[tokio::test]
async fn a_response_is_bounded_in_its_head_and_its_buffered_body() {
    let long = Origin::closing_after(&response(&format!("x: {}\r\n", "y".repeat(100_000)), b"")).await;
    let large = Origin::answering(response("", b"12345")).await;
    let endless = Origin::endless(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let mut peer = Peer::new(|limits| {
        limits.response_head_bytes = 8_192;
        limits.buffered_body_bytes = 4;
    })
    .await;
    peer.call("r", &long.url("/"), json!({})).await;
    peer.refused("r", -32603, "failed: response head has too many fields or exceeds 8192 bytes").await;
    for origin in [&large, &endless] {
        peer.call("r", &origin.url("/"), json!({})).await;
        let text = "failed: response body exceeds 4 bytes, streamResponse has no such limit";
        peer.refused("r", -32603, text).await;
    }
    peer.call("s", &large.url("/"), json!({"streamResponse": true})).await;
    assert_eq!(peer.next().await["result"]["status"], 200);
    assert_eq!(peer.next().await["params"]["deltaBase64"], STANDARD.encode("12345"));
    assert_eq!(peer.next().await["params"]["done"], true);
    peer.goes_on("r").await;
}

#[tokio::test]
async fn origins_are_not_read_while_frames_wait_for_the_client() {
    let endless = Origin::endless(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let mut peer = Peer::new(|limits| limits.session.outbound_bytes = 1).await;
    peer.call("s", &endless.url("/"), json!({"streamResponse": true})).await;
    let few = 32 * 1024 * 1024;
    assert!(endless.wait_until_blocked(few).await <= few);
    assert_eq!(peer.next().await["result"]["status"], 200);
    for seq in 1..1_000 {
        assert_eq!(peer.next().await["params"]["seq"], seq);
    }
}

#[tokio::test]
async fn replies_that_nobody_reads_end_the_connection() {
    let mut peer = Peer::new(|limits| {
        limits.buffered_body_bytes = 0;
        limits.session.reply_bytes = limits.session.outbound_bytes + limits.response_head_bytes * 6;
    })
    .await;
    let unknown = json!({"id": "x".repeat(1_000_000), "method": "unknown"});
    let mut sent = 0;
    let frame = unknown.to_string();
    while let Ok(Ok(())) = timeout(PATIENCE, peer.connection.writer.send(vec![frame.clone().into()])).await {
        sent += 1;
        assert!(sent < 200, "more wait than the limit and what is under way");
    }
    timeout(PATIENCE, peer.serving).await.expect("it ends").expect("no panic");
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection() {
    let limit = |limits: &mut Limits| limits.frame_bytes = 1_024;
    let longest = |bytes: usize| {
        let empty = json!({"id": 1, "method": "unknown", "params": ""}).to_string().len();
        json!({"id": 1, "method": "unknown", "params": "x".repeat(bytes - empty)})
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let ((near_in, near_out), (far_in, far_out)) = (tokio::io::split(near), tokio::io::split(far));
    let mut listener = websocket::Listener::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let url = listener.url().expect("bound");
    let (dialled, accepted) = tokio::join!(websocket::connect(&url), listener.accept());
    for (connection, far) in [
        memory::pair(),
        (lines::connection(near_in, near_out), lines::connection(far_in, far_out)),
        (dialled.expect("listening"), accepted.expect("dialled")),
    ] {
        let mut peer = Peer::greet(server(limit), connection, far).await;
        peer.send(longest(1_024)).await;
        assert_eq!(peer.next().await["error"]["code"], -32601);
        peer.goes_on("r").await;
        peer.send(longest(1_025)).await;
        assert_eq!(peer.end().await, None);
        timeout(PATIENCE, peer.serving).await.expect("it ends").expect("no panic");
    }
    let (mut near, far) = memory::pair();
    near.reader.limit_frames(3);
    let mut writer = far.writer;
    writer.send(vec!["1234".into()]).await.expect("open");
    assert!(matches!(near.reader.next().await, Err(TransportError::TooLong { limit: 3 })));
}

#[tokio::test]
async fn silence_and_time_are_bounded_for_calls_without_a_deadline() {
    let silent = Origin::silent().await;
    let stalled = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
    let idle = "failed: the origin sent nothing for 100 ms, this executor's limit for a call without timeoutMs";
    let total = "failed: 100 ms have passed, this executor's limit for a call without timeoutMs";
    let time = Some(Duration::from_millis(100));
    for (text, mut peer) in [
        (idle, Peer::new(|limits| limits.idle_time = time).await),
        (total, Peer::new(|limits| limits.total_time = time).await),
    ] {
        for origin in [&silent, &stalled] {
            peer.call("r", &origin.url("/"), json!({})).await;
            peer.refused("r", -32603, text).await;
        }
        peer.call("r", &stalled.url("/"), json!({"streamResponse": true})).await;
        assert_eq!(peer.next().await["result"]["status"], 200);
        assert_eq!(peer.next().await["params"]["deltaBase64"], STANDARD.encode("hello"));
        let terminal = &peer.next().await["params"];
        assert_eq!((&terminal["done"], &terminal["errorKind"]), (&json!(true), &json!("limit")));
        assert_eq!(terminal["error"], format!("http/request {text}"));
        // A deadline of the caller takes the place of both.
        peer.call("r", &silent.url("/"), json!({"timeoutMs": 400})).await;
        assert_eq!(peer.next().await["error"]["data"]["kind"], "timeout");
        peer.goes_on("r").await;
    }
}

#[tokio::test]
async fn an_origin_that_keeps_sending_is_not_idle() {
    let endless = Origin::endless(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let mut peer = Peer::new(|limits| limits.idle_time = Some(Duration::from_millis(300))).await;
    peer.call("s", &endless.url("/"), json!({"streamResponse": true})).await;
    assert_eq!(peer.next().await["result"]["status"], 200);
    endless.wait_until_blocked(usize::MAX).await;
    for seq in 1..100 {
        let frame = peer.next().await;
        assert_eq!((&frame["params"]["seq"], &frame["params"]["done"]), (&json!(seq), &json!(false)));
    }
}

#[test]
fn limits_that_cannot_be_kept_are_told() {
    let check = |option: &str, value: u64| {
        let mut limits = Limits::default();
        let row = LIMITS.iter().find(|limit| limit.option == option).expect("a limit");
        row.set(&mut limits, value);
        limits.check().map_err(|error| error.to_string())
    };
    assert_eq!(Limits::default().check().map_err(|error| error.to_string()), Ok(()));
    for limit in &LIMITS {
        if limit.option != "max-reply-bytes" {
            assert_eq!(check(limit.option, limit.least), Ok(()));
        }
        if limit.least > 0 {
            let error = check(limit.option, limit.least - 1).expect_err(limit.option);
            assert!(error.starts_with(&format!("--{} must lie between {} ", limit.option, limit.least)), "{error}");
        }
        if limit.most < u64::MAX {
            let error = check(limit.option, limit.most + 1).expect_err(limit.option);
            assert!(error.contains(limit.option), "{error}");
        }
    }
    assert_eq!(
        check("max-buffered-body-bytes", 64 * 1024 * 1024),
        Err("--max-buffered-body-bytes must lie between 0 and 47185920; its base64 must fit into a frame of 64 MiB, which is \
             what clients read"
            .into())
    );
    let replies = check("max-reply-bytes", 1_000_000).expect_err("too few for one response");
    assert!(replies.contains("to hold --max-outbound-bytes and the largest buffered response"), "{replies}");
    assert_eq!(check("max-idle-ms", 0), Ok(()));
}

/// The page has each limit as the table has it.
#[test]
fn the_documented_limits_are_those_of_the_table() {
    let page = include_str!("../docs/limits.md");
    let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("| `--max-")).collect();
    let rows = LIMITS.iter().map(|limit| {
        let default = limit.value(&Limits::default()).map_or("none".to_owned(), |value| value.to_string());
        format!("| `--{}` | {} | {default} | {} | {} |", limit.option, limit.what, limit.unit, limit.beyond)
    });
    let rows: Vec<String> = rows.collect();
    assert_eq!(documented, rows, "\n{}\n", rows.join("\n"));
}
