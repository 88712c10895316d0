//! Executors that break the clauses of credit.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::frame::{bytes, set_bytes};
use super::ledger::{Grant, Ledger, is_credit};
use crate::conformance::declaration::{CANCEL, CREDIT};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way, calls, instead, requests, results};
use crate::protocol::credit::CREDIT_METHOD;
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::INVALID_PARAMS;
use crate::protocol::limits::WAITING_HEADS;
use crate::protocol::session::INITIALIZE_METHOD;
use crate::sync::{Arc, Mutex};

/// More than any case allows, and less than would overflow with it.
const PLENTY: u64 = 1 << 40;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("credit-not-announced", "CREDIT-1", "Credit is kept to and not announced.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"] = json!({"httpHeaderEnvVars": true}))
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-announced-as-number", "CREDIT-1", "Credit is announced by a number.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"]["httpBodyCredit"] = json!(1))
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-announced-only", "CREDIT-1", "Credit is announced and not kept to.", || {
        results(INITIALIZE_METHOD, |result| result["capabilities"] = json!({"httpBodyCredit": true}))
    }),
    Specimen::executor("credit-and-a-byte", "CREDIT-2", "A stream sends a byte more than it was allowed.", || {
        calls(|params| {
            if let Some(credit) = params["creditBytes"].as_u64().filter(|credit| *credit > 0) {
                params["creditBytes"] = json!(credit.saturating_add(1));
            }
        })
    })
    .offering(&[CREDIT]),
    Specimen::executor("no-credit-is-any", "CREDIT-2", "A credit of nothing is none at all.", || {
        calls(|params| {
            if params["creditBytes"] == 0 {
                params["creditBytes"] = Value::Null;
            }
        })
    })
    .offering(&[CREDIT]),
    Specimen::executor(
        "terminal-frame-is-free",
        "CREDIT-2",
        "The last bytes of a body come with the end, allowed or not.",
        rest_at_the_end,
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "credit-by-prefix",
        "CREDIT-2",
        "Credit of one stream is credit of every stream whose identifier begins with its own.",
        by_prefix,
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "credit-for-downstream-only",
        "CREDIT-3",
        "The body of a stream without credit left is read from its origin, and kept.",
        kept_back,
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "end-needs-credit",
        "CREDIT-4",
        "The clean end of a stream whose credit is used up waits for more.",
        || end_waits(|terminal| terminal["error"].is_null()),
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "failure-needs-credit",
        "CREDIT-4",
        "The failure of a stream whose credit is used up waits for more.",
        || end_waits(|terminal| !terminal["error"].is_null() && terminal["errorKind"] == "truncated"),
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "deadline-needs-credit",
        "CREDIT-4",
        "The deadline of a stream that waits for credit waits for it, too.",
        || end_waits(|terminal| terminal["errorKind"] == "timeout"),
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "cancel-needs-credit",
        "CREDIT-4",
        "The end of a cancelled stream that waits for credit waits for more.",
        || end_waits(|terminal| terminal["errorKind"] == "cancelled"),
    )
    .offering(&[CANCEL, CREDIT]),
    Specimen::executor(
        "waiting-stream-outlives-client",
        "CLOSE-1",
        "The end of a connection is not noticed while a stream waits for credit.",
        deaf_while_waited,
    )
    .offering(&[CREDIT]),
    Specimen::executor("credit-replaces", "CREDIT-5", "A credit notification replaces what is left.", || {
        granted(|grant| grant.bytes.saturating_sub(grant.left))
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-once", "CREDIT-5", "The second credit notification of a stream is lost.", || {
        granted(|grant| if grant.count == 2 { 0 } else { grant.bytes })
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-wraps", "CREDIT-5", "A byte more than 2^64-1 of them is none at all.", wraps)
        .offering(&[CREDIT]),
    Specimen::executor(
        "credit-before-the-response-lost",
        "CREDIT-5",
        "Credit that comes before the response is lost.",
        || granted(|grant| if grant.answered || grant.place >= WAITING_HEADS { grant.bytes } else { 0 }),
    )
    .offering(&[CREDIT]),
    Specimen::executor("credit-of-queued-call-lost", "CREDIT-5", "Credit for a call in the queue is lost.", || {
        granted(|grant| if grant.answered || grant.place < WAITING_HEADS { grant.bytes } else { 0 })
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-for-nobody-refused", "CREDIT-6", "Credit for nobody is answered.", || {
        stray_credit(|out| out.malformed())
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-for-nobody-ends-all", "CREDIT-6", "Credit for nobody ends the connection.", || {
        stray_credit(Outlet::hang_up)
    })
    .offering(&[CREDIT]),
    Specimen::executor("malformed-credit-refused", "CREDIT-6", "Malformed credit is answered.", || {
        malformed_credit(|out| out.malformed())
    })
    .offering(&[CREDIT]),
    Specimen::executor("malformed-credit-ends-all", "CREDIT-6", "Malformed credit ends the connection.", || {
        malformed_credit(Outlet::hang_up)
    })
    .offering(&[CREDIT]),
    Specimen::executor(
        "malformed-credit-is-any",
        "CREDIT-6",
        "Malformed credit lets its stream go on without limit.",
        || {
            requests(CREDIT_METHOD, |params| {
                if params["requestId"].is_string() && !params["bytes"].is_u64() {
                    params["bytes"] = json!(PLENTY);
                }
            })
        },
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "no-credit-holds-all",
        "CREDIT-7",
        "While a stream waits for credit nothing else of its connection is sent.",
        holds_all,
    )
    .offering(&[CREDIT]),
    Specimen::executor(
        "no-credit-holds-streams",
        "CREDIT-7",
        "While a stream waits for credit no other stream starts.",
        holds_streams,
    )
    .offering(&[CREDIT]),
    Specimen::executor("null-credit-is-nothing", "CREDIT-8", "A credit of null is a credit of nothing.", || {
        calls(|params| {
            if params.get("creditBytes") == Some(&Value::Null) {
                params["creditBytes"] = json!(0);
            }
        })
    })
    .offering(&[CREDIT]),
    Specimen::executor("missing-credit-is-some", "CREDIT-8", "A stream without creditBytes has a credit.", || {
        calls(|params| {
            if params["streamResponse"] == true && params.get("creditBytes").is_none() {
                params["creditBytes"] = json!(64 * 1024);
            }
        })
    })
    .offering(&[CREDIT]),
    Specimen::executor("buffered-call-with-credit-refused", "CREDIT-8", "A buffered call may have no credit.", || {
        instead(
            |message| message.is_call() && !message.is_streamed() && message.json["params"]["creditBytes"].is_u64(),
            |call, out| out.refuse(&call.json["id"], INVALID_PARAMS),
        )
    })
    .offering(&[CREDIT]),
    Specimen::executor("credit-of-any-type", "CREDIT-8", "A creditBytes that is no count is not looked at.", || {
        calls(|params| {
            if !params["creditBytes"].is_u64() {
                params["creditBytes"] = Value::Null;
            }
        })
    })
    .offering(&[CREDIT]),
];

/// Makes something else of the bytes of credit notifications.
fn granted(change: fn(&Grant) -> u64) -> Tamper {
    let mut ledger = Ledger::default();
    Tamper::messages(move |mut message, out| {
        if let Some(grant) = ledger.note(&message) {
            let bytes = change(&grant);
            if let Some(stream) = ledger.streams.get_mut(message.request_id()) {
                stream.left = grant.left.saturating_add(bytes);
            }
            message.json["params"]["bytes"] = json!(bytes);
        }
        out.pass(message);
    })
}

/// Ends for which that holds wait for another credit notification where the credit is used up.
fn end_waits(which: fn(&Value) -> bool) -> Tamper {
    let mut ledger = Ledger::default();
    let mut held: HashMap<String, Message> = HashMap::new();
    Tamper::messages(move |message, out| {
        let name = message.request_id().to_owned();
        let is_used_up = ledger.streams.get(&name).is_some_and(|stream| stream.left == 0);
        ledger.note(&message);
        if message.is_terminal() && is_used_up && which(&message.json["params"]) {
            held.insert(name, message);
        } else if is_credit(&message)
            && let Some(end) = held.remove(&name)
        {
            out.pass(end);
        } else {
            out.pass(message);
        }
    })
}

/// Does not notice that the client has gone while a stream waits for credit.
fn deaf_while_waited() -> Tamper {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let noted = Arc::clone(&ledger);
    Tamper::messages(move |message, out| {
        noted.lock().note(&message);
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        let is_end = way == Way::ToExecutor && matches!(unit, Unit::Close(_) | Unit::Reset | Unit::End);
        if !is_end || !ledger.lock().is_waited() {
            out.unit(way, unit);
        }
    })
}

/// Takes everything from the executor and keeps what the client has no credit for.
fn kept_back() -> Tamper {
    let mut ledger = Ledger::default();
    let mut kept: HashMap<String, (u64, Vec<u8>, Option<Message>)> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let name = message.request_id().to_owned();
        if message.is_delta() {
            let (seq, waiting, end) = kept.entry(name.clone()).or_insert((1, Vec::new(), None));
            waiting.extend(bytes(&message.json["params"]));
            if message.is_terminal() {
                *end = Some(message);
            }
            hand_out(&name, seq, waiting, end, &mut ledger, out);
            return;
        }
        let is_credit = is_credit(&message);
        ledger.note(&message);
        if is_credit && let Some((seq, waiting, end)) = kept.get_mut(&name) {
            hand_out(&name, seq, waiting, end, &mut ledger, out);
        }
        if message.is_call() && message.json["params"]["creditBytes"].is_u64() {
            kept.remove(&name);
            message.json["params"]["creditBytes"] = Value::Null;
        }
        out.pass(message);
    })
}

