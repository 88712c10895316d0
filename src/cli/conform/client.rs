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

use super::{Failure, Options, Subject, Transports, declaration, this_program, usage};

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
    /// The client that is built in, whatever the working directory holds.
    #[arg(skip)]
    built_in: bool,
}

impl Client {
    pub(super) fn run(&self) -> Result<RunOutcome, Failure> {
        if self.options.list { self.options.list(Half::Client) } else { self.options.run(self.subject()?) }
    }

    /// What is built in, whatever files there are.
    pub(in crate::cli) fn built_in() -> Self {
        Self { built_in: true, ..Self::default() }
    }

    /// The client behind that adapter.
    pub(super) fn of_adapter(adapter: &str, transport: Option<Transports>, options: Options) -> Self {
        Self { adapter: Some(adapter.to_owned()), transport, options, ..Self::built_in() }
    }

    /// Reads all options.
    pub(in crate::cli) fn subject(&self) -> Result<Subject, Failure> {
        let this = this_program()?;
        let named = self.adapter.is_some() || !self.argv.is_empty();
        let declared = declaration(None, self.built_in)?;
        // What the file says is about the client that is developed here, not about the one that is built in.
        let is_theirs = named || declared.adapter().is_some();
        let declared = if is_theirs { declared } else { Declaration::default() };
        let command = if named { self.adapter.as_deref() } else { declared.adapter() };
        let argv = match command {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => vec![this.clone(), "adapter".to_owned()],
            None => self.argv.clone(),
        };
        let (env, cwd) = self.options.surroundings(&declared);
        let adapter = CommandLine { argv, env, cwd };
        let declaration = match self.options.revision {
            Some(revision) => Declaration::default().with_revision(revision),
            None => Declaration::default(),
        };
        let repeat = Repeat { executor: String::new(), client: self.peer_options(command) };
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
    fn peer_options(&self, command: Option<&str>) -> String {
        let mut words = Vec::new();
        let argv = (!self.argv.is_empty()).then(|| shell_words::join(&self.argv));
        let command = argv.as_deref().or(command);
        command.iter().for_each(|command| words.extend(["--adapter".to_owned(), (*command).to_owned()]));
        self.options.described(words)
    }
}
