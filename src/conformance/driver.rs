//! Does what a case of the executors' half says, and records everything that happens.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::time::Instant;

use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use super::artifacts::TraceFile;
use super::case::template::Names;
use super::case::{Action, Case, Signal, Step, Transport};
use super::memory::PeakMemory;
use super::origin::{BoundOrigin, Origin};
use super::stage::{Actor, CaseRun, Settings, Stage};
use super::trace::What;
use super::wire::Wire;
use super::wire::websocket::{probe, with_token};
use crate::transport::websocket::Token;

/// A peer that has been started, or is attached to.
pub trait PeerHandle: Send {
    /// Opens a connection. On stdio there is only one.
    fn connect(&mut self) -> impl Future<Output = io::Result<Wire>> + Send;

    /// How it is reached.
    fn transport(&self) -> Transport;

    /// `HOST:PORT` that it listens on.
    fn authority(&self) -> Option<String>;

    /// What it wants to be shown, if anything.
    fn token(&self) -> Option<&Token> {
        None
    }

    /// Its process, if it was started here.
    fn pid(&self) -> Option<u32>;

    /// Waits for its process to end; `None` when a signal ended it. Never ready when it was not started here.
    fn exited(&self) -> impl Future<Output = Option<i32>> + Send + 'static;
}

/// Runs a case against a peer. All connections and origins of the case are closed at the end; the peer lives on.
/// What happens is written to `kept` at once.
pub async fn run_case(
    case: &Case,
    peer: &mut impl PeerHandle,
    settings: &Settings,
    kept: Option<TraceFile>,
) -> CaseRun {
    let exit_first = peer.transport() == Transport::Stdio;
    let mut stage = Stage::new(case, settings, Some(Box::pin(peer.exited())), exit_first);
    stage.keep(kept);
    let watched = case.steps.iter().any(|step| matches!(step.action, Action::Memory(_)));
    let memory = peer.pid().filter(|_| watched).map(PeakMemory::watch);
    let mut driver = Driver { case, peer, settings, released: watch::channel(BTreeSet::new()).0, memory };
    // The origins live until the case is over.
    let _origins = match driver.begin(&mut stage).await {
        Ok(origins) => Some(origins),
        Err(error) => {
            stage.record(What::Broken { reason: format!("an origin cannot listen: {error}") });
            None
        }
    };
    stage.run(&mut driver).await;
    stage.finish()
}

/// Plays the client and the origins.
struct Driver<'a, P> {
    /// What is to be done.
    case: &'a Case,
    /// Whom it is done to.
    peer: &'a mut P,
    /// How long it may take.
    settings: &'a Settings,
    /// The names that the case has released.
    released: watch::Sender<BTreeSet<String>>,
    /// In cases that ask for it.
    memory: Option<PeakMemory>,
}

impl<P: PeerHandle> Actor for Driver<'_, P> {
    /// Most steps that wait do nothing.
    async fn act(&mut self, stage: &mut Stage<'_>, step: &Step, deadline: Instant) {
        match &step.action {
            Action::Connect => self.connect(stage, &step.connection, deadline).await,
            Action::Release(name) => {
                self.released.send_if_modified(|released| released.insert(name.clone()));
            }
            Action::Signal(signal) => {
                if let Err(reason) = self.signal(*signal) {
                    stage.record(What::Broken { reason });
                }
            }
            Action::Memory(_) => stage.record(match self.memory.as_ref().map(PeakMemory::bytes) {
                Some(bytes @ 1..) => What::Memory { bytes },
                _ => What::Broken { reason: "the memory of the process cannot be read".to_owned() },
            }),
            Action::Probe { request, .. } => {
                let request = with_token(&stage.resolve(request), self.peer.token());
                let authority = self.peer.authority().unwrap_or_default();
                let answer = stage.while_recording(deadline, probe(&authority, &request)).await;
                // No answer at all is an answer to the question, too.
                stage.record(What::Probed { status: answer.and_then(Result::ok).unwrap_or(0) });
            }
            _ => {}
        }
    }

    async fn wait(&mut self, _: &mut Stage<'_>, _: &Step, _: Instant) {}

    fn is_progress(&self, _: &Step, _: &What) -> bool {
        false
    }

    async fn observe(&mut self, _: &mut Stage<'_>, _: &What, _: Instant) {}
}

impl<P: PeerHandle> Driver<'_, P> {
    /// Starts the origins; they live as long as what is returned.
    async fn begin(&mut self, stage: &mut Stage<'_>) -> io::Result<([Origin; 2], TcpSocket)> {
        let bound = [BoundOrigin::bind().await?, BoundOrigin::bind().await?];
        // Bound and not listening: connections are refused, and nobody else gets the port.
        let closed = TcpSocket::new_v4()?;
        closed.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let authority = |port: u16| format!("127.0.0.1:{port}");
        let [first, second] = [authority(bound[0].port()), authority(bound[1].port())];
        let names = Names::from(
            [
                ("origin", format!("http://{first}")),
                ("origin2", format!("http://{second}")),
                ("authority", first),
                ("authority2", second),
                ("closed", format!("http://{}", authority(closed.local_addr()?.port()))),
                ("peer", self.peer.authority().unwrap_or_default()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let transport = self.peer.transport().to_string();
        let case = self.case.id.clone();
        stage.record(What::Begun { case, names: names.clone(), transport, time_scale: self.settings.time_scale });
        let mut index = 0;
        let origins = bound.map(|bound| {
            let exchanges = self.case.origins[index].clone();
            index += 1;
            bound.serve(index - 1, exchanges, names.clone(), self.released.subscribe(), stage.events())
        });
        Ok((origins, closed))
    }

    async fn connect(&mut self, stage: &mut Stage<'_>, name: &str, deadline: Instant) {
        let unreached = |reason| What::Unreached { connection: name.to_owned(), reason };
        match timeout(deadline.saturating_duration_since(Instant::now()), self.peer.connect()).await {
            Ok(Ok(wire)) => stage.open(name, wire),
            Ok(Err(error)) => stage.record(unreached(error.to_string())),
            Err(_) => stage.record(unreached("connecting takes too long".to_owned())),
        }
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) -> Result<(), String> {
        use nix::sys::signal::{Signal as Number, kill};
        let pid = self.peer.pid().and_then(|pid| i32::try_from(pid).ok()).ok_or("the peer has no process here")?;
        let number = match signal {
            Signal::Term => Number::SIGTERM,
            Signal::Int => Number::SIGINT,
        };
        kill(nix::unistd::Pid::from_raw(pid), number).map_err(|error| format!("the signal was not sent: {error}"))
    }

    #[cfg(not(unix))]
    fn signal(&self, _: Signal) -> Result<(), String> {
        Err("signals exist on Unix only".to_owned())
    }
}

#[cfg(test)]
mod tests;
