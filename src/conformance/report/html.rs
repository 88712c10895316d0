//! The report for people as a page: one self-contained file that shows one run, or several side by side.
//!
//! | file | concept |
//! |---|---|
//! | `folder` | what a run left behind |
//! | `diagram` | the events of a case that its diagram shows |
//! | `card` | everything about one result |
//! | `page.html`, `page.css`, `page.js` | the page; it draws what stands in it as JSON |
//! | `labels.js`, `diagram.js` | its diagrams |
//!
//! The peer under test wrote most of what the page shows. It stands in the page as JSON that no text in it can end, the page's script
//! makes text nodes of it, and a content security policy forbids every other script, style and request.

mod card;
mod diagram;
mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::case::{Case, Half};
use super::super::clause::{self, Level};
use super::super::suites;
use super::super::verdict::{Bearing, RunOutcome, Verdict};
pub use folder::{CaseLine, ReadError, RunFolder};

/// Bytes of JSON that the diagrams of a page have together, those of failures first; further ones are left out, and the page says so.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str =
    concat!(include_str!("html/labels.js"), include_str!("html/diagram.js"), include_str!("html/page.js"));

/// Writes the page about these runs.
///
/// # Errors
///
/// Those of `out`. Traces that cannot be read are missing in the page.
pub fn write(runs: &[RunFolder], mut out: impl Write) -> io::Result<()> {
    let data = data(runs, PAGE_BYTES);
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        source_hash(STYLE),
        source_hash(SCRIPT)
    );
    let mut rest = PAGE;
    for (place, text) in
        [("{policy}", &*policy), ("{style}", STYLE), ("{data}", &*escaped(&data)), ("{script}", SCRIPT)]
    {
        let (before, behind) = rest.split_once(place).expect("a test writes the page");
        out.write_all(before.as_bytes())?;
        out.write_all(text.as_bytes())?;
        rest = behind;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

/// All that the page shows.
fn data(runs: &[RunFolder], page_bytes: usize) -> Value {
    let mut results: Vec<_> =
        runs.iter().enumerate().flat_map(|(run, folder)| folder.cases.iter().map(move |line| (run, line))).collect();
    // What is wrong comes first, in the list and where the page has no room for all diagrams.
    results.sort_by_key(|(_, line)| rank(&line.verdict));
    let (mut room, mut left_out) = (page_bytes, 0);
    let mut cases = Vec::with_capacity(results.len());
    for (run, line) in &results {
        let mut card = card::card(*run, &runs[*run], line);
        let length = card["events"].to_string().len();
        if length > room {
            left_out += 1;
            card["events"] = Value::Null;
        } else {
            room -= length;
        }
        cases.push(card);
    }
    let known: BTreeSet<&str> = results.iter().map(|(_, line)| line.case.as_str()).collect();
    let about: BTreeMap<&str, Value> =
        known.into_iter().filter_map(|id| find(id).map(|case| (id, card::about(case)))).collect();
    let of_cases = about.values().flat_map(|about| about["clauses"].as_array()).flatten().filter_map(Value::as_str);
    let cited = results.iter().filter_map(|(_, line)| line.clause.as_deref());
    let clauses: BTreeMap<&str, Value> =
        of_cases.chain(cited).filter_map(clause::find).map(|clause| (clause.id, clause_json(clause))).collect();
    let classes: Vec<Value> =
        Verdict::CLASSES.iter().map(|class| json!([class.class(), bearing(class.bearing())])).collect();
    json!({
        "runs": runs.iter().map(|run| json!({
            "name": run.name,
            "folder": run.given,
            "suite": run.head.suite,
            "digest": run.head.digest,
            "transports": run.head.transports,
            "command": run.head.command,
            "started": run.head.started,
            "seconds": run.end.as_ref().map(|end| end.seconds),
            "exitCode": run.end.as_ref().map(|end| end.exit_code),
            "meaning": run.end.as_ref().map(|end| meaning(end.exit_code)),
        })).collect::<Vec<_>>(),
        "classes": classes,
        "cases": cases,
        "about": about,
        "clauses": clauses,
        "leftOut": left_out,
    })
}

/// The case of that id.
fn find(id: &str) -> Option<&'static Case> {
    suites::of(Half::of(id)).iter().find(|case| case.id == id)
}

fn clause_json(clause: &clause::Clause) -> Value {
    let level = match clause.level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    };
    json!({"level": level, "sentence": clause.sentence})
}

/// Where results of that class stand in the list.
fn rank(class: &str) -> usize {
    let of_class = Verdict::CLASSES.iter().find(|verdict| verdict.class() == class);
    match of_class.map_or(Bearing::Incomplete, |verdict| verdict.bearing()) {
        Bearing::Violation => 0,
        Bearing::Incomplete => 1,
        Bearing::Advice => 2,
        Bearing::Neutral if class == Verdict::Xfail.class() => 3,
        Bearing::Good => 4,
        Bearing::Neutral => 5,
    }
}

const fn bearing(bearing: Bearing) -> &'static str {
    match bearing {
        Bearing::Good => "good",
        Bearing::Violation => "violation",
        Bearing::Incomplete => "incomplete",
        Bearing::Advice => "advice",
        Bearing::Neutral => "neutral",
    }
}

/// What an exit code says.
fn meaning(code: u8) -> &'static str {
    let outcomes = [
        (RunOutcome::Conforms, "every result matches the declaration and the expectations"),
        (RunOutcome::Violation, "a violation"),
        (RunOutcome::Usage, "the command line or a file given to it is wrong"),
        (RunOutcome::Incomplete, "no violation found, but the run is incomplete"),
        (RunOutcome::SuiteBug, "a defect of the suite itself"),
    ];
    outcomes.iter().find(|(outcome, _)| outcome.exit_code() == code).map_or("unknown", |(_, meaning)| meaning)
}

/// The JSON without anything that ends, or opens, something in HTML or in a script.
fn escaped(data: &Value) -> String {
    let mut text = String::new();
    // All of these can stand in strings only.
    for character in data.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => text.push(other),
        }
    }
    text
}

/// How a content security policy names an inline text.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests;
