//! The text of a case as something that can be made smaller: lines, and blocks of lines.

use std::fmt::Write as _;

use crate::conformance::case::Case;
use crate::conformance::case::parse::{logical_lines, range, replace_round};
use crate::conformance::case::words::Words;

/// The text of a case without comments and empty lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The sentence above the case.
    sentence: Vec<String>,
    /// From `case` on.
    pub(super) units: Vec<Unit>,
}

/// A line, with those that belong to it where it is an `origin` or an `each`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The line.
    pub(in crate::conformance) line: String,
    /// The lines of the block.
    pub(in crate::conformance) children: Vec<String>,
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A line that no script can do without: what the case is, what it checks, and where.
    Fixed,
    /// Another line of the head.
    Head,
    /// What an origin does.
    Origin,
    /// A step, or several rounds of some.
    Step,
}

impl Unit {
    pub(super) fn part(&self) -> Part {
        match Words::new(&self.line).peek() {
            "case" | "clauses" | "only" | "alone" | "handshake" => Part::Fixed,
            "needs" | "without" | "since" | "isolate" | "env" | "deadline" => Part::Head,
            "origin" | "origin2" => Part::Origin,
            _ => Part::Step,
        }
    }

    /// The first and the last round of an `each`.
    pub(super) fn rounds(&self) -> Option<(u64, u64)> {
        range(self.line.strip_prefix("each ")?.trim())
    }

    /// The line and those that belong to it.
    fn lines(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.line).chain(&self.children)
    }

    /// Body bytes that the chunks of an origin come to, where all of them are known, and the `content-length` that it writes.
    fn lengths(&self) -> Option<(u64, usize)> {
        let header = self.children.iter().position(|line| line.starts_with("content-length:"))?;
        let mut bytes = 0;
        for line in &self.children {
            let mut words = Words::new(line);
            let times = match words.peek() {
                "chunk" => 1,
                "each" => {
                    words.take("each");
                    words.parse::<u64>("").ok()?
                }
                "drip" => {
                    words.take("drip");
                    let times = words.parse::<u64>("").ok()?;
                    words.take("every");
                    words.duration().ok()?;
                    times
                }
                "raw" | "endless" | "chunked" => return None,
                _ => continue,
            };
            words.take("chunk");
            bytes += times * words.bytes().ok()?.length(&Default::default());
        }
        Some((bytes, header))
    }
}

impl Document {
    /// The lines of a case.
    pub fn of(case: &Case) -> Self {
        let mut document = Self { sentence: Vec::new(), units: Vec::new() };
        for line in logical_lines(&case.text) {
            match (line.comment, document.units.last_mut()) {
                (Some(comment), None) => document.sentence.push(comment),
                (Some(_), Some(_)) => {}
                _ if line.text.is_empty() => {}
                (None, Some(unit)) if line.indented => unit.children.push(line.text),
                (None, _) => document.units.push(Unit { line: line.text, children: Vec::new() }),
            }
        }
        document
    }

    /// The text of the case.
    pub fn text(&self) -> String {
        let mut text: String = self.sentence.iter().map(|line| format!("# {line}\n")).collect();
        let mut before = Part::Fixed;
        for unit in &self.units {
            let part = unit.part();
            let head = |part| matches!(part, Part::Fixed | Part::Head);
            if part == Part::Origin || head(before) != head(part) || (before == Part::Origin && part != before) {
                text.push('\n');
            }
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}", unit.line);
            unit.children.iter().for_each(|line| text += &format!("  {line}\n"));
            before = part;
        }
        text
    }

    /// The units that are steps.
    pub(in crate::conformance) fn steps(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| unit.part() == Part::Step)
    }

    /// All lines without their indentation.
    pub(super) fn lines(&self) -> impl Iterator<Item = &String> {
        self.units.iter().flat_map(Unit::lines)
    }

    /// The same document with other lines; a line that becomes empty is left out.
    pub(super) fn map_lines(&self, map: impl Fn(&str) -> String) -> Self {
        let mut document = self.clone();
        for unit in &mut document.units {
            unit.line = map(&unit.line);
            unit.children = unit.children.iter().map(|line| map(line)).filter(|line| !line.is_empty()).collect();
        }
        document.units.retain(|unit| !unit.line.is_empty());
        document
    }

    /// Where this document was consistent, makes `changed` so: a `content-length` that was the length of the chunks still is.
    pub(super) fn keep_lengths(&self, changed: &mut Self) {
        for unit in changed.units.iter_mut().filter(|unit| unit.part() == Part::Origin) {
            let Some((bytes, header)) = unit.lengths() else { continue };
            let is_true = |before: &Unit| {
                let Some((bytes, header)) = before.lengths() else { return false };
                before.children[header].trim_start_matches("content-length:").trim() == bytes.to_string()
            };
            let mut before = self.units.iter().filter(|before| before.line == unit.line).peekable();
            if before.peek().is_some() && before.all(is_true) {
                unit.children[header] = format!("content-length: {bytes}");
            }
        }
    }

    /// The unit without its `each`, if it has only one round.
    pub(super) fn unrolled(&self, index: usize) -> Option<Self> {
        let (from, to) = self.units[index].rounds()?;
        if from != to {
            return None;
        }
        let lines = self.units[index].children.iter().map(|line| replace_round(line, from));
        let units: Vec<Unit> = lines.map(|line| Unit { line, children: Vec::new() }).collect();
        let mut document = self.clone();
        document.units.splice(index..=index, units);
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::Half;
    use crate::conformance::case::parse::parse_cases;
    use crate::conformance::suites;

    #[test]
    fn a_document_is_the_same_case() {
        for case in suites::of(Half::Executor).iter().chain(suites::of(Half::Client)) {
            let text = Document::of(case).text();
            let again = parse_cases(&case.file, &text).unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0);
            let shown = |case: &Case| {
                let steps: Vec<_> = case.steps.iter().map(|step| (&step.source, &step.promise)).collect();
                format!("{:?} {steps:?} {:?} {:?}", case.clauses, case.origins, case.description)
            };
            assert_eq!(shown(&again), shown(case), "{}", case.id);
        }
    }

    #[test]
    fn the_length_of_a_body_follows_its_chunks() {
        let unit = |chunks: &[&str], length: u64| Unit {
            line: "origin /a".into(),
            children: std::iter::once(format!("content-length: {length}"))
                .chain(chunks.iter().map(|chunk| (*chunk).into()))
                .collect(),
        };
        let document = |unit| Document { sentence: Vec::new(), units: vec![unit] };
        let before = document(unit(&["chunk \"abc\"", "each 2 chunk fill 4"], 11));
        let mut after = document(unit(&["each 2 chunk fill 4"], 11));
        before.keep_lengths(&mut after);
        assert_eq!(after, document(unit(&["each 2 chunk fill 4"], 8)));
        let short = document(unit(&["chunk \"abc\""], 10));
        let mut shorter = document(unit(&[], 10));
        short.keep_lengths(&mut shorter);
        assert_eq!(shorter, document(unit(&[], 10)), "a length that is wrong on purpose stays");
        let other = Unit { line: "origin /b".into(), ..unit(&["chunk \"abc\""], 3) };
        let both = Document { units: vec![other, short.units[0].clone()], ..short };
        let mut same = both.clone();
        both.keep_lengths(&mut same);
        assert_eq!(same, both, "even beside one that is right");
    }
}
