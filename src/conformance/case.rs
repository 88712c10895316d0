//! A case as data: what is sent, what the origin does, what must come back. `docs/notation.md` describes the text form.

pub mod origin;
pub mod parse;
pub(super) mod plain;
pub mod steps;
pub mod template;
pub mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::script::ClientAction;
use template::Template;

/// The connection that the steps mean when they name none.
pub const MAIN: &str = "main";

/// What a peer can declare, or be by the way it was started; the words of `needs`.
pub const CAPABILITIES: [&str; 9] =
    ["redirect-policy", "header-env-vars", "error-kinds", "limits", "resume", "cancel", "credit", "spawn", "memory"];

/// The transport that a peer is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// One message a line, on the peer's standard input and output.
    #[serde(rename = "stdio")]
    Stdio,
    /// One message a websocket message.
    #[serde(rename = "ws")]
    Websocket,
}

impl Transport {
    /// The word of files, reports and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Websocket => "ws",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A revision of the protocol, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Revision {
    /// The first release.
    #[serde(rename = "2026-04")]
    April2026,
    /// Bounds, redirect policy, refusal of `Origin`.
    #[serde(rename = "2026-07")]
    July2026,
    /// Header variables.
    #[serde(rename = "2026-08")]
    August2026,
    /// Rules that the specification adds to what earlier implementations do.
    #[serde(rename = "extension")]
    Extension,
}

impl Revision {
    /// All revisions with their names in the specification, oldest first.
    pub const ALL: [(Self, &str); 4] = [
        (Self::April2026, "2026-04"),
        (Self::July2026, "2026-07"),
        (Self::August2026, "2026-08"),
        (Self::Extension, "extension"),
    ];

    /// The revision of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == word).map(|(revision, _)| revision)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Self::ALL.into_iter().find(|(revision, _)| revision == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// Whom a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// Executors: the suite is the client.
    Executor,
    /// Clients: the suite is the executor, and tells the application what to do.
    Client,
}

impl Half {
    /// What the areas of cases for clients begin with.
    const CLIENT_AREAS: &str = "client-";

    /// The word of the command line for whom it is about.
    pub const fn peer(self) -> &'static str {
        match self {
            Self::Executor => "server",
            Self::Client => "client",
        }
    }

    /// The half that an area, or the id of a case, belongs to.
    pub fn of(area: &str) -> Self {
        if area.starts_with(Self::CLIENT_AREAS) { Self::Client } else { Self::Executor }
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// `area/slug`, for ever.
    pub id: String,
    /// One sentence: what a peer that passes does.
    pub description: String,
    /// The clauses that it checks, the most specific first; never empty.
    pub clauses: Vec<String>,
    /// The one transport it applies to, if there is only one.
    pub only: Option<Transport>,
    /// Words of [`CAPABILITIES`].
    pub needs: Vec<String>,
    /// Words of [`CAPABILITIES`] that the peer must not have declared.
    pub without: Vec<String>,
    /// The revision from which it counts.
    pub since: Revision,
    /// It needs a process of its own on a websocket too.
    pub isolate: bool,
    /// It depends on time and runs beside no other case.
    pub alone: bool,
    /// Additions to the peer's environment.
    pub env: Vec<(String, String)>,
    /// How long a step that waits may take, unscaled, when not as long as usual.
    pub step_deadline: Option<Duration>,
    /// How long the case may take, unscaled, when not as long as usual.
    pub case_deadline: Option<Duration>,
    /// What its two origins do.
    pub origins: [Vec<Exchange>; 2],
    /// What happens, in order; the handshake of the first connection comes first, unless the case does it itself.
    pub steps: Vec<Step>,
    /// How many of the steps are that handshake.
    pub handshake_steps: usize,
    /// The file that it stands in.
    pub file: String,
    /// The line of its `case`, from 1.
    pub line: usize,
    /// Its text, comments included.
    pub text: String,
}

impl Case {
    /// Whom it is about.
    pub fn half(&self) -> Half {
        Half::of(&self.id)
    }
}

/// What an origin does with one request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The path that it answers, without a query.
    pub path: String,
    /// Do not wait for the request's body.
    pub early: bool,
    /// Its origin says nothing to a client that speaks TLS.
    pub silent_tls: bool,
    /// What it does, in order.
    pub actions: Vec<OriginAction>,
}

/// One thing that an origin does.
#[derive(Clone, Debug)]
pub enum OriginAction {
    /// Starts a head: the text behind `HTTP/1.1 `.
    Status(String),
    /// Writes a header.
    Header(Template, Template),
    /// Announces and uses the chunked coding.
    Chunked,
    /// Writes body bytes so many times, with a pause between.
    Chunk(Template, u64, Duration),
    /// Adds a trailer.
    Trailer(String),
    /// Writes bytes as they are.
    Raw(Template),
    /// Writes body bytes until the connection breaks.
    Endless,
    /// Waits for a release of that name.
    Wait(String),
    /// Waits so long.
    Delay(Duration),
    /// Holds the connection open and does no more.
    Hang,
    /// Resets the connection.
    Reset,
    /// Closes the connection.
    Close,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// That line, the round of an `each` filled in.
    pub source: String,
    /// The connection that it is about.
    pub connection: String,
    /// What is done or awaited.
    pub action: Action,
    /// Who promises that it succeeds.
    pub promise: Promise,
    /// The end of the connection satisfies it too.
    pub or_closed: bool,
    /// An error for a malformed frame satisfies it too.
    pub or_malformed: bool,
}

