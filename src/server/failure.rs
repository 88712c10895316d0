//! What an exchange tells the client when it fails: fixed phrases, so that nothing secret can slip into them (ERROR-15).

use std::error::Error;
use std::io;
use std::time::Duration;

use super::connector::ConnectError;
use crate::protocol::error::{ErrorKind, INTERNAL_ERROR, INVALID_PARAMS, RpcError};
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::limits::REDIRECT_HOPS;

/// A member of the params that is refused; `what` names the part and never its value.
pub(super) fn refused(what: &str) -> RpcError {
    RpcError::new(INVALID_PARAMS, format!("{REQUEST_METHOD} {what}"))
}

/// Params that are more than this executor takes.
pub(super) fn over_limit(what: &str) -> RpcError {
    refused(what).with_kind(ErrorKind::Limit)
}

/// The deadline of the exchange passed.
pub(super) fn timed_out() -> RpcError {
    failed(ErrorKind::Timeout, "timeoutMs has passed")
}

/// A call without a deadline of its own took too long.
pub(super) fn total_time(limit: Duration) -> RpcError {
    let text = format!("{} ms have passed, this executor's limit for a call without timeoutMs", limit.as_millis());
    failed(ErrorKind::Limit, &text)
}

/// The origin of a call without a deadline was silent for too long.
pub(super) fn idle_time(limit: Duration) -> RpcError {
    let text = format!(
        "the origin sent nothing for {} ms, this executor's limit for a call without timeoutMs",
        limit.as_millis()
    );
    failed(ErrorKind::Limit, &text)
}

/// The eleventh redirect.
pub(super) fn too_many_redirects() -> RpcError {
    failed(ErrorKind::Redirect, &format!("more than {REDIRECT_HOPS} redirects"))
}

/// A redirect to something that is not http or https.
pub(super) fn redirect_scheme() -> RpcError {
    failed(ErrorKind::Redirect, "redirect target uses an unsupported URL scheme")
}

/// A buffered body that is too long.
pub(super) fn body_too_long(limit: usize) -> RpcError {
    let text = format!("response body exceeds {limit} bytes, streamResponse has no such limit");
    failed(ErrorKind::Limit, &text)
}

/// No TLS roots could be loaded.
pub(super) fn no_roots() -> RpcError {
    failed(ErrorKind::Tls, "this executor has no trusted TLS certificates")
}

/// No connection could be opened.
pub(super) fn no_connection(error: &(dyn Error + 'static)) -> RpcError {
    match find::<ConnectError>(error) {
        Some(ConnectError::Dns) => failed(ErrorKind::Dns, "the origin's name did not resolve"),
        Some(ConnectError::Denied) => failed(ErrorKind::Denied, "this executor's policy refuses the destination"),
        Some(ConnectError::Proxy) => {
            failed(ErrorKind::Connect, "the executor's proxy could not be reached or opened no tunnel to the origin")
        }
        Some(ConnectError::Tcp(_)) => failed(ErrorKind::Connect, "could not connect to the origin"),
        None => failed(ErrorKind::Tls, "the TLS handshake with the origin failed"),
    }
}

/// No response head came.
pub(super) fn before_head(error: &hyper::Error, head_bytes: usize) -> RpcError {
    if error.is_parse_too_large() {
        failed(ErrorKind::Limit, &format!("response head has too many fields or exceeds {head_bytes} bytes"))
    } else if error.is_parse() {
        failed(ErrorKind::Protocol, "the origin's response head is not HTTP")
    } else {
        failed(ErrorKind::Reset, "the origin ended the connection before its response head was complete")
    }
}

/// The body broke off.
pub(super) fn in_body(error: &hyper::Error) -> RpcError {
    let kind = find::<io::Error>(error).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::UnexpectedEof) => failed(ErrorKind::Truncated, "the response body ended early"),
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            failed(ErrorKind::Protocol, "the framing of the response body is broken")
        }
        None if error.is_incomplete_message() => failed(ErrorKind::Truncated, "the response body ended early"),
        _ => failed(ErrorKind::Reset, "the connection to the origin broke inside the response body"),
    }
}

fn failed(kind: ErrorKind, what: &str) -> RpcError {
    RpcError::new(INTERNAL_ERROR, format!("{REQUEST_METHOD} failed: {what}")).with_kind(kind)
}

/// The first error of type `E` in the chain of sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        link = error.source();
    }
    None
}
