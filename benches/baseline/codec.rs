//! Messages as the first design reads and writes them.

use base64_022::Engine as _;
use base64_022::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The notification that carries a piece of a streamed body.
pub(crate) const DELTA_METHOD: &str = "http/request/bodyDelta";

/// What an answer is matched by.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum RequestId {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// One message. Its shape is found by trying one after another.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    /// Wants an answer.
    Request {
        /// Echoed in the answer.
        id: RequestId,
        /// The method's name.
        method: String,
        /// Its parameters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        params: Option<Value>,
    },
    /// Wants none.
    Notification {
        /// The method's name.
        method: String,
        /// Its parameters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        params: Option<Value>,
    },
    /// The answer of a call that succeeded.
    Response {
        /// Of the request.
        id: RequestId,
        /// What the method returned.
        result: Value,
    },
    /// The answer of a call that failed.
    Error {
        /// Of the request.
        id: RequestId,
        /// Why.
        error: ErrorDetail,
    },
}

/// Why a call failed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ErrorDetail {
    /// The kind of failure.
    pub(crate) code: i64,
    /// The reason, for people.
    pub(crate) message: String,
}

/// Params of `initialize`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitializeParams {
    /// Who calls.
    pub(crate) client_name: String,
}

/// Result of `initialize`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitializeResult {
    /// Names the session.
    pub(crate) session_id: String,
}

/// One header.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

/// Params of `http/request`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestParams {
    /// The HTTP method.
    pub(crate) method: String,
    /// Absolute.
    pub(crate) url: String,
    /// In order.
    #[serde(default)]
    pub(crate) headers: Vec<Header>,
    /// The request's body.
    #[serde(default)]
    pub(crate) body_base64: Option<ByteChunk>,
    /// Names the stream.
    pub(crate) request_id: String,
    /// Whether the body comes in deltas.
    #[serde(default)]
    pub(crate) stream_response: bool,
}

/// Result of `http/request`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResponseResult {
    /// The HTTP status.
    pub(crate) status: u16,
    /// In order.
    pub(crate) headers: Vec<Header>,
    /// Empty when the body comes in deltas.
    pub(crate) body_base64: ByteChunk,
}

/// Params of [`DELTA_METHOD`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BodyDelta {
    /// The stream.
    pub(crate) request_id: String,
    /// From 1.
    pub(crate) seq: u64,
    /// What came.
    pub(crate) delta_base64: ByteChunk,
    /// Whether this is the last one.
    #[serde(default)]
    pub(crate) done: bool,
    /// Why the body is not whole.
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// Bytes that travel as base64.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct ByteChunk(#[serde(with = "text")] pub(crate) Vec<u8>);

/// How [`ByteChunk`] stands in JSON.
mod text {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let encoded = String::deserialize(deserializer)?;
        STANDARD.decode(encoded).map_err(serde::de::Error::custom)
    }
}

/// Reads one frame.
pub(crate) fn decode(frame: &str) -> serde_json::Result<Message> {
    serde_json::from_str(frame)
}

/// Writes one frame.
pub(crate) fn encode(message: &Message) -> serde_json::Result<String> {
    serde_json::to_string(message)
}

/// The notification of a delta.
pub(crate) fn notification(delta: &BodyDelta) -> serde_json::Result<Message> {
    Ok(Message::Notification { method: DELTA_METHOD.to_owned(), params: Some(serde_json::to_value(delta)?) })
}

/// The delta of a notification's params.
pub(crate) fn delta(params: Value) -> serde_json::Result<BodyDelta> {
    serde_json::from_value(params)
}
