//! `exec-http conform server`: the conformance suite against an executor; and the run without arguments.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use exec_http::conformance::case::{CAPABILITIES, Revision, Transport};
use exec_http::conformance::clause::{self, Side};
use exec_http::conformance::declaration::{DECLARATION_FILE, Declaration};
use exec_http::conformance::expectation::Expectations;
use exec_http::conformance::launcher::Target;
use exec_http::conformance::plan::{self, Claims};
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::console::Console;
use exec_http::conformance::report::json::JsonLines;
use exec_http::conformance::report::{Reports, junit};
use exec_http::conformance::run::Run;
use exec_http::conformance::select::Selection;
use exec_http::conformance::suites;
use exec_http::conformance::verdict::RunOutcome;

/// More cases at one time would only wait for each other.
const MOST_PARALLEL: usize = 8;

/// Which half of the suite.
#[derive(Debug, Subcommand)]
pub(crate) enum Conform {
    /// Test an executor; without --cmd and --url the one that is built in.
    Server(Box<Server>),
}

/// Options of the server half.
#[derive(Debug, Default, Args)]
pub(crate) struct Server {
    /// The command that starts the executor, split by shell rules but without a shell. Placeholders: {addr}, {port}, {listen}.
    #[arg(long, value_name = "COMMAND", conflicts_with = "url")]
    cmd: Option<String>,
    /// The websocket of an executor that is running already.
    #[arg(long, value_name = "ws://HOST:PORT")]
    url: Option<String>,
    /// The command word by word instead of --cmd.
    #[arg(last = true, value_name = "ARGV", conflicts_with_all = ["cmd", "url"])]
    argv: Vec<String>,
    /// How to reach it; by default as the command shows: ws if it has {addr} or {port}, both if it has {listen}, else stdio.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transports>,
    /// A variable for its environment. Proxy variables are always removed from it.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Print the cases with their clauses, and run nothing.
    #[arg(long)]
    list: bool,
    /// Run only the cases whose id matches; may be repeated.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave out the cases whose id matches; may be repeated.
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// Cases that run at one time.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Write results as JSON lines, as they come.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Known failures with their reasons.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// What the executor claims to implement; exec-http.toml in the working directory, if it is there.
    #[arg(long, value_name = "FILE")]
    declare: Option<PathBuf>,
    /// Multiply all deadlines.
    #[arg(long, value_name = "FACTOR", default_value_t)]
    time_scale: TimeScale,
    /// Count a broken SHOULD as a failure.
    #[arg(long)]
    strict_should: bool,
    /// Allow --url to lead to another machine. Cases send hostile frames and large bodies.
    #[arg(long)]
    allow_remote: bool,
    /// Judge only clauses up to this revision: 2026-04, 2026-07, 2026-08 or extension.
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    revision: Option<Revision>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transports {
    Stdio,
    Ws,
    Both,
}

impl Transports {
    fn list(self) -> &'static [Transport] {
        match self {
            Self::Stdio => &[Transport::Stdio],
            Self::Ws => &[Transport::Websocket],
            Self::Both => &[Transport::Stdio, Transport::Websocket],
        }
    }
}

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
struct Variable(String, String);

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self(name.to_owned(), value.to_owned())),
            _ => Err("expected NAME=VALUE"),
        }
    }
}

/// A factor from 0.01 to 100.
#[derive(Clone, Copy, Debug)]
struct TimeScale(f64);

impl Default for TimeScale {
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::fmt::Display for TimeScale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TimeScale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(factor) if (0.01..=100.0).contains(&factor) => Ok(Self(factor)),
            _ => Err("expected a number from 0.01 to 100"),
        }
    }
}

fn revision(text: &str) -> Result<Revision, &'static str> {
    Revision::from_word(text).ok_or("expected 2026-04, 2026-07, 2026-08 or extension")
}

/// Why the suite did not run, or not to its end. Every message fits after `error: `.
type Failure = (RunOutcome, String);

fn usage(message: impl ToString) -> Failure {
    (RunOutcome::Usage, message.to_string())
}

impl Server {
    fn list(&self) -> Result<RunOutcome, Failure> {
        list(&Selection::new(&self.only, &self.skip).map_err(usage)?)
    }

    /// Runs the suite and prints its report. Messages about wrong options go to standard error.
    pub(crate) fn run(&self) -> RunOutcome {
        let outcome = if self.list { self.list() } else { self.test() };
        outcome.unwrap_or_else(|(outcome, message)| {
            eprintln!("error: {message}");
            outcome
        })
    }

    fn test(&self) -> Result<RunOutcome, Failure> {
        let (run, replay) = self.prepare()?;
        let transports: Vec<&str> = run.transports.iter().map(|transport| transport.as_str()).collect();
        let json = match &self.json {
            Some(path) => Some(JsonLines::begin(create(path)?, &transports).map_err(unwritten(path))?),
            None => None,
        };
        let junit = self.junit.as_ref().map(|path| create(path).map(|file| (path, file))).transpose()?;
        let mut reports = Reports::new(Console::new(), json);
        let runtime = tokio::runtime::Runtime::new().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
        let run = runtime.block_on(run.execute(&mut reports, interrupted()));
        // Everything that was started has ended; what is left are reads of pipes that somebody else holds open.
        runtime.shutdown_background();
        run.map_err(usage)?;
        let summary = reports
            .end(self.strict_should, &replay)
            .map_err(|error| (RunOutcome::Incomplete, format!("the report cannot be written: {error}")))?;
        if let Some((path, file)) = junit {
            junit::write(&summary, &replay, io::BufWriter::new(file)).map_err(unwritten(path))?;
        }
        Ok(summary.outcome())
    }

