//! The executor against scripted origins, over an in-memory connection.

#[path = "server/origin.rs"]
mod origin;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::protocol::limits::{BUFFERED_BODY_BYTES, QUEUED_REQUESTS, WAITING_HEADS};
use exec_http::server::Server;
use exec_http::transport::{Connection, memory};
use origin::{Origin, answer, response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No event of these tests takes this long on a working executor.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client's end of a connection, without any knowledge of the protocol.
struct Peer {
    connection: Connection,
    /// The executor's side; ends when the connection has ended.
    serving: JoinHandle<()>,
}

impl Peer {
    fn connect() -> Self {
        let (connection, far) = memory::pair();
        let serving = tokio::spawn(async move { Server::default().serve_connection(far).await });
        Self { connection, serving }
    }

    /// A connection after the handshake.
    async fn ready() -> Self {
        let mut peer = Self::connect();
        peer.send(json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}})).await;
        peer.send(json!({"method": "initialized"})).await;
        assert!(peer.next().await["result"]["sessionId"].is_string());
        peer
    }

    async fn send(&mut self, message: Value) {
        let frame = message.to_string().into_bytes().into();
        timeout(PATIENCE, self.connection.writer.send(vec![frame])).await.expect("taken").expect("connected");
    }

    async fn request(&mut self, request_id: &str, url: &str, stream: bool) {
        self.call(json!({"method": "GET", "url": url, "requestId": request_id, "streamResponse": stream})).await;
    }

    /// The id of the call is the `requestId`.
    async fn call(&mut self, params: Value) {
        let id = params["requestId"].clone();
        self.send(json!({"id": id, "method": "http/request", "params": params})).await;
    }

    async fn end(&mut self) -> Option<Value> {
        let frame =
            timeout(PATIENCE, self.connection.reader.next()).await.expect("a frame in time").expect("connected");
        frame.map(|frame| serde_json::from_slice(&frame).expect("frames are JSON"))
    }

    async fn next(&mut self) -> Value {
        self.end().await.expect("the connection is open")
    }

    /// The code and kind of the next reply, which must be an error.
    async fn refusal(&mut self) -> (i64, Option<String>) {
        let reply = self.next().await;
        assert!(reply["error"].is_object(), "{reply}");
        let code = reply["error"]["code"].as_i64().expect("an integer");
        (code, reply["error"]["data"]["kind"].as_str().map(str::to_owned))
    }

    /// The whole of one stream, its response included, when nothing else is under way: the body and the terminal frame.
    async fn stream(&mut self) -> (Vec<u8>, Value) {
        let response = self.next().await;
        assert_eq!(response["result"]["bodyBase64"], "", "{response}");
        self.body().await
    }

    async fn body(&mut self) -> (Vec<u8>, Value) {
        let mut body = Vec::new();
        for seq in 1.. {
            let frame = self.next().await;
            let delta = &frame["params"];
            assert_eq!(delta["seq"], seq, "{frame}");
            body.extend(STANDARD.decode(delta["deltaBase64"].as_str().expect("text")).expect("base64"));
            if delta["done"] == true {
                return (body, delta.clone());
            }
        }
        unreachable!("the range has no end")
    }
}

fn kind(word: &str) -> Option<String> {
    Some(word.to_owned())
}

#[tokio::test]
async fn a_streamed_response_precedes_its_deltas_and_small_bodies_are_whole() {
    let origin = Origin::answering(response("", b"hello")).await;
    let mut peer = Peer::ready().await;
    for number in 0..100 {
        peer.request(&number.to_string(), &origin.url("/"), true).await;
    }
    let mut answered = std::collections::HashSet::new();
    let mut done = 0;
    while done < 100 {
        let frame = peer.next().await;
        match frame["params"]["requestId"].as_str() {
            None => assert!(answered.insert(frame["id"].as_str().expect("text").to_owned())),
            Some(id) => assert!(answered.contains(id), "R9: a delta of {id} before its response"),
        }
        done += usize::from(frame["params"]["done"] == true);
    }
    assert_eq!(answered.len(), 100);
}