/// Who promises that a step succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The first clause of the case.
    Case,
    /// This clause.
    Clause(String),
    /// Nobody: it only prepares what follows.
    Setup,
}

/// What a step does or awaits.
#[derive(Clone, Debug)]
pub enum Action {
    /// Opens the connection.
    Connect,
    /// Sends a message.
    Send(Value),
    /// Sends bytes in some form.
    SendBytes(Template, Form),
    /// Collects what is sent until a step that sends nothing.
    Burst,
    /// Waits for something from the peer.
    Expect(Expect),
    /// From here on errors for malformed frames need not be awaited.
    AllowMalformed,
    /// The first of these ids was answered before the second.
    Before(Value, Value),
    /// Lets origins go on.
    Release(String),
    /// Looks at what an origin (0 or 1) saw.
    Origin(usize, OriginCheck),
    /// Sends a websocket ping.
    Ping(Template),
    /// Ends the connection in good order.
    Close,
    /// Ends the sending direction.
    Eof,
    /// Breaks the connection.
    Drop,
    /// Stops reading.
    Pause,
    /// Reads on.
    Resume,
    /// Sends a signal to the peer's process.
    Signal(Signal),
    /// The peer's peak memory is below so many bytes.
    Memory(u64),
    /// An HTTP request to the peer's listening address is answered with a status.
    Probe {
        /// The whole request head.
        request: Template,
        /// The status that must come.
        status: u16,
    },
    /// Remembers the moment.
    Mark(String),
    /// Compares the time since a mark.
    Elapsed(String, TimeBound),
    /// The median gap between response and first frame of the streamed calls is below the bound plus twice the median
    /// of the buffered calls.
    FirstDelta {
        /// Ids of buffered calls, each answered before the next was sent.
        buffered: Vec<Value>,
        /// Ids of streamed calls, likewise.
        streamed: Vec<Value>,
        /// The bound.
        below: Duration,
    },
    /// What only cases for clients know.
    Client(ClientAction),
}

impl Action {
    /// It sends something that a burst collects.
    pub const fn is_send(&self) -> bool {
        use ClientAction::{Answer, Deltas, Greet, Send};
        matches!(
            self,
            Self::Send(_) | Self::SendBytes(..) | Self::Client(Answer { .. } | Deltas(_) | Greet(_) | Send(..))
        )
    }
}

/// How bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line, or a text message.
    Frame,
    /// A binary message.
    Binary,
    /// A text message in so many fragments, with a ping in between.
    Fragments(usize),
    /// One frame in so many writes with a pause in between.
    Split(usize),
    /// A line that ends with CRLF.
    Crlf,
    /// No frame at all.
    Bytes,
}

/// What is awaited from the peer.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The next answer to that id.
    Answer(Value, Vec<Outcome>),
    /// A stream that begins with these bytes.
    Part(Template, Template),
    /// A whole stream without error: these bytes, or any; in so many frames, or any number.
    Whole(Template, Option<Template>, Option<usize>),
    /// A stream that ends with an error, behind these bytes, or behind any.
    Failed(Template, Option<Template>, Vec<Condition>),
    /// One more error for a malformed frame.
    Malformed,
    /// The end of the connection.
    Closed,
    /// A close frame.
    CloseFrame(Option<u16>),
    /// A pong.
    Pong(Template),
    /// The end of the process.
    Exit(Option<i32>),
}

/// An answer that satisfies.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its shape.
    pub shape: Shape,
    /// What else must hold.
    pub conditions: Vec<Condition>,
}

/// The shape of an answer.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A result with one of these statuses.
    Status(Vec<u16>),
    /// A result that matches.
    Result(Value),
    /// An error with one of these codes.
    Error(Vec<i64>),
    /// Any answer.
    Answered,
}

/// What must hold for an answer, a terminal frame or a request at an origin.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The body is these bytes.
    Body(Template),
    /// The entries of that name have these values in this order.
    Header(String, Vec<Template>),
    /// There is no entry of that name.
    NoHeader(String),
    /// The kind is one of these words.
    Kind(Vec<String>),
    /// The code of the executor's error is one of these, as the application sees it.
    Code(Vec<i64>),
    /// That text stands in the error, as the application sees it.
    Says(Template),
    /// That text occurs nowhere.
    Lacks(Template),
    /// The method.
    Method(String),
    /// The request target.
    Target(Template),
}

/// What is asked of an origin.
#[derive(Clone, Debug)]
pub enum OriginCheck {
    /// So many requests for that path.
    Count(String, usize),
    /// So many connections.
    Connections(usize),
    /// No connection is open.
    Idle,
    /// A request for that path, the last or that one (from 1).
    Request(String, Option<usize>, Vec<Condition>),
    /// The connections of so many requests for that path were closed by the peer before the answer was complete.
    Aborted(String, usize),
    /// Writing the answer for that path stands still, below so many bytes.
    Blocked(String, u64),
}

/// A signal to the peer's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

/// A bound on a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    /// Shorter than this, scaled.
    Below(Duration),
    /// At least this.
    AtLeast(Duration),
}
