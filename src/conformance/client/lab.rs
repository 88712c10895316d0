//! Where cases for clients meet the adapter: one process for all cases of a transport, and one of its own for a case that needs it.

use std::time::Duration;

use tokio::sync::Mutex;

use super::adapter::{Adapter, Talk};
use super::check::{REPLY, check, introduce};
use super::door::RelayProgram;
use super::driver::{Surroundings, run_case};
use super::messages::{Hello, Order};
use crate::conformance::artifacts::{Artifacts, CaseFiles};
use crate::conformance::case::template::Names;
use crate::conformance::case::{Case, Transport};
use crate::conformance::judge::FailKind;
use crate::conformance::launcher::START;
use crate::conformance::plan::Job;
use crate::conformance::probe::Unready;
use crate::conformance::process::{CommandLine, EXIT_GRACE, Process};
use crate::conformance::result::{CaseResult, Reason};
use crate::conformance::stage::{CaseRun, Settings};
use crate::conformance::trace::Trace;
use crate::conformance::verdict::Verdict;
use crate::sync::Arc;

/// The name under which the end of the process that serves a run is reported.
const ADAPTER_PROCESS: &str = "client-adapter/process";

/// The slowest round trip is this often contained in the deadline of a step.
const ROUND_TRIPS_PER_STEP: u32 = 20;

/// The client under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTarget {
    /// The adapter.
    pub adapter: CommandLine,
    /// What the client starts on stdio.
    pub relay: RelayProgram,
}

/// A place for the cases of one transport.
#[derive(Debug)]
pub struct ClientLab {
    /// What is tested.
    target: ClientTarget,
    /// The transport of all connections.
    transport: Transport,
    /// What the adapter declares.
    hello: Hello,
    /// What names stand for in all cases.
    names: Names,
    /// Deadlines of the cases.
    settings: Settings,
    /// The adapter that serves the run.
    shared: Mutex<Result<Adapter, String>>,
    /// Deaths of its process that no case has repeated alone.
    unexplained_deaths: Mutex<Vec<String>>,
    /// Where what happens is kept.
    artifacts: Option<Arc<Artifacts>>,
}

impl ClientLab {
    /// Looks at the adapter for the first time.
    ///
    /// # Errors
    ///
    /// [`Unready`] says why no case can be judged, and what its author can do next.
    pub async fn open(
        target: ClientTarget,
        transport: Transport,
        start: Duration,
        time_scale: f64,
    ) -> Result<Option<Self>, Unready> {
        let adapter = Adapter::start(&target.adapter).map_err(|error| Unready::Cause(error.to_string()))?;
        let introduced = introduce(&adapter, start, time_scale).await.map_err(Unready::Cause)?;
        if !introduced.hello.transports.contains(&transport) {
            end(&adapter).await;
            return Ok(None);
        }
        let step = Settings::default().step.as_secs_f64();
        let slow = (introduced.round_trip * ROUND_TRIPS_PER_STEP).as_secs_f64() / step;
        let settings = Settings { time_scale: time_scale * slow.max(1.0), ..Settings::default() };
        let lab = Self {
            names: introduced.hello.names(),
            hello: introduced.hello,
            target,
            transport,
            settings,
            shared: Mutex::new(Ok(adapter.clone())),
            unexplained_deaths: Mutex::default(),
            artifacts: None,
        };
        check(&adapter, lab.surroundings()).await.map_err(Unready::Cause)?;
        Ok(Some(lab))
    }

    /// A lab for a client that nobody has checked: for [`ClientLab::run_unseen`] only.
    ///
    /// # Errors
    ///
    /// Why the adapter does not introduce itself.
    pub async fn unchecked(
        target: ClientTarget,
        transport: Transport,
        start: Duration,
        time_scale: f64,
    ) -> Result<Self, String> {
        let adapter = Adapter::start(&target.adapter).map_err(|error| error.to_string())?;
        let hello = introduce(&adapter, start, time_scale).await?.hello;
        Ok(Self {
            names: hello.names(),
            hello,
            target,
            transport,
            settings: Settings { time_scale, ..Settings::default() },
            shared: Mutex::new(Ok(adapter)),
            unexplained_deaths: Mutex::default(),
            artifacts: None,
        })
    }