#[tokio::test]
async fn large_bodies_arrive_whole_streamed_and_buffered() {
    let body: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    let origin = Origin::answering(response("", &body)).await;
    let mut peer = Peer::ready().await;
    peer.request("s", &origin.url("/"), true).await;
    let (streamed, terminal) = peer.stream().await;
    assert!(streamed == body);
    assert_eq!(terminal["error"], Value::Null);
    peer.request("b", &origin.url("/"), false).await;
    let reply = peer.next().await;
    assert!(STANDARD.decode(reply["result"]["bodyBase64"].as_str().expect("text")).expect("base64") == body);
}

#[tokio::test]
async fn small_chunks_that_are_there_already_are_joined() {
    let chunks: Vec<_> = (0..4_000).map(|number| format!("{number:064}")).collect();
    let framed: String = chunks.iter().map(|chunk| format!("40\r\n{chunk}\r\n")).collect();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = Origin::answering(format!("{head}{framed}0\r\n\r\n")).await;
    let mut peer = Peer::ready().await;
    peer.request("s", &origin.url("/"), true).await;
    let (body, terminal) = peer.stream().await;
    assert!(body == chunks.concat().as_bytes() && terminal["seq"].as_u64() < Some(200), "{terminal}");
    peer.request("b", &origin.url("/"), false).await;
    assert!(peer.next().await["result"]["bodyBase64"] == STANDARD.encode(body));
}

#[tokio::test]
async fn silent_origins_delay_no_other_request() {
    let silent = Origin::silent().await;
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    for number in 0..WAITING_HEADS - 1 {
        peer.request(&format!("silent {number}"), &silent.url("/"), number % 2 == 0).await;
    }
    for number in 0..100 {
        peer.request(&number.to_string(), &origin.url("/"), false).await;
        assert_eq!(peer.next().await["id"], number.to_string(), "R19");
    }
}

#[tokio::test]
async fn waiting_requests_are_bounded() {
    let silent = Origin::silent().await;
    let mut peer = Peer::ready().await;
    for number in 0..WAITING_HEADS + QUEUED_REQUESTS {
        peer.request(&number.to_string(), &silent.url("/"), true).await;
    }
    peer.request("one too many", &silent.url("/"), true).await;
    assert_eq!(peer.refusal().await, (-32603, kind("limit")), "R11");
}

#[tokio::test]
async fn two_thousand_pipelined_streams_finish() {
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    let url = origin.url("/");
    // The client reads all the time, while it writes.
    let (mut writer, mut done) = (peer.connection.writer, 0);
    let writing = tokio::spawn(async move {
        for number in 0..2_000 {
            let params = json!({"method": "GET", "url": url, "requestId": number.to_string(), "streamResponse": true});
            let frame = json!({"id": number, "method": "http/request", "params": params}).to_string();
            writer.send(vec![frame.into_bytes().into()]).await.expect("connected");
        }
        writer
    });
    while done < 2_000 {
        let frame = timeout(PATIENCE, peer.connection.reader.next()).await.expect("D25: no wedge").expect("connected");
        let frame: Value = serde_json::from_slice(&frame.expect("open")).expect("JSON");
        assert_eq!(frame["error"], Value::Null);
        done += usize::from(frame["params"]["done"] == true);
    }
    drop(writing.await);
}

#[tokio::test]
async fn an_id_is_free_at_the_instant_of_the_terminal_frame() {
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    for _ in 0..200 {
        peer.request("same", &origin.url("/"), true).await;
        assert_eq!(peer.stream().await.0, b"x", "D24");
    }
}

