//! `exec-http conform client`: the suite against a client, through its adapter.

use clap::Args;
use exec_http::conformance::case::Half;
use exec_http::conformance::client::door::RelayProgram;
use exec_http::conformance::client::lab::ClientTarget;
use exec_http::conformance::declaration::Declaration;
use exec_http::conformance::launcher::Target;
use exec_http::conformance::plan::Claims;
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::verdict::RunOutcome;

use super::{Failure, Options, Subject, Transports, this_program, usage};

/// Options of the client half.
#[derive(Debug, Default, Args)]
pub(crate) struct Client {
    /// The command that starts the adapter, split by shell rules but without a shell. docs/adapter.md says what it has to do.
    #[arg(long, value_name = "COMMAND")]
    pub(in crate::cli) adapter: Option<String>,
    /// The command word by word instead of --adapter.
    #[arg(last = true, value_name = "ARGV", conflicts_with = "adapter")]
    pub(in crate::cli) argv: Vec<String>,
    /// How the client connects; by default every way that the adapter declares.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub(in crate::cli) transport: Option<Transports>,
    #[command(flatten)]
    pub(in crate::cli) options: Options,
}

impl Client {
    pub(super) fn run(&self) -> Result<RunOutcome, Failure> {
        if self.options.list { self.options.list(Half::Client) } else { self.options.run(self.subject()?) }
    }

    /// Reads all options.
    pub(in crate::cli) fn subject(&self) -> Result<Subject, Failure> {
        let this = this_program()?;
        let argv = match &self.adapter {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => vec![this.clone(), "adapter".to_owned()],
            None => self.argv.clone(),
        };
        let adapter = CommandLine { argv, env: self.options.env(), cwd: self.options.cwd.clone() };
        let declaration = match self.options.revision {
            Some(revision) => Declaration::default().with_revision(revision),
            None => Declaration::default(),
        };
        let repeat = Repeat { executor: String::new(), client: self.peer_options() };
        let command = ["exec-http conform client", &repeat.client].join(" ").trim_end().to_owned();
        Ok(Subject {
            executor: None,
            client: Some(ClientTarget { adapter, relay: RelayProgram { argv: vec![this] } }),
            claims: Claims { declaration, is_spawned: true, shown: Default::default() },
            transports: self.transport.unwrap_or(Transports::Both).list().to_vec(),
            repeat,
            command,
        })
    }

    /// The options that describe the client, as one would type them.
    fn peer_options(&self) -> String {
        let mut words = Vec::new();
        let argv = (!self.argv.is_empty()).then(|| shell_words::join(&self.argv));
        self.adapter.iter().chain(&argv).for_each(|command| words.extend(["--adapter".to_owned(), command.clone()]));
        words.extend(self.options.replay());
        shell_words::join(words)
    }
}
