//! Why a connection, a request or a call failed. No text holds a URL, a header value or a body.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::routes::InsertError;
use crate::protocol::error::{RpcError, SESSION_ATTACHED};
use crate::protocol::fault::{Execution, Fault};
use crate::protocol::http::{ParamsError, RedirectPolicy};
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

impl Error for ConnectError {}

impl ConnectError {
    /// Whose fault it is. Whatever it is, no request was sent (`HANDSHAKE-1`).
    pub fn fault(&self) -> Fault {
        match self {
            // The executor or the way to it: nothing came that would tell.
            Self::Timeout(_) => Fault::Unknown,
            Self::Executor(error) => match error.code {
                // The session that was to be resumed has another connection.
                SESSION_ATTACHED => Fault::Caller,
                _ => error.fault(),
            },
            Self::Result(_) => Fault::Executor,
            Self::Disconnected(reason) => reason.fault(),
            Self::Config => Fault::Caller,
        }
    }
}

impl From<CallError> for ConnectError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Executor(error) => Self::Executor(error),
            CallError::Disconnected { reason, .. } => Self::Disconnected(reason),
            CallError::Result(error) => Self::Result(error),
            CallError::Request(_)
            | CallError::TooManyCalls
            | CallError::WrongLength(_)
            | CallError::Deadline { .. }
            | CallError::Unconnected(_) => Self::Config,
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
    /// The body, which was to be collected, is longer than [`super::service::REQUEST_BODY_BYTES`].
    BodyTooLarge {
        /// That bound.
        limit: usize,
    },
    /// The body, which was to be collected, failed.
    Body(BodyError),
    /// The body ends with trailers, which the protocol cannot carry.
    Trailers,
}

/// What the caller's own request body failed with, as the [source](Error::source) of this error. Two are equal when they are
/// clones.
#[derive(Clone)]
pub struct BodyError(Arc<dyn Error + Send + Sync>);

impl BodyError {
    /// The failure of a body.
    pub(super) fn new(error: Box<dyn Error + Send + Sync>) -> Self {
        Self(error.into())
    }
}

impl PartialEq for BodyError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BodyError {}

impl fmt::Debug for BodyError {
    /// Without what it holds: a body's error may repeat the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyError")
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request body failed before it was whole")
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
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
            Self::BodyTooLarge { limit } => write!(f, "request body has more than {limit} bytes"),
            Self::Body(error) => error.fmt(f),
            Self::Trailers => f.write_str("request has trailers, which the protocol cannot carry"),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(error) => error.source(),
            _ => None,
        }
    }
}

/// Why a [`super::Reconnecting`] has no connection for a call. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unconnected {
    /// The dial function failed with this text, or ended without a result.
    Dial(String),
    /// The dial function took longer than this.
    DialTimeout(Duration),
    /// The handshake failed.
    Handshake(ConnectError),
    /// It was closed by [`super::Reconnecting::close`].
    Closed,
}

impl Unconnected {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dial(_) | Self::DialTimeout(_) => Fault::Network,
            Self::Handshake(error) => error.fault(),
            Self::Closed => Fault::Caller,
        }
    }
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => write!(f, "no connection to the executor: {error}"),
            Self::DialTimeout(limit) => write!(f, "no connection to the executor within {limit:?}"),
            Self::Handshake(error) => error.fmt(f),
            Self::Closed => f.write_str("closed by this client, which makes no more connections"),
        }
    }
}

impl Error for Unconnected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Handshake(error) => Some(error),
            _ => None,
        }
    }
}

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
    /// The request's own deadline, [`super::RequestOptions::deadline`], passed before the answer.
    Deadline {
        /// The deadline.
        limit: Duration,
        /// Whether the request had been handed to the transport, as in [`CallError::Disconnected`].
        sent: bool,
    },
    /// There is no connection to send it on. Nothing was sent.
    Unconnected(Unconnected),
}

impl CallError {
    /// Whose fault it is: of an error of the executor as [`RpcError::fault`] has it, of a disconnect as [`Disconnect::fault`].
    pub fn fault(&self) -> Fault {
        match self {
            Self::Request(_) | Self::TooManyCalls => Fault::Caller,
            Self::Executor(error) => error.fault(),
            Self::Result(_) | Self::WrongLength(_) => Fault::Executor,
            Self::Disconnected { reason, .. } => reason.fault(),
            // Nobody knows who was slow.
            Self::Deadline { .. } => Fault::Unknown,
            Self::Unconnected(why) => why.fault(),
        }
    }

