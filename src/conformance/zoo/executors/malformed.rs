//! Executors that break the clauses of malformed frames.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Way, calls, instead, unreadable};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("malformed-not-answered", "ENVELOPE-6", "A frame that is not JSON is skipped.", || {
        unreadable(|_, _| {})
    }),
    Specimen::executor(
        "malformed-answered-as-zero",
        "ENVELOPE-6",
        "A malformed frame is answered with the id 0.",
        || to_malformed(|answer| answer["id"] = json!(0)),
    ),
    Specimen::executor(
        "malformed-is-internal-error",
        "ENVELOPE-6",
        "A malformed frame is answered with -32603.",
        || to_malformed(|answer| answer["error"]["code"] = json!(-32603)),
    ),
    Specimen::executor(
        "trailing-comma-read",
        "ENVELOPE-6",
        "A comma behind the last member of an object is read over.",
        || repaired(|text| text.replace(",}", "}")),
    ),
    Specimen::executor(
        "malformed-hangs-up",
        "ENVELOPE-7",
        "A malformed frame is answered, and the connection closed.",
        || {
            Tamper::messages(|message, out| {
                let is_last = answers_malformed(&message);
                out.pass(message);
                if is_last {
                    out.hang_up();
                }
            })
        },
    ),
    Specimen::executor(
        "refusal-ends-streams",
        "ENVELOPE-7",
        "A call that is refused takes the streams of its connection with it.",
        || {
            let mut refused = false;
            Tamper::messages(move |message, out| {
                refused |= message.is_answer() && message.json.get("error").is_some();
                if !refused || !message.is_delta() {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "batch-executed",
        "ENVELOPE-8",
        "The requests of a batch are executed, each with an answer of its own.",
        || {
            unreadable(|bytes, out| match serde_json::from_slice(&bytes) {
                Ok(Value::Array(batch)) => batch.iter().for_each(|element| out.send(Way::ToExecutor, element)),
                _ => out.text(Way::ToExecutor, bytes),
            })
        },
    ),
    Specimen::executor("empty-batch-skipped", "ENVELOPE-8", "A batch without requests is not answered.", || {
        unreadable(|bytes, out| {
            if bytes != "[]" {
                out.text(Way::ToExecutor, bytes);
            }
        })
    }),
    Specimen::executor(
        "scalar-skipped",
        "ENVELOPE-9",
        "A frame that is a number, a boolean or null is not answered.",
        || {
            unreadable(|bytes, out| match serde_json::from_slice(&bytes) {
                Ok(Value::Number(_) | Value::Bool(_) | Value::Null) => {}
                _ => out.text(Way::ToExecutor, bytes),
            })
        },
    ),
    Specimen::executor(
        "nothing-asked-answered-by-id",
        "ENVELOPE-9",
        "An object with an `id` that asks and answers nothing is refused under that id.",
        || {
            let is_bare = |message: &Message| {
                let has = |name| message.json.get(name).is_some();
                has("id") && !has("method") && !has("result") && !has("error")
            };
            instead(is_bare, |message, out| out.refuse(&message.json["id"], -32600))
        },
    ),
    Specimen::executor(
        "surrogate-replaced",
        "ENVELOPE-9",
        "The escape of half a surrogate pair is read as the replacement character.",
        || repaired(|text| replace_surrogates(&text)),
    ),
    Specimen::executor(
        "all-objects-of-a-frame-read",
        "ENVELOPE-10",
        "A frame of several objects is read as that many messages.",
        || {
            unreadable(|bytes, out| {
                let objects: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&bytes).into_iter().collect();
                match objects {
                    Ok(objects) if objects.len() > 1 => {
                        objects.iter().for_each(|object| out.send(Way::ToExecutor, object));
                    }
                    _ => out.text(Way::ToExecutor, bytes),
                }
            })
        },
    ),
    Specimen::executor(
        "text-behind-object-ignored",
        "ENVELOPE-10",
        "Nothing is read behind the first object of a frame.",
        || {
            unreadable(|bytes, out| match serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>().next() {
                Some(Ok(object)) if object.is_object() => out.send(Way::ToExecutor, &object),
                _ => out.text(Way::ToExecutor, bytes),
            })
        },
    ),
    Specimen::executor("byte-order-mark-skipped", "ENVELOPE-10", "A byte order mark is skipped.", || {
        repaired(|text| text.trim_start_matches('\u{feff}').to_owned())
    }),
    Specimen::executor("last-member-wins", "ENVELOPE-11", "Of repeated members the last one counts.", || {
        rewritten(|message| Some(message.json.clone()))
    }),
    Specimen::executor(
        "repeats-in-unknown-members",
        "ENVELOPE-11",
        "Members of objects that the executor skips may repeat.",
        || rewritten(|message| known(message.text().as_bytes())),
    ),
    Specimen::executor(
        "names-compared-as-spelled",
        "ENVELOPE-11",
        "Two spellings of one name are two members, and the last one counts.",
        || rewritten(|message| message.text().contains("\\u").then(|| message.json.clone())),
    ),
    Specimen::executor(
        "unknown-values-not-counted",
        "ENVELOPE-12",
        "The values of unknown params are not counted.",
        || calls(|params| _ = params.as_object_mut().and_then(|params| params.remove("x"))),
    ),
    Specimen::executor(
        "value-limit-excluded",
        "ENVELOPE-12",
        "A message with as many values as are allowed is refused.",
        || instead(|message| count(&message.json) >= 262_144, |_, out| out.malformed()),
    ),
    Specimen::executor(
        "unknown-nesting-not-counted",
        "ENVELOPE-13",
        "Members that the executor skips may nest as deep as they like.",
        || {
            unreadable(|bytes, out| match known(&bytes) {
                Some(message) => out.send(Way::ToExecutor, &message),
                None => out.text(Way::ToExecutor, bytes),
            })
        },
    ),
    Specimen::executor("nesting-64", "ENVELOPE-14", "A message that nests more than 64 deep is malformed.", || {
        instead(|message| depth(&message.json) > 64, |_, out| out.malformed())
    }),
];

fn answers_malformed(message: &Message) -> bool {
    message.way == Way::ToClient && message.json["id"] == -1
}

/// Changes the answers to malformed frames.
fn to_malformed(change: fn(&mut Value)) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if answers_malformed(&message) {
            change(&mut message.json);
        }
        out.pass(message);
    })
}

