//! `replay` and `shrink` as a user meets them: scripts, exit codes, and the Python form, which has to find what the suite finds.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use exec_http::conformance::case::{Case, Half, Transport};
use exec_http::conformance::launcher::Target;
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::result::CaseResult;
use exec_http::conformance::script;
use exec_http::conformance::shrink::failure::{Pair, Workshop, file_name};
use exec_http::conformance::suites;
use exec_http::conformance::trial::{Tested, Trial};

const EXEC_HTTP: &str = env!("CARGO_BIN_EXE_exec-http");

/// Executors of the zoo, each with a case that catches it and the transport on which that is tried.
const CAUGHT: [(&str, &str, &str); 12] = [
    ("seq-from-zero", "stream/numbered", "stdio"),
    ("seq-shared", "order/interleaved", "ws"),
    ("no-clean-end", "stream/numbered", "stdio"),
    ("chunk-in-the-result", "response/streamed", "stdio"),
    ("repeated-headers-joined", "response/repeated-headers", "stdio"),
    ("short-body-is-whole", "response/body-ends-early", "ws"),
    ("progress-sent", "envelope/nothing-unasked", "ws"),
    ("stray-response-hangs-up", "envelope/stray-response", "stdio"),
    ("malformed-answered-as-zero", "envelope/not-json", "ws"),
    ("failed-id-stays-taken", "order/id-free-after-failure", "stdio"),
    ("unpadded-base64", "params/base64-refused", "stdio"),
    ("close-frame-not-answered", "transport/close-frame-answered", "ws"),
];

fn exec_http(arguments: &[&str]) -> Output {
    Command::new(EXEC_HTTP)
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file of a test.
fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the folder can be written to");
    path
}

/// The command of an executor of the zoo, and of one that is correct.
fn specimen(name: &str) -> String {
    format!("{EXEC_HTTP} zoo serve {name} --listen {{listen}}")
}

/// The clause on the failure card.
fn clause(report: &str) -> &str {
    let line = report.lines().find_map(|line| line.strip_prefix("  clause      "));
    line.and_then(|line| line.split(':').next()).unwrap_or_default()
}

#[test]
fn a_case_of_the_library_passes_on_our_executor_and_client() {
    for case in ["stream/numbered", "client-stream/whole"] {
        let output = exec_http(&["replay", case]);
        let report = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{report}{}", text(&output.stderr));
        for transport in ["stdio", "ws"] {
            assert!(report.contains(&format!("{case} [{transport}] pass\n")), "{report}");
        }
        assert!(report.contains("<- "), "{report}");
    }
}

#[test]
fn a_wrong_script_is_a_wrong_use() {
    let script = "# One.\ncase no/such\nclauses STREAM-1\nbarier\n";
    for (name, content, expected) in [
        ("wrong-line.case", script.to_owned(), ":4: \"barier\" is no step\n"),
        (
            "no-clause.case",
            script.replace("STREAM-1", "NO-1").replace("barier", "barrier"),
            ":2: SPEC.md has no clause NO-1\n",
        ),
        ("no-case.case", String::new(), ": no case; a script is one case of docs/notation.md\n"),
    ] {
        let path = file(name, &content);
        let path = path.to_str().expect("a path in UTF-8");
        let output = exec_http(&["replay", path]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stderr), format!("error: {path}{expected}"));
    }
    let output = exec_http(&["replay", "no/such"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).ends_with(", and no case has that id\n"), "{}", text(&output.stderr));
    let output = exec_http(&["replay", "stream/numbered", "--adapter", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "error: the case is about executors: --cmd or --url, not --adapter\n");
}

