//! Executors that break what is said about deadlines.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::frame::succeed;
use super::gather::{gathered, gathered_after};
use super::hops::hops;
use crate::conformance::zoo::relay;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{calls, deltas};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("deadline-of-each-hop", "HTTP-13", "The deadline starts again with each redirect.", || {
        hops(|_| {})
    }),
    Specimen::executor("deadline-in-seconds", "HTTP-14", "A deadline is taken for seconds.", || {
        calls(|call| {
            if let Some(timeout) = call["timeoutMs"].as_u64() {
                call["timeoutMs"] = json!(timeout.saturating_mul(1000));
            }
        })
    }),
    Specimen::executor(
        "late-before-the-head",
        "HTTP-14",
        "A deadline that passes before the head is noticed a second late.",
        || {
            gathered_after(&[], |failure, out| {
                if failure.kind() == "timeout" {
                    out.wait(Duration::from_secs(1));
                }
            })
        },
    ),
    Specimen::executor("deadline-ends-a-body", "HTTP-14", "A buffered body is whole when its deadline passes.", || {
        gathered(&["timeout"])
    }),
    Specimen::executor("deadline-ends-a-stream", "HTTP-15", "A stream ends well when its deadline passes.", || {
        deltas(|delta| {
            if delta["errorKind"] == "timeout" {
                delta["done"] = json!(true);
                delta["error"] = Value::Null;
                delta.as_object_mut().map(|delta| delta.remove("errorKind"));
            }
        })
    }),
    Specimen::executor(
        "deadline-amid-bytes-is-the-end",
        "HTTP-15",
        "A deadline that passes within a tenth of a second behind some bytes of a stream is its clean end.",
        || {
            let mut last: HashMap<String, Instant> = HashMap::new();
            deltas(move |delta| {
                let before = last.insert(delta["requestId"].to_string(), Instant::now());
                let is_amid = before.is_some_and(|before| before.elapsed() < Duration::from_millis(100));
                if is_amid && delta["errorKind"] == "timeout" {
                    succeed(delta);
                }
            })
        },
    ),
    Specimen::executor("deadline-of-no-stream", "HTTP-15", "Streamed calls have no deadline.", || {
        calls(|call| {
            if call["streamResponse"] == true && call["timeoutMs"] != 0 {
                call["timeoutMs"] = Value::Null;
            }
        })
    }),
    Specimen::executor(
        "deadline-of-each-read",
        "HTTP-15",
        "The deadline starts again with each piece of a body.",
        relay::silence_for_deadline,
    ),
    Specimen::executor("deadline-by-default", "HTTP-16", "A call without a deadline has one of two seconds.", || {
        calls(|call| {
            if call["timeoutMs"].is_null() && call.is_object() {
                call["timeoutMs"] = json!(2000);
            }
        })
    }),
    Specimen::executor("deadline-0-is-none", "HTTP-17", "A deadline of 0 is none.", || {
        calls(|call| {
            if call["timeoutMs"] == 0 {
                call["timeoutMs"] = Value::Null;
            }
        })
    }),
];
