//! What is written can be read, however it is spelled; what is read strictly means the same to everybody.

use std::time::Duration;

use bytes::Bytes;
use exec_http::protocol::delta::BodyDelta;
use exec_http::protocol::error::{ErrorKind, RpcError};
use exec_http::protocol::http::{RedirectPolicy, RequestHeader, RequestParams, ResponseHead, ResponseHeader};
use exec_http::protocol::id::Id;
use exec_http::protocol::json::{self, JsonError};
use exec_http::protocol::message::{Malformed, Message};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// Any JSON value with such fractions.
fn value(fraction: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        fraction.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6).prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    value(any::<f64>().prop_filter("JSON has finite numbers only", |number| number.is_finite()))
}

/// A value whose fractions survive any reader.
fn exact_value() -> impl Strategy<Value = Value> {
    value(any::<i32>().prop_map(|number| f64::from(number) / 2.0))
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![any::<i64>().prop_map(Id::Integer), any::<String>().prop_map(Id::Text)]
}

fn error_kind() -> impl Strategy<Value = Option<ErrorKind>> {
    option::of(select(ErrorKind::ALL.as_slice()))
}

fn rpc_error() -> impl Strategy<Value = RpcError> {
    (any::<i64>(), any::<String>(), error_kind()).prop_map(|(code, message, kind)| RpcError { code, message, kind })
}

/// A message of each kind.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let params = || option::of(exact_value());
    prop_oneof![
        (id(), any::<String>(), params()).prop_map(|(id, method, params)| Message::Request { id, method, params }),
        (any::<String>(), params()).prop_map(|(method, params)| Message::Notification { method, params }),
        (id(), exact_value()).prop_map(|(id, result)| Message::Response { id, result }),
        (option::of(id()), rpc_error()).prop_map(|(id, error)| Message::Error { id, error }),
    ]
}

fn delta() -> impl Strategy<Value = BodyDelta> {
    let frame = (any::<String>(), any::<u64>(), vec(any::<u8>(), 0..300), any::<bool>());
    (frame, any::<Option<String>>(), error_kind()).prop_map(|((request_id, seq, data, done), error, error_kind)| {
        BodyDelta { request_id, seq, data: data.into(), done, error, error_kind }
    })
}

fn request_params() -> impl Strategy<Value = RequestParams> {
    let header = (any::<String>(), any::<String>(), any::<Option<String>>())
        .prop_map(|(name, value, value_env_var)| RequestHeader { name, value, value_env_var });
    let body = option::of(vec(any::<u8>(), 0..100).prop_map(Bytes::from));
    let timeout = option::of(any::<u64>().prop_map(Duration::from_millis));
    let policy = select([RedirectPolicy::Follow, RedirectPolicy::Stop].as_slice());
    let texts = (any::<String>(), any::<String>(), any::<String>());
    (texts, vec(header, 0..5), body, timeout, policy, any::<bool>(), option::of(any::<u64>())).prop_map(
        |((request_id, method, url), headers, body, timeout, redirect_policy, stream_response, credit)| RequestParams {
            request_id,
            method,
            url,
            headers,
            body,
            timeout,
            redirect_policy,
            stream_response,
            credit,
        },
    )
}

/// Header values are mostly text, sometimes any bytes.
fn response_head() -> impl Strategy<Value = ResponseHead> {
    let bytes = prop_oneof![any::<String>().prop_map(Bytes::from), vec(any::<u8>(), 0..20).prop_map(Bytes::from)];
    let header = (any::<String>(), bytes).prop_map(|(name, value)| ResponseHeader { name, value });
    (100..=999_u16, vec(header, 0..5), vec(any::<u8>(), 0..100)).prop_map(|(status, headers, body)| ResponseHead {
        status,
        headers,
        body: body.into(),
    })
}

/// A value as text, with the members of every object turned round by `turn` and an unknown one before each, and with spaces.
fn spelled(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            let first = turn % members.len().max(1);
            members.rotate_left(first);
            let member = |(index, (name, value)): (usize, (&String, &Value))| {
                let (name, value) = (Value::from(name.as_str()), spelled(value, turn));
                format!(" \"unknown {index}\" : [{{}}], {name}\t:\r\n{value} ")
            };
            format!("{{{}}}", members.into_iter().enumerate().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| spelled(value, turn)).collect();
            format!("[ {} ]", values.join(" , "))
        }
        leaf => leaf.to_string(),
    }
}

/// The envelope in another order and with unknown members; what it holds as it is, since there a member may mean anything.
fn respelled(message: &Message, turn: usize) -> String {
    let value = message.to_value();
    let mut members: Vec<_> = value.as_object().expect("messages are objects").iter().collect();
    let first = turn % members.len();
    members.rotate_left(first);
    let member = |(name, value): (&String, &Value)| format!(" \"unknown {name}\" : {{}} , \"{name}\" :\n{value}");
    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
}

/// One spelling of a text as a JSON string; `choices` chooses character by character.
fn escaped(text: &str, choices: &[u8]) -> String {
    let mut json = String::from("\"");
    for (character, choice) in text.chars().zip(choices.iter().cycle()) {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '/' => "\\/",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ => "",
        };
        match choice % 4 {
            0 if !short.is_empty() => json.push_str(short),
            1 if character >= ' ' && character != '"' && character != '\\' => json.push(character),
            2 => json.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}"))),
            _ => json.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    json.push('"');
    json
}

/// Texts with many characters that have escapes.
fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![select(['"', '\\', '/', '\u{8}', '\u{c}', '\n', '\r', '\t', '\0', '😀'].as_slice()), any::<char>()],
        0..20,
    )
    .prop_map(String::from_iter)
}