#[tokio::test]
async fn an_id_is_free_after_every_refusal_and_no_origin_sees_one() {
    let origin = Origin::answering(response("", b"x")).await;
    let url = origin.url("/path?query");
    let header = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    let mut peer = Peer::ready().await;
    for (member, value) in [
        ("method", json!("")),
        ("method", json!("G ET")),
        ("method", json!("CONNECT")),
        ("url", json!("/relative")),
        ("url", json!("ftp://127.0.0.1/")),
        ("headers", header("bad name", "v")),
        ("headers", header("a", "v\r\nb: c")),
        ("headers", header("transfer-encoding", "chunked")),
        ("headers", header("Connection", "close")),
        ("headers", header("keep-alive", "1")),
        ("headers", header("upgrade", "websocket")),
        ("headers", header("TE", "trailers")),
        ("headers", header("trailer", "x")),
        ("headers", header("content-length", "7")),
        ("headers", json!([{"name": "content-length", "value": "0"}, {"name": "content-length", "value": "0"}])),
        ("headers", json!([{"name": "host", "value": "a"}, {"name": "host", "value": "a"}])),
        ("headers", json!([{"name": "a", "value": "", "valueEnvVar": "NO_SUCH_VARIABLE"}])),
    ] {
        let mut params = json!({"method": "GET", "url": url, "requestId": "same", "streamResponse": true});
        params[member] = value.clone();
        peer.call(params).await;
        let reply = peer.next().await;
        assert_eq!(reply["error"]["code"], -32602, "{member} {value}: {reply}");
        assert!(!reply.to_string().contains("path"), "{reply}");
    }
    let mut denied = json!({"method": "GET", "url": url, "requestId": "same", "streamResponse": true});
    denied["headers"] = json!([{"name": "a", "value": "", "valueEnvVar": "openai_api_KEY"}]);
    peer.call(denied).await;
    assert_eq!(peer.refusal().await, (-32602, kind("denied")));
    assert_eq!(origin.connections(), 0);
    peer.request("same", &origin.url("/"), true).await;
    assert_eq!(peer.stream().await.0, b"x", "D23");
}

