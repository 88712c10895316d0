//! A case under way: its connections, its trace, and the judge who follows it. Both halves of the suite drive their cases on it.

mod case_run;
mod connection;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::artifacts::TraceFile;
use super::case::template::{Names, Template, resolve_json};
use super::case::{Action, Case, Form, Step};
use super::judge::{Judge, State};
use super::origin::Events;
use super::trace::{Event, Trace, What, shorten};
use super::wire::{Sender, Wire};
pub use case_run::CaseRun;
use connection::Connection;

/// Events that wait for the case at most.
const WAITING_EVENTS: usize = 1_024;

/// Events of one case; a peer that causes more is judged by what it did until then.
const CASE_EVENTS: usize = 1_000_000;

/// How long the end of a pipe waits for the exit status that belongs to it, and an answer to a control frame for its write.
const PROMPTLY: Duration = Duration::from_millis(250);

/// Between the writes of one frame, so that the peer may see them one by one.
const BETWEEN_WRITES: Duration = Duration::from_millis(1);

/// Ready with the exit status of a process, or with `None` when a signal ended it.
pub(super) type Exit<'a> = Pin<Box<dyn Future<Output = Option<i32>> + Send + 'a>>;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the opened connection to the completed handshake.
    pub handshake: Duration,
    /// For a step that waits.
    pub step: Duration,
    /// For a whole case.
    pub case: Duration,
    /// All of these are multiplied by it; at least 1 on a slow machine.
    pub time_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            step: Duration::from_secs(2),
            case: Duration::from_secs(10),
            time_scale: 1.0,
        }
    }
}

