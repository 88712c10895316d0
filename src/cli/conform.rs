//! `exec-http conform`: the conformance suite against an executor or a client; and the run without arguments, against both that
//! are built in.

pub(super) mod client;
pub(super) mod demo;
pub(super) mod doctor;
mod folder;
pub(super) mod server;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use exec_http::conformance::artifacts::{RESULTS, RUNS_FOLDER};
use exec_http::conformance::case::{CAPABILITIES, Half, Revision, Transport};
use exec_http::conformance::clause::{self, Side};
use exec_http::conformance::client::lab::ClientTarget;
use exec_http::conformance::declaration::{DECLARATION_FILE, Declaration};
use exec_http::conformance::expectation::Expectations;
use exec_http::conformance::launcher::Target;
use exec_http::conformance::plan::{self, Claims};
use exec_http::conformance::report::console::Console;
use exec_http::conformance::report::json::JsonLines;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::report::{Reports, junit, statement};
use exec_http::conformance::run::Run;
use exec_http::conformance::select::Selection;
use exec_http::conformance::shrink::failure::Workshop;
use exec_http::conformance::suites;
use exec_http::conformance::trace::sha256;
use exec_http::conformance::trial::Tested;
use exec_http::conformance::verdict::RunOutcome;
use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;

/// More cases at one time would only wait for each other.
const MOST_PARALLEL: usize = 8;

/// How long failures are made small by default.
const SHRINK_SECONDS: u64 = 30;

/// Which half of the suite.
#[derive(Debug, Subcommand)]
pub(crate) enum Conform {
    /// Test an executor; without --cmd and --url what exec-http.toml says, else the one that is built in.
    Server(Box<server::Server>),
    /// Test a client through its adapter; without --adapter what exec-http.toml says, else the one that is built in.
    Client(Box<client::Client>),
}

impl Conform {
    /// Runs one half of the suite, or both halves against what is built in. Messages about wrong options go to standard error.
    pub(crate) fn run(half: Option<&Self>) -> RunOutcome {
        let outcome = match half {
            Some(Self::Server(server)) => server.run(),
            Some(Self::Client(client)) => client.run(),
            None => run_built_in(),
        };
        outcome.unwrap_or_else(|(outcome, message)| {
            eprintln!("error: {message}");
            outcome
        })
    }
}

/// What a run tests, and how a reader repeats it.
pub(super) struct Subject {
    /// The executor.
    pub(super) executor: Option<Target>,
    /// The client.
    pub(super) client: Option<ClientTarget>,
    /// What is known about the executor; the revision counts for both.
    claims: Claims,
    /// The transports.
    pub(super) transports: Vec<Transport>,
    /// How the peers are named on a command line.
    pub(super) repeat: Repeat,
    /// The command line, without its selection.
    pub(super) command: String,
}

/// Options of both halves.
#[derive(Debug, Default, Args)]
pub(super) struct Options {
    /// A variable for its environment. Proxy variables are always removed from it.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<Variable>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<PathBuf>,
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
    /// The folder in which each run makes one for its results, traces and report.
    #[arg(long, value_name = "DIR", default_value = RUNS_FOLDER)]
    out: PathBuf,
    /// Make no such folder.
    #[arg(long, conflicts_with = "out")]
    no_out: bool,
    /// Seconds in which the failures are made small, about, for the scripts in that folder; 0 leaves them whole.
    #[arg(long, value_name = "SECONDS", default_value_t = SHRINK_SECONDS, conflicts_with = "no_out",
          value_parser = clap::value_parser!(u64).range(0..=86_400))]
    shrink: u64,
    /// Known failures with their reasons.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Multiply all deadlines.
    #[arg(long, value_name = "FACTOR", default_value_t)]
    time_scale: TimeScale,
    /// Count a broken SHOULD as a failure.
    #[arg(long)]
    strict_should: bool,
    /// Judge only clauses up to this revision: 2026-04, 2026-07, 2026-08 or extension.
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    revision: Option<Revision>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Transports {
    Stdio,
    Ws,
    Both,
}

impl Transports {
    pub(super) fn list(self) -> &'static [Transport] {
        match self {
            Self::Stdio => &[Transport::Stdio],
            Self::Ws => &[Transport::Websocket],
            Self::Both => &[Transport::Stdio, Transport::Websocket],
        }
    }
}

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
pub(super) struct Variable(pub(super) String, pub(super) String);

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
pub(super) struct TimeScale(pub(super) f64);

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

