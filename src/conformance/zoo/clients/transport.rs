//! Clients that break the clauses of the transports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Unit, Way, lose};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client("pretty-printed", "TRANSPORT-1", "A call is written on several lines.", || {
        Tamper::messages(|message, out| {
            if message.is_call() {
                out.text(message.way, format!("{:#}", message.json));
            } else {
                out.pass(message);
            }
        })
    }),
    Specimen::client("cr-kept", "TRANSPORT-2", "The CR of a line that ends with CRLF makes it unreadable.", || {
        Tamper::reads(|bytes| String::from_utf8_lossy(bytes).replace("\r\n", "\u{fffd}\n").into_bytes())
    }),
    Specimen::client(
        "blank-line-unreadable",
        "TRANSPORT-3",
        "A line of white space is a frame that is no message.",
        || {
            Tamper::reads(|bytes| {
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                lines.map(|line| if line.trim_ascii().is_empty() { b"?\n" } else { line }).collect::<Vec<_>>().concat()
            })
        },
    ),
    Specimen::client("read-is-a-message", "TRANSPORT-4", "What one read returns is taken for one message.", || {
        Tamper::reads(|bytes| {
            let mut message: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
            message.push(b'\n');
            message
        })
    }),
    Specimen::client(
        "two-messages-of-a-read",
        "TRANSPORT-4",
        "Of the messages that one read returns only the first two are seen.",
        || Tamper::reads(|bytes| bytes.split_inclusive(|byte| *byte == b'\n').take(2).collect::<Vec<_>>().concat()),
    ),
    Specimen::client("client-binary-ignored", "TRANSPORT-9", "Binary messages are ignored.", || {
        lose(|message| message.is_binary())
    })
    .on_websocket(),
    Specimen::client(
        "ping-breaks-message",
        "TRANSPORT-11",
        "A ping between the fragments of a message makes the client lose the message.",
        ping_breaks_message,
    )
    .on_websocket(),
    Specimen::client("ping-unanswered", "TRANSPORT-14", "A ping is not answered.", || {
        Tamper::units(|way, unit, out| {
            if !matches!(unit, Unit::Pong(_)) {
                out.unit(way, unit);
            }
        })
    })
    .on_websocket(),
    Specimen::client("client-pong-without-payload", "TRANSPORT-14", "A pong has no payload.", || {
        Tamper::units(|way, unit, out| {
            out.unit(way, if matches!(unit, Unit::Pong(_)) { Unit::Pong(Bytes::new()) } else { unit })
        })
    })
    .on_websocket(),
    Specimen::client("origin-sent", "TRANSPORT-22", "The upgrade has an `Origin`, as that of a web page has.", || {
        Tamper::upgrade(|way, head| {
            if way == Way::ToExecutor {
                head.insert_str(head.len() - 2, "origin: http://localhost\r\n");
            }
        })
    })
    .on_websocket(),
    Specimen::client(
        "end-of-read-ends-message",
        "TRANSPORT-4",
        "The end of a read is the end of a message, too.",
        || {
            Tamper::reads(|bytes| {
                let mut read = bytes.to_vec();
                if read.last() != Some(&b'\n') {
                    read.push(b'\n');
                }
                read
            })
        },
    ),
];

fn ping_breaks_message() -> Tamper {
    let pinged = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&pinged);
    Tamper::messages(move |message, out| {
        if message.way == Way::ToExecutor || !broken.swap(false, Ordering::Relaxed) {
            out.pass(message);
        }
    })
    .with_units(move |way, unit, out| {
        if way == Way::ToClient && matches!(unit, Unit::Ping(_)) {
            pinged.store(true, Ordering::Relaxed);
        }
        out.unit(way, unit);
    })
}
