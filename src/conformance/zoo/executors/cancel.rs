//! Executors that break the clauses of cancelling.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use super::frame::seq;
use crate::conformance::declaration::CANCEL;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Way, answers, failures, instead, results, terminals};
use crate::protocol::cancel::CANCEL_METHOD;
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST};
use crate::protocol::limits::WAITING_HEADS;
use crate::protocol::session::INITIALIZE_METHOD;

/// Frames of a stream in full flow.
const FLOW_FRAMES: u64 = 2;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("cancel-not-announced", "CANCEL-1", "Cancelling is offered and not announced.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"] = json!({"httpHeaderEnvVars": true}))
    })
    .offering(&[CANCEL]),
    Specimen::executor("cancel-announced-as-text", "CANCEL-1", "Cancelling is announced by a text.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"]["httpRequestCancel"] = json!("true"))
    })
    .offering(&[CANCEL]),
    Specimen::executor("cancel-announced-only", "CANCEL-1", "Cancelling is announced and an unknown method.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"] = json!({"httpRequestCancel": true}))
    }),
    Specimen::executor("cancel-ignored", "STREAM-13", "A cancel request is answered, and the stream goes on.", || {
        instead(is_cancel, |cancel, out| answer(cancel, false, out))
    })
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-downstream-only",
        "STREAM-13",
        "A cancel request ends the stream, and the exchange upstream goes on.",
        || not_upstream(|call| call.streamed && call.answered),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-of-nobody-is-an-error",
        "CANCEL-2",
        "When there is nothing to cancel, that is an error.",
        || {
            answers(CANCEL_METHOD, |answer| {
                if answer["result"]["cancelled"] == false {
                    let error = json!({"code": INVALID_PARAMS, "message": "no such call"});
                    *answer = json!({"id": answer["id"], "error": error});
                }
            })
        },
    )
    .offering(&[CANCEL]),
    Specimen::executor("cancelled-not-said", "CANCEL-2", "A cancel request is answered with an empty result.", || {
        results(CANCEL_METHOD, |result| *result = json!({}))
    })
    .offering(&[CANCEL]),
    Specimen::executor(
        "unknown-call-cancelled",
        "CANCEL-2",
        "An identifier that no call had counts as cancelled.",
        || cancelled_too(|past| past.is_none()),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "ended-call-cancelled",
        "CANCEL-2",
        "A call that has ended by itself counts as cancelled.",
        || cancelled_too(|past| past == Some(Past::Ended)),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-twice",
        "CANCEL-2",
        "A call that was cancelled before counts as cancelled again.",
        || cancelled_too(|past| past == Some(Past::Cancelled)),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-by-prefix",
        "CANCEL-3",
        "A cancel request ends every stream whose identifier begins with the one that it names.",
        by_prefix,
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-across-connections",
        "CANCEL-3",
        "A cancel request ends the streams of that identifier on all connections.",
        across_connections,
    )
    .offering(&[CANCEL])
    .on_websocket(),
    Specimen::executor(
        "one-of-an-id-cancelled",
        "CANCEL-3",
        "Of calls that share an identifier one is cancelled.",
        || {
            let mut names = HashSet::new();
            Tamper::messages(move |mut message, out| {
                if message.is_call() && !names.insert(message.request_id().to_owned()) && !message.is_streamed() {
                    message.json["params"]["requestId"] = json!("another");
                }
                out.pass(message);
            })
        },
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-fails-in-full-flow",
        "CANCEL-3",
        "A stream of which more than 2 frames were sent cannot be cancelled.",
        in_full_flow,
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-stream-without-kind",
        "CANCEL-4",
        "The end of a cancelled stream has no kind.",
        || {
            terminals(|delta| {
                if delta["errorKind"] == "cancelled" {
                    delta["errorKind"] = Value::Null;
                }
            })
        },
    )
    .offering(&[CANCEL]),
    Specimen::executor("cancelled-stream-ends-well", "CANCEL-4", "A cancelled stream has a clean end.", || {
        terminals(|delta| {
            if delta["errorKind"] == "cancelled" {
                delta["error"] = Value::Null;
            }
        })
    })
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-call-without-kind",
        "CANCEL-4",
        "The error of a streamed call that is cancelled before its head has no kind.",
        || without_kind(true),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-buffered-call-without-kind",
        "CANCEL-4",
        "The error of a buffered call that is cancelled has no kind.",
        || without_kind(false),
    )
    .offering(&[CANCEL]),
    Specimen::executor("cancelled-call-is-invalid", "CANCEL-4", "A cancelled call fails with -32602.", || {
        failures(|error| {
            if error["data"]["kind"] == "cancelled" {
                error["code"] = json!(INVALID_PARAMS);
            }
        })
    })
    .offering(&[CANCEL]),
    Specimen::executor(
        "waiting-call-cancelled-downstream-only",
        "CANCEL-5",
        "A streamed call that waits for its head fails when it is cancelled, and its exchange goes on.",
        || not_upstream(|call| call.streamed && !call.answered),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "queued-call-made-all-the-same",
        "CANCEL-5",
        "A call that waits in the queue fails when it is cancelled, and is made later.",
        || not_upstream(|call| call.place >= WAITING_HEADS),
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancel-answered-first",
        "CANCEL-6",
        "A cancel request is answered before the call that it ends.",
        answered_first,
    )
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-id-stays-taken",
        "CANCEL-6",
        "The identifier of a cancelled stream is not free.",
        || {
            let mut cancelled = HashSet::new();
            instead(
                move |message| {
                    if is_cancel(message) {
                        cancelled.insert(message.request_id().to_owned());
                    }
                    message.is_call() && cancelled.contains(message.request_id())
                },
                |call, out| out.refuse(&call.json["id"], INVALID_PARAMS),
            )
        },
    )
    .offering(&[CANCEL]),
    Specimen::executor("cancel-before-handshake", "CANCEL-7", "A cancel request needs no handshake.", || {
        refusal_forgotten(INVALID_REQUEST)
    })
    .offering(&[CANCEL]),
    Specimen::executor("cancel-without-id", "CANCEL-7", "A cancel request that names nothing cancels nothing.", || {
        refusal_forgotten(INVALID_PARAMS)
    })
    .offering(&[CANCEL]),
    Specimen::executor(
        "cancelled-call-keeps-its-place",
        "CANCEL-9",
        "The place of a cancelled call among those that wait for their heads stays taken.",
        place_kept,
    )
    .offering(&[CANCEL]),
];

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Past {
    /// It goes on.
    Going,
    /// It ended by itself.
    Ended,
    /// It was cancelled.
    Cancelled,
}

