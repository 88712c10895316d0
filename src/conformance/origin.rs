//! The scripted HTTP origin of a case: what it does is data, and what it sees goes into the trace.

mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::case::template::{Names, fill};
use super::case::{Exchange, OriginAction};
use super::trace::What;
use request::{Request, read_request};

/// A write that makes no progress for so long is blocked.
const BLOCKED: Duration = Duration::from_millis(500);

/// The first byte of a TLS client, with which no HTTP request begins.
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes that `endless` writes at once.
const ENDLESS_BYTES: u64 = 64 * 1024;

/// Where an origin tells what it sees, with the moment.
pub type Events = mpsc::Sender<(Instant, What)>;

/// A listening socket that does not serve yet, so that the case knows its port.
#[derive(Debug)]
pub struct BoundOrigin {
    /// The socket.
    listener: TcpListener,
    /// Its port on 127.0.0.1.
    port: u16,
}

/// An origin that serves. Dropping it closes the socket and all connections.
#[derive(Debug)]
pub struct Origin {
    /// Accepts, and holds one task a connection.
    _task: JoinSet<()>,
}

impl BoundOrigin {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Serves these exchanges as origin `index` of the case.
    pub fn serve(
        self,
        index: usize,
        exchanges: Vec<Exchange>,
        names: Names,
        released: watch::Receiver<BTreeSet<String>>,
        events: Events,
    ) -> Origin {
        let script = Arc::new(Script { index, exchanges, names, counts: Mutex::default() });
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = self.listener.accept().await {
                // The receiver lives as long as the case; behind it nobody listens any more.
                let _ = events.send((Instant::now(), What::Accepted { origin: index })).await;
                let connection = Connection::new(stream, Arc::clone(&script), released.clone(), events.clone());
                connections.spawn(connection.serve());
            }
        });
        Origin { _task: task }
    }
}

/// What all connections of an origin share.
#[derive(Debug)]
struct Script {
    /// Which origin of the case it is.
    index: usize,
    /// What it does, by path.
    exchanges: Vec<Exchange>,
    /// What the names in it stand for.
    names: Names,
    /// How many requests came for each path.
    counts: Mutex<BTreeMap<String, usize>>,
}

impl Script {
    /// The exchange for the next request of that path.
    fn next_exchange(&self, path: &str) -> Option<&Exchange> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(path.to_owned()).or_default();
        let mut fitting = self.exchanges.iter().filter(|exchange| exchange.path == path);
        let last = fitting.clone().next_back();
        let exchange = fitting.nth(*count).or(last);
        *count += 1;
        exchange
    }
}

/// One connection of the peer to an origin.
struct Connection {
    /// Where requests come from.
    input: OwnedReadHalf,
    /// Where responses go.
    output: Output,
    /// Bytes that came and belong to no request yet.
    buffer: BytesMut,
    /// What the origin does.
    script: Arc<Script>,
}

/// The writing half, and what is known of the response under way.
struct Output {
    /// The socket.
    stream: OwnedWriteHalf,
    /// Which origin of the case it is.
    origin: usize,
    /// The path of the request.
    path: String,
    /// The head that has not been written yet.
    head: Vec<u8>,
    /// How the end of the body will be known.
    framing: Framing,
    /// Lines that follow the last chunk.
    trailers: String,
    /// Body bytes written.
    written: u64,
    /// A blocked write was told already.
    blocked: bool,
    /// The names that the case has released.
    released: watch::Receiver<BTreeSet<String>>,
    /// Where events are told.
    events: Events,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    UntilClose,
    Length,
    Chunked,
}

/// What follows an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    NextRequest,
    Close,
    Reset,
}

impl Connection {
    fn new(
        stream: TcpStream,
        script: Arc<Script>,
        released: watch::Receiver<BTreeSet<String>>,
        events: Events,
    ) -> Self {
        // Without it small chunks could be held back; the origin still works.
        let _ = stream.set_nodelay(true);
        let (input, stream) = stream.into_split();
        let output = Output {
            stream,
            origin: script.index,
            path: String::new(),
            head: Vec::new(),
            framing: Framing::UntilClose,
            trailers: String::new(),
            written: 0,
            blocked: false,
            released,
            events,
        };
        Self { input, output, buffer: BytesMut::new(), script }
    }

    async fn serve(self) {
        let (origin, events) = (self.script.index, self.output.events.clone());
        self.exchange().await;
        // The receiver lives as long as the case; behind it nobody listens any more.
        let _ = events.send((Instant::now(), What::Closed { origin })).await;
    }

    /// Serves one request after the other until the connection ends.
    async fn exchange(mut self) {
        let script = Arc::clone(&self.script);
        loop {
            let early = |path: &str| script.exchanges.iter().any(|exchange| exchange.path == path && exchange.early);
            let Some(request) = read_request(&mut self.input, &mut self.buffer, early).await else {
                if self.buffer.first() != Some(&TLS_HANDSHAKE) {
                    return;
                }
                if script.exchanges.iter().any(|exchange| exchange.silent_tls) {
                    return closed(&mut self.input, &mut self.buffer).await;
                }
                // No TLS server: the peer sees at once that this is another protocol.
                self.output.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
                return;
            };
            self.output.begin(request.path()).await;
            self.output.tell(request_event(script.index, &request)).await;
            let exchange = script.next_exchange(request.path());
            let after = tokio::select! {
                after = self.output.run(exchange, &script.names) => after,
                () = closed(&mut self.input, &mut self.buffer) => None,
            };
            match after {
                Some(After::NextRequest) => {}
                Some(After::Close) => return,
                Some(After::Reset) => {
                    // Without the option the close is an orderly one, which the judge then sees in the answer.
                    let _ = self.output.stream.as_ref().set_zero_linger();
                    self.output.stream.forget();
                    return;
                }
                None => {
                    let aborted = What::Aborted { origin: script.index, path: self.output.path.clone() };
                    self.output.tell(aborted).await;
                    return;
                }
            }
        }
    }
}

