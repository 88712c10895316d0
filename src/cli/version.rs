//! What `--version` says: the package, and what the suite in it asks.

use exec_http::conformance::case::{Half, Revision};
use exec_http::conformance::clause;
use exec_http::conformance::suites;

/// The version, the digest of the suite, how much it asks, and of which revisions.
pub(super) fn text() -> String {
    let [executors, clients] = [Half::Executor, Half::Client].map(|half| suites::of(half).len());
    let revisions = Revision::ALL.map(|(_, name)| name).join(", ");
    format!(
        "exec-http {}\nsuite      {}\ncases      {executors} for executors, {clients} for clients\nclauses    {}\nrevisions  {revisions}\n",
        env!("CARGO_PKG_VERSION"),
        suites::digest(),
        clause::all().count(),
    )
}
