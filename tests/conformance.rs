//! The conformance suite against the built-in executor and the built-in client, every case on every transport a test of its own:
//! `server::stdio::stream/seq-from-one`, `client::ws::client-stream/gap`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock, RwLock};

use exec_http::conformance::case::{Half, Transport};
use exec_http::conformance::client::door::RelayProgram;
use exec_http::conformance::client::harness;
use exec_http::conformance::client::lab::ClientTarget;
use exec_http::conformance::declaration::Declaration;
use exec_http::conformance::lab::Lab;
use exec_http::conformance::launcher::{START, Target};
use exec_http::conformance::plan::{Claims, Job, jobs};
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::card::card;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::stage::Settings;
use exec_http::conformance::suites;
use exec_http::conformance::verdict::Verdict;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;

const TRANSPORTS: [Transport; 2] = [Transport::Stdio, Transport::Websocket];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// Cases that depend on time hold it alone.
static ALONE: RwLock<()> = RwLock::new(());

/// The executor on one transport, started by the first case that needs it.
struct Peer {
    transport: Transport,
    lab: OnceLock<Result<(Lab, Claims), String>>,
}

static PEERS: [Peer; 2] = [Peer::new(Transport::Stdio), Peer::new(Transport::Websocket)];

impl Peer {
    const fn new(transport: Transport) -> Self {
        Self { transport, lab: OnceLock::new() }
    }

    fn of(transport: Transport) -> &'static Self {
        PEERS.iter().find(|peer| peer.transport == transport).expect("there is one for each transport")
    }

    fn lab(&self) -> Result<&(Lab, Claims), Failed> {
        self.lab.get_or_init(|| RUNTIME.block_on(self.open())).as_ref().map_err(Failed::from)
    }

    async fn open(&self) -> Result<(Lab, Claims), String> {
        let argv = [env!("CARGO_BIN_EXE_exec-http"), "serve", "--listen", "{listen}"].map(str::to_owned).to_vec();
        let target = Target::Command(CommandLine { argv, env: Vec::new(), cwd: None });
        let (lab, ready) = Lab::open(target, self.transport, START).await.map_err(|unready| unready.to_string())?;
        let shown = BTreeMap::from([(self.transport.as_str(), ready.shown.clone())]);
        let claims = Claims { declaration: Declaration::default(), is_spawned: true, shown };
        Ok((lab.with_settings(Settings { time_scale: ready.time_scale(), ..Settings::default() }), claims))
    }
}

fn run(job: Job) -> Result<Completion, Failed> {
    let (lab, claims) = Peer::of(job.transport).lab()?;
    if let Some(reason) = claims.not_applicable(&job) {
        return Ok(Completion::ignored_with(reason));
    }
    // A lock that a panicking case has left is as good as any.
    let (_shared, _exclusive);
    if job.case.alone {
        _exclusive = ALONE.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    } else {
        _shared = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    }
    let result = RUNTIME.block_on(lab.run(job.case));
    match result.verdict {
        Verdict::Pass => Ok(Completion::Completed),
        // A broken SHOULD is told and fails nothing, as in a run of the suite.
        Verdict::Warn => {
            eprint!("{}", card(&result, &Repeat::default(), Paint::PLAIN));
            Ok(Completion::Completed)
        }
        _ => Err(card(&result, &Repeat::default(), Paint::PLAIN).into()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial =
        |job: Job| Trial::ignorable_test(format!("server::{}::{}", job.transport, job.case.id), move || run(job));
    let mut trials: Vec<_> = jobs(suites::of(Half::Executor), &TRANSPORTS).into_iter().map(trial).collect();
    let program = env!("CARGO_BIN_EXE_exec-http").to_owned();
    let argv = vec![program.clone(), "adapter".to_owned()];
    let adapter = CommandLine { argv, env: Vec::new(), cwd: None };
    trials.extend(harness::trials(&ClientTarget { adapter, relay: RelayProgram { argv: vec![program] } }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut clean = harness::close();
    for (lab, _) in PEERS.iter().filter_map(|peer| peer.lab.get()?.as_ref().ok()) {
        for result in RUNTIME.block_on(lab.close()) {
            eprint!("{}", card(&result, &Repeat::default(), Paint::PLAIN));
            clean = false;
        }
    }
    if clean { conclusion.exit_code() } else { ExitCode::FAILURE }
}
