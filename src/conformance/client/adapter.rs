//! A running adapter: commands go in, replies and events come out and find the case that they belong to.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::messages::{Command, Endpoint, LINE_BYTES, Line, Order, Reply, Seen};
use super::schema::{check_command, check_line};
use crate::conformance::origin::Events;
use crate::conformance::process::{CommandLine, Process, StartError};
use crate::conformance::trace::What;
use crate::protocol::framing::LineFramer;
use crate::sync::{Arc, Mutex};

/// Commands that wait for the adapter to read them.
const WAITING_COMMANDS: usize = 1_024;

/// Between the number of a case and a name of it, in the names that the adapter sees.
const SEPARATOR: char = '.';

/// Characters of a wrong line that are shown.
const SHOWN_CHARACTERS: usize = 300;

/// How long the end of the process has to wait for the last of its lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// An adapter that was started. Clones share its process, which is killed with the last of them.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The process.
    process: Arc<Process>,
    /// Lines for its standard input; closed by [`Adapter::end`].
    commands: Arc<Mutex<Option<mpsc::Sender<Vec<u8>>>>>,
    /// Who waits for what.
    switchboard: Arc<Mutex<Switchboard>>,
    /// Ends when both pipes have.
    _tasks: Arc<[JoinHandle<()>; 2]>,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Switchboard {
    /// The last id of a command.
    last_id: u64,
    /// The last number of an event.
    last_event: u64,
    /// The last number of a case.
    last_case: u64,
    /// The case that waits for the reply to a command.
    waiting: HashMap<u64, u64>,
    /// The cases under way.
    cases: HashMap<u64, Events>,
    /// How it ended; said to cases that begin later, too.
    end: Option<What>,
}

