//! Cases against small peers in memory: a stdio peer is a function from lines to lines.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::TcpStream;

use super::*;
use crate::conformance::case::Half;
use crate::conformance::case::parse::parse_cases;
use crate::conformance::judge::{FailKind, Judgement, judge};

/// Bytes that a pipe in memory holds.
const PIPE_BYTES: usize = 64 * 1024;

/// A peer in memory that answers each line with lines.
struct Scripted {
    answer: fn(&str) -> Vec<String>,
}

impl PeerHandle for Scripted {
    async fn connect(&mut self) -> io::Result<Wire> {
        let (input, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (mine, output) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(serve(theirs, output, self.answer));
        Ok(Wire::stdio(input, mine))
    }

    fn transport(&self) -> Transport {
        Transport::Stdio
    }

    fn authority(&self) -> Option<String> {
        None
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn exited(&self) -> impl Future<Output = Option<i32>> + Send + 'static {
        std::future::pending()
    }
}

async fn serve(input: DuplexStream, mut output: DuplexStream, answer: fn(&str) -> Vec<String>) {
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        for text in answer(&line) {
            // The suite may have gone, which ends the input too.
            let _ = output.write_all(format!("{text}\n").as_bytes()).await;
        }
    }
}

/// Answers as an executor that knows the handshake and nothing else.
fn greeting(line: &str) -> Vec<String> {
    let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    match (message.get("id"), message.get("method").and_then(|method| method.as_str())) {
        (Some(id), Some("initialize")) => vec![format!(r#"{{"id":{id},"result":{{"sessionId":"s-1"}}}}"#)],
        (Some(id), Some(_)) => vec![format!(r#"{{"id":{id},"error":{{"code":-32601,"message":"unknown"}}}}"#)],
        _ => Vec::new(),
    }
}

fn case(body: &str) -> Case {
    parse_cases("a.case", &format!("# One.\ncase a/b\nclauses STREAM-1\n{body}\n")).expect("a good case").remove(0)
}

async fn run(body: &str, answer: fn(&str) -> Vec<String>) -> Judgement {
    let case = case(body);
    let settings =
        Settings { handshake: Duration::from_millis(200), step: Duration::from_millis(200), ..Default::default() };
    let run = run_case(&case, &mut Scripted { answer }, &settings, None).await;
    assert_eq!(judge(&case, &run.trace), run.judgement, "the stored trace gives the same verdict");
    run.judgement
}

#[tokio::test]
async fn a_peer_that_answers_passes() {
    assert_eq!(run("barrier", greeting).await, Judgement::Pass);
    assert_eq!(run("-> 7 x\n<- 7 error -32601", greeting).await, Judgement::Pass);
}

#[tokio::test]
async fn a_peer_that_does_nothing_passes_nothing() {
    let silent = |_: &str| Vec::new();
    let echo = |line: &str| vec![line.to_owned()];
    assert!(matches!(run("barrier", silent).await, Judgement::NoHandshake(_)));
    assert!(matches!(run("barrier", echo).await, Judgement::NoHandshake(_)));
    for file in super::super::suites::of(Half::Executor).iter().filter(|case| case.only != Some(Transport::Websocket)) {
        let settings =
            Settings { handshake: Duration::from_millis(20), step: Duration::from_millis(20), ..Default::default() };
        let run = run_case(file, &mut Scripted { answer: |_| Vec::new() }, &settings, None).await;
        assert!(!matches!(run.judgement, Judgement::Pass | Judgement::Warn(_)), "{}", file.id);
    }
}

#[tokio::test]
async fn empty_answers_are_failures() {
    let empty = |_: &str| vec!["{}".to_owned()];
    assert!(matches!(run("barrier", empty).await, Judgement::Fail(FailKind::Malformed, _)));
    let log = |_: &str| vec!["ready to serve".to_owned()];
    assert!(matches!(run("barrier", log).await, Judgement::Fail(FailKind::StdoutPollution, _)));
}

#[tokio::test]
async fn a_missed_deadline_fails_the_clause_that_promised() {
    let deaf = |line: &str| if line.contains("initialize") { greeting(line) } else { Vec::new() };
    let Judgement::Fail(FailKind::Assertion, finding) = run("-> 7 x\n<- 7 answered @ENVELOPE-15", deaf).await else {
        panic!("not a failed assertion");
    };
    assert_eq!((finding.clause.as_str(), finding.line), ("ENVELOPE-15", 5));
    assert!(matches!(run("barrier", deaf).await, Judgement::Timeout(_)));
    let should = run("-> 7 x\n<- 7 answered @ENVELOPE-3\n-> 8 initialize\n<- 8 {}", deaf).await;
    assert!(matches!(should, Judgement::Warn(finding) if finding.clause == "ENVELOPE-3"));
}

#[tokio::test]
async fn a_second_answer_fails() {
    let twice = |line: &str| [greeting(line), greeting(line)].concat();
    assert!(matches!(run("barrier", twice).await, Judgement::Fail(_, finding) if finding.clause == "ENVELOPE-19"));
}

/// A websocket peer that greets, and then closes at the first other message.
struct Hasty {
    listener: tokio::net::TcpListener,
}

impl PeerHandle for Hasty {
    async fn connect(&mut self) -> io::Result<Wire> {
        let url = format!("ws://{}/", self.listener.local_addr()?);
        let (wire, accepted) = tokio::join!(Wire::websocket(&url, None), accept(&self.listener));
        tokio::spawn(greet_and_close(accepted));
        wire
    }

    fn transport(&self) -> Transport {
        Transport::Websocket
    }

    fn authority(&self) -> Option<String> {
        self.listener.local_addr().ok().map(|address| address.to_string())
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    fn exited(&self) -> impl Future<Output = Option<i32>> + Send + 'static {
        std::future::pending()
    }
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn accept(listener: &tokio::net::TcpListener) -> Socket {
    let (stream, _) = listener.accept().await.expect("a connection");
    tokio_tungstenite::accept_async(stream).await.expect("an upgrade")
}

async fn greet_and_close(mut socket: Socket) {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) if text.contains("initialize\"") => {
                for answer in greeting(&text) {
                    socket.send(Message::text(answer)).await.expect("the suite reads");
                }
            }
            Message::Text(text) if text.contains("last") => {
                let _ = socket.close(None).await;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn websocket_control_frames_reach_the_judge() {
    let mut peer = Hasty { listener: tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port") };
    for (body, passes) in [
        ("ping \"x\"\n<- pong \"x\"\n-> notify last\n<- close-frame\n<- closed", true),
        ("-> fragments 3 '{\"method\":\"last\"}'\n<- pong \"between\"\n<- close-frame", true),
        ("-> notify last\n<- 7 answered", false),
        ("close\n<- close-frame\n<- closed", true),
        ("-> bytes \"\\xff\\xff\"\n<- pong \"x\"", false),
    ] {
        let run = run_case(&case(body), &mut peer, &Settings::default(), None).await;
        assert_eq!(run.judgement == Judgement::Pass, passes, "{body}: {:?}", run.judgement);
    }
}

/// A peer that goes while the suite still writes to it has gone.
#[tokio::test]
async fn the_end_of_a_connection_is_not_lost_in_a_write() {
    /// Greets, reads one more line's beginning, and goes.
    struct Leaving;
    impl PeerHandle for Leaving {
        async fn connect(&mut self) -> io::Result<Wire> {
            use tokio::io::AsyncReadExt as _;
            let (input, theirs) = tokio::io::duplex(PIPE_BYTES);
            let (mine, mut output) = tokio::io::duplex(PIPE_BYTES);
            tokio::spawn(async move {
                let mut lines = BufReader::new(theirs);
                let mut line = String::new();
                lines.read_line(&mut line).await.expect("the handshake");
                for answer in greeting(&line) {
                    output.write_all(format!("{answer}\n").as_bytes()).await.expect("the suite reads");
                }
                lines.read_line(&mut line).await.expect("the notification");
                lines.read_exact(&mut [0; PIPE_BYTES]).await.expect("a long line");
                drop(output);
                // The suite still writes when it hears of the end.
                tokio::task::yield_now().await;
            });
            Ok(Wire::stdio(input, mine))
        }

        fn transport(&self) -> Transport {
            Transport::Stdio
        }

        fn authority(&self) -> Option<String> {
            None
        }

        fn pid(&self) -> Option<u32> {
            None
        }

        fn exited(&self) -> impl Future<Output = Option<i32>> + Send + 'static {
            tokio::time::sleep(Duration::from_millis(20)).map(|()| Some(0))
        }
    }
    let case =
        case("-> 7 x\n-> raw fill 1MiB\n<- 7 answered or closed\n<- closed\n-> 8 y\n<- 8 answered or closed\nbarrier");
    let run = run_case(&case, &mut Leaving, &Settings::default(), None).await;
    let Judgement::Fail(_, finding) = run.judgement else { panic!("not a failure: {:?}", run.judgement) };
    assert_eq!((finding.expected.as_str(), finding.got.contains("end of input")), ("barrier", true));
}
