//! `exec-http conform server`: the suite against an executor.

use std::path::PathBuf;

use clap::Args;
use exec_http::conformance::case::Half;
use exec_http::conformance::declaration::Declaration;
use exec_http::conformance::launcher::Target;
use exec_http::conformance::plan::Claims;
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::verdict::RunOutcome;

use super::{Failure, Options, Subject, Transports, declaration, this_program, usage};
use crate::cli::file;

/// Options of the server half.
#[derive(Debug, Default, Args)]
pub(crate) struct Server {
    /// The command that starts the executor, split by shell rules but without a shell. Placeholders: {addr}, {port}, {listen}.
    #[arg(long, value_name = "COMMAND", conflicts_with = "url")]
    pub(in crate::cli) cmd: Option<String>,
    /// The websocket of an executor that is running already.
    #[arg(long, value_name = "ws://HOST:PORT")]
    pub(in crate::cli) url: Option<String>,
    /// The file with the bearer token that the executor at --url wants; white space around it is left out.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// The command word by word instead of --cmd.
    #[arg(last = true, value_name = "ARGV", conflicts_with_all = ["cmd", "url"])]
    pub(in crate::cli) argv: Vec<String>,
    /// How to reach it; by default as the command shows: ws if it has {addr} or {port}, both if it has {listen}, else stdio.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub(in crate::cli) transport: Option<Transports>,
    #[command(flatten)]
    pub(in crate::cli) options: Options,
    /// The executor that is built in, whatever the working directory holds.
    #[arg(skip)]
    built_in: bool,
    /// What the executor claims to implement; exec-http.toml in the working directory, if it is there.
    #[arg(long, value_name = "FILE")]
    declare: Option<PathBuf>,
    /// Allow --url to lead to another machine. Cases send hostile frames and large bodies.
    #[arg(long)]
    pub(in crate::cli) allow_remote: bool,
}

impl Server {
    pub(super) fn run(&self) -> Result<RunOutcome, Failure> {
        if self.options.list { self.options.list(Half::Executor) } else { self.options.run(self.subject()?) }
    }

    /// What is built in, whatever files there are.
    pub(in crate::cli) fn built_in() -> Self {
        Self { built_in: true, ..Self::default() }
    }

    /// An executor of the zoo, which no file of the user is about.
    pub(super) fn of_command(command: &str) -> Self {
        Self { cmd: Some(command.to_owned()), ..Self::built_in() }
    }

    /// The executor that these options name.
    pub(super) fn of_options(
        cmd: Option<&str>,
        url: Option<&str>,
        transport: Option<Transports>,
        options: Options,
    ) -> Self {
        Self { cmd: cmd.map(str::to_owned), url: url.map(str::to_owned), transport, options, ..Self::built_in() }
    }

    /// Reads all options and files.
    pub(in crate::cli) fn subject(&self) -> Result<Subject, Failure> {
        let declaration = self.declaration()?;
        let target = self.target(&declaration)?;
        let wanted = self.transport.map_or(&[][..], Transports::list);
        let mut transports = target.transports(wanted).map_err(usage)?;
        transports.retain(|transport| declaration.has_transport(*transport));
        if transports.is_empty() {
            return Err(usage("no transport is left: the declaration has none of those to be tested"));
        }
        let repeat = Repeat { executor: self.peer_options(&declaration), client: String::new() };
        let command = ["exec-http conform server", &repeat.executor].join(" ").trim_end().to_owned();
        let claims = Claims { declaration, is_spawned: target.is_spawned(), shown: Default::default() };
        Ok(Subject { executor: Some(target), client: None, claims, transports, repeat, command })
    }

    fn target(&self, declaration: &Declaration) -> Result<Target, Failure> {
        if let Some(url) = self.url(declaration) {
            let token = self.token_file.as_deref().map(file::token).transpose().map_err(usage)?;
            return Target::attach(url, token, self.allow_remote).map_err(usage);
        }
        let argv = match self.cmd(declaration) {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => {
                let this = this_program()?;
                [this.as_str(), "serve", "--listen", "{listen}"].map(str::to_owned).to_vec()
            }
            None => self.argv.clone(),
        };
        let (env, cwd) = self.options.surroundings(declaration);
        Ok(Target::Command(CommandLine { argv, env, cwd }))
    }

    /// The declaration. The file in the working directory is about the implementation that is developed there: it does not
    /// count for what is built in.
    fn declaration(&self) -> Result<Declaration, Failure> {
        let declaration = declaration(self.declare.as_deref(), self.built_in)?;
        let is_theirs = self.declare.is_some() || self.is_named() || declaration.cmd().or(declaration.url()).is_some();
        let declaration = if is_theirs { declaration } else { Declaration::default() };
        Ok(match self.options.revision {
            Some(revision) => declaration.with_revision(revision),
            None => declaration,
        })
    }

    /// Options name the executor.
    fn is_named(&self) -> bool {
        self.cmd.is_some() || self.url.is_some() || !self.argv.is_empty()
    }

    fn cmd<'a>(&'a self, declaration: &'a Declaration) -> Option<&'a str> {
        if self.is_named() { self.cmd.as_deref() } else { declaration.cmd() }
    }

    fn url<'a>(&'a self, declaration: &'a Declaration) -> Option<&'a str> {
        if self.is_named() { self.url.as_deref() } else { declaration.url() }
    }

    /// The options that describe the peer, as one would type them.
    fn peer_options(&self, declaration: &Declaration) -> String {
        let mut words = Vec::new();
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        if !self.argv.is_empty() {
            option("--cmd", &shell_words::join(&self.argv));
        }
        self.cmd(declaration).iter().for_each(|command| option("--cmd", command));
        self.url(declaration).iter().for_each(|url| option("--url", url));
        self.token_file.iter().for_each(|path| option("--token-file", &path.to_string_lossy()));
        if self.allow_remote {
            words.push("--allow-remote".to_owned());
        }
        self.options.described(words)
    }
}