/// Changes the text of messages that are no JSON objects.
fn repaired(repair: fn(String) -> String) -> Tamper {
    unreadable(move |bytes, out| match String::from_utf8(bytes.to_vec()) {
        Ok(text) => out.text(Way::ToExecutor, repair(text)),
        Err(_) => out.text(Way::ToExecutor, bytes),
    })
}

/// Writes messages of the client anew.
fn rewritten(rewrite: fn(&Message) -> Option<Value>) -> Tamper {
    Tamper::messages(move |message, out| match rewrite(&message) {
        Some(json) if message.way == Way::ToExecutor => out.send(Way::ToExecutor, &json),
        _ => out.pass(message),
    })
}

fn replace_surrogates(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let is_half = code.is_some_and(|code| (0xd800..0xe000).contains(&code));
        out += "\\u";
        out += if is_half { "fffd" } else { part.get(..4).unwrap_or(part) };
        out += part.get(4..).unwrap_or_default();
    }
    out
}

/// A call, read as a decoder reads it that skips what it does not know without a look inside.
fn known(text: &[u8]) -> Option<Value> {
    #[derive(Deserialize, Serialize)]
    struct Call {
        id: Value,
        method: Value,
        params: Params,
    }
    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        method: Value,
        url: Value,
        headers: Option<Value>,
        body_base64: Option<Value>,
        timeout_ms: Option<Value>,
        redirect_policy: Option<Value>,
        request_id: Value,
        #[serde(default)]
        stream_response: bool,
    }
    let call: Call = serde_json::from_slice(text).ok()?;
    let mut call = serde_json::to_value(call).ok()?;
    call["params"].as_object_mut()?.retain(|_, value| !value.is_null());
    Some(call)
}

/// Its JSON values, itself included.
fn count(value: &Value) -> usize {
    1 + children(value).map(count).sum::<usize>()
}

/// How deep its objects and arrays nest.
fn depth(value: &Value) -> usize {
    let is_nest = value.is_object() || value.is_array();
    usize::from(is_nest) + children(value).map(depth).max().unwrap_or(0)
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(object) => Box::new(object.values()),
        Value::Array(array) => Box::new(array.iter()),
        _ => Box::new(std::iter::empty()),
    }
}
