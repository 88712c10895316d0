//! Executors that break the clauses of streams: the bytes of a body, and how it breaks off.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::frame::{bytes, changed, is_failed, one_behind, pieces, seq, set_bytes, succeed};
use super::parts::header;
use crate::conformance::zoo::relay;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, deltas, frames, terminals};
use crate::protocol::limits::DELTA_BYTES;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "frames-as-text",
        "STREAM-5",
        "Bytes of a streamed body that are not UTF-8 become question marks.",
        || deltas(|delta| set_bytes(delta, String::from_utf8_lossy(&bytes(delta)).replace('\u{fffd}', "?").as_bytes())),
    ),
    Specimen::executor("nul-ends-a-frame", "STREAM-5", "Bytes of a frame from the first NUL on are lost.", || {
        deltas(|delta| {
            let all = bytes(delta);
            let text = all.split(|byte| *byte == 0).next().unwrap_or_default();
            set_bytes(delta, text);
        })
    }),
    Specimen::executor(
        "repeats-taken-for-copies",
        "STREAM-5",
        "Of two small frames in a row with the same bytes one is lost.",
        || {
            let mut last = Value::Null;
            pieces(16, move |frame, out| {
                let bytes = frame.json["params"]["deltaBase64"].clone();
                let is_copy = !frame.is_terminal() && bytes == last;
                last = bytes;
                changed(frame, out, |delta| {
                    if is_copy {
                        set_bytes(delta, b"");
                    }
                });
            })
        },
    ),
    Specimen::executor(
        "one-byte-chunks-lost",
        "STREAM-5",
        "HTTP chunks of one byte are lost where a body begins with them.",
        || relay::responses(without_chunks_of_one_byte),
    ),
    Specimen::executor("large-chunk-not-split", "STREAM-6", "A large chunk is one frame of up to 4 MiB.", || {
        collecting(4 * DELTA_BYTES, |_| true)
    }),
    Specimen::executor(
        "announced-body-not-split",
        "STREAM-6",
        "A body with a content-length is sent in frames of up to 4 MiB.",
        || collecting(4 * DELTA_BYTES, |response| header(response, "content-length").is_some()),
    ),
    Specimen::executor(
        "unannounced-body-not-split",
        "STREAM-6",
        "A body without a content-length is sent in frames of up to 4 MiB.",
        || collecting(4 * DELTA_BYTES, |response| header(response, "content-length").is_none()),
    ),
    Specimen::executor("frame-one-byte-too-large", "STREAM-6", "A large chunk is cut a byte behind the bound.", || {
        collecting(DELTA_BYTES + 1, |_| true)
    }),
    Specimen::executor("reset-as-end", "STREAM-9", "An upstream reset in a streamed body is its clean end.", || {
        succeeding(&["reset"])
    }),
    Specimen::executor(
        "broken-chunk-as-end",
        "STREAM-9",
        "A chunk that cannot be read is the clean end of its body.",
        || succeeding(&["protocol"]),
    ),
    Specimen::executor("failure-without-text", "STREAM-9", "The error of a terminal frame is empty.", || {
        terminals(|delta| {
            if delta["error"].is_string() {
                delta["error"] = json!("");
            }
        })
    }),
    Specimen::executor(
        "bytes-before-a-failure-lost",
        "STREAM-9",
        "The bytes that came last before the failure of a body are lost.",
        || {
            one_behind(|last, terminal, out| {
                if is_failed(&terminal) {
                    changed(terminal, out, |delta| delta["seq"] = json!(seq(delta) - 1));
                } else {
                    out.pass(last);
                    out.pass(terminal);
                }
            })
        },
    ),
    Specimen::executor(
        "failure-ends-all-streams",
        "ENVELOPE-7",
        "A body that breaks off ends every other stream with an error.",
        || {
            let mut broken: HashSet<String> = HashSet::new();
            let mut open: HashMap<String, u64> = HashMap::new();
            frames(move |frame, out| {
                let id = frame.request_id().to_owned();
                if broken.contains(&id) {
                    return;
                }
                if !frame.is_terminal() {
                    open.insert(id, seq(&frame.json["params"]));
                    return out.pass(frame);
                }
                open.remove(&id);
                if is_failed(&frame) {
                    for (id, last) in open.drain() {
                        changed(frame.clone(), out, |delta| {
                            delta["requestId"] = json!(id);
                            delta["seq"] = json!(last + 1);
                        });
                        broken.insert(id);
                    }
                }
                out.pass(frame);
            })
        },
    ),
    Specimen::executor(
        "short-body-as-end",
        "STREAM-10",
        "A streamed body short of its content-length ends cleanly.",
        || succeeding(&["truncated"]),
    ),
    Specimen::executor(
        "missing-body-as-end",
        "STREAM-10",
        "A streamed body of which nothing came ends cleanly.",
        || {
            terminals(|delta| {
                if seq(delta) == 1 {
                    succeed(delta);
                }
            })
        },
    ),
];

/// A failure of one of these kinds is a clean end.
fn succeeding(kinds: &'static [&str]) -> Tamper {
    terminals(|delta| {
        if kinds.iter().any(|kind| delta["errorKind"] == *kind) {
            succeed(delta);
        }
    })
}

/// Loses the chunks of one byte at the start of a response.
fn without_chunks_of_one_byte(start: &mut Vec<u8>) -> bool {
    const SIZE: &[u8] = b"1\r\n";
    let Some(end) = memchr::memmem::find(start, b"\r\n\r\n") else { return false };
    let body = end + 4;
    if memchr::memmem::find(&start[..body], b"chunked\r\n").is_none() {
        return true;
    }
    while start[body..].starts_with(SIZE) && start.len() >= body + SIZE.len() + 3 {
        start.drain(body..body + SIZE.len() + 3);
    }
    start.len() >= body + SIZE.len() && !start[body..].starts_with(SIZE)
}

/// Joins frames of that many bytes, from the first large one of a body on, where that holds for the response.
fn collecting(size: usize, holds: fn(&Value) -> bool) -> Tamper {
    const LARGE: usize = 4096;
    let mut held: HashMap<String, (u64, Vec<u8>)> = HashMap::new();
    Tamper::messages(move |frame, out| {
        let id = frame.request_id().to_owned();
        if frame.is_answer() && frame.is_streamed() && frame.json.get("result").is_some_and(holds) {
            held.insert(id.clone(), (0, Vec::new()));
        }
        if !frame.is_delta() || !held.contains_key(&id) {
            return out.pass(frame);
        }
        let new = bytes(&frame.json["params"]);
        let (count, waiting) = held.entry(id.clone()).or_default();
        let is_terminal = frame.is_terminal();
        let joins = !waiting.is_empty() || new.len() >= LARGE;
        waiting.extend(new);
        let mut emit = |bytes: &[u8], frame: Message, done: bool| {
            *count += 1;
            changed(frame, out, |delta| {
                delta["seq"] = json!(*count);
                if !done {
                    delta["done"] = json!(false);
                    delta["error"] = Value::Null;
                }
                set_bytes(delta, bytes);
            });
        };
        while waiting.len() >= size || !waiting.is_empty() && (is_terminal || !joins) {
            let rest = waiting.split_off(waiting.len().min(size));
            emit(waiting, frame.clone(), false);
            *waiting = rest;
        }
        if is_terminal {
            emit(&[], frame, true);
            held.remove(&id);
        }
    })
}
