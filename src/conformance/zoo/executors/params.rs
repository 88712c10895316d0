//! Executors that break what is said about the members of a call.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::parts::{edit_text, headers};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, calls, deltas, failures};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::http::REQUEST_METHOD;

/// The members in the order in which a tuple of them would have them.
const MEMBERS: [&str; 8] =
    ["method", "url", "headers", "bodyBase64", "timeoutMs", "redirectPolicy", "requestId", "streamResponse"];

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("params-by-position", "PARAMS-1", "An array is read as the members in their order.", || {
        calls(|call| {
            if let Some(items) = call.as_array() {
                *call = MEMBERS.into_iter().map(str::to_owned).zip(items.iter().cloned()).collect();
            }
        })
    }),
    Specimen::executor("params-in-an-array", "PARAMS-1", "An array with one object is read as that object.", || {
        calls(|call| {
            if let Some([only]) = call.as_array().map(Vec::as_slice) {
                *call = only.clone();
            }
        })
    }),
    Specimen::executor(
        "missing-params-are-no-request",
        "PARAMS-1",
        "A call without params is answered with -32600.",
        || {
            Tamper::messages(|mut message, out| {
                if message.asked.as_ref().is_some_and(|asked| message.is_answer() && asked["params"].is_null()) {
                    message.json["error"]["code"] = json!(-32600);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor("get-by-default", "PARAMS-2", "A call without a method is a GET.", || {
        calls(|call| {
            if call.get("method").is_none_or(Value::is_null) && call.is_object() {
                call["method"] = json!("GET");
            }
        })
    }),
    Specimen::executor(
        "number-as-request-id",
        "PARAMS-2",
        "A requestId that is a number is read as its digits.",
        || {
            calls(|call| {
                if call["requestId"].is_number() {
                    call["requestId"] = json!(call["requestId"].to_string());
                }
            })
        },
    ),
    Specimen::executor("null-flag-is-false", "PARAMS-2", "A streamResponse of null or 0 is false.", || {
        calls(|call| {
            if call.get("streamResponse").is_some_and(|flag| flag.is_null() || *flag == 0) {
                call["streamResponse"] = json!(false);
            }
        })
    }),
    Specimen::executor("headers-in-an-object", "PARAMS-2", "An object is read as headers by their names.", || {
        calls(|call| {
            if let Some(members) = call["headers"].as_object() {
                call["headers"] = members.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            }
        })
    }),
    Specimen::executor("header-without-value", "PARAMS-2", "A header without a value has an empty one.", || {
        calls(|call| {
            for entry in headers(call).into_iter().flatten().filter(|entry| entry.is_object()) {
                if entry["value"].is_null() {
                    entry["value"] = json!("");
                }
            }
        })
    }),
    Specimen::executor("header-as-pair", "PARAMS-2", "An array is read as the name and the value of a header.", || {
        calls(|call| {
            for entry in headers(call).into_iter().flatten() {
                if let Some([name, value, ..]) = entry.as_array().map(Vec::as_slice) {
                    *entry = json!({"name": name, "value": value});
                }
            }
        })
    }),
    Specimen::executor("headers-required", "PARAMS-3", "A call without headers is refused.", || {
        calls(|call| {
            if call.get("headers").is_none() && call.is_object() {
                call["headers"] = Value::Null;
            }
        })
    }),
    Specimen::executor("stop-by-default", "PARAMS-3", "Redirects are not followed unless the policy says so.", || {
        calls(|call| {
            if call.get("redirectPolicy").is_none() && call.is_object() {
                call["redirectPolicy"] = json!("stop");
            }
        })
    }),
    Specimen::executor("null-body-refused", "PARAMS-4", "A bodyBase64 of null is refused.", || {
        calls(|call| {
            if call.get("bodyBase64").is_some_and(Value::is_null) {
                call["bodyBase64"] = json!(0);
            }
        })
    }),
    Specimen::executor("null-deadline-is-0", "PARAMS-4", "A timeoutMs of null is a deadline of 0.", || {
        calls(|call| {
            if call.get("timeoutMs").is_some_and(Value::is_null) {
                call["timeoutMs"] = json!(0);
            }
        })
    }),
    Specimen::executor("buffered-without-request-id", "PARAMS-5", "A buffered call needs no requestId.", || {
        calls(|call| {
            if call["requestId"].is_null() && call.is_object() && call["streamResponse"] != true {
                call["requestId"] = json!("none");
            }
        })
    }),
    Specimen::executor(
        "empty-request-id-refused",
        "PARAMS-6",
        "An empty requestId is taken for a missing one.",
        || {
            calls(|call| {
                if call["requestId"] == "" {
                    call["requestId"] = Value::Null;
                }
            })
        },
    ),
    Specimen::executor("request-id-of-255-bytes", "PARAMS-7", "A requestId of more than 255 bytes is refused.", || {
        calls(|call| {
            if call["requestId"].as_str().is_some_and(|id| id.len() > 255) {
                call["requestId"] = Value::Null;
            }
        })
    }),
    Specimen::executor("request-id-trimmed", "PARAMS-7", "White space around a requestId is not repeated.", || {
        deltas(|delta| edit_text(delta, "requestId", |id| id.trim().to_owned()))
    }),
    Specimen::executor(
        "request-id-without-controls",
        "PARAMS-7",
        "Control characters of a requestId are not repeated.",
        || deltas(|delta| edit_text(delta, "requestId", |id| id.replace(char::is_control, ""))),
    ),
    Specimen::executor("request-id-of-any-length", "PARAMS-8", "A requestId may be as long as it likes.", || {
        calls(|call| edit_text(call, "requestId", |id| if id.len() > 1024 { "long".to_owned() } else { id.to_owned() }))
    }),
    Specimen::executor(
        "limit-in-characters",
        "PARAMS-8",
        "The length of a requestId is counted in characters.",
        || {
            calls(|call| {
                let fits = |id: &str| id.len() <= 1024 || id.chars().count() > 1024;
                edit_text(call, "requestId", |id| if fits(id) { id.to_owned() } else { "long".to_owned() });
            })
        },
    ),
    Specimen::executor(
        "limit-without-kind",
        "PARAMS-8",
        "A requestId that is too long is refused without a kind.",
        || {
            failures(|error| {
                if error["code"] == -32602 && error["data"]["kind"] == "limit" {
                    error["data"] = Value::Null;
                }
            })
        },
    ),
    Specimen::executor("active-request-id-accepted", "PARAMS-9", "Two streams may have one requestId.", || {
        let mut streams = 0;
        Tamper::messages(move |mut message, out| {
            if message.is_call() && message.json["params"]["streamResponse"] == true {
                streams += 1;
                edit_text(&mut message.json["params"], "requestId", |id| format!("{id}#{streams}"));
            } else if message.is_delta() {
                let original = |id: &str| id.rsplit_once('#').map_or(id, |(id, _)| id).to_owned();
                edit_text(&mut message.json["params"], "requestId", original);
            }
            out.pass(message);
        })
    }),
    Specimen::executor(
        "refusal-ends-the-stream",
        "PARAMS-9",
        "A refused requestId ends the stream that has it.",
        || {
            let mut last_frames: HashMap<String, u64> = HashMap::new();
            let mut ended = BTreeSet::new();
            Tamper::messages(move |message, out| {
                if message.is_delta() {
                    let id = message.json["params"]["requestId"].to_string();
                    if ended.contains(&id) {
                        return;
                    }
                    last_frames.insert(id, message.json["params"]["seq"].as_u64().unwrap_or_default());
                } else if let Some(id) = refused_id(&message.json, message.asked.as_deref())
                    && let Some(seq) = last_frames.get(&id.to_string())
                {
                    ended.insert(id.to_string());
                    let end =
                        json!({"requestId": id, "seq": seq + 1, "deltaBase64": "", "done": true, "error": "refused"});
                    out.send(Way::ToClient, &json!({"method": DELTA_METHOD, "params": end}));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "buffered-needs-a-free-id",
        "PARAMS-10",
        "A buffered call with an active requestId is refused.",
        || {
            let mut active = BTreeSet::new();
            Tamper::messages(move |mut message, out| {
                let id = message.json["params"]["requestId"].to_string();
                if message.is_terminal() {
                    active.remove(&id);
                } else if message.is_call() && message.json["params"]["streamResponse"] == true {
                    active.insert(id);
                } else if message.is_call() && active.contains(&id) {
                    message.json["params"]["requestId"] = Value::Null;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "request-ids-of-the-process",
        "PARAMS-11",
        "A requestId is free when no connection uses it.",
        || {
            Tamper::messages(|mut message, out| {
                // The connections of one process share it; an executor of the zoo is a process of its own.
                static ACTIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
                let mut active = ACTIVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let id = message.json["params"]["requestId"].to_string();
                if message.is_terminal() {
                    active.remove(&id);
                } else if message.is_call() && message.json["params"]["streamResponse"] == true && !active.insert(id) {
                    message.json["params"]["requestId"] = Value::Null;
                }
                out.pass(message);
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "refused-id-stays-taken",
        "ORDER-7",
        "The requestId of a refused stream is never free again.",
        || {
            let mut taken = BTreeSet::new();
            Tamper::messages(move |mut message, out| {
                if let Some(id) = refused_id(&message.json, message.asked.as_deref()) {
                    taken.insert(id.to_string());
                } else if message.is_call() && taken.contains(&message.json["params"]["requestId"].to_string()) {
                    message.json["params"]["requestId"] = Value::Null;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "failed-id-stays-taken",
        "ORDER-7",
        "The requestId of a failed stream is never free again.",
        || {
            let mut taken = BTreeSet::new();
            Tamper::messages(move |mut message, out| {
                if message.is_answer() && message.json["error"]["code"] == -32603 {
                    taken.extend(message.asked.as_ref().map(|asked| asked["params"]["requestId"].to_string()));
                } else if message.is_call() && taken.contains(&message.json["params"]["requestId"].to_string()) {
                    message.json["params"]["requestId"] = Value::Null;
                }
                out.pass(message);
            })
        },
    ),
];

/// The requestId of the streamed call that an answer refuses.
fn refused_id<'a>(answer: &Value, asked: Option<&'a Value>) -> Option<&'a Value> {
    let call = asked.filter(|asked| asked["method"] == REQUEST_METHOD && answer["error"]["code"] == -32602)?;
    Some(&call["params"]["requestId"]).filter(|_| call["params"]["streamResponse"] == true)
}
