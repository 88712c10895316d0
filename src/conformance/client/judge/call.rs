//! One call as the application sees it, beside what the executor said about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::conformance::client::messages::{Chunk, Failure, Header, Kind, Seen};
use crate::conformance::client::receives::Receives;
use crate::conformance::judge::{FailKind, Fault, Violation};
use crate::conformance::trace::{Body, sha256};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::limits::DELTA_BYTES;

/// A call of the application.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Its connection.
    pub(super) connection: String,
    /// The URL by which its request is known.
    pub(super) url: String,
    /// The body comes in pieces.
    pub(super) stream: bool,
    /// The `requestId` that the client chose, once its request has come.
    pub(super) request_id: Option<String>,
    /// What the executor said about the body.
    sent: Sent,
    /// The response, and whether a step has taken it.
    pub(super) response: Option<(Response, bool)>,
    /// The bytes that the application received.
    got: Vec<u8>,
    /// How many of them steps have taken.
    taken: usize,
    /// What it received last: the end or an error.
    outcome: Option<Outcome>,
    /// The outcome came again, or for the first time, and no step has taken it.
    news: bool,
    /// The receives under way.
    pub(super) receives: Receives,
    /// The application has let go of it.
    pub(super) gone: bool,
}

/// The response to a call.
#[derive(Debug)]
pub(super) struct Response {
    /// Its status.
    pub(super) status: u16,
    /// Its headers in order.
    pub(super) headers: Vec<Header>,
    /// The body of a buffered call.
    pub(super) body: Option<Chunk>,
}

/// How a call, or its stream, ended for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The clean end.
    End,
    /// An error of the call or of its stream.
    Failed(Failure),
}

/// The body as the frames of the executor give it, whatever the client makes of them.
#[derive(Debug)]
struct Sent {
    /// The bytes of the frames up to the first that ends the stream.
    bytes: Vec<u8>,
    /// The `seq` of the next frame.
    next: u64,
    /// The stream has ended: cleanly, or for the clause named.
    end: Option<Result<(), &'static str>>,
    /// Some of the bytes are not known.
    unknown: bool,
}

impl Default for Sent {
    fn default() -> Self {
        Self { bytes: Vec::new(), next: 1, end: None, unknown: false }
    }
}

impl Sent {
    /// A frame for this call; `data` are its bytes where the trace has no more than their hash.
    fn handle_delta(&mut self, params: &Value, data: Option<&[u8]>) {
        if self.end.is_some() {
            return;
        }
        let error = match params.get("error") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => return self.end = Some(Err("STREAM-22")),
        };
        let done = match params.get("done") {
            None => false,
            Some(Value::Bool(done)) => *done,
            Some(_) => return self.end = Some(Err("STREAM-22")),
        };
        let body = params.get("deltaBase64").and_then(Value::as_str).and_then(Body::from_text);
        let (Some(seq), Some(body)) = (params.get("seq").and_then(Value::as_u64), body) else {
            self.end = Some(Err("STREAM-22"));
            return;
        };
        if seq != self.next {
            self.end = Some(Err("STREAM-20"));
            return;
        }
        if body.len() > DELTA_BYTES as u64 {
            self.end = Some(Err("STREAM-23"));
            return;
        }
        self.next += 1;
        match (&body, data) {
            (Body::Whole(bytes), _) => self.bytes.extend_from_slice(bytes),
            (Body::Digest { .. }, Some(bytes)) if body.is(bytes) => self.bytes.extend_from_slice(bytes),
            (Body::Digest { .. }, _) => self.unknown = true,
        }
        if error.is_some() {
            self.end = Some(Err("STREAM-16"));
        } else if done {
            self.end = Some(Ok(()));
        }
    }
}

impl Call {
    /// The application has seen the end of its stream, a clean one or the executor's error.
    pub(super) fn is_ended_by_executor(&self) -> bool {
        match &self.outcome {
            Some(Outcome::End) => true,
            Some(Outcome::Failed(failure)) => matches!(failure.kind, Kind::Remote | Kind::Rpc),
            None => false,
        }
    }

    /// The suite sent a message on the connection of this call.
    pub(super) fn handle_sent(&mut self, message: &Value, data: Option<&[u8]>) {
        let params = &message["params"];
        let named =
            params["requestId"].as_str().is_some() && params["requestId"].as_str() == self.request_id.as_deref();
        if message["method"] == DELTA_METHOD && named {
            self.sent.handle_delta(params, data);
        }
    }

    /// How many bytes the application has received.
    pub(super) fn received(&self) -> usize {
        self.got.len()
    }

    /// The bytes that no step has taken.
    pub(super) fn untaken(&self) -> &[u8] {
        &self.got[self.taken..]
    }

