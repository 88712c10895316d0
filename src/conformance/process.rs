//! One process of the implementation under test: its group, its standard error, its end.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::sync::{Arc, Mutex};

/// How long a peer may take to end by itself, and once more after SIGTERM.
pub const EXIT_GRACE: Duration = Duration::from_secs(2);

/// Bytes of standard error that are kept, the newest ones.
const STDERR_TAIL_BYTES: usize = 64 * 1024;

/// Bytes of standard error that go to a file of one case.
const STDERR_FILE_BYTES: usize = 16 * 1024 * 1024;

/// How often a group whose leader has gone is looked at: the end of a grandchild is no event that a parent can await.
const SURVIVOR_POLL: Duration = Duration::from_millis(10);

/// What to start and in which surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// Added to the environment, after the proxy variables were removed from it.
    pub env: Vec<(String, String)>,
    /// The working directory; `None` for that of the suite.
    pub cwd: Option<PathBuf>,
}

/// Why a process could not be started.
#[derive(Debug)]
pub enum StartError {
    /// No such program.
    NotFound(String),
    /// The program exists but does not run.
    NotRunnable(String, io::Error),
    /// The working directory does not exist.
    NoDirectory(PathBuf),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(program) => write!(f, "no such program: {program}"),
            Self::NotRunnable(program, error) => write!(f, "{program} cannot be started: {error}"),
            Self::NoDirectory(path) => write!(f, "no such directory: {}", path.display()),
        }
    }
}

impl std::error::Error for StartError {}

/// A started process. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    /// The group, which has the id of its leader.
    group: Pid,
    /// Set to the status of the leader when it ends; the status is `None` when it cannot be read.
    exit: watch::Receiver<Option<Option<ExitStatus>>>,
    /// What it wrote to standard error.
    stderr: Stderr,
    /// Ends with standard error.
    stderr_reader: Mutex<Option<JoinHandle<()>>>,
}

/// The end of one process.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// `None` when the status could not be read.
    pub status: Option<ExitStatus>,
    /// Somebody of the group had to be killed.
    pub leaked: bool,
}

impl Process {
    /// Starts the command in a process group of its own, with `env` added to its environment, and returns its standard
    /// input and output. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] says why it does not start.
    pub fn start(
        command: &CommandLine,
        env: &[(String, String)],
    ) -> Result<(Self, ChildStdin, ChildStdout), StartError> {
        let program = &command.argv[0];
        let mut builder = Command::new(program);
        builder.args(&command.argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        builder.process_group(0);
        for name in proxy_variables() {
            builder.env_remove(name);
        }
        builder.envs(command.env.iter().chain(env).map(|(name, value)| (name, value)));
        if let Some(cwd) = &command.cwd {
            if !cwd.is_dir() {
                return Err(StartError::NoDirectory(cwd.clone()));
            }
            builder.current_dir(cwd);
        }
        let mut child = builder.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StartError::NotFound(program.clone()),
            _ => StartError::NotRunnable(program.clone(), error),
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).expect("a child that was not awaited has its id");
        let piped = "all three standard streams are piped";
        let (stdin, stdout) = (child.stdin.take().expect(piped), child.stdout.take().expect(piped));
        let stderr = Stderr::default();
        let stderr_reader = tokio::spawn(stderr.clone().read_from(child.stderr.take().expect(piped)));
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move { exited.send_replace(Some(child.wait().await.ok())) });
        let stderr_reader = Mutex::new(Some(stderr_reader));
        Ok((Self { group: Pid::from_raw(id), exit, stderr, stderr_reader }, stdin, stdout))
    }

    /// The process id, which is also the id of the group.
    pub fn id(&self) -> u32 {
        self.group.as_raw().unsigned_abs()
    }

    /// What it wrote to standard error; stays readable after the end.
    pub fn stderr(&self) -> &Stderr {
        &self.stderr
    }

    /// Whether the process has ended; others of its group may live on.
    pub fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits for the end of the process. Cancel safe.
    pub async fn wait(&self) -> Option<ExitStatus> {
        self.status().await
    }

    /// Like [`Process::wait`], for a task that must not keep the process.
    pub fn status(&self) -> impl Future<Output = Option<ExitStatus>> + Send + use<> {
        let mut exit = self.exit.clone();
        // The sender is dropped without a status only when the runtime shuts down.
        async move { exit.wait_for(Option::is_some).await.ok().and_then(|status| status.flatten()) }
    }

    /// Ends the process: `grace` for ending by itself (its standard input or its connections are closed already), then
    /// SIGTERM and [`EXIT_GRACE`], then SIGKILL.
    pub async fn end(&self, grace: Duration) -> Ended {
        let mut left = !self.is_gone_within(grace).await;
        if left {
            self.signal(Signal::SIGTERM);
            left = !self.is_gone_within(EXIT_GRACE).await;
        }
        if left {
            self.signal(Signal::SIGKILL);
            // Nobody survives this, but on a busy machine it takes a moment.
            self.is_gone_within(EXIT_GRACE).await;
        }
        let status = timeout(EXIT_GRACE, self.wait()).await.ok().flatten();
        let reader = self.stderr_reader.lock().take();
        if let Some(reader) = reader {
            // Somebody outside the group may hold the other end open.
            let _ = timeout(EXIT_GRACE, reader).await;
        }
        Ended { status, leaked: left }
    }

    /// Signals the whole group.
    fn signal(&self, signal: Signal) {
        // The only possible error is that nobody is left, which is what every caller is after.
        let _ = killpg(self.group, signal);
    }

    /// Whether nobody of the group is left before the time is over.
    async fn is_gone_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        if timeout_at(deadline, self.wait()).await.is_err() {
            return false;
        }
        while group_is_alive(self.group) {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(SURVIVOR_POLL).await;
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if group_is_alive(self.group) {
            self.signal(Signal::SIGKILL);
        }
        if let Some(reader) = self.stderr_reader.lock().take() {
            reader.abort();
        }
    }
}

