//! `exec-http explore`: all orders of a few wire events, up to a bound, against an executor or a client.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use exec_http::conformance::case::{Revision, Transport};
use exec_http::conformance::client::door::RelayProgram;
use exec_http::conformance::client::lab::{ClientLab, ClientTarget};
use exec_http::conformance::declaration::CANCEL;
use exec_http::conformance::explore::client::ClientModel;
use exec_http::conformance::explore::orders::{DEFAULT_BOUND, MOST_EVENTS, orders, sample};
use exec_http::conformance::explore::search::{MOST_FAILURES, Outcome, Search};
use exec_http::conformance::explore::server::ServerModel;
use exec_http::conformance::explore::{Event, Model, case_of, order_of};
use exec_http::conformance::lab::Lab;
use exec_http::conformance::launcher::{START, Target};
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::console::bar;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::run::AnyLab;
use exec_http::conformance::stage::Settings;
use exec_http::conformance::transcript::printable;
use exec_http::conformance::verdict::{RunOutcome, Tally};

use super::conform::{
    Failure, TimeScale, Transports, Variable, default_jobs, interrupted, revision, this_program, usage,
};
use super::{file, print};

/// The features that a client is listed with: all that make a difference, except that it connects again by itself.
const LISTED_FEATURES: [&str; 5] = ["abandon", "cancel", "caller-ids", "census", "error-kinds"];

/// Which half is explored.
#[derive(Debug, Subcommand)]
pub(crate) enum Explore {
    /// Explore an executor; without --cmd and --url the one that is built in.
    Server(Box<Server>),
    /// Explore a client through its adapter; without --adapter the one that is built in.
    Client(Box<Client>),
}

/// Options of the server half.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The command that starts the executor, split by shell rules but without a shell. Placeholders: {addr}, {port}, {listen}.
    #[arg(long, value_name = "COMMAND", conflicts_with = "url")]
    cmd: Option<String>,
    /// The websocket of an executor that is running already.
    #[arg(long, value_name = "ws://HOST:PORT")]
    url: Option<String>,
    /// The file with the bearer token that the executor at --url wants; white space around it is left out.
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// The command word by word instead of --cmd.
    #[arg(last = true, value_name = "ARGV", conflicts_with_all = ["cmd", "url"])]
    argv: Vec<String>,
    /// How to reach it; by default as the command shows: ws if it has {addr} or {port}, both if it has {listen}, else stdio.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transports>,
    /// Allow --url to lead to another machine.
    #[arg(long)]
    allow_remote: bool,
    /// Events in an order, at most; all orders up to so many are played.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BOUND, value_parser = bound)]
    bound: usize,
    #[command(flatten)]
    options: Options,
}

/// Options of the client half.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// The command that starts the adapter, split by shell rules but without a shell. docs/adapter.md says what it has to do.
    #[arg(long, value_name = "COMMAND")]
    adapter: Option<String>,
    /// The command word by word instead of --adapter.
    #[arg(last = true, value_name = "ARGV", conflicts_with = "adapter")]
    argv: Vec<String>,
    /// How the client connects; by default every way that the adapter declares.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transports>,
    /// Events in an order, at most; all orders up to so many are played.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BOUND, value_parser = bound)]
    bound: usize,
    #[command(flatten)]
    options: Options,
}

/// Options of both halves.
#[derive(Debug, Args)]
struct Options {
    /// Play so many longer orders behind those, chosen at random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    sample: usize,
    /// Choose other ones; the same seed gives the same orders.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Play only this order, by the id of its case; may be repeated.
    #[arg(long, value_name = "ID", conflicts_with_all = ["bound", "sample"])]
    only: Vec<String>,
    /// Print the scripts, and run nothing.
    #[arg(long)]
    list: bool,
    /// Orders that are played at one time.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Where the scripts of orders go that fail; made only when there are some.
    #[arg(long, value_name = "DIR", default_value = "exec-http-explore")]
    out: PathBuf,
    /// A variable for its environment. Proxy variables are always removed from it.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Multiply all deadlines.
    #[arg(long, value_name = "FACTOR", default_value_t)]
    time_scale: TimeScale,
    /// Judge only clauses up to this revision: 2026-04, 2026-07, 2026-08 or extension.
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    revision: Option<Revision>,
}

