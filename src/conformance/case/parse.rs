//! Reading a file of cases.

use std::fmt;

use super::steps::{StepReader, handshake};
use super::words::{Words, without_comment};
use super::{Action, CAPABILITIES, Case, Expect, Half, MAIN, OriginCheck, Revision, Step, Transport, origin};
use crate::conformance::client::claims::{FEATURES, LIMITS};
use crate::conformance::client::notation::{self, ClientStepReader, missing_need, opening};

/// Rounds of one `each` or paths of one origin range.
const RANGE_ROUNDS: u64 = 10_000;

/// Steps of one case and lines of its origins together, those of all rounds and paths counted.
const CASE_LINES: usize = 20_000;

/// Names that always stand for something.
const NAMES: [&str; 6] = ["origin", "origin2", "authority", "authority2", "closed", "sessionId"];

/// Words that may stand behind a `$` without being names.
const FUNCTIONS: [&str; 8] = ["base64", "repeat", "set", "not", "any", "absent", "text", "base64-fill"];

/// A place in a file that does not follow the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A line with its continuations.
#[derive(Clone, Debug)]
pub(in crate::conformance) struct Line {
    /// Where it starts, from 1.
    pub(in crate::conformance) number: usize,
    /// Without comment, continuations joined.
    pub(in crate::conformance) text: String,
    /// It belongs to the block above.
    pub(in crate::conformance) indented: bool,
    /// The sentence, if the line is a comment and nothing else.
    pub(in crate::conformance) comment: Option<String>,
}

/// Reads all cases of a file.
///
/// # Errors
///
/// The first place that does not follow the notation.
pub fn parse_cases(file: &str, text: &str) -> Result<Vec<Case>, ParseError> {
    let at = |line: usize| move |message: String| ParseError { file: file.to_owned(), line, message };
    let lines = logical_lines(text);
    let starts: Vec<usize> = (0..lines.len()).filter(|&index| is_case(&lines[index])).collect();
    let first = starts.first().copied().unwrap_or(lines.len());
    if let Some(stray) = lines[..first].iter().find(|line| !line.text.is_empty()) {
        return Err(at(stray.number)("a line before the first case".to_owned()));
    }
    let source: Vec<&str> = text.lines().collect();
    let mut cases = Vec::new();
    for (nth, &start) in starts.iter().enumerate() {
        let head = description_start(&lines, start);
        let next = starts.get(nth + 1).map_or(lines.len(), |&next| description_start(&lines, next));
        let last_line = lines.get(next).map_or(source.len(), |line| line.number - 1);
        let description: Vec<&str> = lines[head..start].iter().filter_map(|line| line.comment.as_deref()).collect();
        let mut case = empty_case(file, &lines[start]).map_err(at(lines[start].number))?;
        case.description = description.join(" ");
        case.text = source[lines[head].number - 1..last_line].join("\n").trim_end().to_owned() + "\n";
        read_body(&mut case, &lines[start + 1..next]).map_err(|(line, message)| at(line)(message))?;
        check(&case).map_err(at(case.line))?;
        cases.push(case);
    }
    Ok(cases)
}

fn is_case(line: &Line) -> bool {
    !line.indented && Words::new(&line.text).peek() == "case"
}

/// Where the comment directly above a case starts.
fn description_start(lines: &[Line], case: usize) -> usize {
    let above = lines[..case].iter().rev().take_while(|line| line.comment.is_some()).count();
    case - above
}

/// The lines of a file, continuations joined.
pub(in crate::conformance) fn logical_lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut continues = false;
    for (index, source) in text.lines().enumerate() {
        let body = without_comment(source);
        let (body, goes_on) = match body.strip_suffix(" \\") {
            Some(body) => (body, true),
            None => (body, false),
        };
        match lines.last_mut() {
            Some(line) if continues => {
                line.text.push(' ');
                line.text.push_str(body.trim());
            }
            _ => lines.push(Line {
                number: index + 1,
                text: body.trim().to_owned(),
                indented: source.starts_with("  "),
                comment: source.strip_prefix('#').map(|comment| comment.trim().to_owned()),
            }),
        }
        continues = goes_on;
    }
    lines
}

fn empty_case(file: &str, line: &Line) -> Result<Case, String> {
    let mut words = Words::new(&line.text);
    words.take("case");
    let id = words.word("AREA/SLUG")?;
    words.end()?;
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match id.split_once('/') {
        Some((area, slug)) if good(area) && good(slug) => {}
        _ => return Err(format!("{id:?} is not AREA/SLUG of small letters, digits and hyphens")),
    }
    let steps = match Half::of(id) {
        Half::Executor => handshake(MAIN, line.number),
        Half::Client => opening(MAIN, line.number),
    };
    Ok(Case {
        id: id.to_owned(),
        description: String::new(),
        clauses: Vec::new(),
        only: None,
        needs: Vec::new(),
        without: Vec::new(),
        since: Revision::April2026,
        isolate: false,
        alone: false,
        env: Vec::new(),
        step_deadline: None,
        case_deadline: None,
        origins: [Vec::new(), Vec::new()],
        handshake_steps: steps.len(),
        steps,
        file: file.to_owned(),
        line: line.number,
        text: String::new(),
    })
}

