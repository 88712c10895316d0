//! `exec-http serve` as a process: its options, and whom it lets in.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rcgen::{CertificateParams, KeyPair};

const SECRET: &str = "sesame-9ab3e0";

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command.args(arguments).stdin(Stdio::null()).env("RUST_LOG", "trace");
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file with that content; the name is not used by other tests.
fn file(name: &str, content: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the folder of the tests can be written");
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// A listening executor, ended when it is dropped.
struct Executor {
    process: Child,
    url: String,
    /// What it logs.
    log: String,
}

impl Executor {
    /// The log goes to a file of that name.
    fn start(log: &str, arguments: &[&str]) -> Self {
        // Nobody would read a pipe.
        let log = file(log, "");
        let errors = fs::File::create(&log).expect("the folder of the tests can be written");
        let process = program(&["serve"]).args(arguments).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut process = process.expect("the binary was built");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("it prints its URL");
        Self { process, url: url.trim().to_owned(), log }
    }

    /// All that it has logged, once it has ended.
    fn end(mut self) -> String {
        self.process.kill().and_then(|()| self.process.wait()).expect("it is running");
        fs::read_to_string(&self.log).expect("UTF-8")
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An origin that answers one request with `hello`; returns its URL.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        BufReader::new(&mut stream).read_line(&mut String::new()).expect("a request");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(answer).expect("the executor reads");
        // Whatever else comes of the request.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    url
}

#[test]
fn a_request_passes_a_listener_with_token_and_certificate() {
    let own = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).and_then(|params| params.self_signed(&own));
    let certificate = file("serve-cert.pem", &certificate.expect("a certificate").pem());
    let key = file("serve-key.pem", &own.serialize_pem());
    let token = file("serve-token", &format!(" {SECRET}\n"));
    let wrong = file("serve-wrong-token", "sesame-9ab3e");
    let secure = ["--listen", "wss://127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let executor = Executor::start("serve-log", &[&secure[..], &["--ws-token-file", &token]].concat());
    assert!(executor.url.starts_with("wss://127.0.0.1:"), "{}", executor.url);
    let request = |options: &[&str]| run(&[&["request", "--via", &executor.url], options].concat());
    let whole = request(&["--ca", &certificate, "--token-file", &token, &origin()]);
    assert_eq!((whole.status.code(), text(&whole.stdout).as_str()), (Some(0), "hello"), "{}", text(&whole.stderr));
    let mut logs = text(&whole.stderr);
    let unused = "http://127.0.0.1:9/";
    for (options, message) in [
        (&["--ca", &certificate, "--token-file", &wrong][..], "refused with status 401"),
        (&["--ca", &certificate], "refused with status 401"),
        (&["--token-file", &token], "certificate"),
    ] {
        let refused = request(&[options, &[unused]].concat());
        let errors = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{errors}");
        assert!(errors.contains(message), "{errors}");
        logs += &errors;
    }
    logs += &executor.end();
    assert!(logs.contains("request refused"), "the executor logs at every level: {logs}");
    assert!(!logs.contains("sesame"), "{logs}");
}

#[test]
fn the_suite_shows_a_token_to_an_executor_that_wants_one() {
    let token = file("suite-token", SECRET);
    // printf %s sesame-9ab3e0 | sha256sum
    let executor = Executor::start("suite-log", &["--ws-token-sha256", DIGEST]);
    let suite = |options: &[&str]| {
        let select = ["--only", "handshake/session", "--only", "transport/readyz", "--only", "transport/origin*"];
        run(&[&["conform", "server", "--no-out", "--url", &executor.url], &select[..], options].concat())
    };
    let passed = suite(&["--token-file", &token]);
    let report = text(&passed.stdout);
    assert_eq!(passed.status.code(), Some(0), "{report}");
    assert!(!report.contains("0 passed"), "{report}");
    let refused = suite(&[]);
    let report = text(&refused.stdout);
    assert_eq!(refused.status.code(), Some(3), "{report}");
    assert!(report.contains("401 Unauthorized"), "{report}");
}

/// Of [`SECRET`].
const DIGEST: &str = "58582db1473e03d9f185de77daae8b0f726b96dd4c881a52de82f693d2eec990";

/// Status 2, nothing on standard output, and a message on standard error that contains this and no secret.
#[track_caller]
fn check_usage(arguments: &[&str], message: &str) {
    let output = run(arguments);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(errors.contains(message) && !errors.contains("sesame"), "{arguments:?}: {errors}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn options_that_do_not_fit_end_with_status_2() {
    let (token, empty) = (file("usage-token", SECRET), file("usage-empty-token", " \n"));
    let two = file("usage-two-tokens", "sesame-1\nsesame-2\n");
    let serve = |options: &[&str], message| check_usage(&[&["serve"], options].concat(), message);
    serve(&["--listen", "ws://0.0.0.0:0"], "listening beyond loopback takes --ws-token-file or --ws-token-sha256");
    serve(&["--listen", "ws://[::]:0"], "listening beyond loopback takes");
    serve(&["--listen", "ws://localhost:0"], "an IP address and a port");
    serve(&["--ws-token-file", &empty], "the token is empty");
    serve(&["--ws-token-file", &two], "not visible ASCII");
    serve(&["--ws-token-file", "/no/such/file"], "cannot read the token file /no/such/file");
    serve(&["--ws-token-sha256", SECRET], "64 hexadecimal digits");
    serve(&["--ws-token-file", &token, "--ws-token-sha256", DIGEST], "cannot be used with");
    serve(&["--listen", "stdio", "--ws-token-file", &token], "are for --listen ws:// and wss://");
    serve(&["--listen", "stdio", "--connections", "3"], "are for --listen ws:// and wss://");
    serve(&["--connections", "0"], "0 is not in 1");
    serve(&["--listen", "wss://127.0.0.1:0"], "--listen wss:// takes --tls-cert and --tls-key");
    serve(&["--tls-cert", &token], "--tls-key");
    serve(&["--tls-cert", &token, "--tls-key", &token], "take --listen wss://ADDRESS:PORT");
    let secure = ["--listen", "wss://127.0.0.1:0", "--tls-cert"];
    serve(
        &[&secure[..], &["/no/such/file", "--tls-key", &token]].concat(),
        "cannot read the TLS certificate /no/such/file",
    );
    serve(&[&secure[..], &[&token, "--tls-key", "/no/such/file"]].concat(), "cannot read the TLS key /no/such/file");
    serve(&[&secure[..], &[&token, "--tls-key", &token]].concat(), "the TLS certificate is not PEM");
    let request =
        |options: &[&str], message| check_usage(&[&["request", "http://127.0.0.1:9/"], options].concat(), message);
    request(&["--via", "ws://127.0.0.1:9", "--ca", &token], "--ca takes --via wss://");
    request(&["--via", "cat", "--token-file", &token], "--token-file takes --via ws://");
    request(&["--via", "http://127.0.0.1:9"], "--via takes a ws:// or wss:// URL or a command");
    request(&["--via", "wss://127.0.0.1:9", "--ca", &token], "the TLS authorities are not PEM");
    request(&["--via", "ws://127.0.0.1:9", "--token-file", &empty], "the token is empty");
    check_usage(&["conform", "server", "--token-file", &token], "--url");
}
