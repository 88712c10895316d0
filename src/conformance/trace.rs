//! Everything that happened in a case, in order: the one thing that the judge sees.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Characters of base64 text that a trace keeps; longer bodies are kept as length and hash.
const BODY_CHARACTERS: usize = 1_024;

/// Bytes of a longer body that are kept as they are.
const HEAD_BYTES: usize = 256;

/// Bytes of a text that is no JSON that a trace keeps.
const PLAIN_BYTES: usize = 4 * 1_024;

/// Begins a text that stands for a long body.
const DIGEST_MARK: &str = "$sha256 ";

/// The members whose texts are base64.
const BODY_MEMBERS: [&str; 3] = ["bodyBase64", "deltaBase64", "valueBase64"];

use super::client::messages::{Command, Line};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order, from 1.
    pub number: u64,
    /// Microseconds since the case began.
    pub micros: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// When it happened, since the case began.
    pub const fn at(&self) -> Duration {
        Duration::from_micros(self.micros)
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The case begins; its names stand for these values.
    Begun {
        /// The id of the case; empty in traces that were kept without it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        case: String,
        /// Addresses of the origins and of the peer.
        names: BTreeMap<String, String>,
        /// `stdio` or `ws`.
        transport: String,
        /// How much longer than usual everything may take.
        time_scale: f64,
    },
    /// A step begins.
    Step {
        /// Its index in the case.
        step: usize,
    },
    /// The deadline of the step that is waiting has passed.
    Deadline {
        /// How long it had, in milliseconds.
        milliseconds: u64,
    },
    /// The suite sent something that may be a frame.
    Sent {
        /// The connection.
        connection: String,
        /// The frame, long bodies shortened.
        text: String,
    },
    /// The peer sent a frame.
    Received {
        /// The connection.
        connection: String,
        /// The frame, long bodies shortened.
        text: String,
        /// It was a binary websocket message.
        binary: bool,
    },
    /// The peer sent a ping, which the suite answers.
    Ping {
        /// The connection.
        connection: String,
        /// Its payload.
        text: String,
    },
    /// The peer sent a pong.
    Pong {
        /// The connection.
        connection: String,
        /// Its payload.
        text: String,
    },
    /// The peer sent a close frame.
    CloseFrame {
        /// The connection.
        connection: String,
        /// Its status, if it has one.
        code: Option<u16>,
    },
    /// The connection could not be opened.
    Unreached {
        /// The connection.
        connection: String,
        /// Why.
        reason: String,
    },
    /// The suite gave up writing: the peer does not read.
    Stalled {
        /// The connection.
        connection: String,
    },
    /// The peer sent bytes that break the transport's own rules.
    Garbage {
        /// The connection.
        connection: String,
        /// Which rule.
        reason: String,
    },
    /// The peer ended the connection.
    Ended {
        /// The connection.
        connection: String,
        /// How.
        reason: String,
    },
    /// The peer's process has ended.
    Exited {
        /// Its exit status; `None` when a signal ended it.
        code: Option<i32>,
    },
    /// The peak memory of the peer's process was read.
    Memory {
        /// In bytes.
        bytes: u64,
    },
    /// A probe was answered.
    Probed {
        /// The HTTP status; 0 when there was no HTTP response.
        status: u16,
    },
    /// An origin accepted a connection.
    Accepted {
        /// Which origin, 0 or 1.
        origin: usize,
    },
    /// A connection to an origin is closed, by either side.
    Closed {
        /// Which origin, 0 or 1.
        origin: usize,
    },
    /// An origin read a request.
    Request {
        /// Which origin.
        origin: usize,
        /// The method.
        method: String,
        /// The request target.
        target: String,
        /// Names and values in order, bytes as Latin-1.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Body,
    },
    /// The peer closed the connection of a request that was not answered in full.
    Aborted {
        /// Which origin.
        origin: usize,
        /// The path of the request.
        path: String,
    },
    /// An origin could not write for a while.
    Blocked {
        /// Which origin.
        origin: usize,
        /// The path of the request.
        path: String,
        /// Body bytes written until then.
        written: u64,
    },
    /// A client has connected.
    Connected {
        /// The connection.
        connection: String,
        /// The head of its request for a websocket; empty on stdio.
        head: String,
    },
    /// The suite told the adapter something.
    Told {
        /// The command.
        command: Command,
    },
    /// The adapter told something.
    Heard {
        /// The reply or event.
        line: Line,
    },
    /// The suite cannot go on.
    Broken {
        /// Why.
        reason: String,
    },
    /// All steps were done.
    Finished,
}

