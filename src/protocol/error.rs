//! Error codes, error kinds and the error member of a reply.

use std::fmt;

use serde_json::{Map, Value, json};

/// The frame was not JSON, where an executor tells that from [`INVALID_REQUEST`].
pub const PARSE_ERROR: i64 = -32700;
/// The frame was not a message, or came at the wrong point of the handshake.
pub const INVALID_REQUEST: i64 = -32600;
/// The method is not known.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The params of a known method are not acceptable.
pub const INVALID_PARAMS: i64 = -32602;
/// The exchange with the origin failed, or a limit of the executor was met.
pub const INTERNAL_ERROR: i64 = -32603;
/// The session is attached to another live connection.
pub const SESSION_ATTACHED: i64 = -32010;
/// The id of an error reply to a frame that is not a message.
pub const MALFORMED_FRAME_ID: i64 = -1;

/// What failed, in one word: `data.kind` of an error reply, `errorKind` of a terminal frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// No connection to the origin.
    Connect,
    /// The origin's name did not resolve.
    Dns,
    /// The TLS handshake or a certificate failed.
    Tls,
    /// The request's own deadline passed.
    Timeout,
    /// The origin ended the connection before the response head was complete.
    Reset,
    /// The body ended before it was whole.
    Truncated,
    /// The origin broke HTTP.
    Protocol,
    /// A redirect could not be followed.
    Redirect,
    /// A bound of the executor was met.
    Limit,
    /// The executor's policy forbids it.
    Denied,
    /// The exchange was cancelled.
    Cancelled,
}

impl ErrorKind {
    /// All kinds, in the order of the specification.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Truncated,
        Self::Protocol,
        Self::Redirect,
        Self::Limit,
        Self::Denied,
        Self::Cancelled,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Limit => "limit",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind of that word; `None` for a word of a later revision.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `error` member of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// One of the codes of this file, or any other from a foreign executor.
    pub code: i64,
    /// For people; never to be matched by programs.
    pub message: String,
    /// `data.kind`, where the sender gave one that this revision knows.
    pub kind: Option<ErrorKind>,
}

impl RpcError {
    /// An error without a kind.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: None }
    }

    /// The same error with a kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The member as it stands on the wire.
    pub fn to_value(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(kind) = self.kind {
            error["data"] = json!({"kind": kind.as_str()});
        }
        error
    }

    /// Reads the member; `None` when `code` or `message` is missing or of another type.
    pub fn from_object(object: &Map<String, Value>) -> Option<Self> {
        let kind = object.get("data").and_then(|data| data.get("kind")).and_then(Value::as_str);
        Some(Self {
            code: object.get("code")?.as_i64()?,
            message: object.get("message")?.as_str()?.to_owned(),
            kind: kind.and_then(ErrorKind::from_word),
        })
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, self.code)?;
        if let Some(kind) = self.kind {
            write!(f, ", {kind}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for RpcError {}
