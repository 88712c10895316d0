//! One case, once, against a peer of its own: what `replay` and `shrink` do over and over.

use std::time::Duration;

use super::case::{Case, Transport};
use super::client::lab::{ClientLab, ClientTarget};
use super::driver::{PeerHandle as _, run_case};
use super::judge::FailKind;
use super::lab::{end, leak};
use super::launcher::{START, Target};
use super::probe::await_listener;
use super::result::{CaseResult, Reason};
use super::stage::Settings;
use super::trace::Trace;
use super::verdict::Verdict;

/// Who is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tested {
    /// An executor.
    Executor(Target),
    /// A client.
    Client(ClientTarget),
}

/// How a case is run.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The transport.
    pub transport: Transport,
    /// Multiplies all deadlines.
    pub time_scale: f64,
    /// A process that does not end by itself is a failure too, and has the time to do so. Without it the process is killed.
    pub judge_end: bool,
}

impl Trial {
    /// Starts the peer, or attaches to it, and runs the case. Before the first step it calls `before` with the
    /// process id of the peer, if it was started. Dropping the future kills what was started.
    pub async fn run(
        self,
        tested: &Tested,
        case: &Case,
        before: impl FnOnce(Option<u32>) + Send,
    ) -> (CaseResult, Trace) {
        let result = match tested {
            Tested::Executor(target) => self.run_executor(target, case, before).await,
            Tested::Client(target) => self.run_client(target, case, before).await,
        };
        result.unwrap_or_else(|reason| {
            let reason = Reason::plain(reason);
            (CaseResult::without_run(&case.id, self.transport, Verdict::NotRun, reason), Trace::default())
        })
    }

    fn start(self) -> Duration {
        START.mul_f64(self.time_scale)
    }

    async fn run_executor(
        self,
        target: &Target,
        case: &Case,
        before: impl FnOnce(Option<u32>) + Send,
    ) -> Result<(CaseResult, Trace), String> {
        let own_process = case.isolate && case.needs.iter().any(|need| need == "spawn" || need == "memory");
        if own_process && !target.is_spawned() {
            return Err("the case needs a process that the suite starts".to_owned());
        }
        let settings = Settings { time_scale: self.time_scale, ..Settings::default() };
        let mut peer =
            target.launch(self.transport, &case.env, self.start()).await.map_err(|error| error.to_string())?;
        if self.transport == Transport::Websocket {
            await_listener(&mut peer, self.start()).await.map_err(|unready| unready.to_string())?;
        }
        before(peer.pid());
        let run = run_case(case, &mut peer, &settings, None).await;
        let leaked = self.judge_end && end(&peer).await;
        let stderr = peer.process().map_or_else(String::new, |process| process.stderr().since(0));
        let mut result = CaseResult::of_run(case, self.transport, &run, stderr, None);
        if leaked && result.verdict == Verdict::Pass {
            result.verdict = Verdict::Fail(FailKind::Leak);
            result.reason = Some(leak());
        }
        Ok((result, run.trace))
    }

    async fn run_client(
        self,
        target: &ClientTarget,
        case: &Case,
        before: impl FnOnce(Option<u32>) + Send,
    ) -> Result<(CaseResult, Trace), String> {
        let lab = ClientLab::unchecked(target.clone(), self.transport, self.start(), self.time_scale).await?;
        if !lab.hello().transports.contains(&self.transport) {
            return Err(format!("the client declares no {}", self.transport));
        }
        if let Some(lack) = case.needs.iter().find_map(|need| lab.hello().lacks(need)) {
            return Err(lack);
        }
        before(lab.pid().await);
        Ok(lab.run_unseen(case).await)
    }
}

/// The transports of these on which a case exists.
pub fn transports(case: &Case, offered: &[Transport]) -> Vec<Transport> {
    offered.iter().copied().filter(|on| case.only.is_none_or(|only| only == *on)).collect()
}
