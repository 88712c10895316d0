//! The implementation under test: a command that is started, or an address that is attached to.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;
use url::{Host, Url};

use super::case::Transport;
use super::driver::PeerHandle;
use super::process::{CommandLine, Process, StartError};
use super::wire::Wire;
use crate::sync::{Arc, Mutex};
use crate::transport::websocket::Token;

/// How long a peer may take from its start to a completed handshake.
pub const START: Duration = Duration::from_secs(15);

/// Bytes of standard output in which a listening peer has to name its URL.
const ANNOUNCEMENT_BYTES: u64 = 64 * 1024;

/// What is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A command; its arguments may have placeholders. `{addr}` and `{port}` stand for a free loopback address, `{listen}`
    /// for `stdio` or `ws://127.0.0.1:0`. Without the first two, a listening peer names its URL on standard output.
    Command(CommandLine),
    /// A websocket that somebody else started.
    Attach {
        /// Its URL.
        url: String,
        /// What it wants to be shown.
        token: Option<Token>,
    },
}

/// Why a command line does not describe a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Unbalanced quotes.
    Words,
    /// No program.
    Empty,
    /// Not `ws://HOST:PORT/...`.
    Url(String),
    /// Not a loopback address.
    Remote(String),
    /// The target cannot be reached by that transport.
    Transport(Transport, &'static str),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words => f.write_str("the command has unbalanced quotes"),
            Self::Empty => f.write_str("the command is empty"),
            Self::Url(url) => write!(f, "not a ws:// URL: {url}"),
            Self::Remote(host) => {
                write!(f, "{host} is not a loopback address; --allow-remote sends hostile frames to it")
            }
            Self::Transport(transport, why) => write!(f, "cannot test over {transport}: {why}"),
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// A command out of one text, split by the rules of a shell but without one.
    ///
    /// # Errors
    ///
    /// [`TargetError::Words`] and [`TargetError::Empty`].
    pub fn split(command: &str) -> Result<Vec<String>, TargetError> {
        let argv = shell_words::split(command).map_err(|_| TargetError::Words)?;
        if argv.is_empty() { Err(TargetError::Empty) } else { Ok(argv) }
    }

    /// A URL to attach to, with the token that the peer wants.
    ///
    /// # Errors
    ///
    /// [`TargetError::Url`], and [`TargetError::Remote`] unless `allow_remote`.
    pub fn attach(url: &str, token: Option<Token>, allow_remote: bool) -> Result<Self, TargetError> {
        let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "ws");
        let parsed = parsed.ok_or_else(|| TargetError::Url(url.to_owned()))?;
        let host = parsed.host().ok_or_else(|| TargetError::Url(url.to_owned()))?;
        let loopback = match &host {
            Host::Domain(name) => *name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        if !loopback && !allow_remote {
            return Err(TargetError::Remote(host.to_string()));
        }
        Ok(Self::Attach { url: url.to_owned(), token })
    }

    /// The transports to test over: those that were asked for, or else those that the target obviously offers.
    ///
    /// # Errors
    ///
    /// [`TargetError::Transport`] when one that was asked for cannot be reached.
    pub fn transports(&self, wanted: &[Transport]) -> Result<Vec<Transport>, TargetError> {
        let (offered, why) = match self {
            Self::Attach { .. } => (vec![Transport::Websocket], "a URL is a websocket"),
            Self::Command(command) if command.has("{listen}") => (vec![Transport::Stdio, Transport::Websocket], ""),
            Self::Command(command) if command.has("{addr}") || command.has("{port}") => {
                (vec![Transport::Websocket], "the command names a listening address")
            }
            // What the command does is known to its author only.
            Self::Command(_) if wanted.len() > 1 => {
                (Vec::new(), "one command cannot serve both, unless it has the placeholder {listen}")
            }
            Self::Command(_) if !wanted.is_empty() => return Ok(wanted.to_vec()),
            Self::Command(_) => (vec![Transport::Stdio], ""),
        };
        match wanted.iter().find(|transport| !offered.contains(transport)) {
            Some(transport) => Err(TargetError::Transport(*transport, why)),
            None if wanted.is_empty() => Ok(offered),
            None => Ok(wanted.to_vec()),
        }
    }

    /// Whether the suite starts the processes.
    pub fn is_spawned(&self) -> bool {
        matches!(self, Self::Command(_))
    }

    /// Starts the peer, or names its address. `env` is added to its environment. A listening peer has `limit` to name
    /// its URL. Dropping the future kills what was started.
    ///
    /// # Errors
    ///
    /// See [`LaunchError`].
    pub async fn launch(
        &self,
        transport: Transport,
        env: &[(String, String)],
        limit: Duration,
    ) -> Result<Peer, LaunchError> {
        let command = match self {
            Self::Attach { url, token } => {
                let endpoint = Endpoint::Url { url: url.clone(), token: token.clone(), _stdin: None };
                return Ok(Peer { process: None, endpoint });
            }
            Self::Command(command) => command,
        };
        let port = if command.has("{addr}") || command.has("{port}") { Some(free_port()?) } else { None };
        let (process, stdin, stdout) =
            Process::start(&command.filled(transport, port), env).map_err(LaunchError::Start)?;
        let endpoint = match (transport, port) {
            (Transport::Stdio, _) => Endpoint::Stdio(Arc::new(Mutex::new(Some((stdin, stdout))))),
            (Transport::Websocket, Some(port)) => {
                tokio::spawn(drain(stdout));
                Endpoint::Url { url: format!("ws://127.0.0.1:{port}"), token: None, _stdin: Some(Arc::new(stdin)) }
            }
            (Transport::Websocket, None) => match timeout(limit, announced_url(stdout)).await {
                Ok(Some(url)) => Endpoint::Url { url, token: None, _stdin: Some(Arc::new(stdin)) },
                Ok(None) => return Err(LaunchError::Ended(timeout(limit, process.wait()).await.ok().flatten())),
                Err(_) => return Err(LaunchError::NoUrl(limit)),
            },
        };
        Ok(Peer { process: Some(Arc::new(process)), endpoint })
    }
}

