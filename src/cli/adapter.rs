//! `exec-http adapter`: the adapter of the built-in client, or of the seed client with the defects that it is told to have.
//! `exec-http adapter new`: the beginning of another one.

mod built_in;
mod new;
mod seed;

use std::io;
use std::process::{ExitCode, Stdio};

use clap::{Args, Subcommand};
use exec_http::conformance::case::Half;
use exec_http::conformance::client::messages::{Endpoint, Failure};
use exec_http::conformance::client::serve::serve;
use exec_http::conformance::client::under_test::ClientUnderTest;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::interpose::{self, Input, Output};
use exec_http::conformance::zoo::proxy::Make;
use exec_http::conformance::zoo::seed_client::Defects;
use exec_http::conformance::zoo::specimen::{Means, Specimen};
use exec_http::transport::{Connection, lines, websocket};
use tokio::process::{Child, Command};

use built_in::BuiltIn;
pub(super) use seed::Seed;

/// Options of the adapter.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Adapter {
    #[command(subcommand)]
    task: Option<Task>,
    /// Be the adapter of the seed client instead.
    #[arg(long)]
    seed: bool,
    /// Switch a defect of the seed client on; may be repeated.
    #[arg(long, value_name = "DEFECT", requires = "seed", value_parser = defect)]
    defect: Vec<&'static Specimen>,
    /// Switch on what the seed client had when it was first merged.
    #[arg(long, requires = "seed")]
    merged: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write the skeleton of an adapter for another library; docs/adapter.md says what it does.
    New(new::New),
}

fn defect(name: &str) -> Result<&'static Specimen, String> {
    let found = zoo::all().find(|specimen| specimen.role == Half::Client && specimen.name == name);
    found.ok_or_else(|| "`exec-http zoo --list --role client` prints the names".to_owned())
}

/// Serves the adapter protocol on standard input and output, or writes a skeleton.
pub(crate) fn run(arguments: &Adapter) -> ExitCode {
    let merged = if arguments.merged { Defects::MERGED } else { &[] };
    let switch = |specimen: &&Specimen| match specimen.means {
        Means::Switch(defect) => Some(defect),
        _ => None,
    };
    let wire = |specimen: &&Specimen| match specimen.means {
        Means::Wire(make) => Some(make),
        _ => None,
    };
    let switches = merged.iter().copied().chain(arguments.defect.iter().filter_map(switch)).collect();
    let wires = arguments.defect.iter().filter_map(wire).collect();
    match &arguments.task {
        Some(Task::New(options)) => new::run(options),
        None if arguments.seed => serve_stdio(Seed::new(switches, wires)),
        None => serve_stdio(BuiltIn),
    }
}

/// Serves a client on standard input and output.
pub(super) fn serve_stdio(client: impl ClientUnderTest) -> ExitCode {
    run_stdio(serve(client, tokio::io::stdin(), tokio::io::stdout()))
}

/// Runs what reads standard input.
pub(super) fn run_stdio(serving: impl Future<Output = io::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let served = runtime.block_on(serving);
    // A read of standard input cannot be interrupted.
    runtime.shutdown_background();
    served.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Connects through these wires; on stdio also returns the executor that was started, which is killed when it is dropped.
async fn connect(endpoint: Endpoint, wires: &[Make]) -> Result<(Connection, Option<Child>), Failure> {
    match endpoint {
        Endpoint::Ws { mut url } => {
            for make in wires {
                let executor = url.trim_start_matches("ws://").trim_end_matches('/').parse().map_err(Failure::other)?;
                url = format!("ws://{}/", interpose::websocket(executor, *make).await.map_err(Failure::other)?);
            }
            Ok((websocket::connect(&url).await.map_err(Failure::other)?, None))
        }
        Endpoint::Stdio { argv, env } => {
            let (program, arguments) = argv.split_first().ok_or_else(|| Failure::other("no program"))?;
            let mut command = Command::new(program);
            command.args(arguments).envs(env).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
            let mut child = command.spawn().map_err(Failure::other)?;
            let pipes = child.stdout.take().zip(child.stdin.take());
            let (output, input) = pipes.ok_or_else(|| Failure::other("the program has no pipes"))?;
            let mut pipes: (Output, Input) = (Box::new(output), Box::new(input));
            for make in wires {
                pipes = interpose::pipes(pipes.0, pipes.1, make());
            }
            Ok((lines::connection(pipes.0, pipes.1), Some(child)))
        }
    }
}
