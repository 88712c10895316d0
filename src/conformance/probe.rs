//! The first look at a peer: does it start, does it complete a handshake, how fast is it. Without this no case can be judged.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::case::{Form, Transport};
use super::declaration::{CANCEL, CREDIT, HEADER_ENV_VARS};
use super::driver::PeerHandle as _;
use super::judge::FailKind;
use super::launcher::{LaunchError, Peer, ended};
use super::result::Reason;
use super::stage::Settings;
use super::wire::{Incoming, Wire};
use crate::protocol::error::METHOD_NOT_FOUND;
use crate::protocol::id::Id;
use crate::protocol::message::Message;

/// Round trips that are measured.
const ROUND_TRIPS: i64 = 20;

/// The slowest of them is this often contained in the deadline of a step.
const ROUND_TRIPS_PER_STEP: u32 = 20;

/// How long one of them may take before measuring is given up.
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(2);

/// How long the end of a connection waits for the exit status that belongs to it.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// The pauses between two attempts to connect grow from this...
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// ...to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A method that no executor has, so that the answer is an error and nothing happens.
const PING: &str = "conformance/ping";

/// What the first look showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Capabilities that the peer showed by itself.
    pub shown: BTreeSet<&'static str>,
    /// The slowest of the measured round trips.
    pub round_trip: Duration,
}

impl Ready {
    /// How much longer than usual everything may take with this peer on this machine: 1, unless the usual deadline of a step
    /// is shorter than 20 of the slowest round trips.
    pub fn time_scale(&self) -> f64 {
        let slow = (self.round_trip * ROUND_TRIPS_PER_STEP).as_secs_f64() / Settings::default().step.as_secs_f64();
        slow.max(1.0)
    }
}

/// Why no case can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Nothing came that could be judged: the cases have not been run.
    Cause(String),
    /// The peer broke a clause at once.
    Violation(FailKind, Reason),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cause(cause) => f.write_str(cause),
            Self::Violation(_, reason) => f.write_str(&reason.came),
        }
    }
}

impl From<LaunchError> for Unready {
    fn from(error: LaunchError) -> Self {
        Self::Cause(error.to_string())
    }
}

/// Looks at a peer. On stdio that uses its only session up; on a websocket it uses a connection of its own.
///
/// # Errors
///
/// [`Unready`] after `limit` at the latest, or as soon as the cause is known. Until then an address where nobody listens
/// yet is tried again.
pub async fn probe(peer: &mut Peer, limit: Duration) -> Result<Ready, Unready> {
    let deadline = Instant::now() + limit;
    let wire = connect(peer, deadline, limit).await?;
    Session { wire, peer, deadline, limit }.handshake().await
}

/// Waits until somebody listens; the connection that shows it is closed at once.
///
/// # Errors
///
/// As [`probe`].
pub(super) async fn await_listener(peer: &mut Peer, limit: Duration) -> Result<(), Unready> {
    connect(peer, Instant::now() + limit, limit).await.map(drop)
}

/// Connects as soon as somebody listens.
async fn connect(peer: &mut Peer, deadline: Instant, limit: Duration) -> Result<Wire, Unready> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match timeout_at(deadline, peer.connect()).await {
            Ok(Ok(wire)) => return Ok(wire),
            // Whoever listens there is no executor.
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Unready::Cause(format!("no websocket: {error}")));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "nobody answered".to_owned(),
        };
        if let Some(process) = peer.process().filter(|process| process.has_ended()) {
            let status = process.wait().await;
            return Err(Unready::Cause(format!("the peer {} before it accepted a connection", ended(status))));
        }
        if Instant::now() + pause >= deadline {
            return Err(Unready::Cause(format!("no connection within {limit:?}: {error}")));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A connection on which nothing has been said yet.
struct Session<'a> {
    wire: Wire,
    peer: &'a Peer,
    deadline: Instant,
    /// What `deadline` was made of, for messages.
    limit: Duration,
}

