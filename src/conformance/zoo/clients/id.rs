//! Clients that break the clauses of ids and of the order of answers.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Way, hang_up_at};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client("client-ids-compared-as-text", "ID-4", "The ids `1` and `\"1\"` are one id.", || {
        Tamper::messages(|mut message, out| {
            if is_answer(&message)
                && let Some(number) = message.json["id"].as_str().and_then(|text| text.parse::<i64>().ok())
            {
                message.json["id"] = json!(number);
            }
            out.pass(message);
        })
    }),
    Specimen::client(
        "one-id-for-all",
        "ID-6",
        "All calls have one id, and are answered in the order in which they were sent.",
        || {
            let mut waiting = VecDeque::new();
            Tamper::messages(move |mut message, out| {
                if message.is_call() {
                    waiting.push_back(message.json["id"].take());
                    message.json["id"] = json!(SHARED);
                } else if is_answer(&message) && message.json["id"] == SHARED {
                    message.json["id"] = waiting.pop_front().unwrap_or_default();
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client("stray-answer-is-fatal", "ID-7", "An answer to no call that waits ends the connection.", || {
        hang_up_at(|message| is_answer(message) && message.asked.is_none())
    }),
    Specimen::client(
        "request-id-taken-for-id",
        "ID-8",
        "A message whose `id` is the `requestId` of a stream is taken for another answer to it, and ignored.",
        || {
            let mut streams = HashSet::new();
            Tamper::messages(move |message, out| {
                if message.is_call() {
                    streams.insert(message.json["params"]["requestId"].clone());
                }
                if message.way == Way::ToExecutor || !streams.contains(&message.json["id"]) {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::client(
        "answers-taken-in-order",
        "ORDER-12",
        "An answer belongs to the call that has waited longest, whatever its id.",
        || {
            let mut waiting: VecDeque<Value> = VecDeque::new();
            Tamper::messages(move |mut message, out| {
                if message.is_call() {
                    waiting.push_back(message.json["id"].clone());
                } else if message.is_answer() {
                    message.json["id"] = waiting.pop_front().unwrap_or_default();
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "unknown-answer-is-fatal",
        "ID-7",
        "An answer with an id that no call ever had ends the connection.",
        || stray_answer_is_fatal(|first| first.is_none()),
    ),
    Specimen::client(
        "answer-behind-result-is-fatal",
        "ID-7",
        "A second answer to a call that has its response ends the connection.",
        || stray_answer_is_fatal(|first| first == Some(true)),
    ),
    Specimen::client(
        "answer-behind-error-is-fatal",
        "ID-7",
        "A second answer to a call that was answered with an error ends the connection.",
        || stray_answer_is_fatal(|first| first == Some(false)),
    ),
];

/// The id of all calls.
const SHARED: i64 = 7;

fn is_answer(message: &Message) -> bool {
    message.way == Way::ToClient && message.method().is_empty()
}

/// An answer to no call that waits ends the connection, depending on whether the first answer with its id, if any, was a result.
fn stray_answer_is_fatal(which: fn(Option<bool>) -> bool) -> Tamper {
    let mut answered = HashMap::new();
    hang_up_at(move |message| {
        let id = message.json["id"].to_string();
        if message.asked.is_some() {
            answered.insert(id, message.json.get("result").is_some());
            return false;
        }
        is_answer(message) && which(answered.get(&id).copied())
    })
}