impl CommandLine {
    fn has(&self, placeholder: &str) -> bool {
        self.argv.iter().any(|argument| argument.contains(placeholder))
    }

    /// The command with its placeholders filled in.
    fn filled(&self, transport: Transport, port: Option<u16>) -> Self {
        let listen = match transport {
            Transport::Stdio => "stdio",
            Transport::Websocket => "ws://127.0.0.1:0",
        };
        let fill = |argument: &String| {
            let argument = argument.replace("{listen}", listen);
            match port {
                Some(port) => {
                    argument.replace("{addr}", &format!("127.0.0.1:{port}")).replace("{port}", &port.to_string())
                }
                None => argument,
            }
        };
        Self { argv: self.argv.iter().map(fill).collect(), ..self.clone() }
    }
}

/// A peer that was started or is attached to. Clones share its process, which is killed with the last of them.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `None` when attached.
    process: Option<Arc<Process>>,
    /// Where it is reached.
    endpoint: Endpoint,
}

/// Where a peer is reached.
#[derive(Clone, Debug)]
enum Endpoint {
    /// Its standard input and output, until they are used.
    Stdio(Arc<Mutex<Option<(ChildStdin, ChildStdout)>>>),
    /// A websocket.
    Url {
        /// Its address.
        url: String,
        /// What is shown to it.
        token: Option<Token>,
        /// The standard input of a started peer: held open as long as the peer is used.
        _stdin: Option<Arc<ChildStdin>>,
    },
}

impl Peer {
    /// The process; `None` when attached.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_deref()
    }
}

impl PeerHandle for Peer {
    async fn connect(&mut self) -> io::Result<Wire> {
        match &self.endpoint {
            Endpoint::Url { url, token, .. } => Wire::websocket(url, token.as_ref()).await,
            Endpoint::Stdio(pipes) => {
                let (stdin, stdout) = pipes.lock().take().ok_or(io::ErrorKind::AddrInUse)?;
                Ok(Wire::stdio(stdin, stdout))
            }
        }
    }

    fn transport(&self) -> Transport {
        match self.endpoint {
            Endpoint::Stdio(_) => Transport::Stdio,
            Endpoint::Url { .. } => Transport::Websocket,
        }
    }

    fn authority(&self) -> Option<String> {
        let Endpoint::Url { url, .. } = &self.endpoint else { return None };
        let url = Url::parse(url).ok()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    fn token(&self) -> Option<&Token> {
        match &self.endpoint {
            Endpoint::Url { token, .. } => token.as_ref(),
            Endpoint::Stdio(_) => None,
        }
    }

    fn pid(&self) -> Option<u32> {
        self.process().map(Process::id)
    }

    fn exited(&self) -> impl Future<Output = Option<i32>> + Send + 'static {
        let process = self.process.clone();
        async move {
            match process {
                Some(process) => process.wait().await.and_then(|status| status.code()),
                None => std::future::pending().await,
            }
        }
    }
}

/// Why a peer cannot be reached.
#[derive(Debug)]
pub enum LaunchError {
    /// It could not be started.
    Start(StartError),
    /// It ended, or closed its standard output, without naming a URL.
    Ended(Option<ExitStatus>),
    /// It did not name a URL in that time.
    NoUrl(Duration),
    /// No free port on the loopback address.
    NoPort(io::Error),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Ended(status) => write!(f, "the peer {} before it printed a ws:// URL", ended(*status)),
            Self::NoUrl(limit) => write!(f, "the peer printed no ws:// URL within {limit:?}"),
            Self::NoPort(error) => write!(f, "no free port: {error}"),
        }
    }
}

impl std::error::Error for LaunchError {}

/// `exited with status 1` and so on.
pub fn ended(status: Option<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;

    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exited with status {code}"),
        Some((None, Some(signal))) => format!("was ended by signal {signal}"),
        Some((None, None)) | None => "closed its output".to_owned(),
    }
}

