//! Why a connection, a request or a call failed. No text holds a URL, a header value or a body.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

use super::routes::InsertError;
use crate::protocol::error::RpcError;
use crate::protocol::http::ParamsError;
use crate::protocol::length::WrongLength;
use crate::protocol::limits::LINE_BYTES;
use crate::protocol::stream::Disconnect;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// It took longer than this.
    Timeout(Duration),
    /// The executor refused it.
    Executor(RpcError),
    /// The executor's result is not one of a handshake.
    Result(ParamsError),
    /// The connection went away.
    Disconnected(Disconnect),
    /// The settings allow no call at all, or a name that is too long to send.
    Config,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "no handshake within {limit:?}"),
            Self::Executor(error) => write!(f, "executor refused the handshake: {error}"),
            Self::Result(error) => write!(f, "handshake result: {error}"),
            Self::Disconnected(reason) => reason.fmt(f),
            Self::Config => f.write_str("client settings leave no room for a handshake"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<CallError> for ConnectError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Executor(error) => Self::Executor(error),
            CallError::Disconnected { reason, .. } => Self::Disconnected(reason),
            CallError::Result(error) => Self::Result(error),
            CallError::Request(_) | CallError::TooManyCalls | CallError::WrongLength(_) => Self::Config,
        }
    }
}

/// Why a request was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The URI is not absolute, or its scheme is neither http nor https.
    Uri,
    /// The value of this header is not UTF-8; the protocol's requests carry text.
    HeaderValue(HeaderName),
    /// A value for this header comes from the executor's environment, and the executor has not announced that it resolves
    /// such values: it might send the bare prefix (`PARAMS-27`).
    HeaderEnvVar(HeaderName),
    /// The message would be longer than [`LINE_BYTES`].
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri => f.write_str("request URI is not an absolute http or https URL"),
            Self::HeaderValue(name) => write!(f, "value of request header {name} is not UTF-8"),
            Self::HeaderEnvVar(name) => {
                write!(f, "executor has not announced that it resolves variables, as request header {name} needs")
            }
            Self::TooLarge { bytes } => write!(f, "request needs a message of {bytes} bytes, more than {LINE_BYTES}"),
        }
    }
}

impl std::error::Error for RequestError {}

/// Why a call has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The request cannot be sent as it is. Nothing was sent.
    Request(RequestError),
    /// [`super::ClientConfig::calls`] are in flight or held in bodies. Nothing was sent.
    TooManyCalls,
    /// The executor refused the call, or could not complete it.
    Executor(RpcError),
    /// The executor's result is not one of `http/request`.
    Result(ParamsError),
    /// A buffered body is longer or shorter than its head promised.
    WrongLength(WrongLength),
    /// The connection went away before the answer.
    Disconnected {
        /// Why.
        reason: Disconnect,
        /// Whether the request had been handed to the transport: then nobody knows whether it was carried out (`CLOSE-11`).
        sent: bool,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::TooManyCalls => f.write_str("too many calls in flight on this connection"),
            Self::Executor(error) => error.fmt(f),
            Self::Result(error) => write!(f, "executor's result: {error}"),
            Self::WrongLength(wrong) => wrong.fmt(f),
            Self::Disconnected { reason, sent: false } => write!(f, "{reason}; the request was not sent"),
            Self::Disconnected { reason, sent: true } => {
                write!(f, "{reason}; the outcome is unknown, as the request was sent and may have been carried out")
            }
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disconnected { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

impl From<RequestError> for CallError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<InsertError> for CallError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Disconnected(reason) => Self::Disconnected { reason, sent: false },
            InsertError::Full => Self::TooManyCalls,
        }
    }
}
