//! `exec-http serve` and the signals that end it.

#[path = "server/origin.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod origin;

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use exec_http::client::Client;
use exec_http::transport::{lines, websocket};
use http::Request;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use origin::Origin;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No event of these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first half of a response.
const STALLED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";

fn executor(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_exec-http"))
        .arg("serve")
        .args(arguments)
        .env("RUST_LOG", "info")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary was built")
}

fn signal(process: &Child, signal: Signal) {
    let id = process.id().and_then(|id| i32::try_from(id).ok()).expect("it is running");
    kill(Pid::from_raw(id), signal).expect("it is running");
}

async fn ended(process: &mut Child) -> ExitStatus {
    timeout(PATIENCE, process.wait()).await.expect("it ends by itself").expect("it was not waited for")
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).expect("a legal request")
}

/// An executor on its pipes, with an exchange that its origin does not finish.
async fn busy_on_stdio(arguments: &[&str]) -> (Child, Client, Origin) {
    let mut process = executor(&[&["--listen", "stdio"], arguments].concat());
    let pipes = (process.stdout.take().expect("piped"), process.stdin.take().expect("piped"));
    let client = Client::connect(lines::connection(pipes.0, pipes.1)).await.expect("the handshake");
    let origin = Origin::silent().await;
    let request = get(&origin.url("/"));
    tokio::spawn({
        let client = client.clone();
        async move { client.request(request).await }
    });
    timeout(PATIENCE, origin.wait_for_connections(1)).await.expect("a request");
    (process, client, origin)
}

#[tokio::test]
async fn on_stdio_it_ends_when_the_time_is_up_though_its_input_is_open() {
    for number in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut process, client, _origin) = busy_on_stdio(&["--drain-ms", "300"]).await;
        let begun = Instant::now();
        signal(&process, number);
        assert_eq!(ended(&mut process).await.code(), Some(0));
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        drop(client);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut process, client, origin) = busy_on_stdio(&["--drain-ms", "600000"]).await;
    signal(&process, Signal::SIGTERM);
    // It has seen the first when it refuses.
    let refused = timeout(PATIENCE, async {
        loop {
            let call = timeout(Duration::from_millis(50), client.request(get(&origin.url("/")))).await;
            if let Ok(Err(error)) = call {
                break error.to_string();
            }
        }
    });
    let refused = refused.await.expect("in time");
    assert!(refused.contains("shutting down"), "{refused}");
    signal(&process, Signal::SIGTERM);
    assert_eq!(ended(&mut process).await.code(), Some(0));
}

#[tokio::test]
async fn a_listener_drains_and_logs_what_it_did() {
    let mut process = executor(&["--drain-ms", "600000", "--log-format", "json"]);
    let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
    let url = output.next_line().await.expect("readable").expect("it prints its URL");
    let client = Client::connect(websocket::connect(&url).await.expect("it listens")).await.expect("the handshake");
    let origin = Origin::stalling_after(STALLED).await;
    let mut response = client.stream(get(&origin.url("/path"))).await.expect("a head");
    assert_eq!(response.body_mut().chunk().await.expect("more").expect("no error"), "hello");
    signal(&process, Signal::SIGTERM);
    let address = url.strip_prefix("ws://").expect("a ws URL");
    let draining = async { while !readiness(address).await.starts_with("HTTP/1.1 503 ") {} };
    timeout(PATIENCE, draining).await.expect("in time");
    origin.release(b"world").await;
    assert_eq!(response.body_mut().chunk().await.expect("more").expect("no error"), "world");
    assert!(response.body_mut().chunk().await.is_none());
    assert_eq!(ended(&mut process).await.code(), Some(0));
    let mut log = String::new();
    process.stderr.take().expect("piped").read_to_string(&mut log).await.expect("UTF-8");
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut ended = lines.filter(|line: &serde_json::Value| line["fields"]["message"] == "exchange ended");
    let line = ended.next().expect("one exchange");
    assert_eq!(line["spans"][0], serde_json::json!({"name": "connection", "number": 0}));
    let span = &line["span"];
    assert_eq!((&span["name"], &span["method"], &span["outcome"]), (&"exchange".into(), &"GET".into(), &"ok".into()));
    assert_eq!((&span["status"], &span["bytes"], &span["id"]), (&200.into(), &10.into(), &0.into()));
    assert_eq!(span["host"], origin.url("").replace("http://", ""));
    assert!(span["ms"].is_u64() && !log.contains("/path"), "{log}");
}

async fn readiness(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("UTF-8");
    answer
}
