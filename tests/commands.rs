//! The pages say what is so: each command that README.md and `docs/` show is executed as it stands there, each link leads
//! somewhere, each option exists.

#[path = "commands/pages.rs"]
mod pages;
#[path = "commands/rules.rs"]
mod rules;
#[path = "commands/stage.rs"]
mod stage;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use pages::{Command, Page};
use rules::{Kind, kind, status};
use stage::Stage;

/// Commands that run at one time.
const PARALLEL: usize = 6;

/// All commands, none of them twice.
fn commands() -> Vec<Command> {
    let mut known = BTreeSet::new();
    let mut commands: Vec<Command> = pages::all().iter().flat_map(Page::commands).collect();
    commands.retain(|command| known.insert(pages::words(&command.text)));
    // A reader that finds nothing would be content with everything.
    assert!(commands.len() > 50, "{} commands", commands.len());
    commands
}

#[test]
fn every_command_has_a_rule() {
    let commands = commands();
    for command in &commands {
        assert!(kind(command).is_some(), "{}: no rule says how to run {}", command.place, command.text);
    }
    let idle = rules::idle(&commands);
    assert!(idle.is_empty(), "no page has a command for {idle:?}");
}

#[test]
fn the_short_commands_of_the_pages() {
    execute("commands-short", |kind| matches!(kind, Kind::Short | Kind::Server), PARALLEL, Duration::from_secs(60));
}

/// Minutes; `EXEC_HTTP` names another program than the one that was built with this test.
#[test]
#[ignore = "the gate runs it, with an optimised program"]
fn the_long_commands_of_the_pages() {
    execute("commands-long", |kind| kind == Kind::Long, 1, Duration::from_secs(600));
}

/// Executes the commands of a kind, so many at one time.
fn execute(name: &str, wanted: fn(Kind) -> bool, parallel: usize, time: Duration) {
    let stage = Stage::set(name);
    let mut commands = commands();
    commands.retain(|command| kind(command).is_some_and(wanted));
    let (queue, wrong) = (Mutex::new(commands), Mutex::new(Vec::new()));
    let next = || queue.lock().expect("nobody panics with it").pop();
    thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                while let Some(command) = next() {
                    let start = Instant::now();
                    let ended = match kind(&command) {
                        Some(Kind::Server) => stage.serve(&command.text),
                        _ => stage.run(&command.text, time),
                    };
                    let (place, text) = (&command.place, &command.text);
                    println!("{:6.1} s  {place}: {text}", start.elapsed().as_secs_f64());
                    if ended.status.code() != Some(status(&command)) {
                        let all =
                            format!("{place}: {text}\n{}, not {}\n{}", ended.status, status(&command), ended.output);
                        wrong.lock().expect("nobody panics with it").push(all);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panicked with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages::all() {
        let folder = page.path.parent().expect("a page has a folder");
        for link in page.links() {
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.path.clone() } else { folder.join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.path.display());
            let Some(anchor) = anchor else { continue };
            let anchors = Page::read(&target).anchors();
            assert!(anchors.iter().any(|known| known == anchor), "{}: no heading {link}", page.path.display());
        }
    }
}

#[test]
fn every_option_exists() {
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_exec-http")).args(["completions", "bash"]).output();
    let script = String::from_utf8(printed.expect("it can be started").stdout).expect("text");
    let known: BTreeSet<&str> = script.split(|c: char| c.is_whitespace() || "\"|)(".contains(c)).collect();
    let mut count = 0;
    for page in pages::all() {
        for code in page
            .code()
            .filter(|code| code.starts_with('-') || known.contains(code.split(' ').next().unwrap_or_default()))
        {
            let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            for option in words.filter(|word| word.len() > 2 && word.starts_with("--")) {
                assert!(known.contains(option), "{}: there is no {option}: `{code}`", page.path.display());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} options");
}
