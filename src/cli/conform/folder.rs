//! The folder of a run: made before it, filled while it runs, finished behind it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use exec_http::conformance::artifacts::Artifacts;
use exec_http::conformance::case::{Case, Half};
use exec_http::conformance::report::html::{self, RunFolder};
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::report::{Summary, junit, statement, summary};
use exec_http::conformance::result::CaseResult;
use exec_http::conformance::shrink::failure::{Pair, Workshop};
use exec_http::conformance::suites;
use exec_http::conformance::trial::Tested;
use exec_http::conformance::verdict::RunOutcome;

use super::{Failure, create as file, unwritten, usage};
use crate::cli::peer;

/// Makes the folder, named after what is tested.
pub(super) fn create(parent: &Path, tested: &[&str]) -> Result<Arc<Artifacts>, Failure> {
    let made = Artifacts::create(parent, if let [one] = tested { one } else { "both" });
    made.map(Arc::new).map_err(|error| usage(format!("{}: {error}", parent.display())))
}

/// A peer, and the one that is built in.
pub(super) fn pair(half: Half, peer: Option<Tested>) -> Result<Option<Pair>, Failure> {
    peer.map(|peer| Ok(Pair { peer, reference: peer::reference(half)? })).transpose()
}

/// Makes the failures small, as far as there is time.
pub(super) async fn shrink(workshop: &Workshop, results: &[CaseResult], folder: &Artifacts) -> Result<(), Failure> {
    let case_of = |result: &CaseResult| suites::of(Half::of(&result.case)).iter().find(|case| case.id == result.case);
    let results: Vec<(&Case, &CaseResult)> =
        results.iter().filter_map(|result| Some((case_of(result)?, result))).collect();
    let path = folder.path().join("failures");
    workshop.write(&results, &path).await.map(drop).map_err(unwritten(&path))
}

/// Writes what is known only at the end of a run.
pub(super) fn finish(
    folder: &Artifacts,
    subject: &statement::Subject<'_>,
    whole: &Summary,
    repeat: &Repeat,
) -> Result<(), Failure> {
    let path = folder.path().join("junit.xml");
    junit::write(whole, repeat, io::BufWriter::new(file(&path)?)).map_err(unwritten(&path))?;
    let path = folder.path().join("summary.md");
    summary::write(whole, subject.command, io::BufWriter::new(file(&path)?)).map_err(unwritten(&path))?;
    let path = folder.path().join("statement.json");
    statement::write(subject, whole, io::BufWriter::new(file(&path)?)).map_err(unwritten(&path))?;
    let run = RunFolder::read(folder.path()).map_err(|error| (RunOutcome::Incomplete, error.to_string()))?;
    let path = folder.path().join("report.html");
    html::write(&[run], io::BufWriter::new(file(&path)?)).map_err(unwritten(&path))
}
