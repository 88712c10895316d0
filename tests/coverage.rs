//! The tables in `tests/coverage/` hold what they claim: every requirement, known defect, fault and headline names clauses that
//! exist and the cases and tests that show it, or says why no case or nothing at all can.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// What a row may name.
struct Known {
    clauses: BTreeSet<String>,
    cases: BTreeSet<String>,
}

/// Whom a case tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Executor,
    Client,
}

impl Half {
    /// Whose cases a row must have.
    fn of(row: &str) -> Vec<Self> {
        match row.split_once('-').map_or(row, |(side, _)| side) {
            "server" => vec![Self::Executor],
            "client" => vec![Self::Client],
            "both" => vec![Self::Executor, Self::Client],
            _ if row.starts_with('F') => vec![Self::Client],
            _ => Vec::new(),
        }
    }

    fn has(self, case: &str) -> bool {
        case.starts_with("client-") == (self == Self::Client)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Known {
    fn read() -> Self {
        let spec = read(&root().join("SPEC.md"));
        let clause = |line: &str| Some(line.strip_prefix("- **")?.split_once("**")?.0.to_owned());
        let suites = fs::read_dir(root().join("src/conformance/suites")).expect("the suites have a folder");
        let suites: String = suites.map(|entry| read(&entry.expect("a readable folder").path())).collect();
        let case = |line: &str| Some(line.strip_prefix("case ")?.trim().to_owned());
        Self { clauses: spec.lines().filter_map(clause).collect(), cases: suites.lines().filter_map(case).collect() }
    }
}

/// The rows of one table file, whose ids are unique.
fn rows(file: &str, kind: &str) -> Vec<Table> {
    let table: Table = read(&root().join("tests/coverage").join(file)).parse().expect("legal TOML");
    let rows = table[kind].as_array().expect("an array of rows");
    let rows: Vec<Table> = rows.iter().map(|row| row.as_table().expect("a row").clone()).collect();
    let ids: BTreeSet<&str> = rows.iter().map(id).collect();
    assert_eq!(ids.len(), rows.len(), "an id of {file} stands twice");
    rows
}

fn id(row: &Table) -> &str {
    row["id"].as_str().expect("an id is text")
}

fn names<'row>(row: &'row Table, member: &str) -> Vec<&'row str> {
    let names = row[member].as_array().expect("an array of names");
    names.iter().map(|name| name.as_str().expect("names are text")).collect()
}

/// Whether `FILE::NAME`, as in `tests/client::drop_releases_the_route`, is a function of that file.
fn is_test(name: &str) -> bool {
    let (file, function) = name.rsplit_once("::").expect("a test is named FILE::FUNCTION");
    read(&root().join(format!("{file}.rs"))).contains(&format!("fn {function}("))
}

/// What is wrong with a row.
fn faults(row: &Table, known: &Known) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(format!("{}: {text}", id(row)));
    let reason = |member: &str| row.get(member).map(|reason| reason.as_str().is_some_and(|reason| reason.len() > 20));
    let (clauses, cases, tests) = (names(row, "clauses"), names(row, "cases"), names(row, "tests"));
    for clause in clauses.iter().filter(|clause| !known.clauses.contains(**clause)) {
        fault(format!("unknown clause {clause}"));
    }
    for case in cases.iter().filter(|case| !known.cases.contains(**case)) {
        fault(format!("unknown case {case}"));
    }
    for test in tests.iter().filter(|test| !is_test(test)) {
        fault(format!("unknown test {test}"));
    }
    for member in ["refused", "no_case"] {
        if reason(member) == Some(false) {
            fault(format!("{member} is no reason"));
        }
    }
    let refused = reason("refused").is_some();
    if clauses.is_empty() && !refused {
        fault("no clause".into());
    }
    if cases.is_empty() && tests.is_empty() && !refused {
        fault("neither a case nor a test".into());
    }
    if !refused && reason("no_case").is_none() {
        let has = |half: Half| cases.iter().any(|case| half.has(case));
        for half in Half::of(id(row)).into_iter().filter(|half| !has(*half)) {
            fault(format!("no case of the suite for {half:?}, and no reason why there is none"));
        }
        if cases.is_empty() {
            fault("no case of the suite, and no reason why there is none".into());
        }
    }
    faults
}

fn count(rows: &[Table], prefix: &str) -> usize {
    rows.iter().filter(|row| id(row).starts_with(prefix)).count()
}

#[test]
fn every_row_is_covered_or_refused_with_a_reason() {
    let known = Known::read();
    let rows = [
        rows("requirements.toml", "requirement"),
        rows("defects.toml", "defect"),
        rows("faults.toml", "fault"),
        rows("headlines.toml", "headline"),
    ]
    .concat();
    let faults: Vec<String> = rows.iter().flat_map(|row| faults(row, &known)).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn no_row_was_lost() {
    let requirements = rows("requirements.toml", "requirement");
    let counts = ["server-", "client-", "both-"].map(|prefix| count(&requirements, prefix));
    assert_eq!((counts, requirements.len()), ([42, 30, 9], 81));
    let defects = rows("defects.toml", "defect");
    assert_eq!((["R", "D"].map(|prefix| count(&defects, prefix)), defects.len()), ([21, 34], 55));
    let faults = rows("faults.toml", "fault");
    assert_eq!((count(&faults, "F"), faults.len()), (32, 32));
    let headlines = rows("headlines.toml", "headline");
    assert_eq!((count(&headlines, "H"), headlines.len()), (12, 12));
}

#[test]
fn a_faulty_row_is_found() {
    let cases = ["a/b", "client-a/b"].map(str::to_owned).into();
    let known = Known { clauses: ["A-1".to_owned()].into(), cases };
    let faulty = |text: &str| !faults(&text.parse().expect("legal TOML"), &known).is_empty();
    let good = "id = 'server-1'\nclauses = ['A-1']\ncases = ['a/b']\ntests = ['tests/coverage::no_row_was_lost']";
    assert!(!faulty(good));
    assert!(faulty(&good.replace("'A-1'", "'A-2'")));
    assert!(faulty(&good.replace("'a/b'", "'a/c'")));
    assert!(faulty(&good.replace("'a/b'", "")));
    assert!(faulty(&good.replace("no_row_was_lost", "no_such_test")));
    assert!(faulty(&good.replace("'A-1'", "")));
    assert!(faulty(&good.replace("server-1", "client-1")));
    assert!(faulty(&good.replace("server-1", "both-1")));
    assert!(!faulty(&good.replace("server-1", "both-1").replace("'a/b'", "'a/b', 'client-a/b'")));
    assert!(faulty(&good.replace("server-1", "F1")));
    assert!(!faulty(&good.replace("server-1", "F1").replace("a/b", "client-a/b")));
    assert!(faulty(&good.replace("server-1", "D1").replace("'a/b'", "")));
    let reason = "\nno_case = 'no case can look into the memory of a client'";
    assert!(!faulty(&(good.replace("server-1", "D1").replace("'a/b'", "") + reason)));
    assert!(faulty("id = 'D1'\nclauses = ['A-1']\ncases = []\ntests = []"));
    assert!(faulty("id = 'D1'\nclauses = []\ncases = []\ntests = []\nrefused = 'short'"));
}
