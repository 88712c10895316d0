//! `exec-http ci`: a workflow that runs the suite in somebody else's CI.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use exec_http::conformance::declaration::DECLARATION_FILE;
use exec_http::conformance::verdict::RunOutcome;

/// Options of `ci`.
#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// Whose workflow.
    service: Service,
    /// Which half of the suite.
    #[arg(long, value_enum, default_value = "server")]
    half: Half,
    /// Known failures with their reasons, for `--expect`.
    #[arg(long, value_name = "FILE")]
    expect: Option<String>,
    /// The command that installs exec-http; by default out of the package registry.
    #[arg(long, value_name = "COMMAND", default_value = concat!("cargo install --locked exec-http@", env!("CARGO_PKG_VERSION")))]
    install: String,
    /// Where the workflow goes; by default where the service looks for it. A file that is there is never written over.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print it, and write nothing.
    #[arg(long, conflicts_with = "output")]
    print: bool,
}

/// Services that run workflows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Service {
    Github,
    Gitlab,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Half {
    Server,
    Client,
}

impl Service {
    const fn template(self) -> &'static str {
        match self {
            Self::Github => include_str!("ci/github.yml"),
            Self::Gitlab => include_str!("ci/gitlab.yml"),
        }
    }

    const fn place(self) -> &'static str {
        match self {
            Self::Github => ".github/workflows/exec-http.yml",
            Self::Gitlab => ".gitlab-ci.yml",
        }
    }
}

/// Writes the workflow. Status 2: it cannot be written.
pub(crate) fn run(arguments: &Ci) -> ExitCode {
    let half = match arguments.half {
        Half::Server => "server",
        Half::Client => "client",
    };
    let expect = arguments.expect.as_ref().map(|file| format!(" --expect {}", shell_words::quote(file)));
    let command = format!("exec-http conform {half}{}", expect.unwrap_or_default());
    let workflow = arguments.service.template().replace("$COMMAND", &command).replace("$INSTALL", &arguments.install);
    if arguments.print {
        return super::print(&workflow);
    }
    let place = arguments.output.clone().unwrap_or_else(|| arguments.service.place().into());
    match write(&place, &workflow) {
        Ok(()) => {
            println!("wrote {}: it runs `{command}` on every push", place.display());
            if !Path::new(DECLARATION_FILE).exists() {
                println!(
                    "there is no {DECLARATION_FILE} yet; `exec-http doctor --cmd …` writes one, which says what is tested"
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}: {error}", place.display());
            RunOutcome::Usage.into()
        }
    }
}

fn write(place: &Path, workflow: &str) -> io::Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(place)?.write_all(workflow.as_bytes())
}
