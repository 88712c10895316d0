//! Where cases of one transport meet the peer: a fresh process for each, or one process that serves the run.

use std::time::Duration;

use tokio::sync::Mutex;

use super::artifacts::{Artifacts, CaseFiles};
use super::case::{Case, Transport};
use super::driver::{PeerHandle as _, run_case};
use super::judge::FailKind;
use super::launcher::{Peer, Target, ended};
use super::probe::{Ready, Unready, probe};
use super::process::{EXIT_GRACE, Process};
use super::result::{CaseResult, Reason};
use super::stage::Settings;
use super::trace::Trace;
use super::verdict::Verdict;
use crate::sync::Arc;

/// The name under which a peer that breaks the handshake is reported: no case has been run then.
pub const PEER_HANDSHAKE: &str = "peer/handshake";

/// The name under which the end of the process that serves a run is reported.
const PEER_PROCESS: &str = "peer/process";

/// A place for the cases of one transport.
#[derive(Debug)]
pub struct Lab {
    /// The implementation under test.
    target: Target,
    /// The transport of all connections.
    transport: Transport,
    /// How long a process may take to complete a handshake.
    start: Duration,
    /// Deadlines of the cases.
    settings: Settings,
    /// The peer that serves the run, or why it could not be started again; on stdio a process has one connection, so there
    /// is none.
    shared: Mutex<Result<Option<Peer>, Unready>>,
    /// Deaths of the shared process that no case has repeated on a process of its own.
    unexplained_deaths: Mutex<Vec<String>>,
    /// Where what happens is kept.
    artifacts: Option<Arc<Artifacts>>,
}

impl Lab {
    /// Looks at the peer for the first time.
    ///
    /// # Errors
    ///
    /// [`Unready`] says why no case can be judged.
    pub async fn open(target: Target, transport: Transport, start: Duration) -> Result<(Self, Ready), Unready> {
        let mut peer = target.launch(transport, &[], start).await?;
        let ready = probe(&mut peer, start).await?;
        let shared = match transport {
            Transport::Websocket => Some(peer),
            Transport::Stdio => {
                end(&peer).await;
                None
            }
        };
        let lab = Self {
            target,
            transport,
            start,
            settings: Settings::default(),
            shared: Mutex::new(Ok(shared)),
            unexplained_deaths: Mutex::default(),
            artifacts: None,
        };
        Ok((lab, ready))
    }

    /// A lab for a peer that nobody has looked at: for [`Lab::run_unseen`] only.
    pub fn unseen(target: Target, transport: Transport, start: Duration) -> Self {
        Self {
            target,
            transport,
            start,
            settings: Settings::default(),
            shared: Mutex::new(Ok(None)),
            unexplained_deaths: Mutex::default(),
            artifacts: None,
        }
    }

    /// Runs one case, once, on a process of its own that nobody has looked at: whatever is wrong with its handshake is for the
    /// case to say.
    pub async fn run_unseen(&self, case: &Case) -> (CaseResult, Trace) {
        match self.target.launch(self.transport, &case.env, self.start).await {
            Ok(peer) => self.run_to_its_end(case, peer).await,
            Err(error) => (self.not_run(case, &error.into()), Trace::default()),
        }
    }

