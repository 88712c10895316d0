//! What the compiler does not hold: which way dependencies go, what the modelled file may import, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a Rust file may have.
const FILE_LINES: usize = 500;

/// What each module may name of the others. `lib.rs` and the command line on top may name all.
const DIRECTIONS: [(&str, &[&str]); 6] = [
    ("protocol", &[]),
    ("sync", &[]),
    ("transport", &["protocol"]),
    ("client", &["protocol", "sync", "transport"]),
    ("server", &["protocol", "sync", "transport"]),
    ("conformance", &["protocol", "sync", "transport"]),
];

/// What the modelled file may import: the facade that loom replaces, and plain data.
const MODELLED_IMPORTS: [&str; 6] =
    ["std::", "bytes::", "serde_json::", "crate::sync::", "crate::protocol::", "self::"];

#[test]
fn dependencies_go_one_way() {
    for (module, allowed) in DIRECTIONS {
        let files = rust_files(&root().join("src")).into_iter().filter(|file| module_of(file) == module);
        let mut count = 0;
        for file in files {
            count += 1;
            for named in modules_named_in(&read(&file)) {
                let fine = named == module || allowed.contains(&named.as_str());
                assert!(fine, "{} names crate::{named}, which {module} may not use", file.display());
            }
        }
        assert!(count > 0, "no file of {module} was found");
    }
}

#[test]
fn the_modelled_file_imports_what_loom_can_replace() {
    let table = root().join("src/client/routes.rs");
    let parts = rust_files(&table.with_extension(""));
    assert!(!parts.is_empty(), "the parts of the table have a folder");
    let text = read(&table);
    assert!(text.contains("use crate::sync::{Arc, Mutex};"), "the lock comes from the facade");
    // Parts may use the table; the table uses nothing around it.
    assert!(!text.contains("super::"), "super:: in the modelled file");
    for file in parts.iter().chain([&table]) {
        let text = read(file);
        for import in text.lines().filter_map(|line| line.trim_start().strip_prefix("use ")) {
            let is_part = *file != table && import.starts_with("super::");
            let allowed = MODELLED_IMPORTS.iter().any(|allowed| import.starts_with(allowed));
            assert!(allowed || is_part && !import.starts_with("super::super"), "{import}");
        }
        for word in ["tokio", "std::sync", "std::thread", "#[cfg(test)]"] {
            assert!(!text.contains(word), "{word} in {}", file.display());
        }
    }
}

#[test]
fn files_are_short_and_named_after_what_they_hold() {
    for folder in ["src", "model", "tests", "benches", "fuzz", "examples"] {
        for file in rust_files(&root().join(folder)) {
            let lines = read(&file).lines().count();
            assert!(lines <= FILE_LINES, "{} has {lines} lines", file.display());
            assert!(!file.ends_with("mod.rs"), "{}", file.display());
        }
    }
}

#[test]
fn names_are_found_in_code_and_not_in_comments() {
    let text =
        "use crate::a::B;\n// crate::b\n/// [`crate::c`]\nlet x = crate::d::f(y_crate::z);\npub(crate) fn f() {}";
    assert_eq!(modules_named_in(text), ["a", "d"]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a readable source file")
}

/// All Rust files below a folder, none where it does not exist, build output aside.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// `src/client.rs` and all below `src/client/` are of module `client`.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix(root().join("src")).expect("a file of src");
    let first = Path::new(below.iter().next().expect("a name"));
    first.with_extension("").to_string_lossy().into_owned()
}

/// Each `NAME` of a `crate::NAME` outside comments.
fn modules_named_in(text: &str) -> Vec<String> {
    let identifier = |c: char| c.is_alphanumeric() || c == '_';
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut names = Vec::new();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            if !line[..at].ends_with(identifier) {
                names.push(line[at + "crate::".len()..].chars().take_while(|&c| identifier(c)).collect());
            }
        }
    }
    names
}
