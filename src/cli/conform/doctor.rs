//! `exec-http doctor`: the first look at an implementation, said step by step, and a declaration to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use exec_http::conformance::case::{CAPABILITIES, Half, Transport};
use exec_http::conformance::client::lab::{ClientLab, ClientTarget};
use exec_http::conformance::declaration::DECLARATION_FILE;
use exec_http::conformance::lab::Lab;
use exec_http::conformance::launcher::{START, Target};
use exec_http::conformance::probe::probe;
use exec_http::conformance::process::EXIT_GRACE;
use exec_http::conformance::report::paint::{Paint, Shade};
use exec_http::conformance::suites;
use exec_http::conformance::transcript::printable;
use exec_http::conformance::unready::{Cause, Unready};
use exec_http::conformance::verdict::{Bearing, RunOutcome};

use super::client::Client;
use super::server::Server;
use super::{Failure, Options, Transports, Variable, unless_interrupted, usage};

/// Lines of standard error that are shown with what went wrong.
const STDERR_LINES: usize = 8;

/// What an executor is asked first, each with what it shows.
const LOOKS: [(&str, &str); 4] = [
    ("response/buffered", "answers a buffered call"),
    ("stream/numbered", "streams a body"),
    ("envelope/unknown-method", "refuses a method that nobody has"),
    ("close/end-of-input", "ends when its input ends"),
];

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The command that starts the executor, split by shell rules but without a shell. Placeholders: {addr}, {port}, {listen}.
    #[arg(long, value_name = "COMMAND", conflicts_with = "url")]
    cmd: Option<String>,
    /// The websocket of an executor that is running already.
    #[arg(long, value_name = "ws://HOST:PORT")]
    url: Option<String>,
    /// The command that starts the adapter of a client.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["cmd", "url"])]
    adapter: Option<String>,
    /// How to reach it; by default as `conform` does.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<Transports>,
    /// A variable for its environment.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// The declaration to write; a file that is there is never written over.
    #[arg(short, long, value_name = "FILE", default_value = DECLARATION_FILE)]
    output: PathBuf,
}

impl Doctor {
    /// Looks, says what it found, and writes the declaration. Nothing is written about what cannot be tested.
    pub(crate) fn run(&self) -> RunOutcome {
        let examined = tokio::runtime::Runtime::new()
            .map_err(|error| (RunOutcome::SuiteBug, error.to_string()))
            .and_then(|runtime| {
                let examined = runtime.block_on(unless_interrupted(self.examine()));
                runtime.shutdown_background();
                examined
            });
        examined.unwrap_or_else(|(outcome, message)| {
            eprintln!("error: {message}");
            outcome
        })
    }

    async fn examine(&self) -> Result<RunOutcome, Failure> {
        let mut chart = Chart { paint: Paint::of(&io::stdout()), outcome: RunOutcome::Conforms };
        let file = match (&self.cmd, &self.url, &self.adapter) {
            (None, None, Some(adapter)) => {
                let subject = Client::of_adapter(adapter, self.transport, self.surroundings()).subject()?;
                let client = subject.client.ok_or_else(|| usage("there is no client"))?;
                examine_client(&client, &subject.transports, &mut chart)
                    .await
                    .map(|file| [line("adapter", adapter), file].concat())
            }
            (None, None, None) => return Err(usage("doctor needs --cmd, --url or --adapter")),
            (cmd, url, _) => {
                let server = Server::of_options(cmd.as_deref(), url.as_deref(), self.transport, self.surroundings());
                let subject = server.subject()?;
                let executor = subject.executor.ok_or_else(|| usage("there is no executor"))?;
                let named = cmd.as_deref().map(|cmd| line("cmd", cmd)).or(url.as_deref().map(|url| line("url", url)));
                let file = examine_executor(&executor, &subject.transports, &mut chart).await;
                file.map(|file| [named.unwrap_or_default(), file].concat())
            }
        };
        if let Some(file) = file {
            self.write(&format!("{file}{}", self.declared_surroundings()))?;
            let half = if self.adapter.is_some() { "client" } else { "server" };
            println!("\nnext: exec-http conform {half}");
        }
        Ok(chart.outcome)
    }

