//! An executor and a client of either side, as programs use them: each on a runtime of its own with two workers.

use std::ops::Deref;
use std::process::Stdio;

use bytes::Bytes;
use exec_http::client::{Body as OurBody, Client as OurClient, ClientConfig, QueuePolicy};
use exec_http::server::Server;
use exec_http::transport::{lines, websocket};
use http::Request;
use tokio::process::{Child, Command};
use tokio::runtime::{Builder, Runtime};

use crate::baseline::client::{Body as BaselineBody, Client as BaselineClient};
use crate::baseline::executor::Executor as BaselineExecutor;
use crate::{clock, origin, sockets};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// [`crate::baseline`].
    Baseline,
    /// This crate.
    Ours,
}

impl Side {
    /// As it is written on a command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Ours => "ours",
        }
    }
}

/// What a program gets that does not think about it.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

/// An executor that listens, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Executor {
    /// `ws://HOST:PORT`.
    pub(crate) url: String,
    /// Drives it.
    _runtime: Runtime,
}

impl Executor {
    pub(crate) fn start(side: Side) -> Self {
        let runtime = runtime();
        let url = match side {
            Side::Ours => {
                let address = ([127, 0, 0, 1], 0).into();
                let listener = runtime.block_on(websocket::Listener::bind(address)).expect("a free port");
                let url = listener.url().expect("bound");
                runtime.spawn(async move { Server::default().serve_websockets(listener).await });
                url
            }
            Side::Baseline => {
                let listener = sockets::listener();
                listener.set_nonblocking(true).expect("an open socket");
                let url = format!("ws://{}", listener.local_addr().expect("bound"));
                let _entered = runtime.enter();
                let listener = tokio::net::TcpListener::from_std(listener).expect("an open socket");
                runtime.spawn(BaselineExecutor::new().serve_websockets(listener));
                url
            }
        };
        sockets::set_all();
        Self { url, _runtime: runtime }
    }
}

/// Serves standard input and output until the input ends: what the hidden mode of this program does.
pub(crate) fn serve_stdio(side: &str) {
    let runtime = runtime();
    let serving = match side {
        "ours" => runtime.spawn(async { Server::default().serve_stdio().await }),
        _ => runtime.spawn(BaselineExecutor::new().serve_stdio()),
    };
    // A panic was written to standard error.
    _ = runtime.block_on(serving);
    // A read of standard input may still be waiting.
    runtime.shutdown_background();
}

/// The client of one side.
#[derive(Debug)]
enum Kind {
    /// [`crate::baseline::client`].
    Baseline(BaselineClient),
    /// [`exec_http::client`].
    Ours(OurClient),
}

/// A client with its connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// Which.
    kind: Kind,
    /// Its executor, where that is a child.
    child: Option<Child>,
    /// Drives it.
    runtime: Runtime,
}

impl Client {
    /// Dials.
    pub(crate) fn connect(side: Side, url: &str) -> Self {
        let (runtime, url) = (runtime(), url.to_owned());
        let connecting = runtime.spawn(async move {
            match side {
                Side::Baseline => Kind::Baseline(BaselineClient::connect(&url).await.expect("it listens")),
                Side::Ours => {
                    let connection = websocket::connect(&url).await.expect("it listens");
                    Kind::Ours(OurClient::connect_with(connection, config()).await.expect("it answers"))
                }
            }
        });
        let kind = runtime.block_on(connecting).expect("no panic");
        sockets::set_all();
        Self { kind, child: None, runtime }
    }

