//! What a run will do: every case on every transport on which it exists, and why some of them are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Transport};
use super::declaration::Declaration;
use super::select::Selection;

/// A capability that only a peer has which the suite starts.
const SPAWN: &str = "spawn";

/// A capability that a started peer has where the suite can read the memory of a process.
const MEMORY: &str = "memory";

/// One case on one transport.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The case.
    pub case: &'static Case,
    /// The transport.
    pub transport: Transport,
}

/// What is known about the peer before its cases run.
#[derive(Clone, Debug)]
pub struct Claims {
    /// What its author declared.
    pub declaration: Declaration,
    /// The suite starts it.
    pub is_spawned: bool,
    /// The capabilities that it showed by itself, by transport; nothing before the first look at it.
    pub shown: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Claims {
    /// Why the job does not apply to this peer; `None` when it does.
    pub fn not_applicable(&self, job: &Job) -> Option<String> {
        if job.case.since > self.declaration.revision() {
            return Some(format!("belongs to revision {}", job.case.since));
        }
        if !job.case.env.is_empty() && !self.is_spawned {
            return Some("needs spawn: its environment has to be set".to_owned());
        }
        if let Some(missing) = job.case.needs.iter().find(|need| !self.has(need, job.transport)) {
            return Some(format!("needs {missing}"));
        }
        let present = job.case.without.iter().find(|capability| self.has(capability, job.transport));
        present.map(|capability| format!("only without {capability}"))
    }

    fn has(&self, need: &str, transport: Transport) -> bool {
        match need {
            SPAWN => self.is_spawned,
            MEMORY => self.is_spawned && cfg!(target_os = "linux"),
            capability => {
                let none = BTreeSet::new();
                let shown = self.shown.get(transport.as_str()).unwrap_or(&none);
                self.declaration.has_capability(capability, shown)
            }
        }
    }
}

/// All jobs in the order of the library; a case that exists on one transport only is one job.
pub fn jobs(cases: &'static [Case], transports: &[Transport]) -> Vec<Job> {
    let on = |case: &'static Case| {
        let transports = transports.iter().filter(|on| case.only.is_none_or(|only| only == **on));
        transports.map(move |transport| Job { case, transport: *transport })
    };
    cases.iter().flat_map(on).collect()
}

/// The ids of the library with the transports on which each case exists.
pub fn ids(cases: &[Case]) -> BTreeMap<String, Vec<Transport>> {
    let both = [Transport::Stdio, Transport::Websocket];
    let on = |case: &Case| both.into_iter().filter(|on| case.only.is_none_or(|only| only == *on)).collect();
    cases.iter().map(|case| (case.id.clone(), on(case))).collect()
}

/// The jobs that the user wants, and the others with the option that leaves them out.
pub fn select(jobs: Vec<Job>, selection: &Selection) -> (Vec<Job>, Vec<(Job, &'static str)>) {
    let mut wanted = Vec::new();
    let mut left_out = Vec::new();
    for job in jobs {
        match selection.left_out(&job.case.id) {
            None => wanted.push(job),
            Some(option) => left_out.push((job, option)),
        }
    }
    (wanted, left_out)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::super::case::Revision;
    use super::super::case::parse::parse_cases;
    use super::*;

    const TEXT: &str = "\
# Everywhere.
case area/plain
clauses STREAM-1
barrier

# On a websocket, by a process of ours.
case area/own-process
clauses STREAM-1
only ws
needs spawn
barrier

# With variables.
case area/variables
clauses PARAMS-25
needs header-env-vars
since 2026-08
barrier
";

    static CASES: LazyLock<Vec<Case>> =
        LazyLock::new(|| parse_cases("area.case", TEXT).unwrap_or_else(|error| panic!("{error}")));

    const BOTH: [Transport; 2] = [Transport::Stdio, Transport::Websocket];

    fn claims(is_spawned: bool) -> Claims {
        Claims { declaration: Declaration::default(), is_spawned, shown: BTreeMap::new() }
    }

    #[test]
    fn a_case_exists_on_its_own_transport_only() {
        let shown: Vec<_> =
            jobs(&CASES, &BOTH).iter().map(|job| format!("{} {}", job.case.id, job.transport)).collect();
        let expected =
            ["area/plain stdio", "area/plain ws", "area/own-process ws", "area/variables stdio", "area/variables ws"];
        assert_eq!(shown, expected);
        assert_eq!(ids(&CASES)["area/own-process"], [Transport::Websocket]);
    }

    #[test]
    fn what_is_not_claimed_does_not_apply() {
        let jobs = jobs(&CASES, &[Transport::Websocket]);
        let reasons = |claims: &Claims| jobs.iter().map(|job| claims.not_applicable(job)).collect::<Vec<_>>();
        let needs = |need: &str| Some(format!("needs {need}"));
        assert_eq!(reasons(&claims(true)), [None, None, needs("header-env-vars")]);
        let mut attached = claims(false);
        attached.shown.insert("ws", BTreeSet::from(["header-env-vars"]));
        assert_eq!(reasons(&attached), [None, needs("spawn"), None]);
        attached.declaration = attached.declaration.with_revision(Revision::July2026);
        let old = Some("belongs to revision 2026-08".to_owned());
        assert_eq!(reasons(&attached), [None, needs("spawn"), old]);
    }

    #[test]
    fn what_the_user_leaves_out_is_kept_with_the_option() {
        let selection = Selection::new(&["area/*".to_owned()], &["*/plain".to_owned()]).expect("both are globs");
        let (wanted, left_out) = select(jobs(&CASES, &[Transport::Stdio]), &selection);
        assert_eq!(wanted.iter().map(|job| job.case.id.as_str()).collect::<Vec<_>>(), ["area/variables"]);
        assert_eq!(left_out.iter().map(|(_, option)| *option).collect::<Vec<_>>(), ["--skip"]);
    }
}
