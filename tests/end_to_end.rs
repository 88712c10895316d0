//! The client library and the binary's executor, over real pipes and sockets, with real sizes.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use exec_http::client::{Client, ClientConfig, QueuePolicy};
use exec_http::protocol::limits::QUEUE_BYTES;
use exec_http::transport::{Connection, lines, websocket};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const MIB: usize = 1024 * 1024;

/// Bytes of the pattern that origins send: a multiple of no power of two, so that swapped pieces differ.
const PATTERN: usize = 65_521;

#[derive(Clone, Copy, Debug)]
enum Over {
    Stdio,
    WebSocket,
}

fn pattern() -> Bytes {
    (0..PATTERN).map(|index| (index * 31 % 251) as u8).collect()
}

/// The digest of the first `length` bytes of the repeated pattern.
fn digest(length: usize) -> Vec<u8> {
    let (pattern, mut hash) = (pattern(), Sha256::new());
    for start in (0..length).step_by(PATTERN) {
        hash.update(&pattern[..PATTERN.min(length - start)]);
    }
    hash.finalize().to_vec()
}

/// An origin that answers `/N` with N bytes of the pattern; returns its URL.
async fn origin() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a TCP socket");
            let service = service_fn(|request: Request<Incoming>| async move {
                let length: usize = request.uri().path()[1..].parse().expect("paths are lengths");
                let pattern = pattern();
                let pieces = (0..length)
                    .step_by(PATTERN)
                    .map(move |start| Ok::<_, Infallible>(Frame::data(pattern.slice(..PATTERN.min(length - start)))));
                Response::builder().header("content-length", length).body(StreamBody::new(stream::iter(pieces)))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// Starts the binary's executor and connects to it. The child is killed when it is dropped.
async fn executor(over: Over) -> (Connection, Child) {
    let listen = match over {
        Over::Stdio => "stdio",
        Over::WebSocket => "ws://127.0.0.1:0",
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_exec-http"))
        .args(["serve", "--listen", listen])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary was built");
    let output = child.stdout.take().expect("piped");
    let connection = match over {
        Over::Stdio => lines::connection(output, child.stdin.take().expect("piped")),
        Over::WebSocket => {
            let url = BufReader::new(output).lines().next_line().await.expect("readable").expect("it prints its URL");
            websocket::connect(&url).await.expect("it listens")
        }
    };
    (connection, child)
}

async fn client(over: Over, queue_policy: QueuePolicy) -> (Client, Child) {
    let (connection, child) = executor(over).await;
    let config = ClientConfig { queue_policy, ..ClientConfig::default() };
    (Client::connect_with(connection, config).await.expect("the handshake"), child)
}

fn get(url: &str, length: usize) -> Request<Bytes> {
    Request::get(format!("{url}/{length}")).body(Bytes::new()).expect("a legal request")
}

/// The digest of a streamed body.
async fn streamed(client: &Client, request: Request<Bytes>) -> Vec<u8> {
    let mut response = client.stream(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    let mut hash = Sha256::new();
    while let Some(chunk) = response.body_mut().chunk().await {
        hash.update(chunk.expect("a whole body"));
    }
    hash.finalize().to_vec()
}

async fn a_large_body_arrives_whole(over: Over) {
    let (client, _child) = client(over, QueuePolicy::Pause).await;
    assert_eq!(streamed(&client, get(&origin().await, 64 * MIB)).await, digest(64 * MIB));
    assert_eq!(client.usage().routes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_arrives_whole_over_stdio() {
    a_large_body_arrives_whole(Over::Stdio).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_arrives_whole_over_websocket() {
    a_large_body_arrives_whole(Over::WebSocket).await;
}

async fn two_thousand_pipelined_streams_finish(over: Over) {
    let (client, _child) = client(over, QueuePolicy::Fail).await;
    let (url, whole) = (origin().await, digest(300));
    let calls: Vec<_> = (0..2_000)
        .map(|_| {
            let (client, request) = (client.clone(), get(&url, 300));
            tokio::spawn(async move { streamed(&client, request).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), whole);
    }
    assert_eq!(client.usage().routes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_pipelined_streams_finish_over_stdio() {
    two_thousand_pipelined_streams_finish(Over::Stdio).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_pipelined_streams_finish_over_websocket() {
    two_thousand_pipelined_streams_finish(Over::WebSocket).await;
}

/// The line is two seconds on an idle machine; the gate stands at five times that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_small_streams_one_after_the_other_do_not_stall_on_acknowledgements() {
    let (client, _child) = client(Over::WebSocket, QueuePolicy::Fail).await;
    let (url, whole) = (origin().await, digest(100));
    let start = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(streamed(&client, get(&url, 100)).await, whole);
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Three bodies far larger than any queue: nobody reads two of them at first, the third comes all the same, and all are whole.
async fn slow_readers_lose_nothing_and_hold_nobody_up(over: Over) {
    let (client, _child) = client(over, QueuePolicy::Fail).await;
    let (url, length) = (origin().await, 40 * MIB);
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(client.stream(get(&url, length)).await.expect("a response").into_body());
    }
    let (fast, small) = tokio::join!(streamed(&client, get(&url, length)), streamed(&client, get(&url, 100)));
    assert_eq!((fast, small), (digest(length), digest(100)));
    assert!(client.usage().queued_bytes <= QUEUE_BYTES, "{:?}", client.usage());
    for mut body in slow {
        let mut hash = Sha256::new();
        while let Some(chunk) = body.chunk().await {
            hash.update(chunk.expect("a whole body"));
        }
        assert_eq!(hash.finalize().to_vec(), digest(length));
    }
    assert_eq!(client.usage().routes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_lose_nothing_and_hold_nobody_up_over_stdio() {
    slow_readers_lose_nothing_and_hold_nobody_up(Over::Stdio).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_lose_nothing_and_hold_nobody_up_over_websocket() {
    slow_readers_lose_nothing_and_hold_nobody_up(Over::WebSocket).await;
}

/// The subcommand waits for whoever reads its output, and loses nothing of a body that is far larger than any queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_loses_nothing_to_a_reader_that_is_late() {
    let binary = env!("CARGO_BIN_EXE_exec-http");
    let length = 96 * MIB;
    for over in [Over::Stdio, Over::WebSocket] {
        let (via, _child) = match over {
            Over::Stdio => (format!("'{binary}' serve --listen stdio"), None),
            Over::WebSocket => {
                let mut child = Command::new(binary)
                    .args(["serve", "--listen", "ws://127.0.0.1:0"])
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .expect("the binary was built");
                let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
                (lines.next_line().await.expect("readable").expect("it prints its URL"), Some(child))
            }
        };
        let mut request = Command::new(binary)
            .args(["request", "--stream", "--via", &via, &format!("{}/{length}", origin().await)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built");
        let mut output = request.stdout.take().expect("piped");
        let mut buffer = vec![0; 256 * 1024];
        let (mut hash, mut received) = (Sha256::new(), 0);
        loop {
            let read = output.read(&mut buffer).await.expect("readable");
            if received == 0 {
                // How late the reader is matters here; there is no event for a queue that is full.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            if read == 0 {
                break;
            }
            received += read;
            hash.update(&buffer[..read]);
        }
        assert_eq!((received, hash.finalize().to_vec()), (length, digest(length)), "{over:?}");
        assert!(request.wait().await.expect("it ends").success());
    }
}
