//! Params and result of `http/request`.
//!
//! Everything is read by hand from a JSON object, so that an error names the member and never repeats its value.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::base64;
use super::error::{INVALID_PARAMS, RpcError};

/// The method that starts an exchange.
pub const REQUEST_METHOD: &str = "http/request";

/// The member that opens the credit of a stream; unknown to an executor that does not offer credit.
pub(super) const CREDIT_MEMBER: &str = "creditBytes";

/// Whether the executor follows redirects itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectPolicy {
    /// Up to [`super::limits::REDIRECT_HOPS`] of them; what a missing member means.
    #[default]
    Follow,
    /// The 3xx is the result.
    Stop,
}

impl RedirectPolicy {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Follow => "follow",
            Self::Stop => "stop",
        }
    }
}

/// One header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The name in any case.
    pub name: String,
    /// The value, or the prefix of one when `value_env_var` is set.
    pub value: String,
    /// An environment variable of the executor whose value is appended (since 2026-08).
    pub value_env_var: Option<String>,
}

/// The params of `http/request`, checked for form only: the method, the URL and the headers are still text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestParams {
    /// The id that the client chose; every delta repeats it.
    pub request_id: String,
    /// The HTTP method.
    pub method: String,
    /// An absolute http or https URL.
    pub url: String,
    /// In the caller's order, repeats kept.
    pub headers: Vec<RequestHeader>,
    /// The request body; `None` and an empty one differ only in the Content-Length that is sent.
    pub body: Option<Bytes>,
    /// The time for the whole exchange, body included; `None` means no deadline.
    pub timeout: Option<Duration>,
    /// What to do with a 3xx.
    pub redirect_policy: RedirectPolicy,
    /// Whether the body comes as deltas.
    pub stream_response: bool,
    /// Decoded bytes of a streamed body that may be sent before the client allows more (extension); `None` means any number.
    pub credit: Option<u64>,
}

/// A member of the params that is missing or of the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamsError {
    /// The member, for example `requestId`.
    pub member: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.member, self.expected)
    }
}

impl std::error::Error for ParamsError {}

impl From<ParamsError> for RpcError {
    fn from(error: ParamsError) -> Self {
        Self::new(INVALID_PARAMS, format!("{REQUEST_METHOD} params: {error}"))
    }
}

pub(super) const fn wrong(member: &'static str, expected: &'static str) -> ParamsError {
    ParamsError { member, expected }
}

impl RequestParams {
    /// Reads the params; missing ones count as null.
    ///
    /// # Errors
    ///
    /// The first member found wrong.
    pub fn from_value(params: Option<Value>) -> Result<Self, ParamsError> {
        let Some(Value::Object(mut object)) = params else { return Err(wrong("params", "an object")) };
        Ok(Self {
            request_id: text(&mut object, "requestId")?,
            method: text(&mut object, "method")?,
            url: text(&mut object, "url")?,
            headers: match object.remove("headers") {
                None => Vec::new(),
                Some(Value::Array(headers)) => {
                    headers.into_iter().map(RequestHeader::from_value).collect::<Result<_, _>>()?
                }
                Some(_) => return Err(wrong("headers", "an array")),
            },
            body: match object.remove("bodyBase64") {
                None | Some(Value::Null) => None,
                Some(value) => Some(decode_base64(&value).ok_or(wrong("bodyBase64", "standard base64 with padding"))?),
            },
            timeout: match object.remove("timeoutMs") {
                None | Some(Value::Null) => None,
                Some(value) => {
                    let millis = value.as_u64().ok_or(wrong("timeoutMs", "an unsigned integer or null"))?;
                    Some(Duration::from_millis(millis))
                }
            },
            redirect_policy: match object.remove("redirectPolicy").as_ref().map(Value::as_str) {
                None => RedirectPolicy::Follow,
                Some(Some("follow")) => RedirectPolicy::Follow,
                Some(Some("stop")) => RedirectPolicy::Stop,
                Some(_) => return Err(wrong("redirectPolicy", "\"follow\" or \"stop\"")),
            },
            stream_response: match object.remove("streamResponse") {
                None => false,
                Some(Value::Bool(stream)) => stream,
                Some(_) => return Err(wrong("streamResponse", "a boolean")),
            },
            credit: match object.remove(CREDIT_MEMBER) {
                None | Some(Value::Null) => None,
                Some(value) => Some(value.as_u64().ok_or(wrong(CREDIT_MEMBER, "an unsigned integer or null"))?),
            },
        })
    }

