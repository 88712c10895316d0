//! What is sent to an origin: the caller's params, checked, or the same after a redirect.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

use super::failure::{over_limit, refused};
use super::limits::Limits;
use crate::protocol::error::{ErrorKind, RpcError};
use crate::protocol::http::{RequestHeader, RequestParams};

/// Environment variables that no header may carry, in upper case.
const DENIED_VARIABLES: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "CODEX_ACCESS_TOKEN",
    "CODEX_API_KEY",
    "CODEX_CONNECTORS_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "OPENAI_API_KEY",
    "OPENAI_FEDERATION_RULE_ID",
    "OPENAI_IDENTITY_TOKEN_FILE",
    "OPENAI_WORKLOAD_IDENTITY_CONTEXT",
];

/// Headers that say where a message ends or what becomes of the connection; both are the executor's business (HTTP-6).
const FRAMING_HEADERS: [&str; 6] = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// One request to one origin.
#[derive(Clone, Debug)]
pub(super) struct OriginRequest {
    /// With the caller's case.
    pub(super) method: Method,
    /// Without user information and fragment.
    pub(super) url: Url,
    /// The same as `url`.
    pub(super) uri: Uri,
    /// The caller's, without `content-length`.
    pub(super) headers: HeaderMap,
    /// `None` sends no `content-length`.
    pub(super) body: Option<Bytes>,
}

impl OriginRequest {
    /// Checks the params in the order of PARAMS-22.
    ///
    /// # Errors
    ///
    /// -32602 for the first part that is refused.
    pub(super) fn from_params(params: RequestParams, limits: &Limits) -> Result<Self, RpcError> {
        let method = Method::from_bytes(params.method.as_bytes()).map_err(|_| refused("method is invalid"))?;
        if method == Method::CONNECT {
            // Its answer would turn the connection into a tunnel, which no delta can carry.
            return Err(refused("method CONNECT is not supported"));
        }
        let mut url = Url::parse(&params.url).map_err(|_| refused("url is invalid"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("url must have the scheme http or https"));
        }
        let credentials = take_credentials(&mut url);
        let uri = to_uri(&url).ok_or_else(|| refused("url is invalid"))?;
        if params.headers.len() > limits.request_headers {
            return Err(over_limit(&format!("has more than {} headers", limits.request_headers)));
        }
        let (mut headers, mut header_bytes) = (HeaderMap::new(), 0);
        for header in &params.headers {
            let (name, value) = read_header(header)?;
            header_bytes += name.as_str().len() + value.len();
            if header_bytes > limits.request_header_bytes {
                return Err(over_limit(&format!("headers exceed {} bytes", limits.request_header_bytes)));
            }
            if FRAMING_HEADERS.contains(&name.as_str()) {
                return Err(refused(&format!("header {name} may not be set")));
            }
            if (name == HOST || name == CONTENT_LENGTH) && headers.contains_key(&name) {
                return Err(refused(&format!("header {name} may be set once")));
            }
            headers.append(name, value);
        }
        let mut body = params.body;
        if body.as_ref().is_some_and(|body| body.len() > limits.request_body_bytes) {
            return Err(over_limit(&format!("body exceeds {} bytes", limits.request_body_bytes)));
        }
        if let Some(length) = headers.remove(CONTENT_LENGTH) {
            let bytes = body.get_or_insert_default().len();
            if length.as_bytes() != bytes.to_string().as_bytes() {
                return Err(refused("header content-length is not the length of the body"));
            }
        }
        if let Some(credentials) = credentials {
            headers.entry(AUTHORIZATION).or_insert(credentials);
        }
        Ok(Self { method, url, uri, headers, body })
    }

    /// The headers as they are sent; `host` is added by the HTTP client.
    pub(super) fn wire_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(body) = &self.body {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        headers
    }
}

/// The URL as hyper wants it; `None` for the few that one of the two parsers refuses, such as one of 64 KiB.
pub(super) fn to_uri(url: &Url) -> Option<Uri> {
    url.as_str().parse().ok()
}

/// Takes user information and fragment out of the URL; gives the value of `authorization` that the former stands for.
pub(super) fn take_credentials(url: &mut Url) -> Option<HeaderValue> {
    url.set_fragment(None);
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    // Neither can fail: an http URL always has a host.
    let _ = (url.set_username(""), url.set_password(None));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read_header(header: &RequestHeader) -> Result<(HeaderName, HeaderValue), RpcError> {
    let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused("header name is invalid"))?;
    let value = match &header.value_env_var {
        None => header.value.clone(),
        Some(variable) => format!("{}{}", header.value, read_variable(&name, variable)?),
    };
    let mut value =
        HeaderValue::try_from(value).map_err(|_| refused(&format!("header value is invalid for {name}")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn read_variable(name: &HeaderName, variable: &str) -> Result<String, RpcError> {
    if DENIED_VARIABLES.contains(&variable.to_ascii_uppercase().as_str()) {
        let error = refused(&format!("header {name} cannot use that executor environment variable"));
        return Err(error.with_kind(ErrorKind::Denied));
    }
    // `var` panics on neither: it answers names that no variable can have with an error.
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(refused(&format!("header {name} requires a non-empty executor environment variable"))),
    }
}