#[tokio::test]
async fn failures_before_the_head_say_what_failed() {
    let mut peer = Peer::ready().await;
    let refused = Origin::refusing().await;
    peer.request("same", &refused, true).await;
    assert_eq!(peer.refusal().await, (-32603, kind("connect")));
    for (answer, expected) in [
        (&b""[..], "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-", "reset"),
        (b"hello\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "protocol"),
    ] {
        let origin = Origin::closing_after(answer).await;
        peer.request("same", &origin.url("/secret?secret"), true).await;
        let reply = peer.next().await;
        assert_eq!(reply["error"]["data"]["kind"], expected, "{reply}");
        assert_eq!(reply["error"]["code"], -32603);
        assert!(!reply.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn failures_in_the_body_end_the_stream_and_fail_the_buffered_call() {
    let mut peer = Peer::ready().await;
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..], "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "protocol"),
    ] {
        let origin = Origin::closing_after(answer).await;
        peer.request("s", &origin.url("/"), true).await;
        let (body, terminal) = peer.stream().await;
        assert_eq!((body.as_slice(), &terminal["errorKind"]), (&b"hello"[..], &json!(expected)), "{terminal}");
        assert_eq!(terminal["deltaBase64"], "");
        peer.request("b", &origin.url("/"), false).await;
        assert_eq!(peer.refusal().await, (-32603, kind(expected)));
    }
}

#[tokio::test]
async fn the_deadline_covers_head_and_body() {
    let silent = Origin::silent().await;
    let stalled = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let mut peer = Peer::ready().await;
    for millis in [0, 50] {
        peer.call(json!({"method": "GET", "url": silent.url("/"), "requestId": "s", "timeoutMs": millis})).await;
        assert_eq!(peer.refusal().await, (-32603, kind("timeout")));
        assert_eq!(silent.connections(), usize::from(millis != 0));
    }
    let mut params = json!({"method": "GET", "url": stalled.url("/"), "requestId": "s", "timeoutMs": 300});
    peer.call(params.clone()).await;
    assert_eq!(peer.refusal().await, (-32603, kind("timeout")));
    params["streamResponse"] = true.into();
    peer.call(params).await;
    let (body, terminal) = peer.stream().await;
    assert_eq!((body.as_slice(), &terminal["errorKind"]), (&b"hello"[..], &json!("timeout")));
    stalled.all_closed().await;
}

#[tokio::test]
async fn a_disconnect_closes_upstream_at_once_also_when_the_queue_is_full() {
    let silent = Origin::silent().await;
    let mut peer = Peer::ready().await;
    for number in 0..WAITING_HEADS + QUEUED_REQUESTS {
        peer.request(&number.to_string(), &silent.url("/"), true).await;
    }
    silent.wait_for_connections(WAITING_HEADS).await;
    drop(peer.connection);
    timeout(Duration::from_secs(1), silent.all_closed()).await.expect("D26, CLOSE-1");
    timeout(PATIENCE, peer.serving).await.expect("it ends").expect("no panic");
    assert_eq!(silent.connections(), WAITING_HEADS, "CLOSE-2: no queued request was started");
}

#[tokio::test]
async fn a_cancelled_call_closes_its_upstream_at_once_and_makes_room() {
    let silent = Origin::silent().await;
    let mut peer = Peer::ready().await;
    for number in 0..=WAITING_HEADS {
        peer.request(&number.to_string(), &silent.url("/"), number % 2 == 0).await;
    }
    silent.wait_for_connections(WAITING_HEADS).await;
    for number in ["0", "1"] {
        peer.send(json!({"id": "c", "method": "http/request/cancel", "params": {"requestId": number}})).await;
        assert_eq!(peer.refusal().await, (-32603, kind("cancelled")));
        assert_eq!(peer.next().await, json!({"id": "c", "result": {"cancelled": true}}));
    }
    silent.wait_for_connections(WAITING_HEADS + 1).await;
    timeout(Duration::from_secs(1), silent.closed(2)).await.expect("CANCEL-5");
}

#[tokio::test]
async fn replies_made_before_a_violation_are_sent_before_the_close() {
    let mut peer = Peer::connect();
    peer.send(json!({"id": 1, "method": "unknown"})).await;
    peer.send(json!({"method": "initialized"})).await;
    assert_eq!(peer.refusal().await, (-32601, None), "D27");
    assert_eq!(peer.end().await, None);
}

#[tokio::test]
async fn header_values_keep_their_bytes_and_their_order() {
    let head = "x-a: caf\u{e9}\r\nX-B: 1\r\nx-a: two\r\n".chars().map(|c| c as u8).collect::<Vec<_>>();
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    answer.extend(head);
    answer.extend(b"x-u: \xc3\xa9\r\nContent-Length: 0\r\n\r\n");
    let origin = Origin::answering(answer).await;
    let mut peer = Peer::ready().await;
    peer.request("r", &origin.url("/"), false).await;
    let reply = peer.next().await;
    let headers = reply["result"]["headers"].as_array().expect("an array");
    let named = |name: &str| headers.iter().filter(|header| header["name"] == name).cloned().collect::<Vec<_>>();
    let latin = json!({"name": "x-a", "value": "caf\u{fffd}", "valueBase64": "Y2Fm6Q=="});
    assert_eq!(named("x-a"), [latin, json!({"name": "x-a", "value": "two"})], "D28");
    assert_eq!(named("x-u"), [json!({"name": "x-u", "value": "é"})]);
}

#[tokio::test]
async fn a_buffered_body_is_bounded_and_the_connection_goes_on() {
    let announced = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BUFFERED_BODY_BYTES + 1);
    let announcing = Origin::stalling_after(announced.as_bytes()).await;
    let endless = Origin::endless(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    for large in [&announcing, &endless] {
        peer.request("b", &large.url("/"), false).await;
        assert_eq!(peer.refusal().await, (-32603, kind("limit")), "D29");
        large.all_closed().await;
    }
    peer.request("b", &origin.url("/"), false).await;
    assert_eq!(peer.next().await["result"]["bodyBase64"], "eA==");
}

#[tokio::test]
async fn too_many_headers_are_refused_and_the_connection_goes_on() {
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    let headers: Vec<_> = (0..40_000).map(|index| json!({"name": format!("x-{index}"), "value": ""})).collect();
    peer.call(json!({"requestId": "r", "method": "GET", "url": origin.url("/"), "headers": headers})).await;
    assert_eq!(peer.refusal().await, (-32602, kind("limit")));
    peer.request("b", &origin.url("/"), false).await;
    assert_eq!(peer.next().await["result"]["bodyBase64"], "eA==");
}

#[tokio::test]
async fn params_are_read_before_the_handshake_is_checked() {
    let mut peer = Peer::connect();
    peer.call(json!({"requestId": "r"})).await;
    assert_eq!(peer.refusal().await, (-32602, None), "D31");
    peer.request("r", "not a url", false).await;
    assert_eq!(peer.refusal().await, (-32600, None), "D31");
}

#[tokio::test]
async fn an_active_stream_id_is_refused_before_its_url_is_looked_at_and_only_for_streams() {
    let stalled = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    peer.request("s", &stalled.url("/"), true).await;
    assert_eq!(peer.next().await["result"]["status"], 200);
    assert_eq!(peer.next().await["params"]["deltaBase64"], "aGVsbG8=");
    peer.request("s", "not a url", true).await;
    let reply = peer.next().await;
    assert!(reply["error"]["message"].as_str().expect("text").contains("active"), "D31: {reply}");
    peer.request("s", &origin.url("/"), false).await;
    assert_eq!(peer.next().await["result"]["bodyBase64"], "eA==", "D32");
    stalled.release(b"world").await;
    assert_eq!(peer.next().await["params"]["deltaBase64"], "d29ybGQ=", "the stream is undisturbed");
    assert_eq!(peer.next().await["params"]["done"], true);
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_its_origins_and_loses_nothing() {
    let endless = Origin::endless(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let origin = Origin::answering(response("", b"x")).await;
    let mut peer = Peer::ready().await;
    for number in 0..4 {
        peer.request(&format!("s{number}"), &endless.url("/"), true).await;
    }
    // Four pairs of socket buffers, and what the executor may hold.
    let limit = 4 * 32 * 1024 * 1024;
    let handed_over = endless.wait_until_blocked(limit).await;
    assert!(handed_over <= limit, "LIMIT-10: {handed_over} bytes were handed over");
    peer.request("b", &origin.url("/"), false).await;
    let mut expected = [1, 1, 1, 1];
    loop {
        let frame = peer.next().await;
        if frame["id"] == "b" {
            assert_eq!(frame["result"]["bodyBase64"], "eA==", "LIMIT-11");
            break;
        }
        if let Some(id) = frame["params"]["requestId"].as_str() {
            let number: usize = id[1..].parse().expect("a stream of this test");
            assert_eq!(frame["params"]["seq"], expected[number]);
            expected[number] += 1;
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_drops_all_but_harmless_headers() {
    let target = Origin::answering(response("", b"there")).await;
    let first = Origin::answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        target.url("/elsewhere")
    ))
    .await;
    let mut peer = Peer::ready().await;
    let params = json!({
        "method": "POST", "url": first.url("/"), "requestId": "r", "bodyBase64": "aGVsbG8=",
        "headers": [
            {"name": "authorization", "value": "secret"}, {"name": "x-api-key", "value": "secret"},
            {"name": "accept-language", "value": "de"}, {"name": "content-type", "value": "text/plain"},
        ],
    });
    peer.call(params.clone()).await;
    assert_eq!(peer.next().await["result"]["bodyBase64"], "dGhlcmU=");
    let seen = target.requests().concat();
    assert!(seen.starts_with("GET /elsewhere HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("accept-language: de\r\n") && seen.contains("accept: */*\r\n"), "{seen}");
    assert!(!seen.contains("secret") && !seen.contains("content-") && !seen.contains("hello"), "{seen}");
    let mut stop = params;
    stop["redirectPolicy"] = "stop".into();
    peer.call(stop).await;
    assert_eq!(peer.next().await["result"]["status"], 302);
    assert_eq!(target.requests().len(), 1);
}

#[tokio::test]
async fn the_eleventh_redirect_and_a_foreign_scheme_fail() {
    let round = Origin::answering(answer("301 Moved", "Location: /again\r\n", b"moved")).await;
    let foreign = Origin::answering(answer("302 Found", "Location: file:///etc/passwd\r\n", b"")).await;
    let mut peer = Peer::ready().await;
    peer.request("r", &round.url("/"), false).await;
    assert_eq!(peer.refusal().await, (-32603, kind("redirect")));
    assert_eq!((round.requests().len(), round.connections()), (11, 1));
    peer.request("r", &foreign.url("/"), false).await;
    assert_eq!(peer.refusal().await, (-32603, kind("redirect")));
}

#[tokio::test]
async fn responses_without_a_body_are_one_empty_terminal_frame_and_leave_the_pool_in_order() {
    let origin = Origin::answering(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_vec()).await;
    let head = Origin::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()).await;
    let mut peer = Peer::ready().await;
    for (method, url) in [("GET", origin.url("/")), ("HEAD", head.url("/")), ("HEAD", head.url("/"))] {
        peer.call(json!({"method": method, "url": url, "requestId": "s", "streamResponse": true})).await;
        let (body, terminal) = peer.stream().await;
        assert_eq!((body.len(), &terminal["seq"], &terminal["error"]), (0, &json!(1), &Value::Null));
    }
}