    /// The params as they stand on the wire. Defaults are left out, as readers of every revision know them.
    pub fn to_value(&self) -> Value {
        let mut params = json!({
            "requestId": self.request_id,
            "method": self.method,
            "url": self.url,
            "headers": self.headers.iter().map(RequestHeader::to_value).collect::<Vec<_>>(),
            "streamResponse": self.stream_response,
        });
        if let Some(body) = &self.body {
            params["bodyBase64"] = base64::encode(body).into();
        }
        if let Some(timeout) = self.timeout {
            params["timeoutMs"] = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).into();
        }
        if self.redirect_policy == RedirectPolicy::Stop {
            params["redirectPolicy"] = self.redirect_policy.as_str().into();
        }
        if let Some(credit) = self.credit {
            params[CREDIT_MEMBER] = credit.into();
        }
        params
    }
}

impl RequestHeader {
    /// A header with a literal value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), value_env_var: None }
    }

    fn from_value(header: Value) -> Result<Self, ParamsError> {
        let Value::Object(mut header) = header else { return Err(wrong("headers", "an array of objects")) };
        let mut member = |name, expected| match header.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(wrong("headers", expected)),
        };
        let name = member("name", "an array of objects with a text name")?;
        let value = member("value", "an array of objects with a text value")?;
        let value_env_var = match header.remove("valueEnvVar") {
            None | Some(Value::Null) => None,
            Some(Value::String(variable)) => Some(variable),
            Some(_) => return Err(wrong("headers", "an array of objects whose valueEnvVar is text")),
        };
        Ok(Self { name, value, value_env_var })
    }

    fn to_value(&self) -> Value {
        let mut header = json!({"name": self.name, "value": self.value});
        if let Some(variable) = &self.value_env_var {
            header["valueEnvVar"] = variable.as_str().into();
        }
        header
    }
}

/// One header of a response, its value as the origin's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Lower case.
    pub name: String,
    /// Any bytes. On the wire: `value`, and beside it `valueBase64` when the bytes are not UTF-8.
    pub value: Bytes,
}

impl ResponseHeader {
    fn to_value(&self) -> Value {
        match std::str::from_utf8(&self.value) {
            Ok(value) => json!({"name": self.name, "value": value}),
            Err(_) => json!({
                "name": self.name,
                "value": String::from_utf8_lossy(&self.value),
                "valueBase64": base64::encode(&self.value),
            }),
        }
    }

    fn from_value(mut header: Value) -> Option<Self> {
        let header = header.as_object_mut()?;
        let name = text(header, "name").ok()?;
        let value = match header.get("valueBase64") {
            None | Some(Value::Null) => Bytes::from(text(header, "value").ok()?),
            Some(bytes) => decode_base64(bytes)?,
        };
        Some(Self { name, value })
    }
}

/// The result of `http/request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The HTTP status; 4xx and 5xx are results like any other.
    pub status: u16,
    /// The order inside one name is the origin's.
    pub headers: Vec<ResponseHeader>,
    /// The whole body of a buffered call; empty for a streamed one.
    pub body: Bytes,
}

impl ResponseHead {
    /// The result as it stands on the wire.
    pub fn to_value(&self) -> Value {
        json!({
            "status": self.status,
            "headers": self.headers.iter().map(ResponseHeader::to_value).collect::<Vec<_>>(),
            "bodyBase64": base64::encode(&self.body),
        })
    }

