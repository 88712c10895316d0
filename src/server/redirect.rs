//! Which request follows a redirect.

use http::header::{AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::failure;
use super::request::{OriginRequest, take_credentials, to_uri};
use crate::protocol::error::RpcError;

/// The request that a response asks for; `None` when the response itself is the result (HTTP-24).
///
/// # Errors
///
/// A target with another scheme than http and https (HTTP-25).
pub(super) fn follow(
    request: &OriginRequest,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<OriginRequest>, RpcError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let Some(mut url) = location.and_then(|location| request.url.join(location).ok()) else { return Ok(None) };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failure::redirect_scheme());
    }
    let credentials = take_credentials(&mut url);
    let Some(uri) = to_uri(&url) else { return Ok(None) };
    let mut next = OriginRequest { url, uri, ..request.clone() };
    if becomes_get(status, &request.method) {
        next.method = Method::GET;
        next.body = None;
        retain(&mut next.headers, |name| !name.as_str().starts_with("content-"));
    }
    if next.url.origin() != request.url.origin() {
        retain(&mut next.headers, crosses_origins);
    }
    if let Some(credentials) = credentials {
        next.headers.entry(AUTHORIZATION).or_insert(credentials);
    }
    Ok(Some(next))
}

/// HTTP-21: these statuses ask for another resource, not for the same request elsewhere.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
        StatusCode::SEE_OTHER => method != Method::GET && method != Method::HEAD,
        _ => false,
    }
}

/// HTTP-27: any other header may be a secret that was meant for the first origin.
fn crosses_origins(name: &HeaderName) -> bool {
    [CONTENT_TYPE, CONTENT_LANGUAGE, USER_AGENT].contains(name)
        || name.as_str() == "accept"
        || name.as_str().starts_with("accept-")
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let dropped: Vec<_> = headers.keys().filter(|name| !keep(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}
