//! Cases out of text.

use exec_http::conformance::case::Case;
use exec_http::conformance::case::parse::parse_cases;

/// The name of the file that errors have to repeat.
const FILE: &str = "fuzz.case";

/// Any text is read or refused at one of its lines; what is read says the same when its own text is read alone.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let cases = match parse_cases(FILE, text) {
        Ok(cases) => cases,
        Err(error) => {
            assert_eq!(error.file, FILE);
            assert!((1..=text.lines().count()).contains(&error.line), "{error}");
            assert!(!error.message.is_empty());
            return;
        }
    };
    for case in cases {
        assert_whole(&case);
        match parse_cases(FILE, &case.text).as_deref() {
            Ok([alone]) => assert_same(alone, &case),
            other => panic!("{}: {other:?}", case.text),
        }
    }
}

/// The case has all that its readers take for granted.
fn assert_whole(case: &Case) {
    assert!(case.id.split_once('/').is_some_and(|(area, slug)| !area.is_empty() && !slug.is_empty()), "{}", case.id);
    assert!(!case.description.is_empty() && !case.clauses.is_empty(), "{}", case.id);
    assert!((1..case.steps.len()).contains(&case.handshake_steps), "{}", case.id);
    let lines = case.line..case.line + case.text.lines().count();
    for step in &case.steps {
        assert!(lines.contains(&step.line), "{}: {} is a line of it", case.id, step.line);
    }
}

/// Two readings of one case, at different places of a file, are equal.
fn assert_same(alone: &Case, case: &Case) {
    let moved = case.line - alone.line;
    let mut alone = alone.clone();
    alone.line += moved;
    for step in &mut alone.steps {
        step.line += moved;
    }
    // White space at line ends is not kept in the text of a case.
    alone.text.clone_from(&case.text);
    assert_eq!(format!("{alone:?}"), format!("{case:?}"));
}
