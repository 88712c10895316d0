//! Adapters that do nothing, or the same for everything, pass no case: the run is incomplete, and says what to do next.

use std::process::Command;

const HELLO: &str = r#"{"id":1,"reply":"hello","control":1,"adapter":"null","library":"none","language":"sh","transports":["ws"],"features":[],"limits":{}}"#;

/// Reads on and writes nothing.
const SILENT: &str = "while read -r line; do :; done";

/// Runs the suite against a shell script, and returns its exit code and all that it says.
fn conform(transport: &str, script: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_exec-http"))
        .args([
            "conform",
            "client",
            "--no-out",
            "--transport",
            transport,
            "--time-scale",
            "0.1",
            "--",
            "/bin/sh",
            "-c",
            script,
        ])
        .output()
        .expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[track_caller]
fn is_not_fooled_by(script: &str, cause: &str) {
    let (code, text) = conform("ws", script);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(cause) && text.contains("next:"), "{text}");
    assert!(text.trim_end().lines().last().is_some_and(|line| line.starts_with("0 passed, 0 failed, ")), "{text}");
}

#[test]
fn exits_at_once() {
    is_not_fooled_by("exit 0", "exited with status 0");
}

#[test]
fn hangs() {
    is_not_fooled_by(SILENT, "no reply within");
}

#[test]
fn says_hello_and_nothing_more() {
    is_not_fooled_by(&format!("read -r line; echo '{HELLO}'; {SILENT}"), "no reply within");
}

#[test]
fn answers_ok_to_everything() {
    is_not_fooled_by(&numbered(r#"echo "{\"id\":$n,\"reply\":\"ok\"}""#), "answers `hello` with Ok");
}

#[test]
fn answers_hello_and_ok_to_everything() {
    let hello = HELLO.replace("\"id\":1", "\"id\":'$n'");
    let script = numbered(&format!(
        r#"case $line in *hello*) echo '{hello}';; *no-such*) echo "{{\"id\":$n,\"reply\":\"unsupported\",\"reason\":\"\"}}";; *) echo "{{\"id\":$n,\"reply\":\"ok\"}}";; esac"#
    ));
    is_not_fooled_by(&script, "the adapter is not ready");
}

#[test]
fn echoes() {
    is_not_fooled_by("exec cat", "the adapter breaks its protocol");
}

#[test]
fn answers_every_command_with_an_error() {
    let script = numbered(r#"echo "{\"id\":$n,\"reply\":\"error\",\"where\":\"library\",\"message\":\"no\"}""#);
    is_not_fooled_by(&script, "answers `hello` with Error");
}

#[test]
fn cannot_connect() {
    is_not_fooled_by(&cannot_open(r#"["ws"]"#), "came: no connection: not written yet");
}

#[test]
fn has_one_cause_on_both_transports() {
    let (code, text) = conform("both", &cannot_open(r#"["ws","stdio"]"#));
    assert_eq!(code, Some(3), "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("results have one cause: the adapter is not ready: "), "{text}");
}

/// A script that says hello with those transports, and opens no connection.
fn cannot_open(transports: &str) -> String {
    let hello = HELLO.replace("\"id\":1", "\"id\":'$n'").replace(r#"["ws"]"#, transports);
    numbered(&format!(
        r#"case $line in *hello*) echo '{hello}';; *no-such*) echo "{{\"id\":$n,\"reply\":\"unsupported\",\"reason\":\"\"}}";; *open*) echo "{{\"id\":$n,\"reply\":\"failed\",\"kind\":\"other\",\"message\":\"not written yet\"}}";; *) echo "{{\"id\":$n,\"reply\":\"ok\"}}";; esac"#
    ))
}

/// A script that does that for each line, with the ids that the suite gives: they count from 1.
fn numbered(answer: &str) -> String {
    format!("n=0; while read -r line; do n=$((n+1)); {answer}; done")
}
