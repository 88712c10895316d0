//! Clients that are odd but correct: other ids, other spellings of the same messages, members that nobody needs.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::spelling::{Spelling, spelt};
use crate::conformance::case::Half;
use crate::conformance::zoo::proxy::Make;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, calls, requests};
use crate::protocol::cancel::CANCEL_METHOD;
use crate::protocol::credit::CREDIT_METHOD;

/// How much later than need be a slow client reads or sends each message.
const SLOWNESS: Duration = Duration::from_micros(300);

const fn twin(name: &'static str, sentence: &'static str, make: Make) -> Specimen {
    Specimen::twin(Half::Client, name, sentence, make)
}

/// All of them, the correct one first.
pub(super) const TWINS: &[Specimen] = &[
    twin("correct-client", "Nothing passes otherwise than it came.", Tamper::none),
    twin("string-ids", "The ids of requests are texts.", || other_ids(|number| json!(format!("req-{number}")))),
    twin("numeric-text-ids", "The ids of requests are texts of digits.", || {
        other_ids(|number| json!(number.to_string()))
    }),
    twin("large-ids", "The ids of requests are integers that a double does not hold.", || {
        other_ids(|number| json!(i64::MAX - number))
    }),
    twin("negative-ids", "The ids of requests are negative, but never -1.", || other_ids(|number| json!(-2 - number))),
    twin("id-zero", "The first id is 0.", || other_ids(|number| json!(number))),
    twin("odd-request-ids", "A `requestId` has characters of many scripts.", || {
        other_request_ids(|id| format!("\u{1F600} {id} \u{5BA2}/"))
    }),
    twin("request-ids-like-ids", "A `requestId` looks like the id of a request.", || {
        other_request_ids(|id| id.chars().filter(char::is_ascii_digit).collect())
    }),
    twin("members-of-its-own", "Requests and their params have members that nobody knows.", || {
        to_executor(|json| {
            json["trace"] = json!({"span": [1, null]});
            if json["params"].is_object() {
                json["params"]["x-extra"] = json!("x");
            }
        })
    }),
    twin("members-in-reverse", "The members of every object come in another order.", || {
        spelt(Way::ToExecutor, Spelling::Backwards)
    }),
    twin("spaced-out", "There is white space wherever JSON allows it.", || spelt(Way::ToExecutor, Spelling::Spaced)),
    twin("escapes-only", "Every character of a text is an escape.", || spelt(Way::ToExecutor, Spelling::Escaped)),
    twin("jsonrpc-said", "Every message has a `jsonrpc` member.", || {
        to_executor(|json| json["jsonrpc"] = json!("2.0"))
    }),
    twin("initialized-without-params", "`initialized` has no params.", || {
        to_executor(|json| {
            if json["method"] == "initialized"
                && let Some(members) = json.as_object_mut()
            {
                members.remove("params");
            }
        })
    }),
    twin("initialized-with-null", "The params of `initialized` are null.", || {
        requests("initialized", |params| *params = Value::Null)
    }),
    twin("no-session-to-resume", "`initialize` says that there is no session to resume.", || {
        requests("initialize", |params| params["resumeSessionId"] = Value::Null)
    }),
    twin("client-of-another-name", "The client's name is a long text of many scripts.", || {
        requests("initialize", |params| params["clientName"] = json!("\u{1F916} \u{5BA2}\u{6237}\u{7AEF} ".repeat(20)))
    }),
    twin("defaults-spelt-out", "A call has every member that has a default.", || {
        calls(|params| {
            let defaults = json!({
                "headers": [], "bodyBase64": null, "timeoutMs": null, "redirectPolicy": "follow", "streamResponse": false,
            });
            for (name, default) in defaults.as_object().into_iter().flatten() {
                if params.get(name).is_none() {
                    params[name] = default.clone();
                }
            }
        })
    }),
    twin("slow-reader", "Every message is read a little later than need be.", || slow(Way::ToClient)),
    twin("slow-writer", "Every message is sent a little later than need be.", || slow(Way::ToExecutor)),
    twin(
        "asks-more-than-it-needs",
        "Behind the handshake it asks for a method that the executor may not know.",
        || {
            let asked = json!({"id": "more", "method": "environment/info"});
            Tamper::messages(move |message, out| {
                let ready = message.way == Way::ToExecutor && message.method() == "initialized";
                let answered = message.way == Way::ToClient && message.json["id"] == "more";
                if !answered {
                    out.pass(message);
                }
                if ready {
                    out.send(Way::ToExecutor, &asked);
                }
            })
        },
    ),
];

/// Changes every message of the client.
fn to_executor(mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.way == Way::ToExecutor {
            change(&mut message.json);
        }
        out.pass(message);
    })
}

fn slow(slow: Way) -> Tamper {
    Tamper::messages(move |message, out| {
        if message.way == slow {
            out.wait(SLOWNESS);
        }
        out.pass(message);
    })
}

/// Gives requests other ids, which are made of their number, and answers the ids that they were asked with.
fn other_ids(make: impl Fn(i64) -> Value + Send + 'static) -> Tamper {
    let mut own: HashMap<String, Value> = HashMap::new();
    let mut number = 0;
    Tamper::messages(move |mut message, out| {
        let is_request = message.json.get("method").is_some();
        if let Some(id) = message.json.get("id").cloned() {
            match (message.way, is_request) {
                (Way::ToExecutor, true) => {
                    message.json["id"] = make(number);
                    own.insert(make(number).to_string(), id);
                    number += 1;
                }
                // An answer to nothing keeps its id, or the client could take it for an answer.
                (Way::ToClient, false) => match own.get(&id.to_string()) {
                    Some(own) => message.json["id"] = own.clone(),
                    None if id.is_i64() && id != -1 => message.json["id"] = json!(format!("nobody's {id}")),
                    None => {}
                },
                (Way::ToExecutor, false) | (Way::ToClient, true) => {}
            }
        }
        out.pass(message);
    })
}

/// Gives calls other values of `requestId`, and frames of bodies the client's own.
fn other_request_ids(make: impl Fn(&str) -> String + Send + 'static) -> Tamper {
    let mut own: HashMap<String, Value> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let id = &message.json["params"]["requestId"];
        if message.is_call() {
            let made = id.as_str().map(&make).unwrap_or_default();
            own.insert(made.clone(), id.clone());
            message.json["params"]["requestId"] = json!(made);
        } else if matches!(message.method(), CANCEL_METHOD | CREDIT_METHOD) {
            message.json["params"]["requestId"] = json!(id.as_str().map(&make));
        } else if message.is_delta()
            && let Some(own) = id.as_str().and_then(|id| own.get(id))
        {
            message.json["params"]["requestId"] = own.clone();
        }
        out.pass(message);
    })
}
