//! Executors that break the clauses of ids.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, instead};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("digits-become-integer", "ID-1", "An id of digits is answered as an integer.", || {
        echoed(|id| match id.as_str().map(str::parse::<i64>) {
            Some(Ok(integer)) => json!(integer),
            _ => id.clone(),
        })
    }),
    Specimen::executor("string-id-trimmed", "ID-1", "White space at the ends of an id is lost.", || {
        echoed(|id| id.as_str().map_or_else(|| id.clone(), |text| json!(text.trim())))
    }),
    Specimen::executor("string-id-ends-at-nul", "ID-1", "An id ends at its first NUL.", || {
        echoed(|id| id.as_str().map_or_else(|| id.clone(), |text| json!(text.split('\0').next())))
    }),
    Specimen::executor("string-id-cut", "ID-1", "An id of more than 255 characters is cut.", || {
        echoed(|id| id.as_str().map_or_else(|| id.clone(), |text| json!(text.chars().take(255).collect::<String>())))
    }),
    Specimen::executor("empty-id-is-none", "ID-1", "A request with an empty id is taken for a notification.", || {
        instead(|message| message.json["id"] == "", |_, _| {})
    }),
    Specimen::executor("integer-id-is-double", "ID-2", "An id loses its digits beyond 2^53.", || {
        echoed(|id| id.as_i64().map_or_else(|| id.clone(), |id| json!(id as f64 as i64)))
    }),
    Specimen::executor("integer-id-of-32-bits", "ID-2", "An id is kept in 32 bits.", || {
        echoed(|id| id.as_i64().map_or_else(|| id.clone(), |id| json!(id as i32)))
    }),
    Specimen::executor("zero-id-is-none", "ID-2", "A request with the id 0 is taken for a notification.", || {
        instead(|message| message.json["id"] == 0, |_, _| {})
    }),
    Specimen::executor(
        "null-id-is-notification",
        "ID-3",
        "A request with the id null is taken for a notification, and not answered.",
        || instead(|message| message.is_request() && message.json["id"].is_null(), |_, _| {}),
    ),
    Specimen::executor("boolean-id-echoed", "ID-3", "An id may be a boolean.", || accepting(Value::is_boolean)),
    Specimen::executor(
        "whole-double-id-echoed",
        "ID-3",
        "An id may be a number with a fraction or an exponent.",
        || accepting(Value::is_f64),
    ),
    Specimen::executor("unsigned-id-echoed", "ID-3", "An id may be an unsigned integer of 64 bits.", || {
        accepting(|id| id.is_u64() && !id.is_i64())
    }),
    Specimen::executor(
        "ids-compared-as-text",
        "ID-4",
        "The integer 1 and the string \"1\" are one id, which is answered in the form that came last.",
        || {
            let mut forms: HashMap<String, Value> = HashMap::new();
            Tamper::messages(move |mut message, out| {
                let id = message.json["id"].clone();
                let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                if message.is_request() {
                    forms.insert(text, id);
                } else if let Some(form) = forms.get(&text) {
                    message.json["id"] = form.clone();
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "second-call-of-an-id-lost",
        "ID-5",
        "A request that carries the id of another one in flight takes its place, and only one is answered.",
        || {
            let mut in_flight = HashSet::new();
            Tamper::messages(move |message, out| {
                let id = message.json["id"].to_string();
                let is_lost = match message.way {
                    Way::ToExecutor => message.is_call() && !in_flight.insert(id),
                    Way::ToClient => {
                        in_flight.remove(&id);
                        false
                    }
                };
                if !is_lost {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "one-namespace-of-ids",
        "ID-8",
        "A `requestId` that was the `id` of another call counts as taken.",
        || {
            let mut ids = HashSet::new();
            Tamper::messages(move |message, out| {
                if message.is_call() && ids.contains(&message.json["params"]["requestId"]) {
                    return out.refuse(&message.json["id"], -32602);
                }
                if message.is_call() {
                    ids.insert(message.json["id"].clone());
                }
                out.pass(message);
            })
        },
    ),
];

/// Changes the ids of answers.
fn echoed(change: fn(&Value) -> Value) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.asked.is_some() && message.way == Way::ToClient {
            message.json["id"] = change(&message.json["id"]);
        }
        out.pass(message);
    })
}

/// Accepts requests with such an id, and answers under it.
fn accepting(accepts: fn(&Value) -> bool) -> Tamper {
    const STANDS_FOR: &str = "id ";
    Tamper::messages(move |mut message, out| {
        if let Some(id) = message.json.get_mut("id") {
            if message.way == Way::ToExecutor && accepts(id) {
                *id = json!(format!("{STANDS_FOR}{id}"));
            } else if let Some(original) = id.as_str().and_then(|id| id.strip_prefix(STANDS_FOR)) {
                *id = serde_json::from_str(original).unwrap_or_default();
            }
        }
        out.pass(message);
    })
}
