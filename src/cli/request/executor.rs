//! How `exec-http request` reaches its executor.

use std::path::PathBuf;
use std::process::Stdio;

use exec_http::transport::websocket::{Authorities, Dial, Roots};
use exec_http::transport::{Connection, lines, websocket};
use tokio::process::{Child, Command};

use super::Failure;
use crate::cli::file;

/// Options that name the executor.
#[derive(Debug, clap::Args)]
pub(super) struct ExecutorArgs {
    /// The executor: a ws:// or wss:// URL, or a command that speaks the protocol on its standard input and output.
    #[arg(long, value_name = "CMD|ws://HOST:PORT")]
    via: String,
    /// The file with the bearer token that the executor at a URL wants; white space around it is left out.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certification authorities to trust at a wss:// URL instead of the system's, as PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// An executor that can be reached.
pub(super) enum Executor {
    /// By its URL.
    Url(String, Dial),
    /// By its program and the arguments of that.
    Command(String, Vec<String>),
}

impl ExecutorArgs {
    /// What the options name, files read.
    pub(super) fn executor(&self) -> Result<Executor, Failure> {
        let via = &self.via;
        let secure = via.starts_with("wss://");
        if self.ca.is_some() && !secure {
            return Err(Failure("--ca takes --via wss://HOST:PORT".into()));
        }
        if secure || via.starts_with("ws://") {
            let token = self.token_file.as_deref().map(file::token).transpose().map_err(Failure)?;
            let roots = match &self.ca {
                None => Roots::System,
                Some(path) => {
                    let pem = file::read("file of TLS authorities", path).map_err(Failure)?;
                    Roots::Only(Authorities::from_pem(&pem)?)
                }
            };
            return Ok(Executor::Url(via.clone(), Dial { token, roots }));
        }
        if via.split_whitespace().next().is_some_and(|word| word.contains("://")) {
            return Err(Failure("--via takes a ws:// or wss:// URL or a command".into()));
        }
        if self.token_file.is_some() {
            return Err(Failure("--token-file takes --via ws://HOST:PORT or wss://HOST:PORT".into()));
        }
        let mut words = shell_words::split(via).map_err(|error| Failure(format!("--via: {error}")))?.into_iter();
        let program = words.next().ok_or_else(|| Failure("--via names no program".into()))?;
        Ok(Executor::Command(program, words.collect()))
    }
}

impl Executor {
    /// Dials or spawns it. The child is killed on drop.
    pub(super) async fn open(&self) -> Result<(Connection, Option<Child>), Failure> {
        match self {
            Self::Url(url, dial) => {
                let connection = websocket::connect_with(url, dial).await;
                Ok((connection.map_err(|error| Failure(format!("cannot reach the executor: {error}")))?, None))
            }
            Self::Command(program, arguments) => {
                let mut child = Command::new(program)
                    .args(arguments)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|error| Failure(format!("cannot start {program}: {error}")))?;
                let output = child.stdout.take().expect("standard output was asked to be a pipe");
                let input = child.stdin.take().expect("standard input was asked to be a pipe");
                #[cfg(unix)]
                lines::widen_pipe(&output);
                Ok((lines::connection(output, input), Some(child)))
            }
        }
    }
}
