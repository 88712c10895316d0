//! `exec-http zoo serve`: an executor of the zoo, to run anything against it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use exec_http::conformance::case::{Half, Transport};
use exec_http::conformance::declaration::{CANCEL, CREDIT};
use exec_http::conformance::wire::Wire;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::proxy::{Make, join, serve_websockets};
use exec_http::conformance::zoo::signals;
use exec_http::conformance::zoo::specimen::{Means, Specimen};
use exec_http::conformance::zoo::tamper::Tamper;
use exec_http::protocol::limits::LINE_BYTES;
use exec_http::protocol::session::Extensions;
use exec_http::server::{Server, ServerConfig};
use exec_http::transport::lines;
use exec_http::transport::websocket::Listener;
use tokio::net::TcpListener;

use crate::cli::serve::Listen;

/// Bytes on their way between the specimen and the executor behind it, in one direction: as many as a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// Run an executor of the zoo.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Its name; without one it is correct.
    #[arg(value_parser = executor)]
    name: Option<&'static Specimen>,
    /// `stdio`, or `ws://ADDRESS:PORT` with a loopback address.
    #[arg(long, value_name = "WHERE", default_value = "ws://127.0.0.1:0", value_parser = loopback)]
    listen: Listen,
}

fn executor(name: &str) -> Result<&'static Specimen, String> {
    let found = zoo::all().find(|specimen| specimen.role == Half::Executor && specimen.name == name);
    found.ok_or_else(|| "`exec-http zoo --list` prints the names".to_owned())
}

/// Nobody else is to meet a faulty executor.
fn loopback(text: &str) -> Result<Listen, &'static str> {
    match text.parse()? {
        Listen::WebSocket { address, tls } if tls || !address.ip().is_loopback() => {
            Err("must be stdio or ws://ADDRESS:PORT with a loopback address")
        }
        listen => Ok(listen),
    }
}

/// Serves until standard input ends or a signal comes.
pub(crate) fn run(arguments: &Serve) -> ExitCode {
    let here = if matches!(arguments.listen, Listen::Stdio) { Transport::Stdio } else { Transport::Websocket };
    let offers = |capability| arguments.name.is_some_and(|specimen| specimen.offers.contains(&capability));
    let extensions = Extensions { cancel: offers(CANCEL), credit: offers(CREDIT) };
    let make = match arguments.name {
        Some(Specimen { means: Means::Wire(make), only, .. }) if only.is_none_or(|only| only == here) => *make,
        // All others are means of clients, or show elsewhere.
        _ => Tamper::none,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let listen = arguments.listen.clone();
    let served = runtime.block_on(async { tokio::spawn(serve(listen, make, extensions)).await });
    // A read of standard input that is under way cannot be interrupted, so it is not waited for.
    runtime.shutdown_background();
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(_) => ExitCode::FAILURE,
    }
}

async fn serve(listen: Listen, make: Make, extensions: Extensions) -> io::Result<()> {
    let server = Server::new(ServerConfig { extensions, ..ServerConfig::default() });
    let mut accepting = None;
    // Whoever has read the address may end this program.
    let ended = signals::wait();
    let mut serving = match listen {
        Listen::Stdio => {
            let client = Wire::lines(tokio::io::stdout(), tokio::io::stdin(), LINE_BYTES);
            let tamper = make();
            let executor = connected(&server);
            let second = tamper.is_doubled().then(|| connected(&server));
            tokio::spawn(async move {
                join(client, executor, second, tamper).await;
                Ok(())
            })
        }
        Listen::WebSocket { address, .. } => {
            let behind = Listener::bind(([127, 0, 0, 1], 0).into()).await?;
            let executor = behind.address()?;
            let server = server.clone();
            accepting = Some(tokio::spawn(async move { server.serve_websockets(behind).await }));
            let listener = TcpListener::bind(address).await?;
            {
                let mut out = io::stdout().lock();
                writeln!(out, "ws://{}", listener.local_addr()?)?;
                out.flush()?;
            }
            tokio::spawn(serve_websockets(listener, executor, make))
        }
    };
    tokio::select! {
        served = &mut serving => return served.unwrap_or(Ok(())),
        signalled = ended => signalled?,
    }
    server.shut_down();
    if let Some(accepting) = accepting {
        // Behind the close frames of its connections.
        _ = accepting.await;
    }
    if matches!(listen, Listen::Stdio) {
        // Ends behind the last frame of the executor.
        return serving.await.unwrap_or(Ok(()));
    }
    Ok(())
}

/// A connection to the executor.
fn connected(server: &Server) -> Wire {
    // One pair a direction, so that dropping an end of it closes that direction.
    let (requests, input) = tokio::io::duplex(PIPE_BYTES);
    let (output, answers) = tokio::io::duplex(PIPE_BYTES);
    let server = server.clone();
    tokio::spawn(async move { server.serve_connection(lines::connection(input, output)).await });
    Wire::stdio(requests, answers)
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
