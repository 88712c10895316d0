//! An executor that asks for each body in frames, and joins them for buffered calls.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::parts;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper};

/// Joins frames, and takes a body that broke off in one of these ways for a whole one.
pub(super) fn gathered(whole: &'static [&'static str]) -> Tamper {
    gathered_after(whole, |_, _| {})
}

/// The same; `failed` is asked before a failure is told that comes in place of a response.
pub(super) fn gathered_after(whole: &'static [&'static str], failed: fn(&Message, &mut Outlet)) -> Tamper {
    // The answer to a call, and the body so far, by the id of the stream behind it.
    let mut bodies: HashMap<String, (Option<Value>, Vec<u8>)> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let stream = format!("gathered {}", message.json["id"]);
        if message.is_call() {
            let call = &mut message.json["params"];
            if call["requestId"].is_string() && matches!(call.get("streamResponse"), None | Some(Value::Bool(false))) {
                call["requestId"] = json!(stream);
                call["streamResponse"] = json!(true);
                bodies.insert(stream, (None, Vec::new()));
            }
        } else if message.is_answer() && message.json.get("result").is_some() {
            if let Some((answer, _)) = bodies.get_mut(&stream) {
                *answer = Some(message.json);
                return;
            }
        } else if message.is_answer() {
            bodies.remove(&stream);
            failed(&message, out);
        } else if message.is_delta() {
            let delta = &message.json["params"];
            let stream = delta["requestId"].as_str().unwrap_or_default();
            if let Some((_, body)) = bodies.get_mut(stream) {
                body.extend(STANDARD.decode(delta["deltaBase64"].as_str().unwrap_or_default()).unwrap_or_default());
                if message.is_terminal()
                    && let Some((Some(mut answer), body)) = bodies.remove(stream)
                {
                    match delta["error"].as_str() {
                        Some(text) if !whole.iter().any(|kind| delta["errorKind"] == *kind) => {
                            parts::fail(&mut answer, delta["errorKind"].as_str().unwrap_or_default(), text);
                        }
                        _ => answer["result"]["bodyBase64"] = json!(STANDARD.encode(body)),
                    }
                    out.send(message.way, &answer);
                }
                return;
            }
        }
        out.pass(message);
    })
}