/// Reads the steps of one case.
enum Reader {
    /// Of a case for executors.
    Executor(StepReader),
    /// Of a case for clients.
    Client(ClientStepReader),
}

impl Reader {
    fn of(half: Half) -> Self {
        match half {
            Half::Executor => Self::Executor(StepReader::default()),
            Half::Client => Self::Client(ClientStepReader::default()),
        }
    }

    fn read(&mut self, line: usize, text: &str, names: &[String]) -> Result<Vec<Step>, String> {
        match self {
            Self::Executor(steps) => check_names(text, names).and_then(|()| steps.read(line, text)),
            Self::Client(steps) => steps.read(line, text),
        }
    }

    fn finish(&self) -> Result<(), String> {
        match self {
            Self::Executor(steps) => steps.finish(),
            Self::Client(_) => Ok(()),
        }
    }
}

/// Reads everything below the `case` line; an error names its line.
fn read_body(case: &mut Case, lines: &[Line]) -> Result<(), (usize, String)> {
    let mut steps = Reader::of(case.half());
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    for line in lines.iter().filter(|line| line.comment.is_none()) {
        names.extend(line.text.split("$set(").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned));
    }
    let mut lines_left = CASE_LINES;
    let mut take_lines = |count: usize| {
        lines_left = lines_left.checked_sub(count).ok_or_else(|| format!("a case has more than {CASE_LINES} lines"))?;
        Ok(())
    };
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        index += 1;
        if line.text.is_empty() {
            continue;
        }
        let block: Vec<&Line> =
            lines[index..].iter().take_while(|line| line.indented || line.text.is_empty()).collect();
        let fail = |message: String| (line.number, message);
        let mut words = Words::new(&line.text);
        match words.peek() {
            "origin" | "origin2" if case.half() == Half::Client => {
                return Err(fail("a case for clients has no origins".to_owned()));
            }
            "origin" | "origin2" => {
                let which = usize::from(words.word("origin").map_err(fail)? == "origin2");
                let path = words.word("a path").map_err(fail)?.to_owned();
                words.end().map_err(fail)?;
                for (path, round) in expand_path(&path).map_err(fail)? {
                    take_lines(1 + block.len()).map_err(fail)?;
                    let mut exchange = super::Exchange { path, early: false, silent_tls: false, actions: Vec::new() };
                    for line in block.iter().filter(|line| !line.text.is_empty()) {
                        let text = round.map_or_else(|| line.text.clone(), |round| replace_round(&line.text, round));
                        check_names(&text, &names)
                            .and_then(|()| origin::read_line(&mut exchange, &text))
                            .map_err(|message| (line.number, message))?;
                    }
                    case.origins[which].push(exchange);
                }
                index += block.len();
            }
            "each" => {
                words.take("each");
                let (from, to) =
                    range(words.word("A..B").map_err(fail)?).ok_or("each needs A..B".to_owned()).map_err(fail)?;
                words.end().map_err(fail)?;
                for round in from..=to {
                    for line in block.iter().filter(|line| !line.text.is_empty()) {
                        let text = replace_round(&line.text, round);
                        let read = steps.read(line.number, &text, &names);
                        let steps = read.map_err(|message| (line.number, message))?;
                        take_lines(steps.len()).map_err(fail)?;
                        case.steps.extend(steps);
                    }
                }
                index += block.len();
            }
            _ if line.indented => return Err(fail("an indented line without a block above it".to_owned())),
            _ => {
                if !read_head(case, words).map_err(fail)? {
                    let read = steps.read(line.number, &line.text, &names);
                    let steps = read.map_err(fail)?;
                    take_lines(steps.len()).map_err(fail)?;
                    case.steps.extend(steps);
                }
            }
        }
    }
    steps.finish().map_err(|message| (case.line, message))
}

/// Reads a line of the head; `false` if it is none.
fn read_head(case: &mut Case, mut words: Words<'_>) -> Result<bool, String> {
    match words.peek() {
        "clauses" => case.clauses.extend(list(&mut words)?),
        "needs" => case.needs.extend(list(&mut words)?),
        "without" => case.without.extend(list(&mut words)?),
        "only" => {
            words.take("only");
            case.only = Some(match words.word("stdio or ws")? {
                "stdio" => Transport::Stdio,
                "ws" => Transport::Websocket,
                other => return Err(format!("{other:?} is not stdio or ws")),
            });
        }
        "since" => {
            words.take("since");
            let word = words.word("a revision")?;
            case.since = Revision::from_word(word).ok_or_else(|| format!("{word:?} is not a revision"))?;
        }
        "isolate" => case.isolate = words.take("isolate"),
        "alone" => case.alone = words.take("alone"),
        "env" => {
            words.take("env");
            let (name, value) = words.rest().split_once('=').ok_or("env needs NAME=VALUE")?;
            case.env.push((name.to_owned(), value.to_owned()));
            case.isolate = true;
            case.needs.push("spawn".to_owned());
            return Ok(true);
        }
        "handshake" => {
            words.take("handshake");
            if !words.take("none") {
                return Err("handshake can only be none".to_owned());
            }
            // The connection of a case for executors is still opened, by the first of the steps.
            case.handshake_steps = usize::from(case.half() == Half::Executor);
            case.steps.truncate(case.handshake_steps);
        }
        "deadline" => {
            words.take("deadline");
            match words.word("step or case")? {
                "step" => case.step_deadline = Some(words.duration()?),
                "case" => case.case_deadline = Some(words.duration()?),
                other => return Err(format!("{other:?} is not step or case")),
            }
        }
        _ => return Ok(false),
    }
    words.end().map(|()| true)
}

