//! One failure in full.

use std::fmt::Write as _;

use super::super::clause;
use super::super::result::CaseResult;

/// Lines of standard error that a card shows.
const STDERR_LINES: usize = 12;

/// The card of a result. `replay` is the command line of the run without a selection of cases.
pub fn card(result: &CaseResult, replay: &str) -> String {
    let mut card = format!("{} [{}] {}\n", result.case, result.transport, result.verdict);
    // Writing to a text cannot fail.
    let mut line = |name: &str, text: &str| {
        let text = text.replace('\n', "\n              ");
        let _ = writeln!(card, "  {name:<10}  {text}");
    };
    if let Some(reason) = &result.reason {
        if let Some(id) = &reason.clause {
            let sentence = clause::find(id).map_or("", |clause| clause.sentence);
            line("clause", &format!("{id}: {sentence}"));
        }
        if let Some(place) = &reason.place {
            line("case", place);
        }
        if !reason.expected.is_empty() {
            line("expected", &reason.expected);
        }
        line(if reason.expected.is_empty() { "because" } else { "came" }, &reason.came);
    }
    if !result.transcript.is_empty() {
        line("frames", &result.transcript.join("\n"));
    }
    let stderr: Vec<&str> = result.stderr.lines().collect();
    if !stderr.is_empty() {
        line("stderr", &stderr[stderr.len().saturating_sub(STDERR_LINES)..].join("\n"));
    }
    line("repeat", &format!("{replay} --transport {} --only {}", result.transport, result.case));
    card
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::result;
    use super::*;

    #[test]
    fn a_card_says_everything() {
        let mut failure = result("stream/gap", Verdict::Fail(FailKind::Assertion), "seq 2\nat once");
        failure.transcript = vec!["-> a".into(), "<- b".into()];
        failure.stderr = (0..20).map(|number| format!("log {number}\n")).collect();
        let text = card(&failure, "exec-http conform server");
        let logs: Vec<String> = (8..20).map(|number| format!("log {number}")).collect();
        let expected = format!(
            "stream/gap [stdio] fail(assertion)\n  \
             clause      STREAM-1: {}\n  \
             expected    seq 1\n  \
             came        seq 2\n              at once\n  \
             frames      -> a\n              <- b\n  \
             stderr      {}\n  \
             repeat      exec-http conform server --transport stdio --only stream/gap\n",
            clause::find("STREAM-1").expect("it exists").sentence,
            logs.join("\n              "),
        );
        assert_eq!(text, expected);
    }
}
