//! What is known about each command: how it is run, how long it takes, and how it ends.

use crate::pages::{Command, words};

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    "adapter", "ci", "completions", "doctor", "expect", "explain", "judge", "man", "replay", "report", "request", "schema",
    "serve", "tap", "trace-table", "--version", "--help",
];

/// Subcommands that run cases: all of them, unless an option says otherwise.
const RUNS: [&str; 5] = ["conform", "demo", "explore", "shrink", "zoo"];

/// What makes such a command short.
const FEW: [&str; 2] = ["--list", "--only"];

/// Commands that end with another status than 0: by what they contain, the first that fits.
const STATUS: &[(&str, i32, &str)] = &[];

/// The rule for a command; `None` where there is none.
pub fn kind(command: &Command) -> Option<Kind> {
    let words = words(&command.text);
    let arguments: Vec<&str> =
        words.iter().skip_while(|word| *word != "exec-http").skip(1).map(String::as_str).take_while(|word| !">|".contains(word)).collect();
    let has = |option: &str| arguments.contains(&option);
    let listens = !has("stdio") && !has("--print-limits");
    match arguments[..] {
        ["serve" | "zoo", ..] if (has("serve")) && listens => Some(Kind::Server),
        ["tap", ..] if has("--listen") => Some(Kind::Server),
        ["zoo"] => Some(Kind::Elsewhere("tests/zoo/run")),
        ["zoo", "serve" | "adapter", ..] => Some(Kind::Short),
        [task, ..] if SHORT.contains(&task) => Some(Kind::Short),
        [task, ..] if RUNS.contains(&task) && FEW.iter().any(|option| has(option)) => Some(Kind::Short),
        [task, ..] if RUNS.contains(&task) => Some(Kind::Long),
        [] => Some(Kind::Elsewhere("the step suite of .ci/run")),
        _ => None,
    }
}

/// The status with which a command has to end.
pub fn status(command: &Command) -> i32 {
    STATUS.iter().find(|(part, ..)| command.text.contains(part)).map_or(0, |(_, status, _)| *status)
}

/// Rows of the table that are about no command any more.
pub fn idle(commands: &[Command]) -> Vec<&'static str> {
    let is_idle = |part: &&str| !commands.iter().any(|command| command.text.contains(*part));
    STATUS.iter().map(|(part, ..)| *part).filter(is_idle).collect()
}
