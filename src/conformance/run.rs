//! One run of the suite: the first look at the peer, then all cases, several at a time, then the serial ones.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::artifacts::Artifacts;
use super::case::{Case, Half, Transport};
use super::client::lab::{ClientLab, ClientTarget};
use super::expectation::{ExpectationError, Expectations};
use super::lab::{Lab, PEER_HANDSHAKE};
use super::launcher::{START, Target};
use super::plan::{Claims, Job};
use super::report::Reports;
use super::result::{CaseResult, Reason};
use super::script;
use super::shrink::check::Check;
use super::stage::Settings;
use super::unready::Unready;
use super::verdict::Verdict;
use crate::sync::Arc;

/// How long a run may take.
pub const RUN: Duration = Duration::from_secs(600);

/// What a run does.
#[derive(Debug)]
pub struct Run {
    /// The executor under test.
    pub executor: Option<Target>,
    /// The client under test.
    pub client: Option<ClientTarget>,
    /// The transports to test over; never empty.
    pub transports: Vec<Transport>,
    /// What is known about the executor, and the revision that counts for both.
    pub claims: Claims,
    /// Known failures.
    pub expectations: Expectations,
    /// What the user wants to run.
    pub jobs: Vec<Job>,
    /// What the user left out, with the option.
    pub left_out: Vec<(Job, &'static str)>,
    /// Cases that run at one time.
    pub parallel: usize,
    /// Multiplies all deadlines.
    pub time_scale: f64,
    /// Where what happens is kept.
    pub artifacts: Option<Arc<Artifacts>>,
}

impl Run {
    /// Runs everything and reports each result as it comes. When `stop` is ready, processes are ended and what has not
    /// been run is reported as such.
    ///
    /// # Errors
    ///
    /// [`ExpectationError::NotApplicable`], which only the first look at the peer can show. No case has been run then.
    pub async fn execute(
        mut self,
        reports: &mut Reports,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ExpectationError> {
        let deadline = tokio::time::sleep(RUN.mul_f64(self.time_scale.max(1.0)));
        let cut = async {
            tokio::select! {
                () = stop => "interrupted",
                () = deadline => "the deadline of the run has passed",
            }
        };
        tokio::pin!(cut);
        reports.begin(self.jobs.len() + self.left_out.len());
        for (job, option) in std::mem::take(&mut self.left_out) {
            reports.add(without_run(&job, Verdict::Skipped, option));
        }
        let labs = tokio::select! {
            labs = self.look(reports) => labs,
            reason = &mut cut => {
                self.jobs.iter().for_each(|job| reports.add(without_run(job, Verdict::NotRun, reason)));
                return Ok(());
            }
        };
        let applies = |job: &&Job| matches!(self.place(&labs, job), Place::Applies(_) | Place::Unreached(_));
        let applicable: Vec<(&str, Transport)> =
            self.jobs.iter().filter(applies).map(|job| (job.case.id.as_str(), job.transport)).collect();
        let selected = |id: &str| self.jobs.iter().any(|job| job.case.id == id);
        let reached: Vec<Transport> = labs.iter().filter(|(_, lab)| lab.is_ok()).map(|((_, on), _)| *on).collect();
        self.expectations.check(&reached, |id, on| !selected(id) || applicable.contains(&(id, on)))?;

        let mut queue = VecDeque::new();
        for job in std::mem::take(&mut self.jobs) {
            match self.place(&labs, &job) {
                Place::Nowhere(reason) => reports.add(without_run(&job, Verdict::NotApplicable, &reason)),
                Place::Unreached(reason) => reports.add(without_run(&job, Verdict::NotRun, reason)),
                Place::Applies(lab) => queue.push_back((job, lab.clone())),
            }
        }
        let (serial, parallel): (VecDeque<_>, _) = queue.into_iter().partition(|(job, _)| job.case.alone);
        let mut cut_by = None;
        for (queue, at_once) in [(parallel, self.parallel), (serial, 1)] {
            match cut_by {
                None => cut_by = self.work_off(queue, at_once, reports, &mut cut).await,
                Some(reason) => {
                    queue.iter().for_each(|(job, _)| reports.add(without_run(job, Verdict::NotRun, reason)));
                }
            }
        }
        for (_, lab) in labs {
            if let Ok(lab) = lab {
                lab.close().await.into_iter().for_each(|result| reports.add(result));
            }
        }
        Ok(())
    }

    /// Where a job can run.
    fn place<'labs>(&self, labs: &'labs [Opened], job: &Job) -> Place<'labs> {
        let of_job = |(key, _): &&Opened| *key == (job.case.half(), job.transport);
        if job.case.since > self.claims.declaration.revision() {
            return Place::Nowhere(format!("belongs to revision {}", job.case.since));
        }
        let lab = labs.iter().find(of_job).map(|(_, lab)| lab);
        let lack = match (job.case.half(), lab) {
            (Half::Executor, _) => self.claims.not_applicable(job),
            (Half::Client, Some(Ok(AnyLab::Client(lab)))) => lab.not_applicable(job),
            (Half::Client, _) => None,
        };
        match (lack, lab) {
            (Some(reason), _) => Place::Nowhere(reason),
            (None, Some(Ok(lab))) => Place::Applies(lab),
            (None, Some(Err(reason))) => Place::Unreached(reason),
            (None, None) => Place::Nowhere(format!("the client declares no {}", job.transport)),
        }
    }

