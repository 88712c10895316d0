//! Clients that break the clauses of `seq` in one situation each.

use serde_json::{Value, json};

use super::exchange::{Exchange, frames};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Way};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "number-of-end-not-checked",
        "STREAM-20",
        "A terminal frame without bytes and without error ends its stream, whatever its `seq`.",
        || renumbered(|message| is_clean_end(message) && message.json["params"]["deltaBase64"] == ""),
    ),
    Specimen::client(
        "same-number-ignored",
        "STREAM-20",
        "A frame with the `seq` of the frame before it is dropped in silence.",
        || {
            frames(|before, message, out| {
                if before.next == 1 || message.json["params"]["seq"] != before.next - 1 {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::client(
        "gap-ends-all-streams",
        "STREAM-20",
        "A gap in one stream ends all open streams.",
        gap_ends_all_streams,
    ),
    Specimen::client(
        "gap-as-malformed",
        "STREAM-20",
        "The error of a gap says that the frame could not be read.",
        || {
            frames(|before, mut message, out| {
                if !before.over && is_gap(before, &message) {
                    message.json["params"]["seq"] = Value::Null;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "done-of-any-seq",
        "STREAM-21",
        "The `done` of a frame without error counts, whatever its `seq`.",
        || renumbered(is_clean_end),
    ),
    Specimen::client("error-of-any-seq", "STREAM-21", "The `error` of a frame counts, whatever its `seq`.", || {
        renumbered(|message| message.json["params"]["error"].is_string())
    }),
];

fn is_gap(before: &Exchange, message: &Message) -> bool {
    message.json["params"]["seq"].as_u64().is_some_and(|seq| seq != before.next)
}

fn is_clean_end(message: &Message) -> bool {
    message.is_terminal() && !message.json["params"]["error"].is_string()
}

/// Frames of that kind are the next of an open stream, without their bytes, whatever their `seq`.
fn renumbered(which: fn(&Message) -> bool) -> Tamper {
    frames(move |before, mut message, out| {
        if !before.over && is_gap(before, &message) && which(&message) {
            let params = &mut message.json["params"];
            (params["seq"], params["deltaBase64"]) = (json!(before.next), json!(""));
        }
        out.pass(message);
    })
}

fn gap_ends_all_streams() -> Tamper {
    let mut streams: Vec<Exchange> = Vec::new();
    frames(move |before, message, out| {
        let name = before.param("requestId");
        streams.retain(|other| other.param("requestId") != name);
        let gap = !before.over && is_gap(before, &message);
        let over = before.over || message.is_terminal() || gap;
        out.pass(message);
        if gap {
            streams.drain(..).for_each(|other| out.send(Way::ToClient, &other.end(Some("a frame is missing"))));
        } else if !over {
            streams.push(Exchange { next: before.next + 1, ..before.clone() });
        }
    })
}
