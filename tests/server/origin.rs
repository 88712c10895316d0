//! A scripted HTTP origin over raw TCP: it sends exactly the bytes that a test gives it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// An origin whose writes make no progress for this long is blocked by its peer.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

/// A response of status 200 with `headers`, each with its line end, and a Content-Length.
pub(crate) fn response(headers: &str, body: &[u8]) -> Vec<u8> {
    answer("200 OK", headers, body)
}

/// The same with another status.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What follows a request.
#[derive(Clone)]
enum Script {
    /// These bytes, then the next request.
    Answer(Vec<u8>),
    /// These bytes, then the end of the connection.
    Close(Vec<u8>),
    /// These bytes, then nothing until [`Origin::release`].
    Stall(Vec<u8>),
    /// These bytes, then zeros for ever.
    Endless(Vec<u8>),
}

/// What an origin has seen.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Connections that were accepted.
    connections: usize,
    /// Those of them that are not over.
    open: usize,
    /// Bytes that the operating system took.
    handed_over: usize,
}

pub(crate) struct Origin {
    port: u16,
    seen: Arc<watch::Sender<Seen>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// The rest of a stalled answer.
    rest: watch::Sender<Option<Vec<u8>>>,
}

impl Origin {
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(Script::Answer(answer.into())).await
    }

    pub(crate) async fn closing_after(answer: &[u8]) -> Self {
        Self::start(Script::Close(answer.to_vec())).await
    }

    pub(crate) async fn stalling_after(answer: &[u8]) -> Self {
        Self::start(Script::Stall(answer.to_vec())).await
    }

    pub(crate) async fn silent() -> Self {
        Self::stalling_after(b"").await
    }

    pub(crate) async fn endless(head: &[u8]) -> Self {
        Self::start(Script::Endless(head.to_vec())).await
    }

    /// A URL that nobody listens at, as long as this program runs.
    pub(crate) async fn refusing() -> String {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let url = format!("http://{}/", socket.local_addr().expect("bound"));
        // Bound and not listening: connections are refused, and no other test gets the port.
        std::mem::forget(socket);
        url
    }

    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (rest, released) = watch::channel(None);
        let origin = Self { port, seen: Arc::default(), requests: Arc::default(), rest };
        let (seen, requests) = (Arc::clone(&origin.seen), Arc::clone(&origin.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.send_modify(|seen| (seen.connections, seen.open) = (seen.connections + 1, seen.open + 1));
                let exchange =
                    serve(stream, script.clone(), Arc::clone(&seen), Arc::clone(&requests), released.clone());
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    // How it ended does not matter, only that it has.
                    let _ = exchange.await;
                    seen.send_modify(|seen| seen.open -= 1);
                });
            }
        });
        origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.borrow().connections
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics while it holds this").clone()
    }

    /// Sends the rest of a stalled answer.
    pub(crate) async fn release(&self, rest: &[u8]) {
        self.rest.send_replace(Some(rest.to_vec()));
    }

    pub(crate) async fn wait_for_connections(&self, count: usize) {
        self.seen.subscribe().wait_for(|seen| seen.connections >= count).await.expect("the sender lives");
    }

    pub(crate) async fn all_closed(&self) {
        self.seen.subscribe().wait_for(|seen| seen.connections > 0 && seen.open == 0).await.expect("the sender lives");
    }

    /// Waits until so many of its connections are closed.
    pub(crate) async fn closed(&self, count: usize) {
        let closed = |seen: &Seen| seen.connections - seen.open >= count;
        self.seen.subscribe().wait_for(closed).await.expect("the sender lives");
    }

    /// Waits until its peers take nothing more, or have taken more than `limit` bytes; how many bytes they took.
    pub(crate) async fn wait_until_blocked(&self, limit: usize) -> usize {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| seen.handed_over > 0).await.expect("the sender lives");
        while seen.borrow().handed_over <= limit && timeout(BLOCKED_AFTER, seen.changed()).await.is_ok() {}
        seen.borrow().handed_over
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    seen: Arc<watch::Sender<Seen>>,
    requests: Arc<Mutex<Vec<String>>>,
    mut released: watch::Receiver<Option<Vec<u8>>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(request) = read_request(&mut stream).await? {
        requests.lock().expect("no test panics while it holds this").push(request);
        match &script {
            Script::Answer(answer) => stream.write_all(answer).await?,
            Script::Close(answer) => return stream.write_all(answer).await,
            Script::Stall(answer) => {
                stream.write_all(answer).await?;
                let mut byte = [0];
                let released = tokio::select! {
                    _ = stream.read(&mut byte) => return Ok(()),
                    rest = released.wait_for(Option::is_some) => rest.ok().and_then(|rest| rest.clone()),
                };
                stream.write_all(&released.unwrap_or_default()).await?;
            }
            Script::Endless(head) => {
                stream.write_all(head).await?;
                let block = [0; 64 * 1024];
                loop {
                    let written = stream.write(&block).await?;
                    seen.send_modify(|seen| seen.handed_over += written);
                }
            }
        }
    }
    Ok(())
}

/// One request, its body by Content-Length; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    loop {
        let head = text.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        if let Some(head) = head {
            let lines = String::from_utf8_lossy(&text[..head]).to_lowercase();
            let length = lines.lines().find_map(|line| line.strip_prefix("content-length: "));
            if text.len() >= head + length.map_or(0, |length| length.parse().expect("a number")) {
                return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
            }
        }
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(None);
        }
    }
}
