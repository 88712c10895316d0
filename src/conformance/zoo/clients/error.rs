//! Clients that break the clauses of errors.

use serde_json::Value;

use super::exchange::{before, exchanges, frames};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Unit, Way, hang_up_at, lose};
use crate::protocol::error::ErrorKind;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "unknown-kind-ignored",
        "ERROR-17",
        "An error with a kind that the client does not know does not decode and is ignored.",
        || {
            lose(|message| {
                kinds(message).iter().filter_map(Value::as_str).any(|kind| ErrorKind::from_word(kind).is_none())
            })
        },
    ),
    Specimen::client(
        "odd-data-is-fatal",
        "ERROR-17",
        "An error whose `data` is not an object with a kind as text ends the connection.",
        || {
            hang_up_at(|message| {
                message.json["error"].get("data").is_some() && !message.json["error"]["data"]["kind"].is_string()
            })
        },
    ),
    Specimen::client(
        "disconnect-guessed-from-text",
        "ERROR-18",
        "An error whose text says that something is closed is taken for the end of the connection.",
        || says_end("closed"),
    ),
    Specimen::client(
        "url-in-lost-calls",
        "ERROR-16",
        "The error of a call whose connection has ended names its URL.",
        || {
            before(
                |unit| *unit == Unit::End,
                |all| {
                    let lost = all.iter().filter(|call| call.is_pending());
                    lost.map(|call| call.refusal(&format!("{} was not answered", call.param("url")))).collect()
                },
            )
        },
    ),
    Specimen::client("url-in-gaps", "ERROR-16", "The error of a gap in a stream names the URL of its call.", || {
        frames(|call, message, out| {
            if !call.over && message.json["params"]["seq"].as_u64().is_some_and(|seq| seq > call.next) {
                let text = format!("a frame of {} is missing", call.param("url"));
                return out.send(Way::ToClient, &call.end(Some(&text)));
            }
            out.pass(message);
        })
    }),
    Specimen::client(
        "url-in-bad-results",
        "ERROR-16",
        "The error of a result without a status names the URL of its call.",
        || {
            exchanges(|call, message, out| {
                if message.json.get("result").is_some_and(|result| result.get("status").is_none()) {
                    let text = format!("{} has no status", call.param("url"));
                    return out.send(Way::ToClient, &call.refusal(&text));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "closed-transport-guessed-from-text",
        "ERROR-18",
        "An error whose text says that the transport is closed is taken for the end of the connection.",
        || says_end("transport closed"),
    ),
    Specimen::client(
        "disconnected-guessed-from-text",
        "ERROR-18",
        "An error whose text says that something is disconnected is taken for the end of the connection.",
        || says_end("disconnected"),
    ),
];

/// The kinds that a message names.
fn kinds(message: &Message) -> [Value; 2] {
    [message.json["error"]["data"]["kind"].clone(), message.json["params"]["errorKind"].clone()]
}

/// Takes an error with these words for the end of the connection.
fn says_end(words: &'static str) -> Tamper {
    hang_up_at(move |message| {
        let texts = [&message.json["error"]["message"], &message.json["params"]["error"]];
        texts.iter().any(|text| text.as_str().is_some_and(|text| text.contains(words)))
    })
}