    /// A step takes bytes.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
    }

    /// How the call ended for the application.
    pub(super) const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// The outcome, if the application was told it since a step took it last.
    pub(super) fn untaken_outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref().filter(|_| self.news)
    }

    /// A step takes the outcome; the next one needs another receive.
    pub(super) const fn take_outcome(&mut self) {
        self.news = false;
    }

    /// The adapter told something about this call.
    ///
    /// # Errors
    ///
    /// What is wrong with the library, or with the adapter.
    pub(super) fn handle_seen(&mut self, seen: &Seen) -> Result<(), Fault> {
        let cancelled = matches!(seen, Seen::CallFailed { .. });
        if self.gone && !cancelled {
            return Err(Fault::Adapter("the adapter tells about a call that the application let go of".to_owned()));
        }
        match seen {
            Seen::Response { status, headers, body, .. } => {
                if self.response.is_some() || self.outcome.is_some() {
                    return Err(Fault::Adapter("the adapter tells a second result of a call".to_owned()));
                }
                if body.is_some() == self.stream {
                    let which = if self.stream { "streamed" } else { "buffered" };
                    return Err(Fault::Adapter(format!("response to a {which} call: bytes belong to buffered ones")));
                }
                check_hash(body.as_ref())?;
                let response = Response { status: *status, headers: headers.clone(), body: body.clone() };
                self.response = Some((response, false));
                Ok(())
            }
            Seen::CallFailed { failure, .. } => {
                if self.response.is_some() || self.outcome.is_some() {
                    return Err(Fault::Adapter("the adapter tells a second result of a call".to_owned()));
                }
                self.outcome = Some(Outcome::Failed(failure.clone()));
                self.news = true;
                Ok(())
            }
            Seen::Chunk { chunk, .. } => {
                was_asked(self.receives.chunk(chunk.bytes))?;
                self.handle_chunk(chunk)
            }
            Seen::End { .. } => {
                was_asked(self.receives.outcome())?;
                self.handle_outcome(Outcome::End)
            }
            Seen::StreamFailed { failure, .. } => {
                was_asked(self.receives.outcome())?;
                self.handle_outcome(Outcome::Failed(failure.clone()))
            }
            Seen::Closed { .. } => Ok(()),
        }
    }

    fn handle_chunk(&mut self, chunk: &Chunk) -> Result<(), Fault> {
        let fail = |clause, expected: &str, got: &str| {
            Err(Fault::Peer(Violation::new(FailKind::Assertion, clause, expected, got)))
        };
        check_hash(Some(chunk))?;
        if let Some(outcome) = &self.outcome {
            let got = format!("{} bytes behind {outcome:?}", chunk.bytes);
            return fail("STREAM-19", "nothing behind the end of a stream", &got);
        }
        let data = chunk.data_base64.as_ref().and_then(|data| STANDARD.decode(data).ok());
        let length = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        let start = self.got.len();
        let expected = self.sent.bytes.get(start..start.saturating_add(length));
        match (expected, data) {
            (Some(expected), _) if sha256(expected) == chunk.sha256 => self.got.extend_from_slice(expected),
            (_, Some(data)) if self.sent.unknown => self.got.extend(data),
            (_, None) if self.sent.unknown => {}
            (_, data) => {
                let shown = data.map(|data| String::from_utf8_lossy(&data).into_owned()).unwrap_or_default();
                let got = format!("{} other bytes behind {start}: {shown:?}", chunk.bytes);
                return fail("STREAM-30", "the bytes of the frames in the order of seq, each once", &got);
            }
        }
        Ok(())
    }

    fn handle_outcome(&mut self, outcome: Outcome) -> Result<(), Fault> {
        let fail = |clause, expected: &str, got: &str| {
            Err(Fault::Peer(Violation::new(FailKind::Assertion, clause, expected, got)))
        };
        self.news = true;
        if let Some(first) = self.outcome.replace(outcome.clone()) {
            let same = match (&first, &outcome) {
                (Outcome::End, Outcome::End) => true,
                (Outcome::Failed(first), Outcome::Failed(second)) => first.kind == second.kind,
                _ => false,
            };
            let got = format!("{outcome:?} behind {first:?}");
            return if same { Ok(()) } else { fail("STREAM-19", "the same outcome from every later receive", &got) };
        }
        if outcome == Outcome::End && !self.sent.unknown {
            let got = format!("a clean end behind {} bytes", self.got.len());
            match self.sent.end {
                None => return fail("STREAM-28", "an error, as no terminal frame has come", &got),
                Some(Err(clause)) => return fail(clause, "an error", &got),
                Some(Ok(())) if self.got.len() < self.sent.bytes.len() => {
                    let expected = format!("all {} bytes before the end", self.sent.bytes.len());
                    return fail("STREAM-30", &expected, &got);
                }
                Some(Ok(())) => {}
            }
        }
        Ok(())
    }
}

/// What comes without a receive is made up by the adapter.
fn was_asked(asked: bool) -> Result<(), Fault> {
    let fault =
        || Fault::Adapter("the adapter reads although nobody asked it to, or more than it was asked".to_owned());
    asked.then_some(()).ok_or_else(fault)
}

/// An adapter whose hash is not that of its bytes compares nothing.
fn check_hash(chunk: Option<&Chunk>) -> Result<(), Fault> {
    let Some(chunk) = chunk else { return Ok(()) };
    let Some(data) = &chunk.data_base64 else { return Ok(()) };
    let data = STANDARD.decode(data).unwrap_or_default();
    if data.len() as u64 == chunk.bytes && sha256(&data) == chunk.sha256 {
        return Ok(());
    }
    Err(Fault::Adapter("the adapter's bytes, length and hash do not belong together".to_owned()))
}