fn bound(text: &str) -> Result<usize, String> {
    let bound = text.parse().ok().filter(|bound| (1..=MOST_EVENTS).contains(bound));
    bound.ok_or_else(|| format!("expected a number from 1 to {MOST_EVENTS}"))
}

/// Explores one half on each transport. Messages about wrong options go to standard error.
pub(crate) fn run(half: &Explore) -> RunOutcome {
    let explored = match half {
        Explore::Server(server) => server.run(),
        Explore::Client(client) => client.run(),
    };
    explored.unwrap_or_else(|(outcome, message)| {
        eprintln!("error: {message}");
        outcome
    })
}

impl Server {
    fn run(&self) -> Result<RunOutcome, Failure> {
        let options = &self.options;
        let target = self.target()?;
        let transports = target.transports(self.transport.map_or(&[][..], Transports::list)).map_err(usage)?;
        if options.list {
            let texts = transports.iter().map(|on| options.scripts(&ServerModel::new(*on, true), self.bound));
            print(&texts.collect::<Result<String, _>>()?);
            return Ok(RunOutcome::Conforms);
        }
        let mut words = Vec::new();
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        if !self.argv.is_empty() {
            option("--cmd", &shell_words::join(&self.argv));
        }
        self.cmd.iter().for_each(|command| option("--cmd", command));
        self.url.iter().for_each(|url| option("--url", url));
        self.token_file.iter().for_each(|path| option("--token-file", &path.to_string_lossy()));
        let repeat = Repeat { executor: options.described(words), ..Repeat::default() };
        options.explored(repeat, async |report: &mut Report| {
            for transport in transports {
                if report.is_stopped {
                    break;
                }
                let opened = Lab::open(target.clone(), transport, START.mul_f64(options.time_scale.0)).await;
                let (lab, ready) = opened.map_err(|unready| incomplete(&unready.to_string()))?;
                let time_scale = options.time_scale.0 * ready.time_scale();
                let lab = lab.with_settings(Settings { time_scale, ..Settings::default() });
                let model = ServerModel::new(transport, ready.shown.contains(CANCEL));
                options.search(&model, &AnyLab::from(std::sync::Arc::new(lab)), transport, self.bound, report).await?;
            }
            Ok(())
        })
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
        Ok(Target::Command(self.options.command(argv)))
    }
}

impl Client {
    fn run(&self) -> Result<RunOutcome, Failure> {
        let options = &self.options;
        if options.list {
            let model = ClientModel::new(LISTED_FEATURES.map(str::to_owned));
            print(&options.scripts(&model, self.bound)?);
            return Ok(RunOutcome::Conforms);
        }
        let this = this_program()?;
        let argv = match &self.adapter {
            Some(command) => Target::split(command).map_err(usage)?,
            None if self.argv.is_empty() => vec![this.clone(), "adapter".to_owned()],
            None => self.argv.clone(),
        };
        let is_built_in = self.adapter.is_none() && self.argv.is_empty();
        let words = if is_built_in { Vec::new() } else { vec!["--adapter".to_owned(), shell_words::join(&argv)] };
        let repeat = Repeat { client: options.described(words), ..Repeat::default() };
        let target = ClientTarget { adapter: options.command(argv), relay: RelayProgram { argv: vec![this] } };
        options.explored(repeat, async |report: &mut Report| {
            for transport in self.transport.unwrap_or(Transports::Both).list() {
                if report.is_stopped {
                    break;
                }
                let start = START.mul_f64(options.time_scale.0);
                let opened = ClientLab::open(target.clone(), *transport, start, options.time_scale.0).await;
                let Some(lab) = opened.map_err(|unready| incomplete(&unready.to_string()))? else { continue };
                let model = ClientModel::new(lab.hello().features.iter().cloned());
                options.search(&model, &AnyLab::from(std::sync::Arc::new(lab)), *transport, self.bound, report).await?;
            }
            Ok(())
        })
    }
}

/// What is known so far.
struct Report {
    /// What became of all orders.
    tally: Tally,
    /// How the peer is named on a command line.
    repeat: Repeat,
    /// Somebody stopped it.
    is_stopped: bool,
}

