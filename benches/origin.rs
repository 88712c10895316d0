//! The origin: a blocking thread for each connection that writes bodies from one block, over and over.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::{clock, sockets};

/// Bytes of a body after which it repeats.
pub(crate) const PERIOD: usize = 1024 * 1024;

/// Bytes that are written at a time.
const LARGE_WRITE: usize = 256 * 1024;

/// Bytes of chunked bodies that are written at a time.
const CHUNKED_WRITE: usize = 64 * 1024;

/// Bytes of one event.
pub(crate) const EVENT_BYTES: usize = 64;

/// Answers so:
///
/// | path | body |
/// |---|---|
/// | `/bytes/N` | N bytes |
/// | `/together/S/N` | N bytes, once S requests for that have had their heads |
/// | `/chunked/C/N` | N bytes in HTTP chunks of C bytes; the same bytes, where C divides [`PERIOD`] |
/// | `/events/N` | N chunks of [`EVENT_BYTES`], each after a [`Origin::signal`] |
#[derive(Debug)]
pub(crate) struct Origin {
    /// `http://HOST:PORT`.
    pub(crate) url: String,
    /// One for each event.
    signal: SyncSender<()>,
    /// What its threads tell.
    shared: Arc<Shared>,
}

/// What the threads of one origin share.
#[derive(Debug)]
struct Shared {
    /// One period of every body.
    block: Vec<u8>,
    /// Where so many bodies wait for each other.
    barriers: Mutex<HashMap<usize, Arc<Barrier>>>,
    /// When the next event may be sent.
    signal: Mutex<Receiver<()>>,
    /// When the last one was about to be written.
    written: Mutex<Instant>,
    /// Bodies that were written whole, and the processor time that they took.
    spent: Mutex<(usize, Duration)>,
}

impl Origin {
    /// Starts one; it lasts as long as the process.
    pub(crate) fn start() -> Self {
        let listener = sockets::listener();
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (signal, receiver) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            block: block(),
            barriers: Mutex::default(),
            signal: Mutex::new(receiver),
            written: Mutex::new(Instant::now()),
            spent: Mutex::default(),
        });
        let origin = Self { url, signal, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        origin
    }

    /// Lets one event be sent.
    pub(crate) fn signal(&self) {
        self.signal.send(()).expect("the origin lasts as long as the process");
    }

    /// How long ago the last event was about to be written.
    pub(crate) fn since_written(&self) -> Duration {
        self.shared.written.lock().expect("nothing panics while it is locked").elapsed()
    }

    /// Bodies that were written whole so far, and the processor time that they took.
    pub(crate) fn spent(&self) -> (usize, Duration) {
        *self.shared.spent.lock().expect("nothing panics while it is locked")
    }
}

/// The bytes that every body repeats: not compressible, the same in each run.
pub(crate) fn block() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..PERIOD).map(|_| next()).collect()
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).ok_or(io::ErrorKind::InvalidData)?.to_owned();
        while reader.read_line(&mut line)? > 2 {}
        let words: Vec<&str> = path.split('/').skip(1).collect();
        let number = |text: &str| text.parse::<usize>().map_err(|_| io::ErrorKind::InvalidData);
        let before = clock::this_thread();
        match words[..] {
            ["bytes", length] => whole(stream, &shared.block, number(length)?)?,
            ["chunked", size, length] => chunked(stream, &shared.block, number(size)?, number(length)?)?,
            ["together", streams, length] => together(stream, shared, number(streams)?, number(length)?)?,
            ["events", count] => events(stream, shared, number(count)?)?,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        let mut spent = shared.spent.lock().map_err(|_| io::ErrorKind::Other)?;
        *spent = (spent.0 + 1, spent.1 + (clock::this_thread() - before));
    }
}

fn whole(mut stream: &TcpStream, block: &[u8], length: usize) -> io::Result<()> {
    stream.write_all(sized_head(length).as_bytes())?;
    body(stream, block, length)
}

fn together(mut stream: &TcpStream, shared: &Shared, streams: usize, length: usize) -> io::Result<()> {
    stream.write_all(sized_head(length).as_bytes())?;
    let mut barriers = shared.barriers.lock().map_err(|_| io::ErrorKind::Other)?;
    let barrier = Arc::clone(barriers.entry(streams).or_insert_with(|| Arc::new(Barrier::new(streams))));
    drop(barriers);
    barrier.wait();
    body(stream, &shared.block, length)
}

fn sized_head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

fn body(mut stream: &TcpStream, block: &[u8], mut length: usize) -> io::Result<()> {
    let mut pieces = block.chunks(LARGE_WRITE).cycle();
    while let Some(piece) = pieces.next().filter(|_| length > 0) {
        let piece = &piece[..piece.len().min(length)];
        stream.write_all(piece)?;
        length -= piece.len();
    }
    Ok(())
}

fn chunked(mut stream: &TcpStream, block: &[u8], size: usize, length: usize) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let head = format!("{size:x}\r\n");
    // As many chunks as the block has, as they stand on the wire, so that nothing is copied while they are written.
    let mut wire = Vec::new();
    for chunk in block.chunks_exact(size) {
        wire.extend_from_slice(head.as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    let (of_block, wire_chunk) = (block.len() / size, head.len() + size + 2);
    let mut chunks = length / size;
    while chunks > 0 {
        let now = chunks.min(of_block);
        for piece in wire[..now * wire_chunk].chunks(CHUNKED_WRITE) {
            stream.write_all(piece)?;
        }
        chunks -= now;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn events(mut stream: &TcpStream, shared: &Shared, count: usize) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let mut event = format!("{EVENT_BYTES:x}\r\n").into_bytes();
    event.extend_from_slice(&shared.block[..EVENT_BYTES]);
    event.extend_from_slice(b"\r\n");
    let signal = shared.signal.lock().map_err(|_| io::ErrorKind::Other)?;
    for _ in 0..count {
        signal.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        *shared.written.lock().map_err(|_| io::ErrorKind::Other)? = Instant::now();
        stream.write_all(&event)?;
    }
    stream.write_all(b"0\r\n\r\n")
}
