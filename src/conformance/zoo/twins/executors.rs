//! Executors that are odd but correct: other framings of the same bytes, other spellings of the same messages, and for each clause
//! that allows several outcomes the one that the built-in executor does not choose.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::spelling::{Spelling, spelt};
use crate::conformance::case::Half;
use crate::conformance::declaration::{CANCEL, CREDIT};
use crate::conformance::zoo::proxy::Make;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way, answers, deltas, failures};
use crate::protocol::http::REQUEST_METHOD;

/// The most frames that one frame is cut into.
const PARTS: usize = 8;

/// How much later than need be a slow executor sends a message.
const SLOWNESS: Duration = Duration::from_millis(2);

/// Of so many messages it sends one late.
const SLOW_EVERY: u32 = 8;

const fn twin(name: &'static str, sentence: &'static str, make: Make) -> Specimen {
    Specimen::twin(Half::Executor, name, sentence, make)
}

/// All of them, the correct one first.
pub(super) const TWINS: &[Specimen] = &[
    twin("correct-executor", "Nothing passes otherwise than it came.", Tamper::none),
    twin("cancelling-executor", "Calls can be cancelled.", Tamper::none).offering(&[CANCEL]),
    twin("crediting-executor", "Streams keep to a credit.", Tamper::none).offering(&[CREDIT]),
    twin("one-byte-frames", "Every frame of a body has one byte, as far as 8 frames go.", || {
        reframed(|params| cut(params, PARTS))
    }),
    twin("frames-in-halves", "What came from the origin together is sent in two frames.", || {
        reframed(|params| cut(params, 2))
    }),
    twin("empty-frames", "A frame without bytes, which is not terminal, goes before every frame with bytes.", || {
        reframed(|params| {
            if params["deltaBase64"] == "" {
                return vec![params.clone()];
            }
            let mut empty = params.clone();
            empty["deltaBase64"] = json!("");
            empty["done"] = json!(false);
            empty["error"] = Value::Null;
            vec![empty, params.clone()]
        })
    }),
    twin(
        "last-bytes-with-the-end",
        "The terminal frame has the last bytes of a body whose length is known.",
        last_bytes,
    ),
    twin("extra-members", "Results, errors and deltas have members that nobody knows.", || {
        to_client(|json| {
            for member in ["result", "params", "error"] {
                if json[member].is_object() {
                    json[member]["x-extra"] = json!({"a": [1, null]});
                }
            }
            json["trace"] = json!("x");
        })
    }),
    twin("members-backwards", "The members of every object come in another order.", || {
        spelt(Way::ToClient, Spelling::Backwards)
    }),
    twin("white-space", "There is white space wherever JSON allows it.", || spelt(Way::ToClient, Spelling::Spaced)),
    twin("escaped-texts", "Every character of a text is an escape.", || spelt(Way::ToClient, Spelling::Escaped)),
    twin("jsonrpc-member", "Every message has a `jsonrpc` member.", || {
        to_client(|json| json["jsonrpc"] = json!("2.0"))
    }),
    twin("defaults-left-out", "A frame says neither `done: false` nor `error: null`.", || {
        deltas(|delta| {
            let is_default = |member: &Value| *member == json!(false) || member.is_null();
            if let Some(members) = delta.as_object_mut() {
                members.retain(|name, member| !matches!(name.as_str(), "done" | "error") || !is_default(member));
            }
        })
    }),
    twin("slow-but-steady", "Now and then a message goes out a little later than need be.", || {
        let mut messages = 0_u32;
        Tamper::messages(move |message, out| {
            if message.way == Way::ToClient {
                messages += 1;
                if messages % SLOW_EVERY == 1 {
                    out.wait(SLOWNESS);
                }
            }
            out.pass(message);
        })
    }),
    twin("other-error-texts", "Errors have other texts.", || {
        to_client(|json| {
            if json["error"].is_object() {
                json["error"]["message"] = json!("nein");
            }
            if json["params"]["error"].is_string() {
                json["params"]["error"] = json!("das war nichts");
            }
        })
    }),
    twin("pings-often", "A ping goes before every message.", || {
        Tamper::messages(|message, out| {
            if message.way == Way::ToClient {
                out.unit(Way::ToClient, Unit::Ping(Bytes::from_static(b"there?")));
            }
            out.pass(message);
        })
        .with_units(|way, unit, out| {
            // The executor behind has asked for no such pong.
            if unit != Unit::Pong(Bytes::from_static(b"there?")) {
                out.unit(way, unit);
            }
        })
    })
    .on_websocket(),
    twin("odd-session-id", "The session id is a long text with characters of all kinds.", || {
        const ODD: &str = "\u{1F600} session \"of\"\u{7} ";
        Tamper::messages(|mut message, out| {
            if let Some(session) = message.json["result"]["sessionId"].as_str() {
                message.json["result"]["sessionId"] = json!(format!("{ODD}{session}"));
            }
            pass_request(message, out, "initialize", |params| {
                let plain = params["resumeSessionId"].as_str().and_then(|id| id.strip_prefix(ODD)).map(str::to_owned);
                if let Some(plain) = plain {
                    params["resumeSessionId"] = json!(plain);
                }
            });
        })
    }),
    // Clauses that allow several outcomes.
    twin("malformed-frame-as-parse-error", "A malformed frame is answered with id null and -32700.", || {
        to_client(|json| {
            if json["id"] == -1 && json["error"]["code"] == -32600 {
                json["id"] = Value::Null;
                json["error"]["code"] = json!(-32700);
            }
        })
    }),
    twin(
        "unknown-notification-answered",
        "A notification that nobody knows is answered with an error of id -1.",
        || {
            Tamper::messages(|message, out| {
                let is_unknown = message.json.get("id").is_none() && !["", "initialized"].contains(&message.method());
                if message.way == Way::ToExecutor && is_unknown {
                    out.send(
                        Way::ToClient,
                        &json!({"id": -1, "error": {"code": -32600, "message": "unknown notification"}}),
                    );
                } else {
                    out.pass(message);
                }
            })
        },
    ),
    twin("stray-answer-answered", "An answer to nothing is answered with an error of id -1.", || {
        Tamper::messages(|message, out| {
            let json = &message.json;
            let is_answer =
                json.get("method").is_none() && (json.get("result").is_some() || json.get("error").is_some());
            if message.way == Way::ToExecutor && is_answer {
                out.send(Way::ToClient, &json!({"id": -1, "error": {"code": -32600, "message": "a stray answer"}}));
            } else {
                out.pass(message);
            }
        })
    }),
    twin("early-params-not-decoded", "Before the handshake a call is refused before its params are looked at.", || {
        let mut ready = false;
        let mut early = HashSet::new();
        Tamper::messages(move |mut message, out| {
            if message.way == Way::ToExecutor {
                ready |= message.method() == "initialized";
                if message.is_call() && !ready {
                    early.insert(message.json["id"].to_string());
                }
            } else if early.remove(&message.json["id"].to_string()) && message.json["error"]["code"] == -32602 {
                message.json["error"]["code"] = json!(-32600);
            }
            out.pass(message);
        })
    }),
    twin("sessions-not-resumed", "A session that is attached elsewhere is refused as any other.", || {
        answers("initialize", |answer| {
            if answer["error"]["code"] == -32010 {
                answer["error"]["code"] = json!(-32600);
            }
        })
    }),
    twin("early-initialized-is-fatal", "An `initialized` before `initialize` ends the connection.", || {
        let mut asked = false;
        Tamper::messages(move |message, out| {
            asked |= message.method() == "initialize";
            if message.way == Way::ToExecutor && message.method() == "initialized" && !asked {
                out.hang_up();
            } else {
                out.pass(message);
            }
        })
    }),
    twin(
        "two-lengths-refused",
        "A response with `transfer-encoding` and `content-length` is an upstream failure.",
        || {
            answers(REQUEST_METHOD, |answer| {
                let names: Vec<_> = answer["result"]["headers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|header| &header["name"])
                    .collect();
                let both = ["transfer-encoding", "content-length"];
                if both.iter().all(|name| names.iter().any(|found| *found == name)) {
                    let error = json!({"code": -32603, "message": "http/request failed", "data": {"kind": "protocol"}});
                    *answer = json!({"id": answer["id"], "error": error});
                }
            })
        },
    ),
    twin("more-than-a-kind", "The `data` of an error has more than its kind.", || {
        failures(|error| {
            if error["data"].is_object() {
                error["data"]["detail"] = json!([1, 2]);
            }
        })
    }),
];

/// Changes every message to the client.
fn to_client(mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.way == Way::ToClient {
            change(&mut message.json);
        }
        out.pass(message);
    })
}

