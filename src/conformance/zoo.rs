//! Peers with known defects, each one a switch with a name. What the suite is worth shows in whether it catches them; what the
//! production code avoids shows in what they do.
//!
//! | file | concept |
//! |---|---|
//! | [`specimen`] | one peer: its name, the clause that it breaks, how it does that |
//! | [`executors`], [`clients`] | those with a defect: what each does to the wire of a correct peer |
//! | [`twins`], [`nulls`] | those that are odd but correct; those that do nothing |
//! | [`statement`], [`archive`] | what the suite is worth, as a text to publish; traces that are kept for the judge |
//! | [`late`] | what became of the defects that were invented after the cases were frozen |
//! | [`hunt`], [`matrix`] | the suite against all of them: who is caught, and by which case; what catches nobody |
//! | [`tamper`] | changes everything that passes between a client and an executor |
//! | [`relay`] | changes what passes between an executor and an origin |
//! | [`proxy`], [`interpose`] | between the suite and a correct executor; between a correct client and its executor |
//! | [`signals`] | what the process of a specimen does with them |
//! | [`seed_client`] | the first client design of this protocol, with the defects that it had |

pub mod archive;
pub mod choice;
pub mod clients;
pub mod executors;
pub mod hunt;
pub mod interpose;
pub mod late;
pub mod matrix;
pub mod nulls;
pub mod proxy;
pub mod relay;
pub mod seed_client;
pub mod signals;
pub mod specimen;
pub mod statement;
pub mod tamper;
pub mod twins;

use specimen::Specimen;

/// All specimens: first the defects of executors and of clients, then the twins and the nulls.
pub fn all() -> impl Iterator<Item = &'static Specimen> {
    executors::all().chain(clients::all()).chain(twins::all()).chain(nulls::all())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::conformance::case::Half;
    use crate::conformance::clause::{self, Side};

    #[test]
    fn every_specimen_has_a_name_of_its_own_and_breaks_a_clause_that_binds_it() {
        let mut names = HashSet::new();
        for specimen in all() {
            assert!(names.insert(specimen.name), "{} stands twice", specimen.name);
            assert!(specimen.sentence.ends_with('.'), "{}", specimen.name);
            let other = if specimen.role == Half::Executor { Side::Client } else { Side::Executor };
            if let Some(clause) = specimen.clause() {
                let clause = clause::find(clause).unwrap_or_else(|| panic!("{}: no clause {clause}", specimen.name));
                assert_ne!(clause.side, other, "{}", specimen.name);
            }
        }
    }
}