    /// Reads all options and files. Also returns the command line that repeats the run, without its selection.
    fn prepare(&self) -> Result<(Run, String), Failure> {
        let target = self.target()?;
        let declaration = self.declaration()?;
        let wanted = self.transport.map_or(&[][..], Transports::list);
        let mut transports = target.transports(wanted).map_err(usage)?;
        transports.retain(|transport| declaration.has_transport(*transport));
        if transports.is_empty() {
            return Err(usage("no transport is left: the declaration has none of those to be tested"));
        }
        let cases = suites::all();
        let expectations = match &self.expect {
            Some(path) => Expectations::parse(&read(path)?, &plan::ids(cases)).map_err(in_file(path))?,
            None => Expectations::default(),
        };
        let selection = Selection::new(&self.only, &self.skip).map_err(usage)?;
        let (jobs, left_out) = plan::select(plan::jobs(cases, &transports), &selection);
        if jobs.is_empty() {
            return Err(usage("no case is selected"));
        }
        let claims = Claims { declaration, is_spawned: target.is_spawned(), shown: Default::default() };
        let parallel = self.jobs.map_or_else(default_jobs, usize::from);
        let time_scale = self.time_scale.0;
        let run = Run { target, transports, claims, expectations, jobs, left_out, parallel, time_scale };
        Ok((run, self.replay()))
    }

    fn target(&self) -> Result<Target, Failure> {
        if let Some(url) = &self.url {
            return Target::attach(url, self.allow_remote).map_err(usage);
        }
        let argv = match &self.cmd {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => {
                let this = std::env::current_exe().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
                let this =
                    this.into_os_string().into_string().map_err(|_| usage("this program's path is not UTF-8"))?;
                [this.as_str(), "serve", "--listen", "{listen}"].map(str::to_owned).to_vec()
            }
            None => self.argv.clone(),
        };
        let env = self.env.iter().map(|Variable(name, value)| (name.clone(), value.clone())).collect();
        Ok(Target::Command(CommandLine { argv, env, cwd: self.cwd.clone() }))
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
        Ok(match self.revision {
            Some(revision) => declaration.with_revision(revision),
            None => declaration,
        })
    }

    fn is_built_in(&self) -> bool {
        self.cmd.is_none() && self.url.is_none() && self.argv.is_empty()
    }

    /// The options that describe the peer, as one would type them.
    fn replay(&self) -> String {
        let mut words = vec!["exec-http".to_owned(), "conform".to_owned(), "server".to_owned()];
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        if !self.argv.is_empty() {
            option("--cmd", &shell_words::join(&self.argv));
        }
        self.cmd.iter().for_each(|command| option("--cmd", command));
        self.url.iter().for_each(|url| option("--url", url));
        self.env.iter().for_each(|Variable(name, value)| option("--env", &format!("{name}={value}")));
        self.cwd.iter().for_each(|cwd| option("--cwd", &cwd.to_string_lossy()));
        shell_words::join(words)
    }
}

/// Prints the selected cases with their transports, their clauses and their sentences.
fn list(selection: &Selection) -> Result<RunOutcome, Failure> {
    let cases: Vec<_> = suites::all().iter().filter(|case| selection.left_out(&case.id).is_none()).collect();
    if cases.is_empty() {
        return Err(usage("no case is selected"));
    }
    let mut out = io::stdout().lock();
    let mut print = || -> io::Result<()> {
        for case in &cases {
            let on = case.only.map_or("stdio ws".to_owned(), |only| only.to_string());
            writeln!(out, "{:<40} {on:<9} {:<30} {}", case.id, case.clauses.join(" "), case.description)?;
        }
        let clauses: BTreeSet<_> = cases.iter().flat_map(|case| &case.clauses).collect();
        let of_executors = clause::all().filter(|clause| clause.side != Side::Client).count();
        writeln!(out, "{} cases, {} of {of_executors} clauses", cases.len(), clauses.len())
    };
    match print() {
        // `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(RunOutcome::Conforms),
        Err(error) => Err((RunOutcome::Incomplete, error.to_string())),
        Ok(()) => Ok(RunOutcome::Conforms),
    }
}

/// Ready at the first SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end this process at once.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_add(2).min(MOST_PARALLEL)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| usage(format!("{}: {error}", path.display())))
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| usage(format!("{}: {error}", path.display())))
}

fn in_file<E: ToString>(path: &Path) -> impl Fn(E) -> Failure + '_ {
    move |error| usage(format!("{}: {}", path.display(), error.to_string()))
}

fn unwritten(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| (RunOutcome::Incomplete, format!("{}: {error}", path.display()))
}
