//! What the suite is worth, as a text to publish: `CONFORMANCE.md`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::hunt::Fate;
use super::late;
use super::matrix::{EXEMPT, Matrix};
use super::specimen::{Nature, Specimen};
use crate::conformance::case::Half;
use crate::conformance::clause;
use crate::conformance::suites;

/// The table of the mistakes and what notices each; `model/mistakes/run` makes it.
const MISTAKES: &str = include_str!("../../../model/README.md");

/// The heading of the trace table.
const CLAUSES: &str = "## Clauses";

/// What was published last.
const PUBLISHED: &str = include_str!("../../../CONFORMANCE.md");

/// The trace table of the published text.
pub fn trace_table() -> &'static str {
    PUBLISHED.split_once(CLAUSES).map_or("", |(_, table)| table.trim_start())
}

/// The scores of the published text, for executors and for clients.
pub fn published_scores() -> impl Iterator<Item = (&'static str, [u64; 2])> {
    PUBLISHED.lines().take_while(|line| !line.starts_with("## ")).filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [score, executors, clients] = cells[..] else { return None };
        Some((score, [executors.parse().ok()?, clients.parse().ok()?]))
    })
}

/// What stands for a clause in the published text; a layer that has nothing is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The defects that break it.
    pub defects: &'static str,
    /// The loom models that notice.
    pub models: &'static str,
    /// The properties that notice.
    pub properties: &'static str,
    /// The laws of fuzz targets that notice.
    pub laws: &'static str,
    /// The snapshots that notice.
    pub snapshots: &'static str,
}

/// What stands for that clause.
pub fn standing(clause: &str) -> Option<Standing> {
    let start = format!("| {clause} | ");
    let row = trace_table().lines().find_map(|row| row.strip_prefix(&start)?.strip_suffix(" |"))?;
    let cells: Vec<&'static str> = row.split(" | ").map(|cell| if cell == "–" { "" } else { cell }).collect();
    let [_level, _binds, _cases, defects, models, properties, laws, snapshots] = cells[..] else { return None };
    Some(Standing { defects, models, properties, laws, snapshots })
}

/// The defects that this case caught when the text was published.
pub fn caught_by(case: &str) -> impl Iterator<Item = &'static str> {
    PUBLISHED.lines().take_while(|line| *line != CLAUSES).filter_map(move |row| {
        let cells: Vec<&'static str> = row.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [clause, name, .., cases] = cells[..] else { return None };
        let owns = clause::find(clause).is_some() && cases.split(", ").any(|by| by == case);
        owns.then(|| name.trim_matches('`'))
    })
}

/// The cases that caught this defect when the text was published.
pub(super) fn published(specimen: &Specimen) -> Option<Vec<&'static str>> {
    let clause = specimen.clause()?;
    let start = format!("| {clause} | `{}` | {} | ", specimen.name, specimen.sentence);
    let cases = PUBLISHED.lines().find_map(|row| row.strip_prefix(&start))?;
    Some(cases.trim_end_matches(" |").split(", ").collect())
}

/// The whole text.
pub fn statement(matrix: &Matrix) -> String {
    let mut out = String::new();
    // A text takes every line.
    let _ = write_all(matrix, &mut out);
    out
}

/// How many defects are caught, how many correct peers blamed, and how many cases pass a peer that does nothing, as a table.
pub fn scores(matrix: &Matrix) -> String {
    let mut out = String::new();
    // A text takes every line.
    let _ = write_scores(matrix, &mut out);
    out
}

fn write_all(matrix: &Matrix, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "# What the suite is worth\n\n\
         `exec-http zoo --write CONFORMANCE.md` runs the suite against peers with known defects, against peers that are odd but correct,\n\
         and against peers that do nothing, and writes this file. A defect counts as caught only when a case fails by what it asserts and\n\
         the clause that the defect breaks is one that the case is about.\n"
    )?;
    write_scores(matrix, out)?;
    for (half, title) in [(Half::Executor, "executors"), (Half::Client, "clients")] {
        writeln!(out, "\n## Defects of {title}\n\n| clause | defect | what it does | caught by |\n|---|---|---|---|")?;
        for catch in matrix.of(half, |nature| matches!(nature, Nature::Defect(_))) {
            let specimen = catch.specimen;
            let (name, clause) = (specimen.name, specimen.clause().unwrap_or_default());
            writeln!(out, "| {clause} | `{name}` | {} | {} |", specimen.sentence, catch.fate)?;
        }
    }
    for (nature, title) in [(Nature::Twin, "Odd but correct"), (Nature::Null, "Null peers")] {
        writeln!(out, "\n## {title}\n\n| role | peer | what it does | outcome |\n|---|---|---|---|")?;
        for (half, role) in [(Half::Executor, "executor"), (Half::Client, "client")] {
            for catch in matrix.of(half, |found| found == nature) {
                writeln!(out, "| {role} | `{}` | {} | {} |", catch.specimen.name, catch.specimen.sentence, catch.fate)?;
            }
        }
    }
    trace(matrix, out)
}

