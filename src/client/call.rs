//! One `http/request`: the caller's `http::Request` as params, the executor's result as `http::Response`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::body::Body;
use super::error::{CallError, RequestError};
use crate::protocol::http::{ParamsError, RedirectPolicy, RequestHeader, RequestParams, ResponseHead};
use crate::protocol::length::{self, LengthCheck};
#[cfg(doc)]
use crate::protocol::stream::StreamError;

/// What a request wants beside its method, URI, headers and body. Put it into the request's extensions:
///
/// ```
/// # use std::time::Duration;
/// use exec_http::client::RequestOptions;
///
/// let options = RequestOptions { deadline: Some(Duration::from_secs(5)), ..RequestOptions::default() };
/// let request = http::Request::get("https://example.com/").extension(options).body(bytes::Bytes::new());
/// # assert!(request.is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// The time that the executor gives the exchange, from its start to the last byte of the body, in whole milliseconds.
    /// `None`: as long as it takes. Sent as `timeoutMs` (`HTTP-13`); it does not count what the connection takes.
    pub timeout: Option<Duration>,
    /// The time that this client gives the call, whatever the executor does, from its start to the last byte of the body that
    /// is read: waiting for a connection or for room to send included, and in a streamed call the consumer's own time. Then the
    /// call fails with [`CallError::Deadline`] or the body ends with [`StreamError::Deadline`], and the call is given up as by
    /// a drop (`CANCEL-8`). `None`, and a time that no clock can hold: the client waits for ever. It is not sent. For the head
    /// of a streamed call alone, put [`tokio::time::timeout`] around it instead.
    ///
    /// A call with a deadline panics where it waits outside a tokio runtime with time enabled, or when the runtime in which it
    /// first waited is gone.
    pub deadline: Option<Duration>,
    /// What the executor does with a redirect.
    pub redirect: RedirectPolicy,
    /// Headers whose values end with a secret of the executor. They follow the ordinary headers.
    pub header_env_vars: Vec<HeaderEnvVar>,
}

/// A header whose value is a prefix and the content of a variable in the executor's environment.
#[derive(Clone, Debug)]
pub struct HeaderEnvVar {
    /// The header.
    pub name: HeaderName,
    /// What stands before the variable's content, for example `Bearer `.
    pub prefix: String,
    /// The variable.
    pub variable: String,
}

/// A request that can be sent, and what its response is judged by.
pub(super) struct Exchange {
    /// The params; `request_id` and `stream_response` are set when it is sent.
    params: RequestParams,
}

impl Exchange {
    /// Checks what can be checked before anything is sent.
    pub(super) fn new(request: http::Request<Bytes>, header_env_vars: bool) -> Result<Self, RequestError> {
        let (parts, body) = request.into_parts();
        let options = parts.extensions.get::<RequestOptions>().cloned().unwrap_or_default();
        if !matches!(parts.uri.scheme_str(), Some("http" | "https")) || parts.uri.host().is_none_or(str::is_empty) {
            return Err(RequestError::Uri);
        }
        let text = |(name, value): (&HeaderName, &HeaderValue)| match std::str::from_utf8(value.as_bytes()) {
            Ok(value) => Ok(RequestHeader::new(name.as_str(), value)),
            Err(_) => Err(RequestError::HeaderValue(name.clone())),
        };
        let mut headers = parts.headers.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        for HeaderEnvVar { name, prefix, variable } in options.header_env_vars {
            if !header_env_vars {
                return Err(RequestError::HeaderEnvVar(name));
            }
            headers.push(RequestHeader { value_env_var: Some(variable), ..RequestHeader::new(name.as_str(), prefix) });
        }
        let params = RequestParams {
            request_id: String::new(),
            method: parts.method.as_str().to_owned(),
            url: parts.uri.to_string(),
            headers,
            body: Some(body).filter(|body| !body.is_empty()),
            timeout: options.timeout,
            redirect_policy: options.redirect,
            stream_response: false,
            credit: None,
        };
        Ok(Self { params })
    }

    /// The params to send under this `requestId`.
    pub(super) fn params(&self, request_id: String, stream_response: bool, credit: Option<u64>) -> RequestParams {
        RequestParams { request_id, stream_response, credit, ..self.params.clone() }
    }

    /// The response of a buffered call.
    pub(super) fn buffered(&self, result: Value) -> Result<Response<Bytes>, CallError> {
        let head = ResponseHead::from_value(result).map_err(CallError::Result)?;
        let mut check = self.length_check(&head);
        check.handle_chunk(head.body.len()).and_then(|()| check.handle_end()).map_err(CallError::WrongLength)?;
        let body = head.body.clone();
        response(&head, body)
    }

    /// The response of a streamed call. Bytes in the result itself are none of the body's (`RESPONSE-16`).
    pub(super) fn streamed(
        &self,
        result: Value,
        body: impl FnOnce(LengthCheck) -> Body,
    ) -> Result<Response<Body>, CallError> {
        let head = ResponseHead::from_value(result).map_err(CallError::Result)?;
        response(&head, body(self.length_check(&head)))
    }

    fn length_check(&self, head: &ResponseHead) -> LengthCheck {
        LengthCheck::new(length::promised(&self.params.method, head.status, &head.headers))
    }
}

fn response<B>(head: &ResponseHead, body: B) -> Result<Response<B>, CallError> {
    let wrong = |member, expected| CallError::Result(ParamsError { member, expected });
    let wrong_header = || wrong("headers", "legal names and values of HTTP headers");
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| wrong("status", "100 to 999"))?;
    for header in &head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| wrong_header())?;
        let value = HeaderValue::from_maybe_shared(header.value.clone()).map_err(|_| wrong_header())?;
        response.headers_mut().try_append(name, value).map_err(|_| wrong_header())?;
    }
    Ok(response)
}
