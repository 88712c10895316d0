//! Clients that break the clauses of the envelope.

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Unit, Way, deltas, hang_up_at, lose, responses, results};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::session::INITIALIZE_METHOD;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "result-before-method",
        "ENVELOPE-1",
        "A message with a `result` is taken for an answer, although its `method` makes it a request.",
        || {
            Tamper::messages(|mut message, out| {
                if message.way == Way::ToClient && message.json.get("result").is_some() {
                    message.json.as_object_mut().expect("a message is an object").remove("method");
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client("calls-in-a-batch", "ENVELOPE-1", "A call is sent as a batch of one.", || {
        Tamper::messages(|message, out| {
            if message.is_call() {
                out.send(message.way, &json!([message.json]));
            } else {
                out.pass(message);
            }
        })
    }),
    Specimen::client(
        "jsonrpc-version-checked",
        "ENVELOPE-2",
        "A message whose `jsonrpc` is something else than 2.0 is ignored.",
        || {
            lose(|message| {
                from_executor(message)
                    && !matches!(&message.json["jsonrpc"], Value::Null)
                    && message.json["jsonrpc"] != "2.0"
            })
        },
    ),
    Specimen::client("client-jsonrpc-written", "ENVELOPE-3", "Each message has a member `jsonrpc`.", || {
        Tamper::messages(|mut message, out| {
            if !from_executor(&message) {
                message.json["jsonrpc"] = json!("2.0");
            }
            out.pass(message);
        })
    }),
    Specimen::client("strict-frame", "ENVELOPE-4", "A frame with a member that nobody knows does not decode.", || {
        deltas(|delta| {
            if has_more_than(delta, &["requestId", "seq", "deltaBase64", "done", "error", "errorKind"]) {
                delta["seq"] = Value::Null;
            }
        })
    }),
    Specimen::client(
        "strict-result",
        "ENVELOPE-4",
        "A response with a member that nobody knows does not decode.",
        || {
            responses(|result| {
                if has_more_than(result, &["status", "headers", "bodyBase64"]) {
                    *result = Value::Null;
                }
            })
        },
    ),
    Specimen::client(
        "strict-session",
        "ENVELOPE-4",
        "A result of `initialize` with a member that nobody knows does not decode.",
        || {
            results(INITIALIZE_METHOD, |result| {
                if has_more_than(result, &["sessionId", "environmentInfo"]) {
                    *result = Value::Null;
                }
            })
        },
    ),
    Specimen::client(
        "method-sought-first",
        "ENVELOPE-5",
        "A notification is known by its first member, which has to be `method`.",
        || Tamper::reads(|bytes| replaced(bytes, r#"{"params":"#, r#"{"":"#)),
    ),
    Specimen::client("client-batch-executed", "ENVELOPE-22", "The elements of a batch are taken as messages.", || {
        Tamper::units(|way, unit, out| match json_of(&unit) {
            Some(Value::Array(messages)) if way == Way::ToClient => {
                messages.iter().for_each(|message| out.send(way, message));
            }
            _ => out.unit(way, unit),
        })
    }),
    Specimen::client("scalar-ignored", "ENVELOPE-22", "A frame that is no object is ignored.", || {
        Tamper::units(|way, unit, out| {
            if way == Way::ToExecutor || json_of(&unit).is_none() {
                out.unit(way, unit);
            }
        })
    }),
    Specimen::client("not-json-ignored", "ENVELOPE-22", "A frame that is no JSON is ignored.", || {
        Tamper::units(|way, unit, out| {
            if way == Way::ToExecutor || !matches!(unit, Unit::Message { .. }) || json_of(&unit).is_some() {
                out.unit(way, unit);
            }
        })
    }),
    Specimen::client(
        "unknown-shape-ignored",
        "ENVELOPE-22",
        "An object without the members of a message is ignored.",
        || {
            lose(|message| {
                from_executor(message)
                    && !["method", "result", "error"].iter().any(|name| message.json.get(name).is_some())
            })
        },
    ),
    Specimen::client("question-unanswered", "ENVELOPE-24", "A request of the executor is never answered.", || {
        lose(is_question)
    }),
    Specimen::client("question-is-fatal", "ENVELOPE-24", "A request of the executor ends the connection.", || {
        hang_up_at(is_question)
    }),
    Specimen::client(
        "unknown-notification-is-fatal",
        "ENVELOPE-24",
        "A notification that the client does not know ends the connection.",
        || {
            hang_up_at(|message| {
                from_executor(message)
                    && !message.method().is_empty()
                    && message.json.get("id").is_none()
                    && message.method() != DELTA_METHOD
            })
        },
    ),
    Specimen::client(
        "log-line-ignored",
        "ENVELOPE-22",
        "A frame that begins with a letter and is no JSON is taken for a line of a log, and ignored.",
        || ignore_no_json(|bytes, _| bytes.first().is_some_and(u8::is_ascii_alphabetic)),
    ),
    Specimen::client(
        "cut-off-json-ignored",
        "ENVELOPE-22",
        "JSON that is cut off is ignored, as if the rest of it were still to come.",
        || ignore_no_json(|_, error| error.is_eof()),
    ),
    Specimen::client("json-text-ignored", "ENVELOPE-22", "A frame that is a JSON string is ignored.", || {
        Tamper::units(|way, unit, out| {
            if way == Way::ToExecutor || !json_of(&unit).is_some_and(|json| json.is_string()) {
                out.unit(way, unit);
            }
        })
    }),
    Specimen::client("minus-one-answers-nobody", "ENVELOPE-23", "An error with id -1 is ignored.", || {
        lose(|message| from_executor(message) && message.json.get("error").is_some() && message.json["id"] == -1)
    }),
    Specimen::client("null-answers-nobody", "ENVELOPE-23", "An error with id `null` is ignored.", || {
        lose(|message| from_executor(message) && message.json.get("error").is_some() && message.json["id"].is_null())
    }),
];

fn from_executor(message: &Message) -> bool {
    message.way == Way::ToClient
}

fn is_question(message: &Message) -> bool {
    from_executor(message) && message.json.get("id").is_some() && !message.method().is_empty()
}

fn has_more_than(object: &Value, known: &[&str]) -> bool {
    object.as_object().is_some_and(|object| object.keys().any(|name| !known.contains(&name.as_str())))
}

fn json_of(unit: &Unit) -> Option<Value> {
    match unit {
        Unit::Message { bytes, .. } => serde_json::from_slice(bytes).ok(),
        _ => None,
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
}

/// Loses frames of the executor that are no JSON and of that kind.
fn ignore_no_json(which: fn(&[u8], &serde_json::Error) -> bool) -> Tamper {
    Tamper::units(move |way, unit, out| {
        let ignored = match &unit {
            Unit::Message { bytes, .. } if way == Way::ToClient => {
                serde_json::from_slice::<Value>(bytes).is_err_and(|error| which(bytes, &error))
            }
            _ => false,
        };
        if !ignored {
            out.unit(way, unit);
        }
    })
}
