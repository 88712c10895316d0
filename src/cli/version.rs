//! What `--version` says: the package, and what the suite in it asks.

use std::sync::LazyLock;

use exec_http::conformance::case::{Half, Revision};
use exec_http::conformance::clause;
use exec_http::conformance::suites;

/// Behind the name of the program, on one line.
pub(super) fn short() -> &'static str {
    static SHORT: LazyLock<String> =
        LazyLock::new(|| format!("{} (suite {})", env!("CARGO_PKG_VERSION"), suites::digest()));
    &SHORT
}

/// The same, and how much the suite asks, of which revisions.
pub(super) fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let [executors, clients] = [Half::Executor, Half::Client].map(|half| suites::of(half).len());
        let revisions = Revision::ALL.map(|(_, name)| name).join(", ");
        format!(
            "{}\nsuite      {}\ncases      {executors} for executors, {clients} for clients\nclauses    {}\nrevisions  {revisions}",
            env!("CARGO_PKG_VERSION"),
            suites::digest(),
            clause::all().count(),
        )
    });
    &LONG
}
