//! What became of the defects that were invented after the cases were frozen, without a look at any case: how many of the defects
//! that nobody had in mind the suite catches.

/// All of them; they stand in `executors/late.rs` and `clients/late.rs`.
pub const NAMES: [&str; 10] = [
    "members-in-any-case",
    "padded-in-the-middle",
    "host-crosses-origins",
    "https-deadline-as-tls",
    "seq-goes-on-behind-a-failure",
    "null-result-is-fatal",
    "text-id-not-read",
    "length-up-to-a-comma",
    "normal-closure-is-the-end",
    "capabilities-taken-for-granted",
];

/// Those that only cases about other clauses failed, before any case was touched.
pub const CAUGHT_BY_NEIGHBOURS: [&str; 3] =
    ["padded-in-the-middle", "seq-goes-on-behind-a-failure", "capabilities-taken-for-granted"];

/// Those that every case passed then, but for what the means of a specimen do beside its defect.
pub const MISSED: [&str; 3] = ["members-in-any-case", "host-crosses-origins", "https-deadline-as-tls"];

/// Those that cases failed then by what they assert, which own the clause.
pub const CAUGHT_BEFORE_ANY_CHANGE: usize = NAMES.len() - CAUGHT_BY_NEIGHBOURS.len() - MISSED.len();

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::conformance::zoo;

    #[test]
    fn all_of_them_are_in_the_zoo() {
        let known: HashSet<&str> = zoo::all().map(|specimen| specimen.name).collect();
        assert!(NAMES.iter().all(|name| known.contains(name)));
        let not_caught: HashSet<&str> = CAUGHT_BY_NEIGHBOURS.into_iter().chain(MISSED).collect();
        assert_eq!(not_caught.len(), NAMES.len() - CAUGHT_BEFORE_ANY_CHANGE);
        assert!(not_caught.iter().all(|name| NAMES.contains(name)));
    }
}