pub(super) fn revision(text: &str) -> Result<Revision, &'static str> {
    Revision::from_word(text).ok_or("expected 2026-04, 2026-07, 2026-08 or extension")
}

/// Why the suite did not run, or not to its end. Every message fits after `error: `.
pub(super) type Failure = (RunOutcome, String);

pub(super) fn usage(message: impl ToString) -> Failure {
    (RunOutcome::Usage, message.to_string())
}

fn run_built_in() -> Result<RunOutcome, Failure> {
    let options = Options { out: RUNS_FOLDER.into(), shrink: SHRINK_SECONDS, ..Options::default() };
    let executor = server::Server::built_in().subject()?;
    let client = client::Client::built_in().subject()?;
    let command = "exec-http".to_owned();
    options.run(Subject { client: client.client, command, ..executor })
}

impl Options {
    fn selection(&self) -> Result<Selection, Failure> {
        Selection::new(&self.only, &self.skip).map_err(usage)
    }

    /// Runs the suite and prints its report.
    fn run(&self, subject: Subject) -> Result<RunOutcome, Failure> {
        let Subject { executor, client, claims, transports, repeat, command } = subject;
        let halves = [(Half::Executor, executor.is_some()), (Half::Client, client.is_some())];
        let halves = || halves.into_iter().filter(|(_, tested)| *tested).map(|(half, _)| half);
        let mut expected = None;
        let expectations = match &self.expect {
            Some(path) => {
                let ids = halves().flat_map(|half| plan::ids(suites::of(half))).collect();
                let text = expected.insert(read(path)?);
                Expectations::parse(text, &ids).map_err(in_file(path))?
            }
            None => Expectations::default(),
        };
        let jobs = halves().flat_map(|half| plan::jobs(suites::of(half), &transports)).collect();
        let (jobs, left_out) = plan::select(jobs, &self.selection()?);
        if jobs.is_empty() {
            return Err(usage("no case is selected"));
        }
        let parallel = self.jobs.map_or_else(default_jobs, usize::from);
        let time_scale = self.time_scale.0;
        let names: Vec<&str> = transports.iter().map(|transport| transport.as_str()).collect();
        let tested: Vec<&str> = halves().map(Half::peer).collect();
        let folder = if self.no_out { None } else { Some(folder::create(&self.out, &tested)?) };
        let in_folder = folder.as_ref().map(|folder| folder.path().join(RESULTS));
        let mut json = Vec::new();
        for path in self.json.iter().chain(&in_folder) {
            json.push(JsonLines::begin(create(path)?, &names, &command, repeat.clone()).map_err(unwritten(path))?);
        }
        let junit = self.junit.as_ref().map(|path| create(path).map(|file| (path, file))).transpose()?;
        let mut reports = Reports::new(Console::new(), json);
        let declaration = claims.declaration.clone();
        let runtime = tokio::runtime::Runtime::new().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
        let artifacts = folder.clone();
        let workshop = Workshop {
            executor: folder::pair(Half::Executor, executor.clone().map(Tested::Executor))?,
            client: folder::pair(Half::Client, client.clone().map(Tested::Client))?,
            time_scale,
            parallel,
            time: Duration::from_secs(self.shrink),
        };
        let run =
            Run { executor, client, transports, claims, expectations, jobs, left_out, parallel, time_scale, artifacts };
        let run = runtime.block_on(async {
            let stop = interrupted().fuse();
            tokio::pin!(stop);
            let run = run.execute(&mut reports, &mut stop).await;
            if let (Some(folder), false) = (&folder, stop.is_terminated()) {
                reports.note("making the failures small");
                tokio::select! {
                    () = stop => {}
                    made = folder::shrink(&workshop, reports.results(), folder) => made?,
                }
            }
            Ok::<_, Failure>(run)
        });
        // Everything that was started has ended; what is left are reads of pipes that somebody else holds open.
        runtime.shutdown_background();
        run?.map_err(usage)?;
        let shown = folder.as_ref().map(|folder| folder.path());
        let summary = reports
            .end(self.strict_should, &repeat, shown)
            .map_err(|error| (RunOutcome::Incomplete, format!("the report cannot be written: {error}")))?;
        if let Some((path, file)) = junit {
            junit::write(&summary, &repeat, io::BufWriter::new(file)).map_err(unwritten(path))?;
        }
        if let Some(folder) = &folder {
            let expectations = expected.map(|text| sha256(text.as_bytes()));
            let subject =
                statement::Subject { command: &command, transports: &names, declaration: &declaration, expectations };
            folder::finish(folder, &subject, &summary, &repeat)?;
        }
        Ok(summary.outcome())
    }

