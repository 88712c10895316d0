//! How an executor ends, and what it tells of itself: draining, `/readyz`, `/metrics`.

#[path = "server/origin.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod origin;

use std::net::SocketAddr;
use std::time::Duration;

use exec_http::server::Server;
use exec_http::transport::websocket::{Dial, Listener, ListenerConfig, Token, TokenHash, connect_with};
use exec_http::transport::{Connection, TransportError, memory};
use origin::{Origin, response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// No event of these tests takes this long on a working executor.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is behind the head of [`STALLED`].
const REST: &[u8] = b"world";

/// The first half of a response.
const STALLED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";

/// A client after its handshake.
struct Peer(Connection);

impl Peer {
    /// On a connection in memory; the task ends with it.
    async fn of(server: &Server) -> (Self, JoinHandle<()>) {
        let (near, far) = memory::pair();
        let server = server.clone();
        let serving = tokio::spawn(async move { server.serve_connection(far).await });
        (Self::greet(near).await, serving)
    }

    async fn greet(connection: Connection) -> Self {
        let mut peer = Self(connection);
        peer.send(json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}})).await;
        peer.send(json!({"method": "initialized"})).await;
        assert!(peer.next().await["result"]["sessionId"].is_string());
        peer
    }

    async fn send(&mut self, message: Value) {
        self.0.writer.send(vec![message.to_string().into()]).await.expect("connected");
    }

    async fn call(&mut self, id: u64, url: &str, stream: bool) {
        let params = json!({"method": "GET", "url": url, "requestId": id.to_string(), "streamResponse": stream});
        self.send(json!({"id": id, "method": "http/request", "params": params})).await;
    }

    async fn end(&mut self) -> Option<Value> {
        let frame = self.0.reader.next().await.expect("connected");
        frame.map(|frame| serde_json::from_slice(&frame).expect("frames are JSON"))
    }

    async fn next(&mut self) -> Value {
        self.end().await.expect("the connection is open")
    }
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("in time")
}

/// A server on a websocket; the task ends when it does.
async fn listening(server: &Server, settings: ListenerConfig) -> (SocketAddr, JoinHandle<()>) {
    let listener = Listener::bind_with("127.0.0.1:0".parse().expect("an address"), settings).await.expect("a port");
    let (address, server) = (listener.address().expect("bound"), server.clone());
    (address, tokio::spawn(async move { server.serve_websockets(listener).await }))
}

/// All that a listener answers to a GET.
async fn get(address: SocketAddr, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("UTF-8");
    answer
}