/// Sends what may be sent of a body that is kept, and its end behind all of it.
fn hand_out(
    name: &str,
    seq: &mut u64,
    waiting: &mut Vec<u8>,
    end: &mut Option<Message>,
    ledger: &mut Ledger,
    out: &mut Outlet,
) {
    let left = ledger.streams.get(name).map_or(u64::MAX, |stream| stream.left);
    let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(waiting.len());
    for piece in waiting.drain(..allowed).collect::<Vec<_>>().chunks(64 * 1024) {
        let mut params = json!({"requestId": name, "seq": *seq, "done": false, "error": null});
        set_bytes(&mut params, piece);
        out.send(Way::ToClient, &json!({"method": DELTA_METHOD, "params": params}));
        *seq += 1;
    }
    if let Some(stream) = ledger.streams.get_mut(name) {
        stream.left -= allowed as u64;
    }
    if waiting.is_empty()
        && let Some(mut end) = end.take()
    {
        end.json["params"]["seq"] = json!(*seq);
        end.json["params"]["deltaBase64"] = json!("");
        ledger.note(&end);
        out.pass(end);
    }
}

/// Takes the largest credit for none, as what comes to it makes it that.
fn wraps() -> Tamper {
    let mut full = HashSet::new();
    Tamper::messages(move |mut message, out| {
        if message.is_call() && message.json["params"]["creditBytes"] == u64::MAX {
            full.insert(message.request_id().to_owned());
            message.json["params"]["creditBytes"] = json!(0);
        } else if is_credit(&message) && full.contains(message.request_id()) {
            return;
        }
        out.pass(message);
    })
}

