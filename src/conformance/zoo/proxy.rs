//! Joins whoever tests a specimen to a correct peer, through what the specimen does.
//!
//! What no [`Tamper`] touches arrives as it was sent: messages, control frames, the end of each direction, and bytes that are none
//! of these. Nothing is read in a direction before what was read last has been written, so a slow end slows the other one, unless
//! the [`Outflow`] of a specimen is another one.

use std::io;
use std::process;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};

use super::signals;
use super::tamper::{Effect, Outflow, Tamper, Unit, Way};
use crate::conformance::case::Form;
use crate::conformance::wire::websocket::read_head;
use crate::conformance::wire::{Incoming, Receiver, Sender, Wire};
use crate::sync::{Arc, Mutex};

/// Makes what a specimen does to one connection.
pub type Make = fn() -> Tamper;

/// How long the last frames may take behind the end of one direction.
const LAST_FRAMES: Duration = Duration::from_secs(10);

/// Joins the two ends of one connection until both directions have ended. `second` is the other connection of a
/// [doubled](Tamper::doubled) executor.
pub async fn join(client: Wire, executor: Wire, second: Option<Wire>, mut tamper: Tamper) {
    let opening = tamper.take_opening();
    let is_pipe = client.sender.is_pipe();
    let (to_client, drained) = client_end(client.sender, tamper.on_silence());
    let (aside, from_second) = second.map(|second| (AsyncMutex::new(second.sender), second.receiver)).unzip();
    let ends = Ends { client: to_client, executor: AsyncMutex::new(executor.sender), aside };
    let tamper = Mutex::new(tamper);
    let joined = async move {
        for effect in opening {
            ends.perform(Way::ToExecutor, effect).await;
        }
        let to_executor = pump(Way::ToExecutor, client.receiver, &ends, &tamper);
        let to_client = async {
            let first = pump(Way::ToClient, executor.receiver, &ends, &tamper);
            match from_second {
                Some(receiver) => _ = tokio::join!(first, pump(Way::ToClient, receiver, &ends, &tamper)),
                None => first.await,
            }
        };
        tokio::pin!(to_executor, to_client);
        tokio::select! {
            () = &mut to_executor => to_client.await,
            // Nobody hears the client any more. What it says on a socket is still read: unread bytes would break the connection before
            // the last frames were read at the other end.
            () = &mut to_client => if !is_pipe {
                let _ = tokio::time::timeout(LAST_FRAMES, to_executor).await;
            }
        }
    };
    tokio::join!(joined, drained);
}

/// Serves websockets at a listener: each connection is joined to one of the executor at that address.
///
/// # Errors
///
/// Those of the listener.
pub async fn serve_websockets(listener: TcpListener, executor: std::net::SocketAddr, make: Make) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A peer that goes away while a connection is opened is no failure of the one between.
            let _ = serve_websocket(client, executor, make()).await;
        });
    }
}

/// Joins one websocket to one of the executor at that address.
///
/// # Errors
///
/// Those of the two sockets until both are open.
pub async fn serve_websocket(mut client: TcpStream, executor: std::net::SocketAddr, tamper: Tamper) -> io::Result<()> {
    let mut executor = TcpStream::connect(executor).await?;
    client.set_nodelay(true)?;
    executor.set_nodelay(true)?;
    let (mut head, rest_of_client) = read_head(&mut client).await?;
    tamper.on_upgrade()(Way::ToExecutor, &mut head);
    executor.write_all(head.as_bytes()).await?;
    let (mut head, rest_of_executor) = read_head(&mut executor).await?;
    let upgraded = head.split(' ').nth(1) == Some("101");
    tamper.on_upgrade()(Way::ToClient, &mut head);
    client.write_all(head.as_bytes()).await?;
    if upgraded {
        let client = Wire::upgraded(client, rest_of_client, false);
        let second = match tamper.is_doubled() {
            true => Some(Wire::websocket(&format!("ws://{}/", executor.peer_addr()?), None).await?),
            false => None,
        };
        join(client, Wire::upgraded(executor, rest_of_executor, true), second, tamper).await;
        return Ok(());
    }
    executor.write_all(&rest_of_client).await?;
    client.write_all(&rest_of_executor).await?;
    copy_bidirectional(&mut client, &mut executor).await.map(|_| ())
}

/// Where things are written.
struct Ends {
    /// To the client.
    client: ClientEnd,
    /// To the executor.
    executor: AsyncMutex<Sender>,
    /// To the executor on its second connection.
    aside: Option<AsyncMutex<Sender>>,
}

impl Ends {
    /// Does what became of a unit that went that way.
    async fn perform(&self, way: Way, effect: Effect) {
        match effect {
            Effect::Send(way, unit) => self.write(way, unit).await,
            Effect::Aside(unit) => self.write_aside(unit).await,
            Effect::Wait(time) => tokio::time::sleep(time).await,
            Effect::Stall(stalled) if stalled == way => std::future::pending().await,
            Effect::Stall(_) => {}
            Effect::Exit(status) => process::exit(status),
            Effect::Ignore(signal, ignores) => signals::ignore(signal, ignores),
        }
    }