/// The value of a metric.
#[track_caller]
fn metric(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix("exec_http_")?.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

#[tokio::test]
async fn what_goes_on_finishes_and_nothing_new_starts() {
    let (server, origin) = (Server::default(), Origin::stalling_after(STALLED).await);
    let (mut peer, serving) = Peer::of(&server).await;
    peer.call(1, &origin.url("/"), true).await;
    assert_eq!(peer.next().await["result"]["status"], 200);
    assert_eq!(peer.next().await["params"]["seq"], 1);
    let draining = tokio::spawn({
        let server = server.clone();
        async move { server.drain(Duration::from_secs(600)).await }
    });
    // Until the drain has begun a call is as good as any.
    let refused = soon(async {
        loop {
            peer.call(2, &origin.url("/"), false).await;
            peer.send(json!({"id": 3, "method": "http/request/cancel", "params": {"requestId": "2"}})).await;
            let (reply, _cancelled) = (peer.next().await, peer.next().await);
            if reply["error"]["data"]["kind"] != "cancelled" {
                break reply;
            }
        }
    });
    let refused = refused.await;
    assert_eq!(refused["error"]["code"], -32603, "{refused}");
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("shutting down")), "{refused}");
    assert_eq!(refused["error"]["data"]["kind"], "limit", "ERROR-3");
    origin.release(REST).await;
    let rest = soon(peer.next()).await;
    assert_eq!(rest["params"]["deltaBase64"], "d29ybGQ=", "{rest}");
    assert_eq!(soon(peer.next()).await["params"]["done"], true);
    assert_eq!(soon(peer.end()).await, None);
    soon(serving).await.expect("no panic");
    soon(draining).await.expect("no panic");
    // The tasks of what was cancelled end on their own.
    soon(async {
        while metric(&server.metrics(), "exchanges_active") > 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(metric(&server.metrics(), "exchanges_finished_total{outcome=\"ok\"}"), 1);
}

#[tokio::test]
async fn what_does_not_finish_is_ended_when_the_time_is_up() {
    for limit in [Duration::ZERO, Duration::from_secs(2)] {
        let (server, origin) = (Server::default(), Origin::silent().await);
        let (mut peer, serving) = Peer::of(&server).await;
        peer.call(1, &origin.url("/"), true).await;
        soon(origin.wait_for_connections(1)).await;
        tokio::time::pause();
        let begun = Instant::now();
        server.drain(limit).await;
        serving.await.expect("no panic");
        let taken = begun.elapsed();
        assert!(taken >= limit && taken < limit + Duration::from_secs(1), "{taken:?}");
        tokio::time::resume();
        assert_eq!(soon(peer.end()).await, None);
        soon(origin.all_closed()).await;
        assert_eq!(metric(&server.metrics(), "exchanges_finished_total{outcome=\"disconnected\"}"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn replies_to_a_slow_client_have_as_long_as_what_goes_on() {
    let server = Server::default();
    let (mut peer, serving) = Peer::of(&server).await;
    // More than are under way at one time.
    for id in 0..200 {
        peer.send(json!({"id": id, "method": "no/such/method"})).await;
    }
    // Time goes on when nothing else does.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begun = Instant::now();
    let draining = tokio::spawn(async move { server.drain(Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    for id in 0..200 {
        assert_eq!(peer.next().await["id"], id);
    }
    assert_eq!(peer.end().await, None);
    serving.await.expect("no panic");
    draining.await.expect("no panic");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_listener_says_that_it_drains_until_the_last_exchange_is_over() {
    let (server, origin) = (Server::default(), Origin::stalling_after(STALLED).await);
    let (address, serving) = listening(&server, ListenerConfig::default()).await;
    let url = format!("ws://{address}");
    let mut busy = Peer::greet(connect_with(&url, &Dial::default()).await.expect("open")).await;
    let mut idle = Peer::greet(connect_with(&url, &Dial::default()).await.expect("open")).await;
    busy.call(1, &origin.url("/"), true).await;
    assert_eq!(busy.next().await["result"]["status"], 200);
    assert_eq!(busy.next().await["params"]["seq"], 1);
    assert!(get(address, "/readyz", "").await.ends_with("\r\n\r\nready\n"));
    let draining = tokio::spawn({
        let server = server.clone();
        async move { server.drain(Duration::from_secs(600)).await }
    });
    assert_eq!(soon(idle.end()).await, None, "nothing goes on there");
    let answer = get(address, "/readyz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nshutting down\n"), "{answer}");
    let refused = connect_with(&url, &Dial::default()).await;
    assert!(matches!(refused, Err(TransportError::Refused(503))), "{refused:?}");
    let metrics = get(address, "/metrics", "").await;
    assert_eq!(metric(&metrics, "upgrades_refused_total{reason=\"draining\"}"), 1);
    origin.release(REST).await;
    assert_eq!(soon(busy.next()).await["params"]["seq"], 2);
    assert_eq!(soon(busy.next()).await["params"]["done"], true);
    assert_eq!(soon(busy.end()).await, None);
    soon(serving).await.expect("no panic");
    soon(draining).await.expect("no panic");
    TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn metrics_count_exchanges_by_outcome_bytes_frames_and_refusals() {
    let (server, origin) = (Server::default(), Origin::answering(response("", b"hello")).await);
    let token = TokenHash::of("sesame").ok();
    let (address, serving) = listening(&server, ListenerConfig { token, connections: 1, ..Default::default() }).await;
    let dial = Dial { token: Token::new("sesame").ok(), ..Dial::default() };
    let url = format!("ws://{address}");
    let mut peer = Peer::greet(connect_with(&url, &dial).await.expect("the token is right")).await;
    connect_with(&url, &dial).await.expect_err("the house is full");
    connect_with(&url, &Dial::default()).await.expect_err("no token");
    peer.call(1, &origin.url("/"), false).await;
    assert_eq!(soon(peer.next()).await["result"]["status"], 200);
    let body = json!({"method": "POST", "url": origin.url("/"), "requestId": "2", "bodyBase64": "aGVsbG8="});
    peer.send(json!({"id": 2, "method": "http/request", "params": body})).await;
    assert_eq!(soon(peer.next()).await["result"]["status"], 200);
    peer.call(3, &Origin::refusing().await, false).await;
    assert_eq!(soon(peer.next()).await["error"]["data"]["kind"], "connect");
    peer.call(4, "ftp://127.0.0.1/", false).await;
    assert_eq!(soon(peer.next()).await["error"]["code"], -32602);
    let long = json!({"method": "GET", "url": origin.url("/"), "requestId": "x".repeat(2_000)});
    peer.send(json!({"id": 5, "method": "http/request", "params": long})).await;
    assert_eq!(soon(peer.next()).await["error"]["data"]["kind"], "limit");
    let silent = Origin::silent().await;
    peer.call(6, &silent.url("/"), true).await;
    soon(silent.wait_for_connections(1)).await;
    peer.send(json!({"id": 7, "method": "http/request/cancel", "params": {"requestId": "6"}})).await;
    assert_eq!(soon(peer.next()).await["error"]["data"]["kind"], "cancelled");
    assert_eq!(soon(peer.next()).await["result"]["cancelled"], true);
    peer.call(8, &silent.url("/"), true).await;
    soon(silent.wait_for_connections(2)).await;
    // The cancelled exchange is over as soon as its connection is.
    soon(silent.closed(1)).await;
    assert!(get(address, "/metrics", "").await.starts_with("HTTP/1.1 401 "));
    let answer = get(address, "/metrics", "authorization: Bearer sesame\r\n").await;
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    for (name, value) in [
        ("connections_open", 1),
        ("connections_total", 1),
        ("exchanges_started_total", 6),
        ("exchanges_active", 1),
        ("exchanges_finished_total{outcome=\"ok\"}", 2),
        ("exchanges_finished_total{outcome=\"connect\"}", 1),
        ("exchanges_finished_total{outcome=\"invalid\"}", 1),
        ("exchanges_finished_total{outcome=\"cancelled\"}", 1),
        ("exchanges_finished_total{outcome=\"disconnected\"}", 0),
        ("request_body_bytes_total", 5),
        ("response_body_bytes_total", 10),
        ("frames_sent_total", 8),
        ("upgrades_refused_total{reason=\"token\"}", 2),
        ("upgrades_refused_total{reason=\"full\"}", 1),
        ("limits_met_total{limit=\"connections\"}", 1),
        ("limits_met_total{limit=\"calls\"}", 1),
        ("limits_met_total{limit=\"exchange\"}", 0),
    ] {
        assert_eq!(metric(&answer, name), value, "{name} in {answer}");
    }
    drop(peer);
    soon(silent.all_closed()).await;
    server.shut_down();
    soon(serving).await.expect("no panic");
    assert_eq!(metric(&server.metrics(), "exchanges_finished_total{outcome=\"disconnected\"}"), 1);
    assert_eq!(metric(&server.metrics(), "connections_open"), 0);
}
