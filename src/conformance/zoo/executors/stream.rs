//! Executors that break the clauses of streams: numbers, ends, frames of nothing.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::frame::{bytes, changed, is_failed, one_behind, pieces, seq, set_bytes, succeed};
use super::parts::header;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, deltas, frames, terminals};
use crate::protocol::error::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("seq-from-zero", "STREAM-1", "The first frame of a body has the number 0.", || {
        deltas(|delta| delta["seq"] = json!(seq(delta) - 1))
    }),
    Specimen::executor(
        "seq-in-eight-bits",
        "STREAM-1",
        "Behind frame 255 of a body, which are small ones, comes frame 0.",
        || pieces(16, |delta, out| changed(delta, out, |delta| delta["seq"] = json!(seq(delta) % 256))),
    ),
    Specimen::executor(
        "terminal-not-numbered",
        "STREAM-1",
        "The terminal frame repeats the number of the frame before it.",
        || terminals(|delta| delta["seq"] = json!((seq(delta) - 1).max(1))),
    ),
    Specimen::executor("seq-shared", "STREAM-1", "All streams of a connection share one counter.", || {
        let mut count = 0;
        deltas(move |delta| {
            count += 1;
            delta["seq"] = json!(count);
        })
    }),
    Specimen::executor("no-clean-end", "STREAM-2", "A body that is complete has no terminal frame.", || {
        frames(|frame, out| {
            if !frame.is_terminal() || is_failed(&frame) {
                out.pass(frame)
            }
        })
    }),
    Specimen::executor(
        "no-end-behind-pieces",
        "STREAM-2",
        "A complete body that came in more than one frame has no terminal frame.",
        || {
            frames(|frame, out| {
                if !frame.is_terminal() || is_failed(&frame) || seq(&frame.json["params"]) <= 2 {
                    out.pass(frame)
                }
            })
        },
    ),
    Specimen::executor("no-failed-end", "STREAM-2", "A body that breaks off has no terminal frame.", || {
        frames(|frame, out| {
            if !is_failed(&frame) {
                out.pass(frame)
            }
        })
    }),
    Specimen::executor("two-terminals", "STREAM-3", "The terminal frame comes twice, with a number each.", || {
        frames(|frame, out| {
            let is_terminal = frame.is_terminal();
            out.pass(frame.clone());
            if is_terminal {
                changed(frame, out, |delta| delta["seq"] = json!(seq(delta) + 1));
            }
        })
    }),
    Specimen::executor(
        "clean-end-behind-a-failure",
        "STREAM-3",
        "Behind the terminal frame with the error comes one without.",
        || {
            frames(|frame, out| {
                let failed = is_failed(&frame);
                out.pass(frame.clone());
                if failed {
                    changed(frame, out, |delta| {
                        delta["seq"] = json!(seq(delta) + 1);
                        succeed(delta);
                    });
                }
            })
        },
    ),
    Specimen::executor(
        "bytes-behind-the-terminal",
        "STREAM-3",
        "The last bytes of a body follow its terminal frame.",
        || {
            one_behind(|last, terminal, out| {
                changed(terminal, out, |delta| delta["seq"] = json!(seq(delta) - 1));
                changed(last, out, |delta| delta["seq"] = json!(seq(delta) + 1));
            })
        },
    ),
    Specimen::executor("error-without-done", "STREAM-4", "A terminal frame with an error is not done.", || {
        terminals(|delta| delta["done"] = json!(delta["error"].is_null()))
    }),
    Specimen::executor(
        "timeout-without-done",
        "STREAM-4",
        "A terminal frame with a deadline that passed is not done.",
        || without_done("timeout"),
    ),
    Specimen::executor("reset-without-done", "STREAM-4", "A terminal frame with a reset is not done.", || {
        without_done("reset")
    }),
    Specimen::executor(
        "frame-for-a-failed-call",
        "STREAM-7",
        "A streamed call that fails has an error and a terminal frame, too.",
        || terminal_behind_an_error(INTERNAL_ERROR),
    ),
    Specimen::executor(
        "frame-for-a-refused-call",
        "STREAM-7",
        "A streamed call that is refused has an error and a terminal frame, too.",
        || terminal_behind_an_error(INVALID_PARAMS),
    ),
    Specimen::executor("no-frame-for-nothing", "STREAM-8", "An empty body has no frame.", || {
        frames(|frame, out| {
            let is_only = frame.is_terminal() && seq(&frame.json["params"]) == 1 && !is_failed(&frame);
            if !is_only {
                out.pass(frame);
            }
        })
    }),
    Specimen::executor(
        "no-frame-for-a-length-of-0",
        "STREAM-8",
        "A body whose `content-length` is 0 has no frame.",
        || {
            let mut empty = HashSet::new();
            Tamper::messages(move |message, out| {
                let is_response = message.is_answer() && message.is_streamed();
                if is_response && header(&message.json["result"], "content-length") == Some("0") {
                    empty.insert(message.request_id().to_owned());
                }
                if !message.is_terminal() || !empty.remove(message.request_id()) {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "empty-body-in-two-frames",
        "STREAM-8",
        "An empty body has an empty frame before the terminal one.",
        || {
            frames(|frame, out| {
                if frame.is_terminal() && seq(&frame.json["params"]) == 1 && !is_failed(&frame) {
                    changed(frame.clone(), out, |delta| delta["done"] = json!(false));
                    changed(frame, out, |delta| delta["seq"] = json!(2));
                } else {
                    out.pass(frame);
                }
            })
        },
    ),
    Specimen::executor(
        "frames-of-no-body",
        "STREAM-8",
        "The body that a response to HEAD and a 304 announce is missed.",
        length_checked,
    ),
    Specimen::executor(
        "bytes-in-the-terminal",
        "STREAM-11",
        "The last bytes of a body are in its terminal frame.",
        || {
            one_behind(|last, terminal, out| {
                changed(terminal, out, |delta| {
                    delta["seq"] = json!(seq(delta) - 1);
                    delta["deltaBase64"] = last.json["params"]["deltaBase64"].clone();
                });
            })
        },
    ),
    Specimen::executor("empty-frame-first", "STREAM-11", "A body begins with an empty frame.", || {
        frames(|frame, out| {
            if seq(&frame.json["params"]) == 1 {
                changed(frame.clone(), out, |delta| {
                    set_bytes(delta, b"");
                    delta["done"] = json!(false);
                    delta["error"] = Value::Null;
                });
            }
            changed(frame, out, |delta| delta["seq"] = json!(seq(delta) + 1));
        })
    }),
    Specimen::executor(
        "cancel-out-of-place",
        "STREAM-12",
        "A cancel request is an invalid request and no unknown method.",
        || on_cancel(|_, answer| answer["error"] = json!({"code": INVALID_REQUEST, "message": "no such request"})),
    ),
    Specimen::executor(
        "unknown-cancel-ends-the-stream",
        "STREAM-12",
        "A cancel request that is not offered ends its stream all the same.",
        || {
            on_cancel(|ended, answer| {
                answer["error"] = json!({"code": METHOD_NOT_FOUND, "message": "no such method"});
                *ended = true;
            })
        },
    ),
];

/// A terminal frame with a failure of that kind is not done.
fn without_done(kind: &'static str) -> Tamper {
    terminals(move |delta| {
        if delta["errorKind"] == kind {
            delta["done"] = json!(false);
        }
    })
}

/// Sends a terminal frame behind an error with that code that answers a streamed call.
fn terminal_behind_an_error(code: i64) -> Tamper {
    Tamper::messages(move |message, out| {
        let error = &message.json["error"];
        let terminal = (message.is_answer() && message.is_streamed() && error["code"] == code).then(|| {
            let params = json!({"requestId": message.request_id(), "seq": 1, "deltaBase64": "", "done": true,
                "error": error["message"], "errorKind": error["data"]["kind"]});
            json!({"method": "http/request/bodyDelta", "params": params})
        });
        let way = message.way;
        out.pass(message);
        terminal.iter().for_each(|terminal| out.send(way, terminal));
    })
}

/// A body that has not the length of its `content-length` fails, whatever it answers.
fn length_checked() -> Tamper {
    let mut missing: HashMap<String, usize> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let id = message.request_id().to_owned();
        if message.is_answer() && message.is_streamed() {
            let mut headers = message.json["result"]["headers"].as_array().into_iter().flatten();
            let length = headers.find(|header| header["name"] == "content-length");
            if let Some(length) = length.and_then(|header| header["value"].as_str()?.parse().ok()) {
                missing.insert(id, length);
            }
        } else if message.is_delta() {
            let delta = &mut message.json["params"];
            if let Some(missing) = missing.get_mut(&id) {
                *missing = missing.saturating_sub(bytes(delta).len());
                if *missing > 0 && delta["done"] == true {
                    delta["error"] = json!("the body ended early");
                    delta["errorKind"] = json!("truncated");
                }
            }
            if delta["done"] == true {
                missing.remove(&id);
            }
        }
        out.pass(message);
    })
}

/// Answers cancel requests; `answer` says whether the stream ends for its client.
fn on_cancel(answer: fn(&mut bool, &mut Value)) -> Tamper {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut ended: HashSet<String> = HashSet::new();
    Tamper::messages(move |message, out| {
        let id = message.request_id().to_owned();
        if message.way == Way::ToExecutor && message.method() == "http/request/cancel" {
            let mut reply = json!({"id": message.json["id"]});
            let mut ends = false;
            answer(&mut ends, &mut reply);
            out.send(Way::ToClient, &reply);
            if ends {
                let seq = counts.remove(&id).unwrap_or_default() + 1;
                let params = json!({"requestId": id, "seq": seq, "deltaBase64": "", "done": true,
                    "error": "cancelled", "errorKind": "cancelled"});
                out.send(Way::ToClient, &json!({"method": "http/request/bodyDelta", "params": params}));
                ended.insert(id);
            }
            return;
        }
        if message.is_delta() {
            if ended.contains(&id) {
                return;
            }
            counts.insert(id, seq(&message.json["params"]));
        }
        out.pass(message);
    })
}
