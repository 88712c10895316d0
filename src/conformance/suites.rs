//! The cases that are built in.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::case::parse::{ParseError, parse_cases};
use super::case::{Case, Half};
use super::clause;

/// The files, one area each.
pub const FILES: [(&str, &str); 26] = [
    ("cancel.case", include_str!("suites/cancel.case")),
    ("client-close.case", include_str!("suites/client-close.case")),
    ("client-credit.case", include_str!("suites/client-credit.case")),
    ("client-envelope.case", include_str!("suites/client-envelope.case")),
    ("client-error.case", include_str!("suites/client-error.case")),
    ("client-handshake.case", include_str!("suites/client-handshake.case")),
    ("client-id.case", include_str!("suites/client-id.case")),
    ("client-limit.case", include_str!("suites/client-limit.case")),
    ("client-params.case", include_str!("suites/client-params.case")),
    ("client-response.case", include_str!("suites/client-response.case")),
    ("client-route.case", include_str!("suites/client-route.case")),
    ("client-stream.case", include_str!("suites/client-stream.case")),
    ("client-transport.case", include_str!("suites/client-transport.case")),
    ("close.case", include_str!("suites/close.case")),
    ("credit.case", include_str!("suites/credit.case")),
    ("envelope.case", include_str!("suites/envelope.case")),
    ("error.case", include_str!("suites/error.case")),
    ("handshake.case", include_str!("suites/handshake.case")),
    ("http.case", include_str!("suites/http.case")),
    ("id.case", include_str!("suites/id.case")),
    ("limit.case", include_str!("suites/limit.case")),
    ("order.case", include_str!("suites/order.case")),
    ("params.case", include_str!("suites/params.case")),
    ("response.case", include_str!("suites/response.case")),
    ("stream.case", include_str!("suites/stream.case")),
    ("transport.case", include_str!("suites/transport.case")),
];

static EXECUTOR: LazyLock<Vec<Case>> = LazyLock::new(|| parse_files(Half::Executor).expect("a test reads all files"));
static CLIENT: LazyLock<Vec<Case>> = LazyLock::new(|| parse_files(Half::Client).expect("a test reads all files"));

/// The cases of one half, in the order of their files.
pub fn of(half: Half) -> &'static [Case] {
    match half {
        Half::Executor => &EXECUTOR,
        Half::Client => &CLIENT,
    }
}

/// What the cases and the clauses are, in 16 hexadecimal digits: two suites with one digest ask the same.
pub fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for (file, text) in FILES.iter().chain([&("SPEC.md", clause::SPEC)]) {
            hash.update((file.len() as u64).to_be_bytes());
            hash.update(file);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    });
    &DIGEST
}

fn parse_files(half: Half) -> Result<Vec<Case>, ParseError> {
    let mut cases = Vec::new();
    for (file, text) in FILES.iter().filter(|(file, _)| Half::of(file) == half) {
        cases.extend(parse_cases(file, text)?);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::conformance::case::Promise;
    use crate::conformance::clause::Side;

    #[test]
    fn every_file_reads_and_every_id_is_its_own() {
        let cases =
            [Half::Executor, Half::Client].map(|half| parse_files(half).unwrap_or_else(|error| panic!("{error}")));
        let mut ids = BTreeSet::new();
        for case in cases.iter().flatten() {
            assert!(ids.insert(&case.id), "{} stands twice", case.id);
            let area = case.id.split('/').next().unwrap_or_default();
            assert_eq!(format!("{area}.case"), case.file, "{}", case.id);
        }
    }

    #[test]
    fn every_clause_exists_and_binds_the_peer() {
        for case in of(Half::Executor).iter().chain(of(Half::Client)) {
            let promised = case.steps.iter().filter_map(|step| match &step.promise {
                Promise::Clause(clause) => Some(clause),
                _ => None,
            });
            for id in case.clauses.iter().chain(promised) {
                let clause = clause::find(id).unwrap_or_else(|| panic!("{}: no clause {id}", case.id));
                let other = match case.half() {
                    Half::Executor => Side::Client,
                    Half::Client => Side::Executor,
                };
                assert_ne!(clause.side, other, "{}: {id}", case.id);
            }
        }
    }

    #[test]
    fn every_area_has_a_file_and_every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/suites");
        let found: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder of the suites")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, FILES.map(|(file, _)| file.to_owned()).into());
    }
}