    /// The environment and the working directory of the peer; what the command line says comes last and counts.
    fn surroundings(&self, declaration: &Declaration) -> (Vec<(String, String)>, Option<PathBuf>) {
        let own = self.env.iter().map(|Variable(name, value)| (name.clone(), value.clone()));
        let declared = declaration.env().map(|(name, value)| (name.to_owned(), value.to_owned()));
        (declared.chain(own).collect(), self.cwd.clone().or(declaration.cwd().map(Path::to_owned)))
    }

    /// These words and the options that describe the surroundings of the peer, as one would type them. They stand in reports that are
    /// passed on: the value of a variable is left to the shell, which complains where it has none.
    fn described(&self, mut words: Vec<String>) -> String {
        words.extend(self.cwd.iter().flat_map(|cwd| ["--cwd".to_owned(), cwd.to_string_lossy().into_owned()]));
        let is_scaled = self.time_scale.0 != TimeScale::default().0 && self.time_scale.0 != 0.0;
        if is_scaled {
            words.extend(["--time-scale".to_owned(), self.time_scale.to_string()]);
        }
        let mut line = shell_words::join(words);
        for Variable(name, _) in &self.env {
            let name = shell_words::quote(name);
            line += &format!(" --env {name}=\"${{{name}:?}}\"");
        }
        line.trim_start().to_owned()
    }

    /// Prints the selected cases with their transports, their clauses and their sentences.
    fn list(&self, half: Half) -> Result<RunOutcome, Failure> {
        let selection = self.selection()?;
        let cases: Vec<_> = suites::of(half).iter().filter(|case| selection.left_out(&case.id).is_none()).collect();
        if cases.is_empty() {
            return Err(usage("no case is selected"));
        }
        let other = match half {
            Half::Executor => Side::Client,
            Half::Client => Side::Executor,
        };
        let mut out = io::stdout().lock();
        let mut print = || -> io::Result<()> {
            for case in &cases {
                let on = case.only.map_or("stdio ws".to_owned(), |only| only.to_string());
                writeln!(out, "{:<40} {on:<9} {:<30} {}", case.id, case.clauses.join(" "), case.description)?;
            }
            let clauses: BTreeSet<_> = cases.iter().flat_map(|case| &case.clauses).collect();
            let of_peer = clause::all().filter(|clause| clause.side != other).count();
            writeln!(out, "{} cases, {} of {of_peer} clauses", cases.len(), clauses.len())
        };
        match print() {
            // `head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(RunOutcome::Conforms),
            Err(error) => Err((RunOutcome::Incomplete, error.to_string())),
            Ok(()) => Ok(RunOutcome::Conforms),
        }
    }
}

/// The path of this program, which is also the built-in peer and the relay.
pub(super) fn this_program() -> Result<String, Failure> {
    let this = std::env::current_exe().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
    this.into_os_string().into_string().map_err(|_| usage("this program's path is not UTF-8"))
}

/// The work, unless a signal comes first: then it is dropped, which ends what it has started. Peers have process groups of their own, so
/// that no signal of a terminal reaches them.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let stop = interrupted();
    tokio::select! {
        done = work => done,
        () = stop => Err((RunOutcome::Incomplete, "interrupted".to_owned())),
    }
}

/// Ready at the first SIGINT or SIGTERM from now on, not only from the first poll. Must be called within a runtime.
pub(super) fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            // Without handlers the signals end this process at once.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The declaration in that file, or in the one in the working directory if there is one; nothing is read for what is built in.
fn declaration(path: Option<&Path>, built_in: bool) -> Result<Declaration, Failure> {
    let default = Path::new(DECLARATION_FILE);
    match path.or_else(|| (!built_in && default.exists()).then_some(default)) {
        Some(path) => Declaration::parse(&read(path)?, &CAPABILITIES.map(str::to_owned).into()).map_err(in_file(path)),
        None => Ok(Declaration::default()),
    }
}

pub(super) fn default_jobs() -> usize {
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
