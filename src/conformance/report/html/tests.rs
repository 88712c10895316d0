use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("exec-http-report-{}-{count}", std::process::id()));
        fs::create_dir_all(path.join("trace")).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run folder with these lines of results and that one trace.
fn folder(lines: &[&str], trace: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.0.join("results.jsonl"), lines.join("\n")).expect("it is ours");
    fs::write(folder.0.join("trace/t.jsonl"), trace).expect("it is ours");
    folder
}

const RUN: &str =
    r#"{"event":"run","suite":"exec-http 0","digest":"d","transports":["ws"],"command":"c","started":"s"}"#;
const PASS: &str =
    r#"{"event":"case","case":"stream/a","transport":"ws","verdict":"pass","detail":"pass","seconds":1.0}"#;
const FAIL: &str = r#"{"event":"case","case":"order/pipelined-300","transport":"ws","verdict":"fail","detail":"fail(assertion)","seconds":2.1,
    "clause":"ORDER-11","place":null,"expected":"<- 7 200","came":"</script><!-- nothing","transcript":["a"],"stderr":"b","decided":41,"trace":"trace/t.jsonl"}"#;
const END: &str = r#"{"event":"end","classes":{"fail":1},"exitCode":1,"seconds":31.2}"#;

fn fail() -> String {
    FAIL.replace('\n', " ")
}

fn read(folder: &Folder) -> RunFolder {
    RunFolder::read(&folder.0).expect("a run")
}

/// A trace of these events, a millisecond apart.
fn trace(events: impl IntoIterator<Item = Value>) -> String {
    let lines = events.into_iter().zip(1_u64..).map(|(mut event, number)| {
        event["number"] = number.into();
        event["micros"] = (number * 1_000).into();
        format!("{event}\n")
    });
    lines.collect()
}

fn received(text: &str) -> Value {
    json!({"event": "received", "connection": "main", "text": text, "binary": false})
}

