//! A case under construction, in the notation of `docs/notation.md`.

use std::fmt::Write as _;

/// The promise of a step that only prepares what follows.
const SETUP: &str = "setup";

/// The text of a case, part by part.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The clauses that steps name, in the order of the steps.
    clauses: Vec<&'static str>,
    /// The lines of the head.
    head: Vec<String>,
    /// The paths of the origin, each with its lines.
    origins: Vec<(String, Vec<String>)>,
    /// The steps.
    steps: Vec<String>,
}

impl Script {
    /// Adds a line to the head, unless it is there.
    pub fn head(&mut self, line: &str) {
        if !self.head.iter().any(|other| other == line) {
            self.head.push(line.to_owned());
        }
    }

    /// Adds what the origin does with requests for a path.
    pub fn origin(&mut self, path: &str, lines: Vec<String>) {
        self.origins.push((path.to_owned(), lines));
    }

    /// Adds a step that waits for nothing, or that no clause promises.
    pub fn step(&mut self, text: impl Into<String>) {
        self.steps.push(text.into());
    }

    /// Adds a step that waits, and only prepares what follows.
    pub fn prepare(&mut self, text: &str) {
        self.step(format!("{text} @{SETUP}"));
    }

    /// Adds a step that a clause promises.
    pub fn expect(&mut self, text: &str, clause: &'static str) {
        self.clauses.push(clause);
        self.step(format!("{text} @{clause}"));
    }

    /// The steps so far.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The text of the case. What the last events are about stands first among its clauses.
    pub fn text(&self, id: &str, description: &str) -> String {
        let mut clauses: Vec<&str> = Vec::new();
        for clause in self.clauses.iter().rev() {
            if !clauses.contains(clause) {
                clauses.push(clause);
            }
        }
        let mut text = format!("# {description}\ncase {id}\nclauses {}\n", clauses.join(" "));
        for line in &self.head {
            text += line;
            text.push('\n');
        }
        for (path, lines) in &self.origins {
            // Writing to a text cannot fail.
            let _ = write!(text, "\norigin {path}\n");
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
        }
        text.push('\n');
        self.steps.iter().for_each(|step| text += &format!("{step}\n"));
        text
    }
}
