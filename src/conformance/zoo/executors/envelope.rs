//! Executors that break the clauses of the envelope: what a message is, and how it is answered.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Way, instead};
use crate::protocol::delta::DELTA_METHOD;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "result-makes-a-response",
        "ENVELOPE-1",
        "A request that has a member `result`, too, is taken for a response.",
        || instead(|message| message.json.get("result").is_some(), |_, _| {}),
    ),
    Specimen::executor("jsonrpc-2-only", "ENVELOPE-2", "A message whose `jsonrpc` is not `2.0` is refused.", || {
        instead(|message| message.json.get("jsonrpc").is_some_and(|version| version != "2.0"), |_, out| out.malformed())
    }),
    Specimen::executor("jsonrpc-written", "ENVELOPE-3", "Every message says `jsonrpc: 2.0`.", || {
        Tamper::messages(|mut message, out| {
            if message.way == Way::ToClient {
                message.json["jsonrpc"] = json!("2.0");
            }
            out.pass(message);
        })
    }),
    Specimen::executor(
        "strict-envelope",
        "ENVELOPE-4",
        "A message with a member that the envelope does not have is refused as malformed.",
        || instead(|message| has_other(&message.json, &ENVELOPE), |_, out| out.malformed()),
    ),
    Specimen::executor(
        "strict-params",
        "ENVELOPE-4",
        "Params with a member that the method does not have are refused.",
        || instead(|message| message.is_call() && has_other(&message.json["params"], &PARAMS), refuse),
    ),
    Specimen::executor(
        "strict-headers",
        "ENVELOPE-4",
        "A header with a member other than its name and its value is refused.",
        || {
            let is_strange = |message: &Message| {
                let headers = message.json["params"]["headers"].as_array();
                headers.is_some_and(|headers| headers.iter().any(|header| has_other(header, &HEADER)))
            };
            instead(is_strange, refuse)
        },
    ),
    Specimen::executor(
        "id-after-params-not-seen",
        "ENVELOPE-5",
        "A request whose `id` stands behind its params is taken for a notification.",
        || instead(|message| comes_before(message, "\"params\":", "\"id\":"), |_, _| {}),
    ),
    Specimen::executor(
        "header-members-by-place",
        "ENVELOPE-5",
        "The first member of a header is its name, and the second one its value.",
        || {
            Tamper::messages(|mut message, out| {
                if message.is_call() && comes_before(&message, "\"value\":", "\"name\":") {
                    for header in message.json["params"]["headers"].as_array_mut().into_iter().flatten() {
                        *header = json!({"name": header["value"], "value": header["name"]});
                    }
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "unknown-method-is-invalid-request",
        "ENVELOPE-15",
        "A request with an unknown method is answered with -32600.",
        || {
            Tamper::messages(|mut message, out| {
                if message.json["error"]["code"] == -32601 {
                    message.json["error"]["code"] = json!(-32600);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "methods-need-handshake",
        "ENVELOPE-15",
        "Before the handshake is complete every method but `initialize` is refused with -32600.",
        || {
            let mut ready = false;
            let is_early = move |message: &Message| {
                ready |= message.method() == "initialized";
                !ready && message.method() != "initialize"
            };
            instead(is_early, |message, out| out.refuse(&message.json["id"], -32600))
        },
    ),
    Specimen::executor("method-in-any-case", "ENVELOPE-15", "Methods are compared without case.", || {
        Tamper::messages(|mut message, out| {
            if message.method().eq_ignore_ascii_case("http/request") {
                message.json["method"] = json!("http/request");
            }
            out.pass(message);
        })
    }),
    Specimen::executor(
        "unknown-method-params-first",
        "ENVELOPE-15",
        "A request whose params are no object is refused with -32602, whatever its method.",
        || instead(|message| message.json["params"].is_array(), refuse),
    ),
    Specimen::executor(
        "unknown-notification-hangs-up",
        "ENVELOPE-16",
        "A notification other than `initialized` ends the connection.",
        || instead(|message| is_notification(message) && message.method() != "initialized", |_, out| out.hang_up()),
    ),
    Specimen::executor(
        "unknown-namespace-hangs-up",
        "ENVELOPE-16",
        "A notification other than `initialized` ends the connection unless its name begins with `$/` or `http/`.",
        || {
            let is_known = |method: &str| {
                method == "initialized" || ["$/", "http/"].iter().any(|namespace| method.starts_with(namespace))
            };
            instead(move |message| is_notification(message) && !is_known(message.method()), |_, out| out.hang_up())
        },
    ),
    Specimen::executor(
        "cancel-notification-heeded",
        "ENVELOPE-16",
        "The notification `$/cancelRequest` fails the call that it names.",
        || {
            let mut cancelled = HashSet::new();
            Tamper::messages(move |message, out| {
                if message.method() == "$/cancelRequest" {
                    let id = &message.json["params"]["id"];
                    cancelled.insert(id.to_string());
                    out.refuse(id, -32603);
                } else if !message.is_answer() || !cancelled.contains(&message.json["id"].to_string()) {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "client-delta-ends-stream",
        "ENVELOPE-16",
        "A last frame that the client sends ends the stream that it names.",
        || {
            let mut ended = HashSet::new();
            Tamper::messages(move |message, out| {
                let stream = &message.json["params"]["requestId"];
                let params = &message.json["params"];
                if message.method() == DELTA_METHOD && message.way == Way::ToExecutor && params["done"] == true {
                    ended.insert(stream.clone());
                }
                if message.way == Way::ToExecutor || !message.is_delta() || !ended.contains(stream) {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "notification-with-result-skipped",
        "ENVELOPE-1",
        "A message without `id` that has a member `result` or `error` is skipped.",
        || {
            let is_answer = |message: &Message| ["result", "error"].iter().any(|name| message.json.get(name).is_some());
            instead(move |message| is_notification(message) && is_answer(message), |_, _| {})
        },
    ),
    Specimen::executor(
        "stray-response-hangs-up",
        "ENVELOPE-17",
        "A response that answers no request ends the connection.",
        || instead(|message| !has_method(message) && message.json.get("result").is_some(), |_, out| out.hang_up()),
    ),
    Specimen::executor(
        "stray-error-hangs-up",
        "ENVELOPE-17",
        "An error that answers no request ends the connection.",
        || instead(|message| !has_method(message) && message.json.get("error").is_some(), |_, out| out.hang_up()),
    ),
    Specimen::executor(
        "call-without-id-made",
        "ENVELOPE-18",
        "A `http/request` without `id` is made, and only its answer is left out.",
        || {
            Tamper::messages(|mut message, out| {
                if message.is_call() && is_notification(&message) {
                    message.json["id"] = json!(UNANSWERED);
                    message.json["params"]["streamResponse"] = json!(false);
                }
                if message.way == Way::ToExecutor || message.json["id"] != UNANSWERED {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "refusal-sent-twice",
        "ENVELOPE-19",
        "A call that is refused for its params is answered by the decoder and once more by the dispatcher.",
        || {
            Tamper::messages(|message, out| {
                if message.is_answer() && message.json["error"]["code"] == -32602 {
                    out.send(Way::ToClient, &message.json);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "progress-sent",
        "ENVELOPE-20",
        "A notification tells of each call that its head has come.",
        || {
            Tamper::messages(|message, out| {
                if message.is_answer() && message.json.get("result").is_some() {
                    out.send(Way::ToClient, &json!({"method": "http/request/progress", "params": {}}));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "client-asked-back",
        "ENVELOPE-20",
        "Behind the handshake the client is asked for its capabilities.",
        || {
            Tamper::messages(|message, out| {
                if message.method() == "initialized" {
                    out.send(Way::ToClient, &json!({"id": 1, "method": "client/capabilities"}));
                }
                out.pass(message);
            })
        },
    ),
];

const ENVELOPE: [&str; 5] = ["jsonrpc", "id", "method", "params", "trace"];

const PARAMS: [&str; 8] =
    ["method", "url", "headers", "bodyBase64", "timeoutMs", "redirectPolicy", "requestId", "streamResponse"];

const HEADER: [&str; 4] = ["name", "value", "valueBase64", "valueEnvVar"];

/// The id of a call whose answer nobody is to see.
const UNANSWERED: &str = "unanswered";

fn has_other(object: &Value, known: &[&str]) -> bool {
    object.as_object().is_some_and(|object| object.keys().any(|name| !known.contains(&name.as_str())))
}

fn refuse(message: &Message, out: &mut Outlet) {
    out.refuse(&message.json["id"], -32602);
}

fn has_method(message: &Message) -> bool {
    message.json.get("method").is_some()
}

fn is_notification(message: &Message) -> bool {
    has_method(message) && message.json.get("id").is_none()
}

fn comes_before(message: &Message, first: &str, second: &str) -> bool {
    let text = message.text();
    text.find(first).zip(text.find(second)).is_some_and(|(first, second)| first < second)
}
