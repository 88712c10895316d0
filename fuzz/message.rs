//! One frame: a JSON value, the message in it, and the params and results that it carries.

use exec_http::protocol::delta::{BodyDelta, DELTA_METHOD};
use exec_http::protocol::error::RpcError;
use exec_http::protocol::http::{RequestParams, ResponseHead};
use exec_http::protocol::id::Id;
use exec_http::protocol::json::{self, JsonError};
use exec_http::protocol::limits::MESSAGE_VALUES;
use exec_http::protocol::message::{Malformed, Message};
use serde_json::Value;

/// The strict reader agrees with `serde_json` but for its documented refusals; what is accepted says what the value says, and
/// what is written reads as the same again.
pub fn check(data: &[u8]) {
    let value = json::parse(data);
    assert_eq!(value, expected(data));
    check_message(data, &value);
    if let Ok(value) = value {
        let parts = ["params", "result"].map(|member| value.get(member).cloned());
        for part in parts.into_iter().flatten().chain([value]) {
            check_delta(&part);
            check_params(&part);
            check_head(&part);
        }
    }
}

/// What `serde_json` and a count of everything written make of a frame.
fn expected(data: &[u8]) -> Result<Value, JsonError> {
    let strict = json::parse(data);
    match (std::str::from_utf8(data), serde_json::from_slice::<Value>(data)) {
        (Err(_), _) => Err(JsonError::Utf8),
        (Ok(text), Ok(value)) => {
            let (values, members) = count_written(text);
            if members > count_members(&value) {
                return Err(JsonError::RepeatedKey);
            }
            if values > MESSAGE_VALUES { Err(JsonError::TooManyValues) } else { Ok(value) }
        }
        // The strict reader may stop at a key before it comes to the fault.
        (Ok(_), Err(_)) if strict == Err(JsonError::RepeatedKey) => strict,
        (Ok(_), Err(error)) if error.is_eof() => Err(JsonError::Incomplete),
        (Ok(_), Err(error)) => Err(JsonError::Syntax { column: error.column() }),
    }
}

/// How many values and members a text says that is JSON, members that repeat a key included.
fn count_written(text: &str) -> (usize, usize) {
    let (mut values, mut members) = (1, 0);
    let (mut quoted, mut escaped, mut opened) = (false, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted => quoted = false,
            _ if quoted || byte.is_ascii_whitespace() => {}
            _ => {
                // A container has as many values as commas, and one more unless it is empty.
                values += usize::from(byte == b',') + usize::from(opened && !matches!(byte, b']' | b'}'));
                members += usize::from(byte == b':');
                opened = matches!(byte, b'[' | b'{');
                quoted = byte == b'"';
            }
        }
    }
    (values, members)
}

/// How many members a value has, those of all objects in it included.
fn count_members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_members).sum(),
        Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
        _ => 0,
    }
}

/// A message repeats members of its object; a refusal names a fault that the object has.
fn check_message(data: &[u8], value: &Result<Value, JsonError>) {
    let message = match (Message::decode(data), value) {
        (Err(Malformed::Json(error)), value) => return assert_eq!(value.as_ref(), Err(&error)),
        (_, Err(error)) => panic!("a message in spite of {error}"),
        (Ok(message), Ok(value)) => {
            assert_carries(&message, value);
            message
        }
        (Err(malformed), Ok(value)) => return assert!(has_fault(value, malformed), "{malformed}: {value}"),
    };
    let frame = message.encode();
    assert!(!frame.contains(&b'\n'), "a frame is one line");
    assert_eq!(Message::decode(&frame), Ok(message));
}

fn assert_carries(message: &Message, value: &Value) {
    let id = value.get("id").and_then(Id::from_value);
    match message {
        Message::Request { id: read, method, params } => {
            assert_eq!((Some(read), &value["method"]), (id.as_ref(), &Value::from(method.as_str())));
            assert_eq!(params.as_ref(), value.get("params"));
        }
        Message::Notification { method, params } => {
            assert_eq!((value.get("id"), &value["method"]), (None, &Value::from(method.as_str())));
            assert_eq!(params.as_ref(), value.get("params"));
        }
        Message::Response { id: read, result } => {
            assert_eq!((Some(read), value.get("method")), (id.as_ref(), None));
            assert_eq!(Some(result), value.get("result"));
        }
        Message::Error { id: read, error: RpcError { code, message, kind } } => {
            assert_eq!((read, value.get("method")), (&id, None));
            assert!(value["result"].is_null(), "the result is the answer");
            let error = &value["error"];
            assert_eq!((&error["code"], &error["message"]), (&(*code).into(), &message.as_str().into()));
            assert!(kind.is_none_or(|kind| error["data"]["kind"] == kind.as_str()));
        }
    }
}

fn has_fault(value: &Value, malformed: Malformed) -> bool {
    let Some(object) = value.as_object() else { return malformed == Malformed::NotAnObject };
    let id = object.get("id");
    let error = &value["error"];
    match malformed {
        Malformed::Json(_) | Malformed::NotAnObject => false,
        Malformed::Method => object.get("method").is_some_and(|method| !method.is_string()),
        Malformed::Id => id.is_none_or(|id| !id.is_i64() && !id.is_string()),
        Malformed::Error => !(error.is_null() || error["code"].is_i64() && error["message"].is_string()),
        Malformed::Shape => {
            let answered = !error.is_null() || object.contains_key("result");
            !object.contains_key("method") && !answered
        }
    }
}

/// A delta that is accepted is written with the same payload, on one line, and reads as the same.
fn check_delta(params: &Value) {
    let Ok(delta) = BodyDelta::from_value(params) else { return };
    let mut frame = Vec::new();
    delta.encode_into(&mut frame);
    assert!(!frame.contains(&b'\n'), "a frame is one line");
    let Ok(Message::Notification { method, params: Some(written) }) = Message::decode(&frame) else {
        panic!("{delta:?} is written as something else");
    };
    assert_eq!(method, DELTA_METHOD);
    for member in ["requestId", "seq", "deltaBase64"] {
        assert_eq!(written[member], params[member], "{member}");
    }
    assert_eq!(delta.is_terminal(), params["done"] == true || params["error"].is_string());
    assert_eq!(BodyDelta::from_value(&written), Ok(delta));
}

/// Params that are accepted are written with the same members, defaults aside, and read as the same.
fn check_params(value: &Value) {
    let Ok(params) = RequestParams::from_value(Some(value.clone())) else { return };
    let written = params.to_value();
    for member in ["requestId", "method", "url", "bodyBase64", "timeoutMs"] {
        assert_eq!(written[member], value[member], "{member}");
    }
    assert_eq!(written["streamResponse"], value["streamResponse"] == true);
    assert_eq!(written["redirectPolicy"] == "stop", value["redirectPolicy"] == "stop");
    assert_eq!(written["headers"].as_array().map(Vec::len), Some(value["headers"].as_array().map_or(0, Vec::len)));
    assert_eq!(RequestParams::from_value(Some(written)), Ok(params));
}

/// A result that is accepted is written with the same members and reads as the same.
fn check_head(value: &Value) {
    let Ok(head) = ResponseHead::from_value(value.clone()) else { return };
    let written = head.to_value();
    for member in ["status", "bodyBase64"] {
        assert_eq!(written[member], value[member], "{member}");
    }
    assert_eq!(ResponseHead::from_value(written), Ok(head));
}