/// Does what only one half of the suite knows.
pub(super) trait Actor: Send {
    /// Does a step that is not about a connection that is open already.
    fn act(&mut self, stage: &mut Stage<'_>, step: &Step, deadline: Instant) -> impl Future<Output = ()> + Send;

    /// Does what a step that waits needs before each event.
    fn wait(&mut self, stage: &mut Stage<'_>, step: &Step, deadline: Instant) -> impl Future<Output = ()> + Send;

    /// Whether what has happened shows that the step which waits is on its way: its time begins anew.
    fn is_progress(&self, step: &Step, what: &What) -> bool;

    /// Follows what has happened while the stage did or awaited something.
    fn observe(&mut self, stage: &mut Stage<'_>, what: &What, deadline: Instant) -> impl Future<Output = ()> + Send;
}

/// A client that has come in.
struct Arrival {
    /// The connection that it was told to open.
    connection: String,
    /// What it is on, and the head of its request for a websocket.
    accepted: io::Result<(Wire, String)>,
}

/// One case under way.
pub(super) struct Stage<'a> {
    /// What is to be done.
    case: &'a Case,
    /// How long it may take.
    settings: &'a Settings,
    /// Says when a step is satisfied.
    judge: Judge<'a>,
    /// What the judge said last.
    state: State,
    /// What has happened.
    trace: Trace,
    /// Where it is kept as it happens.
    kept: Option<TraceFile>,
    /// The event after which the verdict was known.
    decided: Option<u64>,
    /// How much of it the actor has seen.
    observed: usize,
    /// When the case began.
    start: Instant,
    /// The open connections by name.
    connections: BTreeMap<String, Connection>,
    /// What a burst has collected, and for which connection.
    burst: Option<(String, Vec<u8>)>,
    /// For those who tell events.
    events: Events,
    /// The events that they tell.
    incoming: mpsc::Receiver<(Instant, What)>,
    /// For clients that come in.
    arrivals: mpsc::Sender<Arrival>,
    /// The clients that have come in.
    arriving: mpsc::Receiver<Arrival>,
    /// Those who let clients in.
    doors: JoinSet<()>,
    /// The process of the peer, until it has ended; `None` too where there is none.
    exit: Option<Exit<'a>>,
    /// The end of a connection is the end of the process, whose status has to come first.
    exit_first: bool,
}

impl<'a> Stage<'a> {
    /// A case that has not begun. With `exit_first` the end of a connection waits for the end of the process.
    pub(super) fn new(case: &'a Case, settings: &'a Settings, exit: Option<Exit<'a>>, exit_first: bool) -> Self {
        let (events, incoming) = mpsc::channel(WAITING_EVENTS);
        let (arrivals, arriving) = mpsc::channel(1);
        Self {
            case,
            settings,
            judge: Judge::new(case),
            state: State::Ready,
            trace: Trace::default(),
            kept: None,
            decided: None,
            observed: 0,
            start: Instant::now(),
            connections: BTreeMap::new(),
            burst: None,
            events,
            incoming,
            arrivals,
            arriving,
            doors: JoinSet::new(),
            exit,
            exit_first,
        }
    }

    /// Writes everything that happens to that file, too.
    pub(super) fn keep(&mut self, kept: Option<TraceFile>) {
        self.kept = kept;
    }

    /// For those who tell events.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// What names stand for so far.
    pub(super) const fn names(&self) -> &Names {
        self.judge.names()
    }

    /// The verdict and the trace.
    pub(super) fn finish(self) -> CaseRun {
        let duration = self.start.elapsed();
        CaseRun { judgement: self.judge.finish(), trace: self.trace, decided: self.decided, duration }
    }

    /// Does all steps, until the verdict is known.
    pub(super) async fn run(&mut self, actor: &mut impl Actor) {
        let case = self.case;
        let step_deadline = case.step_deadline.unwrap_or(self.settings.step);
        let case_deadline = case.case_deadline.unwrap_or(self.settings.case).max(step_deadline);
        let end = self.start + case_deadline.mul_f64(self.settings.time_scale);
        for (index, step) in case.steps.iter().enumerate() {
            let handshake = index < case.handshake_steps;
            let allowed = if handshake { self.settings.handshake } else { step_deadline };
            let begun = Instant::now();
            let allowed = allowed.mul_f64(self.settings.time_scale);
            let mut deadline = end.min(begun + allowed);
            if !step.action.is_send() {
                self.flush_burst(deadline).await;
            }
            self.drain().await;
            self.observe(actor, deadline).await;
            self.record(What::Step { step: index });
            if self.state != State::Over && !self.act(step, deadline).await {
                actor.act(self, step, deadline).await;
            }
            loop {
                self.observe(actor, deadline).await;
                if self.state != State::Waiting {
                    break;
                }
                actor.wait(self, step, deadline).await;
                match self.next_event(deadline).await {
                    Some((at, what)) => {
                        if actor.is_progress(step, &what) {
                            deadline = end.min(at + allowed);
                        }
                        self.take(at, what).await;
                    }
                    None => {
                        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                        self.record(What::Deadline { milliseconds });
                    }
                }
            }
            if self.state == State::Over {
                return;
            }
        }
        self.drain().await;
        self.record(What::Finished);
    }

    /// Shows the actor what has happened since it looked last.
    async fn observe(&mut self, actor: &mut impl Actor, deadline: Instant) {
        while let Some(event) = self.trace.events.get(self.observed) {
            self.observed += 1;
            let what = event.what.clone();
            actor.observe(self, &what, deadline).await;
        }
    }

    /// Does a step that is about an open connection; `false` if it is none.
    async fn act(&mut self, step: &Step, deadline: Instant) -> bool {
        let connection = &step.connection;
        match &step.action {
            Action::Send(message) => match resolve_json(message, self.judge.names()) {
                Ok(message) => self.send(connection, message.to_string().as_bytes(), Form::Frame, deadline).await,
                Err(reason) => self.record(What::Broken { reason }),
            },
            Action::SendBytes(template, form) => match template.resolve(self.judge.names()) {
                Ok(bytes) => self.send(connection, &bytes, *form, deadline).await,
                Err(reason) => self.record(What::Broken { reason }),
            },
            Action::Burst => self.burst = Some((connection.clone(), Vec::new())),
            Action::Ping(payload) => {
                let payload = self.resolve(payload);
                let bytes = self.sender(connection).map(|sender| sender.encode_ping(&payload)).unwrap_or_default();
                self.write(connection, &bytes, deadline).await;
            }
            Action::Close => {
                let bytes = self.sender(connection).map(|sender| sender.encode_close()).unwrap_or_default();
                if let Some(connection) = self.connections.get_mut(connection) {
                    connection.closing = true;
                }
                self.write(connection, &bytes, deadline).await;
                if let Some(sender) = self.sender(connection).filter(|sender| sender.is_pipe()) {
                    sender.end().await;
                }
            }
            Action::Eof => self.end(connection).await,
            Action::Drop => {
                if let Some(mut connection) = self.connections.remove(connection) {
                    connection.reader.abort();
                    // Its half of the socket has to be gone before the reset.
                    let _ = (&mut connection.reader).await;
                    if let Some(sender) = &mut connection.sender {
                        sender.abort();
                    }
                }
            }
            Action::Pause | Action::Resume => {
                if let Some(connection) = self.connections.get(connection) {
                    connection.paused.send_replace(matches!(step.action, Action::Pause));
                }
            }
            _ => return false,
        }
        true
    }

    /// Lets a client in, whenever it comes.
    pub(super) fn await_client(
        &mut self,
        connection: &str,
        accepted: impl Future<Output = io::Result<(Wire, String)>> + Send + 'static,
    ) {
        let (connection, arrivals) = (connection.to_owned(), self.arrivals.clone());
        self.doors.spawn(async move {
            let arrival = Arrival { connection, accepted: accepted.await };
            // The case may be over.
            let _ = arrivals.send(arrival).await;
        });
    }

    fn admit(&mut self, arrival: Arrival) -> What {
        let Arrival { connection, accepted } = arrival;
        match accepted {
            Ok((wire, head)) => {
                self.open(&connection, wire);
                What::Connected { connection, head }
            }
            Err(error) => What::Garbage { connection, reason: error.to_string() },
        }
    }

    /// Ends the sending direction of a connection.
    pub(super) async fn end(&mut self, connection: &str) {
        if let Some(sender) = self.sender(connection) {
            sender.end().await;
        }
    }

    /// Reads a connection from now on.
    pub(super) fn open(&mut self, name: &str, wire: Wire) {
        self.connections.insert(name.to_owned(), Connection::open(name, wire, self.events.clone()));
    }

    fn sender(&mut self, connection: &str) -> Option<&mut Sender> {
        self.connections.get_mut(connection)?.sender.as_mut()
    }

    /// The bytes of a template whose names were checked when the case was read.
    pub(super) fn resolve(&self, template: &Template) -> Vec<u8> {
        template.resolve(self.judge.names()).unwrap_or_default()
    }

    /// Sends bytes in that form, or adds them to the burst.
    pub(super) async fn send(&mut self, connection: &str, bytes: &[u8], form: Form, deadline: Instant) {
        let pipe = self.sender(connection).is_none_or(|sender| sender.is_pipe());
        let frames: Vec<&[u8]> = match form {
            Form::Bytes if pipe => bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect(),
            _ => vec![bytes],
        };
        for frame in frames {
            self.record(What::Sent { connection: connection.to_owned(), text: shorten(frame) });
        }
        let Some(sender) = self.sender(connection) else { return };
        let writes = sender.encode(bytes, form);
        for write in writes {
            match &mut self.burst {
                Some((name, collected)) if name == connection => collected.extend(write),
                _ => self.write(connection, &write, deadline).await,
            }
            if matches!(form, Form::Split(_)) {
                self.while_recording(deadline, tokio::time::sleep(BETWEEN_WRITES)).await;
            }
        }
    }

    async fn flush_burst(&mut self, deadline: Instant) {
        if let Some((connection, bytes)) = self.burst.take() {
            self.write(&connection, &bytes, deadline).await;
        }
    }

    /// Writes while recording what happens meanwhile, so that a peer that waits for a reader cannot block the suite.
    async fn write(&mut self, name: &str, bytes: &[u8], deadline: Instant) {
        let Some(connection) = self.connections.get_mut(name).filter(|connection| !connection.stalled) else { return };
        let Some(mut sender) = connection.sender.take() else { return };
        // A failed write shows that the peer has closed, which the reader tells.
        let written = self.while_recording(deadline, sender.write(bytes)).await;
        if let Some(connection) = self.connections.get_mut(name) {
            connection.sender = Some(sender);
            connection.stalled = written.is_none();
        }
        if written.is_none() {
            self.record(What::Stalled { connection: name.to_owned() });
        }
    }

    /// Runs a future to its end or the deadline.
    pub(super) async fn while_recording<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let event = tokio::select! {
                biased;
                done = &mut work => return Some(done),
                event = self.next_event(deadline) => event?,
            };
            // Outside the select, which could drop it half-way.
            self.take(event.0, event.1).await;
        }
    }

