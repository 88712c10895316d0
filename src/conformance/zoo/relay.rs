//! Between a correct executor and the origins: for defects that show only in the bytes of HTTP.
//!
//! Each call is sent to a listener of its own on a loopback address, which goes on to the origin that was meant and restores the
//! `host` of the first request on each connection. Calls to anything but `http://127.0.0.1:PORT` pass.

mod reuse;

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use url::{Host, Url};

use reuse::response_length;
pub use reuse::{Soiled, reusing};

use super::tamper::{Tamper, calls};
use crate::conformance::wire::websocket::read_head;
use crate::sync::Arc;

/// How long a listener waits for a connection, and a connection for the origin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that a listener accepts: a call with all its redirects makes no more.
const CONNECTIONS: usize = 11;

/// Bytes of a response that are held back at most.
const HELD_BYTES: usize = 64 * 1024;

/// Bytes that are read ahead at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Changes the beginning of a response. It is asked with all that has come so far, until it answers that this can go; the rest
/// follows as it comes.
pub type Rule = fn(&mut Vec<u8>) -> bool;

/// Changes what the origins answer.
pub fn responses(rule: Rule) -> Tamper {
    calls(move |call| reroute(call, move |request| pass(request, rule, PATIENCE)))
}

/// Reads some responses to their ends, once they have begun, also when the executor has let go of them.
pub fn outliving(which: fn(&Value) -> bool) -> Tamper {
    calls(move |call| {
        if which(call) {
            reroute(call, |request| async { tokio::time::timeout(PATIENCE, outlive(request)).await? });
        }
    })
}

/// Reads so many bytes of all responses of a connection together before the executor does.
pub fn ahead(bytes: usize) -> Tamper {
    let room = Arc::new(Semaphore::new(bytes));
    calls(move |call| {
        let room = Arc::clone(&room);
        reroute(call, move |request| read_ahead(request, Arc::clone(&room)));
    })
}

/// Takes the deadline of a call for the time that an origin may be silent.
pub fn silence_for_deadline() -> Tamper {
    calls(|call| {
        if let Some(timeout @ 1..) = call["timeoutMs"].as_u64() {
            call["timeoutMs"] = Value::Null;
            reroute(call, move |request| pass(request, |_| true, Duration::from_millis(timeout)));
        }
    })
}

/// Changes the head that a response begins with, once it has come.
pub fn change_head(start: &mut Vec<u8>, change: impl FnOnce(&str) -> String) -> bool {
    let Some(end) = memchr::memmem::find(start, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&start[..end + 4]).into_owned();
    let changed = change(&head);
    // What nobody touches keeps its bytes, UTF-8 or not.
    if changed != head {
        start.splice(..end + 4, changed.into_bytes());
    }
    true
}

/// A request of the executor, of which the head has come.
struct Request {
    executor: TcpStream,
    /// The head with the `host` restored, and what has come behind it.
    bytes: Vec<u8>,
    /// Where the executor has connected.
    relay: u16,
    /// Where the origin listens.
    origin: u16,
}

impl Request {
    async fn read(mut executor: TcpStream, relay: u16, origin: u16) -> io::Result<Self> {
        let (head, rest) = read_head(&mut executor).await?;
        let head = head.replacen(&authority(relay), &authority(origin), 1);
        Ok(Self { executor, bytes: [head.as_bytes(), &rest].concat(), relay, origin })
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.origin)).await
    }
}

