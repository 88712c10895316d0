//! `exec-http explain`: what a case asks or a clause says, and what stands behind it.

use std::process::ExitCode;

use clap::Args;
use exec_http::conformance::case::{Case, Half};
use exec_http::conformance::clause::{self, Clause, Level, Side};
use exec_http::conformance::report::paint::{Paint, Shade};
use exec_http::conformance::suites;
use exec_http::conformance::verdict::RunOutcome;
use exec_http::conformance::zoo::statement::{Standing, caught_by, standing};

/// Names that a message about a wrong one offers at most.
const OFFERED: usize = 5;

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The id of a case, such as order/first-delta, or of a clause, such as ORDER-10.
    #[arg(value_name = "CASE|CLAUSE")]
    name: String,
}

/// Prints the explanation. Status 2: there is nothing of that name.
pub(crate) fn run(arguments: &Explain) -> ExitCode {
    let paint = Paint::of(&std::io::stdout());
    let name = arguments.name.trim();
    if let Some(case) = cases().find(|case| case.id == name) {
        return super::print(&of_case(case, paint));
    }
    if let Some(clause) = clause::find(&name.to_ascii_uppercase()) {
        return super::print(&of_clause(clause, paint));
    }
    eprintln!("error: no case and no clause is called {name}{}", offer(name));
    RunOutcome::Usage.into()
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [Half::Executor, Half::Client].into_iter().flat_map(suites::of)
}

/// The names that the reader may have meant: those with a part of the text in them.
fn offer(name: &str) -> String {
    let part = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let names = cases().map(|case| case.id.as_str()).chain(clause::all().map(|clause| clause.id));
    let like: Vec<&str> =
        names.filter(|known| !part.is_empty() && known.to_ascii_lowercase().contains(&part)).take(OFFERED).collect();
    match like[..] {
        [] => "; `exec-http conform server --list` and `exec-http conform client --list` print the cases".to_owned(),
        _ => format!("; there is {}", like.join(", ")),
    }
}

/// A text of labelled lines.
struct Page {
    /// So far.
    text: String,
    /// Its labels are dimmed.
    paint: Paint,
}

impl Page {
    fn new(title: &str, paint: Paint) -> Self {
        Self { text: format!("{}\n", paint.shade(title, Shade::Bold)), paint }
    }

    /// A line, unless it says nothing.
    fn line(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text += &format!("  {}  {text}\n", self.paint.shade(&format!("{name:<10}"), Shade::Dim));
        }
    }

    fn clause(&mut self, clause: &Clause) {
        self.line("clause", &format!("{} ({}): {}", clause.id, level(clause), clause.sentence));
    }
}

fn of_case(case: &Case, paint: Paint) -> String {
    let mut page = Page::new(&case.id, paint);
    page.line("case", &case.description);
    case.clauses.iter().filter_map(|id| clause::find(id)).for_each(|clause| page.clause(clause));
    let on = case.only.map_or("stdio and ws".to_owned(), |only| format!("{only} only"));
    page.line("runs on", &format!("{on}, since revision {}", case.since));
    page.line("needs", &case.needs.join(", "));
    page.line("only if not", &case.without.join(", "));
    if case.alone {
        page.line("time", "depends on time: runs alone, and twice");
    }
    page.line("stands in", &format!("src/conformance/suites/{}:{}", case.file, case.line));
    let caught: Vec<&str> = caught_by(&case.id).collect();
    page.line("catches", &caught.join(", "));
    for clause in &case.clauses {
        if let Some(standing) = standing(clause) {
            page.line("also", &format!("{clause}: {}", layers(&standing)));
        }
    }
    let half = case.half().peer();
    page.line("run it", &format!("exec-http conform {half} --only {}", case.id));
    page.text += "\n";
    page.text += &case.text;
    page.text
}

fn of_clause(clause: &Clause, paint: Paint) -> String {
    let mut page = Page::new(clause.id, paint);
    page.clause(clause);
    let side = match clause.side {
        Side::Client => "clients",
        Side::Executor => "executors",
        Side::Both => "both",
    };
    page.line("binds", &format!("{side}, since revision {}", clause.since));
    for case in cases().filter(|case| case.clauses.iter().any(|id| id == clause.id)) {
        page.line("case", &format!("{}: {}", case.id, case.description));
    }
    if let Some(standing) = standing(clause.id) {
        page.line("defects", standing.defects);
        page.line("also", &layers(&standing));
    }
    page.text
}

/// The layers beside the suite that notice when the clause is broken.
fn layers(standing: &Standing) -> String {
    let layers = [
        ("model", standing.models),
        ("property", standing.properties),
        ("fuzz law", standing.laws),
        ("snapshot", standing.snapshots),
    ];
    let named: Vec<String> =
        layers.iter().filter(|(_, names)| !names.is_empty()).map(|(layer, names)| format!("{layer} {names}")).collect();
    if named.is_empty() { "no layer but the suite".to_owned() } else { named.join("; ") }
}

const fn level(clause: &Clause) -> &'static str {
    match clause.level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}
