//! `exec-http report`: the page about one run, or several side by side.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use exec_http::conformance::report::html::{self, RunFolder};

/// Where the last run is.
const LATEST: &str = "exec-http-runs/latest";

/// What the page is called.
const PAGE: &str = "report.html";

/// Options of the page.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The folder of a run, exec-http-runs/latest without any; NAME=FOLDER gives it a name.
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page; in the folder of the run without it, in the working directory for several runs.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the page and prints where. Status 2: a folder is none, or the page cannot be written.
pub(crate) fn run(arguments: &Report) -> ExitCode {
    match write(arguments) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn write(arguments: &Report) -> Result<PathBuf, String> {
    let latest = [PathBuf::from(LATEST)];
    let named: &[PathBuf] = if arguments.runs.is_empty() { &latest } else { &arguments.runs };
    let runs = named.iter().map(|run| read(run)).collect::<Result<Vec<_>, _>>()?;
    let path = match (&arguments.output, named) {
        (Some(path), _) => path.clone(),
        (None, [run]) => split(run).1.join(PAGE),
        (None, _) => PAGE.into(),
    };
    let unwritten = |error| format!("{}: {error}", path.display());
    let file = File::create(&path).map_err(unwritten)?;
    html::write(&runs, BufWriter::new(file)).map_err(unwritten)?;
    Ok(path)
}

fn read(run: &Path) -> Result<RunFolder, String> {
    let (name, folder) = split(run);
    let read = RunFolder::read(folder).map_err(|error| error.to_string())?;
    Ok(match name {
        Some(name) => read.named(name),
        None => read,
    })
}

/// The name and the folder of `NAME=FOLDER`; what exists as it stands is a folder.
fn split(run: &Path) -> (Option<&str>, &Path) {
    match run.to_str().filter(|_| !run.exists()).and_then(|text| text.split_once('=')) {
        Some((name, folder)) if !name.is_empty() => (Some(name), Path::new(folder)),
        _ => (None, run),
    }
}
