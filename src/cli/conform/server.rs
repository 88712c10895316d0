//! `exec-http conform server`: the suite against an executor.

use std::path::{Path, PathBuf};

use clap::Args;
use exec_http::conformance::case::{CAPABILITIES, Half};
use exec_http::conformance::declaration::{DECLARATION_FILE, Declaration};
use exec_http::conformance::launcher::Target;
use exec_http::conformance::plan::Claims;
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::verdict::RunOutcome;

use super::{Failure, Options, Subject, Transports, in_file, read, this_program, usage};
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

    /// Reads all options and files.
    pub(in crate::cli) fn subject(&self) -> Result<Subject, Failure> {
        let target = self.target()?;
        let declaration = self.declaration()?;
        let wanted = self.transport.map_or(&[][..], Transports::list);
        let mut transports = target.transports(wanted).map_err(usage)?;
        transports.retain(|transport| declaration.has_transport(*transport));
        if transports.is_empty() {
            return Err(usage("no transport is left: the declaration has none of those to be tested"));
        }
        let claims = Claims { declaration, is_spawned: target.is_spawned(), shown: Default::default() };
        let repeat = Repeat { executor: self.peer_options(), client: String::new() };
        let command = ["exec-http conform server", &repeat.executor].join(" ").trim_end().to_owned();
        Ok(Subject { executor: Some(target), client: None, claims, transports, repeat, command })
    }

    fn target(&self) -> Result<Target, Failure> {
        if let Some(url) = &self.url {
            let token = self.token_file.as_deref().map(file::token).transpose().map_err(usage)?;
            return Target::attach(url, token, self.allow_remote).map_err(usage);
        }
        let argv = match &self.cmd {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => {
                let this = this_program()?;
                [this.as_str(), "serve", "--listen", "{listen}"].map(str::to_owned).to_vec()
            }
            None => self.argv.clone(),
        };
        Ok(Target::Command(CommandLine { argv, env: self.options.env(), cwd: self.options.cwd.clone() }))
    }

    fn declaration(&self) -> Result<Declaration, Failure> {
        let default = Path::new(DECLARATION_FILE);
        let path = match &self.declare {
            Some(path) => Some(path.as_path()),
            // The file in the working directory is about the implementation that is developed there.
            None if self.is_built_in() || !default.exists() => None,
            None => Some(default),
        };
        let known = CAPABILITIES.map(str::to_owned).into();
        let declaration = match path {
            Some(path) => Declaration::parse(&read(path)?, &known).map_err(in_file(path))?,
            None => Declaration::default(),
        };
        Ok(match self.options.revision {
            Some(revision) => declaration.with_revision(revision),
            None => declaration,
        })
    }

    fn is_built_in(&self) -> bool {
        self.cmd.is_none() && self.url.is_none() && self.argv.is_empty()
    }

    /// The options that describe the peer, as one would type them.
    fn peer_options(&self) -> String {
        let mut words = Vec::new();
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        if !self.argv.is_empty() {
            option("--cmd", &shell_words::join(&self.argv));
        }
        self.cmd.iter().for_each(|command| option("--cmd", command));
        self.url.iter().for_each(|url| option("--url", url));
        self.token_file.iter().for_each(|path| option("--token-file", &path.to_string_lossy()));
        words.extend(self.options.replay());
        shell_words::join(words)
    }
}
