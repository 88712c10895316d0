//! What can be made smaller in one place. Each move gives candidates; whether they are cases at all, and still fail, is for
//! others to say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::{Document, Part, Unit};

/// Words in front of a number that says how many or how much.
const COUNTED: [&str; 9] =
    ["fill", "repeat", "each", "drip", "frames", "first-delta", "content-length:", "fragments", "split"];

/// Words that begin a condition of an expectation.
const CONDITIONS: [&str; 12] =
    ["body", "header", "no-header", "kind", "code", "says", "lacks", "frames", "or", "method", "target", "after-any"];

/// The ranges of all `each`, without repetition.
pub(super) fn ranges(document: &Document) -> Vec<(u64, u64)> {
    let ranges: BTreeSet<(u64, u64)> = document.units.iter().filter_map(Unit::rounds).collect();
    ranges.into_iter().collect()
}

/// All `each` of that range with so many rounds; `counts` are adapted too where they are the number of its rounds.
pub(super) fn with_rounds(document: &Document, range: (u64, u64), rounds: u64, counts: bool) -> Document {
    let (from, to) = range;
    let mut changed = document.clone();
    for unit in &mut changed.units {
        if unit.rounds() == Some(range) {
            unit.line = format!("each {from}..{}", from + rounds - 1);
        } else if counts && unit.line.starts_with("origin") {
            unit.line = replaced(&unit.line, &(to - from + 1).to_string(), &rounds.to_string());
        }
    }
    changed
}

/// The numbers that say how many or how much, in bytes, the largest first.
pub(super) fn numbers(document: &Document) -> Vec<u64> {
    let mut numbers = BTreeSet::new();
    for line in document.lines() {
        let words: Vec<&str> = line.split([' ', '(', ')', ',']).collect();
        for (index, word) in words.iter().enumerate() {
            let counted = index > 0 && COUNTED.contains(&words[index - 1]);
            let path = index > 1 && words[index - 1].starts_with('/') && words[index - 2].contains('-');
            let times = word.strip_prefix('x').unwrap_or(word);
            if counted || path || times.len() < word.len() || word.ends_with("iB") {
                numbers.extend(size(times));
            }
            // `$base64-fill(N)` and `$repeat(N,` may stand behind other text.
            if index > 0 && (words[index - 1].ends_with("$repeat") || words[index - 1].ends_with("$base64-fill")) {
                numbers.extend(size(word));
            }
        }
    }
    numbers.into_iter().rev().filter(|number| *number > 1).collect()
}

