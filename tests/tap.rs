//! `exec-http tap` between a client and an executor, and `exec-http judge` about what it recorded.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exec-http");

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tap-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of one's own");
    folder
}

/// The URL of an origin that answers one request.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback address");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the executor comes");
        let mut head = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut line = String::new();
        while head.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            line.clear();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").expect("the executor reads");
    });
    url
}

/// A session on standard input and output with an executor behind a tap: one streamed call, until its terminal frame has come.
fn session(folder: &Path, executor: &[&str]) -> Output {
    let mut tap = Command::new(PROGRAM)
        .args(["tap", "--", PROGRAM])
        .args(executor)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tap can be started");
    let mut to = tap.stdin.take().expect("it is piped");
    let mut from = BufReader::new(tap.stdout.take().expect("it is piped"));
    let mut say = |message: Value| writeln!(to, "{message}").expect("the tap reads");
    let mut hear = || {
        let mut line = String::new();
        from.read_line(&mut line).expect("the tap writes");
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    say(json!({"id": 1, "method": "initialize", "params": {"clientName": "test"}}));
    assert_eq!(hear()["id"], 1);
    say(json!({"method": "initialized", "params": {}}));
    // Another protocol on the same connection is nobody's business here.
    say(json!({"id": 2, "method": "files/read", "params": {}}));
    assert_eq!(hear()["id"], 2);
    let params = json!({"method": "GET", "url": origin(), "headers": [], "requestId": "a", "streamResponse": true});
    say(json!({"id": 3, "method": "http/request", "params": params}));
    assert_eq!(hear()["result"]["status"], 200);
    while hear()["params"]["done"] != true {}
    drop(to);
    let mut rest = String::new();
    from.read_to_string(&mut rest).expect("the tap ends");
    assert_eq!(rest, "");
    tap.wait_with_output().expect("the tap ends")
}

fn judge(folder: &Path) -> Output {
    let judged = Command::new(PROGRAM).args(["judge", "exec-http-runs/latest-tap"]).current_dir(folder).output();
    judged.expect("it can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_session_without_fault_passes_unchanged() {
    let folder = folder("good");
    let tapped = session(&folder, &["serve", "--listen", "stdio"]);
    let told = text(&tapped.stderr);
    assert_eq!(tapped.status.code(), Some(0), "{told}");
    assert!(told.contains("nothing to complain about"), "{told}");
    let judged = judge(&folder);
    assert_eq!(judged.status.code(), Some(0));
    assert_eq!(text(&judged.stdout), "1 passed, 0 failed, 0 skipped\n");
}

#[test]
fn a_broken_promise_is_told_at_once_and_found_again_in_the_trace() {
    let folder = folder("faulty");
    let tapped = session(&folder, &["zoo", "serve", "seq-from-zero", "--listen", "stdio"]);
    let told = text(&tapped.stderr);
    assert_eq!(tapped.status.code(), Some(1), "{told}");
    assert!(told.contains("executor fail(assertion)\n  clause      STREAM-1: "), "{told}");
    assert!(told.contains("1 promise was broken"), "{told}");
    let judged = judge(&folder);
    assert_eq!(judged.status.code(), Some(1));
    let said = text(&judged.stdout);
    assert!(said.contains("STREAM-1") && said.ends_with("0 passed, 1 failed, 0 skipped\n"), "{said}");
}