    /// Where the peer runs, as `conform` takes it.
    fn surroundings(&self) -> Options {
        Options { env: self.env.clone(), cwd: self.cwd.clone(), ..Options::default() }
    }

    /// The same, as a declaration says it.
    fn declared_surroundings(&self) -> String {
        let env: Vec<String> =
            self.env.iter().map(|Variable(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
        let mut text = String::new();
        if !env.is_empty() {
            text += &format!("# Its environment.\nenv = {{ {} }}\n\n", env.join(", "));
        }
        if let Some(cwd) = &self.cwd {
            text += &format!("# Its working directory.\ncwd = {}\n\n", quoted(&cwd.to_string_lossy()));
        }
        text
    }

    fn write(&self, file: &str) -> Result<(), Failure> {
        let opened = OpenOptions::new().write(true).create_new(true).open(&self.output);
        match opened.and_then(|mut opened| opened.write_all(file.as_bytes())) {
            Ok(()) => println!("\nwrote {}", self.output.display()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                println!("\n{} is there already, and stays as it is", self.output.display());
            }
            Err(error) => return Err(usage(format!("{}: {error}", self.output.display()))),
        }
        Ok(())
    }
}

/// A line of TOML.
fn line(name: &str, value: &str) -> String {
    format!(
        "# What `exec-http conform` tests when its command line names nothing else.\n{name} = {}\n\n",
        quoted(value)
    )
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// What is said on the way.
struct Chart {
    /// Colours on standard output.
    paint: Paint,
    /// The worst so far.
    outcome: RunOutcome,
}

impl Chart {
    fn good(&self, what: &str, found: &str) {
        println!("  {}  {what:<38}  {found}", self.paint.verdict("ok  ", Bearing::Good));
    }

    /// Why nothing more can be looked at.
    fn unready(&mut self, what: &str, unready: &Unready) {
        self.bad(what, &unready.to_string(), unready.hint());
        if matches!(unready, Unready::Cause(..)) {
            self.outcome = RunOutcome::Incomplete;
        }
    }

    fn bad(&mut self, what: &str, came: &str, hint: &str) {
        self.outcome = RunOutcome::Violation;
        println!("  {}  {what:<38}  {}", self.paint.verdict("FAIL", Bearing::Violation), printable(came));
        println!("  {}  {hint}", self.paint.shade("hint", Shade::Bold));
    }

    fn stderr(&self, text: &str) {
        let text = printable(text);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(STDERR_LINES)..] {
            println!("  {}  {line}", self.paint.shade("its standard error:", Shade::Dim));
        }
    }
}

/// Says what an executor shows; the declaration to begin with, unless it cannot be tested.
async fn examine_executor(target: &Target, transports: &[Transport], chart: &mut Chart) -> Option<String> {
    let mut offers = Vec::new();
    for &transport in transports {
        println!("{}", chart.paint.shade(&format!("executor on {transport}"), Shade::Bold));
        offers = examine_on(target, transport, chart).await?;
    }
    let names: Vec<String> = transports.iter().map(|on| format!("\"{on}\"")).collect();
    let all: Vec<String> = CAPABILITIES.iter().map(|name| format!("\"{name}\"")).collect();
    Some(format!(
        "# How it is reached.\ntransports = [{}]\n\n\
         # The newest revision of the protocol that it claims: 2026-04, 2026-07, 2026-08 or extension. Cases of later ones do not apply.\n\
         # revision = \"extension\"\n\n\
         # What it claims to do beyond the core. Without this line that is everything, except what it shows to be absent;\n\
         # it showed: {}. A line that is there says exactly what counts; these are all:\n\
         # capabilities = [{}]\n\n",
        names.join(", "),
        if offers.is_empty() { "nothing".to_owned() } else { offers.join(", ") },
        all.join(", "),
    ))
}

/// One transport: found, started, greeted, asked. What it offers, unless it cannot be tested.
async fn examine_on(target: &Target, transport: Transport, chart: &mut Chart) -> Option<Vec<&'static str>> {
    if let Target::Command(command) = target
        && let Some(path) = found(&command.argv[0])
    {
        chart.good("found", &path.display().to_string());
    }
    let start = Instant::now();
    let mut peer = match target.launch(transport, &[], START).await {
        Ok(peer) => peer,
        Err(error) => {
            let unready = Unready::from(error);
            chart.unready("started", &unready);
            return None;
        }
    };
    chart.good("started", &shown(start.elapsed()));
    let start = Instant::now();
    let looked = probe(&mut peer, START).await;
    if let Some(process) = peer.process() {
        let grace = if transport == Transport::Stdio { EXIT_GRACE } else { Duration::ZERO };
        process.end(grace).await;
    }
    let ready = match looked {
        Ok(ready) => ready,
        Err(unready) => {
            chart.unready("says hello", &unready);
            if let Some(process) = peer.process() {
                chart.stderr(&process.stderr().since(0));
            }
            return None;
        }
    };
    let all = shown(start.elapsed());
    chart.good("says hello, nothing else on its output", &format!("{all} with 20 round trips"));
    chart.good("slowest of 20 round trips", &shown(ready.round_trip));
    let offers: Vec<&'static str> = ready.shown.iter().copied().collect();
    chart.good("offers", &if offers.is_empty() { "no extension".to_owned() } else { offers.join(", ") });
    let lab = match Lab::open(target.clone(), transport, START).await {
        Ok((lab, _)) => lab,
        Err(unready) => {
            chart.unready("starts once more", &unready);
            return None;
        }
    };
    for (id, what) in LOOKS {
        let case = suites::of(Half::Executor).iter().find(|case| case.id == id);
        let case = case.filter(|case| case.only.is_none_or(|only| only == transport));
        // A process of the user's is not ours to end.
        let Some(case) = case.filter(|case| target.is_spawned() || !case.needs.iter().any(|need| need == "spawn"))
        else {
            continue;
        };
        let result = lab.run(case).await;
        match result.verdict.bearing() {
            Bearing::Good | Bearing::Advice => chart.good(what, &shown(result.duration)),
            Bearing::Neutral => {}
            Bearing::Incomplete => {
                let before = chart.outcome;
                chart.bad(what, result.came(), &format!("exec-http explain {id}"));
                chart.outcome = if before == RunOutcome::Conforms { RunOutcome::Incomplete } else { before };
            }
            _ => {
                let hint = format!("exec-http explain {id}");
                chart.bad(what, result.came(), &hint);
            }
        }
    }
    lab.close().await;
    Some(offers)
}

/// Says what an adapter shows; the declaration to begin with, unless its client cannot be tested.
async fn examine_client(target: &ClientTarget, transports: &[Transport], chart: &mut Chart) -> Option<String> {
    let mut reached = Vec::new();
    for &transport in transports {
        println!("{}", chart.paint.shade(&format!("client on {transport}"), Shade::Bold));
        if let Some(path) = found(&target.adapter.argv[0]) {
            chart.good("found", &path.display().to_string());
        }
        let start = Instant::now();
        match ClientLab::open(target.clone(), transport, START, 1.0).await {
            Ok(None) => chart.good("declares", "not this transport"),
            Err(unready) => {
                chart.unready("plays four calls", &unready);
                return None;
            }
            Ok(Some(lab)) => {
                chart.good("plays four calls", &shown(start.elapsed()));
                let hello = lab.hello();
                let features = hello.features.iter().cloned().collect::<Vec<_>>().join(", ");
                chart.good("declares", &printable(&features));
                lab.close().await;
                reached.push(transport);
            }
        }
    }
    if reached.is_empty() {
        chart.unready("declares a transport", &Unready::Cause(Cause::Adapter, "neither stdio nor ws".to_owned()));
        return None;
    }
    Some(
        "# What the client claims beyond the core, its adapter says itself: `features` and `limits` in its `hello`.\n"
            .to_owned(),
    )
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// Where a program is, as the system finds it.
fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(Path::new(program))).find(|path| path.is_file())
}