fn request_event(origin: usize, request: &Request) -> What {
    What::Request {
        origin,
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: super::trace::Body::new(&request.body),
    }
}

/// Waits until the peer has closed the connection; what it sends until then is kept.
async fn closed(input: &mut OwnedReadHalf, buffer: &mut BytesMut) {
    while matches!(input.read_buf(buffer).await, Ok(1..)) {}
}

impl Output {
    async fn begin(&mut self, path: &str) {
        path.clone_into(&mut self.path);
        self.framing = Framing::UntilClose;
        self.written = 0;
        self.blocked = false;
        self.trailers.clear();
    }

    async fn tell(&self, what: What) {
        // The receiver lives as long as the case; behind it nobody listens any more.
        let _ = self.events.send((Instant::now(), what)).await;
    }

    /// Does what the exchange says; `None` when the connection broke.
    async fn run(&mut self, exchange: Option<&Exchange>, names: &Names) -> Option<After> {
        let Some(exchange) = exchange else {
            self.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            return Some(After::NextRequest);
        };
        for action in &exchange.actions {
            if let Some(after) = self.act(action, names).await? {
                return Some(after);
            }
        }
        self.end_head().await?;
        match self.framing {
            Framing::UntilClose => return Some(After::Close),
            Framing::Length => {}
            Framing::Chunked => {
                let end = format!("0\r\n{}\r\n", self.trailers);
                self.write(end.as_bytes()).await?;
            }
        }
        Some(if exchange.early { After::Close } else { After::NextRequest })
    }

    /// Does one thing; `Some(Some(..))` when it was the last of the exchange.
    async fn act(&mut self, action: &OriginAction, names: &Names) -> Option<Option<After>> {
        // A name without a value was refused when the case was read.
        let bytes = |template: &super::case::template::Template| template.resolve(names).unwrap_or_default();
        match action {
            OriginAction::Status(status) => {
                self.end_head().await?;
                self.head = format!("HTTP/1.1 {status}\r\n").into_bytes();
                // These never have a body, and so end with their heads.
                if status.starts_with("204") || status.starts_with("304") {
                    self.framing = Framing::Length;
                }
            }
            OriginAction::Header(name, value) => {
                let (name, value) = (bytes(name), bytes(value));
                if name.eq_ignore_ascii_case(b"content-length") && self.framing == Framing::UntilClose {
                    self.framing = Framing::Length;
                }
                self.head.extend([&name, &b": "[..], &value, b"\r\n"].concat());
            }
            OriginAction::Chunked => {
                self.framing = Framing::Chunked;
                self.head.extend(b"transfer-encoding: chunked\r\n");
            }
            OriginAction::Trailer(line) => self.trailers.push_str(&format!("{line}\r\n")),
            OriginAction::Chunk(template, times, pause) => {
                self.end_head().await?;
                let chunk = bytes(template);
                for _ in 0..*times {
                    self.chunk(&chunk).await?;
                    if !pause.is_zero() {
                        tokio::time::sleep(*pause).await;
                    }
                }
            }
            OriginAction::Raw(template) => {
                self.end_head().await?;
                self.write(&bytes(template)).await?;
                self.framing = Framing::UntilClose;
            }
            OriginAction::Endless => {
                self.end_head().await?;
                let pattern: Vec<u8> = fill(0, ENDLESS_BYTES).collect();
                loop {
                    self.chunk(&pattern).await?;
                }
            }
            OriginAction::Wait(name) => {
                self.end_head().await?;
                // The sender lives as long as the case.
                self.released.wait_for(|released| released.contains(name)).await.ok()?;
            }
            OriginAction::Delay(pause) => {
                self.end_head().await?;
                tokio::time::sleep(*pause).await;
            }
            OriginAction::Hang => {
                self.end_head().await?;
                std::future::pending::<()>().await;
            }
            OriginAction::Reset => {
                self.end_head().await?;
                return Some(Some(After::Reset));
            }
            OriginAction::Close => {
                self.end_head().await?;
                return Some(Some(After::Close));
            }
        }
        Some(None)
    }

    /// Writes the head that is under way, if there is one.
    async fn end_head(&mut self) -> Option<()> {
        if self.head.is_empty() {
            return Some(());
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend(b"\r\n");
        self.write(&head).await
    }

    /// Writes body bytes in the framing of the response.
    async fn chunk(&mut self, bytes: &[u8]) -> Option<()> {
        if self.framing == Framing::Chunked {
            if bytes.is_empty() {
                return Some(());
            }
            let frame = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
            self.write(&frame).await?;
        } else {
            self.write(bytes).await?;
        }
        self.written += bytes.len() as u64;
        Some(())
    }

    /// Writes all bytes; `None` when the connection broke. Tells once when writing stands still.
    async fn write(&mut self, mut bytes: &[u8]) -> Option<()> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match timeout(BLOCKED, self.stream.write(bytes)).await {
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(written)) => bytes = &bytes[written..],
                Err(_) if self.blocked => {}
                Err(_) => {
                    self.blocked = true;
                    let written = self.written + (whole - bytes.len()) as u64;
                    self.tell(What::Blocked { origin: self.origin, path: self.path.clone(), written }).await;
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
