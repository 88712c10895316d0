//! Clients that break the clauses of closing.

use serde_json::Value;

use super::exchange::{Exchange, before};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Unit, Way};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "hang-up-not-passed",
        "CLOSE-8",
        "The application closes the connection, and the websocket stays open until the executor ends it.",
        || {
            Tamper::units(|way, unit, out| {
                let closes = matches!(unit, Unit::Close(_) | Unit::End);
                if way == Way::ToClient || !closes {
                    out.unit(way, unit);
                }
            })
        },
    )
    .on_websocket(),
    Specimen::client(
        "disconnect-as-empty-response",
        "CLOSE-10",
        "A call whose connection ends has a response without headers and body.",
        || before(|unit| *unit == Unit::End, empty_responses),
    ),
    Specimen::client(
        "close-frame-as-empty-response",
        "CLOSE-10",
        "A call that waits when a close frame comes has a response without headers and body.",
        || before(|unit| matches!(unit, Unit::Close(_)), empty_responses),
    )
    .on_websocket(),
    Specimen::client(
        "broken-before-a-frame-is-empty",
        "CLOSE-8",
        "A stream whose connection ends before its first frame is an empty body.",
        || before(|unit| *unit == Unit::End, |all| ends(all, |stream| stream.next == 1)),
    ),
    Specimen::client(
        "one-stream-told-of-disconnect",
        "CLOSE-8",
        "The first open stream gets the error of a disconnect, and all others end cleanly.",
        || before(|unit| *unit == Unit::End, |all| ends(all, |_| true).into_iter().skip(1).collect()),
    ),
    Specimen::client(
        "line-without-end-counts",
        "CLOSE-8",
        "What stands behind the last line end when the output of the executor ends is one more message.",
        || {
            Tamper::units(|way, unit, out| match unit {
                Unit::Raw(bytes) if way == Way::ToClient && serde_json::from_slice::<Value>(&bytes).is_ok() => {
                    out.text(way, bytes);
                }
                unit => out.unit(way, unit),
            })
        },
    ),
    Specimen::client(
        "cut-off-frame-is-the-end",
        "CLOSE-8",
        "A websocket frame that the end of the connection cuts off is the clean end of all open streams.",
        || before(|unit| matches!(unit, Unit::Raw(_)), |all| ends(all, |_| true)),
    )
    .on_websocket(),
    Specimen::client(
        "idle-end-is-the-end",
        "STREAM-28",
        "The end of a websocket without a close frame, while no call waits, is the clean end of streams of no stated length.",
        || {
            before(
                |unit| *unit == Unit::End,
                |all| {
                    let idle = !all.iter().any(Exchange::is_pending);
                    if idle { ends(all, |stream| stream.length().is_none()) } else { Vec::new() }
                },
            )
        },
    )
    .on_websocket(),
];

/// The clean ends of the open streams of that kind.
fn ends(all: &[Exchange], which: fn(&Exchange) -> bool) -> Vec<Value> {
    all.iter().filter(|stream| stream.is_open() && which(stream)).map(|stream| stream.end(None)).collect()
}

/// Responses without headers and body for all calls that wait.
fn empty_responses(all: &[Exchange]) -> Vec<Value> {
    all.iter().filter(|call| call.is_pending()).map(Exchange::empty_response).collect()
}
