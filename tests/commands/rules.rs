//! What is known about each command: how it is run, how long it takes, and how it ends.

use crate::pages::{Command, words};

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To its end, among the tests that `cargo test` runs.
    Short,
    /// To its end, by the gate.
    Long,
    /// Until it has printed its address; then it is told to end.
    Server,
    /// By another step of the gate, which is named, word for word.
    Elsewhere(&'static str),
}

/// Subcommands that end soon.
const SHORT: [&str; 17] = [
    "adapter",
    "ci",
    "completions",
    "doctor",
    "expect",
    "explain",
    "judge",
    "man",
    "replay",
    "report",
    "request",
    "schema",
    "serve",
    "tap",
    "trace-table",
    "--version",
    "--help",
];

/// Subcommands that run cases: many, unless an option names one or asks for the list.
const RUNS: [&str; 5] = ["conform", "demo", "explore", "shrink", "zoo"];

/// Commands that end with another status than 0, with the reason. Their words stand as the shell understands them; with a `*` at the end
/// others may follow.
const STATUS: &[(&str, i32, &str)] = &[
    ("conform server", 1, "the executor of exec-http.toml has a defect"),
    ("conform server --cmd my-executor --stdio", 1, "it has a defect"),
    ("conform server --cmd my-executor --stdio --only response/utf8-header", 1, "its defect"),
    ("conform client --adapter exec-http zoo adapter error-is-clean-end*", 1, "it has a defect"),
    ("conform client --adapter exec-http adapter --seed --merged*", 1, "it has defects"),
    ("replay exec-http-runs/latest/failures/response-utf8-header.stdio.case*", 1, "its defect"),
];

/// The rule for a command; `None` where there is none.
pub(crate) fn kind(command: &Command) -> Option<Kind> {
    let arguments = arguments(command);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let has = |option: &str| words.contains(&option);
    let listens = !has("stdio") && !has("--print-limits");
    let is_one = words.windows(2).any(|pair| pair[0] == "--only" && !pair[1].contains('*'));
    match words[..] {
        ["serve", ..] | ["zoo", "serve", ..] if listens => Some(Kind::Server),
        ["tap", ..] if has("--listen") => Some(Kind::Server),
        ["zoo"] => Some(Kind::Elsewhere("tests/zoo/run")),
        ["zoo", "serve" | "adapter", ..] => Some(Kind::Short),
        [task, ..] if SHORT.contains(&task) => Some(Kind::Short),
        // A failure of `conform` is made small, which takes a while.
        [task, ..] if RUNS.contains(&task) && (has("--list") || is_one && task != "conform") => Some(Kind::Short),
        [task, ..] if RUNS.contains(&task) => Some(Kind::Long),
        _ => None,
    }
}

/// The words behind `exec-http`, as far as they are its own.
fn arguments(command: &Command) -> Vec<String> {
    let words = words(&command.text).into_iter().skip_while(|word| word != "exec-http").skip(1);
    words.take_while(|word| ![">", "|", "&&", ";"].contains(&word.as_str())).collect()
}

/// The status with which a command has to end.
pub(crate) fn status(command: &Command) -> i32 {
    STATUS.iter().find(|(row, ..)| fits(row, command)).map_or(0, |(_, status, _)| *status)
}

fn fits(row: &str, command: &Command) -> bool {
    let text = arguments(command).join(" ");
    row.strip_suffix('*').map_or(text == row, |beginning| text.starts_with(beginning))
}

/// Rows that are about no command any more.
pub(crate) fn idle(commands: &[Command]) -> Vec<&'static str> {
    let is_idle = |row: &&str| !commands.iter().any(|command| fits(row, command));
    STATUS.iter().map(|(row, ..)| *row).filter(is_idle).collect()
}
