//! `exec-http zoo adapter`: a client of the zoo, as the suite meets it.

use std::process::ExitCode;

use exec_http::conformance::case::Half;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::specimen::{Means, Specimen};
use tokio::io::BufReader;

use crate::cli::adapter::{Seed, run_stdio, serve_stdio};

/// Be the adapter of a client of the zoo.
#[derive(Debug, clap::Args)]
pub(crate) struct Adapter {
    /// Its name; without one it is correct.
    #[arg(value_parser = client)]
    name: Option<&'static Specimen>,
}

fn client(name: &str) -> Result<&'static Specimen, String> {
    let found = zoo::all().find(|specimen| specimen.role == Half::Client && specimen.name == name);
    found.ok_or_else(|| "`exec-http zoo --list --role client` prints the names".to_owned())
}

/// Serves the adapter protocol on standard input and output.
pub(crate) fn run(arguments: &Adapter) -> ExitCode {
    let none = std::iter::empty();
    match arguments.name.map(|specimen| specimen.means) {
        None => serve_stdio(Seed::new(none.collect(), Vec::new())),
        Some(Means::Wire(make)) => serve_stdio(Seed::new(none.collect(), vec![make])),
        Some(Means::Switch(defect)) => serve_stdio(Seed::new(defect.into(), Vec::new())),
        Some(Means::Library(library)) => serve_stdio(library),
        Some(Means::Adapter(adapter)) => {
            run_stdio(async move { adapter.serve(BufReader::new(tokio::io::stdin()), tokio::io::stdout()).await })
        }
    }
}
