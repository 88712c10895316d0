//! The mixed load: what each call asks for, and what may come of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client, RequestOptions};
use exec_http::protocol::error::ErrorKind;
use exec_http::protocol::stream::StreamError;
use http::Request;
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use crate::origin::{Kind, Origin};
use crate::random::{Random, content};
use crate::wire::Wire;

/// The time that the executor gives to an origin that never answers.
const DEADLINE: Duration = Duration::from_millis(100);

/// A call that has no end after this long is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Bodies are up to 2^BITS bytes; those that are asked for whole and those of requests up to 2^SMALL_BITS.
const BITS: u64 = 22;
const SMALL_BITS: u64 = 18;

/// Bytes of an endless body that are read at most.
const ENOUGH: u64 = 1024 * 1024;

/// How a client treats a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Streamed, read as fast as it comes.
    Stream,
    /// Streamed, read with pauses.
    SlowReader,
    /// Streamed, dropped after some pieces.
    DropBody,
    /// Dropped before its answer, or soon after.
    DropCall,
    /// Asked for whole.
    Buffered,
}

/// What came of the calls, and what must not have come.
#[derive(Default)]
pub(crate) struct Tally {
    /// By kind of origin and outcome.
    counts: Mutex<BTreeMap<(Kind, &'static str), u64>>,
    /// Body bytes that were compared.
    bytes: Mutex<u64>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn wrong(&self, what: String) {
        println!("WRONG {what}");
        self.wrong.lock().expect("nobody panics with it").push(what);
    }

    pub(crate) fn wrongs(&self) -> usize {
        self.wrong.lock().expect("nobody panics with it").len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        *self.bytes.lock().expect("nobody panics with it")
    }

    /// How many calls there were, and a line for each kind of origin.
    pub(crate) fn lines(&self) -> (u64, Vec<String>) {
        let counts = self.counts.lock().expect("nobody panics with it");
        let line = |kind: &Kind| {
            let of_kind = counts.iter().filter(|((of, _), _)| of == kind);
            let outcomes: Vec<_> = of_kind.map(|((_, outcome), count)| format!("{count} {outcome}")).collect();
            (!outcomes.is_empty()).then(|| format!("  {:<10} {}", format!("{kind:?}"), outcomes.join(", ")))
        };
        (counts.values().sum(), Kind::ALL.iter().filter_map(line).collect())
    }

    fn count(&self, kind: Kind, outcome: &'static str) {
        *self.counts.lock().expect("nobody panics with it").entry((kind, outcome)).or_default() += 1;
    }
}

/// Makes one call after the other until the wire is cut, or so many have been made.
pub(crate) async fn work(
    client: Client,
    origin: Arc<Origin>,
    wire: Arc<Wire>,
    tally: Arc<Tally>,
    mut random: Random,
    calls: u64,
) {
    for _ in 0..calls {
        let seed = random.next();
        let call = Call::new(&mut Random::new(seed));
        let (kind, key) = (call.kind, call.key);
        let outcome = match timeout(STUCK, call.make(&client, &origin, &wire, &tally)).await {
            Ok(outcome) => outcome,
            // On a wire that is silent, nothing is what has to come.
            Err(_) if wire.has_struck() => Ok("cut off"),
            Err(_) => Err("no end".into()),
        };
        match outcome {
            Ok(outcome) => tally.count(kind, outcome),
            Err(what) => tally.wrong(format!("{kind:?} {key}, call seed {seed}: {what}")),
        }
        if wire.has_struck() {
            return;
        }
    }
}

struct Call {
    kind: Kind,
    manner: Manner,
    key: u64,
    length: usize,
    /// For the choices while it goes on.
    random: Random,
}

impl Call {
    fn new(random: &mut Random) -> Self {
        use Kind::{
            Chunked, Endless, Garbage, Hash, Late, ResetBody, ResetHead, Silent, SlowLoris, Truncated, Unfinished,
            Whole,
        };
        use Manner::{Buffered, DropBody, DropCall, SlowReader, Stream};
        let kind = random.pick(&[
            Whole, Whole, Whole, Chunked, Chunked, Late, Late, Hash, Hash, Endless, Truncated, Unfinished, ResetBody,
            ResetHead, Garbage, Silent, SlowLoris,
        ]);
        let manner = match kind {
            // It is too long for one message.
            Endless => random.pick(&[DropBody, DropCall, SlowReader]),
            _ => random.pick(&[Stream, Stream, Stream, SlowReader, DropBody, DropCall, Buffered]),
        };
        let small = manner == Buffered || kind == Hash;
        let length = random.length(if small { SMALL_BITS } else { BITS });
        Self { kind, manner, key: random.next(), length, random: random.fork() }
    }