/// The words behind the first.
fn list(words: &mut Words<'_>) -> Result<Vec<String>, String> {
    words.word("")?;
    let mut list = vec![words.word("a word")?.to_owned()];
    while !words.is_empty() {
        list.push(words.word("a word")?.to_owned());
    }
    Ok(list)
}

fn check(case: &Case) -> Result<(), String> {
    if case.description.is_empty() {
        return Err("the sentence above the case is missing".to_owned());
    }
    if case.clauses.is_empty() {
        return Err("the clauses are missing".to_owned());
    }
    let known = |need: &str| match case.half() {
        Half::Executor => CAPABILITIES.contains(&need),
        Half::Client => FEATURES.contains(&need) || LIMITS.iter().any(|(limit, _)| *limit == need),
    };
    if let Some(unknown) = case.needs.iter().chain(&case.without).find(|need| !known(need)) {
        return Err(format!("{unknown:?} is no capability"));
    }
    let missing = |step: &Step| match &step.action {
        Action::Client(action) => Some((step.line, missing_need(action, &case.needs)?)),
        _ => None,
    };
    if let Some((line, need)) = case.steps.iter().find_map(missing) {
        return Err(format!("line {line} asks for `needs {need}`"));
    }
    let own_process =
        |step: &&Step| matches!(step.action, Action::Signal(_) | Action::Memory(_) | Action::Expect(Expect::Exit(_)));
    let spawned = case.needs.iter().any(|need| need == "spawn" || need == "memory");
    if let Some(step) = case.steps.iter().find(own_process).filter(|_| !case.isolate || !spawned) {
        return Err(format!(
            "line {} is about the process: the case needs `isolate` and `needs spawn` or `memory`",
            step.line
        ));
    }
    if !case.steps.iter().skip(case.handshake_steps).any(observes) {
        return Err("no step observes the peer: a peer that does nothing could pass".to_owned());
    }
    Ok(())
}

/// The step can only be satisfied by something that the peer does, other than going away.
fn observes(step: &Step) -> bool {
    match &step.action {
        Action::Expect(expect) => !matches!(expect, Expect::Closed | Expect::Exit(_)),
        Action::Origin(_, check) => {
            !matches!(check, OriginCheck::Count(_, 0) | OriginCheck::Connections(0) | OriginCheck::Idle)
        }
        Action::Probe { .. } => true,
        Action::Client(action) => notation::observes(action),
        _ => false,
    }
}

/// Reads `A..B`.
pub(in crate::conformance) fn range(word: &str) -> Option<(u64, u64)> {
    let (from, to) = word.split_once("..")?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    // `$next` of the last round is a number, too.
    (from <= to && to - from < RANGE_ROUNDS && to < u64::MAX).then_some((from, to))
}

/// The paths that a path stands for, with the number of the round where it has a range.
fn expand_path(path: &str) -> Result<Vec<(String, Option<u64>)>, String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} does not start with /"));
    }
    let (before, last) = path.rsplit_once('/').unwrap_or(("", path));
    Ok(match range(last) {
        Some((from, to)) => (from..=to).map(|round| (format!("{before}/{round}"), Some(round))).collect(),
        None => vec![(path.to_owned(), None)],
    })
}

/// Puts the number of the round for `$i`, and the next for `$next`.
pub(in crate::conformance) fn replace_round(text: &str, round: u64) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        replaced.push_str(&rest[..dollar]);
        if rest[dollar..].starts_with("$$") {
            replaced.push_str("$$");
            rest = &rest[dollar + 2..];
            continue;
        }
        let word = word_at(&rest[dollar + 1..]);
        match word {
            "i" => replaced.push_str(&round.to_string()),
            "next" => replaced.push_str(&(round + 1).to_string()),
            _ => replaced.push_str(&rest[dollar..=dollar + word.len()]),
        }
        rest = &rest[dollar + 1 + word.len()..];
    }
    replaced + rest
}

/// The letters and digits that a text begins with.
fn word_at(text: &str) -> &str {
    &text[..text.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(text.len())]
}

fn check_names(text: &str, names: &[String]) -> Result<(), String> {
    for behind in text.replace("$$", "").split('$').skip(1) {
        let word = word_at(behind);
        if !names.iter().any(|name| name == word) && !FUNCTIONS.contains(&word) {
            return Err(format!("${word} stands for nothing; write $$ for a dollar sign"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
