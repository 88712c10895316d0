//! A script: a file with one case, in the notation of the case library. What a failure leaves behind, and what `replay` runs.

use std::fmt;

use super::case::parse::{ParseError, parse_cases};
use super::case::{Case, Promise};
use super::clause;

/// Characters of one line of the header.
const HEADER_CHARACTERS: usize = 160;

/// Why a file is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptError {
    /// A line does not follow the notation, or names a clause that does not exist.
    Line(ParseError),
    /// There is no case in this file.
    Empty(String),
    /// There are so many cases in this file.
    Several(String, usize),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Empty(file) => write!(f, "{file}: no case; a script is one case of docs/notation.md"),
            Self::Several(file, count) => write!(f, "{file}: {count} cases; a script has exactly one"),
        }
    }
}

impl std::error::Error for ScriptError {}

/// Reads the text of a script. Its id need not be one of the library; its clauses have to exist.
///
/// # Errors
///
/// [`ScriptError`] names the file, and the line where there is one.
pub fn read(file: &str, text: &str) -> Result<Case, ScriptError> {
    let mut cases = parse_cases(file, text).map_err(ScriptError::Line)?;
    let count = cases.len();
    let Some(case) = cases.pop() else { return Err(ScriptError::Empty(file.to_owned())) };
    if count > 1 {
        return Err(ScriptError::Several(file.to_owned(), count));
    }
    let promised = case.steps.iter().filter_map(|step| match &step.promise {
        Promise::Clause(clause) => Some((step.line, clause)),
        Promise::Case | Promise::Setup => None,
    });
    let named = case.clauses.iter().map(|clause| (case.line, clause));
    match named.chain(promised).find(|(_, id)| clause::find(id).is_none()) {
        None => Ok(case),
        Some((line, id)) => {
            let message = format!("SPEC.md has no clause {id}");
            Err(ScriptError::Line(ParseError { file: file.to_owned(), line, message }))
        }
    }
}

/// The text of a script: the lines of the header as comments, then the case. An empty line keeps the header apart from the
/// case's own sentence.
pub fn write(header: &[String], case: &str) -> String {
    let version = concat!("exec-http ", env!("CARGO_PKG_VERSION"));
    let comments = std::iter::once(version).chain(header.iter().map(String::as_str));
    let comments: String = comments.map(|line| format!("# {}\n", one_line(line))).collect();
    format!("{comments}\n{case}")
}

/// The beginning of a text of the peer as one line without control characters.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(HEADER_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = "# One.\ncase no/such\nclauses STREAM-1\nbarrier\n<- 1 200 @ORDER-2\n";

    #[test]
    fn what_is_written_is_read_as_the_same_case() {
        let text = write(&["came: \u{1b}[31m\nx".to_owned(), "y".repeat(1_000)], CASE);
        assert!(
            text.starts_with(concat!("# exec-http ", env!("CARGO_PKG_VERSION"), "\n# came:  [31m x\n# yyy")),
            "{text}"
        );
        assert_eq!(read("a.case", &text).map(|case| (case.id, case.text)), Ok(("no/such".into(), CASE.into())));
    }

    #[test]
    fn a_file_that_is_no_script_is_named_with_its_line() {
        let message = |text: &str| read("a.case", text).map(|_| ()).map_err(|error| error.to_string());
        let refused = |text: &str, expected: &str| assert_eq!(message(text), Err(expected.to_owned()));
        refused("# Nothing.\n", "a.case: no case; a script is one case of docs/notation.md");
        refused(&format!("{CASE}\n{CASE}"), "a.case: 2 cases; a script has exactly one");
        refused(&CASE.replace("barrier", "barier"), "a.case:4: \"barier\" is no step");
        refused(&CASE.replace("STREAM-1", "STREAM-999"), "a.case:2: SPEC.md has no clause STREAM-999");
        refused(&CASE.replace("ORDER-2", "NO-2"), "a.case:5: SPEC.md has no clause NO-2");
    }
}
