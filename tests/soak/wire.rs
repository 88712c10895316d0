//! What is between client and executor: a relay that cuts frames anywhere, and may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exec_http::transport::{Connection, TransportError, lines, websocket};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::random::Random;

/// Bytes that are forwarded at one time, at most.
const PIECE: usize = 64 * 1024;

/// How long a slow wire pauses now and then.
const PAUSE: Duration = Duration::from_millis(2);

/// What a wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Forwards all, in pieces of any size.
    None,
    /// The same with pauses.
    Slow,
    /// Ends after so many bytes from the executor, wherever that is in a frame.
    Cut(u64),
    /// The same with a reset of both sides; on pipes a cut.
    Reset(u64),
    /// Forwards nothing more after so many bytes, and stays open: one half of it has gone, and nobody says so.
    HalfOpen(u64),
}

impl Fault {
    /// Bytes after which it strikes.
    fn after(self) -> Option<u64> {
        match self {
            Self::None | Self::Slow => None,
            Self::Cut(after) | Self::Reset(after) | Self::HalfOpen(after) => Some(after),
        }
    }
}

/// A wire; gone when it is dropped.
pub(crate) struct Wire {
    /// Whether its fault has struck.
    struck: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// Whether calls may be cut off by now.
    pub(crate) fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// A wire in front of an executor's websocket, and a connection over it.
    pub(crate) async fn websocket(
        url: &str,
        fault: Fault,
        random: Random,
    ) -> (Self, Result<Connection, TransportError>) {
        let target = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = format!("ws://{}/", listener.local_addr().expect("bound"));
        let struck = Arc::new(AtomicBool::new(false));
        let (mut tasks, flag) = (JoinSet::new(), Arc::clone(&struck));
        tasks.spawn(async move {
            let (client, _) = listener.accept().await.expect("a connection");
            let executor = TcpStream::connect(target).await.expect("the executor listens");
            for stream in [&client, &executor] {
                stream.set_nodelay(true).expect("a TCP socket");
                if matches!(fault, Fault::Reset(_)) {
                    stream.set_zero_linger().expect("a TCP socket");
                }
            }
            let ((client_out, client_in), (executor_out, executor_in)) = (client.into_split(), executor.into_split());
            both((executor_out, executor_in), (client_out, client_in), fault, random, &flag).await;
        });
        let connection = websocket::connect(&own).await;
        (Self { struck, _tasks: tasks }, connection)
    }

    /// A wire in front of an executor's pipes, and a connection over it.
    pub(crate) fn pipes(pipes: (ChildStdout, ChildStdin), fault: Fault, random: Random) -> (Self, Connection) {
        let ((near_in, far_out), (far_in, near_out)) = (duplex(PIECE), duplex(PIECE));
        let struck = Arc::new(AtomicBool::new(false));
        let (mut tasks, flag) = (JoinSet::new(), Arc::clone(&struck));
        tasks.spawn(async move { both(pipes, (far_in, far_out), fault, random, &flag).await });
        (Self { struck, _tasks: tasks }, lines::connection(near_in, near_out))
    }
}

/// Forwards between the executor's and the client's side until either ends or the fault strikes.
async fn both(
    executor: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    fault: Fault,
    mut random: Random,
    struck: &AtomicBool,
) {
    let slow = fault == Fault::Slow;
    let (up, down) = (random.fork(), random);
    tokio::select! {
        () = forward(client.0, executor.1, None, slow, up) => {}
        () = forward(executor.0, client.1, fault.after().map(|after| (after, struck)), slow, down) => {}
    }
    struck.store(true, Ordering::SeqCst);
    if let Fault::HalfOpen(_) = fault {
        std::future::pending::<()>().await;
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    strikes: Option<(u64, &AtomicBool)>,
    slow: bool,
    mut random: Random,
) {
    let (mut buffer, mut forwarded) = (vec![0; PIECE], 0);
    loop {
        let size = random.length(16).clamp(1, PIECE);
        let Ok(read @ 1..) = from.read(&mut buffer[..size]).await else { return };
        let mut piece = read;
        if let Some((after, struck)) = strikes {
            piece = piece.min((after - forwarded) as usize);
            // Said before it can be seen.
            struck.fetch_or(piece < read, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..piece]).await.is_err() || to.flush().await.is_err() || piece < read {
            return;
        }
        forwarded += piece as u64;
        if slow && random.once_in(16) {
            sleep(PAUSE).await;
        }
    }
}
