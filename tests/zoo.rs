//! What the zoo showed last still holds: the published matrix names specimens, clauses and cases that exist.

use std::collections::BTreeSet;

use exec_http::conformance::case::Half;
use exec_http::conformance::clause::{self, Level, Side};
use exec_http::conformance::suites;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::matrix::EXEMPT;

const PUBLISHED: &str = include_str!("../CONFORMANCE.md");

/// The rows of the published tables: their cells.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let cells =
        |row: &'static str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
    PUBLISHED.lines().filter(|line| line.starts_with("| ")).map(cells)
}

#[test]
fn every_specimen_is_published_with_cases_that_own_its_clause() {
    let mut published = BTreeSet::new();
    for row in rows().filter(|row| row.len() == 4) {
        let [clause, name, _, cases] = row[..] else { continue };
        let Some(specimen) = zoo::all().find(|specimen| specimen.name == name) else { continue };
        published.insert(name);
        if specimen.clause().is_none() {
            continue;
        }
        assert_eq!(specimen.clause(), Some(clause), "{name}");
        for id in cases.split(", ") {
            let case = suites::of(specimen.role).iter().find(|case| case.id == id);
            let case = case.unwrap_or_else(|| panic!("{name}: no case {id}"));
            assert!(case.clauses.iter().any(|owned| owned == clause), "{name}: {id} is not about {clause}");
        }
    }
    let all: BTreeSet<&str> = zoo::all().map(|specimen| specimen.name).collect();
    assert_eq!(all.difference(&published).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_required_clause_is_broken_by_somebody_or_exempt() {
    assert!(EXEMPT.len() <= 8);
    for (half, other) in [(Half::Executor, Side::Client), (Half::Client, Side::Executor)] {
        let broken: BTreeSet<_> =
            zoo::all().filter(|specimen| specimen.role == half).filter_map(|specimen| specimen.clause()).collect();
        for clause in clause::all().filter(|clause| clause.level == Level::Must && clause.side != other) {
            let exempt = EXEMPT.iter().any(|(whom, id, _)| *whom == half && *id == clause.id);
            assert_ne!(exempt, broken.contains(clause.id), "{half:?} {}", clause.id);
        }
    }
}