    async fn write(&self, way: Way, unit: Unit) {
        match (way, &self.client) {
            (Way::ToClient, ClientEnd::Direct(sender)) => write(&mut *sender.lock().await, unit).await,
            (Way::ToClient, ClientEnd::Queued(queue)) => queue.push(unit).await,
            (Way::ToExecutor, _) => {
                if unit == Unit::End {
                    self.write_aside(Unit::End).await;
                }
                write(&mut *self.executor.lock().await, unit).await;
            }
        }
    }

    async fn write_aside(&self, unit: Unit) {
        if let Some(sender) = &self.aside {
            write(&mut *sender.lock().await, unit).await;
        }
    }
}

async fn write(sender: &mut Sender, unit: Unit) {
    let bytes = match unit {
        Unit::Message { bytes, binary } => {
            sender.encode(&bytes, if binary { Form::Binary } else { Form::Frame }).concat()
        }
        Unit::Ping(payload) => sender.encode_ping(&payload),
        Unit::Pong(payload) => sender.encode_pong(&payload),
        Unit::Close(status) => sender.encode_close_with(status),
        Unit::Raw(bytes) => bytes.to_vec(),
        // The end that follows says enough.
        Unit::Reset => return,
        Unit::End => return sender.end().await,
    };
    // An end that is gone is seen where it is read.
    let _ = sender.write(&bytes).await;
}

/// Where things for the client are written.
enum ClientEnd {
    /// To the client.
    Direct(AsyncMutex<Sender>),
    /// To a queue from which they are written to the client.
    Queued(Queue),
}

/// What waits for a client that does not read.
struct Queue {
    /// To whoever writes.
    units: mpsc::UnboundedSender<Unit>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    /// What waits longer for room is lost.
    patience: Duration,
}

impl Queue {
    async fn push(&self, unit: Unit) {
        let since = Instant::now();
        // The semaphore is never closed.
        let Ok(room) = self.room.acquire_many(weight(&unit)).await else { return };
        if since.elapsed() <= self.patience {
            room.forget();
            // Whoever writes does so for as long as the queue exists.
            let _ = self.units.send(unit);
        }
    }
}

/// What a unit takes of a queue.
fn weight(unit: &Unit) -> u32 {
    match unit {
        Unit::Message { bytes, .. } | Unit::Raw(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        Unit::Ping(_) | Unit::Pong(_) | Unit::Close(_) | Unit::Reset | Unit::End => 0,
    }
}

/// The client's end, and what writes to it until the end is dropped.
fn client_end(sender: Sender, outflow: Outflow) -> (ClientEnd, impl Future<Output = ()>) {
    let (units, mut waiting) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(0));
    let queued = |bytes, patience| {
        room.add_permits(bytes);
        ClientEnd::Queued(Queue { units, room: Arc::clone(&room), patience })
    };
    let (end, mut sender) = match outflow {
        Outflow::Blocks => (ClientEnd::Direct(AsyncMutex::new(sender)), None),
        Outflow::Hoards(bytes) => (queued(bytes, Duration::MAX), Some(sender)),
        Outflow::Loses(bytes, patience) => (queued(bytes, patience), Some(sender)),
    };
    let drained = async move {
        while let (Some(sender), Some(unit)) = (&mut sender, waiting.recv().await) {
            let bytes = weight(&unit);
            write(sender, unit).await;
            room.add_permits(bytes as usize);
        }
    };
    (end, drained)
}

/// Passes on what comes in one direction, until its end.
async fn pump(way: Way, mut receiver: Receiver, ends: &Ends, tamper: &Mutex<Tamper>) {
    let mut raw = tamper.lock().is_unframed(way);
    loop {
        let unit = if raw {
            bytes(receiver.next_raw().await)
        } else {
            let incoming = receiver.next().await;
            raw = matches!(incoming, Incoming::Garbage(_) | Incoming::End(_));
            let Some(unit) = unit(incoming) else { continue };
            unit
        };
        let ended = unit == Unit::End;
        let effects = tamper.lock().take(way, unit);
        for effect in effects {
            ends.perform(way, effect).await;
        }
        if ended {
            return;
        }
    }
}

/// `None` when what follows can be passed on as bytes only.
fn unit(incoming: Incoming) -> Option<Unit> {
    Some(match incoming {
        Incoming::Message { bytes, binary } => Unit::Message { bytes, binary },
        Incoming::Ping(payload) => Unit::Ping(payload),
        Incoming::Pong(payload) => Unit::Pong(payload),
        Incoming::Close(status) => Unit::Close(status),
        Incoming::End(reason) if reason == io::ErrorKind::ConnectionReset.to_string() => Unit::Reset,
        Incoming::Garbage(_) | Incoming::End(_) => return None,
    })
}

fn bytes(bytes: Bytes) -> Unit {
    if bytes.is_empty() { Unit::End } else { Unit::Raw(bytes) }
}