impl Options {
    fn command(&self, argv: Vec<String>) -> CommandLine {
        let env = self.env.iter().map(|Variable(name, value)| (name.clone(), value.clone())).collect();
        CommandLine { argv, env, cwd: self.cwd.clone() }
    }

    /// The options that describe the peer and its surroundings, as one would type them.
    fn described(&self, mut words: Vec<String>) -> String {
        for Variable(name, value) in &self.env {
            words.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        words.extend(self.cwd.iter().flat_map(|cwd| ["--cwd".to_owned(), cwd.to_string_lossy().into_owned()]));
        shell_words::join(words)
    }

    /// The orders that the user wants.
    fn orders<M: Model>(&self, model: &M, bound: usize) -> Result<Vec<Vec<M::Event>>, Failure> {
        if self.only.is_empty() {
            let longer = sample(model, bound, self.sample, self.seed);
            return Ok(orders(model, bound).into_iter().chain(longer).collect());
        }
        let order = |id: &String| order_of(model, id).ok_or_else(|| usage(format!("{id} is no order of this peer")));
        self.only.iter().map(order).collect()
    }

    /// The scripts of those orders.
    fn scripts<M: Model>(&self, model: &M, bound: usize) -> Result<String, Failure> {
        let orders = self.orders(model, bound)?;
        let mut text = String::new();
        for event in M::Event::ALL {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# {:<11} {}", event.word(), event.sentence());
        }
        orders.iter().for_each(|order| text += &format!("\n{}", case_of(model, order).text));
        Ok(text)
    }

    /// Explores within a runtime, and prints the last line.
    fn explored(
        &self,
        repeat: Repeat,
        explore: impl AsyncFnOnce(&mut Report) -> Result<(), Failure>,
    ) -> Result<RunOutcome, Failure> {
        let mut report = Report { tally: Tally::default(), repeat, is_stopped: false };
        let runtime = tokio::runtime::Runtime::new().map_err(|error| (RunOutcome::SuiteBug, error.to_string()))?;
        let explored = runtime.block_on(explore(&mut report));
        // Everything that was started has ended; what is left are reads of pipes that somebody else holds open.
        runtime.shutdown_background();
        explored?;
        let Report { tally, .. } = report;
        print(&format!(
            "{} passed, {} failed, {} skipped\n",
            tally.passed(false),
            tally.failed(false),
            tally.skipped()
        ));
        Ok(tally.outcome(false))
    }

    /// Explores on one transport, and ends the peer.
    async fn search<M: Model>(
        &self,
        model: &M,
        lab: &AnyLab,
        transport: Transport,
        bound: usize,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let orders = self.orders(model, bound)?;
        let search = Search {
            bound,
            parallel: self.jobs.map_or_else(default_jobs, usize::from),
            most_failures: MOST_FAILURES,
            revision: self.revision.unwrap_or(Revision::Extension),
        };
        let bar = bar();
        bar.set_length(orders.len() as u64);
        let outcome = search.run(model, lab, orders, |_| bar.inc(1), interrupted()).await;
        bar.finish_and_clear();
        let length = if self.only.is_empty() { format!("up to {bound} events") } else { "these events".to_owned() };
        let longer = if self.sample > 0 { format!(" and {} longer ones", self.sample) } else { String::new() };
        let paint = Paint::of(&std::io::stdout());
        print(&outcome.text(&format!("{} [{transport}]", M::AREA), &(length + &longer), &report.repeat, paint));
        report.tally.merge(&outcome.tally);
        report.is_stopped |= outcome.is_stopped;
        for result in lab.close().await {
            report.tally.add(result.verdict);
            print(&format!("{} [{transport}] {}: {}\n", result.case, result.verdict, printable(result.came())));
        }
        self.keep(&outcome, transport)
    }

    /// Writes the scripts of orders that failed.
    fn keep(&self, outcome: &Outcome, transport: Transport) -> Result<(), Failure> {
        for failure in &outcome.failures {
            let path = self.out.join(format!("{}.{transport}.case", failure.case.id.replace('/', "-")));
            write(&path, &failure.case.text).map_err(|error| incomplete(&format!("{}: {error}", path.display())))?;
            print(&format!("wrote {}\n", path.display()));
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, text)
}

fn incomplete(message: &str) -> Failure {
    (RunOutcome::Incomplete, message.to_owned())
}