    /// Starts this program once more, as an executor of the same side.
    pub(crate) fn spawn(side: Side) -> Self {
        let runtime = runtime();
        let entered = runtime.enter();
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([crate::SERVE_STDIO, side.word()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this program can be started");
        let output = child.stdout.take().expect("asked to be a pipe");
        let input = child.stdin.take().expect("asked to be a pipe");
        if side == Side::Ours {
            lines::widen_pipe(&output);
        }
        let connecting = runtime.spawn(async move {
            match side {
                Side::Baseline => Kind::Baseline(BaselineClient::over_lines(output, input).await.expect("it answers")),
                Side::Ours => {
                    let connection = lines::connection(output, input);
                    Kind::Ours(OurClient::connect_with(connection, config()).await.expect("it answers"))
                }
            }
        });
        drop(entered);
        let kind = runtime.block_on(connecting).expect("no panic");
        Self { kind, child: Some(child), runtime }
    }

    /// Processor time of the executor, where that is a child, in nanoseconds.
    pub(crate) fn child_cpu(&self) -> f64 {
        let process = self.child.as_ref().and_then(Child::id);
        process.map_or(0.0, |process| clock::nanoseconds(clock::child(process)))
    }

    /// Asks for a body and waits for the head of the response.
    pub(crate) fn stream(&self, url: &str) -> Body {
        self.runtime.block_on(self.open(url))
    }

    /// Asks for many bodies at one time, reads each in a task of its own, and returns how many bytes each had.
    pub(crate) fn read_all(self: &std::sync::Arc<Self>, url: &str, streams: usize) -> Vec<usize> {
        let client = std::sync::Arc::clone(self);
        let url = url.to_owned();
        let reading = self.runtime.spawn(async move {
            let streams = (0..streams).map(|_| {
                let (client, url) = (std::sync::Arc::clone(&client), url.clone());
                tokio::spawn(async move { client.open(&url).await.read().await })
            });
            futures_util::future::join_all(streams.collect::<Vec<_>>()).await
        });
        let lengths = self.runtime.block_on(reading).expect("no panic");
        lengths.into_iter().map(|length| length.expect("no panic")).collect()
    }

    async fn open(&self, url: &str) -> Body {
        match &self.kind {
            Kind::Baseline(client) => Body::Baseline(client.stream(url).await.expect("a response")),
            Kind::Ours(client) => {
                let request = Request::get(url).body(Bytes::new()).expect("a URL");
                Body::Ours(client.stream(request).await.expect("a response").into_body())
            }
        }
    }

    /// Runs something on the client's runtime, in a task of its own.
    pub(crate) fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.block_on(self.runtime.spawn(task)).expect("no panic")
    }
}

/// With one stream in most rows, the reader waits for its consumer, as the baseline's does.
fn config() -> ClientConfig {
    ClientConfig { queue_policy: QueuePolicy::Pause, ..ClientConfig::default() }
}

/// A streamed body of either side.
#[derive(Debug)]
pub(crate) enum Body {
    /// Of the baseline.
    Baseline(BaselineBody),
    /// Of this crate.
    Ours(OurBody),
}

/// A piece of a body, in the type that its side gives.
pub(crate) enum Piece {
    /// Of the baseline.
    Vec(Vec<u8>),
    /// Of this crate.
    Bytes(Bytes),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Vec(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Piece> {
        match self {
            Self::Baseline(body) => Some(Piece::Vec(body.chunk().await?.expect("no failure"))),
            Self::Ours(body) => Some(Piece::Bytes(body.chunk().await?.expect("no failure"))),
        }
    }

    /// Reads it to its end, and returns how long it was.
    pub(crate) async fn read(mut self) -> usize {
        let mut length = 0;
        while let Some(piece) = self.chunk().await {
            length += piece.len();
        }
        length
    }

    /// Reads it to its end, and compares every byte with what the origin sent.
    pub(crate) async fn check(mut self) -> usize {
        let (block, mut length) = (origin::block(), 0);
        while let Some(piece) = self.chunk().await {
            let mut rest: &[u8] = &piece;
            while !rest.is_empty() {
                let start = length % origin::PERIOD;
                let (now, later) = rest.split_at(rest.len().min(origin::PERIOD - start));
                assert!(block[start..start + now.len()] == *now, "other bytes than the origin sent, near {length}");
                (rest, length) = (later, length + now.len());
            }
        }
        length
    }
}