    /// The same lab, which keeps what happens in its cases.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Option<Arc<Artifacts>>) -> Self {
        Self { artifacts, ..self }
    }

    /// Runs one case, once, and ends the adapter.
    pub async fn run_unseen(&self, case: &Case) -> (CaseResult, Trace) {
        match self.shared_adapter().await {
            Ok(adapter) => self.run_to_its_end(case, &adapter).await,
            Err(reason) => (self.not_run(case, &reason), Trace::default()),
        }
    }

    /// The process of the adapter that serves the run.
    pub async fn pid(&self) -> Option<u32> {
        self.shared.lock().await.as_ref().ok().map(|adapter| adapter.process().id())
    }

    /// What the adapter declares.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Why a job does not apply to this client; `None` when it does.
    pub fn not_applicable(&self, job: &Job) -> Option<String> {
        if let Some(lack) = job.case.needs.iter().find_map(|need| self.hello.lacks(need)) {
            return Some(lack);
        }
        let present = job.case.without.iter().find(|feature| self.hello.lacks(feature).is_none());
        present.map(|feature| format!("only without {feature}"))
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            transport: self.transport,
            relay: &self.target.relay,
            names: &self.names,
            settings: &self.settings,
        }
    }

    /// Runs one case, and a case that depends on time twice.
    pub async fn run(&self, case: &Case) -> CaseResult {
        let first = self.run_once(case).await;
        if !case.alone || first.verdict == Verdict::NotRun {
            return first;
        }
        let second = self.run_once(case).await;
        if first.verdict == second.verdict {
            return second;
        }
        first.differs_from(second)
    }

    async fn run_once(&self, case: &Case) -> CaseResult {
        if case.isolate {
            return self.run_isolated(case).await;
        }
        let adapter = match self.shared_adapter().await {
            Ok(adapter) => adapter,
            Err(reason) => return self.not_run(case, &reason),
        };
        let (result, _) = self.run_on(case, &adapter).await;
        if !adapter.process().has_ended() {
            return result;
        }
        // Several cases may have been running: each of them is given a process of its own, and the culprit shows.
        let again = self.run_isolated(case).await;
        if !matches!(again.verdict, Verdict::Fail(_)) {
            self.unexplained_deaths.lock().await.push(format!("the adapter ended while {} ran", case.id));
        }
        again
    }

    /// Ends the process that served the run. Returns what is to be said about it.
    pub async fn close(&self) -> Vec<CaseResult> {
        let mut results = Vec::new();
        let result = |verdict, reason| CaseResult::without_run(ADAPTER_PROCESS, self.transport, verdict, reason);
        if let Ok(adapter) = &*self.shared.lock().await
            && let Some(reason) = end(adapter).await
        {
            results.push(result(Verdict::Error, reason));
        }
        let unexplained = std::mem::take(&mut *self.unexplained_deaths.lock().await);
        if !unexplained.is_empty() {
            let came = format!("{}; no case makes it die alone", unexplained.join(", "));
            results.push(result(Verdict::Error, Reason::plain(came)));
        }
        results
    }

    /// The adapter that serves the run; started anew after it has died.
    async fn shared_adapter(&self) -> Result<Adapter, String> {
        let mut shared = self.shared.lock().await;
        if shared.as_ref().is_ok_and(|adapter| adapter.process().has_ended()) {
            *shared = self.own_adapter().await;
        }
        shared.clone()
    }

    async fn own_adapter(&self) -> Result<Adapter, String> {
        let adapter = Adapter::start(&self.target.adapter).map_err(|error| error.to_string())?;
        introduce(&adapter, START, self.settings.time_scale).await?;
        Ok(adapter)
    }

    async fn run_isolated(&self, case: &Case) -> CaseResult {
        match self.own_adapter().await {
            Ok(adapter) => self.run_to_its_end(case, &adapter).await.0,
            Err(reason) => self.not_run(case, &reason),
        }
    }

    async fn run_to_its_end(&self, case: &Case, adapter: &Adapter) -> (CaseResult, Trace) {
        let (mut result, trace) = self.run_on(case, adapter).await;
        if let Some(reason) = end(adapter).await
            && result.verdict == Verdict::Pass
        {
            result.verdict = Verdict::Fail(FailKind::Leak);
            result.reason = Some(reason);
        }
        (result, trace)
    }

    async fn run_on(&self, case: &Case, adapter: &Adapter) -> (CaseResult, Trace) {
        let position = adapter.process().stderr().position();
        let files = self.artifacts.as_ref().map(|artifacts| artifacts.of_case(&case.id, self.transport));
        let copy = files.as_ref().map(|files| adapter.process().stderr().copy_to(files.stderr()));
        let kept = files.as_ref().and_then(CaseFiles::begin_trace);
        let run: CaseRun = run_case(case, adapter, self.surroundings(), kept).await;
        drop(copy);
        let stderr = adapter.process().stderr().since(position);
        let result = CaseResult::of_run(case, self.transport, &run, stderr, files);
        (result, run.trace)
    }

    fn not_run(&self, case: &Case, reason: &str) -> CaseResult {
        CaseResult::without_run(&case.id, self.transport, Verdict::NotRun, Reason::plain(reason))
    }
}

/// Says goodbye. Returns what is wrong with the end of the process.
async fn end(adapter: &Adapter) -> Option<Reason> {
    let process: &Process = adapter.process();
    if !process.has_ended() {
        // Whoever does not answer shows it by not ending.
        let _ = Talk::with(adapter).ask(Order::Bye, REPLY).await;
        adapter.end();
    }
    let ended = process.end(EXIT_GRACE).await;
    ended.leaked.then(|| Reason {
        expected: "no process left two seconds after `bye` and the end of standard input".to_owned(),
        ..Reason::plain("the adapter, or something that it started, had to be killed")
    })
}
