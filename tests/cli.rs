//! The command line of the suite: exit codes and closing lines, above all for peers that do nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Answers every request with an empty result.
const EMPTY_RESULTS: &str = r#"while IFS= read -r line; do
    id=${line#*\"id\":}
    printf '{"id":%s,"result":{}}\n' "${id%%[,\}]*}"
done"#;

fn suite(arguments: &[&str]) -> Output {
    conform("server", arguments)
}

fn conform(half: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command.args(["conform", half, "--no-out"]).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command.output().expect("the suite can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the report is UTF-8")
}

/// The run passes nothing, ends with that status, and says so with one cause.
#[track_caller]
fn check_nothing_passes(arguments: &[&str], status: i32, cause: &str) {
    let output = suite(arguments);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(status), "{report}");
    let first = report.lines().next().unwrap_or_default();
    assert!(first.contains("have one cause: ") && first.contains(cause), "{report}");
    let last = report.lines().last().unwrap_or_default();
    assert!(last.starts_with("0 passed, "), "{report}");
    if status == 3 {
        assert!(last.starts_with("0 passed, 0 failed, "), "what was not run has not failed: {report}");
    }
}

#[test]
fn a_peer_that_exits_passes_nothing() {
    check_nothing_passes(&["--cmd", "true"], 3, "exited with status 0 before answering initialize");
}

#[test]
fn a_peer_that_echoes_passes_nothing() {
    check_nothing_passes(&["--cmd", "cat"], 3, "sent the request initialize back");
}

#[test]
fn a_silent_peer_passes_nothing() {
    let arguments = ["--cmd", "sleep 60", "--time-scale", "0.02"];
    check_nothing_passes(&arguments, 3, "no answer to initialize within 300ms");
}

#[test]
fn a_dead_address_passes_nothing() {
    // Bound and not listening: connections are refused, and nobody else gets the port.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("ws://{}", socket.expect("there is a loopback address"));
    check_nothing_passes(&["--url", &url, "--time-scale", "0.02"], 3, "refused");
}

#[test]
fn a_missing_program_is_one_message() {
    check_nothing_passes(&["--cmd", "no-such-program-anywhere"], 3, "no such program: no-such-program-anywhere");
}

#[test]
fn a_listening_peer_that_names_no_url_passes_nothing() {
    let arguments = ["--cmd", "sleep 60", "--transport", "ws", "--time-scale", "0.02"];
    check_nothing_passes(&arguments, 3, "printed no ws:// URL within 300ms");
}

#[test]
fn empty_results_break_the_handshake() {
    let arguments = ["--", "/bin/sh", "-c", EMPTY_RESULTS];
    check_nothing_passes(&arguments, 1, "initialize was answered without sessionId");
    let report = stdout(&suite(&arguments));
    assert!(report.contains("peer/handshake [stdio] fail(assertion)"), "{report}");
    assert!(report.contains("clause      HANDSHAKE-2: "), "{report}");
}

#[test]
fn a_line_that_is_no_message_is_pollution() {
    check_nothing_passes(&["--cmd", "echo listening"], 1, "a frame that is no message");
}

#[test]
fn the_built_in_executor_passes_a_selected_case_and_the_reports_say_so() {
    check_one_case("server", "handshake/session");
}

#[test]
fn the_built_in_client_passes_a_selected_case_and_the_reports_say_so() {
    check_one_case("client", "client-stream/gap");
}