impl Adapter {
    /// Starts the command. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] says why it does not start.
    pub fn start(command: &CommandLine) -> Result<Self, StartError> {
        let (process, stdin, stdout) = Process::start(command, &[])?;
        let (commands, lines) = mpsc::channel(WAITING_COMMANDS);
        let switchboard = Arc::new(Mutex::new(Switchboard::default()));
        // The tasks hold no part of the process: it has to be killed with the last clone of the adapter, not behind them.
        let tasks =
            [tokio::spawn(write(stdin, lines)), tokio::spawn(read(stdout, Arc::clone(&switchboard), process.status()))];
        let process = Arc::new(process);
        let commands = Arc::new(Mutex::new(Some(commands)));
        Ok(Self { process, commands, switchboard, _tasks: Arc::new(tasks) })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Begins a case: what the adapter tells about it goes to `events`.
    pub fn session(&self, events: Events) -> Session {
        let mut board = self.switchboard.lock();
        board.last_case += 1;
        let case = board.last_case;
        if let Some(end) = &board.end {
            // A case that listens has room for it.
            let _ = events.try_send((Instant::now(), end.clone()));
        }
        board.cases.insert(case, events);
        Session { adapter: self.clone(), case }
    }

    /// Ends its standard input.
    pub fn end(&self) {
        *self.commands.lock() = None;
    }
}

/// The adapter as one case sees it. Dropping it ends what the case hears.
#[derive(Debug)]
pub struct Session {
    /// The adapter.
    adapter: Adapter,
    /// The number of the case.
    case: u64,
}

impl Session {
    /// Gives a command its id and sends it. Returns the command as the trace keeps it, which is told to the case before the
    /// adapter can answer, and a future that is ready when the line is on its way.
    ///
    /// # Panics
    ///
    /// When the command breaks the published schema: a case that was read cannot make it do so.
    pub fn command(&self, order: Order) -> (Command, impl Future<Output = ()> + Send + 'static) {
        let id = {
            let mut board = self.adapter.switchboard.lock();
            board.last_id += 1;
            let id = board.last_id;
            board.waiting.insert(id, self.case);
            id
        };
        let command = Command { id, order };
        let mut outgoing = command.clone();
        outgoing.order.rename(|name| format!("{}{SEPARATOR}{name}", self.case));
        let value = serde_json::to_value(&outgoing).expect("a command is JSON");
        check_command(&value).expect("a command follows the schema");
        let line = format!("{value}\n").into_bytes();
        let commands = self.adapter.commands.lock().clone();
        let sent = async move {
            // An adapter that does not read any more has ended, which is told as an event.
            if let Some(commands) = commands {
                let _ = commands.send(line).await;
            }
        };
        (command, sent)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its commands may still be replied to.
        self.adapter.switchboard.lock().cases.remove(&self.case);
    }
}

impl Order {
    /// Gives the connection and the call in it other names.
    fn rename(&mut self, rename: impl Fn(&str) -> String) {
        let (conn, op) = match self {
            Self::Open { conn, .. } | Self::Census { conn } | Self::Close { conn } => (Some(conn), None),
            Self::Request { conn, op, .. } => (Some(conn), Some(op)),
            Self::Read { op, .. } | Self::Drain { op } | Self::Drop { op, .. } | Self::Cancel { op } => {
                (None, Some(op))
            }
            Self::Hello { .. } | Self::Sync | Self::Bye => (None, None),
        };
        conn.into_iter().chain(op).for_each(|name| *name = rename(name));
    }
}

impl Seen {
    fn name_mut(&mut self) -> &mut String {
        match self {
            Self::Response { op, .. }
            | Self::CallFailed { op, .. }
            | Self::Chunk { op, .. }
            | Self::End { op }
            | Self::StreamFailed { op, .. } => op,
            Self::Closed { conn } => conn,
        }
    }
}

impl Switchboard {
    /// Finds the case that a line belongs to, and gives its names back.
    fn route(&mut self, mut line: Line) -> Result<Option<(Events, Line)>, String> {
        let case = match &mut line {
            Line::Reply { id, .. } => {
                self.waiting.remove(id).ok_or_else(|| format!("a reply to {id}, which nobody asked"))?
            }
            Line::Event { n, event } => {
                if *n != self.last_event + 1 {
                    return Err(format!("event {n} behind event {}", self.last_event));
                }
                self.last_event = *n;
                let name = event.name_mut();
                let (case, rest) =
                    name.split_once(SEPARATOR).ok_or_else(|| format!("a name {name:?} that nobody gave"))?;
                let case = case.parse().map_err(|_| format!("a name {name:?} that nobody gave"))?;
                *name = rest.to_owned();
                case
            }
        };
        // A case that is over hears nothing of what its calls come to.
        Ok(self.cases.get(&case).map(|events| (events.clone(), line)))
    }
}

impl Switchboard {
    /// The case that a wrong line seems to belong to, or all of them.
    fn concerned(&self, line: &[u8]) -> Vec<Events> {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        let named = value["op"].as_str().or_else(|| value["conn"].as_str());
        let of_name = named.and_then(|name| name.split_once(SEPARATOR)?.0.parse().ok());
        let of_id = value["id"].as_u64().and_then(|id| self.waiting.get(&id).copied());
        match of_name.or(of_id) {
            // A case that is over is beyond being wronged.
            Some(case) => self.cases.get(&case).cloned().into_iter().collect(),
            None => self.cases.values().cloned().collect(),
        }
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Reads lines to the end, and then tells every case that the process has ended.
async fn read(
    mut stdout: ChildStdout,
    switchboard: Arc<Mutex<Switchboard>>,
    status: impl Future<Output = Option<ExitStatus>>,
) {
    let mut framer = LineFramer::new(LINE_BYTES);
    loop {
        match framer.poll_line() {
            Ok(Some(line)) => {
                let told = decode(line).and_then(|line| switchboard.lock().route(line));
                match told {
                    Ok(None) => {}
                    Ok(Some((events, line))) => {
                        // The case may be over.
                        let _ = events.send((Instant::now(), What::Heard { line })).await;
                    }
                    Err(fault) => {
                        let what = What::Broken { reason: wrong(&fault, line) };
                        let concerned = switchboard.lock().concerned(line);
                        for events in concerned {
                            let _ = events.send((Instant::now(), what.clone())).await;
                        }
                    }
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                let reason = format!("the adapter breaks its protocol: {error}");
                tell_all(&switchboard, &What::Broken { reason }).await;
                return;
            }
        }
        match stdout.read_buf(framer.buffer_mut()).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let status = tokio::time::timeout(LAST_LINES, status).await.ok().flatten();
    tell_all(&switchboard, &What::Exited { code: status.and_then(|status| status.code()) }).await;
}

/// Tells all cases how it ended.
async fn tell_all(switchboard: &Mutex<Switchboard>, what: &What) {
    let cases: Vec<Events> = {
        let mut board = switchboard.lock();
        board.end = Some(what.clone());
        board.cases.values().cloned().collect()
    };
    for events in cases {
        let _ = events.send((Instant::now(), what.clone())).await;
    }
}

fn decode(line: &[u8]) -> Result<Line, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    check_line(&value)?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn wrong(fault: &str, line: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(line).chars().take(SHOWN_CHARACTERS).collect();
    format!("the adapter breaks its protocol: {fault} — {shown}")
}

/// What a conversation outside of any case comes to.
#[derive(Debug)]
pub struct Talk {
    /// The adapter.
    session: Session,
    /// What it tells.
    heard: mpsc::Receiver<(Instant, What)>,
}

impl Talk {
    /// A conversation with that adapter.
    pub fn with(adapter: &Adapter) -> Self {
        let (events, heard) = mpsc::channel(WAITING_COMMANDS);
        Self { session: adapter.session(events), heard }
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// What came instead, or that nothing came before the deadline.
    pub async fn ask(&mut self, order: Order, limit: Duration) -> Result<Reply, String> {
        let (command, sent) = self.session.command(order);
        self.await_reply(command.id, sent, limit).await
    }

    async fn await_reply(&mut self, id: u64, sent: impl Future<Output = ()>, limit: Duration) -> Result<Reply, String> {
        let answered = async {
            sent.await;
            loop {
                match self.heard.recv().await {
                    Some((_, What::Heard { line: Line::Reply { id: of, reply } })) if of == id => return Ok(reply),
                    Some((_, What::Broken { reason })) => return Err(reason),
                    Some((_, What::Exited { code: Some(code) })) => {
                        return Err(format!("the adapter exited with status {code}"));
                    }
                    Some((_, What::Exited { code: None })) | None => return Err("the adapter has ended".to_owned()),
                    Some(_) => {}
                }
            }
        };
        let answer = tokio::time::timeout(limit, answered).await;
        answer.unwrap_or_else(|_| Err(format!("no reply within {} ms", limit.as_millis())))
    }

    /// Sends a command that the protocol does not have in this form, its `id` added, and waits for its reply.
    ///
    /// # Errors
    ///
    /// As [`Talk::ask`].
    pub async fn ask_freely(&mut self, mut line: Value, limit: Duration) -> Result<Reply, String> {
        let (command, _) = self.session.command(Order::Sync);
        line["id"] = command.id.into();
        let line = format!("{line}\n").into_bytes();
        let commands = self.session.adapter.commands.lock().clone();
        let sent = async move {
            if let Some(commands) = commands {
                let _ = commands.send(line).await;
            }
        };
        self.await_reply(command.id, sent, limit).await
    }
}

impl Endpoint {
    /// A websocket on the loopback address.
    pub fn websocket(port: u16) -> Self {
        Self::Ws { url: format!("ws://127.0.0.1:{port}/") }
    }
}
