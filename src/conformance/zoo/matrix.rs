//! What the suite is worth: the specimens that it catches, and the clauses and cases that catch nobody.

use std::collections::BTreeSet;

use super::hunt::{Catch, Fate};
use super::specimen::Nature;
use crate::conformance::case::{Case, Half};
use crate::conformance::clause::{self, Clause, Level, Side};
use crate::conformance::suites;

/// The required clauses that no specimen of the zoo breaks, whom they bind, and why.
pub const EXEMPT: &[(Half, &str, &str)] = &[
    (Half::Executor, "STREAM-14", "only a client reads deltas, so nothing that an executor sends can break it"),
    (Half::Executor, "ERROR-16", "it is about log lines, and the suite sees an executor's wire only"),
    (
        Half::Executor,
        "HTTP-33",
        "it needs an origin with a certificate that does not verify; the origins of the suite speak no TLS",
    ),
    (
        Half::Client,
        "LIMIT-13",
        "the bound is what the client's documentation says, which stands neither on the wire nor in the declaration",
    ),
    (
        Half::Client,
        "ROUTE-17",
        "cost only; `map-copied-on-each-change` breaks it, and a test of the seed client counts the copies",
    ),
];

/// The outcome of the whole zoo, or of a part of it.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// In the order of the zoo.
    pub catches: Vec<Catch>,
}

impl Matrix {
    /// The specimens that are as they should be.
    pub fn good(&self) -> usize {
        self.catches.iter().filter(|catch| catch.fate.is_good()).count()
    }

    /// The cases of a half that catch no specimen whose clause they own.
    pub fn idle_cases(&self, half: Half) -> Vec<&'static Case> {
        let busy: BTreeSet<&str> = self.owned(half).flat_map(|(_, cases)| cases).map(String::as_str).collect();
        suites::of(half).iter().filter(|case| !busy.contains(case.id.as_str())).collect()
    }

    /// The required clauses that bind this kind of peer and that no caught specimen breaks.
    pub fn bare_clauses(&self, half: Half) -> Vec<&'static Clause> {
        let broken: BTreeSet<&str> = self.owned(half).filter_map(|(catch, _)| catch.specimen.clause()).collect();
        let binds = |clause: &&Clause| match half {
            Half::Executor => clause.side != Side::Client,
            Half::Client => clause.side != Side::Executor,
        };
        let required = clause::all().filter(|clause| clause.level == Level::Must).filter(binds);
        required.filter(|clause| !broken.contains(clause.id)).collect()
    }

    /// The specimens of that nature.
    pub fn of(&self, half: Half, nature: impl Fn(Nature) -> bool) -> impl Iterator<Item = &Catch> {
        self.catches.iter().filter(move |catch| catch.specimen.role == half && nature(catch.specimen.nature))
    }

    /// The specimens of both roles that break a clause and are caught for it, with the cases.
    pub fn owned_of(&self, clause: &str) -> Vec<(&Catch, &Vec<String>)> {
        let of_clause = |(catch, _): &(&Catch, _)| catch.specimen.clause() == Some(clause);
        [Half::Executor, Half::Client].into_iter().flat_map(|half| self.owned(half)).filter(of_clause).collect()
    }

    fn owned(&self, half: Half) -> impl Iterator<Item = (&Catch, &Vec<String>)> {
        self.catches.iter().filter(move |catch| catch.specimen.role == half).filter_map(|catch| match &catch.fate {
            Fate::Owned(cases) => Some((catch, cases)),
            _ => None,
        })
    }
}
