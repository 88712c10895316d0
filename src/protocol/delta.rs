//! One piece of a streamed body: the notification `http/request/bodyDelta`.
//!
//! | file | concept |
//! |---|---|
//! | `encoder` | the data frames of a stream on their way out |
//! | `encoded` | data frames on their way in, without reading JSON |

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::base64;
use super::error::ErrorKind;
use super::http::{ParamsError, wrong};
use super::limits::DELTA_BYTES;

mod encoded;
mod encoder;

pub use self::encoded::{EncodedDelta, NextDelta};
pub use self::encoder::DeltaEncoder;

/// The notification that carries a piece of a streamed body.
pub const DELTA_METHOD: &str = "http/request/bodyDelta";

/// One piece of a streamed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDelta {
    /// The stream.
    pub request_id: String,
    /// From 1, one more for each frame of the stream, the terminal one included.
    pub seq: u64,
    /// At most [`DELTA_BYTES`].
    pub data: Bytes,
    /// Whether this is the terminal frame. A frame with `error` is one as well.
    pub done: bool,
    /// Why the body is not whole.
    pub error: Option<String>,
    /// What failed (extension); `None` where the sender gave no kind that this revision knows.
    pub error_kind: Option<ErrorKind>,
}

/// What is wrong with a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaFault {
    /// A member is missing or of the wrong type.
    Member(ParamsError),
    /// More than [`DELTA_BYTES`] decoded.
    TooLong,
}

impl fmt::Display for DeltaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(error) => error.fmt(f),
            Self::TooLong => write!(f, "body delta exceeds {DELTA_BYTES} bytes"),
        }
    }
}

impl std::error::Error for DeltaFault {}

impl BodyDelta {
    /// The stream that the params of a delta name, read before anything else of them is looked at.
    pub fn request_id(params: &Value) -> Option<&str> {
        params.get("requestId")?.as_str()
    }

    /// Reads the params of a delta. The length is judged before anything is decoded.
    ///
    /// # Errors
    ///
    /// The first member found wrong, or a payload that is too long.
    pub fn from_value(params: &Value) -> Result<Self, DeltaFault> {
        let member = |member, expected| DeltaFault::Member(wrong(member, expected));
        let bad_base64 = member("deltaBase64", "standard base64 with padding");
        let encoded = params.get("deltaBase64").and_then(Value::as_str).ok_or(bad_base64)?;
        if encoded.len() > base64::encoded_bytes(DELTA_BYTES) {
            return Err(DeltaFault::TooLong);
        }
        let data = base64::decode(encoded.as_bytes()).ok_or(bad_base64)?;
        if data.len() > DELTA_BYTES {
            return Err(DeltaFault::TooLong);
        }
        Ok(Self {
            request_id: Self::request_id(params).ok_or(member("requestId", "text"))?.to_owned(),
            seq: params.get("seq").and_then(Value::as_u64).ok_or(member("seq", "an unsigned integer"))?,
            data,
            done: match params.get("done") {
                None => false,
                Some(Value::Bool(done)) => *done,
                Some(_) => return Err(member("done", "a boolean")),
            },
            error: match params.get("error") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(_) => return Err(member("error", "text or null")),
            },
            error_kind: params.get("errorKind").and_then(Value::as_str).and_then(ErrorKind::from_word),
        })
    }

    /// Whether no frame of this stream may follow.
    pub const fn is_terminal(&self) -> bool {
        self.done || self.error.is_some()
    }

    /// Appends the notification as it stands on the wire, without a line end.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.data.len() / 3 * 4 + self.request_id.len() + 160);
        out.extend_from_slice(b"{\"method\":\"http/request/bodyDelta\",\"params\":{\"requestId\":");
        push_text(out, &self.request_id);
        out.extend_from_slice(b",\"seq\":");
        out.extend_from_slice(self.seq.to_string().as_bytes());
        out.extend_from_slice(b",\"deltaBase64\":\"");
        base64::push(out, &self.data);
        out.extend_from_slice(if self.done { b"\",\"done\":true" } else { b"\",\"done\":false" });
        out.extend_from_slice(b",\"error\":");
        match &self.error {
            None => out.extend_from_slice(b"null"),
            Some(text) => push_text(out, text),
        }
        if let Some(kind) = self.error_kind {
            out.extend_from_slice(b",\"errorKind\":");
            push_text(out, kind.as_str());
        }
        out.extend_from_slice(b"}}");
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(Value::from(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn deltas_written_can_be_read() {
        for (data, done, error, error_kind) in [
            (&b"hello"[..], false, None, None),
            (b"", true, None, None),
            (b"x", true, Some("broke \"here\"\n".to_owned()), Some(ErrorKind::Truncated)),
        ] {
            let delta =
                BodyDelta { request_id: "s\"\u{1}".into(), seq: u64::MAX, data: data.into(), done, error, error_kind };
            let mut frame = Vec::new();
            delta.encode_into(&mut frame);
            let value: Value = serde_json::from_slice(&frame).expect("legal JSON");
            assert_eq!(value["method"], DELTA_METHOD);
            assert_eq!(BodyDelta::from_value(&value["params"]), Ok(delta));
        }
    }

    #[test]
    fn a_delta_of_exactly_the_limit_is_accepted() {
        let of = |length: usize| {
            BodyDelta::from_value(&json!({"requestId": "s", "seq": 1, "deltaBase64": STANDARD.encode(vec![0; length])}))
        };
        assert_eq!(of(DELTA_BYTES).map(|delta| delta.data.len()), Ok(DELTA_BYTES));
        assert_eq!(of(DELTA_BYTES + 1), Err(DeltaFault::TooLong));
        assert_eq!(of(DELTA_BYTES + 3), Err(DeltaFault::TooLong));
    }
}
