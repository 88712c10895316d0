//! Clients that break the clauses of routes, as far as the wire shows them; the rest are switches of the seed client.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::exchange::frames;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, failures};
use crate::protocol::limits::QUEUE_FRAMES;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "route-made-by-response",
        "ROUTE-1",
        "The route of a stream is made when its response arrives, so earlier frames are lost.",
        route_made_by_response,
    ),
    Specimen::client(
        "stray-frame-adopted",
        "ROUTE-2",
        "A frame for an id that no stream has is given to the stream that was opened last.",
        stray_frame_adopted,
    ),
    Specimen::client(
        "refusal-text-replaced",
        "ROUTE-7",
        "The text of an error answer never reaches the caller.",
        || failures(|error| error["message"] = json!("request failed")),
    ),
    Specimen::client("refusal-code-replaced", "ROUTE-7", "All error answers have one code.", || {
        failures(|error| error["code"] = json!(-32603))
    }),
    Specimen::client(
        "stray-frame-is-fatal",
        "STREAM-24",
        "A frame for an id that no stream ever had ends the connection.",
        stray_frame_is_fatal,
    ),
    Specimen::client(
        "response-restarts-seq",
        "ROUTE-1",
        "The frames behind the response are counted from 1, those before it not included.",
        || {
            frames(|before, mut message, out| {
                let params = &mut message.json["params"];
                if let (false, Some(seq)) = (before.is_pending(), params["seq"].as_u64()) {
                    params["seq"] = json!(seq + before.early);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "early-error-fails-call",
        "ROUTE-1",
        "An error of the stream that comes before the response fails the call.",
        || {
            frames(|before, message, out| match message.json["params"]["error"].as_str() {
                Some(text) if before.is_pending() => out.send(Way::ToClient, &before.refusal(text)),
                _ => out.pass(message),
            })
        },
    ),
    Specimen::client(
        "early-end-needs-room",
        "ROUTE-9",
        "A terminal frame that comes before the response, behind as many frames as may wait, is taken for an overflow.",
        || {
            frames(|before, mut message, out| {
                if before.is_pending() && before.early == QUEUE_FRAMES as u64 && message.is_terminal() {
                    message.json["params"]["error"] = json!("too many frames");
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "early-surplus-lost",
        "ROUTE-8",
        "Frames that come before the response, behind as many as may wait, are lost in silence.",
        early_surplus_lost,
    ),
    Specimen::client(
        "refusal-text-of-streams-replaced",
        "ROUTE-7",
        "The text of an error that answers a streamed call never reaches the caller.",
        || refusal_replaced(true),
    ),
    Specimen::client(
        "refusal-text-of-buffered-replaced",
        "ROUTE-7",
        "The text of an error that answers a buffered call never reaches the caller.",
        || refusal_replaced(false),
    ),
    Specimen::client(
        "frame-fails-buffered-call",
        "STREAM-24",
        "A frame with an error that has the `requestId` of a buffered call fails that call.",
        || {
            frames(|before, message, out| match message.json["params"]["error"].as_str() {
                Some(text) if !before.is_streamed() => out.send(Way::ToClient, &before.refusal(text)),
                _ => out.pass(message),
            })
        },
    ),
];

fn route_made_by_response() -> Tamper {
    let mut answered = HashSet::new();
    Tamper::messages(move |message, out| {
        if let Some(asked) = &message.asked {
            answered.insert(asked["params"]["requestId"].clone());
        }
        if !message.is_delta() || answered.contains(&message.json["params"]["requestId"]) {
            out.pass(message);
        }
    })
}

fn stray_frame_adopted() -> Tamper {
    let mut opened = Vec::new();
    Tamper::messages(move |mut message, out| {
        if message.is_call() {
            opened.push(message.json["params"]["requestId"].clone());
        } else if message.is_delta()
            && !opened.contains(&message.json["params"]["requestId"])
            && let Some(newest) = opened.last()
        {
            message.json["params"]["requestId"] = newest.clone();
        }
        out.pass(message);
    })
}

fn stray_frame_is_fatal() -> Tamper {
    let mut opened = HashSet::new();
    Tamper::messages(move |message, out| {
        let params = &message.json["params"];
        if message.is_call() && params["streamResponse"] == true {
            opened.insert(params["requestId"].clone());
        }
        if message.way == Way::ToClient && message.is_delta() && !opened.contains(&params["requestId"]) {
            return out.hang_up();
        }
        out.pass(message);
    })
}

fn early_surplus_lost() -> Tamper {
    let mut lost: HashMap<String, u64> = HashMap::new();
    frames(move |before, mut message, out| {
        let lost = lost.entry(message.request_id().to_owned()).or_default();
        if before.is_pending() && before.early >= QUEUE_FRAMES as u64 && !message.is_terminal() {
            *lost += 1;
            return;
        }
        let params = &mut message.json["params"];
        if let Some(seq) = params["seq"].as_u64() {
            params["seq"] = json!(seq.saturating_sub(*lost));
        }
        out.pass(message);
    })
}

fn refusal_replaced(streamed: bool) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_answer() && message.is_streamed() == streamed && message.json.get("error").is_some() {
            message.json["error"]["message"] = json!("request failed");
        }
        out.pass(message);
    })
}
