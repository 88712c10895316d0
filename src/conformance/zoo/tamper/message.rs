//! What passes between a client and an executor, one thing at a time.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::ErrorKind;
use crate::protocol::http::REQUEST_METHOD;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client.
    ToExecutor,
    /// From the executor.
    ToClient,
}

impl Way {
    /// The opposite way.
    #[must_use]
    pub const fn back(self) -> Self {
        match self {
            Self::ToExecutor => Self::ToClient,
            Self::ToClient => Self::ToExecutor,
        }
    }
}

/// One thing that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A line, or a websocket message.
    Message {
        /// Without framing.
        bytes: Bytes,
        /// In a binary websocket message.
        binary: bool,
    },
    /// A websocket ping.
    Ping(Bytes),
    /// A websocket pong.
    Pong(Bytes),
    /// A websocket close frame with its status.
    Close(Option<u16>),
    /// Bytes that are none of these, as they are.
    Raw(Bytes),
    /// This direction was reset; its end follows.
    Reset,
    /// The end of this direction.
    End,
}

/// A message that is JSON.
#[derive(Clone, Debug)]
pub struct Message {
    /// Which way it goes.
    pub way: Way,
    /// What it says; what is written here is passed on.
    pub json: Value,
    /// The request that it answers.
    pub asked: Option<Arc<Value>>,
    /// As it came.
    pub(super) original: (Value, Unit),
}

impl Message {
    /// Its method; empty for an answer.
    pub fn method(&self) -> &str {
        self.json["method"].as_str().unwrap_or_default()
    }

    /// It answers a request of that method.
    pub fn answers(&self, method: &str) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked["method"] == method)
    }

    /// It came in a binary websocket message.
    pub const fn is_binary(&self) -> bool {
        matches!(self.original.1, Unit::Message { binary: true, .. })
    }

    /// It is a frame of a body.
    pub fn is_delta(&self) -> bool {
        self.way == Way::ToClient && self.method() == DELTA_METHOD
    }

    /// It is the last frame of a body.
    pub fn is_terminal(&self) -> bool {
        let params = &self.json["params"];
        self.is_delta() && (params["done"] == true || params["error"].is_string())
    }

    /// It is the answer to an `http/request`, well or not.
    pub fn is_answer(&self) -> bool {
        self.answers(REQUEST_METHOD)
    }

    /// It asks for HTTP.
    pub fn is_call(&self) -> bool {
        self.way == Way::ToExecutor && self.method() == REQUEST_METHOD
    }

    /// It is a request.
    pub fn is_request(&self) -> bool {
        self.json.get("method").is_some() && self.json.get("id").is_some()
    }

    /// Its text, as it came.
    pub fn text(&self) -> &str {
        match &self.original.1 {
            Unit::Message { bytes, .. } => str::from_utf8(bytes).unwrap_or_default(),
            _ => "",
        }
    }

    /// It asks for a stream, or answers a call that did.
    pub fn is_streamed(&self) -> bool {
        self.request()["params"]["streamResponse"] == true
    }

    /// The exchange that it belongs to is over: a failed call, a whole response, the last frame of a body.
    pub fn is_end(&self) -> bool {
        self.is_terminal() || self.is_answer() && (!self.is_streamed() || self.json.get("error").is_some())
    }

    /// The `requestId` of the call or of the frame, or of the call that it answers.
    pub fn request_id(&self) -> &str {
        self.request()["params"]["requestId"].as_str().unwrap_or_default()
    }

    /// The kind of the failure that it tells; empty without one.
    pub fn kind(&self) -> &str {
        let kind =
            if self.is_delta() { &self.json["params"]["errorKind"] } else { &self.json["error"]["data"]["kind"] };
        kind.as_str().unwrap_or_default()
    }

    /// The answer that refuses it.
    pub fn refusal(&self, code: i64, text: &str, kind: Option<ErrorKind>) -> Value {
        let mut error = json!({"code": code, "message": text});
        if let Some(kind) = kind {
            error["data"] = json!({"kind": kind.as_str()});
        }
        json!({"id": self.request()["id"], "error": error})
    }

    /// The request that it is, or that it answers; a frame is taken for its own.
    fn request(&self) -> &Value {
        self.asked.as_deref().unwrap_or(&self.json)
    }

    pub(super) fn into_unit(self) -> Unit {
        let (json, unit) = self.original;
        if json == self.json { unit } else { text(&self.json) }
    }
}

/// A JSON text as a message.
pub fn text(json: &Value) -> Unit {
    Unit::Message { bytes: json.to_string().into(), binary: false }
}
