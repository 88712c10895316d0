//! One run of the suite: the first look at the peer, then all cases, several at a time, then the serial ones.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::case::Transport;
use super::expectation::{ExpectationError, Expectations};
use super::lab::{Lab, PEER_HANDSHAKE};
use super::launcher::{START, Target};
use super::plan::{Claims, Job};
use super::probe::Unready;
use super::report::Reports;
use super::result::{CaseResult, Reason};
use super::stage::Settings;
use super::verdict::Verdict;
use crate::sync::Arc;

/// How long a run may take.
pub const RUN: Duration = Duration::from_secs(600);

/// What a run does.
#[derive(Debug)]
pub struct Run {
    /// The implementation under test.
    pub target: Target,
    /// The transports to test over; never empty.
    pub transports: Vec<Transport>,
    /// What is known about the implementation.
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
        let applies = |job: &&Job| self.claims.not_applicable(job).is_none();
        let applicable: Vec<(&str, Transport)> =
            self.jobs.iter().filter(applies).map(|job| (job.case.id.as_str(), job.transport)).collect();
        let selected = |id: &str| self.jobs.iter().any(|job| job.case.id == id);
        let reached: Vec<Transport> = labs.iter().filter(|(_, lab)| lab.is_ok()).map(|(on, _)| *on).collect();
        self.expectations.check(&reached, |id, on| !selected(id) || applicable.contains(&(id, on)))?;

        let mut queue = VecDeque::new();
        for job in std::mem::take(&mut self.jobs) {
            let (_, lab) = labs.iter().find(|(on, _)| *on == job.transport).expect("there is a lab for each transport");
            match (self.claims.not_applicable(&job), lab) {
                (Some(reason), _) => reports.add(without_run(&job, Verdict::NotApplicable, &reason)),
                (None, Err(reason)) => reports.add(without_run(&job, Verdict::NotRun, reason)),
                (None, Ok(lab)) => queue.push_back((job, Arc::clone(lab))),
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

    /// The first look at the peer on each transport: a place where its cases can run, or why there is none.
    async fn look(&mut self, reports: &mut Reports) -> Vec<(Transport, Result<Arc<Lab>, String>)> {
        let mut labs = Vec::new();
        let start = START.mul_f64(self.time_scale);
        for transport in self.transports.clone() {
            let lab = match Lab::open(self.target.clone(), transport, start).await {
                Ok((lab, ready)) => {
                    self.claims.shown.insert(transport.as_str(), ready.shown.clone());
                    let time_scale = self.time_scale * ready.time_scale();
                    Ok(Arc::new(lab.with_settings(Settings { time_scale, ..Settings::default() })))
                }
                Err(unready) => {
                    let cause = unready.to_string();
                    if let Unready::Violation(kind, reason) = unready {
                        let verdict = Verdict::Fail(kind);
                        reports.add(CaseResult::without_run(PEER_HANDSHAKE, transport, verdict, reason));
                    }
                    Err(cause)
                }
            };
            labs.push((transport, lab));
        }
        labs
    }

    /// Runs jobs, so many at one time. Returns why it stopped early.
    async fn work_off(
        &self,
        mut queue: VecDeque<(Job, Arc<Lab>)>,
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
            reports.add(result);
        }
    }
}

fn without_run(job: &Job, verdict: Verdict, reason: &str) -> CaseResult {
    CaseResult::without_run(&job.case.id, job.transport, verdict, Reason::plain(reason))
}
