//! What the suite and an adapter say to each other, one JSON object a line. `docs/adapter.md` describes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::conformance::case::Transport;

/// The version of this protocol.
pub const CONTROL: u32 = 1;

/// Bytes of the longest line, in either direction.
pub const LINE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of the longest chunk that an event carries whole; of longer ones it has length and hash.
pub const DATA_BYTES: usize = 64 * 1024;

/// What the suite asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Comes back with the reply.
    pub id: u64,
    /// What is to be done.
    #[serde(flatten)]
    pub order: Order,
}

/// What an adapter can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Order {
    /// Says who it is.
    Hello {
        /// Versions of this protocol that the suite speaks.
        control: Vec<u32>,
        /// The version of the suite.
        suite: String,
    },
    /// Connects.
    Open {
        /// The name of the connection.
        conn: String,
        /// Where to.
        #[serde(flatten)]
        endpoint: Endpoint,
    },
    /// Starts a call.
    Request {
        /// Its connection.
        conn: String,
        /// Its name.
        op: String,
        /// What the application asks for.
        #[serde(flatten)]
        request: Request,
    },
    /// Receives chunks.
    Read {
        /// The call.
        op: String,
        /// How many, at most.
        #[serde(default = "one")]
        max: u32,
        /// No more of them once so many bytes have come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Gives the first receive up where it waits, and receives again.
        #[serde(default)]
        abandon: bool,
    },
    /// Receives to the end.
    Drain {
        /// The call.
        op: String,
    },
    /// Lets go of a stream.
    Drop {
        /// The call.
        op: String,
        /// On a thread without a runtime.
        #[serde(default)]
        foreign: bool,
    },
    /// Gives up a call before its response.
    Cancel {
        /// The call.
        op: String,
    },
    /// Replies when everything above took effect.
    Sync,
    /// Counts what the library holds.
    Census {
        /// The connection.
        conn: String,
    },
    /// Closes a connection.
    Close {
        /// Which.
        conn: String,
    },
    /// Exits.
    Bye,
}

const fn one() -> u32 {
    1
}

/// Where the library connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transport", rename_all = "kebab-case")]
pub enum Endpoint {
    /// A websocket.
    Ws {
        /// Its URL.
        url: String,
    },
    /// The pipes of a program that the library starts.
    Stdio {
        /// The program and its arguments.
        argv: Vec<String>,
        /// What it needs in its environment.
        env: std::collections::BTreeMap<String, String>,
    },
}

/// What the application asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The body comes in pieces.
    pub stream: bool,
    /// As in `http/request`.
    pub method: String,
    /// As in `http/request`.
    pub url: String,
    /// In order.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The body as a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_fill: Option<Fill>,
    /// In milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// `follow` or `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// The id that the application would like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A header, its value or the beginning of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The variable of the executor that the value ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_env_var: Option<String>,
}

/// Bytes again and again, cut at a length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// The bytes.
    pub pattern_base64: String,
    /// The length.
    pub bytes: u64,
}

/// A line of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// To a command.
    Reply {
        /// That of the command.
        id: u64,
        /// The reply.
        #[serde(flatten)]
        reply: Reply,
    },
    /// Something that the application saw.
    Event {
        /// Counts all events of the process, from 1.
        n: u64,
        /// What it saw.
        #[serde(flatten)]
        event: Seen,
    },
}

/// What an adapter replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done, or begun.
    Ok,
    /// Who it is.
    Hello(Hello),
    /// The connection is usable.
    Opened,
    /// There is no connection.
    Failed(Failure),
    /// What the library holds.
    #[serde(rename_all = "camelCase")]
    Census {
        /// Calls and streams that it keeps state for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        routes: Option<u64>,
        /// Calls that wait for their response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calls: Option<u64>,
        /// Body bytes that wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queued_bytes: Option<u64>,
    },
    /// That cannot be done.
    Unsupported {
        /// Why.
        reason: String,
    },
    /// Something else went wrong.
    Error {
        /// `adapter` or `library`.
        r#where: String,
        /// What.
        message: String,
    },
}

/// Who an adapter is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The version of this protocol that it speaks.
    pub control: u32,
    /// Its name and version.
    pub adapter: String,
    /// The name and version of the library.
    pub library: String,
    /// The language of the library.
    pub language: String,
    /// The transports of the library.
    pub transports: Vec<Transport>,
    /// What it can; words of [`crate::conformance::client::claims::FEATURES`] and others.
    pub features: BTreeSet<String>,
    /// Its bounds.
    pub limits: Limits,
}

/// Bounds of a library; `None` where it has none, or nobody knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Data frames that may wait in a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_frames: Option<u64>,
    /// Body bytes that may wait on a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes: Option<u64>,
    /// Bytes of the largest delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_bytes: Option<u64>,
}

/// What an application sees of its calls and connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Seen {
    /// A response.
    Response {
        /// The call.
        op: String,
        /// Its status.
        status: u16,
        /// In order.
        headers: Vec<Header>,
        /// The body of a buffered call.
        #[serde(flatten)]
        body: Option<Chunk>,
    },
    /// No response.
    CallFailed {
        /// The call.
        op: String,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// Bytes of the body.
    Chunk {
        /// The call.
        op: String,
        /// The bytes.
        #[serde(flatten)]
        chunk: Chunk,
    },
    /// The clean end of the body.
    End {
        /// The call.
        op: String,
    },
    /// The end of the body with an error.
    StreamFailed {
        /// The call.
        op: String,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The end of a connection.
    Closed {
        /// Which.
        conn: String,
    },
}

impl Seen {
    /// The call that it is about.
    pub fn op(&self) -> Option<&str> {
        match self {
            Self::Response { op, .. }
            | Self::CallFailed { op, .. }
            | Self::Chunk { op, .. }
            | Self::End { op }
            | Self::StreamFailed { op, .. } => Some(op),
            Self::Closed { .. } => None,
        }
    }
}

/// Bytes, or what is left of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// How many.
    pub bytes: u64,
    /// Their hash in hexadecimal digits.
    pub sha256: String,
    /// The bytes, unless they are more than [`DATA_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the library says that it is.
    pub kind: Kind,
    /// The library's text.
    pub message: String,
    /// The code of the executor's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
}

/// What an error of a library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The executor answered with an error.
    Rpc,
    /// The connection ended.
    Disconnected,
    /// The connection ended, and the request may have been carried out.
    UnknownOutcome,
    /// A frame had the wrong `seq`.
    Sequence,
    /// The consumer was too slow.
    Overflow,
    /// Something else is larger than a bound.
    Limit,
    /// The terminal frame carries an error.
    Remote,
    /// The body is not as long as its response said.
    Truncated,
    /// Something cannot be read.
    Malformed,
    /// A deadline of the library passed.
    Timeout,
    /// The application gave up.
    Cancelled,
    /// Anything else.
    Other,
}