fn size(word: &str) -> Option<u64> {
    let (digits, factor) = match (word.strip_suffix("KiB"), word.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (word, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// That number, in whatever unit, replaced wherever it stands.
pub(super) fn with_number(document: &Document, number: u64, smaller: u64) -> Document {
    document.map_lines(|line| {
        let mut line = line.to_owned();
        for (unit, factor) in [("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)] {
            if number.is_multiple_of(factor) {
                line = replaced(&line, &format!("{}{unit}", number / factor), &smaller.to_string());
                line = replaced(&line, &format!("x{}{unit}", number / factor), &format!("x{smaller}"));
            }
        }
        line
    })
}

/// Two chunks in a row as one.
pub(super) fn merged_chunks(document: &Document) -> Vec<Document> {
    let mut candidates = Vec::new();
    for (at, unit) in document.units.iter().enumerate().filter(|(_, unit)| unit.part() == Part::Origin) {
        for (line, pair) in unit.children.windows(2).enumerate() {
            let chunk = |line: &str| line.strip_prefix("chunk ").map(str::to_owned);
            if let (Some(first), Some(second)) = (chunk(&pair[0]), chunk(&pair[1])) {
                let joined = match (first.strip_suffix('"'), second.strip_prefix('"')) {
                    (Some(first), Some(second)) => format!("{first}{second}"),
                    _ => format!("{first} {second}"),
                };
                let mut candidate = document.clone();
                candidate.units[at].children.splice(line..line + 2, [format!("chunk {joined}")]);
                candidates.push(candidate);
            }
        }
    }
    candidates
}

/// Lines without one of their conditions, clauses or JSON members.
pub(super) fn simpler_lines(document: &Document) -> Vec<Document> {
    let mut candidates = Vec::new();
    for (at, unit) in document.units.iter().enumerate() {
        let simpler = match unit.part() {
            Part::Fixed => fewer_clauses(&unit.line),
            Part::Step => [simpler_json(&unit.line), fewer_conditions(&unit.line)].concat(),
            Part::Head | Part::Origin => Vec::new(),
        };
        for line in simpler {
            let mut candidate = document.clone();
            candidate.units[at].line = line;
            candidates.push(candidate);
        }
        for (child, line) in unit.children.iter().enumerate() {
            let simpler = match unit.part() {
                Part::Step => [simpler_json(line), fewer_conditions(line)].concat(),
                Part::Origin => simpler_origin_line(line),
                Part::Fixed | Part::Head => Vec::new(),
            };
            for line in simpler {
                let mut candidate = document.clone();
                candidate.units[at].children[child] = line;
                candidates.push(candidate);
            }
        }
    }
    candidates
}

/// The case with only the first of its clauses.
pub(super) fn one_clause(document: &Document) -> Vec<Document> {
    vec![document.map_lines(|line| fewer_clauses(line).pop().unwrap_or_else(|| line.to_owned()))]
}

/// The first clause is what steps fail on that name none.
fn fewer_clauses(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.first() == Some(&"clauses") && words.len() > 2 { vec![words[..2].join(" ")] } else { Vec::new() }
}

/// Several writes as one, and a pause less.
fn simpler_origin_line(line: &str) -> Vec<String> {
    let behind = |word: &str, skipped: usize| {
        let rest = line.strip_prefix(word)?;
        Some(rest.splitn(skipped + 1, ' ').nth(skipped)?.to_owned())
    };
    let each = behind("each ", 1);
    let drip = behind("drip ", 3).map(|bytes| format!("chunk {bytes}"));
    each.into_iter().chain(drip).collect()
}

/// Expectations without one of their conditions.
fn fewer_conditions(line: &str) -> Vec<String> {
    let is_expectation = ["<- ", "=> ", "origin-request", "origin2-request", "refuse ", "accept "];
    if !is_expectation.iter().any(|word| line.contains(word)) {
        return Vec::new();
    }
    let starts: Vec<usize> =
        word_starts(line).filter(|(_, word)| CONDITIONS.contains(word)).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let cut = |(start, end): (&usize, usize)| format!("{}{}", &line[..*start], &line[end..]).trim_end().to_owned();
    starts.iter().zip(ends).map(cut).collect()
}

/// The words outside quotes, with their places.
fn word_starts(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut quote = None;
    let mut starts = Vec::new();
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if character == open && before != '\\' => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if before == ' ' => starts.push(at),
            None => {}
        }
        before = character;
    }
    starts.into_iter().map(|at| (at, line[at..].split(' ').next().unwrap_or_default()))
}

/// Lines without their JSON object, or with one value less in it.
fn simpler_json(line: &str) -> Vec<String> {
    let Some((at, _)) = word_starts(line).find(|(_, word)| word.starts_with('{')) else { return Vec::new() };
    let mut values = serde_json::Deserializer::from_str(&line[at..]).into_iter::<Value>();
    let Some(Ok(value)) = values.next() else { return Vec::new() };
    let (before, behind) = (&line[..at], &line[at + values.byte_offset()..]);
    let whole = format!("{}{behind}", before.trim_end());
    let smaller = smaller_values(&value).into_iter().map(|value| format!("{before}{value}{behind}"));
    std::iter::once(whole).chain(smaller).collect()
}

/// The value without one of its members or items.
fn smaller_values(value: &Value) -> Vec<Value> {
    let mut smaller = Vec::new();
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let mut without = members.clone();
                without.remove(name);
                smaller.push(Value::Object(without));
                for inner in smaller_values(inner) {
                    let mut with = members.clone();
                    with.insert(name.clone(), inner);
                    smaller.push(Value::Object(with));
                }
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                let mut without = items.clone();
                without.remove(at);
                smaller.push(Value::Array(without));
                for inner in smaller_values(inner) {
                    let mut with = items.clone();
                    with[at] = inner;
                    smaller.push(Value::Array(with));
                }
            }
        }
        _ => {}
    }
    smaller
}

/// Texts that origins write, shorter wherever they stand.
pub(super) fn shorter_texts(document: &Document) -> Vec<Document> {
    let mut texts = BTreeSet::new();
    for line in document.lines() {
        texts.extend(line.split('"').skip(1).step_by(2).filter(|text| !text.is_empty() && !text.contains(['\\', '$'])));
    }
    let mut candidates = Vec::new();
    for text in texts {
        let half = text.char_indices().nth(text.chars().count() / 2).map_or(text, |(end, _)| &text[..end]);
        for shorter in ["", "a", half].into_iter().filter(|shorter| shorter.len() < text.len()) {
            let (from, to) = (format!("\"{text}\""), format!("\"{shorter}\""));
            candidates.push(document.map_lines(|line| line.replace(&from, &to)));
            candidates.push(document.map_lines(|line| within_quotes(line, text, shorter)));
        }
    }
    candidates
}

