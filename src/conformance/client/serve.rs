//! The adapter of a client library in Rust: commands in, library calls, replies and events out.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::poll_immediate;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::messages::{Chunk, Command, DATA_BYTES, Failure, LINE_BYTES, Line, Order, Reply, Request, Seen};
use super::under_test::{BodyUnderTest, ClientUnderTest, ConnectionUnderTest};
use crate::conformance::trace::sha256;
use crate::protocol::framing::LineFramer;
use crate::sync::Arc;

/// Orders that wait for one call.
const WAITING_ORDERS: usize = 64;

/// Serves commands to the end of the input or to `bye`.
///
/// # Errors
///
/// Those of the input and the output, and a line that is too long or no command.
pub async fn serve<C: ClientUnderTest>(
    client: C,
    mut input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> io::Result<()> {
    let mut server = Server {
        client: Arc::new(client),
        output: Output::new(output),
        connections: HashMap::new(),
        calls: HashMap::new(),
        tasks: JoinSet::new(),
    };
    let bad = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut framer = LineFramer::new(LINE_BYTES);
    loop {
        while let Some(line) = framer.poll_line().map_err(|error| bad(&error))? {
            let value: serde_json::Value = serde_json::from_slice(line).map_err(|error| bad(&error))?;
            let goes_on = match serde_json::from_value::<Command>(value.clone()) {
                Ok(Command { id, order }) => server.handle(id, order).await?,
                Err(error) => {
                    let id = value["id"].as_u64().ok_or_else(|| bad(&error))?;
                    server.reply(id, Reply::Unsupported { reason: "unknown command".to_owned() }).await?;
                    true
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
        if input.read_buf(framer.buffer_mut()).await? == 0 {
            return Ok(());
        }
    }
}

/// Everything that is open.
struct Server<C: ClientUnderTest> {
    /// The library.
    client: Arc<C>,
    /// Where lines go.
    output: Output,
    /// The connections that are open, by name.
    connections: HashMap<String, Slot<C::Connection>>,
    /// The calls that were started, by name, with the names of their connections.
    calls: HashMap<String, (String, mpsc::Sender<CallOrder>)>,
    /// All tasks; they end with the server.
    tasks: JoinSet<()>,
}

/// A connection, once it is open.
type Slot<C> = Arc<tokio::sync::OnceCell<Arc<C>>>;

/// An order to receive.
struct Reading {
    /// Chunks, at most.
    chunks: u32,
    /// No more of them once so many bytes have come.
    bytes: u64,
    /// Gives the first receive up where it waits.
    abandon: bool,
}

/// What is told to the task of a call. The sender is answered when it took effect.
enum CallOrder {
    /// Receive chunks.
    Read { reading: Reading, begun: oneshot::Sender<()> },
    /// Let go of everything.
    Drop { foreign: bool, done: oneshot::Sender<()> },
}

impl<C: ClientUnderTest> Server<C> {
    async fn reply(&self, id: u64, reply: Reply) -> io::Result<()> {
        self.output.write(|_| Line::Reply { id, reply }).await
    }

    /// Does one command; `false` if it was the last.
    async fn handle(&mut self, id: u64, order: Order) -> io::Result<bool> {
        let reply = match order {
            Order::Hello { .. } => Reply::Hello(self.client.hello()),
            Order::Open { conn, endpoint } => {
                let slot = Slot::<C::Connection>::default();
                self.connections.insert(conn.clone(), Arc::clone(&slot));
                let (client, output) = (Arc::clone(&self.client), self.output.clone());
                self.tasks.spawn(async move {
                    let opened = client.open(endpoint).await;
                    let (reply, closed) = match opened {
                        Ok(connection) => {
                            let closed = connection.closed();
                            let _ = slot.set(Arc::new(connection));
                            (Reply::Opened, Some(closed))
                        }
                        Err(failure) => (Reply::Failed(failure), None),
                    };
                    drop(slot);
                    // Whoever does not listen has gone.
                    let _ = output.write(|_| Line::Reply { id, reply }).await;
                    if let Some(closed) = closed {
                        closed.await;
                        let _ = output.write(|n| Line::Event { n, event: Seen::Closed { conn } }).await;
                    }
                });
                return Ok(true);
            }
            Order::Request { conn, op, request } => {
                match self.connections.get(&conn).and_then(|slot| slot.get()).map(Arc::clone) {
                    Some(connection) => {
                        let (orders, incoming) = mpsc::channel(WAITING_ORDERS);
                        self.calls.insert(op.clone(), (conn, orders));
                        // The reply goes first, so that no event of the call precedes it.
                        self.reply(id, Reply::Ok).await?;
                        let call = Call { op, output: self.output.clone(), incoming, reads: VecDeque::new() };
                        self.tasks.spawn(call.run(connection, request));
                        return Ok(true);
                    }
                    None => adapter_error("no such connection is open"),
                }
            }
            Order::Read { op, max, bytes, abandon } => {
                let reading = Reading { chunks: max, bytes: bytes.unwrap_or(u64::MAX), abandon };
                self.order(&op, |begun| CallOrder::Read { reading, begun }, id).await?;
                return Ok(true);
            }
            Order::Drain { op } => {
                let reading = Reading { chunks: u32::MAX, bytes: u64::MAX, abandon: false };
                self.order(&op, |begun| CallOrder::Read { reading, begun }, id).await?;
                return Ok(true);
            }
            Order::Drop { op, foreign } => {
                self.order(&op, |done| CallOrder::Drop { foreign, done }, id).await?;
                return Ok(true);
            }
            Order::Cancel { op } => {
                self.order(&op, |done| CallOrder::Drop { foreign: false, done }, id).await?;
                return Ok(true);
            }
            // Every order before this one has taken effect: none is replied to earlier.
            Order::Sync => Reply::Ok,
            Order::Census { conn } => {
                match self.connections.get(&conn).and_then(|slot| slot.get()).and_then(|open| open.census()) {
                    Some(census) => Reply::Census {
                        routes: Some(census.routes),
                        calls: census.calls,
                        queued_bytes: census.queued_bytes,
                    },
                    None => Reply::Unsupported { reason: "the library does not tell".to_owned() },
                }
            }
            Order::Close { conn } => {
                self.connections.remove(&conn);
                let of_it: Vec<String> =
                    self.calls.iter().filter(|(_, (of, _))| *of == conn).map(|(op, _)| op.clone()).collect();
                for op in of_it {
                    self.let_go(&op).await;
                }
                Reply::Ok
            }
            Order::Bye => {
                self.reply(id, Reply::Ok).await?;
                return Ok(false);
            }
        };
        self.reply(id, reply).await.map(|()| true)
    }

    /// Gives an order to a call, and replies when it took effect.
    async fn order(
        &mut self,
        op: &str,
        order: impl FnOnce(oneshot::Sender<()>) -> CallOrder,
        id: u64,
    ) -> io::Result<()> {
        let Some((_, orders)) = self.calls.get(op) else { return self.reply(id, adapter_error("no such call")).await };
        let (done, effect) = oneshot::channel();
        // A task that has ended has let go of everything already.
        if orders.send(order(done)).await.is_ok() {
            let _ = effect.await;
        }
        self.reply(id, Reply::Ok).await
    }

    async fn let_go(&mut self, op: &str) {
        let Some((_, orders)) = self.calls.remove(op) else { return };
        let (done, effect) = oneshot::channel();
        if orders.send(CallOrder::Drop { foreign: false, done }).await.is_ok() {
            let _ = effect.await;
        }
    }
}

fn adapter_error(message: &str) -> Reply {
    Reply::Error { r#where: "adapter".to_owned(), message: message.to_owned() }
}

/// One call: its task owns the library's future, and then the library's body.
struct Call {
    /// Its name.
    op: String,
    /// Where events go.
    output: Output,
    /// What is to be done.
    incoming: mpsc::Receiver<CallOrder>,
    /// Reads that were ordered and have not begun.
    reads: VecDeque<(Reading, Option<oneshot::Sender<()>>)>,
}

/// Tells who ordered a read that it has begun.
fn begin(begun: &mut Option<oneshot::Sender<()>>) {
    if let Some(begun) = begun.take() {
        // Whoever ordered it may have gone.
        let _ = begun.send(());
    }
}

/// What ends a wait for the library.
enum Interrupted {
    /// Everything is to be let go of.
    Drop(bool, oneshot::Sender<()>),
    /// Nobody is left who could order anything.
    Gone,
}

impl Call {
    async fn run<C: ConnectionUnderTest>(mut self, connection: Arc<C>, request: Request) {
        let op = self.op.clone();
        if request.stream {
            match self.while_listening(connection.stream(request)).await {
                Err(interrupted) => interrupted.finish(()).await,
                Ok(Err(failure)) => self.tell(Seen::CallFailed { op, failure }).await,
                Ok(Ok((head, body))) => {
                    drop(connection);
                    self.tell(Seen::Response { op, status: head.status, headers: head.headers, body: None }).await;
                    self.receive(body).await;
                }
            }
        } else {
            match self.while_listening(connection.request(request)).await {
                Err(interrupted) => interrupted.finish(()).await,
                Ok(Err(failure)) => self.tell(Seen::CallFailed { op, failure }).await,
                Ok(Ok((head, body))) => {
                    let body = Some(chunk(&body));
                    self.tell(Seen::Response { op, status: head.status, headers: head.headers, body }).await;
                }
            }
        }
    }

    /// Receives whenever it is told to.
    async fn receive(mut self, mut body: impl BodyUnderTest) {
        loop {
            let Some((mut reading, mut begun)) = self.reads.pop_front() else {
                let order = self.incoming.recv().await;
                match self.take(order, false) {
                    Ok(()) => continue,
                    Err(interrupted) => return interrupted.finish(body).await,
                }
            };
            while reading.chunks > 0 && reading.bytes > 0 {
                let mut first = None;
                if mem::take(&mut reading.abandon) {
                    // The future is dropped where it waits first.
                    first = poll_immediate(body.read()).await;
                }
                reading.chunks -= 1;
                let received = match first {
                    Some(received) => received,
                    None => {
                        let read = body.read();
                        match self.read(read, &mut begun).await {
                            Ok(received) => received,
                            Err(interrupted) => return interrupted.finish(body).await,
                        }
                    }
                };
                let op = self.op.clone();
                let (seen, last) = match received {
                    Ok(Some(bytes)) => {
                        reading.bytes = reading.bytes.saturating_sub(bytes.len() as u64);
                        (Seen::Chunk { op, chunk: chunk(&bytes) }, false)
                    }
                    Ok(None) => (Seen::End { op }, true),
                    Err(failure) => (Seen::StreamFailed { op, failure }, true),
                };
                // The reply to the order goes first.
                begin(&mut begun);
                self.tell(seen).await;
                if last {
                    break;
                }
            }
        }
    }

    /// Waits for a receive; whoever ordered it is told as soon as it is with the library.
    async fn read<T>(
        &mut self,
        read: impl Future<Output = T>,
        begun: &mut Option<oneshot::Sender<()>>,
    ) -> Result<T, Interrupted> {
        let mut read = pin!(read);
        if let Some(received) = poll_immediate(read.as_mut()).await {
            return Ok(received);
        }
        begin(begun);
        self.while_listening(read).await
    }

    /// Waits for the library, and takes orders meanwhile.
    async fn while_listening<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut work = pin!(work);
        loop {
            let order = tokio::select! {
                biased;
                done = work.as_mut() => return Ok(done),
                order = self.incoming.recv() => order,
            };
            self.take(order, true)?;
        }
    }

    /// A read behind one that waits has to wait as well, and whoever ordered it must not.
    fn take(&mut self, order: Option<CallOrder>, busy: bool) -> Result<(), Interrupted> {
        match order {
            Some(CallOrder::Read { reading, begun }) => {
                let mut begun = Some(begun);
                if busy {
                    begin(&mut begun);
                }
                self.reads.push_back((reading, begun));
                Ok(())
            }
            Some(CallOrder::Drop { foreign, done }) => Err(Interrupted::Drop(foreign, done)),
            None => Err(Interrupted::Gone),
        }
    }

    async fn tell(&self, event: Seen) {
        // Whoever does not listen has gone.
        let _ = self.output.write(|n| Line::Event { n, event }).await;
    }
}

impl Interrupted {
    /// Lets go of what the library gave.
    async fn finish<T: Send + 'static>(self, held: T) {
        match self {
            Self::Drop(true, done) => {
                // A thread of its own, on which no runtime is entered.
                let thread = std::thread::spawn(move || drop(held));
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                let _ = done.send(());
            }
            Self::Drop(false, done) => {
                drop(held);
                let _ = done.send(());
            }
            Self::Gone => drop(held),
        }
    }
}

fn chunk(bytes: &Bytes) -> Chunk {
    let data = (bytes.len() <= DATA_BYTES).then(|| STANDARD.encode(bytes));
    Chunk { bytes: bytes.len() as u64, sha256: sha256(bytes), data_base64: data }
}

/// Standard output, and the number of the last event. Clones share both.
#[derive(Clone)]
struct Output(Arc<tokio::sync::Mutex<(u64, Box<dyn AsyncWrite + Send + Unpin>)>>);

impl Output {
    fn new(output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new((0, Box::new(output)))))
    }

    /// Writes a line, which may use the next number of an event.
    async fn write(&self, line: impl FnOnce(u64) -> Line) -> io::Result<()> {
        let mut guard = self.0.lock().await;
        let (last, output) = &mut *guard;
        let line = line(*last + 1);
        *last += u64::from(matches!(line, Line::Event { .. }));
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        output.write_all(&text).await?;
        output.flush().await
    }
}

impl Failure {
    /// An error that is told by its text alone.
    pub fn other(message: impl ToString) -> Self {
        Self { kind: super::messages::Kind::Other, message: message.to_string(), code: None }
    }
}
