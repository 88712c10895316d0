//! Does what a case says, and records everything that happens.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::case::template::{Names, Template, resolve_json};
use super::case::{Action, Case, Form, Signal, Step, Transport};
use super::judge::{Judge, Judgement, State};
use super::memory::PeakMemory;
use super::origin::{BoundOrigin, Events, Origin};
use super::trace::{Event, Trace, What, shorten};
use super::wire::websocket::probe;
use super::wire::{Incoming, Receiver, Sender, Wire};

/// Events that may wait for the driver.
const WAITING_EVENTS: usize = 1_024;

/// Events of one case; a peer that causes more is judged by what it did until then.
const CASE_EVENTS: usize = 1_000_000;

/// How long the end of a pipe waits for the exit status that belongs to it.
const EXIT_STATUS: Duration = Duration::from_millis(250);

/// A peer that has been started, or is attached to.
pub trait PeerHandle: Send {
    /// Opens a connection. On stdio there is only one.
    fn connect(&mut self) -> impl Future<Output = io::Result<Wire>> + Send;

    /// How it is reached.
    fn transport(&self) -> Transport;

    /// `HOST:PORT` that it listens on.
    fn authority(&self) -> Option<String>;

    /// Its process, if it was started here.
    fn pid(&self) -> Option<u32>;

    /// Waits for its process to end; `None` when a signal ended it. Never ready when it was not started here. Cancel safe.
    fn exited(&mut self) -> impl Future<Output = Option<i32>> + Send;
}

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

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseRun {
    /// Everything that happened.
    pub trace: Trace,
    /// The verdict.
    pub judgement: Judgement,
    /// How long it took.
    pub duration: Duration,
}

/// Runs a case against a peer. All connections and origins of the case are closed at the end; the peer lives on.
pub async fn run_case(case: &Case, peer: &mut impl PeerHandle, settings: &Settings) -> CaseRun {
    let (events, incoming) = mpsc::channel(WAITING_EVENTS);
    let watched = case.steps.iter().any(|step| matches!(step.action, Action::Memory(_)));
    let memory = peer.pid().filter(|_| watched).map(PeakMemory::watch);
    let mut driver = Driver {
        case,
        peer,
        settings,
        judge: Judge::new(case),
        trace: Trace::default(),
        start: Instant::now(),
        connections: BTreeMap::new(),
        burst: None,
        released: watch::channel(BTreeSet::new()).0,
        events,
        incoming,
        exited: false,
        memory,
    };
    // The origins live until the case is over.
    let _origins = match driver.begin().await {
        Ok(origins) => Some(origins),
        Err(error) => {
            driver.record(What::Broken { reason: format!("an origin cannot listen: {error}") });
            None
        }
    };
    driver.run().await;
    CaseRun { judgement: driver.judge.finish(), trace: driver.trace, duration: driver.start.elapsed() }
}

/// A connection as the driver holds it.
struct Connection {
    /// `None` while a write is under way.
    sender: Option<Sender>,
    /// A write was given up in its middle, so that nothing can follow it.
    stalled: bool,
    /// A close frame was sent.
    closing: bool,
    /// Tells the reading task to pause.
    paused: watch::Sender<bool>,
    /// Reads what the peer sends.
    reader: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Runs one case.
struct Driver<'a, P> {
    /// What is to be done.
    case: &'a Case,
    /// Whom it is done to.
    peer: &'a mut P,
    /// How long it may take.
    settings: &'a Settings,
    /// Says when a step is satisfied.
    judge: Judge<'a>,
    /// What has happened.
    trace: Trace,
    /// When the case began.
    start: Instant,
    /// The open connections by name.
    connections: BTreeMap<String, Connection>,
    /// What a burst has collected, and for which connection.
    burst: Option<(String, Vec<u8>)>,
    /// The names that the case has released.
    released: watch::Sender<BTreeSet<String>>,
    /// For those who tell events.
    events: Events,
    /// The events that they tell.
    incoming: mpsc::Receiver<(Instant, What)>,
    /// The process has ended, and the trace says so.
    exited: bool,
    /// In cases that ask for it.
    memory: Option<PeakMemory>,
}

