//! What the pages have: their commands, their links, the options that they name.

use std::fs;
use std::path::{Path, PathBuf};

/// Languages of blocks whose lines are for a shell.
const SHELL: [&str; 4] = ["sh", "bash", "shell", "console"];

/// A page.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    lines: Vec<Line>,
}

struct Line {
    /// From 1.
    number: usize,
    text: String,
    /// The language of the block in which it stands; `None` outside of blocks.
    block: Option<String>,
}

/// A command as it stands in a page, its continued lines joined.
#[derive(Debug)]
pub(crate) struct Command {
    /// `docs/replay.md:7`, its last line.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// README.md and the pages of `docs/`, in the order of their names.
pub(crate) fn all() -> Vec<Page> {
    let root = root();
    let listed = fs::read_dir(root.join("docs")).expect("the folder of the pages");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root.join("README.md"));
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut block: Option<String> = None;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            match line.strip_prefix("```") {
                Some(language) if block.is_none() => block = Some(language.to_owned()),
                Some(_) => block = None,
                None => lines.push(Line { number, text: line.to_owned(), block: block.clone() }),
            }
        }
        assert!(block.is_none(), "{}: a block has no end", path.display());
        Self { path: path.to_owned(), lines }
    }

    /// The lines of text, outside of blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|line| line.block.is_none()).map(|line| line.text.as_str())
    }

    /// Every line that runs `exec-http`.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut begun = String::new();
        for Line { number, text, block } in &self.lines {
            let Some(language) = block.as_deref().filter(|language| SHELL.contains(language)) else { continue };
            let line = match text.strip_prefix("$ ") {
                Some(typed) if language == "console" => typed,
                // What a command has printed.
                _ if language == "console" && begun.is_empty() => continue,
                _ => text,
            };
            begun += line;
            if let Some(unfinished) = begun.strip_suffix('\\') {
                begun = unfinished.to_owned();
                continue;
            }
            let text = std::mem::take(&mut begun);
            if runs_exec_http(&text) {
                let page = self.path.strip_prefix(root()).expect("a page of this repository");
                commands.push(Command { place: format!("{}:{number}", page.display()), text });
            }
        }
        assert!(begun.is_empty(), "{}: a command has no end", self.path.display());
        commands
    }

    /// The targets of all links that lead to a file, with their anchors.
    pub(crate) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.prose() {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split(')').next().unwrap_or_default();
                if !target.contains("://") {
                    links.push(target.to_owned());
                }
            }
        }
        links
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        let mut plain: Vec<String> = Vec::new();
        for line in self.prose().filter(|line| line.starts_with('#')) {
            let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let anchor: String = words.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_').collect();
            let earlier = plain.iter().filter(|known| **known == anchor).count();
            anchors.push(if earlier == 0 { anchor.clone() } else { format!("{anchor}-{earlier}") });
            plain.push(anchor);
        }
        anchors
    }

    /// What stands between backquotes in its text.
    pub(crate) fn code(&self) -> impl Iterator<Item = &str> {
        self.prose().flat_map(|line| line.split('`').skip(1).step_by(2))
    }
}

/// The line has `exec-http` as a command: not as the name of a file or a package, and not in a comment.
fn runs_exec_http(line: &str) -> bool {
    let mut may_begin = true;
    for word in words(line) {
        if may_begin && word == "exec-http" {
            return true;
        }
        // A variable of its environment, or the end of another command.
        may_begin = may_begin && word.contains('=') || ["|", "&&", "||", ";"].contains(&word.as_str());
    }
    false
}

/// The words of a line, without its comment.
pub(crate) fn words(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}
