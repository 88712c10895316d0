//! One case and whom it is run against: what `replay` and `shrink` have in common.

use std::path::{Path, PathBuf};

use clap::Args;
use exec_http::conformance::case::{Case, Half, Transport};
use exec_http::conformance::script;
use exec_http::conformance::shrink::failure::Pair;
use exec_http::conformance::suites;
use exec_http::conformance::trial::{Tested, transports};

use super::conform::client::Client;
use super::conform::server::Server;
use super::conform::{Failure, Options, Subject, TimeScale, Transports, Variable, usage};

/// A case and its peer.
#[derive(Debug, Args)]
pub(super) struct CaseArgs {
    /// A file with one case of docs/notation.md, or the id of a case of the library.
    #[arg(value_name = "SCRIPT|CASE")]
    script: PathBuf,
    #[command(flatten)]
    peer: PeerArgs,
}

/// A peer; without --cmd, --url and --adapter what exec-http.toml says, else the one that is built in.
#[derive(Debug, Args)]
struct PeerArgs {
    /// The command that starts the executor, split by shell rules but without a shell. Placeholders: {addr}, {port}, {listen}.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["url", "adapter"])]
    cmd: Option<String>,
    /// The websocket of an executor that is running already.
    #[arg(long, value_name = "ws://HOST:PORT", conflicts_with = "adapter")]
    url: Option<String>,
    /// The file with the bearer token that the executor at --url wants; white space around it is left out.
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Allow --url to lead to another machine.
    #[arg(long)]
    allow_remote: bool,
    /// The command that starts the adapter of a client.
    #[arg(long, value_name = "COMMAND")]
    adapter: Option<String>,
    /// The command word by word instead of --cmd or --adapter.
    #[arg(last = true, value_name = "ARGV", conflicts_with_all = ["cmd", "url", "adapter"])]
    argv: Vec<String>,
    /// How to reach it; by default every way that it offers and that the case exists on.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transports>,
    /// A variable for its environment. Proxy variables are always removed from it.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Multiply all deadlines.
    #[arg(long, value_name = "FACTOR", default_value_t)]
    time_scale: TimeScale,
}

/// What the options name.
pub(super) struct Found {
    /// The case.
    pub(super) case: Case,
    /// The peer, and the one that is built in.
    pub(super) pair: Pair,
    /// The transports that both the peer and the case have; never empty.
    pub(super) transports: Vec<Transport>,
    /// Multiplies all deadlines.
    pub(super) time_scale: f64,
}

impl CaseArgs {
    /// Reads the case.
    pub(super) fn case(&self) -> Result<Case, Failure> {
        case(&self.script)
    }

    /// Reads the case and all options.
    pub(super) fn find(&self) -> Result<Found, Failure> {
        let case = self.case()?;
        let (tested, offered) = self.peer.tested(case.half())?;
        let transports = transports(&case, &offered);
        if transports.is_empty() {
            return Err(usage(format!("{} exists on no transport that is tested", case.id)));
        }
        let pair = Pair { peer: tested, reference: reference(case.half())? };
        Ok(Found { case, pair, transports, time_scale: self.peer.time_scale.0 })
    }
}

/// The peer that is built in.
pub(super) fn reference(half: Half) -> Result<Tested, Failure> {
    let subject = match half {
        Half::Executor => Server::built_in().subject()?,
        Half::Client => Client::built_in().subject()?,
    };
    Ok(tested(&subject))
}

/// The one peer that a half has.
fn tested(subject: &Subject) -> Tested {
    match (&subject.executor, &subject.client) {
        (Some(executor), _) => Tested::Executor(executor.clone()),
        (None, Some(client)) => Tested::Client(client.clone()),
        (None, None) => unreachable!("a half has its peer"),
    }
}

impl PeerArgs {
    /// The peer, and the transports that it offers.
    fn tested(&self, half: Half) -> Result<(Tested, Vec<Transport>), Failure> {
        let mut options = Options::default();
        (options.env, options.cwd) = (self.env.clone(), self.cwd.clone());
        let subject = match half {
            Half::Executor if self.adapter.is_some() => {
                return Err(usage("the case is about executors: --cmd or --url, not --adapter"));
            }
            Half::Client if self.cmd.is_some() || self.url.is_some() => {
                return Err(usage("the case is about clients: --adapter, not --cmd or --url"));
            }
            Half::Executor => {
                let mut server = Server::default();
                (server.cmd, server.url, server.argv) = (self.cmd.clone(), self.url.clone(), self.argv.clone());
                (server.token_file, server.allow_remote) = (self.token_file.clone(), self.allow_remote);
                (server.transport, server.options) = (self.transport, options);
                server.subject()?
            }
            Half::Client => {
                let (adapter, argv) = (self.adapter.clone(), self.argv.clone());
                let mut client = Client::default();
                (client.adapter, client.argv) = (adapter, argv);
                (client.transport, client.options) = (self.transport, options);
                client.subject()?
            }
        };
        Ok((tested(&subject), subject.transports))
    }
}

/// A case by its file, or else by its id.
fn case(script: &Path) -> Result<Case, Failure> {
    let shown = script.display().to_string();
    match std::fs::read_to_string(script) {
        Ok(text) => script::read(&shown, &text).map_err(usage),
        Err(error) => {
            let cases = suites::of(Half::of(&shown));
            let case = cases.iter().find(|case| case.id == shown).cloned();
            case.ok_or_else(|| usage(format!("{shown}: {error}, and no case has that id")))
        }
    }
}