fn delta(seq: u64) -> Value {
    received(&format!(r#"{{"method":"http/request/bodyDelta","params":{{"seq":{seq}}}}}"#))
}

/// The events of the only failure in the page.
fn events(trace: &str, page_bytes: usize) -> Value {
    let folder = folder(&[RUN, &fail(), END], trace);
    data(&[read(&folder)], page_bytes)["cases"][0]["events"].take()
}

#[test]
fn a_run_is_read_and_what_is_wrong_comes_first() {
    let folder = folder(&[RUN, PASS, &fail(), END, ""], "");
    let data = data(&[read(&folder).named("mine")], PAGE_BYTES);
    assert_eq!(data["runs"][0]["name"], "mine");
    assert_eq!(data["runs"][0]["meaning"], "a violation");
    assert_eq!(data["cases"][0]["id"], "order/pipelined-300");
    assert_eq!(data["cases"][1]["id"], "stream/a");
    assert_eq!(data["clauses"]["ORDER-11"]["level"], "MUST");
    assert!(
        data["about"]["order/pipelined-300"]["origin"].as_str().is_some_and(|text| text.contains("chunk \"held\""))
    );
    assert_eq!(data["cases"][1]["transcript"], json!([]));
}

#[test]
fn a_killed_run_is_read_and_shown_as_incomplete() {
    let folder = folder(&[RUN, PASS, r#"{"event":"case","ca"#], "");
    let data = data(&[read(&folder)], PAGE_BYTES);
    assert_eq!(data["cases"].as_array().map(Vec::len), Some(1));
    assert_eq!(data["runs"][0]["exitCode"], Value::Null);
}

#[test]
fn the_cases_under_way_when_a_run_was_killed_are_shown() {
    let begun = json!({"event": "begun", "case": "stream/b", "transport": "ws", "names": {}, "time_scale": 1.0});
    let lines = [RUN, PASS, ""];
    let killed = folder(&lines, &trace([begun.clone(), delta(1)]));
    let cases = data(&[read(&killed)], PAGE_BYTES)["cases"].take();
    let under_way = &cases[0];
    assert_eq!((&under_way["id"], &under_way["class"]), (&json!("stream/b"), &json!("not-run")));
    assert_eq!(under_way["events"].as_array().map(Vec::len), Some(2));
    let whole = folder(&[RUN, PASS, END, ""], &trace([begun]));
    assert_eq!(data(&[read(&whole)], PAGE_BYTES)["cases"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_no_run_is_refused_with_its_reason() {
    let error = |lines: &[&str]| RunFolder::read(&folder(lines, "").0).expect_err("no run").to_string();
    assert!(error(&[PASS, ""]).contains("not the folder of a run"));
    assert!(error(&[RUN, "{}", PASS, ""]).ends_with("results.jsonl:2: not a result"));
    let missing = RunFolder::read(Path::new("no/such")).expect_err("no folder");
    assert_eq!(missing.to_string(), "no/such: no such folder");
    assert!(matches!(RunFolder::read(&Folder::new().0), Err(ReadError::NoRun(_))));
}

#[test]
fn no_text_of_a_peer_ends_the_data() {
    let folder = folder(&[RUN, &fail(), END], "");
    let mut page = Vec::new();
    write(&[read(&folder)], &mut page).expect("memory takes it");
    let page = String::from_utf8(page).expect("UTF-8");
    let (_, data) = page.split_once(r#"<script id="data" type="application/json">"#).expect("the data");
    let (data, _) = data.split_once("</script>").expect("its end");
    let read: Value = serde_json::from_str(data).expect("whole");
    assert_eq!(read["cases"][0]["came"], "</script><!-- nothing");
    assert!(!data.contains(['<', '>', '&']));
    assert!(escaped(&json!("\u{2028}\u{2029}")).is_ascii());
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"));
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_not_followed() {
    let outside = Folder::new();
    let secret = outside.0.join("secret.jsonl");
    fs::write(&secret, trace([delta(1)])).expect("it is ours");
    let name = outside.0.file_name().expect("a name").to_string_lossy();
    for path in [secret.display().to_string(), format!("../{name}/secret.jsonl")] {
        let line = fail().replace("trace/t.jsonl", &path);
        let folder = folder(&[RUN, &line, END], "");
        assert_eq!(data(&[read(&folder)], PAGE_BYTES)["cases"][0]["events"], Value::Null, "{path}");
    }
}

#[test]
fn of_many_like_events_the_first_and_the_last_are_kept() {
    let events = events(&trace((1..=300).map(delta).chain([json!({"event": "finished"})])), PAGE_BYTES);
    let events = events.as_array().expect("events");
    // Twenty at either end, what stands for the others, and the end; event 41 decided and is kept between two runs.
    let left_out: Vec<_> = events.iter().filter(|event| event["event"] == "left-out").collect();
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0]["nouns"], json!({"deltas": 219}));
    assert_eq!(events.len(), 40 + 1 + 40 + 1 + 1);
    assert!(events.iter().any(|event| event["number"] == 41 && event["run"].is_null()));
    let shown = events.iter().filter(|event| event["event"] == "received").count();
    assert_eq!(shown + 219, 300);
}

#[test]
fn a_long_trace_keeps_its_beginning_and_its_end() {
    let events = events(&trace((1..=1_000).map(|number| received(&format!("text {number}")))), PAGE_BYTES);
    let events = events.as_array().expect("events");
    assert_eq!(events.len(), 401);
    assert_eq!(events[0]["text"], "text 1");
    assert_eq!(events[200]["nouns"], json!({"other events": 600}));
    assert_eq!(events[400]["text"], "text 1000");
}

#[test]
fn a_long_frame_stays_a_message() {
    let long = json!({"method": "m", "params": {"a": "x".repeat(5_000), "b": vec![1; 500]}}).to_string();
    let events = events(&trace([received(&long), received(&"y".repeat(9_000))]), PAGE_BYTES);
    let text = events[0]["text"].as_str().expect("a frame");
    let message: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(message["method"], "m");
    assert!(text.len() < 1_000, "{text}");
    assert!(events[1]["text"].as_str().is_some_and(|text| text.ends_with("… (9000 bytes)")));
}

#[test]
fn a_step_shows_where_it_waits_for_long_and_half_a_line_ends_the_trace() {
    let case = find("order/pipelined-300").expect("a case that is built in");
    let pong = case.steps.iter().position(|step| step.source.starts_with("<- pong")).expect("a step that waits");
    let step = |step: usize| json!({"event": "step", "step": step});
    let mut lines = trace([delta(1), step(pong + 1), delta(2), step(pong), delta(3)]);
    lines += &json!({"event": "deadline", "number": 6, "micros": 2_000_000, "milliseconds": 2_000}).to_string();
    lines += "\n{\"event\":\"dead";
    let events = events(&lines, PAGE_BYTES);
    let kinds: Vec<_> = events.as_array().expect("events").iter().map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, [Some("received"), Some("received"), Some("received"), Some("wait"), Some("deadline")]);
    assert_eq!((&events[3]["line"], &events[3]["micros"]), (&json!("<- pong \"first\""), &json!(5_000)));
}

#[test]
fn a_full_page_leaves_diagrams_out_and_says_so() {
    let folder = folder(&[RUN, &fail(), END], &trace((1..=10).map(delta)));
    let data = data(&[read(&folder)], 100);
    assert_eq!(data["leftOut"], 1);
    assert_eq!(data["cases"][0]["events"], Value::Null);
}
