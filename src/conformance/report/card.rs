//! One failure in full.

use std::fmt::Write as _;

use super::super::case::Half;
use super::super::clause;
use super::super::result::CaseResult;
use super::super::suites;
use super::super::transcript::printable;
use super::super::verdict::Bearing;
use super::paint::{Paint, Shade};
use super::repeat::Repeat;

/// Lines of standard error that a card shows.
const STDERR_LINES: usize = 12;

/// Lines of the transcript that a card shows, the last ones.
const FRAME_LINES: usize = 16;

/// The areas of results that are about a process, and that no case can show again.
const WITHOUT_CASE: [&str; 2] = ["peer", "client-adapter"];

/// The card of a result.
pub fn card(result: &CaseResult, repeat: &Repeat, paint: Paint) -> String {
    let mut card = format!(
        "{} {}\n",
        paint.verdict(&format!("{} [{}]", result.case, result.transport), result.verdict.bearing()),
        paint.verdict(&result.verdict.to_string(), result.verdict.bearing())
    );
    // Writing to a text cannot fail.
    let mut line = |name: &str, text: &str| {
        let text = text.replace('\n', "\n              ");
        let _ = writeln!(card, "  {}  {text}", paint.shade(&format!("{name:<10}"), Shade::Dim));
    };
    let case = suites::of(Half::of(&result.case)).iter().find(|case| case.id == result.case);
    if let Some(case) = case {
        line("case", &case.description);
    }
    if let Some(reason) = &result.reason {
        if let Some(id) = &reason.clause {
            let sentence = clause::find(id).map_or("", |clause| clause.sentence);
            line("clause", &format!("{}: {sentence}", paint.shade(id, Shade::Bold)));
        }
        if let Some(place) = &reason.place {
            line("step", place);
        }
        if let Some(sent) = &result.sent {
            line("sent", sent);
        }
        if !reason.expected.is_empty() {
            line("allowed", &reason.expected);
        }
        let came = paint.verdict(&printable(&reason.came), result.verdict.bearing());
        line(if reason.expected.is_empty() { "because" } else { "came" }, &came);
    }
    if !result.transcript.is_empty() {
        let last = &result.transcript[result.transcript.len().saturating_sub(FRAME_LINES)..];
        line("frames", &last.iter().map(|frame| arrows(frame, paint)).collect::<Vec<_>>().join("\n"));
    }
    let stderr = printable(&result.stderr);
    let stderr: Vec<&str> = stderr.lines().collect();
    if !stderr.is_empty() {
        line("stderr", &stderr[stderr.len().saturating_sub(STDERR_LINES)..].join("\n"));
    }
    if !WITHOUT_CASE.contains(&result.area()) {
        line("again", &repeat.conform(result));
    }
    if case.is_some() && matches!(result.verdict.bearing(), Bearing::Violation | Bearing::Advice) {
        line("alone", &repeat.replay(result));
        line("learn", &format!("exec-http explain {}", result.case));
    }
    card
}

/// A line of a transcript: what came stands out from what was sent.
fn arrows(frame: &str, paint: Paint) -> String {
    match frame.split_once("<- ") {
        Some((before, came)) => format!("{before}{} {came}", paint.shade("<-", Shade::Bold)),
        None => frame.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::result;
    use super::*;

    #[test]
    fn a_card_says_everything() {
        let mut failure = result("order/first-delta", Verdict::Fail(FailKind::Assertion), "seq 2\nat once");
        failure.transcript = vec!["-> a".into(), "<- b".into()];
        failure.sent = Some("a".into());
        failure.stderr = (0..20).map(|number| format!("log {number}\n")).collect();
        let text = card(&failure, &Repeat::default(), Paint::PLAIN);
        let logs: Vec<String> = (8..20).map(|number| format!("log {number}")).collect();
        let case =
            suites::of(Half::Executor).iter().find(|case| case.id == failure.case).expect("it is in the library");
        let expected = format!(
            "order/first-delta [stdio] fail(assertion)\n  \
             case        {}\n  \
             clause      STREAM-1: {}\n  \
             sent        a\n  \
             allowed     seq 1\n  \
             came        seq 2\n              at once\n  \
             frames      -> a\n              <- b\n  \
             stderr      {}\n  \
             again       exec-http conform server --transport stdio --only order/first-delta\n  \
             alone       exec-http replay order/first-delta --transport stdio\n  \
             learn       exec-http explain order/first-delta\n",
            case.description,
            clause::find("STREAM-1").expect("it exists").sentence,
            logs.join("\n              "),
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn colours_change_nothing_else() {
        let mut failure = result("order/first-delta", Verdict::Fail(FailKind::Assertion), "seq 2");
        failure.transcript = vec!["    0.001  <- b".into()];
        let painted = card(&failure, &Repeat::default(), Paint::COLOURS);
        let mut plain = String::new();
        for (index, part) in painted.split("\x1b[").enumerate() {
            plain += if index == 0 { part } else { part.split_once('m').expect("a colour ends").1 };
        }
        assert_ne!(painted, plain);
        assert_eq!(plain, card(&failure, &Repeat::default(), Paint::PLAIN));
    }
}