/// The params of a delta.
fn params_of(delta: &BodyDelta) -> Value {
    let mut frame = Vec::new();
    delta.encode_into(&mut frame);
    json::parse(&frame).expect("frames are JSON")["params"].take()
}

fn parse(text: &str) -> Value {
    json::parse(text.as_bytes()).expect("legal JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_strict_reader_accepts_what_the_library_writes(value in any_value()) {
        let text = value.to_string();
        prop_assert_eq!(json::parse(text.as_bytes()), Ok(serde_json::from_str::<Value>(&text).expect("just written")));
    }

    #[test]
    fn what_the_strict_reader_accepts_the_library_reads_the_same(value in any_value(), at in any::<Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(strict) = json::parse(&text) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&text).ok(), Some(strict));
        }
    }

    #[test]
    fn a_repeated_key_is_refused_at_any_depth_and_in_any_spelling(
        key in text(), other in text(), choices in vec(any::<u8>(), 1..8), depth in 0..5_usize, values in (any_value(), any_value()),
    ) {
        let (plain, escape) = (Value::from(key.as_str()), escaped(&key, &choices));
        let nested = |members: String| format!("{}{{{members}}}{}", "[{\"x\":".repeat(depth), "}]".repeat(depth));
        let twice = nested(format!("{plain}:{},\"between\":0,{escape}:{}", values.0, values.1));
        prop_assert_eq!(json::parse(twice.as_bytes()), Err(JsonError::RepeatedKey));
        if other != key {
            let once = nested(format!("{plain}:{},{}:{}", values.0, escaped(&other, &choices), values.1));
            prop_assert!(json::parse(once.as_bytes()).is_ok(), "{once}");
        }
    }

    #[test]
    fn every_spelling_of_a_text_is_that_text(text in text(), choices in vec(any::<u8>(), 1..8)) {
        prop_assert_eq!(parse(&escaped(&text, &choices)), Value::from(text));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text(text in text(), half in 0xd800..0xe000_u16, upper in any::<bool>()) {
        let half = if upper { format!("\\u{half:04X}") } else { format!("\\u{half:04x}") };
        let text = Value::from(text).to_string();
        let text = format!("{}{half} \"", &text[..text.len() - 1]);
        prop_assert!(matches!(json::parse(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text}");
    }

    #[test]
    fn whole_numbers_of_64_bits_keep_every_digit_and_are_ids_and_others_are_not(number in any::<i128>(), bits in 0..128_u32) {
        let number = number >> bits;
        let frame = |id: &str| Message::decode(format!(r#"{{"id":{id},"method":"m"}}"#).as_bytes());
        let expected = match i64::try_from(number) {
            Ok(number) => Ok(Message::Request { id: number.into(), method: "m".into(), params: None }),
            Err(_) => Err(Malformed::Id),
        };
        prop_assert_eq!(frame(&number.to_string()), expected);
        for fraction in [".0", "e0", "E+1", ".5e1"] {
            prop_assert_eq!(frame(&format!("{number}{fraction}")), Err(Malformed::Id));
        }
        if let Ok(number) = u64::try_from(number) {
            prop_assert_eq!(parse(&number.to_string()).as_u64(), Some(number));
        }
    }

    #[test]
    fn a_message_survives_any_order_of_its_members(message in message(), turn in 0..4_usize) {
        prop_assert_eq!(Message::decode(respelled(&message, turn).as_bytes()), Ok(message));
    }

    #[test]
    fn an_error_survives_unknown_members(error in rpc_error(), turn in 0..4_usize) {
        let text = spelled(&error.to_value(), turn);
        prop_assert_eq!(parse(&text).as_object().and_then(RpcError::from_object), Some(error));
    }

    #[test]
    fn a_delta_survives_any_order_of_its_members(delta in delta(), turn in 0..8_usize) {
        let text = spelled(&params_of(&delta), turn);
        prop_assert_eq!(BodyDelta::from_value(&parse(&text)), Ok(delta));
    }

    #[test]
    fn params_survive_any_order_of_their_members(params in request_params(), turn in 0..8_usize) {
        let text = spelled(&params.to_value(), turn);
        prop_assert_eq!(RequestParams::from_value(Some(parse(&text))), Ok(params));
    }

    #[test]
    fn a_response_survives_any_order_of_its_members(head in response_head(), turn in 0..8_usize) {
        let text = spelled(&head.to_value(), turn);
        prop_assert_eq!(ResponseHead::from_value(parse(&text)), Ok(head));
    }

    #[test]
    fn null_and_missing_are_the_same_where_a_member_is_optional(params in request_params(), delta in delta()) {
        let params = RequestParams { body: None, timeout: None, ..params };
        let mut value = params.to_value();
        prop_assert_eq!(RequestParams::from_value(Some(value.clone())), Ok(params.clone()));
        (value["bodyBase64"], value["timeoutMs"]) = (Value::Null, Value::Null);
        prop_assert_eq!(RequestParams::from_value(Some(value)), Ok(params));
        let delta = BodyDelta { done: false, error: None, error_kind: None, ..delta };
        let mut value = params_of(&delta);
        (value["error"], value["errorKind"]) = (Value::Null, Value::Null);
        prop_assert_eq!(BodyDelta::from_value(&value), Ok(delta.clone()));
        value.as_object_mut().expect("an object").retain(|member, _| !["done", "error", "errorKind"].contains(&&**member));
        prop_assert_eq!(BodyDelta::from_value(&value), Ok(delta));
    }
}
