//! The commands that show a result again.

use std::path::Path;

use super::super::artifacts::CaseFiles;
use super::super::case::Half;
use super::super::explore;
use super::super::result::CaseResult;

/// How the peers of a run are named on a command line; empty for those that are built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeat {
    /// The options that describe the executor.
    pub executor: String,
    /// The options that describe the client.
    pub client: String,
}

impl Repeat {
    /// `exec-http conform` with this case alone, or `exec-http explore` with this order.
    pub fn conform(&self, result: &CaseResult) -> String {
        let (half, options) = match Half::of(&result.case) {
            Half::Executor => ("server", &self.executor),
            Half::Client => ("client", &self.client),
        };
        let command = if explore::is_order(&result.case) { "explore" } else { "conform" };
        format!("exec-http {command} {half}{} --transport {} --only {}", lead(options), result.transport, result.case)
    }

    /// `exec-http replay` of the script, or of the case where there is none.
    pub fn replay(&self, result: &CaseResult) -> String {
        let options = match Half::of(&result.case) {
            Half::Executor => &self.executor,
            Half::Client => &self.client,
        };
        let script = result.files.as_ref().map_or_else(|| result.case.clone(), script);
        format!("exec-http replay {script}{} --transport {}", lead(options), result.transport)
    }
}

/// The options behind a space.
fn lead(options: &str) -> String {
    if options.is_empty() { String::new() } else { format!(" {options}") }
}

fn script(files: &CaseFiles) -> String {
    let path = files.folder().join(files.script());
    // Below the working directory the shorter name does as well.
    let here = std::env::current_dir().ok();
    let path = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(&path);
    quoted(path)
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::result;
    use super::*;

    #[test]
    fn each_half_has_its_own_options() {
        let repeat = Repeat { executor: "--cmd 'a b'".to_owned(), client: String::new() };
        let of = |case| result(case, Verdict::Fail(FailKind::Assertion), "");
        let executor = of("stream/gap");
        let line = "exec-http conform server --cmd 'a b' --transport stdio --only stream/gap";
        assert_eq!(repeat.conform(&executor), line);
        assert_eq!(repeat.replay(&executor), "exec-http replay stream/gap --cmd 'a b' --transport stdio");
        let client = of("client-stream/gap");
        assert_eq!(repeat.conform(&client), "exec-http conform client --transport stdio --only client-stream/gap");
        let order = of("client-explore/gap");
        assert_eq!(repeat.conform(&order), "exec-http explore client --transport stdio --only client-explore/gap");
    }
}