impl<P: PeerHandle> Driver<'_, P> {
    /// Starts the origins; they live as long as what is returned.
    async fn begin(&mut self) -> io::Result<([Origin; 2], TcpSocket)> {
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
        self.record(What::Begun { names: names.clone(), transport, time_scale: self.settings.time_scale });
        let mut index = 0;
        let origins = bound.map(|bound| {
            let exchanges = self.case.origins[index].clone();
            index += 1;
            bound.serve(index - 1, exchanges, names.clone(), self.released.subscribe(), self.events.clone())
        });
        Ok((origins, closed))
    }

    async fn run(&mut self) {
        let case = self.case;
        let step_deadline = case.step_deadline.unwrap_or(self.settings.step);
        let case_deadline = case.case_deadline.unwrap_or(self.settings.case).max(step_deadline);
        let end = self.start + case_deadline.mul_f64(self.settings.time_scale);
        for (index, step) in case.steps.iter().enumerate() {
            let handshake = index < case.handshake_steps;
            let allowed = if handshake { self.settings.handshake } else { step_deadline };
            let begun = Instant::now();
            let deadline = end.min(begun + allowed.mul_f64(self.settings.time_scale));
            if !matches!(step.action, Action::Send(_) | Action::SendBytes(..)) {
                self.flush_burst(deadline).await;
            }
            self.drain();
            let mut state = self.record(What::Step { step: index });
            if state != State::Over {
                state = self.act(step, deadline, state).await;
            }
            while state == State::Waiting {
                state = match self.next_event(deadline).await {
                    Some((at, what)) => self.record_at(at, what),
                    None => {
                        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                        self.record(What::Deadline { milliseconds })
                    }
                };
            }
            if state == State::Over {
                return;
            }
        }
        self.drain();
        self.record(What::Finished);
    }

    /// Does what the step says; most steps that wait do nothing.
    async fn act(&mut self, step: &Step, deadline: Instant, mut state: State) -> State {
        let connection = &step.connection;
        match &step.action {
            Action::Connect => state = self.connect(connection, deadline).await,
            Action::Send(message) => match resolve_json(message, self.judge.names()) {
                Ok(message) => self.send(connection, message.to_string().as_bytes(), Form::Frame, deadline).await,
                Err(reason) => state = self.record(What::Broken { reason }),
            },
            Action::SendBytes(template, form) => match template.resolve(self.judge.names()) {
                Ok(bytes) => self.send(connection, &bytes, *form, deadline).await,
                Err(reason) => state = self.record(What::Broken { reason }),
            },
            Action::Burst => self.burst = Some((connection.clone(), Vec::new())),
            Action::Release(name) => {
                self.released.send_if_modified(|released| released.insert(name.clone()));
            }
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
            Action::Eof => {
                if let Some(sender) = self.sender(connection) {
                    sender.end().await;
                }
            }
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
            Action::Signal(signal) => {
                if let Err(reason) = self.signal(*signal) {
                    state = self.record(What::Broken { reason });
                }
            }
            Action::Memory(_) => {
                let what = match self.memory.as_ref().map(PeakMemory::bytes) {
                    Some(bytes @ 1..) => What::Memory { bytes },
                    _ => What::Broken { reason: "the memory of the process cannot be read".to_owned() },
                };
                state = self.record(what);
            }
            Action::Probe { request, .. } => {
                let request = self.resolve(request);
                let authority = self.peer.authority().unwrap_or_default();
                let answer = self.while_recording(deadline, probe(&authority, &request)).await;
                // No answer at all is an answer to the question, too.
                let status = answer.and_then(Result::ok).unwrap_or(0);
                state = self.record(What::Probed { status });
            }
            Action::Expect(_)
            | Action::AllowMalformed
            | Action::Before(..)
            | Action::Origin(..)
            | Action::Mark(_)
            | Action::Elapsed(..)
            | Action::FirstDelta { .. } => {}
        }
        state
    }

    async fn connect(&mut self, name: &str, deadline: Instant) -> State {
        let unreached = |reason| What::Unreached { connection: name.to_owned(), reason };
        let wire = match timeout(deadline.saturating_duration_since(Instant::now()), self.peer.connect()).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => return self.record(unreached(error.to_string())),
            Err(_) => return self.record(unreached("connecting takes too long".to_owned())),
        };
        let (paused, watching) = watch::channel(false);
        let reader = tokio::spawn(read(name.to_owned(), wire.receiver, watching, self.events.clone()));
        self.connections.insert(
            name.to_owned(),
            Connection { sender: Some(wire.sender), stalled: false, closing: false, paused, reader },
        );
        State::Ready
    }

    fn sender(&mut self, connection: &str) -> Option<&mut Sender> {
        self.connections.get_mut(connection)?.sender.as_mut()
    }

    /// The bytes of a template whose names were checked when the case was read.
    fn resolve(&self, template: &Template) -> Vec<u8> {
        template.resolve(self.judge.names()).unwrap_or_default()
    }

    async fn send(&mut self, connection: &str, bytes: &[u8], form: Form, deadline: Instant) {
        let pipe = self.peer.transport() == Transport::Stdio;
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
    async fn while_recording<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                event = self.next_event(deadline) => match event {
                    Some((at, what)) => drop(self.record_at(at, what)),
                    None => return None,
                },
            }
        }
    }

    /// The next event, or `None` at the deadline.
    async fn next_event(&mut self, deadline: Instant) -> Option<(Instant, What)> {
        let wait = tokio::time::sleep_until(deadline.into());
        let event = tokio::select! {
            biased;
            event = self.incoming.recv() => event?,
            code = self.peer.exited(), if !self.exited => (Instant::now(), What::Exited { code }),
            () = wait => return None,
        };
        match &event.1 {
            What::Exited { .. } => self.exited = true,
            What::Ping { connection, text } => {
                let payload = text.clone().into_bytes();
                if let Some(sender) = self.connections.get_mut(connection).and_then(|found| found.sender.as_mut()) {
                    let pong = sender.encode_pong(&payload);
                    // A pong that cannot be written at once is missed by a peer that does not read.
                    let _ = timeout(EXIT_STATUS, sender.write(&pong)).await;
                }
            }
            What::CloseFrame { connection, .. } => {
                let closing = self.connections.get_mut(connection).filter(|found| !found.closing);
                if let Some((sender, closing)) =
                    closing.and_then(|found| Some((found.sender.as_mut()?, &mut found.closing)))
                {
                    *closing = true;
                    let close = sender.encode_close();
                    let _ = timeout(EXIT_STATUS, sender.write(&close)).await;
                }
            }
            What::Ended { .. } if self.peer.transport() == Transport::Stdio && !self.exited => {
                // The exit status tells a crash from an orderly end, so it has to come first.
                if let Ok(code) = timeout(EXIT_STATUS, self.peer.exited()).await {
                    self.exited = true;
                    self.record(What::Exited { code });
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// Records what has happened already.
    fn drain(&mut self) {
        while let Ok((at, what)) = self.incoming.try_recv() {
            self.record_at(at, what);
        }
    }

    fn record(&mut self, what: What) -> State {
        self.record_at(Instant::now(), what)
    }

    fn record_at(&mut self, at: Instant, what: What) -> State {
        let what = if self.trace.events.len() < CASE_EVENTS {
            what
        } else {
            What::Broken { reason: format!("more than {CASE_EVENTS} events") }
        };
        let elapsed = at.saturating_duration_since(self.start).as_micros();
        let number = self.trace.events.len() as u64 + 1;
        let event = Event { number, micros: u64::try_from(elapsed).unwrap_or(u64::MAX), what };
        let state = self.judge.handle(&event);
        self.trace.events.push(event);
        state
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

/// Reads a connection until its end, unless paused, and tells all that comes.
async fn read(connection: String, mut receiver: Receiver, mut paused: watch::Receiver<bool>, events: Events) {
    loop {
        if *paused.borrow_and_update() {
            // The sender lives as long as this task.
            let _ = paused.changed().await;
            continue;
        }
        let incoming = tokio::select! {
            incoming = receiver.next() => incoming,
            _ = paused.changed() => continue,
        };
        let connection = connection.clone();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let last = matches!(incoming, Incoming::Garbage(_) | Incoming::End(_));
        let what = match incoming {
            Incoming::Message { bytes, binary } => What::Received { connection, text: shorten(&bytes), binary },
            Incoming::Ping(payload) => What::Ping { connection, text: text(&payload) },
            Incoming::Pong(payload) => What::Pong { connection, text: text(&payload) },
            Incoming::Close(code) => What::CloseFrame { connection, code },
            Incoming::Garbage(reason) => What::Garbage { connection, reason },
            Incoming::End(reason) => What::Ended { connection, reason },
        };
        // The driver is gone when the case is over.
        if events.send((Instant::now(), what)).await.is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
