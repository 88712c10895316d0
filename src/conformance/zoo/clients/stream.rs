//! Clients that break the clauses of streams as a whole: their order, their bytes and their end.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::exchange::{Exchange, decoded, frames};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Way, deltas, hang_up_at, terminals};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "empty-body-never-ends",
        "STREAM-15",
        "A terminal frame that is the first and has no bytes is ignored.",
        || {
            Tamper::messages(|message, out| {
                let params = &message.json["params"];
                if !(message.is_terminal()
                    && params["seq"] == 1
                    && params["deltaBase64"] == ""
                    && params["error"].is_null())
                {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::client("terminal-bytes-twice", "STREAM-15", "The bytes of a terminal frame are delivered twice.", || {
        Tamper::messages(|mut message, out| {
            let params = &message.json["params"];
            if let (true, Some(seq)) = (message.is_terminal() && params["deltaBase64"] != "", params["seq"].as_u64()) {
                let mut first = message.json.clone();
                first["params"]["done"] = json!(false);
                first["params"]["error"] = Value::Null;
                out.send(message.way, &first);
                message.json["params"]["seq"] = json!(seq + 1);
            }
            out.pass(message);
        })
    }),
    Specimen::client("error-is-clean-end", "STREAM-16", "A terminal frame with an error is a clean end.", || {
        deltas(|delta| {
            if delta["error"].is_string() {
                delta["error"] = Value::Null;
                delta["done"] = json!(true);
            }
        })
    }),
    Specimen::client("empty-error-is-none", "STREAM-16", "An error without a text is no error.", || {
        deltas(|delta| {
            if delta["error"] == "" {
                delta["error"] = Value::Null;
            }
        })
    }),
    Specimen::client(
        "error-text-replaced",
        "STREAM-16",
        "The text of a stream's error never reaches the caller.",
        || {
            deltas(|delta| {
                if delta["error"].is_string() {
                    delta["error"] = json!("stream failed");
                }
            })
        },
    ),
    Specimen::client(
        "any-seq-accepted",
        "STREAM-20",
        "Frames are delivered as they come, whatever their `seq`.",
        || {
            let mut last = HashMap::new();
            deltas(move |delta| {
                if delta["seq"].is_u64() {
                    let seq: &mut u64 = last.entry(delta["requestId"].clone()).or_default();
                    *seq += 1;
                    delta["seq"] = json!(*seq);
                }
            })
        },
    ),
    Specimen::client(
        "repeats-ignored",
        "STREAM-20",
        "A frame whose `seq` has come already is dropped in silence.",
        || {
            let mut last: HashMap<Value, u64> = HashMap::new();
            Tamper::messages(move |message, out| {
                let params = &message.json["params"];
                if let (true, Some(seq)) = (message.is_delta(), params["seq"].as_u64()) {
                    let last = last.entry(params["requestId"].clone()).or_default();
                    if seq <= *last {
                        return;
                    }
                    *last = seq;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "frames-put-in-order",
        "STREAM-20",
        "A frame behind a gap waits until the gap is filled.",
        frames_put_in_order,
    ),
    Specimen::client("numbers-from-zero", "STREAM-20", "The frames of a stream may be numbered from 0, too.", || {
        let mut from_zero = Vec::new();
        deltas(move |delta| {
            let id = delta["requestId"].clone();
            if delta["seq"] == 0 {
                from_zero.push(id.clone());
            }
            if let (true, Some(seq)) = (from_zero.contains(&id), delta["seq"].as_u64()) {
                delta["seq"] = json!(seq + 1);
            }
        })
    }),
    Specimen::client(
        "first-seq-is-the-base",
        "STREAM-20",
        "The frames of a stream are counted from whatever `seq` comes first.",
        || {
            let mut first: HashMap<Value, u64> = HashMap::new();
            deltas(move |delta| {
                if let Some(seq) = delta["seq"].as_u64() {
                    let first = first.entry(delta["requestId"].clone()).or_insert(seq);
                    delta["seq"] = json!((seq + 1).saturating_sub(*first));
                }
            })
        },
    ),
    Specimen::client("gap-is-fatal", "STREAM-20", "A gap in one stream ends the connection.", || {
        let mut next: HashMap<Value, u64> = HashMap::new();
        hang_up_at(move |message| {
            let params = &message.json["params"];
            let Some(seq) = params["seq"].as_u64().filter(|_| message.is_delta()) else { return false };
            let next = next.entry(params["requestId"].clone()).or_insert(1);
            *next += 1;
            seq >= *next
        })
    }),
    Specimen::client(
        "end-of-any-seq",
        "STREAM-21",
        "The `done` and the `error` of a frame count, whatever its `seq`.",
        || {
            let mut next: HashMap<Value, u64> = HashMap::new();
            Tamper::messages(move |mut message, out| {
                let terminal = message.is_terminal();
                let params = &mut message.json["params"];
                if let Some(seq) = params["seq"].as_u64() {
                    let next = next.entry(params["requestId"].clone()).or_insert(1);
                    if terminal && seq != *next {
                        params["seq"] = json!(*next);
                        params["deltaBase64"] = json!("");
                    }
                    *next += 1;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "buffered-length-not-checked",
        "STREAM-26",
        "The body of a buffered call may have any length.",
        || {
            Tamper::messages(|mut message, out| {
                if message.is_answer()
                    && message.asked.as_ref().is_some_and(|asked| asked["params"]["streamResponse"] != true)
                    && let Some(headers) = message.json.pointer_mut("/result/headers").and_then(Value::as_array_mut)
                {
                    headers.retain(|header| !is_length(header));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "whole-body-is-the-end",
        "STREAM-28",
        "A stream ends when its body is as long as its response said, without a terminal frame.",
        whole_body_is_the_end,
    ),
    Specimen::client("bytes-trimmed", "STREAM-30", "White space at the end of a frame's bytes is lost.", || {
        change_bytes(|bytes| bytes.truncate(bytes.trim_ascii_end().len()))
    }),
    Specimen::client(
        "bytes-as-text",
        "STREAM-30",
        "The bytes of a frame are decoded as UTF-8, and what is not is replaced.",
        || change_bytes(|bytes| *bytes = String::from_utf8_lossy(bytes).into_owned().into_bytes()),
    ),
    Specimen::client("frame-cut-at-64k", "STREAM-30", "The bytes of a frame behind the first 65,536 are lost.", || {
        change_bytes(|bytes| bytes.truncate(65_536))
    }),
    Specimen::client(
        "seq-in-signed-byte",
        "STREAM-30",
        "`seq` is kept in a signed byte, so the 128th frame ends its stream.",
        || {
            deltas(|delta| {
                if let Some(seq) = delta["seq"].as_u64() {
                    delta["seq"] = json!(seq as u8 as i8);
                }
            })
        },
    ),
    Specimen::client(
        "one-buffer-for-all",
        "STREAM-30",
        "Frames are decoded into one buffer, and a frame that follows one of another stream delivers what was in it.",
        one_buffer_for_all,
    ),
    Specimen::client(
        "bytes-of-only-frame-lost",
        "STREAM-15",
        "The bytes of a terminal frame that is the first one are lost.",
        || terminal_bytes_lost(|seq| seq == 1),
    ),
    Specimen::client(
        "bytes-of-last-frame-lost",
        "STREAM-15",
        "The bytes of a terminal frame that others precede are lost.",
        || terminal_bytes_lost(|seq| seq > 1),
    ),
    Specimen::client(
        "whole-body-hides-error",
        "STREAM-16",
        "An error behind as many bytes as the response said is a clean end.",
        || {
            frames(|before, mut message, out| {
                let bytes = before.bytes + decoded(&message.json["params"]).len();
                if before.length() == Some(bytes) {
                    message.json["params"]["error"] = Value::Null;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client("length-of-head-checked", "STREAM-27", "The answer to a HEAD is as long as it says.", || {
        length_checked(|stream, _| stream.param("method") == "HEAD")
    }),
    Specimen::client(
        "length-without-body-checked",
        "STREAM-27",
        "The body of a response of status 204 or 304 is as long as it says.",
        || length_checked(|_, status| matches!(status, Some(204 | 304))),
    ),
];

fn frames_put_in_order() -> Tamper {
    let mut waiting: HashMap<Value, (u64, BTreeMap<u64, Message>)> = HashMap::new();
    Tamper::messages(move |message, out| {
        let params = &message.json["params"];
        let Some(seq) = params["seq"].as_u64().filter(|_| message.is_delta()) else { return out.pass(message) };
        let (next, held) = waiting.entry(params["requestId"].clone()).or_insert((1, BTreeMap::new()));
        if seq < *next {
            return out.pass(message);
        }
        held.insert(seq, message);
        while let Some(message) = held.remove(next) {
            *next += 1;
            out.pass(message);
        }
    })
}

fn is_length(header: &Value) -> bool {
    header["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("content-length"))
}

fn whole_body_is_the_end() -> Tamper {
    let mut missing: HashMap<Value, usize> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        if let Some(asked) = &message.asked {
            let headers = message.json["result"]["headers"].as_array();
            let length = headers.into_iter().flatten().find(|header| is_length(header));
            if let Some(length) = length.and_then(|header| header["value"].as_str()?.parse().ok()) {
                missing.insert(asked["params"]["requestId"].clone(), length);
            }
        } else if message.way == Way::ToClient && message.is_delta() {
            let params = &mut message.json["params"];
            if let Some(missing) = missing.get_mut(&params["requestId"]) {
                *missing = missing.saturating_sub(decoded(params).len());
                if *missing == 0 {
                    params["done"] = json!(true);
                }
            }
        }
        out.pass(message);
    })
}

fn one_buffer_for_all() -> Tamper {
    let mut buffer = (Value::Null, Value::Null);
    deltas(move |delta| {
        let now = (delta["requestId"].clone(), delta["deltaBase64"].clone());
        if !buffer.0.is_null() && buffer.0 != now.0 && now.1 != "" {
            delta["deltaBase64"] = buffer.1.clone();
        }
        buffer = now;
    })
}

fn change_bytes(change: fn(&mut Vec<u8>)) -> Tamper {
    deltas(move |delta| {
        let mut bytes = decoded(delta);
        if !bytes.is_empty() {
            change(&mut bytes);
            delta["deltaBase64"] = json!(STANDARD.encode(bytes));
        }
    })
}

fn terminal_bytes_lost(when: fn(u64) -> bool) -> Tamper {
    terminals(move |delta| {
        if delta["seq"].as_u64().is_some_and(when) {
            delta["deltaBase64"] = json!("");
        }
    })
}

/// The clean end of such a stream is an error where its bytes are not as many as its response said.
fn length_checked(which: fn(&Exchange, Option<u64>) -> bool) -> Tamper {
    frames(move |before, mut message, out| {
        let status = before.result.as_ref().and_then(|result| result["status"].as_u64());
        let bytes = before.bytes + decoded(&message.json["params"]).len();
        if message.is_terminal() && which(before, status) && before.length().is_some_and(|length| length != bytes) {
            message.json["params"]["error"] = json!("the body has another length");
        }
        out.pass(message);
    })
}
