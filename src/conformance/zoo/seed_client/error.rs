//! Why a call has no response.

use std::fmt;
use std::time::Duration;

use crate::protocol::error::RpcError;
use crate::protocol::http::ParamsError;
use crate::protocol::length::WrongLength;
use crate::protocol::stream::Disconnect;

/// Why a call, the handshake included, has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The handshake took longer than this.
    HandshakeTimeout(Duration),
    /// A header's value comes from the executor's environment, and the executor has not announced that it resolves such values.
    HeaderEnvVar,
    /// The message would be longer than a transport carries.
    TooLarge,
    /// [`super::CALLS`] wait for their answers.
    TooManyCalls,
    /// The executor answered with an error.
    Executor(RpcError),
    /// The executor's result is not one of the method.
    Result(ParamsError),
    /// A buffered body is longer or shorter than its head promised.
    WrongLength(WrongLength),
    /// The connection went away before the answer.
    Disconnected {
        /// Why.
        reason: Disconnect,
        /// Whether the request had been sent: then nobody knows whether it was carried out.
        sent: bool,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandshakeTimeout(limit) => write!(f, "no handshake within {limit:?}"),
            Self::HeaderEnvVar => f.write_str("executor has not announced that it resolves header variables"),
            Self::TooLarge => f.write_str("request is too large for one message"),
            Self::TooManyCalls => f.write_str("too many calls wait for their answers"),
            Self::Executor(error) => error.fmt(f),
            Self::Result(error) => write!(f, "executor's result: {error}"),
            Self::WrongLength(wrong) => wrong.fmt(f),
            Self::Disconnected { reason, sent: false } => write!(f, "{reason}; the request was not sent"),
            Self::Disconnected { reason, sent: true } => write!(f, "{reason}; the outcome of the request is unknown"),
        }
    }
}

impl std::error::Error for CallError {}