/// Passes a message, whose params are changed if it is a request of that method.
fn pass_request(mut message: Message, out: &mut Outlet, method: &str, change: impl FnOnce(&mut Value)) {
    if message.way == Way::ToExecutor && message.method() == method {
        change(&mut message.json["params"]);
    }
    out.pass(message);
}

/// Sends other frames for each frame of a body, and numbers them anew.
fn reframed(mut frames: impl FnMut(&Value) -> Vec<Value> + Send + 'static) -> Tamper {
    let mut numbers: HashMap<String, u64> = HashMap::new();
    Tamper::messages(move |message, out| {
        if !message.is_delta() {
            return out.pass(message);
        }
        let id = message.json["params"]["requestId"].to_string();
        for mut params in frames(&message.json["params"]) {
            let number = numbers.entry(id.clone()).or_default();
            *number += 1;
            params["seq"] = json!(*number);
            let mut frame = message.json.clone();
            frame["params"] = params;
            out.send(Way::ToClient, &frame);
        }
        if message.is_terminal() {
            numbers.remove(&id);
        }
    })
}

/// A frame in at most so many parts; what ends the body is the last of them.
fn cut(params: &Value, parts: usize) -> Vec<Value> {
    let bytes = STANDARD.decode(params["deltaBase64"].as_str().unwrap_or_default()).unwrap_or_default();
    let mut frames: Vec<Value> = bytes
        .chunks(bytes.len().div_ceil(parts).max(1))
        .map(|part| {
            let mut frame = params.clone();
            frame["deltaBase64"] = json!(STANDARD.encode(part));
            frame["done"] = json!(false);
            frame["error"] = Value::Null;
            frame
        })
        .collect();
    match frames.last_mut() {
        None => frames.push(params.clone()),
        Some(last) => {
            last["done"] = params["done"].clone();
            last["error"] = params["error"].clone();
        }
    }
    frames
}

