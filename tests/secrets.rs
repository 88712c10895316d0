//! No secret stands in an error or a log line (ERROR-15, ERROR-16): the executor as a process, at its most verbose, through every
//! kind of outcome.

#[path = "server/origin.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod origin;

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::transport::{Connection, lines, websocket};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use origin::{Origin, answer, response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No event of these tests takes this long on a working executor.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stands in every secret, and in nothing else.
const SECRET: &str = "hunter2";

/// Secrets and what becomes of them on the wire.
fn needles() -> Vec<String> {
    let encoded = ["hunter2-body", "hunter2-user:hunter2-pass", "hunter2-proxy:hunter2-pass"];
    [SECRET.to_owned()].into_iter().chain(encoded.map(|text| STANDARD.encode(text))).collect()
}

#[track_caller]
fn check_clean(text: &str, what: &str) {
    for needle in needles() {
        if let Some(line) = text.lines().find(|line| line.contains(&needle)) {
            panic!("{what}: {needle} in {line}");
        }
    }
}

/// An executor and its one client.
struct Executor {
    child: Child,
    stderr: JoinHandle<String>,
    connection: Connection,
    /// The id of the next call.
    next: u64,
}

fn command(listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command
        .args(["serve", "--listen", listen])
        .env("RUST_LOG", "trace,tungstenite::protocol=trace")
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    command.env("EXEC_HTTP_TEST_TOKEN", "hunter2-variable").env("OPENAI_API_KEY", "hunter2-denied");
    command.env("EXEC_HTTP_TEST_NO_HEADER", "hunter2\nvariable");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn collect(mut stderr: ChildStderr) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.expect("logs are UTF-8");
        text
    })
}

impl Executor {
    async fn stdio(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the executor starts");
        let stderr = collect(child.stderr.take().expect("piped"));
        let connection = lines::connection(child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
        Self { child, stderr, connection, next: 0 }.greeted().await
    }

    async fn websocket() -> Self {
        let mut child = command("ws://127.0.0.1:0").spawn().expect("the executor starts");
        let stderr = collect(child.stderr.take().expect("piped"));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable").expect("its URL");
        let connection = websocket::connect(&url).await.expect("it listens");
        Self { child, stderr, connection, next: 0 }.greeted().await
    }

    async fn greeted(mut self) -> Self {
        self.send(json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}})).await;
        self.send(json!({"method": "initialized"})).await;
        assert!(self.receive().await["result"].is_object());
        self
    }

    async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    async fn send_text(&mut self, text: String) {
        let sent = self.connection.writer.send(vec![text.into_bytes().into()]);
        timeout(PATIENCE, sent).await.expect("taken").expect("connected");
    }

    /// The next frame, its error checked.
    async fn receive(&mut self) -> Value {
        let frame = timeout(PATIENCE, self.connection.reader.next()).await.expect("in time").expect("connected");
        let frame: Value = serde_json::from_slice(&frame.expect("open")).expect("JSON");
        check_clean(&frame["error"].to_string(), "an error");
        check_clean(&frame["params"]["error"].to_string(), "the error of a stream");
        frame
    }

    /// Runs one call to its end: the kind of its error, the code where it has no kind, `ok` for none.
    async fn outcome(&mut self, change: impl FnOnce(&mut Value), url: &str, stream: bool) -> String {
        self.next += 1;
        let mut params = json!({
            "requestId": self.next.to_string(),
            "method": "POST",
            "url": url,
            "headers": [
                {"name": "authorization", "value": "Bearer hunter2-header"},
                {"name": "x-api-key", "value": "hunter2-prefix-", "valueEnvVar": "EXEC_HTTP_TEST_TOKEN"},
            ],
            "bodyBase64": STANDARD.encode("hunter2-body"),
            "streamResponse": stream,
        });
        change(&mut params);
        self.send(json!({"id": self.next, "method": "http/request", "params": params})).await;
        let reply = self.receive().await;
        assert_eq!(reply["id"], self.next);
        let error = &reply["error"];
        if !error.is_null() {
            return error["data"]["kind"].as_str().map_or(error["code"].to_string(), str::to_owned);
        }
        if !stream {
            return "ok".to_owned();
        }
        loop {
            let delta = &self.receive().await["params"];
            if delta["done"] == true {
                return delta["errorKind"].as_str().unwrap_or("ok").to_owned();
            }
        }
    }

    /// Ends it; what it logged.
    async fn end(mut self) -> String {
        drop(self.connection);
        let id = self.child.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(id).expect("an id fits")), Signal::SIGTERM).expect("it runs");
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it was started");
        self.stderr.await.expect("no panic")
    }
}