/// The text replaced between double quotes only.
fn within_quotes(line: &str, from: &str, to: &str) -> String {
    let parts = line.split('"').enumerate();
    let replaced = parts.map(|(at, part)| if at % 2 == 1 { part.replace(from, to) } else { part.to_owned() });
    replaced.collect::<Vec<_>>().join("\"")
}

/// Short paths, stream names and ids: all at once, and each alone.
pub(super) fn shorter_names(document: &Document) -> Vec<Document> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let letters = || (b'a'..=b'z').map(|letter| char::from(letter).to_string());
    let taken = |name: &str| document.lines().any(|line| line.split(' ').any(|word| word == name));
    for line in document.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let unused = |names: &BTreeMap<String, String>, candidate: &String| {
            !taken(candidate) && !names.values().any(|name| name == candidate)
        };
        let mut shorten = |name: &str, mut candidates: Box<dyn Iterator<Item = String>>| {
            if let Some(short) = candidates.find(|candidate| unused(&names, candidate))
                && short.len() < name.len()
                && !names.contains_key(name)
            {
                names.insert(name.to_owned(), short);
            }
        };
        match words[..] {
            ["origin" | "origin2", path] if path.len() > 2 && !path.contains("..") => {
                shorten(path, Box::new(letters().map(|letter| format!("/{letter}"))));
            }
            ["->", id, "stream", name, ..] => {
                if name.len() > 1 && !name.contains(['$', '"', '\'']) {
                    shorten(name, Box::new(letters().rev()));
                }
                if id.starts_with('"') && !id.contains('$') {
                    shorten(id, Box::new((1..10).map(|number: u8| number.to_string())));
                }
            }
            ["->", id, "call", ..] if id.starts_with('"') && !id.contains('$') => {
                shorten(id, Box::new((1..10).map(|number: u8| number.to_string())));
            }
            _ => {}
        }
    }
    let all = |line: &str| names.iter().fold(line.to_owned(), |line, (from, to)| replaced(&line, from, to));
    let mut candidates = vec![document.map_lines(all)];
    for (from, to) in &names {
        candidates.push(document.map_lines(|line| replaced(line, from, to)));
    }
    candidates
}

/// The word replaced where it stands by itself.
fn replaced(line: &str, from: &str, to: &str) -> String {
    let part_of_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(from) {
        let (before, behind) = (&rest[..at], &rest[at + from.len()..]);
        text += before;
        let before_ok = from.starts_with('/') || !text.ends_with(part_of_word);
        text += if before_ok && !behind.starts_with(part_of_word) { to } else { from };
        rest = behind;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_replaced_only_by_itself() {
        assert_eq!(
            replaced("content-length: 300 x300 1..300 3000 300ms /300", "300", "2"),
            "content-length: 2 x300 1..300 3000 300ms /2"
        );
        assert_eq!(
            replaced("-> 1 stream s GET $origin/small?x /smaller", "/small", "/a"),
            "-> 1 stream s GET $origin/a?x /smaller"
        );
    }

    #[test]
    fn an_expectation_loses_its_conditions_one_by_one() {
        let line = "<- 7 200 header x \"body 1\" body \"hello\" or closed";
        let expected = [
            "<- 7 200 body \"hello\" or closed",
            "<- 7 200 header x \"body 1\" or closed",
            "<- 7 200 header x \"body 1\" body \"hello\"",
        ];
        assert_eq!(fewer_conditions(line), expected);
        assert!(fewer_conditions("-> 7 stream body GET /header").is_empty());
    }

    #[test]
    fn json_loses_its_members_one_by_one() {
        let lines = simpler_json(r#"-> 7 stream s GET /a {"headers":[{"name":"x"}],"timeoutMs":5}"#);
        assert_eq!(lines[0], "-> 7 stream s GET /a");
        assert!(lines.iter().any(|line| line == r#"-> 7 stream s GET /a {"timeoutMs":5}"#), "{lines:?}");
        assert!(lines.iter().any(|line| line == r#"-> 7 stream s GET /a {"headers":[],"timeoutMs":5}"#), "{lines:?}");
        assert_eq!(lines.len(), 5);
    }
}