/// Keeps the frame with which a body has all its bytes until the terminal frame comes, which takes them along.
fn last_bytes() -> Tamper {
    let mut left: HashMap<String, usize> = HashMap::new();
    let mut kept: HashMap<String, Value> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        if message.is_answer() {
            let asked = message.asked.as_deref().unwrap_or(&Value::Null);
            let headers = message.json["result"]["headers"].as_array().into_iter().flatten();
            let mut lengths = headers.filter(|header| header["name"] == "content-length");
            let length = lengths.next().and_then(|header| header["value"].as_str()?.parse().ok());
            if let Some(length) = length {
                left.insert(asked["params"]["requestId"].to_string(), length);
            }
        }
        if !message.is_delta() {
            return out.pass(message);
        }
        let id = message.json["params"]["requestId"].to_string();
        let delta = message.json["params"]["deltaBase64"].as_str().unwrap_or_default().to_owned();
        if message.is_terminal() {
            left.remove(&id);
            if let Some(last) = kept.remove(&id).filter(|_| delta.is_empty()) {
                message.json["params"]["seq"] = last["params"]["seq"].clone();
                message.json["params"]["deltaBase64"] = last["params"]["deltaBase64"].clone();
            }
            return out.pass(message);
        }
        let bytes = STANDARD.decode(&delta).map_or(0, |bytes| bytes.len());
        match left.get_mut(&id) {
            Some(left) if *left == bytes => _ = kept.insert(id, message.json),
            Some(left) => {
                *left = left.saturating_sub(bytes);
                out.pass(message);
            }
            None => out.pass(message),
        }
    })
}