    /// Reads a result.
    ///
    /// # Errors
    ///
    /// The first member found wrong. `status` must lie in 100 to 999.
    pub fn from_value(result: Value) -> Result<Self, ParamsError> {
        let Value::Object(mut object) = result else { return Err(wrong("result", "an object")) };
        let status = object.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let headers = match object.remove("headers") {
            Some(Value::Array(headers)) => headers.into_iter().map(ResponseHeader::from_value).collect::<Option<_>>(),
            _ => None,
        };
        let body = object.get("bodyBase64").and_then(decode_base64);
        Ok(Self {
            status: status.filter(|status| (100..=999).contains(status)).ok_or(wrong("status", "100 to 999"))?,
            headers: headers.ok_or(wrong("headers", "an array of objects with name and value"))?,
            body: body.ok_or(wrong("bodyBase64", "standard base64 with padding"))?,
        })
    }
}

fn text(object: &mut Map<String, Value>, member: &'static str) -> Result<String, ParamsError> {
    match object.remove(member) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(wrong(member, "text")),
    }
}

fn decode_base64(value: &Value) -> Option<Bytes> {
    base64::decode(value.as_str()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(change: impl FnOnce(&mut Value)) -> Result<RequestParams, String> {
        let mut value = json!({"requestId": "r", "method": "GET", "url": "http://h/"});
        change(&mut value);
        RequestParams::from_value(Some(value)).map_err(|error| error.member.to_owned())
    }

    #[test]
    fn missing_members_take_their_defaults() {
        let read = params(|_| ()).expect("legal");
        assert_eq!((read.headers.len(), read.body.clone(), read.timeout, read.stream_response), (0, None, None, false));
        assert_eq!(read.redirect_policy, RedirectPolicy::Follow);
        let null = params(|value| {
            value["bodyBase64"] = Value::Null;
            value["timeoutMs"] = Value::Null;
            value["extra"] = json!({"any": []});
        });
        assert_eq!(null, Ok(read));
    }

    #[test]
    fn a_wrong_member_is_named() {
        for (member, values) in [
            ("requestId", vec![json!(1), json!(null)]),
            (
                "headers",
                vec![
                    json!({}),
                    json!(null),
                    json!([{"name": "a"}]),
                    json!([["a", "b"]]),
                    json!([{"name": "a", "value": 1}]),
                ],
            ),
            ("bodyBase64", vec![json!("YQ"), json!("YQ==\n"), json!("-_=="), json!("YR=="), json!(1)]),
            ("timeoutMs", vec![json!(-1), json!(1.5), json!("1"), json!(1.0)]),
            ("redirectPolicy", vec![json!("manual"), json!(null), json!(true)]),
            ("streamResponse", vec![json!(null), json!("true"), json!(1)]),
        ] {
            for value in values {
                let text = value.to_string();
                assert_eq!(params(|params| params[member] = value), Err(member.to_owned()), "{text}");
            }
        }
        assert_eq!(RequestParams::from_value(Some(json!([]))).map_err(|error| error.member), Err("params"));
        assert_eq!(RequestParams::from_value(None).map_err(|error| error.member), Err("params"));
    }

    #[test]
    fn params_written_can_be_read() {
        let all = RequestParams {
            request_id: "é\0\n".into(),
            method: "PUT".into(),
            url: "https://h/".into(),
            headers: vec![
                RequestHeader::new("A", "ü"),
                RequestHeader { value_env_var: Some("TOKEN".into()), ..RequestHeader::new("b", "Bearer ") },
            ],
            body: Some(Bytes::from_static(b"\0\xff")),
            timeout: Some(Duration::from_millis(7)),
            redirect_policy: RedirectPolicy::Stop,
            stream_response: true,
            credit: Some(u64::MAX),
        };
        assert_eq!(RequestParams::from_value(Some(all.to_value())), Ok(all));
    }

    #[test]
    fn header_values_keep_their_bytes() {
        let head = ResponseHead {
            status: 599,
            headers: vec![
                ResponseHeader { name: "a".into(), value: Bytes::from_static(b"caf\xe9") },
                ResponseHeader { name: "a".into(), value: Bytes::from_static("é".as_bytes()) },
            ],
            body: Bytes::from_static(b"x"),
        };
        let value = head.to_value();
        assert_eq!(value["headers"][0], json!({"name": "a", "value": "caf\u{fffd}", "valueBase64": "Y2Fm6Q=="}));
        assert_eq!(value["headers"][1], json!({"name": "a", "value": "é"}));
        assert_eq!(ResponseHead::from_value(value), Ok(head));
    }
}