    /// What came of it in one word, or what is wrong.
    async fn make(
        mut self,
        client: &Client,
        origin: &Origin,
        wire: &Wire,
        tally: &Tally,
    ) -> Result<&'static str, String> {
        let upload = if self.kind == Kind::Hash { content(self.key, 0, self.length) } else { Vec::new() };
        let expected = Expected { kind: self.kind, key: self.key, length: self.length, upload: &upload };
        let mut request = Request::post(origin.url(self.kind, self.key, self.length));
        if matches!(self.kind, Kind::Silent | Kind::SlowLoris) {
            request = request.extension(RequestOptions { timeout: Some(DEADLINE), ..RequestOptions::default() });
        }
        let request = request.body(Bytes::from(upload.clone())).expect("a legal request");
        let sooner = Duration::from_micros(self.random.between(0, 20_000));
        let failed = |error: CallError| match error {
            CallError::Executor(error) => expected.error(error.kind).ok_or_else(|| error.to_string()),
            CallError::Disconnected { .. } if wire.has_struck() => Ok("cut off"),
            error => Err(error.to_string()),
        };
        match self.manner {
            Manner::Buffered => match client.request(request).await {
                Ok(response) => {
                    *tally.bytes.lock().expect("nobody panics with it") += response.body().len() as u64;
                    expected.piece(0, response.body())?;
                    expected.end(response.body().len())
                }
                Err(error) => failed(error),
            },
            Manner::DropCall => match timeout(sooner, client.stream(request)).await {
                Err(_) => Ok("given up"),
                Ok(Ok(response)) => {
                    drop(response);
                    Ok("given up")
                }
                Ok(Err(error)) => failed(error),
            },
            _ => match client.stream(request).await {
                Ok(response) => self.read(response.into_body(), &expected, wire, tally).await,
                Err(error) => failed(error),
            },
        }
    }

    /// Compares a body as it comes.
    async fn read(
        &mut self,
        mut body: Body,
        expected: &Expected<'_>,
        wire: &Wire,
        tally: &Tally,
    ) -> Result<&'static str, String> {
        // Nobody reads what is endless to its end.
        let drops = self.manner == Manner::DropBody || self.kind == Kind::Endless;
        let enough = if drops { self.random.between(0, ENOUGH) as usize } else { usize::MAX };
        let mut received = 0;
        while received < enough {
            match body.chunk().await {
                Some(Ok(piece)) => {
                    expected.piece(received, &piece)?;
                    received += piece.len();
                    *tally.bytes.lock().expect("nobody panics with it") += piece.len() as u64;
                }
                None => return expected.end(received),
                Some(Err(StreamError::Remote { kind, message })) => return expected.error(kind).ok_or(message),
                Some(Err(StreamError::Disconnected(_))) if wire.has_struck() => return Ok("cut off"),
                Some(Err(error)) => return Err(error.to_string()),
            }
            if self.manner == Manner::SlowReader && self.random.once_in(8) {
                // Mostly short, sometimes long enough for a queue to fill.
                sleep(Duration::from_millis(self.random.between(1, 10).pow(3))).await;
            }
        }
        Ok("given up")
    }
}

/// What a call may get.
struct Expected<'a> {
    kind: Kind,
    key: u64,
    length: usize,
    upload: &'a [u8],
}

impl Expected<'_> {
    /// Compares a piece of the body.
    fn piece(&self, at: usize, piece: &[u8]) -> Result<(), String> {
        let same = if self.kind == Kind::Hash {
            Sha256::digest(self.upload).get(at..at + piece.len()) == Some(piece)
        } else {
            content(self.key, at, piece.len()) == piece
        };
        if same { Ok(()) } else { Err(format!("other bytes at {at}..{}", at + piece.len())) }
    }

    /// Whether the body may end cleanly here.
    fn end(&self, received: usize) -> Result<&'static str, String> {
        let length = match self.kind {
            Kind::Whole | Kind::Chunked | Kind::Late | Kind::Held => self.length,
            Kind::Hash => Sha256::output_size(),
            _ => return Err(format!("a clean end after {received} bytes of what is never whole")),
        };
        if received == length { Ok("whole") } else { Err(format!("{received} bytes of {length} look whole")) }
    }

    /// Whether the executor may say so.
    fn error(&self, kind: Option<ErrorKind>) -> Option<&'static str> {
        use ErrorKind::{Protocol, Reset, Timeout, Truncated};
        let fitting: &[ErrorKind] = match self.kind {
            Kind::Truncated | Kind::Unfinished => &[Truncated],
            Kind::ResetBody | Kind::ResetHead => &[Reset],
            Kind::Garbage => &[Protocol],
            Kind::Silent | Kind::SlowLoris => &[Timeout],
            _ => &[],
        };
        fitting.contains(&kind?).then(|| kind.map_or("", ErrorKind::as_str))
    }
}