#[track_caller]
fn check_one_case(half: &str, case: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (json, junit) = (folder.join(format!("{half}.jsonl")), folder.join(format!("{half}.xml")));
    let path = |path: &Path| path.to_str().expect("the path is UTF-8").to_owned();
    let output = conform(half, &["--only", case, "--json", &path(&json), "--junit", &path(&junit)]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.lines().last().is_some_and(|last| last.starts_with("2 passed, 0 failed, ")), "{report}");
    assert!(report.contains("\npartial run: cases were left out\n"), "{report}");
    let json = std::fs::read_to_string(json).expect("the file was written");
    let passes = json.lines().filter(|line| line.contains(r#""verdict":"pass""#)).count();
    assert_eq!(passes, 2, "{json}");
    let junit = std::fs::read_to_string(junit).expect("the file was written");
    assert!(junit.contains(&format!(r#"<testcase name="{case}""#)), "{junit}");
}

#[test]
fn an_interrupt_ends_the_peer_and_still_writes_the_reports() {
    check_interrupt("server");
}

#[test]
fn an_interrupt_ends_the_adapter_and_still_writes_the_reports() {
    check_interrupt("client");
}

#[track_caller]
fn check_interrupt(half: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (pipe, json) = (folder.join(format!("{half}.pipe")), folder.join(format!("{half}-interrupt.jsonl")));
    let _ = std::fs::remove_file(&pipe);
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be started");
    assert!(made.success());
    // The peer holds the pipe open as long as one of its processes lives.
    let peer = format!("exec 3>'{}'; echo started >&3; sleep 600 & exec sleep 600", pipe.display());
    let suite = Command::new(env!("CARGO_BIN_EXE_exec-http"))
        .args(["conform", half, "--no-out", "--json", &json.to_string_lossy(), "--", "/bin/sh", "-c", &peer])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the suite can be started");
    let mut peer = BufReader::new(File::open(&pipe).expect("the peer opens the other end"));
    let mut started = String::new();
    peer.read_line(&mut started).expect("the peer writes a line");
    let suite_id = i32::try_from(suite.id()).expect("a process id fits");
    kill(Pid::from_raw(suite_id), Signal::SIGINT).expect("the suite is running");
    let output = suite.wait_with_output().expect("the suite ends");
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert!(report.lines().next().is_some_and(|first| first.ends_with("have one cause: interrupted")), "{report}");
    let json = std::fs::read_to_string(json).expect("the file was written");
    assert!(json.lines().last().is_some_and(|last| last.contains(r#""event":"end""#)), "{json}");
    // Ends only when no process of the peer is left.
    let mut rest = String::new();
    peer.read_to_string(&mut rest).expect("the pipe can be read");
}

/// The command line or a file is wrong: status 2 and a message on standard error that contains this.
#[track_caller]
fn check_usage(arguments: &[&str], message: &str) {
    let output = suite(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(errors.contains(message), "{arguments:?}: {errors}");
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_missing_adapter_is_one_message() {
    let output = conform("client", &["--adapter", "/no/such/adapter"]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert!(report.lines().next().is_some_and(|first| first.contains("have one cause: ")), "{report}");
    assert!(report.contains("no such program: /no/such/adapter"), "{report}");
}

#[test]
fn the_schema_of_the_adapter_protocol_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_exec-http")).args(["schema", "adapter"]).output();
    let schema: serde_json::Value = serde_json::from_str(&stdout(&output.expect("it can be started"))).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn wrong_arguments_end_with_status_2() {
    check_usage(&["--only", "no/such-case"], "no case is selected");
    check_usage(&["--only", "a[b"], "bad pattern");
    check_usage(&["--cmd", "'unbalanced"], "unbalanced quotes");
    check_usage(&["--cmd", "a", "--url", "ws://127.0.0.1:1"], "cannot be used with");
    check_usage(&["--cmd", "a", "--transport", "both"], "one command cannot serve both");
    check_usage(&["--url", "ws://192.0.2.1:1"], "is not a loopback address");
    check_usage(&["--env", "x"], "expected NAME=VALUE");
    check_usage(&["--time-scale", "0"], "expected a number");
    check_usage(&["--revision", "1999-01"], "expected 2026-04");
    check_usage(&["--expect", "/no/such/file"], "/no/such/file: ");
}

#[test]
fn an_expectation_for_an_unknown_case_ends_with_status_2() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unknown-case.toml");
    let entry = "[[expect]]\ncase = \"no/such-case\"\nexpect = \"fail\"\nreason = \"none\"\n";
    std::fs::write(&file, entry).expect("the folder of the tests can be written");
    check_usage(&["--expect", file.to_str().expect("the path is UTF-8")], "no such case: no/such-case");
}

#[test]
fn the_list_names_every_case_with_its_clauses() {
    let output = suite(&["--list"]);
    let list = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(list.lines().any(|line| line.starts_with("handshake/session ") && line.contains("HANDSHAKE-2")), "{list}");
    let list = stdout(&conform("client", &["--list"]));
    assert!(list.lines().any(|line| line.starts_with("client-stream/gap ") && line.contains("STREAM-20")), "{list}");
}

#[test]
fn a_report_says_where_it_is_and_needs_the_folder_of_a_run() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let report = |runs: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
        command.arg("report").args(runs).current_dir(&folder).output().expect("the program can be started")
    };
    let failed = |runs: &[&str], message: &str| {
        let output = report(runs);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {message}\n"));
    };
    failed(&[], "exec-http-runs/latest: no such folder");
    failed(&["a=missing"], "missing: no such folder");
    failed(&["."], ".: not the folder of a run: no results.jsonl that begins with one");
    std::fs::write(folder.join("results.jsonl"), "{\"event\":\"run\"}\n").expect("the temporary folder can be written");
    for (runs, page) in
        [(&["."][..], "./report.html"), (&["a=.", "b=."], "report.html"), (&[".", "-o", "x.html"], "x.html")]
    {
        let output = report(runs);
        assert_eq!(stdout(&output), format!("{page}\n"));
        let text = std::fs::read_to_string(folder.join(page)).expect("a page");
        assert!(text.starts_with("<!DOCTYPE html>") && text.contains("\"exitCode\":null"), "{page}");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

fn serve(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command
        .args(["serve", "--listen", "stdio"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it can be started")
}

#[test]
fn the_limits_of_an_executor_are_printed_as_they_were_chosen() {
    let output = serve(&["--print-limits", "--max-active-streams", "7", "--max-idle-ms", "1500"]);
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    let row = |option: &str| {
        let line = table.lines().find(|line| line.contains(option)).unwrap_or_else(|| panic!("{option}: {table}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        row("--max-active-streams"),
        "active streams of a connection 7 streams --max-active-streams further streamed calls are queued"
    );
    assert!(row("--max-idle-ms").contains(" 1500 ms --max-idle-ms "));
    assert!(row("--max-total-ms").contains(" none ms --max-total-ms "));
    assert_eq!(row("--connections"), "open connections of a websocket listener 1024 --connections status 503");
    for limit in &exec_http::server::limits::LIMITS {
        row(limit.option);
    }
}

#[test]
fn limits_that_cannot_be_kept_end_with_status_2() {
    for (arguments, message) in [
        (&["--max-buffered-body-bytes", "67108864"], "its base64 must fit into a frame of 64 MiB"),
        (&["--max-waiting-heads", "0"], "--max-waiting-heads must lie between 1 and "),
        (&["--max-reply-bytes", "1000"], "--max-reply-bytes must be at least "),
        (&["--max-idle-ms", "x"], "invalid value 'x' for '--max-idle-ms <N>'"),
    ] {
        let output = serve(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
}