/// The newest part of what a process writes to standard error.
#[derive(Clone, Debug, Default)]
pub struct Stderr {
    tail: Arc<Mutex<Tail>>,
}

#[derive(Debug, Default)]
struct Tail {
    /// At most [`STDERR_TAIL_BYTES`].
    bytes: Vec<u8>,
    /// Bytes that were written before the first of `bytes`.
    dropped: usize,
    /// Where it is copied to.
    copies: Vec<(u64, StderrFile)>,
    /// How many copies there have been.
    copies_made: u64,
}

impl Stderr {
    /// A position for [`Stderr::since`]: everything written so far lies before it.
    pub fn position(&self) -> usize {
        let tail = self.tail.lock();
        tail.dropped + tail.bytes.len()
    }

    /// What was written behind that position, as far as it was kept.
    pub fn since(&self, position: usize) -> String {
        let tail = self.tail.lock();
        String::from_utf8_lossy(&tail.bytes[position.saturating_sub(tail.dropped).min(tail.bytes.len())..]).into_owned()
    }

    /// Copies what is written from now on to a file, which is made with the first byte, until the copy is dropped.
    pub fn copy_to(&self, path: PathBuf) -> StderrCopy {
        let mut tail = self.tail.lock();
        tail.copies_made += 1;
        let number = tail.copies_made;
        tail.copies.push((number, StderrFile { path, file: None, left: STDERR_FILE_BYTES }));
        StderrCopy { stderr: self.clone(), number }
    }

    async fn read_from(self, mut pipe: ChildStderr) {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            self.tail.lock().push(&chunk[..length]);
        }
    }
}

/// Standard error goes to a file as long as this lives.
#[derive(Debug)]
pub struct StderrCopy {
    /// Whose.
    stderr: Stderr,
    /// Among its copies.
    number: u64,
}

impl Drop for StderrCopy {
    fn drop(&mut self) {
        self.stderr.tail.lock().copies.retain(|(number, _)| *number != self.number);
    }
}

/// A file to which standard error goes.
#[derive(Debug)]
struct StderrFile {
    path: PathBuf,
    /// `None` until there is something to write.
    file: Option<File>,
    /// Bytes that may still be written.
    left: usize,
}

impl StderrFile {
    /// A disk that is full must not change a verdict, so that errors only end the file.
    fn add(&mut self, chunk: &[u8]) {
        let chunk = &chunk[..chunk.len().min(self.left)];
        if self.file.is_none() && !chunk.is_empty() {
            self.file = File::create(&self.path).ok();
        }
        let written = self.file.as_mut().is_some_and(|file| file.write_all(chunk).is_ok());
        self.left = if written { self.left - chunk.len() } else { 0 };
    }
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        self.copies.iter_mut().for_each(|(_, copy)| copy.add(chunk));
        self.bytes.extend_from_slice(chunk);
        let excess = self.bytes.len().saturating_sub(STDERR_TAIL_BYTES);
        self.bytes.drain(..excess);
        self.dropped += excess;
    }
}

