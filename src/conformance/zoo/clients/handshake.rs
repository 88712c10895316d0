//! Clients that break the clauses of the handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Unit, Way, answers, calls, lose, requests, results};
use crate::protocol::session::{INITIALIZE_METHOD, INITIALIZED_METHOD};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client("never-initialized", "HANDSHAKE-1", "The client never sends `initialized`.", || {
        lose(|message| message.method() == INITIALIZED_METHOD)
    }),
    Specimen::client(
        "initialized-behind-a-call",
        "HANDSHAKE-1",
        "The client sends `initialized` behind its first call.",
        initialized_behind_a_call,
    ),
    Specimen::client("nameless-client", "HANDSHAKE-1", "`initialize` has no `clientName`.", || {
        requests(INITIALIZE_METHOD, |params| *params = json!({}))
    }),
    Specimen::client(
        "flag-missing-is-true",
        "HANDSHAKE-17",
        "A capability that the executor does not mention is taken as announced.",
        || results(INITIALIZE_METHOD, announce),
    ),
    Specimen::client(
        "prefix-sent-alone",
        "PARAMS-27",
        "The client never sends `valueEnvVar`, but the bare prefix, announced or not.",
        prefix_sent_alone,
    ),
    Specimen::client(
        "refused-handshake-accepted",
        "ROUTE-20",
        "A connection whose `initialize` was refused is given to the application.",
        || {
            answers(INITIALIZE_METHOD, |answer| {
                if answer.get("error").is_some() {
                    *answer = json!({"id": answer["id"], "result": {"sessionId": "none"}});
                }
            })
        },
    ),
    Specimen::client(
        "lost-handshake-accepted",
        "ROUTE-20",
        "A connection that ends before `initialize` was answered is given to the application.",
        lost_handshake_accepted,
    ),
    Specimen::client(
        "silent-executor-resolves",
        "HANDSHAKE-17",
        "An executor that sends no `environmentInfo` is taken to have announced everything.",
        || {
            results(INITIALIZE_METHOD, |session| {
                if session["environmentInfo"].is_null() {
                    announce(session);
                }
            })
        },
    ),
    Specimen::client(
        "any-capabilities-resolve",
        "HANDSHAKE-17",
        "An executor that sends `capabilities` is taken to have announced all of them.",
        || {
            results(INITIALIZE_METHOD, |session| {
                if session["environmentInfo"]["capabilities"].is_object() {
                    announce(session);
                }
            })
        },
    ),
    Specimen::client(
        "announced-variable-not-sent",
        "PARAMS-27",
        "An executor that has announced variables gets the bare prefix, without `valueEnvVar`.",
        || calls(remove_variables),
    ),
];

fn announce(session: &mut Value) {
    session["environmentInfo"]["capabilities"]["httpHeaderEnvVars"] = json!(true);
}

fn initialized_behind_a_call() -> Tamper {
    let mut held: Option<Message> = None;
    Tamper::messages(move |message, out| {
        if message.method() == INITIALIZED_METHOD {
            held = Some(message);
            return;
        }
        let behind = message.is_call();
        out.pass(message);
        if behind && let Some(initialized) = held.take() {
            out.pass(initialized);
        }
    })
}

fn prefix_sent_alone() -> Tamper {
    Tamper::messages(|mut message, out| {
        if message.answers(INITIALIZE_METHOD) && message.json.get("result").is_some() {
            announce(&mut message.json["result"]);
        } else if message.is_call() {
            remove_variables(&mut message.json["params"]);
        }
        out.pass(message);
    })
}

fn lost_handshake_accepted() -> Tamper {
    let answered = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&answered);
    Tamper::messages(move |message, out| {
        if message.answers(INITIALIZE_METHOD) {
            answered.store(true, Ordering::Relaxed);
        }
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        // The id of the first request of this client.
        if (way, &unit) == (Way::ToClient, &Unit::End) && !seen.swap(true, Ordering::Relaxed) {
            out.send(way, &json!({"id": 1, "result": {"sessionId": "none"}}));
        }
        out.unit(way, unit);
    })
}

fn remove_variables(params: &mut Value) {
    for header in params["headers"].as_array_mut().into_iter().flatten() {
        header.as_object_mut().expect("a header is an object").remove("valueEnvVar");
    }
}