impl Session<'_> {
    async fn handshake(&mut self) -> Result<Ready, Unready> {
        let params = json!({"clientName": "exec-http conformance"});
        let result = match self.call(0, "initialize", params).await? {
            Message::Response { result, .. } => result,
            Message::Error { error, .. } => {
                return Err(no_session(format!("initialize was answered with error {}", error.code)));
            }
            other => unreachable!("call returns answers only: {other:?}"),
        };
        if result["sessionId"].as_str().is_none_or(str::is_empty) {
            return Err(no_session("initialize was answered without sessionId".to_owned()));
        }
        self.send(&Message::Notification { method: "initialized".into(), params: Some(json!({})) }).await?;
        let mut shown = BTreeSet::new();
        if self.has_header_variables(&result).await? {
            shown.insert(HEADER_ENV_VARS);
        }
        if self.knows("http/request/cancel").await? {
            shown.insert(CANCEL);
        }
        if result["capabilities"]["httpBodyCredit"] == true {
            shown.insert(CREDIT);
        }
        let round_trip = self.slowest_round_trip().await?;
        Ok(Ready { shown, round_trip })
    }

    /// Executors announce the capability in the result of `initialize` or in that of `environment/info`.
    async fn has_header_variables(&mut self, initialized: &Value) -> Result<bool, Unready> {
        let announces = |info: &Value| info["capabilities"]["httpHeaderEnvVars"] == json!(true);
        if !initialized["environmentInfo"].is_null() {
            return Ok(announces(&initialized["environmentInfo"]));
        }
        match timeout(ROUND_TRIP_LIMIT, self.call(1, "environment/info", json!({}))).await {
            Ok(Ok(Message::Response { result, .. })) => Ok(announces(&result)),
            Ok(answer) => answer.map(|_| false),
            Err(_) => Ok(false),
        }
    }

    /// Whether the method exists. A peer that does not answer it in time is left to the cases.
    async fn knows(&mut self, method: &str) -> Result<bool, Unready> {
        match timeout(ROUND_TRIP_LIMIT, self.call(2, method, json!({"requestId": "conformance"}))).await {
            Ok(Ok(Message::Error { error, .. })) => Ok(error.code != METHOD_NOT_FOUND),
            Ok(answer) => answer.map(|_| true),
            Err(_) => Ok(false),
        }
    }

    /// A peer that does not answer a method that it does not know is left to the cases; its round trips say nothing.
    async fn slowest_round_trip(&mut self) -> Result<Duration, Unready> {
        let mut slowest = Duration::ZERO;
        for id in 0..ROUND_TRIPS {
            let start = Instant::now();
            match timeout(ROUND_TRIP_LIMIT, self.call(100 + id, PING, json!({}))).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Ok(Duration::ZERO),
            }
            slowest = slowest.max(start.elapsed());
        }
        Ok(slowest)
    }

    /// Sends a request and waits for its answer; what comes meanwhile is left to the cases.
    async fn call(&mut self, id: i64, method: &str, params: Value) -> Result<Message, Unready> {
        let request = Message::Request { id: Id::from(id), method: method.to_owned(), params: Some(params) };
        self.send(&request).await?;
        loop {
            let frame = self.receive(method).await?;
            let message = match Message::decode(&frame) {
                Ok(message) => message,
                Err(_) if self.is_stdio() && frame.trim_ascii().is_empty() => continue,
                Err(error) => return Err(self.pollution(&frame, &error.to_string())),
            };
            match &message {
                Message::Response { id: answered, .. } if *answered == Id::from(id) => return Ok(message),
                Message::Error { id: Some(answered), .. } if *answered == Id::from(id) => return Ok(message),
                echo if *echo == request => {
                    let cause = format!("the peer sent the request {method} back instead of answering it");
                    return Err(Unready::Cause(cause));
                }
                _ => {}
            }
        }
    }

    fn is_stdio(&self) -> bool {
        self.peer.transport() == Transport::Stdio
    }

    async fn send(&mut self, message: &Message) -> Result<(), Unready> {
        let writes = self.wire.sender.encode(&message.encode(), Form::Frame).concat();
        // A peer that has gone is noticed by reading, which also tells how it ended.
        match timeout_at(self.deadline, self.wire.sender.write(&writes)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Unready::Cause(format!("the peer read nothing within {:?}", self.limit))),
        }
    }

    async fn receive(&mut self, method: &str) -> Result<Bytes, Unready> {
        loop {
            return match timeout_at(self.deadline, self.wire.receiver.next()).await {
                Ok(Incoming::Message { bytes, .. }) => Ok(bytes),
                Ok(Incoming::Ping(_) | Incoming::Pong(_)) => continue,
                Ok(Incoming::Garbage(reason)) => {
                    let reason = Reason::broken("ENVELOPE-1", "frames of the transport", reason);
                    Err(Unready::Violation(FailKind::Malformed, reason))
                }
                Ok(Incoming::Close(_) | Incoming::End(_)) => {
                    let status = match self.peer.process() {
                        Some(process) => timeout(STATUS_LIMIT, process.wait()).await.ok().flatten(),
                        None => None,
                    };
                    let end = if status.is_some() { ended(status) } else { "closed the connection".to_owned() };
                    Err(Unready::Cause(format!("the peer {end} before answering {method}")))
                }
                Err(_) => Err(Unready::Cause(format!("no answer to {method} within {:?}", self.limit))),
            };
        }
    }

    fn pollution(&self, frame: &[u8], why: &str) -> Unready {
        let is_json = serde_json::from_slice::<Value>(frame).is_ok();
        let (kind, clause, expected) = if self.is_stdio() && !is_json {
            (
                FailKind::StdoutPollution,
                "TRANSPORT-7",
                "nothing but messages on standard output; logs go to standard error",
            )
        } else {
            (FailKind::Malformed, "ENVELOPE-1", "frames that are messages")
        };
        let came = format!("a frame that is no message ({why}): {}", excerpt(frame));
        Unready::Violation(kind, Reason::broken(clause, expected, came))
    }
}