    /// The next event, or `None` at the deadline, or once the verdict is known: whoever floods the case then is not listened to.
    /// Cancel safe.
    async fn next_event(&mut self, deadline: Instant) -> Option<(Instant, What)> {
        if self.state == State::Over {
            return None;
        }
        tokio::select! {
            biased;
            event = self.incoming.recv() => event,
            Some(arrival) = self.arriving.recv() => Some((Instant::now(), self.admit(arrival))),
            code = exited(&mut self.exit) => Some((Instant::now(), What::Exited { code })),
            () = tokio::time::sleep_until(deadline.into()) => None,
        }
    }

    /// Records an event and answers it where the protocol of the transport wants an answer. Not cancel safe.
    async fn take(&mut self, at: Instant, what: What) {
        let (connection, reply) = match &what {
            What::Ping { connection, text } => (connection.clone(), Some(text.clone())),
            What::CloseFrame { connection, .. } => (connection.clone(), None),
            What::Ended { .. } if self.exit_first => {
                // The exit status tells a crash from an orderly end, so it has to come first.
                if let Ok(code) = timeout(PROMPTLY, exited(&mut self.exit)).await {
                    self.record(What::Exited { code });
                }
                return self.record_at(at, what);
            }
            _ => return self.record_at(at, what),
        };
        self.record_at(at, what);
        let Some(found) = self.connections.get_mut(&connection).filter(|found| !found.stalled) else { return };
        // While a write is under way there is no sender; the peer then misses its answer, as it does from any slow end.
        let Some(sender) = found.sender.as_mut() else { return };
        let is_close = reply.is_none();
        let bytes = match reply {
            Some(payload) => sender.encode_pong(payload.as_bytes()),
            None if found.closing => Vec::new(),
            None => {
                found.closing = true;
                sender.encode_close()
            }
        };
        // A peer that does not read misses it, too.
        let _ = timeout(PROMPTLY, sender.write(&bytes)).await;
        if is_close && sender.ends_first() {
            sender.end().await;
        }
    }