/// The bytes of a body, or what is left of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Its length, hash and beginning.
    Digest {
        /// In bytes.
        bytes: u64,
        /// SHA-256 in hexadecimal digits.
        sha256: String,
        /// The first bytes.
        head: Vec<u8>,
    },
}

impl Body {
    /// Keeps short bodies whole.
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() > BODY_CHARACTERS / 4 * 3 {
            Self::Digest { bytes: bytes.len() as u64, sha256: sha256(bytes), head: bytes[..HEAD_BYTES].to_vec() }
        } else {
            Self::Whole(bytes.to_vec())
        }
    }

    /// Reads standard base64 with padding, or what [`shorten`] made of it.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.strip_prefix(DIGEST_MARK) {
            Some(digest) => {
                let [sha256, bytes, head] = digest.split(' ').collect::<Vec<_>>().try_into().ok()?;
                let head = STANDARD.decode(head).ok()?;
                Some(Self::Digest { bytes: bytes.parse().ok()?, sha256: sha256.to_owned(), head })
            }
            None => STANDARD.decode(text).ok().map(Self::Whole),
        }
    }

    /// Its length in bytes.
    pub const fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Digest { bytes, .. } => *bytes,
        }
    }

    /// There are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that are known: all, or the beginning.
    pub fn known(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Digest { head: bytes, .. } => bytes,
        }
    }

    /// It is these bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Whole(whole) => whole == bytes,
            Self::Digest { bytes: length, sha256: hash, .. } => *length == bytes.len() as u64 && *hash == sha256(bytes),
        }
    }
}

impl From<Body> for String {
    fn from(body: Body) -> Self {
        match body {
            Body::Whole(bytes) => STANDARD.encode(bytes),
            Body::Digest { bytes, sha256, head } => {
                format!("{DIGEST_MARK}{sha256} {bytes} {}", STANDARD.encode(head))
            }
        }
    }
}

impl TryFrom<String> for Body {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_text(&text).ok_or("neither base64 nor a digest")
    }
}

/// The hash in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame as a trace keeps it: long bodies as length and hash, long texts that are no JSON cut.
pub fn shorten(frame: &[u8]) -> String {
    // What the strict reader refuses stays as it is, so that the judge refuses it too.
    let marked = memchr::memmem::find(frame, DIGEST_MARK.as_bytes()).is_some();
    if (frame.len() > BODY_CHARACTERS || marked)
        && let Ok(mut value) = crate::protocol::json::parse(frame)
    {
        for container in ["params", "result"] {
            match value.get_mut(container) {
                Some(Value::Object(object)) => {
                    let bodies = object.iter_mut().filter(|(name, _)| BODY_MEMBERS.contains(&name.as_str()));
                    for (_, member) in bodies {
                        if let Value::String(text) = member {
                            shorten_body(text);
                        }
                    }
                }
                // No message has a text there, so nothing but its length matters.
                Some(Value::String(text)) if text.len() > PLAIN_BYTES => *text = cut(text, text.len()),
                _ => {}
            }
        }
        return value.to_string();
    }
    let text = plain_text(frame);
    if text.len() <= PLAIN_BYTES { text } else { cut(&text, frame.len()) }
}

/// The first bytes of it, and how many there were.
fn cut(text: &str, bytes: usize) -> String {
    format!("{}… ({bytes} bytes)", &text[..text.floor_char_boundary(PLAIN_BYTES)])
}