/// The names of proxy variables in the environment of the suite, in any case: a proxy would stand between the peer and
/// the origin of the suite.
fn proxy_variables() -> impl Iterator<Item = OsString> {
    const NAMES: [&str; 5] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"];
    let is_proxy =
        |name: &OsString| name.to_str().is_some_and(|name| NAMES.contains(&name.to_ascii_lowercase().as_str()));
    std::env::vars_os().map(|(name, _)| name).filter(is_proxy)
}

/// Whether a process of that group is running. One that has ended but that nobody waits for does not count: in a container
/// without an init process it stays for ever.
fn group_is_alive(group: Pid) -> bool {
    killpg(group, None).is_ok() && running_members(group).unwrap_or(true)
}

/// Looks through `/proc` for a running process of the group; `None` on systems without it.
fn running_members(group: Pid) -> Option<bool> {
    let group = group.as_raw().to_string();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The command name stands in parentheses and may hold anything; behind it: state, parent, group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let (state, member_of) = (fields.next(), fields.nth(1));
        if member_of == Some(group.as_str()) && !matches!(state, Some("Z" | "X")) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncBufReadExt;

    use super::*;

    fn shell(script: &str) -> CommandLine {
        CommandLine { argv: vec!["/bin/sh".into(), "-c".into(), script.into()], env: Vec::new(), cwd: None }
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_leaves_its_status_and_its_stderr() {
        let (process, stdin, _stdout) =
            Process::start(&shell("cat; echo $WORD >&2; exit 3"), &[("WORD".into(), "bye".into())])
                .expect("a shell can be started");
        let stderr = process.stderr().clone();
        drop(stdin);
        let ended = process.end(EXIT_GRACE).await;
        assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
        assert!(!ended.leaked);
        assert_eq!(stderr.since(0), "bye\n");
        assert_eq!(stderr.since(stderr.position()), "");
    }

    #[tokio::test]
    async fn a_group_that_ignores_sigterm_is_killed_and_reported() {
        let script = "trap '' TERM; sleep 60 & echo ready; wait; sleep 60";
        let (process, stdin, stdout) = Process::start(&shell(script), &[]).expect("a shell can be started");
        let mut line = String::new();
        tokio::io::BufReader::new(stdout).read_line(&mut line).await.expect("the pipe can be read");
        let group = process.group;
        drop(stdin);
        let ended = process.end(Duration::ZERO).await;
        assert!(ended.leaked);
        assert!(!group_is_alive(group));
    }

    #[tokio::test]
    async fn dropping_a_process_kills_its_group() {
        let (process, stdin, mut stdout) =
            Process::start(&shell("sleep 60 & sleep 60"), &[]).expect("a shell can be started");
        drop(process);
        let mut rest = Vec::new();
        // The pipe ends when the last process that holds it has gone.
        stdout.read_to_end(&mut rest).await.expect("the pipe can be read");
        drop(stdin);
    }

    #[tokio::test]
    async fn a_missing_program_and_a_missing_directory_are_named() {
        let missing = CommandLine { argv: vec!["no-such-program-anywhere".into()], ..shell("") };
        let error = Process::start(&missing, &[]).map(|_| ()).expect_err("it does not exist");
        assert_eq!(error.to_string(), "no such program: no-such-program-anywhere");
        let nowhere = CommandLine { cwd: Some("/no/such/directory".into()), ..shell("true") };
        let error = Process::start(&nowhere, &[]).map(|_| ()).expect_err("it does not exist");
        assert_eq!(error.to_string(), "no such directory: /no/such/directory");
    }

    #[test]
    fn stderr_is_copied_while_a_copy_lives() {
        let path = std::env::temp_dir().join(format!("exec-http-stderr-{}", std::process::id()));
        let stderr = Stderr::default();
        stderr.tail.lock().push(b"before ");
        let copy = stderr.copy_to(path.clone());
        assert!(!path.exists(), "nothing was written");
        stderr.tail.lock().push(b"meanwhile");
        assert_eq!(std::fs::read(&path).expect("a file"), b"meanwhile");
        drop(copy);
        stderr.tail.lock().push(b" behind");
        assert_eq!(std::fs::read(&path).expect("a file"), b"meanwhile");
        std::fs::remove_file(path).expect("it is ours");
    }

    #[test]
    fn only_the_newest_stderr_is_kept() {
        let mut tail = Tail::default();
        tail.push(&vec![b'a'; STDERR_TAIL_BYTES]);
        tail.push(b"bc");
        assert_eq!((tail.bytes.len(), tail.dropped), (STDERR_TAIL_BYTES, 2));
        assert!(tail.bytes.ends_with(b"abc"));
    }
}
