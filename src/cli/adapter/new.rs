//! `exec-http adapter new`: the skeleton of an adapter, whose library calls are blanks.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

/// Options of a new adapter.
#[derive(Debug, Args)]
pub(super) struct New {
    /// The language of the library.
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Language,
    /// Where the files go; by default ./adapter-LANGUAGE. A file that is there is never written over.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What skeletons are written in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Rust,
    Python,
    Typescript,
    Go,
}

/// A file of a skeleton: its path below the folder of the adapter, and its text.
type File = (&'static str, &'static str);

/// The manifest has another name in this package, which would end at a folder with a `Cargo.toml`.
const RUST: &[File] = &[
    ("Cargo.toml", include_str!("skeletons/rust/manifest.toml")),
    ("tests/conformance.rs", include_str!("skeletons/rust/tests/conformance.rs")),
];

const PYTHON: &[File] = &[
    ("adapter.py", include_str!("skeletons/python/adapter.py")),
    ("control.py", include_str!("skeletons/python/control.py")),
];

const TYPESCRIPT: &[File] = &[
    ("package.json", include_str!("skeletons/typescript/package.json")),
    ("tsconfig.json", include_str!("skeletons/typescript/tsconfig.json")),
    ("adapter.ts", include_str!("skeletons/typescript/adapter.ts")),
    ("control.ts", include_str!("skeletons/typescript/control.ts")),
];

const GO: &[File] =
    &[("go.mod", include_str!("skeletons/go/go.mod")), ("adapter.go", include_str!("skeletons/go/adapter.go"))];

impl Language {
    const fn files(self) -> &'static [File] {
        match self {
            Self::Rust => RUST,
            Self::Python => PYTHON,
            Self::Typescript => TYPESCRIPT,
            Self::Go => GO,
        }
    }

    fn default_dir(self) -> PathBuf {
        match self {
            Self::Rust => "adapter-rust",
            Self::Python => "adapter-python",
            Self::Typescript => "adapter-typescript",
            Self::Go => "adapter-go",
        }
        .into()
    }

    /// The commands that run the suite against the adapter in that folder.
    fn commands(self, dir: &Path) -> Vec<String> {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let conform = |adapter: &[&str]| words(&["exec-http", "conform", "client", "--adapter", &words(adapter)]);
        let folder = dir.to_string_lossy();
        match self {
            Self::Rust => vec![words(&["cargo", "test", "--manifest-path", &path("Cargo.toml")])],
            Self::Python => vec![conform(&["python3", &path("adapter.py")])],
            Self::Typescript => {
                vec![words(&["npm", "install", "--prefix", &folder]), conform(&["node", &path("build/adapter.js")])]
            }
            Self::Go => {
                vec![words(&["go", "build", "-C", &folder, "-o", "adapter", "."]), conform(&[&path("adapter")])]
            }
        }
    }
}

/// Words as they are typed into a shell.
fn words(words: &[&str]) -> String {
    shell_words::join(words)
}

/// Writes a skeleton, and says what it wrote and what comes next.
pub(super) fn run(arguments: &New) -> ExitCode {
    let dir = arguments.dir.clone().unwrap_or_else(|| arguments.lang.default_dir());
    // A program is found by a path with a slash only.
    let dir = if dir.is_relative() && !dir.starts_with(".") { Path::new(".").join(dir) } else { dir };
    match write(&dir, arguments.lang.files()) {
        Ok(written) => {
            let mut text: String = written.iter().map(|path| format!("wrote {}\n", path.display())).collect();
            text.push_str("\nFill in what is marked BLANK, from the top down; this says which one is needed next:\n\n");
            arguments.lang.commands(&dir).iter().for_each(|command| text.push_str(&format!("    {command}\n")));
            // Whoever does not read has the files all the same.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Writes all files, or none where one of them is there already.
fn write(dir: &Path, files: &[File]) -> Result<Vec<PathBuf>, String> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.join(name)).collect();
    if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(format!("{} exists; nothing was written", path.display()));
    }
    for (path, (_, text)) in paths.iter().zip(files) {
        create(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(paths)
}

/// Writes a new file, and the folders above it.
fn create(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create_new(path)?.write_all(text.as_bytes())
}
