//! Whose fault an error is, and whether the request behind it may have been carried out: judged by codes and kinds, never by
//! texts (`ERROR-18`).

use super::error::{
    ErrorKind, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError,
};
use super::http::RedirectPolicy;
use super::stream::{Disconnect, StreamError};

/// Whose fault an error is: who has to change something before the same call can go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Whoever made the call: the request cannot be served as it is, or what came of it was read too slowly.
    Caller,
    /// The client, this library: the executor could not make sense of what it sent.
    Client,
    /// The executor: it broke the protocol, met a bound of its own, or ended.
    Executor,
    /// The origin, or the way from the executor to it.
    Origin,
    /// The way from the client to the executor.
    Network,
    /// The error does not tell.
    Unknown,
}

/// Whether an HTTP server has acted on a request, as far as its error tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// None has: to make the call again repeats nothing.
    No,
    /// One may have. Only the caller can know whether the request may be made twice.
    Maybe,
    /// One has, and has answered.
    Yes,
}

impl ErrorKind {
    /// Whose fault an error of this kind is, where its code does not say it.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Connect | Self::Dns | Self::Tls => Fault::Origin,
            // The origin took longer than the caller's `timeoutMs`; waiting in the executor's queue does not count (HTTP-13).
            Self::Timeout => Fault::Origin,
            Self::Reset | Self::Truncated | Self::Protocol | Self::Redirect => Fault::Origin,
            Self::Limit => Fault::Executor,
            Self::Denied => Fault::Caller,
            // A client asks for it only when nobody waits for the call any more (CANCEL-8): then this executor is ending.
            Self::Cancelled => Fault::Executor,
        }
    }
}

impl RpcError {
    /// Whose fault it is, as the error of a `http/request`. The code is looked at first, as every executor has codes (`ERROR-17`).
    pub fn fault(&self) -> Fault {
        match self.code {
            INVALID_PARAMS => Fault::Caller,
            INVALID_REQUEST | PARSE_ERROR => Fault::Client,
            METHOD_NOT_FOUND => Fault::Executor,
            _ => self.kind.map_or(Fault::Unknown, ErrorKind::fault),
        }
    }

    /// Whether an HTTP server has acted on the `http/request` that was answered with this error.
    ///
    /// | code | kind | | reason |
    /// |---|---|---|---|
    /// | -32602 | any | no | refused for its params: no upstream connection was opened (`ERROR-2`, `LIMIT-4`) |
    /// | -32600, -32700, -32601 | any | no | not taken as a call at all (`HANDSHAKE-5`, `HANDSHAKE-6`) |
    /// | -32603 | `connect`, `dns`, `tls`, `denied` | no with `stop`, else maybe | nothing is sent before (`ERROR-5` to `ERROR-7`, `HTTP-33`), but it may be the target of a redirect that failed, behind a first request that was answered (`HTTP-19`) |
    /// | -32603 | `redirect` | yes | an origin answered with a redirect (`HTTP-20`, `HTTP-25`) |
    /// | -32603 | `truncated` | yes | the body broke off behind a head (`ERROR-10`) |
    /// | -32603 | `timeout`, `reset`, `protocol` | maybe | before the request had reached the origin, or behind that (`ERROR-8`, `ERROR-9`, `ERROR-11`) |
    /// | -32603 | `limit` | maybe | the queue was full (`LIMIT-3`), or the body too long (`LIMIT-6`): the kind is the same |
    /// | -32603 | `cancelled` | maybe | in any phase (`CANCEL-3`) |
    /// | -32603 | none | maybe | an executor without kinds (`ERROR-17`) |
    /// | other | any | maybe | not of this protocol |
    ///
    /// `redirect` is the policy of the request. An executor that ignores it (the specification's appendix knows one) makes every
    /// "no" of the third row a "maybe".
    pub fn execution(&self, redirect: RedirectPolicy) -> Execution {
        match (self.code, self.kind) {
            (INVALID_PARAMS | INVALID_REQUEST | PARSE_ERROR | METHOD_NOT_FOUND, _) => Execution::No,
            (INTERNAL_ERROR, Some(ErrorKind::Connect | ErrorKind::Dns | ErrorKind::Tls | ErrorKind::Denied)) => {
                match redirect {
                    RedirectPolicy::Stop => Execution::No,
                    RedirectPolicy::Follow => Execution::Maybe,
                }
            }
            (INTERNAL_ERROR, Some(ErrorKind::Redirect | ErrorKind::Truncated)) => Execution::Yes,
            _ => Execution::Maybe,
        }
    }
}

impl Disconnect {
    /// Whose fault the end of the connection is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Closed | Self::Malformed(_) => Fault::Executor,
            Self::Local => Fault::Caller,
            Self::Transport(_) => Fault::Network,
            Self::Unreadable(_) => Fault::Client,
        }
    }
}