    /// The first look at each peer on each transport: a place where its cases can run, or why there is none.
    async fn look(&mut self, reports: &mut Reports) -> Vec<Opened> {
        let mut labs = Vec::new();
        let start = START.mul_f64(self.time_scale);
        for transport in self.transports.clone() {
            let mut unreached = |half, unready: Unready| {
                let cause = unready.to_string();
                if let Unready::Violation(kind, reason) = unready {
                    let verdict = Verdict::Fail(kind);
                    reports.add(CaseResult::without_run(PEER_HANDSHAKE, transport, verdict, reason));
                }
                ((half, transport), Err(cause))
            };
            if let Some(target) = self.executor.clone() {
                labs.push(match Lab::open(target, transport, start).await {
                    Ok((lab, ready)) => {
                        self.claims.shown.insert(transport.as_str(), ready.shown.clone());
                        let time_scale = self.time_scale * ready.time_scale();
                        let lab = lab.with_settings(Settings { time_scale, ..Settings::default() });
                        let lab = lab.with_artifacts(self.artifacts.clone());
                        ((Half::Executor, transport), Ok(Arc::new(lab).into()))
                    }
                    Err(unready) => unreached(Half::Executor, unready),
                });
            }
            if let Some(target) = self.client.clone() {
                match ClientLab::open(target, transport, start, self.time_scale).await {
                    Ok(Some(lab)) => {
                        let lab = lab.with_artifacts(self.artifacts.clone());
                        labs.push(((Half::Client, transport), Ok(Arc::new(lab).into())));
                    }
                    Ok(None) => {}
                    Err(unready) => labs.push(unreached(Half::Client, unready)),
                }
            }
        }
        labs
    }

    /// Writes the whole case as the script of its failure, so that there is one before it is made small.
    fn keep_script(&self, case: &Case, result: &CaseResult) {
        if let Some(files) = result.files.as_ref().filter(|_| Check::of(case, result).is_some()) {
            let header = [format!("from {} on {}", case.id, result.transport), "not shrunk".to_owned()];
            // What a disk takes changes no verdict.
            let _ = std::fs::write(files.folder().join(files.script()), script::write(&header, &case.text));
        }
    }

    /// Runs jobs, so many at one time. Returns why it stopped early.
    async fn work_off(
        &self,
        mut queue: VecDeque<(Job, AnyLab)>,
        at_once: usize,
        reports: &mut Reports,
        cut: &mut (impl Future<Output = &'static str> + Unpin),
    ) -> Option<&'static str> {
        let mut running = JoinSet::new();
        let mut jobs: HashMap<Id, Job> = HashMap::new();
        loop {
            while running.len() < at_once
                && let Some((job, lab)) = queue.pop_front()
            {
                let task = running.spawn(async move { lab.run(job.case).await });
                jobs.insert(task.id(), job);
            }
            let (id, result) = tokio::select! {
                biased;
                reason = &mut *cut => {
                    // Dropping a case ends its process.
                    running.shutdown().await;
                    let left = jobs.into_values().chain(queue.into_iter().map(|(job, _)| job));
                    left.for_each(|job| reports.add(without_run(&job, Verdict::NotRun, reason)));
                    return Some(reason);
                }
                done = running.join_next_with_id() => match done {
                    None => return None,
                    Some(Ok((id, result))) => (id, Ok(result)),
                    Some(Err(error)) => (error.id(), Err(error)),
                },
            };
            let job = jobs.remove(&id).expect("every task belongs to a job");
            let mut result =
                result.unwrap_or_else(|error| without_run(&job, Verdict::Error, &format!("the suite failed: {error}")));
            self.expectations.apply(&mut result);
            self.keep_script(job.case, &result);
            reports.add(result);
        }
    }
}

/// A lab, or why there is none.
type Opened = ((Half, Transport), Result<AnyLab, String>);

/// Where the cases of one half meet their peer.
#[derive(Clone, Debug)]
pub enum AnyLab {
    /// An executor.
    Executor(Arc<Lab>),
    /// A client.
    Client(Arc<ClientLab>),
}

impl From<Arc<Lab>> for AnyLab {
    fn from(lab: Arc<Lab>) -> Self {
        Self::Executor(lab)
    }
}

impl From<Arc<ClientLab>> for AnyLab {
    fn from(lab: Arc<ClientLab>) -> Self {
        Self::Client(lab)
    }
}

impl AnyLab {
    /// Runs one case.
    pub async fn run(&self, case: &Case) -> CaseResult {
        match self {
            Self::Executor(lab) => lab.run(case).await,
            Self::Client(lab) => lab.run(case).await,
        }
    }

    /// Ends what serves the run. Returns what is to be said about it.
    pub async fn close(&self) -> Vec<CaseResult> {
        match self {
            Self::Executor(lab) => lab.close().await,
            Self::Client(lab) => lab.close().await,
        }
    }
}

/// Where a job can run.
enum Place<'labs> {
    /// Here.
    Applies(&'labs AnyLab),
    /// Nowhere, as the peer was not reached.
    Unreached(&'labs str),
    /// Nowhere, as it does not apply.
    Nowhere(String),
}

fn without_run(job: &Job, verdict: Verdict, reason: &str) -> CaseResult {
    CaseResult::without_run(&job.case.id, job.transport, verdict, Reason::plain(reason))
}
