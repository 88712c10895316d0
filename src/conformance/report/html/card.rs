//! Everything that the page shows about one result, and about the case that it is a result of.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::super::case::Case;
use super::super::super::verdict::{Bearing, Verdict};
use super::diagram::Diagram;
use super::folder::{CaseLine, RunFolder};

/// Events in the diagram of a case that did not pass.
const FAILED_EVENTS: usize = 400;

/// Events in the diagram of a case that passed.
const PASSED_EVENTS: usize = 60;

/// Bytes of standard error; the end of it.
const STDERR_BYTES: usize = 4 * 1_024;

/// Bytes of a minimal script; the beginning of it.
const SCRIPT_BYTES: u64 = 16 * 1_024;

/// Bytes of a sentence of the judge; the beginning of it.
const SENTENCE_BYTES: usize = 2 * 1_024;

/// One result. `run` is the index of its run.
pub(super) fn card(run: usize, folder: &RunFolder, line: &CaseLine) -> Value {
    let passed =
        Verdict::CLASSES.iter().any(|verdict| verdict.class() == line.verdict && verdict.bearing() == Bearing::Good);
    let most = if passed { PASSED_EVENTS } else { FAILED_EVENTS };
    let case = super::find(&line.case);
    let trace = line.trace.as_deref().and_then(|path| folder.file(path));
    let events = trace.and_then(|path| Diagram::read(&path, case, line.decided, most));
    let start =
        |text: &Option<String>| text.as_deref().map(|text| text[..text.floor_char_boundary(SENTENCE_BYTES)].to_owned());
    let stderr = &line.stderr[line.stderr.ceil_char_boundary(line.stderr.len().saturating_sub(STDERR_BYTES))..];
    json!({
        "run": run,
        "id": line.case,
        "transport": line.transport,
        "class": line.verdict,
        "detail": line.detail,
        "seconds": line.seconds,
        "clause": line.clause,
        "place": line.place,
        "expected": start(&line.expected),
        "came": start(&line.came),
        // The diagram says it better.
        "transcript": if events.is_some() { &[] } else { line.transcript.as_slice() },
        "stderr": stderr,
        "decided": line.decided,
        "trace": line.trace,
        "scriptFile": line.script,
        "script": line.script.as_deref().and_then(|path| beginning(&folder.file(path)?)),
        "events": events.map(Diagram::into_events),
    })
}

/// The case itself.
pub(super) fn about(case: &Case) -> Value {
    let mut in_origin = false;
    let origin: Vec<&str> = case
        .text
        .lines()
        .filter(|line| {
            in_origin = line.starts_with("origin") && line.contains(" /") && !is_check(line)
                || in_origin && line.starts_with(' ');
            in_origin
        })
        .collect();
    json!({
        "sentence": case.description,
        "clauses": case.clauses,
        "origin": origin.join("\n"),
        "text": case.text,
        "file": case.file,
    })
}

/// A step such as `origin-count`, not an origin.
fn is_check(line: &str) -> bool {
    line.split(' ').next().is_some_and(|word| word.contains('-'))
}

fn beginning(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(SCRIPT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
