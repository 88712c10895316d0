//! `exec-http tap`: between a client and an executor that somebody else runs, recording and judging what passes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use exec_http::conformance::artifacts::{Artifacts, CaseFiles, RUNS_FOLDER};
use exec_http::conformance::case::Transport;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::tap::{Complaint, TAP, Tap};
use exec_http::conformance::verdict::{Bearing, RunOutcome};
use exec_http::conformance::wire::Wire;
use exec_http::conformance::zoo::proxy::{join, serve_websocket};
use exec_http::conformance::zoo::signals;
use exec_http::conformance::zoo::tamper::Tamper;
use exec_http::protocol::limits::LINE_BYTES;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::judge::complaint;

/// How long what an executor has said may be under way behind its end.
const LAST_FRAMES: Duration = Duration::from_secs(10);

/// Behind an accept that failed, so that a lack of descriptors is not asked about all the time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Options of `tap`.
#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Where clients connect, ws://ADDRESS:PORT with a loopback address; port 0 is a free one. The address is printed.
    #[arg(long, value_name = "URL", requires = "upstream", value_parser = address)]
    listen: Option<SocketAddr>,
    /// The websocket of the executor, ws://ADDRESS:PORT.
    #[arg(long, value_name = "URL", requires = "listen", value_parser = address)]
    upstream: Option<SocketAddr>,
    /// The folder in which a folder for the traces is made.
    #[arg(long, value_name = "DIR", default_value = RUNS_FOLDER)]
    out: PathBuf,
    /// The executor on standard input and output, word by word: this command stands in its place.
    #[arg(last = true, value_name = "ARGV", conflicts_with_all = ["listen", "upstream"], required_unless_present = "listen")]
    argv: Vec<String>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "ws");
    let url = url.ok_or("must be ws://ADDRESS:PORT")?;
    let addresses = url.socket_addrs(|| None).ok();
    addresses.and_then(|addresses| addresses.first().copied()).ok_or("must be ws://ADDRESS:PORT")
}

/// Passes everything on, until the executor or the client ends, or a signal comes. Complaints and the place of the traces go to
/// standard error. Status 1: something was complained about; else, with a command that has ended by itself, its own status.
pub(crate) fn run(arguments: &TapArgs) -> ExitCode {
    let ran = || -> io::Result<ExitCode> {
        let runtime = tokio::runtime::Runtime::new()?;
        let artifacts = Arc::new(Artifacts::create_for_tap(&arguments.out)?);
        let ran = runtime.block_on(async {
            match (arguments.listen, arguments.upstream) {
                (Some(listen), Some(upstream)) => websockets(listen, upstream, &artifacts).await,
                _ => command(&arguments.argv, &artifacts).await,
            }
        });
        // A read of standard input that is under way cannot be interrupted, so it is not waited for.
        runtime.shutdown_background();
        ran
    };
    ran().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        RunOutcome::Usage.into()
    })
}

/// The complaints of all sessions.
type Complaints = Arc<Mutex<Vec<Complaint>>>;

/// What watches one session.
fn watched(transport: Transport, artifacts: &Artifacts, complaints: &Complaints) -> Tamper {
    let files = artifacts.of_case(TAP, transport);
    eprintln!("session, recorded in {}", shown(&files));
    let mut tap = Tap::begin(transport, files.begin_trace());
    let complaints = Arc::clone(complaints);
    let paint = Paint::of(&io::stderr());
    Tamper::none().watched(move |way, unit| {
        for one in tap.note(way, unit) {
            eprint!("{}", complaint(&one, paint));
            eprintln!("  again       exec-http judge {}", shown(&files));
            complaints.lock().expect("nobody panics with it").push(one);
        }
    })
}

fn shown(files: &CaseFiles) -> String {
    files.folder().join(files.trace()).display().to_string()
}

async fn websockets(listen: SocketAddr, upstream: SocketAddr, artifacts: &Artifacts) -> io::Result<ExitCode> {
    if !listen.ip().is_loopback() {
        return Err(io::Error::other("--listen has to be a loopback address: whoever connects can use the executor"));
    }
    let listener = TcpListener::bind(listen).await?;
    // Whoever has read the address may end this program.
    let end = signals::wait();
    tokio::pin!(end);
    println!("ws://{}", listener.local_addr()?);
    let complaints = Complaints::default();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            ended = &mut end => {
                ended?;
                break;
            }
            accepted = listener.accept() => {
                let client = match accepted {
                    Ok((client, _)) => client,
                    // One connection less; the others go on.
                    Err(error) => {
                        eprintln!("a connection was not accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let tamper = watched(Transport::Websocket, artifacts, &complaints);
                sessions.spawn(async move {
                    if let Err(error) = serve_websocket(client, upstream, tamper).await {
                        eprintln!("session ended: {error}");
                    }
                });
            }
            Some(_) = sessions.join_next() => {}
        }
    }
    Ok(told(&complaints))
}

async fn command(argv: &[String], artifacts: &Artifacts) -> io::Result<ExitCode> {
    // A client may end this program at any moment.
    let end = signals::wait();
    tokio::pin!(end);
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| io::Error::other(format!("{}: {error}", argv[0])))?;
    let piped = "both are piped";
    let executor = Wire::stdio(child.stdin.take().expect(piped), child.stdout.take().expect(piped));
    let client = Wire::lines(tokio::io::stdout(), tokio::io::stdin(), LINE_BYTES);
    let complaints = Complaints::default();
    let session = join(client, executor, None, watched(Transport::Stdio, artifacts, &complaints));
    tokio::pin!(session);
    let ended = async {
        tokio::select! {
            () = &mut session => child.wait().await,
            status = child.wait() => {
                // The last frames of an executor that has ended are still on their way.
                let _ = timeout(LAST_FRAMES, &mut session).await;
                status
            }
        }
    };
    let status = tokio::select! {
        status = ended => Some(status?),
        signal = &mut end => {
            signal?;
            None
        }
    };
    if status.is_none() {
        child.start_kill()?;
        child.wait().await?;
    }
    let is_clean = complaints.lock().expect("nobody panics with it").is_empty();
    let told = told(&complaints);
    Ok(match status.and_then(|status| status.code()) {
        Some(code) if is_clean => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        _ => told,
    })
}

/// The closing line.
fn told(complaints: &Complaints) -> ExitCode {
    let count = complaints.lock().expect("nobody panics with it").len();
    let (line, bearing) = match count {
        0 => ("nothing to complain about".to_owned(), Bearing::Good),
        1 => ("1 promise was broken".to_owned(), Bearing::Violation),
        _ => (format!("{count} promises were broken"), Bearing::Violation),
    };
    eprintln!("{}", Paint::of(&io::stderr()).verdict(&line, bearing));
    if count == 0 { ExitCode::SUCCESS } else { RunOutcome::Violation.into() }
}