/// A loopback port that was free a moment ago.
fn free_port() -> Result<u16, LaunchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LaunchError::NoPort)?;
    Ok(listener.local_addr().map_err(LaunchError::NoPort)?.port())
}

/// The first ws URL that the peer prints; what it prints later is read and thrown away, so that it never blocks.
async fn announced_url(stdout: ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(stdout.take(ANNOUNCEMENT_BYTES)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(url) = line.split_whitespace().find_map(|word| word.find("ws://").map(|at| &word[at..])) {
            let url = url.trim_end_matches(['.', ',', ';', '"', '\'', ')', ']', '>']).to_owned();
            tokio::spawn(drain(lines.into_inner().into_inner().into_inner()));
            return Some(url);
        }
    }
    None
}

async fn drain(mut stdout: ChildStdout) {
    // Ends with the process that holds the other end.
    let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Target {
        let argv = Target::split(text).expect("the quotes are balanced");
        Target::Command(CommandLine { argv, env: Vec::new(), cwd: None })
    }

    #[test]
    fn commands_are_split_like_a_shell_would() {
        let argv = Target::split("'my executor' --stdio \"a b\"");
        assert_eq!(argv, Ok(vec!["my executor".into(), "--stdio".into(), "a b".into()]));
        assert_eq!(Target::split("a 'b"), Err(TargetError::Words));
        assert_eq!(Target::split("  "), Err(TargetError::Empty));
    }

    #[test]
    fn only_loopback_websockets_are_attached_to() {
        for url in ["ws://127.0.0.1:1", "ws://localhost:1/path", "ws://[::1]:1", "ws://127.9.9.9:1"] {
            assert_eq!(Target::attach(url, None, false), Ok(Target::Attach { url: url.into(), token: None }));
        }
        assert_eq!(Target::attach("ws://192.0.2.1:1", None, false), Err(TargetError::Remote("192.0.2.1".into())));
        assert_eq!(Target::attach("ws://example.com:1", None, false), Err(TargetError::Remote("example.com".into())));
        assert!(Target::attach("ws://192.0.2.1:1", None, true).is_ok());
        for url in ["http://127.0.0.1:1", "127.0.0.1:1", "ws://"] {
            assert_eq!(Target::attach(url, None, true), Err(TargetError::Url(url.into())));
        }
    }

    #[test]
    fn the_command_shows_which_transports_it_offers() {
        use Transport::{Stdio, Websocket};

        assert_eq!(command("a --stdio").transports(&[]), Ok(vec![Stdio]));
        assert_eq!(command("a").transports(&[Websocket]), Ok(vec![Websocket]));
        assert_eq!(command("a {addr}").transports(&[]), Ok(vec![Websocket]));
        assert_eq!(command("a {listen}").transports(&[]), Ok(vec![Stdio, Websocket]));
        assert_eq!(command("a {listen}").transports(&[Stdio]), Ok(vec![Stdio]));
        assert!(command("a").transports(&[Stdio, Websocket]).is_err());
        assert!(command("a {port}").transports(&[Stdio]).is_err());
        assert!(Target::attach("ws://127.0.0.1:1", None, false).is_ok_and(|url| url.transports(&[Stdio]).is_err()));
    }

    #[test]
    fn placeholders_are_filled_in() {
        let Target::Command(line) = command("a {addr} -p={port} {listen}") else { panic!("it is a command") };
        let filled = line.filled(Transport::Websocket, Some(7));
        assert_eq!(filled.argv, ["a", "127.0.0.1:7", "-p=7", "ws://127.0.0.1:0"]);
        assert_eq!(line.filled(Transport::Stdio, Some(7)).argv[3], "stdio");
    }

    #[tokio::test]
    async fn a_listening_peer_names_its_url_in_any_line() {
        let peer = command("/bin/sh -c 'echo starting; echo \"listening on ws://127.0.0.1:4321/x.\"; exec sleep 60'");
        let peer = peer.launch(Transport::Websocket, &[], START).await.expect("the shell prints a URL");
        assert_eq!(peer.authority().as_deref(), Some("127.0.0.1:4321"));
        assert!(
            matches!(peer.endpoint, Endpoint::Url { url, token: None, _stdin: Some(_) } if url == "ws://127.0.0.1:4321/x")
        );
    }

    #[tokio::test]
    async fn a_peer_that_names_no_url_is_described() {
        let exits = command("/bin/sh -c 'echo hello; exit 4'").launch(Transport::Websocket, &[], START).await;
        let exits = exits.map(|_| ()).expect_err("there is no URL");
        assert_eq!(exits.to_string(), "the peer exited with status 4 before it printed a ws:// URL");
        let limit = Duration::from_millis(20);
        let hangs = command("sleep 60").launch(Transport::Websocket, &[], limit).await;
        let hangs = hangs.map(|_| ()).expect_err("there is no URL");
        assert_eq!(hangs.to_string(), "the peer printed no ws:// URL within 20ms");
    }
}