    /// The same lab with other deadlines.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// The same lab, which keeps what happens in its cases.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Option<Arc<Artifacts>>) -> Self {
        Self { artifacts, ..self }
    }

    /// Runs one case, and a case that depends on time twice. Dropping the future ends the process that was started for it.
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
        if self.transport == Transport::Stdio || case.isolate || !case.env.is_empty() {
            return self.run_isolated(case).await;
        }
        let mut peer = match self.shared_peer().await {
            Ok(peer) => peer,
            Err(unready) => return self.not_run(case, &unready),
        };
        let (result, _) = self.run_on(case, &mut peer).await;
        if !peer.process().is_some_and(Process::has_ended) {
            return result;
        }
        // Several cases may have been running: each of them is given a process of its own, and the culprit shows.
        let again = self.run_isolated(case).await;
        if !matches!(again.verdict, Verdict::Fail(_)) {
            let status = match peer.process() {
                Some(process) => process.wait().await,
                None => None,
            };
            let death = format!("the process {} while {} ran", ended(status), case.id);
            self.unexplained_deaths.lock().await.push(death);
        }
        again
    }

    /// Ends the process that served the run. Returns what is to be said about it.
    pub async fn close(&self) -> Vec<CaseResult> {
        let mut results = Vec::new();
        let result = |verdict, reason| CaseResult::without_run(PEER_PROCESS, self.transport, verdict, reason);
        if let Ok(Some(peer)) = &*self.shared.lock().await
            && end(peer).await
        {
            results.push(result(Verdict::Fail(FailKind::Leak), leak()));
        }
        let unexplained = std::mem::take(&mut *self.unexplained_deaths.lock().await);
        if !unexplained.is_empty() {
            let came = format!("{}; no case makes it die alone", unexplained.join(", "));
            results.push(result(Verdict::Error, Reason::plain(came)));
        }
        results
    }

    /// The peer that serves the run; started anew after it has died.
    async fn shared_peer(&self) -> Result<Peer, Unready> {
        let mut shared = self.shared.lock().await;
        match &*shared {
            Ok(Some(peer)) if !peer.process().is_some_and(Process::has_ended) => {}
            Err(unready) => return Err(unready.clone()),
            Ok(_) => *shared = self.own_peer(&[]).await.map(Some),
        }
        shared.clone().map(|peer| peer.expect("a listening peer was just found or started"))
    }

    /// Runs a case on a process of its own.
    async fn run_isolated(&self, case: &Case) -> CaseResult {
        match self.own_peer(&case.env).await {
            Ok(peer) => self.run_to_its_end(case, peer).await.0,
            Err(unready) => self.not_run(case, &unready),
        }
    }

    async fn run_to_its_end(&self, case: &Case, mut peer: Peer) -> (CaseResult, Trace) {
        let (mut result, trace) = self.run_on(case, &mut peer).await;
        if end(&peer).await && result.verdict == Verdict::Pass {
            result.verdict = Verdict::Fail(FailKind::Leak);
            result.reason = Some(leak());
        }
        (result, trace)
    }

    /// A new process. On stdio it has one session only, which is left to the case.
    async fn own_peer(&self, env: &[(String, String)]) -> Result<Peer, Unready> {
        let mut peer = self.target.launch(self.transport, env, self.start).await?;
        if self.transport == Transport::Websocket {
            probe(&mut peer, self.start).await?;
        }
        Ok(peer)
    }

    async fn run_on(&self, case: &Case, peer: &mut Peer) -> (CaseResult, Trace) {
        let position = peer.process().map_or(0, |process| process.stderr().position());
        let files = self.artifacts.as_ref().map(|artifacts| artifacts.of_case(&case.id, self.transport));
        let copy = files.as_ref().and_then(|files| Some(peer.process()?.stderr().copy_to(files.stderr())));
        let kept = files.as_ref().and_then(CaseFiles::begin_trace);
        let run = run_case(case, peer, &self.settings, kept).await;
        drop(copy);
        let stderr = peer.process().map_or_else(String::new, |process| process.stderr().since(position));
        (CaseResult::of_run(case, self.transport, &run, stderr, files), run.trace)
    }

    fn not_run(&self, case: &Case, unready: &Unready) -> CaseResult {
        CaseResult::without_run(&case.id, self.transport, Verdict::NotRun, Reason::plain(unready.to_string()))
    }
}

/// Ends the process of a peer; returns whether it had to be killed. A stdio peer has lost its input already; a listening
/// one does not end by itself.
pub(super) async fn end(peer: &Peer) -> bool {
    let grace = match peer.transport() {
        Transport::Stdio => EXIT_GRACE,
        Transport::Websocket => Duration::ZERO,
    };
    match peer.process() {
        Some(process) => process.end(grace).await.leaked,
        None => false,
    }
}

pub(super) fn leak() -> Reason {
    Reason {
        expected: "no process left after the end of its connection, SIGTERM and two seconds".to_owned(),
        ..Reason::plain("a process had to be killed")
    }
}
