//! `exec-http expect`: an expectation file out of a run, and one without what passes by now.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use exec_http::conformance::artifacts::RUNS_FOLDER;
use exec_http::conformance::report::html::{CaseLine, RunFolder};
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::transcript::printable;
use exec_http::conformance::verdict::{Bearing, RunOutcome};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Characters of what came that the comment of an entry has.
const CAME_CHARACTERS: usize = 160;

/// The first lines of a new file.
const HEAD: &str = "\
# What is known to go wrong, each with the reason. A run with `--expect` and this file is green as long as exactly this goes
# wrong; an entry that passes is red. `exec-http expect --prune` takes out what passes by now.
";

/// Options of `expect`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["write", "prune"])))]
pub(crate) struct Expect {
    /// Add an entry for everything that went wrong and that the file does not have yet.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Take out the entries for what passes or does not apply any more.
    #[arg(long, value_name = "FILE")]
    prune: Option<PathBuf>,
    /// The folder of the run; by default the newest one.
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,
    /// The reason of each new entry. Without it the reasons are left open, and `--expect` refuses the file until they are
    /// filled in.
    #[arg(long, value_name = "TEXT", requires = "write")]
    reason: Option<String>,
    /// Where the new entries are tracked.
    #[arg(long, value_name = "URL", requires = "write")]
    issue: Option<String>,
}

/// Changes the file, and prints what was changed. Status 2: the run or the file cannot be used.
pub(crate) fn run(arguments: &Expect) -> ExitCode {
    let changed = match (&arguments.write, &arguments.prune) {
        (Some(file), _) => write(arguments, file),
        (None, Some(file)) => prune(arguments, file),
        (None, None) => Err("--write or --prune is needed".to_owned()),
    };
    changed.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        RunOutcome::Usage.into()
    })
}

fn run_folder(arguments: &Expect) -> Result<RunFolder, String> {
    let latest = Path::new(RUNS_FOLDER).join("latest");
    RunFolder::read(arguments.from.as_deref().unwrap_or(&latest)).map_err(|error| error.to_string())
}

fn parse(file: &Path) -> Result<DocumentMut, String> {
    match fs::read_to_string(file) {
        Ok(text) => text.parse().map_err(|error| format!("{}: {error}", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DocumentMut::new()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// The entries of a file, made if there are none.
fn entries(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, String> {
    let entries = document.entry("expect").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    entries.as_array_of_tables_mut().ok_or("`expect` is no list of entries: [[expect]]".to_owned())
}

fn store(file: &Path, document: &DocumentMut) -> Result<(), String> {
    let head = if file.exists() { "" } else { HEAD };
    fs::write(file, format!("{head}{document}")).map_err(|error| format!("{}: {error}", file.display()))
}

/// The entry is about that case on that transport.
fn covers(entry: &Table, result: &CaseLine) -> bool {
    let is = |name, text: &str| entry.get(name).and_then(Item::as_str).map(|value| value == text);
    is("case", &result.case) == Some(true) && is("transport", &result.transport) != Some(false)
}

fn write(arguments: &Expect, file: &Path) -> Result<ExitCode, String> {
    let run = run_folder(arguments)?;
    let mut document = parse(file)?;
    let known = entries(&mut document)?;
    let paint = Paint::of(&io::stdout());
    let mut left = 0;
    let wrong = run.cases().iter().filter(|result| matches!(result.verdict.as_str(), "fail" | "timeout"));
    let new: Vec<&CaseLine> = wrong.filter(|result| !known.iter().any(|entry| covers(entry, result))).collect();
    for result in run.cases().iter().filter(|result| result.verdict == "xfail-changed") {
        println!("  {} goes wrong in another way than its entry says: {}", result.case, came(result));
        left += 1;
    }
    let mut added = 0;
    for (result, transport) in merged(&new, run.cases()) {
        let entry = entry(result, transport, arguments);
        let on = transport.map_or(String::new(), |on| format!(" [{on}]"));
        let line = format!("+ {}{on} {}: {}", result.case, result.detail, came(result));
        println!("{}", paint.verdict(&line, Bearing::Good));
        known.push(entry);
        added += 1;
    }
    store(file, &document)?;
    println!("{added} added to {}", file.display());
    if added > 0 && arguments.reason.is_none() {
        println!("each needs its reason before `--expect` takes the file: fill in the lines `reason = \"\"`");
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { RunOutcome::Violation.into() })
}

/// One entry for a case that goes wrong alike wherever it ran, else one for each transport.
fn merged<'a>(new: &[&'a CaseLine], all: &[CaseLine]) -> Vec<(&'a CaseLine, Option<&'a str>)> {
    let mut by_case: BTreeMap<&str, Vec<&'a CaseLine>> = BTreeMap::new();
    new.iter().for_each(|result| by_case.entry(&result.case).or_default().push(result));
    let mut merged = Vec::new();
    for (case, results) in by_case {
        let ran = all.iter().filter(|other| other.case == case && other.verdict != "not-applicable").count();
        let alike =
            results.iter().all(|other| (&other.detail, &other.clause) == (&results[0].detail, &results[0].clause));
        if alike && results.len() == ran && ran > 1 {
            merged.push((results[0], None));
        } else {
            merged.extend(results.into_iter().map(|result| (result, Some(result.transport.as_str()))));
        }
    }
    merged
}

fn entry(result: &CaseLine, transport: Option<&str>, arguments: &Expect) -> Table {
    let mut entry = Table::new();
    entry.decor_mut().set_prefix(format!("\n# came: {}\n", came(result)));
    entry["case"] = value(result.case.as_str());
    if let Some(transport) = transport {
        entry["transport"] = value(transport);
    }
    entry["expect"] = value(result.verdict.as_str());
    // `fail(assertion)`
    if let Some(kind) = result.detail.strip_prefix("fail(").and_then(|rest| rest.strip_suffix(')')) {
        entry["kind"] = value(kind);
    }
    if let Some(clause) = &result.clause {
        entry["clause"] = value(clause.as_str());
    }
    entry["reason"] = value(arguments.reason.as_deref().unwrap_or_default());
    if let Some(issue) = &arguments.issue {
        entry["issue"] = value(issue.as_str());
    }
    entry
}

/// What came, on one line.
fn came(result: &CaseLine) -> String {
    let came = printable(result.came.as_deref().unwrap_or_default()).replace('\n', " ");
    match came.char_indices().nth(CAME_CHARACTERS) {
        Some((end, _)) => format!("{}…", &came[..end]),
        None => came,
    }
}

fn prune(arguments: &Expect, file: &Path) -> Result<ExitCode, String> {
    if !file.exists() {
        return Err(format!("{}: no such file", file.display()));
    }
    let run = run_folder(arguments)?;
    let mut document = parse(file)?;
    let paint = Paint::of(&io::stdout());
    let mut taken = 0;
    entries(&mut document)?.retain(|entry| {
        let mut of_entry = run.cases().iter().filter(|result| covers(entry, result)).peekable();
        let is_past = of_entry.peek().is_some()
            && of_entry.all(|result| matches!(result.verdict.as_str(), "pass" | "xpass" | "not-applicable"));
        if is_past {
            let case = entry.get("case").and_then(Item::as_str).unwrap_or_default();
            let on = entry.get("transport").and_then(Item::as_str).map_or(String::new(), |on| format!(" [{on}]"));
            println!("{}", paint.verdict(&format!("- {case}{on}"), Bearing::Violation));
            taken += 1;
        }
        !is_past
    });
    store(file, &document)?;
    println!("{taken} taken out of {}", file.display());
    Ok(ExitCode::SUCCESS)
}
