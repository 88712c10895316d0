//! The four message shapes: request, notification, response, error.

use std::fmt;

use serde_json::{Map, Value, json};

use super::error::RpcError;
use super::id::Id;
use super::json::{self, JsonError};

/// One message. The `jsonrpc` member is never written and never required.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A call that wants an answer.
    Request {
        /// Echoed in the answer.
        id: Id,
        /// The method's name.
        method: String,
        /// `None` when the member is missing.
        params: Option<Value>,
    },
    /// A call that wants none.
    Notification {
        /// The method's name.
        method: String,
        /// `None` when the member is missing.
        params: Option<Value>,
    },
    /// The answer of a call that succeeded.
    Response {
        /// The id of the request.
        id: Id,
        /// What the method returned.
        result: Value,
    },
    /// The answer of a call that failed.
    Error {
        /// The id of the request; `None` for null, which some executors send for a frame that they could not read.
        id: Option<Id>,
        /// Why.
        error: RpcError,
    },
}

/// Why a frame is not a message. Holds no part of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not one acceptable JSON value.
    Json(JsonError),
    /// A JSON value, but no object; a batch array is one of these.
    NotAnObject,
    /// `method` is no string.
    Method,
    /// `id` is neither a string nor a 64-bit integer, or it is missing in an answer.
    Id,
    /// `error` is no object with an integer `code` and a text `message`.
    Error,
    /// Neither `method` nor `result` nor `error`.
    Shape,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("not a JSON object"),
            Self::Method => f.write_str("method is not a string"),
            Self::Id => f.write_str("id is neither a string nor a 64-bit integer"),
            Self::Error => f.write_str("error has no integer code and text message"),
            Self::Shape => f.write_str("neither a request, a notification, a response nor an error"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Message {
    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what is wrong with it.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        match json::parse(frame).map_err(Malformed::Json)? {
            Value::Object(object) => Self::from_object(object),
            _ => Err(Malformed::NotAnObject),
        }
    }

    fn from_object(mut object: Map<String, Value>) -> Result<Self, Malformed> {
        let id = object.get("id").map(Id::from_value);
        if let Some(method) = object.remove("method") {
            let Value::String(method) = method else { return Err(Malformed::Method) };
            let params = object.remove("params");
            return match id {
                None => Ok(Self::Notification { method, params }),
                Some(Some(id)) => Ok(Self::Request { id, method, params }),
                Some(None) => Err(Malformed::Id),
            };
        }
        let error = object.remove("error").filter(|error| !error.is_null());
        match (object.remove("result"), error) {
            (Some(result), error) if error.is_none() || !result.is_null() => {
                Ok(Self::Response { id: id.flatten().ok_or(Malformed::Id)?, result })
            }
            (None | Some(Value::Null), Some(error)) => {
                let id = match (id, object.get("id")) {
                    (Some(Some(id)), _) => Some(id),
                    (_, Some(Value::Null)) => None,
                    _ => return Err(Malformed::Id),
                };
                let error = error.as_object().and_then(RpcError::from_object).ok_or(Malformed::Error)?;
                Ok(Self::Error { id, error })
            }
            _ => Err(Malformed::Shape),
        }
    }

    /// The message as it stands on the wire, without a line end.
    pub fn encode(&self) -> Vec<u8> {
        self.to_value().to_string().into_bytes()
    }

    /// The message as a JSON object.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Request { id, method, params } => {
                with_params(json!({"id": id.to_value(), "method": method}), params.as_ref())
            }
            Self::Notification { method, params } => with_params(json!({"method": method}), params.as_ref()),
            Self::Response { id, result } => json!({"id": id.to_value(), "result": result}),
            Self::Error { id, error } => {
                json!({"id": id.as_ref().map_or(Value::Null, Id::to_value), "error": error.to_value()})
            }
        }
    }
}

fn with_params(mut message: Value, params: Option<&Value>) -> Value {
    if let Some(params) = params {
        message["params"] = params.clone();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(frame: &str, expected: Malformed) {
        assert_eq!(Message::decode(frame.as_bytes()), Err(expected), "{frame}");
    }

    #[test]
    fn members_decide_the_shape_and_unknown_ones_are_ignored() {
        let frame = br#"{"params":{"b":1},"jsonrpc":"1.0","method":"m","trace":{"traceparent":"x"},"id":"7"}"#;
        let request = Message::Request { id: "7".into(), method: "m".into(), params: Some(json!({"b": 1})) };
        assert_eq!(Message::decode(frame), Ok(request));
        let notification = Message::Notification { method: "m".into(), params: None };
        assert_eq!(Message::decode(br#"{"method":"m"}"#), Ok(notification));
        let response = Message::Response { id: 1.into(), result: Value::Null };
        assert_eq!(Message::decode(br#"{"id":1,"result":null}"#), Ok(response.clone()));
        assert_eq!(Message::decode(br#"{"id":1,"result":null,"error":null}"#), Ok(response));
        let both = br#"{"id":1,"result":1,"error":{"code":1,"message":""}}"#;
        assert_eq!(Message::decode(both), Ok(Message::Response { id: 1.into(), result: json!(1) }));
        let error = Message::Error { id: None, error: RpcError::new(-32700, "x") };
        assert_eq!(Message::decode(br#"{"id":null,"error":{"code":-32700,"message":"x"}}"#), Ok(error));
    }

    #[test]
    fn everything_else_is_malformed() {
        refused("[]", Malformed::NotAnObject);
        refused(r#"[{"method":"m"}]"#, Malformed::NotAnObject);
        refused("7", Malformed::NotAnObject);
        refused("{}", Malformed::Shape);
        refused(r#"{"id":1}"#, Malformed::Shape);
        refused(r#"{"id":null,"method":"m"}"#, Malformed::Id);
        refused(r#"{"id":1.5,"method":"m"}"#, Malformed::Id);
        refused(r#"{"id":9223372036854775808,"method":"m"}"#, Malformed::Id);
        refused(r#"{"result":1}"#, Malformed::Id);
        refused(r#"{"error":{"code":1,"message":""}}"#, Malformed::Id);
        refused(r#"{"id":1,"error":{"code":"x","message":""}}"#, Malformed::Error);
        refused(r#"{"id":1,"method":7}"#, Malformed::Method);
    }

    #[test]
    fn what_is_written_can_be_read() {
        for message in [
            Message::Request { id: 1.into(), method: "m".into(), params: Some(json!({})) },
            Message::Notification { method: "m".into(), params: None },
            Message::Response { id: "é\n".into(), result: json!([1]) },
            Message::Error {
                id: Some(2.into()),
                error: RpcError::new(1, "x").with_kind(super::super::error::ErrorKind::Dns),
            },
            Message::Error { id: None, error: RpcError::new(1, "x") },
        ] {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_value() {
        // This one lies between two floats; a hasty reader takes the farther.
        let number = "255555555555555555555555555555555555555555555555555555555555555550";
        let message = Message::decode(format!(r#"{{"id":1,"result":{number}}}"#).as_bytes());
        let message = message.expect("a response");
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}