/// The frame as text. Bad UTF-8 is marked in front, so that it never reads as a message.
fn plain_text(frame: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(frame) {
        return text.to_owned();
    }
    let mut text = "not UTF-8: ".to_owned();
    for chunk in frame.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

fn shorten_body(text: &mut String) {
    if text.starts_with(DIGEST_MARK) {
        // A peer wrote what only a trace may say: it is no base64, and must not become any.
        text.insert(0, '!');
    } else if text.len() > BODY_CHARACTERS
        && let Ok(bytes) = STANDARD.decode(&*text)
    {
        *text = Body::new(&bytes).into();
    }
}

/// The events of one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// In the order in which they happened.
    pub events: Vec<Event>,
}

impl Trace {
    /// Writes one JSON object a line.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write(&self, mut out: impl io::Write) -> io::Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`Trace::write`] wrote.
    ///
    /// # Errors
    ///
    /// Those of the reader, and lines that are no events.
    pub fn read(input: impl io::BufRead) -> io::Result<Self> {
        let read = |line: io::Result<String>| serde_json::from_str(&line?).map_err(io::Error::from);
        Ok(Self { events: input.lines().map(read).collect::<io::Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let event = |number, what| Event { number, micros: 5, what };
        let names = BTreeMap::from([("origin".to_owned(), "http://o".to_owned())]);
        let headers = vec![("a".to_owned(), "b".to_owned())];
        let trace = Trace {
            events: vec![
                event(1, What::Begun { case: "a/b".to_owned(), names, transport: "ws".to_owned(), time_scale: 1.0 }),
                event(2, What::Received { connection: "main".to_owned(), text: "{}".to_owned(), binary: false }),
                event(
                    3,
                    What::Request {
                        origin: 1,
                        method: "GET".to_owned(),
                        target: "/".to_owned(),
                        headers,
                        body: Body::new(&[7; 100_000]),
                    },
                ),
                event(4, What::Finished),
            ],
        };
        let mut bytes = Vec::new();
        trace.write(&mut bytes).expect("memory takes it");
        assert_eq!(Trace::read(&bytes[..]).expect("own lines"), trace);
    }

    #[test]
    fn long_bodies_keep_length_and_hash() {
        let bytes = vec![3; 100_000];
        let frame = format!(r#"{{"id":1,"result":{{"status":200,"bodyBase64":"{}"}}}}"#, STANDARD.encode(&bytes));
        let text = shorten(frame.as_bytes());
        assert!(text.len() < 600, "{text}");
        let value: Value = serde_json::from_str(&text).expect("still JSON");
        let body = value["result"]["bodyBase64"].as_str().and_then(Body::from_text).expect("a body");
        assert!(body.is(&bytes) && !body.is(&[3; 99_999]) && body.len() == 100_000);
    }

    #[test]
    fn a_text_in_place_of_params_is_cut() {
        let frame = format!(r#"{{"id":1,"method":"m","params":"{}"}}"#, "ä".repeat(100_000));
        let text = shorten(frame.as_bytes());
        let value: Value = serde_json::from_str(&text).expect("still JSON");
        assert!(text.len() < 5_000 && value["params"].as_str().is_some_and(|text| text.ends_with("… (200000 bytes)")));
    }

    #[test]
    fn a_peer_cannot_write_a_digest() {
        let forged = r#"{"method":"m","params":{"deltaBase64":"$sha256 00 5 YQ=="}}"#;
        let value: Value = serde_json::from_str(&shorten(forged.as_bytes())).expect("still JSON");
        assert_eq!(value["params"]["deltaBase64"].as_str().and_then(Body::from_text), None);
    }

    #[test]
    fn bad_base64_and_malformed_frames_stay_bad() {
        let bad = format!(r#"{{"id":1,"result":{{"bodyBase64":"{}*"}}}}"#, "A".repeat(10_000));
        assert_eq!(shorten(bad.as_bytes()), bad);
        let twice = format!(r#"{{"a":1,"a":"{}"}}"#, "x".repeat(2_000));
        assert_eq!(shorten(twice.as_bytes()), twice);
        assert_eq!(shorten(b"{\"a\":\"\xff\"}"), r#"not UTF-8: {"a":"\xff"}"#);
    }
}
