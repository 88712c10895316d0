//! The clauses of the specification, read out of its text.

use std::collections::BTreeMap;

/// The specification that this suite was built with.
const SPECIFICATION: &str = include_str!("../../SPEC.md");

/// How binding a clause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Breaking it is a failure.
    Must,
    /// Breaking it is a warning.
    Should,
    /// A permission; it cannot be broken.
    May,
}

/// One rule of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its stable name, such as `STREAM-4`.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// `2026-04` and so on, or `extension`.
    pub revision: &'static str,
    /// The rule itself, in the words of the specification.
    pub sentence: &'static str,
}

/// All clauses by id.
#[derive(Clone, Debug)]
pub struct Clauses {
    /// Keyed by [`Clause::id`].
    by_id: BTreeMap<&'static str, Clause>,
}

impl Clauses {
    /// The clauses of the specification that this suite was built with.
    pub fn embedded() -> Self {
        Self { by_id: SPECIFICATION.lines().filter_map(clause).map(|clause| (clause.id, clause)).collect() }
    }

    /// The clause of that id.
    pub fn get(&self, id: &str) -> Option<&Clause> {
        self.by_id.get(id)
    }

    /// All clauses, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = &Clause> {
        self.by_id.values()
    }
}

/// Reads `- **ID-1** (MUST, executor, 2026-04) The rule.`; `None` for every other line.
fn clause(line: &'static str) -> Option<Clause> {
    let (id, rest) = line.strip_prefix("- **")?.split_once("** (")?;
    let (attributes, sentence) = rest.split_once(") ")?;
    let mut attributes = attributes.split(", ");
    let level = match attributes.next()? {
        "MUST" => Level::Must,
        "SHOULD" => Level::Should,
        "MAY" => Level::May,
        _ => return None,
    };
    let revision = attributes.nth(1)?;
    Some(Clause { id, level, revision, sentence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_one_list_item() {
        let line = "- **ID-1** (SHOULD, executor, 2026-07) An id (any) is echoed.";
        let expected = Clause {
            id: "ID-1",
            level: Level::Should,
            revision: "2026-07",
            sentence: "An id (any) is echoed.",
        };
        assert_eq!(clause(line), Some(expected));
        assert_eq!(clause("- **bold** text"), None);
        assert_eq!(clause("- **ID-1** (PERHAPS, executor, 2026-07) An id."), None);
    }

    #[test]
    fn every_clause_line_of_the_specification_is_read() {
        let clauses = Clauses::embedded();
        let lines = SPECIFICATION.lines().filter(|line| line.starts_with("- **")).count();
        assert_eq!(clauses.iter().count(), lines);
        assert!(clauses.get("STREAM-1").is_some_and(|clause| clause.level == Level::Must));
        assert!(clauses.get("NOWHERE-1").is_none());
    }
}