    /// Records what has happened already.
    async fn drain(&mut self) {
        while self.state != State::Over
            && let Ok((at, what)) = self.incoming.try_recv()
        {
            self.take(at, what).await;
        }
    }

    /// Records what happens now.
    pub(super) fn record(&mut self, what: What) {
        self.record_at(Instant::now(), what);
    }

    fn record_at(&mut self, at: Instant, what: What) {
        let what = if self.trace.events.len() < CASE_EVENTS {
            what
        } else {
            What::Broken { reason: format!("more than {CASE_EVENTS} events") }
        };
        let elapsed = at.saturating_duration_since(self.start).as_micros();
        let number = self.trace.events.len() as u64 + 1;
        let event = Event { number, micros: u64::try_from(elapsed).unwrap_or(u64::MAX), what };
        self.state = self.judge.handle(&event);
        if self.state == State::Over {
            self.decided.get_or_insert(number);
        }
        if let Some(kept) = &mut self.kept {
            kept.add(&event);
        }
        self.trace.events.push(event);
    }
}

/// Waits for the end of a process, once.
async fn exited(exit: &mut Option<Exit<'_>>) -> Option<i32> {
    let code = match exit {
        Some(exit) => exit.await,
        None => std::future::pending().await,
    };
    *exit = None;
    code
}

#[cfg(test)]
mod tests;