#[test]
fn a_failure_is_repeated_until_it_comes_and_said_in_which_run() {
    let output =
        exec_http(&["replay", "stream/numbered", "--cmd", &specimen("seq-from-zero"), "--repeat-until-failure", "3"]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(report.ends_with("failed in run 1\n"), "{report}");
    let output = exec_http(&["replay", "stream/numbered", "--transport", "stdio", "--repeat-until-failure", "2"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "passed 2 times\n".to_owned()));
}

#[test]
fn a_debugger_is_waited_for() {
    let output = exec_http(&["replay", "stream/numbered", "--transport", "stdio", "--wait-for-debugger"]);
    assert_eq!(output.status.code(), Some(0));
    let asked = text(&output.stderr);
    assert!(asked.starts_with("process ") && asked.contains(" is waiting; press Enter"), "{asked}");
    let output = exec_http(&["replay", "stream/numbered", "--url", "ws://127.0.0.1:1", "--wait-for-debugger"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_shrunk_script_fails_the_same_check() {
    let script = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("seq-from-zero.case");
    let path = script.to_str().expect("a path in UTF-8");
    let peer = specimen("seq-from-zero");
    let output = exec_http(&["shrink", "order/interleaved", "--cmd", &peer, "--transport", "stdio", "-o", path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shrunk = fs::read_to_string(&script).expect("the script was written");
    let header = format!(
        "# exec-http {}\n# from order/interleaved on stdio\n# fails: fail(assertion) of STREAM-1 at seq #\n# shrunk in ",
        env!("CARGO_PKG_VERSION")
    );
    // Where a case ends before the frame has come that shows the defect, it fails only sometimes, and the header says so.
    let said = ["; 1-minimal", "; not minimal for sure"].iter().any(|said| shrunk.contains(said));
    assert!(shrunk.starts_with(&header) && said, "{shrunk}");
    let lines = shrunk.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    assert!(lines <= 10, "{shrunk}");
    let replayed = exec_http(&["replay", path, "--cmd", &peer, "--transport", "stdio"]);
    assert_eq!((replayed.status.code(), clause(&text(&replayed.stdout))), (Some(1), "STREAM-1"));
    let correct = exec_http(&["replay", path]);
    assert_eq!(correct.status.code(), Some(0), "{}", text(&correct.stdout));
    let nothing = exec_http(&["shrink", path]);
    assert_eq!(nothing.status.code(), Some(3));
}

fn tested(arguments: &[&str]) -> Tested {
    let argv = [EXEC_HTTP].iter().chain(arguments).chain(&["--listen", "{listen}"]).map(|word| (*word).to_owned());
    Tested::Executor(Target::Command(CommandLine { argv: argv.collect(), env: Vec::new(), cwd: None }))
}

#[tokio::test]
async fn every_failure_of_a_run_leaves_a_script() {
    let library = |id: &str| suites::of(Half::Executor).iter().find(|case| case.id == id).expect("a case of that id");
    let cases: [&Case; 3] = ["stream/numbered", "order/id-reuse", "http/method-case"].map(library);
    let peer = tested(&["zoo", "serve", "terminal-not-numbered"]);
    let mut results: Vec<CaseResult> = Vec::new();
    for case in cases {
        let trial = Trial { transport: Transport::Websocket, time_scale: 1.0, judge_end: true };
        results.push(trial.run(&peer, case, drop).await.0);
    }
    let results: Vec<_> = cases.into_iter().zip(&results).collect();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("failures");
    let pair = Pair { peer, reference: tested(&["serve"]) };
    for (time, expected) in
        [(Duration::ZERO, "# not shrunk: there was no time for it"), (Duration::from_secs(20), "# shrunk in ")]
    {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        let workshop = Workshop { executor: Some(pair.clone()), client: None, time_scale: 1.0, parallel: 2, time };
        assert_eq!(workshop.write(&results, &folder).await.expect("the folder can be written to"), 2);
        for case in &cases[..2] {
            let path = folder.join(file_name(case, Transport::Websocket));
            let text = fs::read_to_string(&path).expect("a script for each failure");
            assert!(text.contains(expected), "{text}");
            let script = script::read("a.case", &text).expect("it is a script");
            assert_eq!(script.text == case.text, time.is_zero(), "{text}");
        }
    }
    assert_eq!(file_name(cases[0], Transport::Websocket), PathBuf::from("stream-numbered.ws.case"));
}

#[test]
fn the_python_form_finds_what_the_suite_finds() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    for (name, case, transport) in CAUGHT {
        let peer = specimen(name);
        let replayed = exec_http(&["replay", case, "--cmd", &peer, "--transport", transport]);
        let report = text(&replayed.stdout);
        assert_eq!(replayed.status.code(), Some(1), "{name}: {report}");
        let program = exec_http(&["replay", case, "--emit", "python"]);
        assert_eq!(program.status.code(), Some(0), "{}", text(&program.stderr));
        let program = file(&format!("{name}.py"), &text(&program.stdout));
        let run = |command: &str| {
            let mut python = Command::new("python3");
            python.arg(&program).args((transport == "ws").then_some("--ws")).args(["--", command]);
            let output = python.stdin(Stdio::null()).output().expect("Python can be started");
            (output.status.code(), text(&output.stdout) + &text(&output.stderr))
        };
        let (status, found) = run(&peer);
        let last = found.lines().last().unwrap_or_default();
        let expected = format!("REPRODUCED: {}: ", clause(&report));
        assert!(status == Some(1) && last.starts_with(&expected), "{name}: {expected}\n{found}");
        let (status, found) = run(&format!("{EXEC_HTTP} serve --listen {{listen}}"));
        assert!(status == Some(0) && found.ends_with("not reproduced\n"), "{name}: {found}");
    }
}

#[test]
fn what_has_no_python_form_is_named() {
    for (case, expected) in [
        (
            "client-stream/whole",
            "error: client-stream/whole is about clients: the Python form exists for executors only\n",
        ),
        ("limit/memory", " has no Python form: it would have to read the memory of the process\n"),
    ] {
        let output = exec_http(&["replay", case, "--emit", "python"]);
        assert_eq!(output.status.code(), Some(2), "{case}");
        assert!(text(&output.stderr).ends_with(expected), "{}", text(&output.stderr));
    }
}