    /// Whether an HTTP server may have acted on the request: what a caller asks before it makes the call again. `redirect` is
    /// the policy that the request had.
    ///
    /// | error | | reason |
    /// |---|---|---|
    /// | [`Request`](Self::Request), [`TooManyCalls`](Self::TooManyCalls), [`Unconnected`](Self::Unconnected) | no | nothing was sent |
    /// | [`Executor`](Self::Executor) | | see [`RpcError::execution`] |
    /// | [`Result`](Self::Result) | maybe | an answer that cannot be read says nothing (`RESPONSE-15`) |
    /// | [`WrongLength`](Self::WrongLength) | yes | the head came (`STREAM-26`) |
    /// | [`Disconnected`](Self::Disconnected), [`Deadline`](Self::Deadline) | no, or maybe with `sent` | the outcome is unknown (`CLOSE-11`), also where the executor was told to give up (`CANCEL-8`) |
    pub fn execution(&self, redirect: RedirectPolicy) -> Execution {
        match self {
            Self::Request(_) | Self::TooManyCalls | Self::Unconnected(_) => Execution::No,
            Self::Executor(error) => error.execution(redirect),
            Self::Result(_) => Execution::Maybe,
            Self::WrongLength(_) => Execution::Yes,
            Self::Disconnected { sent: false, .. } | Self::Deadline { sent: false, .. } => Execution::No,
            Self::Disconnected { sent: true, .. } | Self::Deadline { sent: true, .. } => Execution::Maybe,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::TooManyCalls => f.write_str("too many calls in flight on this connection"),
            Self::Executor(error) => error.fmt(f),
            Self::Result(error) => write!(f, "executor's result: {error}"),
            Self::WrongLength(wrong) => wrong.fmt(f),
            Self::Disconnected { reason, sent } => write!(f, "{reason}; {}", outcome(*sent)),
            Self::Deadline { limit, sent } => write!(f, "no answer within {limit:?}, the deadline; {}", outcome(*sent)),
            Self::Unconnected(why) => why.fmt(f),
        }
    }
}

/// What is known of a request that was sent, or was not (`CLOSE-11`).
fn outcome(sent: bool) -> &'static str {
    if sent {
        "the outcome is unknown, as the request was sent and may have been carried out"
    } else {
        "the request was not sent"
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Request(error) => error.source(),
            Self::Disconnected { reason, .. } => Some(reason),
            Self::Unconnected(why) => why.source(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};

    #[test]
    fn whose_fault_a_failed_call_is_and_whether_it_may_have_been_carried_out() {
        let limit = Duration::from_secs(1);
        let lost = |reason, sent| CallError::Disconnected { reason, sent };
        let unconnected = |why| CallError::Unconnected(why);
        let result = ParamsError { member: "status", expected: "100 to 999" };
        let header = HeaderName::from_static("x-name");
        let body = BodyError::new("broke".into());
        for (error, fault, execution) in [
            (RequestError::Uri.into(), Fault::Caller, Execution::No),
            (RequestError::HeaderValue(header.clone()).into(), Fault::Caller, Execution::No),
            (RequestError::HeaderEnvVar(header).into(), Fault::Caller, Execution::No),
            (RequestError::TooLarge { bytes: 1 }.into(), Fault::Caller, Execution::No),
            (RequestError::BodyTooLarge { limit: 1 }.into(), Fault::Caller, Execution::No),
            (RequestError::Body(body).into(), Fault::Caller, Execution::No),
            (RequestError::Trailers.into(), Fault::Caller, Execution::No),
            (CallError::TooManyCalls, Fault::Caller, Execution::No),
            (CallError::Executor(RpcError::new(INVALID_PARAMS, "text")), Fault::Caller, Execution::No),
            (CallError::Executor(RpcError::new(INTERNAL_ERROR, "text")), Fault::Unknown, Execution::Maybe),
            (CallError::Result(result), Fault::Executor, Execution::Maybe),
            (CallError::WrongLength(WrongLength { promised: 1, received: 0 }), Fault::Executor, Execution::Yes),
            (lost(Disconnect::Closed, false), Fault::Executor, Execution::No),
            (lost(Disconnect::Closed, true), Fault::Executor, Execution::Maybe),
            (lost(Disconnect::Local, false), Fault::Caller, Execution::No),
            (lost(Disconnect::Transport("text".into()), true), Fault::Network, Execution::Maybe),
            (lost(Disconnect::Malformed("text".into()), true), Fault::Executor, Execution::Maybe),
            (lost(Disconnect::Unreadable("text".into()), true), Fault::Client, Execution::Maybe),
            (CallError::Deadline { limit, sent: false }, Fault::Unknown, Execution::No),
            (CallError::Deadline { limit, sent: true }, Fault::Unknown, Execution::Maybe),
            (unconnected(Unconnected::Dial("text".into())), Fault::Network, Execution::No),
            (unconnected(Unconnected::DialTimeout(limit)), Fault::Network, Execution::No),
            (unconnected(Unconnected::Handshake(ConnectError::Timeout(limit))), Fault::Unknown, Execution::No),
            (unconnected(Unconnected::Closed), Fault::Caller, Execution::No),
        ] {
            for redirect in [RedirectPolicy::Follow, RedirectPolicy::Stop] {
                assert_eq!((error.fault(), error.execution(redirect)), (fault, execution), "{error:?}");
            }
            let unknown = error.to_string().contains("outcome is unknown");
            let is_sent =
                matches!(error, CallError::Disconnected { sent: true, .. } | CallError::Deadline { sent: true, .. });
            assert_eq!(unknown, is_sent, "{error}");
        }
    }

    #[test]
    fn whose_fault_a_failed_handshake_is() {
        let refused = |code| ConnectError::Executor(RpcError::new(code, "text"));
        for (error, fault) in [
            (ConnectError::Timeout(Duration::ZERO), Fault::Unknown),
            (refused(INVALID_REQUEST), Fault::Client),
            (refused(METHOD_NOT_FOUND), Fault::Executor),
            (refused(SESSION_ATTACHED), Fault::Caller),
            (refused(-32000), Fault::Unknown),
            (ConnectError::Result(ParamsError { member: "sessionId", expected: "text" }), Fault::Executor),
            (ConnectError::Disconnected(Disconnect::Closed), Fault::Executor),
            (ConnectError::Config, Fault::Caller),
        ] {
            assert_eq!(error.fault(), fault, "{error:?}");
        }
    }
}
