//! Executors that break the clauses of order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::gate::{batches, gate, ids_kept};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, deltas, frames};
use crate::protocol::error::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST};
use crate::protocol::limits::WAITING_HEADS;

/// For as long as a connection lives.
const FOR_EVER: Option<Duration> = Some(Duration::MAX);

/// What a second small write waits for the acknowledgement of the first, without TCP_NODELAY.
const DELAYED_ACK: Duration = Duration::from_millis(40);

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "frame-before-the-response",
        "ORDER-1",
        "The response follows the first frame of its body.",
        || responses_held(|frame, response| [frame, response]),
    ),
    Specimen::executor(
        "response-with-the-first-bytes",
        "ORDER-2",
        "The response waits for the first frame of its body.",
        || responses_held(|frame, response| [response, frame]),
    ),
    Specimen::executor("frames-held-to-the-end", "ORDER-3", "All frames of a body are sent when it ends.", || {
        frames_held(usize::MAX)
    }),
    Specimen::executor(
        "one-frame-behind",
        "ORDER-3",
        "Each frame of a body is sent when the next one is there.",
        || frames_held(1),
    ),
    Specimen::executor(
        "frames-to-the-last-call",
        "ORDER-4",
        "All frames are addressed to the last streamed call.",
        || {
            let mut last = Value::Null;
            Tamper::messages(move |mut message, out| {
                if message.is_call() && message.is_streamed() {
                    last = json!(message.request_id());
                } else if message.is_delta() {
                    message.json["params"]["requestId"] = last.clone();
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "bytes-of-a-neighbour",
        "ORDER-4",
        "A frame has the bytes of the other stream's last frame.",
        || {
            let mut last = (Value::Null, Value::Null);
            deltas(move |delta| {
                if delta["done"] == true {
                    return;
                }
                let (id, bytes) = (delta["requestId"].clone(), delta["deltaBase64"].clone());
                if last.0 != id && last.0 != Value::Null {
                    delta["deltaBase64"] = last.1.clone();
                }
                last = (id, bytes);
            })
        },
    ),
    Specimen::executor("id-used-up", "ORDER-5", "The id of a stream is never free again.", || {
        ids_kept(|message| if message.is_terminal() { FOR_EVER } else { None })
    }),
    Specimen::executor(
        "id-kept-by-a-broken-body",
        "ORDER-5",
        "The id of a stream that failed is never free again.",
        || ids_kept(|message| if message.json["params"]["error"].is_string() { FOR_EVER } else { None }),
    ),
    Specimen::executor(
        "id-kept-by-an-empty-body",
        "ORDER-5",
        "The id of a stream without a byte is never free again.",
        || {
            ids_kept(
                |message| if message.is_terminal() && message.json["params"]["seq"] == 1 { FOR_EVER } else { None },
            )
        },
    ),
    Specimen::executor(
        "id-freed-late",
        "ORDER-6",
        "The id of a stream is free some time behind its terminal frame.",
        || ids_kept(|message| message.is_terminal().then_some(Duration::from_millis(50))),
    ),
    Specimen::executor("id-kept-by-a-refused-call", "ORDER-7", "A call with bad params keeps its id.", || {
        ids_kept(|message| failed_with(message, INVALID_PARAMS))
    }),
    Specimen::executor("id-kept-by-a-failed-call", "ORDER-7", "A call that fails upstream keeps its id.", || {
        ids_kept(|message| failed_with(message, INTERNAL_ERROR))
    }),
    Specimen::executor(
        "id-kept-by-a-late-call",
        "ORDER-7",
        "A call whose deadline passes before its head keeps its id.",
        || ids_kept(|message| if message.is_answer() && message.kind() == "timeout" { FOR_EVER } else { None }),
    ),
    Specimen::executor("id-kept-by-an-early-call", "ORDER-7", "A call before the handshake keeps its id.", || {
        ids_kept(|message| failed_with(message, INVALID_REQUEST))
    }),
    Specimen::executor("one-call-at-a-time", "ORDER-8", "A call waits until the one before it is answered.", || {
        gate(1, usize::MAX, Message::is_answer)
    }),
    Specimen::executor("eight-calls-at-a-time", "ORDER-8", "A call waits while eight others are not answered.", || {
        gate(8, usize::MAX, Message::is_answer)
    }),
    Specimen::executor("batches-of-calls", "ORDER-8", "Calls are made in batches of 64.", || batches(WAITING_HEADS)),
    Specimen::executor(
        "streams-behind-buffered-calls",
        "ORDER-8",
        "A streamed call waits until the buffered ones before it have been answered.",
        || {
            let mut waiting = 0;
            let mut held = Vec::new();
            Tamper::messages(move |message, out| {
                let is_streamed = message.is_streamed();
                if message.is_call() && is_streamed && waiting > 0 {
                    return held.push(message);
                }
                if message.is_call() && !is_streamed {
                    waiting += 1;
                } else if message.is_answer() && !is_streamed {
                    waiting -= 1;
                }
                out.pass(message);
                if waiting == 0 {
                    held.drain(..).for_each(|call| out.pass(call));
                }
            })
        },
    ),
    Specimen::executor("one-stream-at-a-time", "ORDER-9", "A call waits until the stream before it has ended.", || {
        gate(1, usize::MAX, Message::is_end)
    }),
    Specimen::executor(
        "answers-behind-streams",
        "ORDER-9",
        "Whole responses are sent when no stream is under way.",
        || {
            let mut streams = HashSet::new();
            let mut held = Vec::new();
            Tamper::messages(move |message, out| {
                let id = message.request_id().to_owned();
                if message.is_answer() && !message.is_streamed() {
                    held.push(message);
                } else {
                    if message.is_terminal() {
                        streams.remove(&id);
                    } else if message.is_answer() && !message.is_end() {
                        streams.insert(id);
                    }
                    out.pass(message);
                }
                if streams.is_empty() {
                    held.drain(..).for_each(|answer| out.pass(answer));
                }
            })
        },
    ),
    Specimen::executor(
        "first-frame-late",
        "ORDER-10",
        "The first frame of a body leaves 40 ms behind its response.",
        || {
            frames(|frame, out| {
                if frame.json["params"]["seq"] == 1 {
                    out.wait(DELAYED_ACK);
                }
                out.pass(frame);
            })
        },
    ),
    Specimen::executor(
        "wedged-by-pipelining",
        "ORDER-11",
        "A connection stops for good when more than 256 calls are under way.",
        || wedged(256, |_| true),
    ),
    Specimen::executor(
        "wedged-by-1024-calls",
        "ORDER-11",
        "A websocket connection stops for good when more than 1,024 calls are under way.",
        || wedged(1024, |_| true),
    )
    .on_websocket(),
    Specimen::executor(
        "wedged-by-buffered-calls",
        "ORDER-11",
        "A connection stops for good when more than 256 buffered calls are under way.",
        || wedged(256, |message| !message.is_streamed() && !message.is_delta()),
    ),
    Specimen::executor(
        "second-ping-lost",
        "ORDER-11",
        "Answers leave three milliseconds apart, and of the pings that come while calls wait for theirs only the first counts.",
        || {
            let waiting = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&waiting);
            let mut is_known = false;
            Tamper::messages(move |message, out| {
                if message.is_call() {
                    counted.fetch_add(1, Ordering::Relaxed);
                } else if message.is_answer() {
                    counted.fetch_sub(1, Ordering::Relaxed);
                    out.wait(Duration::from_millis(3));
                }
                out.pass(message);
            })
            .with_units(move |way, unit, out| {
                let is_late = matches!(unit, Unit::Ping(_)) && waiting.load(Ordering::Relaxed) > 0;
                if !is_late || !std::mem::replace(&mut is_known, true) {
                    out.unit(way, unit);
                }
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "pings-behind-calls",
        "ORDER-11",
        "A ping that comes while a call is under way is not answered.",
        || {
            let calls = Arc::new(AtomicUsize::new(0));
            counting(Arc::clone(&calls), |_| true, |message, out, _| out.pass(message)).with_units(
                move |way, unit, out| {
                    let is_lost = matches!(unit, Unit::Ping(_)) && calls.load(Ordering::Relaxed) > 0;
                    if !is_lost {
                        out.unit(way, unit);
                    }
                },
            )
        },
    )
    .on_websocket(),
];

fn failed_with(message: &Message, code: i64) -> Option<Duration> {
    if message.is_answer() && message.json["error"]["code"] == code { FOR_EVER } else { None }
}

/// Keeps the response to a streamed call until its first frame, and sends both in the order of `ordered`.
fn responses_held(ordered: fn(Message, Message) -> [Message; 2]) -> Tamper {
    let mut held: HashMap<String, Message> = HashMap::new();
    Tamper::messages(move |message, out| {
        if message.is_answer() && !message.is_end() {
            held.insert(message.request_id().to_owned(), message);
            return;
        }
        let response = if message.is_delta() { held.remove(message.request_id()) } else { None };
        match response {
            Some(response) => ordered(message, response).into_iter().for_each(|message| out.pass(message)),
            None => out.pass(message),
        }
    })
}

/// Keeps so many frames of a body until it ends.
fn frames_held(count: usize) -> Tamper {
    let mut held: HashMap<String, Vec<Message>> = HashMap::new();
    frames(move |frame, out| {
        let waiting = held.entry(frame.request_id().to_owned()).or_default();
        let is_terminal = frame.is_terminal();
        let id = frame.request_id().to_owned();
        waiting.push(frame);
        let leave = if is_terminal { waiting.len() } else { waiting.len().saturating_sub(count) };
        waiting.drain(..leave).for_each(|frame| out.pass(frame));
        if is_terminal {
            held.remove(&id);
        }
    })
}

/// Stops for good when more than so many of the calls that count are under way.
fn wedged(bound: usize, counts: fn(&Message) -> bool) -> Tamper {
    let calls = Arc::new(AtomicUsize::new(0));
    let rule = move |message: Message, out: &mut Outlet, calls| {
        if calls > bound { out.stall(message.way) } else { out.pass(message) }
    };
    counting(Arc::clone(&calls), counts, rule).with_units(move |way, unit, out| {
        if calls.load(Ordering::Relaxed) > bound { out.stall(way) } else { out.unit(way, unit) }
    })
}

/// Counts the calls that have not ended by the messages that count, and decides about all messages by their number.
fn counting(
    calls: Arc<AtomicUsize>,
    counts: fn(&Message) -> bool,
    mut rule: impl FnMut(Message, &mut Outlet, usize) + Send + 'static,
) -> Tamper {
    Tamper::messages(move |message, out| {
        let count = if message.is_call() && counts(&message) {
            calls.fetch_add(1, Ordering::Relaxed) + 1
        } else if message.is_end() && counts(&message) {
            calls.fetch_sub(1, Ordering::Relaxed) - 1
        } else {
            calls.load(Ordering::Relaxed)
        };
        rule(message, out, count);
    })
}