/// A call as its messages tell it.
struct Call {
    /// Its JSON-RPC id.
    id: Value,
    /// It asks for a stream.
    streamed: bool,
    /// Its response was sent.
    answered: bool,
    /// The number of its last frame.
    seq: u64,
    /// How many calls were going on when it came.
    place: usize,
}

fn is_cancel(message: &Message) -> bool {
    message.way == Way::ToExecutor && message.method() == CANCEL_METHOD
}

fn answer(cancel: &Message, cancelled: bool, out: &mut Outlet) {
    out.send(Way::ToClient, &json!({"id": cancel.json["id"], "result": {"cancelled": cancelled}}));
}

/// Ends calls for which that holds for their client only.
fn not_upstream(which: fn(&Call) -> bool) -> Tamper {
    let mut calls: HashMap<String, Call> = HashMap::new();
    let mut gone = HashSet::new();
    Tamper::messages(move |message, out| {
        let name = message.request_id().to_owned();
        if message.is_call() {
            let (id, place) = (message.json["id"].clone(), calls.len());
            calls.insert(name, Call { id, streamed: message.is_streamed(), answered: false, seq: 0, place });
        } else if is_cancel(&message) {
            if let Some(call) = calls.get(&name).filter(|call| which(call)) {
                end(&name, call, out);
                answer(&message, true, out);
                gone.insert(name);
                return;
            }
        } else if message.is_delta() || message.is_answer() {
            if gone.contains(&name) {
                return;
            }
            if message.is_end() {
                calls.remove(&name);
            } else if let Some(call) = calls.get_mut(&name) {
                call.answered = true;
                call.seq = message.json["params"]["seq"].as_u64().unwrap_or_default();
            }
        }
        out.pass(message);
    })
}

/// The last frame or the error of a call that is cancelled.
fn end(name: &str, call: &Call, out: &mut Outlet) {
    let message = if call.answered {
        let params = json!({"requestId": name, "seq": call.seq + 1, "deltaBase64": "", "done": true,
            "error": "cancelled", "errorKind": "cancelled"});
        json!({"method": DELTA_METHOD, "params": params})
    } else {
        let error = json!({"code": INTERNAL_ERROR, "message": "cancelled", "data": {"kind": "cancelled"}});
        json!({"id": call.id, "error": error})
    };
    out.send(Way::ToClient, &message);
}