/// Does something about credit for a stream that does not go on, or has none.
fn stray_credit(does: fn(&mut Outlet)) -> Tamper {
    let mut ledger = Ledger::default();
    Tamper::messages(move |message, out| {
        let is_known = ledger.note(&message).is_some();
        let params = &message.json["params"];
        let is_legal = params["requestId"].is_string() && params["bytes"].is_u64();
        if is_credit(&message) && is_legal && !is_known { does(out) } else { out.pass(message) }
    })
}

/// Does something about credit that is malformed.
fn malformed_credit(does: fn(&mut Outlet)) -> Tamper {
    Tamper::messages(move |message, out| {
        let params = &message.json["params"];
        let is_legal = params["requestId"].is_string() && params["bytes"].is_u64();
        if is_credit(&message) && !is_legal { does(out) } else { out.pass(message) }
    })
}

/// Sends credit on for other streams, too.
fn by_prefix() -> Tamper {
    let mut names: HashSet<String> = HashSet::new();
    Tamper::messages(move |message, out| {
        let name = message.request_id().to_owned();
        if message.is_call() {
            names.insert(name);
        } else if is_credit(&message) {
            for other in names.iter().filter(|other| !name.is_empty() && **other != name && other.starts_with(&name)) {
                let params = json!({"requestId": other, "bytes": message.json["params"]["bytes"]});
                out.send(Way::ToExecutor, &json!({"method": CREDIT_METHOD, "params": params}));
            }
        }
        out.pass(message);
    })
}

/// Allows the executor everything, and sends what the client has no credit for with the end; all of a body at once, so that no
/// credit comes in between.
fn rest_at_the_end() -> Tamper {
    let mut bodies: HashMap<String, (u64, Vec<u8>)> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let name = message.request_id().to_owned();
        if message.is_call() && message.is_streamed() {
            if let Some(credit) = message.json["params"]["creditBytes"].as_u64() {
                bodies.insert(name, (credit, Vec::new()));
                message.json["params"]["creditBytes"] = Value::Null;
            }
        } else if message.is_delta()
            && let Some((credit, body)) = bodies.get_mut(&name)
        {
            body.extend(bytes(&message.json["params"]));
            if !message.is_terminal() {
                return;
            }
            let allowed = usize::try_from(*credit).unwrap_or(usize::MAX).min(body.len());
            let (before, rest) = body.split_at(allowed);
            if !before.is_empty() {
                let mut params = json!({"requestId": name, "seq": 1, "done": false, "error": null});
                set_bytes(&mut params, before);
                out.send(Way::ToClient, &json!({"method": DELTA_METHOD, "params": params}));
            }
            message.json["params"]["seq"] = json!(1 + u64::from(!before.is_empty()));
            set_bytes(&mut message.json["params"], rest);
            bodies.remove(&name);
        }
        out.pass(message);
    })
}

/// Keeps everything back while a stream waits for credit.
fn holds_all() -> Tamper {
    let mut ledger = Ledger::default();
    let mut held: Vec<Message> = Vec::new();
    Tamper::messages(move |message, out| {
        let was_waited = ledger.is_waited();
        ledger.note(&message);
        if was_waited && message.way == Way::ToClient && !message.is_delta() {
            held.push(message);
            return;
        }
        out.pass(message);
        if !ledger.is_waited() {
            held.drain(..).for_each(|held| out.pass(held));
        }
    })
}

/// Keeps the calls of streams back while a stream waits for credit.
fn holds_streams() -> Tamper {
    let mut ledger = Ledger::default();
    let mut held: Vec<Message> = Vec::new();
    Tamper::messages(move |message, out| {
        if ledger.is_waited() && message.is_call() && message.is_streamed() {
            held.push(message);
            return;
        }
        ledger.note(&message);
        out.pass(message);
        if !ledger.is_waited() {
            for call in held.drain(..) {
                ledger.note(&call);
                out.pass(call);
            }
        }
    })
}
