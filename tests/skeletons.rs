//! `exec-http adapter new`: what it writes, and that it never writes over anything. `tests/adapters/skeletons` runs what it wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The skeleton in Rust compiles.
#[expect(dead_code, reason = "its `main` belongs to another package")]
#[path = "../src/cli/adapter/skeletons/rust/tests/conformance.rs"]
mod rust_skeleton;

/// Languages, the files of their skeletons, the one with the blanks first, and the number of its blanks.
const SKELETONS: [(&str, &[&str], u32); 4] = [
    ("rust", &["tests/conformance.rs", "Cargo.toml"], 7),
    ("python", &["adapter.py", "control.py"], 9),
    ("typescript", &["adapter.ts", "control.ts", "package.json", "tsconfig.json"], 9),
    ("go", &["adapter.go", "go.mod"], 9),
];

/// A folder of that test, empty.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skeletons").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of one's own");
    folder
}

fn new(within: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command.args(["adapter", "new", "--lang"]).args(arguments).current_dir(within);
    command.output().expect("the program can be started")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn writes_all_files_of_each_language_and_names_them() {
    let within = folder("files");
    for (language, files, _) in SKELETONS {
        let output = new(&within, &[language]);
        let told = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{language}: {told}");
        for file in files {
            let path = format!("./adapter-{language}/{file}");
            assert!(told.contains(&format!("wrote {path}\n")), "{told}");
            assert!(!read(&within.join(path)).is_empty());
        }
        assert_eq!(told.matches("wrote ").count(), files.len(), "{told}");
    }
}

#[test]
fn blanks_are_marked_and_say_that_they_are_not_written() {
    let within = folder("blanks");
    for (language, files, blanks) in SKELETONS {
        new(&within, &[language, "adapter"]);
        let text = read(&within.join("adapter").join(files[0]));
        let all: BTreeSet<u32> = numbers(&text, "BLANK ");
        assert_eq!(all, (1..=blanks).collect(), "{language}");
        // The declaration, the kinds of errors, and an optional answer are complete as they are.
        let silent = all.difference(&numbers(&text, "\"blank ")).count();
        assert_eq!(silent, if language == "rust" { 3 } else { 2 }, "{language}");
        fs::remove_dir_all(within.join("adapter")).expect("it was written");
    }
}

/// The numbers behind a word.
fn numbers(text: &str, word: &str) -> BTreeSet<u32> {
    text.split(word).skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect()
}

#[test]
fn never_writes_over_a_file() {
    let within = folder("existing");
    for (language, files, _) in SKELETONS {
        for existing in files {
            let path = within.join(language).join(existing);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of one's own");
            fs::write(&path, "mine").expect("a file of one's own");
            let output = new(&within, &[language, language]);
            let told = String::from_utf8(output.stderr).expect("text");
            assert_eq!(output.status.code(), Some(1), "{told}");
            assert_eq!(told, format!("error: ./{language}/{existing} exists; nothing was written\n"));
            assert_eq!(read(&path), "mine");
            for other in files.iter().filter(|file| *file != existing) {
                assert!(!within.join(language).join(other).exists(), "{language}/{other} was written");
            }
            fs::remove_dir_all(within.join(language)).expect("it was written");
        }
    }
}

#[test]
fn the_next_command_names_the_adapter_as_a_shell_needs_it() {
    let output = new(&folder("command"), &["python", "two words"]);
    let told = String::from_utf8(output.stdout).expect("text");
    let line = told.lines().last().unwrap_or_default();
    let words = shell_words(line);
    assert_eq!(words[..4], ["exec-http", "conform", "client", "--adapter"], "{line}");
    assert_eq!(shell_words(&words[4]), ["python3", "./two words/adapter.py"], "{line}");
}

/// The words that a shell makes of a line.
fn shell_words(line: &str) -> Vec<String> {
    let script = format!("for word in {line}; do printf '%s\\n' \"$word\"; done");
    let output = Command::new("/bin/sh").args(["-c", &script]).output().expect("there is a shell");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn the_built_in_adapter_takes_no_part_in_it() {
    let within = folder("conflict");
    assert_eq!(new(&within, &["cobol"]).status.code(), Some(2));
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-http"));
    command.args(["adapter", "--seed", "new", "--lang", "go"]).current_dir(&within);
    assert_eq!(command.status().expect("the program can be started").code(), Some(2));
}

#[test]
fn the_skeleton_in_rust_asks_for_this_version() {
    let within = folder("version");
    new(&within, &["rust"]);
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let manifest = read(&within.join("adapter-rust/Cargo.toml"));
    assert!(manifest.contains(&format!("exec-http = \"{version}\"\n")), "{manifest}");
}
