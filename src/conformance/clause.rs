//! The clauses of SPEC.md, read from the text itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::case::Revision;

/// How binding a clause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Required.
    Must,
    /// Recommended.
    Should,
    /// Allowed.
    May,
}

/// Whom a clause binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The executor.
    Executor,
    /// Both.
    Both,
}

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Such as `STREAM-4`.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Whom it binds.
    pub side: Side,
    /// Since when.
    pub since: Revision,
    /// What it says.
    pub sentence: &'static str,
}

/// The specification.
pub(super) const SPEC: &str = include_str!("../../SPEC.md");

static CLAUSES: LazyLock<BTreeMap<&'static str, Clause>> =
    LazyLock::new(|| SPEC.lines().filter_map(parse).map(|clause| (clause.id, clause)).collect());

/// All clauses by id.
pub fn all() -> impl Iterator<Item = &'static Clause> {
    CLAUSES.values()
}

/// The clause of that id.
pub fn find(id: &str) -> Option<&'static Clause> {
    CLAUSES.get(id)
}

/// Reads `- **ID** (LEVEL, SIDE, SINCE) SENTENCE`.
fn parse(line: &'static str) -> Option<Clause> {
    let (id, rest) = line.strip_prefix("- **")?.split_once("** (")?;
    let (terms, sentence) = rest.split_once(") ")?;
    let [level, side, since] = terms.split(", ").collect::<Vec<_>>().try_into().ok()?;
    Some(Clause {
        id,
        level: match level {
            "MUST" => Level::Must,
            "SHOULD" => Level::Should,
            "MAY" => Level::May,
            _ => return None,
        },
        side: match side {
            "client" => Side::Client,
            "executor" => Side::Executor,
            "both" => Side::Both,
            _ => return None,
        },
        since: Revision::from_word(since)?,
        sentence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clause_of_the_specification_is_read() {
        let written: Vec<_> = SPEC.lines().filter(|line| line.starts_with("- **")).collect();
        assert!(written.len() > 200, "{} clauses", written.len());
        assert_eq!(all().count(), written.len());
        let clause = find("STREAM-3").expect("an old clause");
        assert_eq!((clause.level, clause.side, clause.since), (Level::Must, Side::Executor, Revision::April2026));
        assert!(clause.sentence.starts_with("No frame"));
        assert_eq!(find("STREAM-999"), None);
    }
}
