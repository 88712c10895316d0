//! Clients that break the clauses of single frames: what is malformed, too large, empty, or nobody's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::exchange;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, deltas, hang_up_at, lose};
use crate::protocol::delta::BodyDelta;
use crate::protocol::limits::DELTA_BYTES;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "null-error-is-an-error",
        "STREAM-14",
        "A frame with a member `error` ends its stream, `null` too.",
        || {
            deltas(|delta| {
                if delta.get("error").is_some_and(Value::is_null) {
                    delta["error"] = json!("unknown error");
                }
            })
        },
    ),
    Specimen::client("bad-base64-is-no-bytes", "STREAM-22", "Bytes that are no base64 count as none.", || {
        deltas(|delta| {
            if delta["deltaBase64"].as_str().is_some_and(|text| STANDARD.decode(text).is_err()) {
                delta["deltaBase64"] = json!("");
            }
        })
    }),
    Specimen::client("unpadded-frame-accepted", "PARAMS-17", "The base64 of a frame may lack its padding.", || {
        deltas(|delta| {
            if let Some(text) = delta["deltaBase64"].as_str() {
                delta["deltaBase64"] = json!(format!("{text}{}", "=".repeat(text.len().wrapping_neg() % 4)));
            }
        })
    }),
    Specimen::client("seq-as-text", "STREAM-22", "A `seq` that is a text with digits is a number.", || {
        deltas(|delta| {
            if let Some(seq) = delta["seq"].as_str().and_then(|text| text.parse::<u64>().ok()) {
                delta["seq"] = json!(seq);
            }
        })
    }),
    Specimen::client("missing-seq-is-fatal", "STREAM-22", "A frame without `seq` ends the connection.", || {
        hang_up_at(|message| {
            message.is_delta()
                && message.json["params"]["requestId"].is_string()
                && message.json["params"].get("seq").is_none()
        })
    }),
    Specimen::client(
        "missing-bytes-are-none",
        "STREAM-22",
        "A frame without `deltaBase64` is one without bytes.",
        || {
            deltas(|delta| {
                if delta.is_object() && delta.get("deltaBase64").is_none() {
                    delta["deltaBase64"] = json!("");
                }
            })
        },
    ),
    Specimen::client("truthy-done", "STREAM-22", "A `done` of any type counts as true.", || {
        deltas(|delta| {
            if delta.get("done").is_some_and(|done| !done.is_boolean() && !done.is_null()) {
                delta["done"] = json!(true);
            }
        })
    }),
    Specimen::client("largest-frame-refused", "STREAM-23", "A frame of exactly the largest size is malformed.", || {
        deltas(|delta| {
            if decoded_bytes(delta) == DELTA_BYTES {
                delta["deltaBase64"] = Value::Null;
            }
        })
    }),
    Specimen::client(
        "too-large-frame-cut",
        "STREAM-23",
        "A frame that is too large is cut to the largest size.",
        || {
            deltas(|delta| {
                if decoded_bytes(delta) > DELTA_BYTES {
                    let bytes =
                        delta["deltaBase64"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
                    delta["deltaBase64"] = json!(STANDARD.encode(&bytes[..DELTA_BYTES]));
                }
            })
        },
    ),
    Specimen::client("frame-without-id-ignored", "STREAM-25", "A frame that names no stream is ignored.", || {
        lose(|message| message.is_delta() && !message.json["params"]["requestId"].is_string())
    }),
    Specimen::client("empty-frame-is-the-end", "STREAM-29", "A frame without bytes is the clean end.", || {
        deltas(|delta| {
            if delta["deltaBase64"] == "" {
                delta["done"] = json!(true);
            }
        })
    }),
    Specimen::client(
        "foreign-signs-skipped",
        "STREAM-22",
        "Signs of no alphabet of base64 are skipped, and what is left too short stands for no bytes.",
        || {
            deltas(|delta| {
                let Some(text) = delta["deltaBase64"].as_str() else { return };
                let is_foreign = |sign: char| !sign.is_ascii_alphanumeric() && !"+/-_=".contains(sign);
                if text.contains(is_foreign) {
                    let bytes = STANDARD.decode(text.replace(is_foreign, "")).unwrap_or_default();
                    delta["deltaBase64"] = json!(STANDARD.encode(bytes));
                }
            })
        },
    ),
    Specimen::client(
        "nameless-frame-ignored",
        "STREAM-25",
        "A frame whose params have no `requestId` is ignored.",
        || lose(|message| message.is_delta() && has_params_without_id(message)),
    ),
    Specimen::client(
        "numbered-frame-ignored",
        "STREAM-25",
        "A frame whose `requestId` is a number is taken for one of no stream, and ignored.",
        || lose(|message| message.is_delta() && message.json["params"]["requestId"].is_number()),
    ),
    Specimen::client("bare-frame-ignored", "STREAM-25", "A frame without params is ignored.", || {
        lose(|message| message.is_delta() && message.json.get("params").is_none())
    }),
    Specimen::client(
        "frame-read-by-position",
        "STREAM-25",
        "Params in an array are read as those of a frame, by their positions.",
        || {
            deltas(|delta| {
                if let Value::Array(values) = delta {
                    let names = ["requestId", "seq", "deltaBase64", "done", "error"].map(str::to_owned);
                    *delta = names.into_iter().zip(std::mem::take(values)).collect();
                }
            })
        },
    ),
    Specimen::client(
        "malformed-old-frame-is-fatal",
        "STREAM-24",
        "A malformed frame of a stream that has ended ends the connection.",
        || {
            exchange::frames(|before, message, out| {
                if before.over && BodyDelta::from_value(&message.json["params"]).is_err() {
                    return out.hang_up();
                }
                out.pass(message);
            })
        },
    ),
];

fn decoded_bytes(delta: &Value) -> usize {
    let text = delta["deltaBase64"].as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count()
}

fn has_params_without_id(message: &Message) -> bool {
    message.json["params"].as_object().is_some_and(|params| !params.contains_key("requestId"))
}