fn write_scores(matrix: &Matrix, out: &mut String) -> fmt::Result {
    let is_defect = |nature| matches!(nature, Nature::Defect(_));
    let count = |half, of: &dyn Fn(Nature) -> bool, fate: &dyn Fn(&Fate) -> bool| {
        matrix.of(half, of).filter(|catch| fate(&catch.fate)).count()
    };
    writeln!(out, "| | executors | clients |\n|---|---|---|")?;
    let mut row = |title: &str, of: &dyn Fn(Nature) -> bool, fate: &dyn Fn(&Fate) -> bool| {
        let [executors, clients] = [Half::Executor, Half::Client].map(|half| count(half, of, fate));
        writeln!(out, "| {title} | {executors} | {clients} |")
    };
    row("defects", &is_defect, &|_| true)?;
    row("… caught by a case that owns the clause", &is_defect, &|fate| matches!(fate, Fate::Owned(_)))?;
    row("… only by another case", &is_defect, &|fate| matches!(fate, Fate::Neighbour(_)))?;
    row("… only by a crash", &is_defect, &|fate| matches!(fate, Fate::Crash(_)))?;
    row("… only by a timeout", &is_defect, &|fate| matches!(fate, Fate::Timeout(_)))?;
    row("… missed", &is_defect, &|fate| *fate == Fate::Missed)?;
    row("odd but correct peers", &|nature| nature == Nature::Twin, &|_| true)?;
    row("… blamed", &|nature| nature == Nature::Twin, &|fate| matches!(fate, Fate::Blamed(_)))?;
    row("null peers", &|nature| nature == Nature::Null, &|_| true)?;
    row("… that pass a case", &|nature| nature == Nature::Null, &|fate| matches!(fate, Fate::Fools(_)))?;
    let [executors, clients] = [Half::Executor, Half::Client].map(|half| suites::of(half).len());
    writeln!(out, "| cases | {executors} | {clients} |")?;
    let [executors, clients] = [Half::Executor, Half::Client].map(|half| matrix.idle_cases(half).len());
    writeln!(out, "| … that catch nobody | {executors} | {clients} |")?;
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    writeln!(
        out,
        "\nOf {} defects invented after the cases were frozen, {} were caught before any case was touched, by a case that owns the\n\
         clause; only by another case: {}; missed: {}.",
        late::NAMES.len(),
        late::CAUGHT_BEFORE_ANY_CHANGE,
        names(&late::CAUGHT_BY_NEIGHBOURS),
        names(&late::MISSED)
    )
}

/// Each clause with all that stands for it. A layer is named only where it noticed that the clause was broken.
fn trace(matrix: &Matrix, out: &mut String) -> fmt::Result {
    let mistakes = mistakes();
    writeln!(
        out,
        "\n{CLAUSES}\n\n\
         Cases and defects: those that met in the suite, the case failing. Models, properties, fuzz laws (on their committed seeds)\n\
         and snapshots: those that fail with a mistake of `model/mistakes` that breaks the clause.\n\n\
         | clause | level | binds | cases | defects | models | properties | fuzz laws | snapshots |\n\
         |---|---|---|---|---|---|---|---|---|"
    )?;
    for clause in clause::all() {
        let caught = matrix.owned_of(clause.id);
        let mut cases: Vec<&str> = caught.iter().flat_map(|(_, cases)| cases.iter().map(String::as_str)).collect();
        cases.sort_unstable();
        cases.dedup();
        let defects: Vec<&str> = caught.iter().map(|(catch, _)| catch.specimen.name).collect();
        let noticed = mistakes.get(clause.id).cloned().unwrap_or_default();
        let cell = |names: Vec<&str>| if names.is_empty() { "–".to_owned() } else { names.join(", ") };
        let cells: Vec<String> = [cases, defects].into_iter().chain(noticed).map(cell).collect();
        let (level, side) = (format!("{:?}", clause.level), format!("{:?}", clause.side));
        let (level, side) = (level.to_uppercase(), side.to_lowercase());
        writeln!(out, "| {} | {level} | {side} | {} |", clause.id, cells.join(" | "))?;
    }
    writeln!(out, "\nRequired clauses without a caught defect, and why:\n")?;
    for (half, clause, reason) in EXEMPT {
        writeln!(out, "- {clause} ({}): {reason}", if *half == Half::Client { "client" } else { "executor" })?;
    }
    Ok(())
}

/// What notices a mistake, by the clause that it breaks: models, properties, fuzz laws, snapshots.
fn mistakes() -> BTreeMap<&'static str, [Vec<&'static str>; 4]> {
    let mut found: BTreeMap<_, [Vec<_>; 4]> = BTreeMap::new();
    for row in MISTAKES.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, breaks, ref layers @ ..] = cells[..] else { continue };
        if clause::find(breaks).is_none() {
            continue;
        }
        for (names, cell) in found.entry(breaks).or_default().iter_mut().zip(layers) {
            names.extend(cell.split('`').skip(1).step_by(2));
        }
    }
    for names in found.values_mut().flatten() {
        names.sort_unstable();
        names.dedup();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mistakes_is_read() {
        let mistakes = mistakes();
        let noticed = mistakes["ROUTE-18"].each_ref().map(|names| &names[..]);
        assert_eq!(noticed, [&["insert_disconnect::insert_against_disconnect"][..], &[], &[], &[]]);
        for layer in 0..4 {
            let clauses = mistakes.values().filter(|noticed| !noticed[layer].is_empty()).count();
            assert!(clauses > 5, "column {layer}: {mistakes:?}");
        }
    }
}