impl StreamError {
    /// Whose fault it is that the body is not whole.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Remote { kind, .. } => kind.map_or(Fault::Unknown, ErrorKind::fault),
            Self::Sequence { .. } | Self::Malformed(_) | Self::WrongLength(_) | Self::BeyondCredit { .. } => {
                Fault::Executor
            }
            Self::Overflow(_) => Fault::Caller,
            Self::Disconnected(reason) => reason.fault(),
            // Nobody knows who was slow: the network, the executor, the origin, or the reader of the body.
            Self::Deadline(_) => Fault::Unknown,
        }
    }

    /// Whether an HTTP server has acted on the request: always, as a body comes behind a head.
    pub const fn execution(&self) -> Execution {
        Execution::Yes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::delta::DeltaFault;
    use crate::protocol::error::SESSION_ATTACHED;
    use crate::protocol::length::WrongLength;
    use crate::protocol::stream::Overflow;

    /// Code, kind, whose fault, execution when redirects are followed, and when they are not.
    type Row = (i64, Option<ErrorKind>, Fault, Execution, Execution);

    #[test]
    fn errors_of_the_executor() {
        use Execution::{Maybe, No, Yes};
        let failed = |kind| (INTERNAL_ERROR, Some(kind));
        let row = |(code, kind), fault, follow, stop| -> Row { (code, kind, fault, follow, stop) };
        let mut rows = vec![
            row(failed(ErrorKind::Connect), Fault::Origin, Maybe, No),
            row(failed(ErrorKind::Dns), Fault::Origin, Maybe, No),
            row(failed(ErrorKind::Tls), Fault::Origin, Maybe, No),
            row(failed(ErrorKind::Timeout), Fault::Origin, Maybe, Maybe),
            row(failed(ErrorKind::Reset), Fault::Origin, Maybe, Maybe),
            row(failed(ErrorKind::Truncated), Fault::Origin, Yes, Yes),
            row(failed(ErrorKind::Protocol), Fault::Origin, Maybe, Maybe),
            row(failed(ErrorKind::Redirect), Fault::Origin, Yes, Yes),
            row(failed(ErrorKind::Limit), Fault::Executor, Maybe, Maybe),
            row(failed(ErrorKind::Denied), Fault::Caller, Maybe, No),
            row(failed(ErrorKind::Cancelled), Fault::Executor, Maybe, Maybe),
        ];
        let kinds: Vec<_> = rows.iter().filter_map(|(_, kind, ..)| *kind).collect();
        assert_eq!(kinds, ErrorKind::ALL);
        for kind in [None, Some(ErrorKind::Limit), Some(ErrorKind::Denied), Some(ErrorKind::Reset)] {
            rows.extend([
                (INVALID_PARAMS, kind, Fault::Caller, No, No),
                (INVALID_REQUEST, kind, Fault::Client, No, No),
                (PARSE_ERROR, kind, Fault::Client, No, No),
                (METHOD_NOT_FOUND, kind, Fault::Executor, No, No),
            ]);
        }
        for code in [INTERNAL_ERROR, SESSION_ATTACHED, -32000, 0, 1] {
            rows.push((code, None, Fault::Unknown, Maybe, Maybe));
        }
        rows.push((-32000, Some(ErrorKind::Connect), Fault::Origin, Maybe, Maybe));
        for (code, kind, fault, follow, stop) in rows {
            // The text contradicts; it decides nothing.
            let error = RpcError { code, message: "connect: not executed, timeout".into(), kind };
            assert_eq!(error.fault(), fault, "{error:?}");
            assert_eq!(error.execution(RedirectPolicy::Follow), follow, "{error:?}");
            assert_eq!(error.execution(RedirectPolicy::Stop), stop, "{error:?}");
        }
    }

    #[test]
    fn errors_of_a_body() {
        let remote = |kind| StreamError::Remote { message: "text".into(), kind };
        let lost = StreamError::Disconnected;
        for (error, fault) in [
            (remote(None), Fault::Unknown),
            (remote(Some(ErrorKind::Timeout)), Fault::Origin),
            (remote(Some(ErrorKind::Reset)), Fault::Origin),
            (remote(Some(ErrorKind::Truncated)), Fault::Origin),
            (remote(Some(ErrorKind::Protocol)), Fault::Origin),
            (remote(Some(ErrorKind::Limit)), Fault::Executor),
            (remote(Some(ErrorKind::Cancelled)), Fault::Executor),
            (StreamError::Sequence { received: 2, expected: 1 }, Fault::Executor),
            (StreamError::Malformed(DeltaFault::TooLong), Fault::Executor),
            (StreamError::BeyondCredit { received: 2, allowed: 1 }, Fault::Executor),
            (StreamError::WrongLength(WrongLength { promised: 1, received: 0 }), Fault::Executor),
            (StreamError::Overflow(Overflow::Frames(1)), Fault::Caller),
            (StreamError::Overflow(Overflow::Bytes(1)), Fault::Caller),
            (lost(Disconnect::Closed), Fault::Executor),
            (lost(Disconnect::Malformed("text".into())), Fault::Executor),
            (lost(Disconnect::Local), Fault::Caller),
            (lost(Disconnect::Transport("text".into())), Fault::Network),
            (lost(Disconnect::Unreadable("text".into())), Fault::Client),
            (StreamError::Deadline(Duration::from_secs(1)), Fault::Unknown),
        ] {
            assert_eq!((error.fault(), error.execution()), (fault, Execution::Yes), "{error:?}");
        }
    }
}
