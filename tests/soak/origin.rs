//! An HTTP origin over raw TCP that keeps to HTTP, or breaks it as its path says: `/KIND/KEY/LENGTH`.

use std::io;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::random::{Random, content};

/// Between two bytes of a head that never ends.
const DRIP: Duration = Duration::from_millis(5);

/// Bytes that are written at one time, at most.
const PIECE: u64 = 48 * 1024;

/// Bytes of a held body that come before the rest is released.
pub(crate) const HELD_FIRST: usize = 100;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A body with its length.
    Whole,
    /// A chunked body.
    Chunked,
    /// The same after some milliseconds, as many as the key's last digits say.
    Late,
    /// The digest of the request's body.
    Hash,
    /// A body, of which the rest comes when it is released.
    Held,
    /// A body without an end.
    Endless,
    /// Half of a body, then the connection's end.
    Truncated,
    /// A chunked body without its last chunk.
    Unfinished,
    /// Half of a body, then a reset.
    ResetBody,
    /// A reset instead of a head.
    ResetHead,
    /// Something that is not HTTP.
    Garbage,
    /// Nothing at all, on a connection that stays.
    Silent,
    /// A head that never ends, a byte at a time.
    SlowLoris,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Whole,
        Self::Chunked,
        Self::Late,
        Self::Hash,
        Self::Held,
        Self::Endless,
        Self::Truncated,
        Self::Unfinished,
        Self::ResetBody,
        Self::ResetHead,
        Self::Garbage,
        Self::Silent,
        Self::SlowLoris,
    ];
}

/// Stops when it is dropped, with all its connections.
pub(crate) struct Origin {
    authority: String,
    /// Connections that are open.
    open: watch::Sender<usize>,
    /// Whether held bodies go on.
    release: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let authority = listener.local_addr().expect("bound").to_string();
        let (open, release) = (watch::Sender::new(0), watch::Sender::new(false));
        let accepting = tokio::spawn(accept(listener, open.clone(), release.subscribe()));
        Self { authority, open, release, accepting }
    }

    pub(crate) fn url(&self, kind: Kind, key: u64, length: usize) -> String {
        format!("http://{}/{kind:?}/{key}/{length}", self.authority)
    }

    /// Lets all held bodies go on, or holds new ones.
    pub(crate) fn release(&self, release: bool) {
        self.release.send_replace(release);
    }

    /// Waits until the count of its connections is as wanted.
    pub(crate) async fn connections(&self, wanted: impl FnMut(&usize) -> bool) {
        self.open.subscribe().wait_for(wanted).await.expect("the sender lives");
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, open: watch::Sender<usize>, released: watch::Receiver<bool>) {
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.send_modify(|open| *open += 1);
                    let (open, released) = (Open(open.clone()), released.clone());
                    connections.spawn(async move {
                        // How it ended does not matter, only that it has.
                        _ = serve(stream, released).await;
                        drop(open);
                    });
                }
                Err(error) => panic!("the origin cannot accept, see `ulimit -n`: {error}"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection for as long as it lives.
struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn serve(stream: TcpStream, mut released: watch::Receiver<bool>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await? {
        let Request { kind, key, length, body } = request;
        let out = stream.get_mut();
        match kind {
            Kind::Whole => whole(out, key, length).await?,
            Kind::Late => {
                sleep(Duration::from_millis(key % 100)).await;
                whole(out, key, length).await?;
            }
            Kind::Hash => {
                let digest = Sha256::digest(&body);
                head(out, digest.len()).await?;
                out.write_all(&digest).await?;
            }
            Kind::Held => {
                head(out, length).await?;
                send(out, key, 0, HELD_FIRST.min(length)).await?;
                // A connection that ends meanwhile is noticed, as the executor gives a stream up by that.
                let mut byte = [0];
                tokio::select! {
                    _ = out.read(&mut byte) => return Ok(()),
                    _ = released.wait_for(|released| *released) => {}
                }
                send(out, key, HELD_FIRST.min(length), length).await?;
            }
            Kind::Chunked => {
                chunks(out, key, length).await?;
                out.write_all(b"0\r\n\r\n").await?;
            }
            Kind::Unfinished => return chunks(out, key, length).await,
            Kind::Endless => {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                return send(out, key, 0, usize::MAX).await;
            }
            Kind::Truncated | Kind::ResetBody => {
                head(out, length + 1).await?;
                send(out, key, 0, length / 2).await?;
                if kind == Kind::ResetBody {
                    // At once it takes what was sent with it; later only what was not.
                    sleep(Duration::from_millis(key % 2 * 20)).await;
                    return reset(out);
                }
                return Ok(());
            }
            Kind::ResetHead => return reset(out),
            Kind::Garbage => return out.write_all(b"\x00\x01 this is not HTTP\r\n\r\n").await,
            Kind::Silent => {
                let mut byte = [0];
                _ = out.read(&mut byte).await?;
                return Ok(());
            }
            Kind::SlowLoris => {
                for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().copied().chain(std::iter::repeat(b'a')) {
                    out.write_all(&[byte]).await?;
                    sleep(DRIP).await;
                }
            }
        }
    }
    Ok(())
}

async fn head(out: &mut TcpStream, length: usize) -> io::Result<()> {
    out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await
}

async fn whole(out: &mut TcpStream, key: u64, length: usize) -> io::Result<()> {
    head(out, length).await?;
    send(out, key, 0, length).await
}

/// Sends the bytes `at..end` of a body in pieces of many sizes.
async fn send(out: &mut TcpStream, key: u64, mut at: usize, end: usize) -> io::Result<()> {
    let mut random = Random::new(key);
    while at < end {
        let piece = (random.between(1, PIECE) as usize).min(end - at);
        out.write_all(&content(key, at, piece)).await?;
        at += piece;
    }
    Ok(())
}

async fn chunks(out: &mut TcpStream, key: u64, length: usize) -> io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let (mut random, mut at) = (Random::new(key), 0);
    while at < length {
        let piece = (random.between(1, PIECE) as usize).min(length - at);
        let chunk = [format!("{piece:x}\r\n").as_bytes(), &content(key, at, piece), b"\r\n"].concat();
        out.write_all(&chunk).await?;
        at += piece;
    }
    Ok(())
}

/// Makes the drop of a connection a reset.
fn reset(out: &TcpStream) -> io::Result<()> {
    out.set_zero_linger()
}

struct Request {
    kind: Kind,
    key: u64,
    length: usize,
    body: Vec<u8>,
}

/// One request, its body by Content-Length; `None` at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a request of this program");
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| malformed())?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let path = first.split(' ').nth(1).ok_or_else(malformed)?;
    let [_, kind, key, length] = path.split('/').collect::<Vec<_>>().try_into().map_err(|_| malformed())?;
    let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind).ok_or_else(malformed)?;
    let (key, length) = (key.parse().map_err(|_| malformed())?, length.parse().map_err(|_| malformed())?);
    Ok(Some(Request { kind, key, length, body }))
}