fn no_session(came: String) -> Unready {
    let reason = Reason::broken("HANDSHAKE-2", "a result with a non-empty string sessionId", came);
    Unready::Violation(FailKind::Assertion, reason)
}

/// The beginning of a frame that nobody could read.
fn excerpt(frame: &[u8]) -> String {
    const EXCERPT_BYTES: usize = 120;
    let text = String::from_utf8_lossy(&frame[..frame.len().min(EXCERPT_BYTES)]);
    if frame.len() > EXCERPT_BYTES { format!("{text}…") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::launcher::Target;
    use super::super::process::CommandLine;
    use super::*;

    async fn look(command: &str, limit: Duration) -> Result<Ready, Unready> {
        let argv = Target::split(command).expect("the quotes are balanced");
        let target = Target::Command(CommandLine { argv, env: Vec::new(), cwd: None });
        probe(&mut target.launch(Transport::Stdio, &[], limit).await?, limit).await
    }

    #[track_caller]
    fn cause(result: Result<Ready, Unready>) -> String {
        match result {
            Err(Unready::Cause(cause)) => cause,
            other => panic!("no cause without a violation: {other:?}"),
        }
    }

    #[track_caller]
    fn violation(result: Result<Ready, Unready>) -> (FailKind, String) {
        match result {
            Err(Unready::Violation(kind, reason)) => (kind, reason.clause.unwrap_or_default()),
            other => panic!("no violation: {other:?}"),
        }
    }

    const LONG: Duration = Duration::from_secs(15);

    #[tokio::test]
    async fn a_peer_that_does_nothing_has_one_cause() {
        let exited = look("true", LONG).await;
        assert_eq!(cause(exited), "the peer exited with status 0 before answering initialize");
        let echoed = look("cat", LONG).await;
        assert_eq!(cause(echoed), "the peer sent the request initialize back instead of answering it");
        let silent = look("sleep 60", Duration::from_millis(100)).await;
        assert_eq!(cause(silent), "no answer to initialize within 100ms");
    }

    #[tokio::test]
    async fn a_peer_that_answers_wrongly_breaks_a_clause() {
        let empty = look(r#"/bin/sh -c 'read line; echo "{\"id\":0,\"result\":{}}"; cat'"#, LONG).await;
        assert_eq!(violation(empty), (FailKind::Assertion, "HANDSHAKE-2".to_owned()));
        let refused =
            look(r#"/bin/sh -c 'echo "{\"id\":0,\"error\":{\"code\":1,\"message\":\"\"}}"; cat'"#, LONG).await;
        assert_eq!(violation(refused), (FailKind::Assertion, "HANDSHAKE-2".to_owned()));
        let no_message = look("/bin/sh -c 'echo {}; cat'", LONG).await;
        assert_eq!(violation(no_message), (FailKind::Malformed, "ENVELOPE-1".to_owned()));
        let log = look("/bin/sh -c 'echo; echo listening; cat'", LONG).await;
        assert_eq!(violation(log), (FailKind::StdoutPollution, "TRANSPORT-7".to_owned()));
    }

    #[tokio::test]
    async fn a_dead_address_is_tried_until_the_limit() {
        // Long enough for a first attempt on a busy machine.
        let limit = Duration::from_secs(1);
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let url = format!("ws://{}", port.expect("there is a loopback address"));
        let target = Target::attach(&url, None, false).expect("the address is a loopback one");
        let mut peer = target.launch(Transport::Websocket, &[], limit).await.expect("nothing is started");
        let text = cause(probe(&mut peer, limit).await);
        assert!(text.starts_with("no connection within 1s: ") && text.contains("refused"), "{text}");
    }
}
