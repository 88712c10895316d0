//! The origin against plain sockets.

use tokio::net::TcpStream;

use super::*;
use crate::conformance::case::parse::parse_cases;

struct Running {
    port: u16,
    released: watch::Sender<BTreeSet<String>>,
    events: mpsc::Receiver<(Instant, What)>,
    _origin: Origin,
}

async fn start(block: &str) -> Running {
    let text = format!("# One.\ncase a/b\nclauses STREAM-1\n{block}\nbarrier\n");
    let case = parse_cases("a.case", &text).expect("a good case").remove(0);
    let bound = BoundOrigin::bind().await.expect("a free port");
    let port = bound.port();
    let (released, receiver) = watch::channel(BTreeSet::new());
    let (sender, events) = mpsc::channel(64);
    let names = Names::from([("origin".to_owned(), format!("http://127.0.0.1:{port}"))]);
    let origin = bound.serve(0, case.origins[0].clone(), names, receiver, sender);
    Running { port, released, events, _origin: origin }
}

impl Running {
    async fn get(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("it listens");
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.expect("it reads");
        stream
    }

    async fn event(&mut self) -> What {
        self.events.recv().await.expect("the origin lives").1
    }
}

/// All that comes until the end, and how it ended.
async fn read_all(mut stream: TcpStream) -> (String, Result<(), io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(drop).map_err(|error| error.kind());
    (bytes.iter().map(|&byte| char::from(byte)).collect(), end)
}

#[tokio::test]
async fn heads_chunks_and_trailers_are_written_as_they_stand() {
    let origin = start(
        "origin /a\n  103\n  x: 1\n  200 Fine\n  X: \"\\xe9\"\n  chunked\n  trailer t: 1\n  chunk \"ab\"\n  each 2 chunk \"c\"\n  raw \"!\"\n",
    )
    .await;
    let (text, end) = read_all(origin.get("/a").await).await;
    let expected = "HTTP/1.1 103\r\nx: 1\r\n\r\nHTTP/1.1 200 Fine\r\nX: é\r\ntransfer-encoding: chunked\r\n\r\n\
                    2\r\nab\r\n1\r\nc\r\n1\r\nc\r\n!";
    assert_eq!((text.as_str(), end), (expected, Ok(())));
}

#[tokio::test]
async fn blocks_of_one_path_answer_in_turn_and_unknown_paths_get_404() {
    let origin = start("origin /a\n  200\n  x: $origin\norigin /a\n  500\n").await;
    let first = read_all(origin.get("/a").await).await.0;
    assert_eq!(first, format!("HTTP/1.1 200\r\nx: http://127.0.0.1:{}\r\n\r\n", origin.port));
    for _ in 0..2 {
        assert_eq!(read_all(origin.get("/a?q").await).await.0, "HTTP/1.1 500\r\n\r\n");
    }
    let mut stream = origin.get("/none").await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 404");
}

#[tokio::test]
async fn a_wait_holds_the_rest_until_its_release() {
    let mut origin = start("origin /a\n  200\n  chunk \"one\"\n  wait more\n  chunk \"two\"\n").await;
    let mut stream = origin.get("/a").await;
    let mut first = [0; 19];
    stream.read_exact(&mut first).await.expect("the first chunk");
    assert!(first.ends_with(b"one"));
    assert!(matches!(origin.event().await, What::Accepted { origin: 0 }));
    assert!(matches!(origin.event().await, What::Request { target, .. } if target == "/a"));
    origin.released.send_if_modified(|released| released.insert("more".to_owned()));
    assert_eq!(read_all(stream).await.0, "two");
}

#[tokio::test]
async fn a_reset_resets_and_a_peer_that_goes_is_told() {
    let mut origin =
        start("origin /reset\n  200\n  reset\norigin /hang\n  hang\norigin /endless\n  200\n  endless\n").await;
    assert_eq!(read_all(origin.get("/reset").await).await.1, Err(io::ErrorKind::ConnectionReset));
    for path in ["/hang", "/endless"] {
        let stream = origin.get(path).await;
        while !matches!(origin.event().await, What::Request { target, .. } if target == path) {}
        drop(stream);
        while !matches!(origin.event().await, What::Aborted { path: aborted, .. } if aborted == path) {}
    }
}

#[tokio::test]
async fn a_reader_that_stops_blocks_the_endless() {
    let mut origin = start("origin /endless\n  200\n  endless\n").await;
    let _stream = origin.get("/endless").await;
    loop {
        if let What::Blocked { written, .. } = origin.event().await {
            assert!(written > 0 && written < 64 << 20, "{written}");
            break;
        }
    }
}