/// Says that something was cancelled, by what became of the call before.
fn cancelled_too(which: fn(Option<Past>) -> bool) -> Tamper {
    let mut past: HashMap<String, Past> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let name = message.request_id().to_owned();
        if message.is_call() {
            past.insert(name, Past::Going);
        } else if message.is_end() {
            let past = past.entry(name).or_insert(Past::Ended);
            *past = if message.kind() == "cancelled" { Past::Cancelled } else { Past::Ended };
        } else if message.answers(CANCEL_METHOD)
            && message.json["result"]["cancelled"] == false
            && which(past.get(&name).copied())
        {
            message.json["result"]["cancelled"] = json!(true);
        }
        out.pass(message);
    })
}

fn by_prefix() -> Tamper {
    let mut names: Vec<String> = Vec::new();
    Tamper::messages(move |message, out| {
        let name = message.request_id().to_owned();
        if message.is_call() {
            names.push(name);
        } else if is_cancel(&message) && names.contains(&name) {
            for other in names.iter().filter(|other| **other != name && other.starts_with(&name)) {
                let params = json!({"requestId": other});
                let request = json!({"id": format!("also {other}"), "method": CANCEL_METHOD, "params": params});
                out.send(Way::ToExecutor, &request);
            }
        } else if message.json["id"].as_str().is_some_and(|id| id.starts_with("also ")) {
            return;
        }
        out.pass(message);
    })
}

/// Identifiers that a client of this process has cancelled.
static CANCELLED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn across_connections() -> Tamper {
    let mut own = HashSet::new();
    let mut ended = HashSet::new();
    Tamper::messages(move |mut message, out| {
        let name = message.request_id().to_owned();
        let mut cancelled = CANCELLED.lock().unwrap_or_else(PoisonError::into_inner);
        if is_cancel(&message) {
            cancelled.insert(name.clone());
            own.insert(name);
        } else if message.is_delta() && cancelled.contains(&name) && !own.contains(&name) {
            if !ended.insert(name) {
                return;
            }
            message.json["params"]["deltaBase64"] = json!("");
            message.json["params"]["done"] = json!(true);
            message.json["params"]["error"] = json!("cancelled");
            message.json["params"]["errorKind"] = json!("cancelled");
        }
        out.pass(message);
    })
}

fn in_full_flow() -> Tamper {
    let mut frames: HashMap<String, u64> = HashMap::new();
    Tamper::messages(move |message, out| {
        let name = message.request_id().to_owned();
        if message.is_delta() {
            frames.insert(name, seq(&message.json["params"]));
        } else if is_cancel(&message) && frames.get(&name).is_some_and(|frames| *frames > FLOW_FRAMES) {
            answer(&message, false, out);
            return;
        }
        out.pass(message);
    })
}

/// Takes the kind from the errors of cancelled calls of one sort.
fn without_kind(streamed: bool) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_answer() && message.is_streamed() == streamed && message.kind() == "cancelled" {
            message.json["error"]["data"] = json!({});
        }
        out.pass(message);
    })
}

/// Sends the ends of cancelled calls behind the answer to the cancel request.
fn answered_first() -> Tamper {
    let mut held = Vec::new();
    Tamper::messages(move |message, out| {
        if message.is_end() && message.kind() == "cancelled" {
            held.push(message);
        } else {
            let releases = message.answers(CANCEL_METHOD);
            out.pass(message);
            if releases {
                held.drain(..).for_each(|ended| out.pass(ended));
            }
        }
    })
}

/// Answers cancel requests that are refused with that code as if there were nothing to cancel.
fn refusal_forgotten(code: i64) -> Tamper {
    answers(CANCEL_METHOD, move |answer| {
        if answer["error"]["code"] == code {
            *answer = json!({"id": answer["id"], "result": {"cancelled": false}});
        }
    })
}

/// Makes a call that nobody asked for and nobody answers, in place of each that is cancelled.
fn place_kept() -> Tamper {
    static SILENT: LazyLock<Option<TcpListener>> = LazyLock::new(|| TcpListener::bind(("127.0.0.1", 0)).ok());
    let mut kept = 0;
    Tamper::messages(move |message, out| {
        let replaces = is_cancel(&message);
        out.pass(message);
        if let Some(silent) = SILENT.as_ref().filter(|_| replaces).and_then(|silent| silent.local_addr().ok()) {
            kept += 1;
            let params =
                json!({"requestId": format!("kept {kept}"), "method": "GET", "url": format!("http://{silent}/")});
            let call = json!({"id": format!("kept {kept}"), "method": "http/request", "params": params});
            out.send(Way::ToExecutor, &call);
        }
    })
}
