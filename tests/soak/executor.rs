//! The executor as a process, and what the kernel knows of it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use exec_http::client::{Client, ClientConfig};
use exec_http::transport::{lines, websocket};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often the kernel is asked, as it tells nobody of itself.
const POLL: Duration = Duration::from_millis(20);

/// Which wire is between client and executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Stdio,
    WebSocket,
}

/// A running executor; killed when dropped.
pub(crate) struct Executor {
    child: Child,
    pid: u32,
    /// Where it listens; empty on stdio.
    pub(crate) url: String,
    /// Its pipes, on stdio, until a client has them.
    pipes: Option<(ChildStdout, ChildStdin)>,
}

/// What an executor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// File descriptors.
    pub(crate) descriptors: usize,
    /// TCP connections in whatever state.
    pub(crate) connections: usize,
}

impl Executor {
    pub(crate) async fn start(over: Over) -> Self {
        Self::start_limited(over, None).await
    }

    /// With so many file descriptors and no more.
    pub(crate) async fn start_limited(over: Over, descriptors: Option<u32>) -> Self {
        let mut command = match descriptors {
            None => Command::new(program()),
            Some(limit) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), program()]);
                command
            }
        };
        let listen = if over == Over::Stdio { "stdio" } else { "ws://127.0.0.1:0" };
        let command = command.args(["serve", "--listen", listen]).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary was built");
        let (output, input) = (child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
        let pid = child.id().expect("it was not waited for");
        if over == Over::Stdio {
            return Self { child, pid, url: String::new(), pipes: Some((output, input)) };
        }
        let line = BufReader::new(output).lines().next_line().await;
        let url = line.expect("readable").expect("it prints its URL");
        Self { child, pid, url, pipes: None }
    }

    /// A client of it, without anything between.
    pub(crate) async fn client(&mut self) -> Client {
        let connection = match self.pipes.take() {
            Some((output, input)) => lines::connection(output, input),
            None => websocket::connect(&self.url).await.expect("it listens"),
        };
        Client::connect_with(connection, ClientConfig::default()).await.expect("the handshake")
    }

    /// The pipes of one on stdio.
    pub(crate) fn take_pipes(&mut self) -> (ChildStdout, ChildStdin) {
        self.pipes.take().expect("it is on stdio, and nobody has them")
    }

    pub(crate) fn held(&self) -> Held {
        let descriptors: Vec<_> = fs::read_dir(format!("/proc/{}/fd", self.pid))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect();
        let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        // The fourth column is the state, 0A for a listener; the tenth is the inode.
        let connected = |row: &&str| {
            let columns: Vec<_> = row.split_whitespace().collect();
            columns.len() > 9 && columns[3] != "0A" && descriptors.contains(&format!("socket:[{}]", columns[9]))
        };
        Held { descriptors: descriptors.len(), connections: table.lines().skip(1).filter(connected).count() }
    }

    /// Waits until it holds no connection and no more descriptors than it did once.
    pub(crate) async fn released(&self, start: Held) -> Result<(), String> {
        let holds = |held: Held| held.connections <= start.connections && held.descriptors <= start.descriptors;
        until(|| holds(self.held())).await.map_err(|()| format!("executor holds {:?}, at first {start:?}", self.held()))
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.start_kill().expect("it runs");
    }

    /// Waits for its end; an error when it does not come.
    pub(crate) async fn ended(&mut self) -> Result<(), String> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.map(|_| ()).map_err(|_| "executor does not end".to_owned())
    }
}

/// The program under test.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_exec-http")
}

/// Waits for what nobody announces.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return Err(());
        }
        sleep(POLL).await;
    }
    Ok(())
}
