//! The report in Markdown, as CI services show it beside a run.

use std::io::{self, Write};

use super::super::verdict::Bearing;
use super::Summary;
use super::console::areas;

/// Failures that are listed at most.
const FAILURES: usize = 50;

/// Characters of what came that are shown.
const CAME_CHARACTERS: usize = 200;

/// Writes the counts of each area, and what went wrong.
///
/// # Errors
///
/// Those of `out`.
pub fn write(summary: &Summary, command: &str, mut out: impl Write) -> io::Result<()> {
    writeln!(out, "### {}\n\n`{}`\n", summary.last_line(), command.replace('`', "'"))?;
    writeln!(out, "| area | results |\n|---|---|")?;
    for (area, (tally, _)) in areas(summary) {
        let counts: Vec<String> = tally.classes().map(|(class, count)| format!("{count} {class}")).collect();
        writeln!(out, "| {area} | {} |", counts.join(", "))?;
    }
    let mut wrong = summary.failures().filter(|result| result.verdict.bearing() != Bearing::Advice).peekable();
    if wrong.peek().is_some() {
        writeln!(out, "\n| case | on | verdict | clause | came |\n|---|---|---|---|---|")?;
    }
    let mut shown = 0;
    for result in wrong.by_ref().take(FAILURES) {
        shown += 1;
        let clause = result.reason.as_ref().and_then(|reason| reason.clause.as_deref()).unwrap_or_default();
        let (case, on, verdict) = (&result.case, result.transport, result.verdict);
        writeln!(out, "| {case} | {on} | {verdict} | {clause} | {} |", cell(result.came()))?;
    }
    let left = wrong.count();
    if left > 0 {
        writeln!(out, "\nand {left} more behind these {shown}.")?;
    }
    Ok(())
}

/// Text of a peer, as the cell of a table that shows it as it is.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for character in text.lines().next().unwrap_or_default().chars().take(CAME_CHARACTERS) {
        match character {
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            character if character.is_control() => cell.extend(character.escape_unicode()),
            character if character.is_ascii_punctuation() => cell.extend(['\\', character]),
            character => cell.push(character),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::{result, summary};
    use super::*;

    #[test]
    fn text_of_a_peer_stays_in_its_cell() {
        let failure = result("stream/a", Verdict::Fail(FailKind::Assertion), "a|b <img> `x`\nmore");
        let mut text = Vec::new();
        write(&summary(vec![failure, result("id/b", Verdict::Pass, "")]), "exec-http", &mut text)
            .expect("memory takes it");
        let text = String::from_utf8(text).expect("Markdown is text");
        assert!(text.starts_with("### 1 passed, 1 failed, 0 skipped\n"), "{text}");
        assert!(text.contains("| id | 1 pass |\n| stream | 1 fail |"), "{text}");
        assert!(text.ends_with("| fail(assertion) | STREAM-1 | a\\|b &lt;img\\> \\`x\\` |\n"), "{text}");
    }
}