/// Everything behind the authority of a URL, and a user in front of it.
fn secret_url(origin: &str) -> String {
    origin.replace("://", "://hunter2-user:hunter2-pass@") + "hunter2-path?hunter2=hunter2-query#hunter2-fragment"
}

/// An https URL of something that speaks no TLS.
async fn no_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 hunter2\r\n\r\n").await.expect("it reads");
    });
    url
}

/// Every outcome that an origin can cause, streamed and buffered.
async fn run_origins(executor: &mut Executor) {
    let good =
        Origin::answering(response("x-answer: hunter2-answer\r\nset-cookie: hunter2=1\r\n", b"hunter2-answer")).await;
    let here = |text: &str| answer("307 Temporary Redirect", &format!("location: {text}\r\n"), b"hunter2-answer");
    let closing: &[(&[u8], &str)] = &[
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nx-answer: hunter2", "reset"),
        (b"hunter2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nhunter2 hunter2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhunter2", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nhunter2\r\nhunter2\r\n", "protocol"),
    ];
    let mut origins = vec![
        (Origin::answering(here("/hunter2")).await, "redirect"),
        (Origin::answering(here("ftp://hunter2:hunter2@127.0.0.1/hunter2")).await, "redirect"),
        (Origin::answering(here("http://hunter2:hunter2@169.254.169.254/hunter2?hunter2")).await, "denied"),
        (Origin::answering(here("http://hunter2@[hunter2/hunter2")).await, "ok"),
    ];
    for (bytes, kind) in closing {
        origins.push((Origin::closing_after(bytes).await, kind));
    }
    let head = format!("HTTP/1.1 200 OK\r\nx-answer: hunter2{}\r\n\r\n", "-".repeat(1_000_000));
    origins.push((Origin::closing_after(head.as_bytes()).await, "limit"));
    let stalled = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhunter2").await;
    for stream in [false, true] {
        assert_eq!(executor.outcome(|_| (), &secret_url(&good.url("/")), stream).await, "ok");
        for (origin, kind) in &origins {
            assert_eq!(executor.outcome(|_| (), &secret_url(&origin.url("/")), stream).await, *kind);
        }
        let hurried = |params: &mut Value| params["timeoutMs"] = 50.into();
        assert_eq!(executor.outcome(hurried, &secret_url(&stalled.url("/")), stream).await, "timeout");
        assert_eq!(executor.outcome(|_| (), &secret_url(&Origin::refusing().await), stream).await, "connect");
        assert_eq!(executor.outcome(|_| (), &secret_url("http://nowhere.invalid/"), stream).await, "dns");
        assert_eq!(executor.outcome(|_| (), &secret_url("http://169.254.169.254/"), stream).await, "denied");
        assert_eq!(executor.outcome(|_| (), &secret_url(&no_tls().await), stream).await, "tls");
    }
    let large = Origin::stalling_after(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nhunter2").await;
    assert_eq!(executor.outcome(|_| (), &secret_url(&large.url("/")), false).await, "limit");
    let cancel = json!({"id": "c", "method": "http/request/cancel", "params": {"requestId": "silent"}});
    let params = json!({"requestId": "silent", "method": "GET", "url": secret_url(&stalled.url("/"))});
    executor.send(json!({"id": "silent", "method": "http/request", "params": params})).await;
    executor.send(cancel).await;
    assert_eq!(executor.receive().await["error"]["data"]["kind"], "cancelled");
    assert_eq!(executor.receive().await["result"]["cancelled"], true);
}

/// Every refusal of what the client sends.
async fn run_refusals(executor: &mut Executor) {
    let origin = Origin::answering(response("", b"x")).await;
    let url = secret_url(&origin.url("/"));
    let header = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    let variable = |name: &str| json!([{"name": "a", "value": "hunter2", "valueEnvVar": name}]);
    for (member, value, outcome) in [
        ("method", json!("hunter2 hunter2"), "-32602"),
        ("url", json!("hunter2"), "-32602"),
        ("url", json!("ftp://hunter2:hunter2@127.0.0.1/hunter2"), "-32602"),
        ("url", json!("http://hunter2:hunter2@[::1/hunter2"), "-32602"),
        ("url", json!(["hunter2"]), "-32602"),
        ("headers", header("hunter2 hunter2", "v"), "-32602"),
        ("headers", header("a", "hunter2\r\nb: hunter2"), "-32602"),
        ("headers", header("connection", "hunter2"), "-32602"),
        ("headers", header("content-length", "hunter2"), "-32602"),
        ("headers", json!(["hunter2"]), "-32602"),
        ("headers", variable("OPENAI_API_KEY"), "denied"),
        ("headers", variable("NO_SUCH_VARIABLE"), "-32602"),
        ("headers", variable("EXEC_HTTP_TEST_NO_HEADER"), "-32602"),
        ("bodyBase64", json!("hunter2"), "-32602"),
        ("timeoutMs", json!("hunter2"), "-32602"),
        ("redirectPolicy", json!("hunter2"), "-32602"),
        ("requestId", json!("hunter2".repeat(1000)), "limit"),
    ] {
        assert_eq!(executor.outcome(|params| params[member] = value, &url, true).await, outcome, "{member}");
    }
    assert_eq!(origin.connections(), 0);
    for malformed in [
        r#"{"id":1,"method":"http/request","params":{"url":"hunter2"#,
        r#"{"id":1,"id":1,"method":"hunter2"}"#,
        r#"{"id":1,"method":"http/request","params":{"hunter2":1,"hunter2":2}}"#,
        r#"["hunter2"]"#,
        r#""hunter2""#,
        "hunter2",
        r#"{"id":"hunter2","hunter2":hunter2}"#,
    ] {
        executor.send_text(malformed.to_owned()).await;
        assert_eq!(executor.receive().await["id"], -1, "{malformed}");
    }
    executor.send(json!({"id": 1, "method": "hunter2", "params": {"hunter2": "hunter2"}})).await;
    assert_eq!(executor.receive().await["error"]["code"], -32601);
    executor.send(json!({"method": "hunter2", "params": {"hunter2": "hunter2"}})).await;
}

/// The logs must be there, or nothing was looked at.
#[track_caller]
fn check_logs(logs: &str) {
    for part in ["TRACE", " exec_http::"] {
        assert!(logs.contains(part), "{part}: {logs}");
    }
    check_clean(logs, "a log line");
}

#[tokio::test]
async fn nothing_secret_is_told_or_logged_on_stdio() {
    let mut executor = Executor::stdio(command("stdio")).await;
    run_origins(&mut executor).await;
    run_refusals(&mut executor).await;
    check_logs(&executor.end().await);
}

#[tokio::test]
async fn nothing_secret_is_told_or_logged_on_a_websocket() {
    let mut executor = Executor::websocket().await;
    run_origins(&mut executor).await;
    run_refusals(&mut executor).await;
    check_logs(&executor.end().await);
}

#[tokio::test]
async fn nothing_secret_is_told_or_logged_with_a_proxy() {
    let proxy =
        Origin::answering(answer("407 Proxy Authentication Required", "x-answer: hunter2\r\n", b"hunter2")).await;
    let mut command = command("stdio");
    command.arg("--proxy-from-env").env("no_proxy", "");
    command.env("all_proxy", proxy.url("").replace("http://", "http://hunter2-proxy:hunter2-pass@"));
    let mut executor = Executor::stdio(command).await;
    for stream in [false, true] {
        assert_eq!(executor.outcome(|_| (), &secret_url("http://origin.invalid/"), stream).await, "ok");
        assert_eq!(executor.outcome(|_| (), &secret_url("https://origin.invalid/"), stream).await, "connect");
    }
    assert!(proxy.requests()[0].contains(&STANDARD.encode("hunter2-proxy:hunter2-pass")), "{:?}", proxy.requests());
    check_logs(&executor.end().await);
}

#[tokio::test]
async fn wrong_options_are_told_without_the_secrets_in_them() {
    let socks = ("all_proxy", "socks5://hunter2:hunter2@127.0.0.1:1");
    for (arguments, variable, message) in [
        (&["--proxy-from-env"][..], socks, "the variable all_proxy must name a proxy as http://HOST:PORT"),
        (&["--ca", "/no/such/file"], ("A", ""), "cannot read the file of TLS authorities /no/such/file: No such file"),
        (&["--ca", "/dev/null"], ("A", ""), "--ca /dev/null: it holds no certificate"),
        (&["--allow-destination", "10.*"], ("A", ""), "invalid value '10.*' for '--allow-destination <RULE>': a * may"),
        (&["--deny-destination", "a:0"], ("A", ""), "the port must be a number from 1 to 65535"),
    ] {
        let output = command("stdio").args(arguments).env(variable.0, variable.1).stdin(Stdio::null()).output();
        let output = timeout(PATIENCE, output).await.expect("it ends").expect("it was started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{errors}");
        check_clean(&errors, "the message");
    }
}
