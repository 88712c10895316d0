//! The suite as the tests of another crate: one line in a test target with `harness = false`.
//!
//! ```no_run
//! # use exec_http::conformance::client::{harness, under_test::ClientUnderTest};
//! # fn run(my_client: impl ClientUnderTest) -> std::process::ExitCode {
//! harness::main(my_client)
//! # }
//! ```
//!
//! The test program starts itself again as the adapter, and as the relay for clients that start their executor.

use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock, RwLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;

use super::door::RelayProgram;
use super::lab::{ClientLab, ClientTarget};
use super::relay;
use super::serve::serve;
use super::under_test::ClientUnderTest;
use crate::conformance::case::{Half, Transport};
use crate::conformance::launcher::START;
use crate::conformance::plan::{Job, jobs};
use crate::conformance::process::CommandLine;
use crate::conformance::report::card::card;
use crate::conformance::report::paint::Paint;
use crate::conformance::report::repeat::Repeat;
use crate::conformance::suites;
use crate::conformance::verdict::Verdict;

/// The variable that makes the test program the adapter.
const ADAPTER: &str = "EXEC_HTTP_ADAPTER";

const TRANSPORTS: [Transport; 2] = [Transport::Stdio, Transport::Websocket];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// Cases that depend on time hold it alone.
static ALONE: RwLock<()> = RwLock::new(());

/// The client on each transport, looked at by the first case that needs it.
static LABS: [OnceLock<Result<Option<ClientLab>, String>>; 2] = [const { OnceLock::new() }; 2];

/// Runs the suite against a client, every case on every transport a test of its own: `client::ws::client-stream/gap`. The
/// arguments are those of `cargo test`.
pub fn main<C: ClientUnderTest>(client: C) -> ExitCode {
    if let Some(code) = relay::run_if_asked() {
        return code;
    }
    if std::env::var_os(ADAPTER).is_some() {
        return adapter(client);
    }
    let target = match this_program() {
        Ok(program) => ClientTarget {
            adapter: CommandLine {
                argv: vec![program.clone()],
                env: vec![(ADAPTER.to_owned(), "1".to_owned())],
                cwd: None,
            },
            relay: RelayProgram { argv: vec![program] },
        },
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    run(&target, &Arguments::from_args())
}

/// The tests of the client half against that adapter.
pub fn run(target: &ClientTarget, arguments: &Arguments) -> ExitCode {
    let conclusion = libtest_mimic::run(arguments, trials(target));
    if close() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

/// A test for each case on each transport. [`close`] has to follow their run.
pub fn trials(target: &ClientTarget) -> Vec<Trial> {
    let trial = |job: Job| {
        let target = target.clone();
        Trial::ignorable_test(format!("client::{}::{}", job.transport, job.case.id), move || run_job(&target, job))
    };
    jobs(suites::of(Half::Client), &TRANSPORTS).into_iter().map(trial).collect()
}

/// Ends what the tests have started. False when that was not possible in good order; the reason is printed.
pub fn close() -> bool {
    let mut clean = true;
    for lab in LABS.iter().filter_map(|lab| lab.get()?.as_ref().ok()?.as_ref()) {
        for result in RUNTIME.block_on(lab.close()) {
            eprint!("{}", card(&result, &Repeat::default(), Paint::PLAIN));
            clean = false;
        }
    }
    clean
}

fn run_job(target: &ClientTarget, job: Job) -> Result<Completion, Failed> {
    let place = TRANSPORTS.iter().position(|on| *on == job.transport).expect("a job is on one of them");
    let open = || {
        let opened = ClientLab::open(target.clone(), job.transport, START, 1.0);
        RUNTIME.block_on(opened).map_err(|unready| unready.to_string())
    };
    let Some(lab) = LABS[place].get_or_init(open).as_ref().map_err(Failed::from)? else {
        return Ok(Completion::ignored_with("the client does not declare this transport"));
    };
    if let Some(reason) = lab.not_applicable(&job) {
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

/// Is the adapter.
fn adapter<C: ClientUnderTest>(client: C) -> ExitCode {
    match RUNTIME.block_on(serve(client, tokio::io::stdin(), tokio::io::stdout())) {
        // A read of standard input cannot be interrupted: the process ends without waiting for it.
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1)
        }
    }
}

fn this_program() -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    this.into_os_string().into_string().map_err(|_| "this program's path is not UTF-8".to_owned())
}
