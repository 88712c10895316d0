//! What a run leaves in its folder: whole at its end, and as far as it came when it is killed.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a case may take until its trace is there.
const SOON: Duration = Duration::from_secs(30);

fn suite(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("artifacts-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of one's own");
    folder
}

fn mutant(name: &str) -> String {
    format!("'{}' zoo serve {name} --listen stdio", env!("CARGO_BIN_EXE_exec-http"))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// One failure and one pass: everything about them is in the folder, and the other commands read it.
#[test]
fn a_run_leaves_everything_about_its_failures() {
    let folder = folder("whole");
    let peer = mutant("seq-from-zero");
    let selected = ["--only", "stream/numbered", "--only", "stream/empty-body"];
    let ran = suite(&folder, &[&["conform", "server", "--cmd", &peer, "--shrink", "5"], &selected[..]].concat())
        .output()
        .expect("the suite can be started");
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{shown}");
    let run = folder.join("exec-http-runs/latest");

    let results = lines(&run.join("results.jsonl"));
    let failed = results.iter().find(|line| line["case"] == "stream/numbered").expect("a line for the case");
    assert_eq!((&failed["verdict"], &failed["clause"]), (&"fail".into(), &"STREAM-1".into()));
    let trace = run.join(failed["trace"].as_str().expect("its trace"));
    let events = lines(&trace);
    assert_eq!(events[0]["case"], "stream/numbered");
    let decided = &events[usize::try_from(failed["decided"].as_u64().expect("a number")).expect("it fits") - 1];
    assert!(decided["text"].as_str().is_some_and(|text| text.contains(r#""seq":0"#)), "{decided}");

    assert!(
        shown.contains("exec-http replay exec-http-runs/") && shown.contains("exec-http explain stream/numbered"),
        "{shown}"
    );
    let script = run.join(failed["script"].as_str().expect("its script"));
    let text = fs::read_to_string(&script).expect("the script is there");
    assert!(text.contains("# fails: fail(assertion) of STREAM-1"), "{text}");
    let replayed = suite(&folder, &["replay", &script.to_string_lossy(), "--cmd", &peer]).output();
    let replayed = replayed.expect("it can be started");
    assert_eq!(replayed.status.code(), Some(1), "{}", String::from_utf8_lossy(&replayed.stdout));

    let judged = suite(&folder, &["judge", &trace.to_string_lossy()]).output().expect("it can be started");
    let said = String::from_utf8_lossy(&judged.stdout);
    assert_eq!(judged.status.code(), Some(1), "{said}");
    assert!(said.contains("STREAM-1") && said.ends_with("0 passed, 1 failed, 0 skipped\n"), "{said}");

    let statement: Value = serde_json::from_slice(&fs::read(run.join("statement.json")).expect("it is there"))
        .expect("the statement is JSON");
    assert_eq!((&statement["partial"], &statement["exitCode"]), (&true.into(), &1.into()));
    for file in ["junit.xml", "summary.md", "report.html"] {
        let text = fs::read_to_string(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains("stream/numbered"), "{file}");
    }
}

/// Killed in the middle of a case, without a chance to write anything more.
#[test]
fn a_run_that_is_killed_leaves_what_had_happened() {
    let folder = folder("killed");
    // Cases run one by one; the second waits for a frame that does not come.
    let peer = mutant("no-clean-end");
    let arguments = ["conform", "server", "--cmd", &peer, "-j", "1", "--time-scale", "10", "--only", "stream/[an]*"];
    let mut suite = suite(&folder, &arguments).stdout(Stdio::piped()).spawn().expect("the suite can be started");
    let trace = folder.join("exec-http-runs/latest/trace/stream-numbered.stdio.jsonl");
    let since = Instant::now();
    let has_delta = || fs::read_to_string(&trace).is_ok_and(|text| text.contains("bodyDelta"));
    while !has_delta() {
        assert!(since.elapsed() < SOON, "no frame of the case was written while it ran");
        std::thread::sleep(Duration::from_millis(5));
    }
    suite.kill().expect("it is running");
    suite.wait().expect("it was started here");
    let mut said = String::new();
    suite.stdout.take().expect("it is piped").read_to_string(&mut said).expect("the pipe can be read");
    assert_eq!(said, "", "it was killed before its report");
    let results = lines(&folder.join("exec-http-runs/latest/results.jsonl"));
    assert_eq!(results[0]["event"], "run");
    assert!(results.iter().all(|line| line["event"] != "end"));
    assert!(lines(&trace).len() > 3);
    // The page can be made of what is there.
    let page = self::suite(&folder, &["report"]).output().expect("it can be started");
    assert_eq!(page.status.code(), Some(0), "{}", String::from_utf8_lossy(&page.stderr));
    let page = fs::read_to_string(folder.join("exec-http-runs/latest/report.html")).expect("the page is there");
    assert!(page.contains("the run was ended while this case was under way"));
}