/// Sends a call to a listener of its own. One that cannot be opened changes nothing.
fn reroute<F>(call: &mut Value, serve: impl Fn(Request) -> F + Send + 'static)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let Some(text) = call.get("url").and_then(Value::as_str) else { return };
    let Ok(url) = Url::parse(text) else { return };
    let (Some(Host::Ipv4(Ipv4Addr::LOCALHOST)), Some(origin), "http") = (url.host(), url.port(), url.scheme()) else {
        return;
    };
    let Ok((listener, relay)) = listen() else { return };
    call["url"] = json!(text.replacen(&authority(origin), &authority(relay), 1));
    tokio::spawn(async move {
        for _ in 0..CONNECTIONS {
            let Ok(Ok((executor, _))) = tokio::time::timeout(PATIENCE, listener.accept()).await else { return };
            if let Ok(request) = Request::read(executor, relay, origin).await {
                // An end that is gone is seen at the other one.
                tokio::spawn(serve(request));
            }
        }
    });
}

fn authority(port: u16) -> String {
    format!("{}:{port}", Ipv4Addr::LOCALHOST)
}

fn listen() -> io::Result<(TcpListener, u16)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((TcpListener::from_std(listener)?, port))
}

/// Lets everything pass until one end closes the connection, or the origin is silent for too long.
async fn pass(mut request: Request, rule: Rule, silence: Duration) -> io::Result<()> {
    let mut origin = request.dial().await?;
    origin.write_all(&request.bytes).await?;
    let (mut from_origin, mut to_origin) = origin.split();
    let (mut from_executor, mut to_executor) = request.executor.split();
    let response = async {
        let (mut bytes, mut began) = (Vec::with_capacity(HELD_BYTES), false);
        loop {
            let read = tokio::time::timeout(silence, from_origin.read_buf(&mut bytes)).await??;
            began = began || read == 0 || rule(&mut bytes) || bytes.len() > HELD_BYTES;
            if began {
                to_executor.write_all(&bytes).await?;
                bytes.clear();
            }
            if read == 0 {
                return Ok(());
            }
        }
    };
    tokio::select! {
        done = response => done,
        done = copy(&mut from_executor, &mut to_origin) => done.map(|_| ()),
    }
}

async fn outlive(mut request: Request) -> io::Result<()> {
    let mut origin = request.dial().await?;
    origin.write_all(&request.bytes).await?;
    let (mut from_origin, mut from_executor) = (Vec::with_capacity(PIECE_BYTES), Vec::new());
    let (mut came, mut length, mut is_heard) = (0, None, true);
    while is_heard || length.is_some_and(|length| came < length) {
        tokio::select! {
            read = origin.read_buf(&mut from_origin) => {
                let read = read?;
                if read == 0 {
                    break;
                }
                came += read;
                length = length.or_else(|| response_length(&from_origin));
                // The executor may have gone.
                let _ = request.executor.write_all(&from_origin).await;
                from_origin.clear();
            }
            read = request.executor.read_buf(&mut from_executor), if is_heard => {
                is_heard = read.is_ok_and(|read| read > 0);
                origin.write_all(&from_executor).await?;
                from_executor.clear();
            }
        }
    }
    Ok(())
}

async fn read_ahead(mut request: Request, room: Arc<Semaphore>) -> io::Result<()> {
    let mut origin = request.dial().await?;
    origin.write_all(&request.bytes).await?;
    let (mut from_origin, mut to_origin) = origin.split();
    let (mut from_executor, mut to_executor) = request.executor.split();
    let (pieces, mut waiting) = mpsc::unbounded_channel();
    let reads = async move {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let read = from_origin.read(&mut buffer).await?;
            if read == 0 {
                return io::Result::Ok(());
            }
            let taken = Arc::clone(&room).acquire_many_owned(u32::try_from(read).unwrap_or(u32::MAX));
            let place = taken.await.map_err(io::Error::other)?;
            // Whoever writes does so for as long as this side reads.
            let _ = pieces.send((Bytes::copy_from_slice(&buffer[..read]), place));
        }
    };
    let writes = async {
        while let Some((piece, _place)) = waiting.recv().await {
            to_executor.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = async { tokio::try_join!(reads, writes) } => done.map(|_| ()),
        done = copy(&mut from_executor, &mut to_origin) => done.map(|_| ()),
    }
}
