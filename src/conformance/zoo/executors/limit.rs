//! Executors that break the clauses of limits.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::close::Work;
use super::frame::{changed, set_bytes};
use super::gate::{gate, ids_kept};
use crate::conformance::zoo::relay;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outflow, Outlet, Tamper, Unit, Way, answers, calls};
use crate::protocol::error::{ErrorKind, INTERNAL_ERROR, INVALID_PARAMS};
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::limits::{ACTIVE_STREAMS, QUEUED_REQUESTS, REQUEST_ID_BYTES, WAITING_HEADS};

const MIB: usize = 1024 * 1024;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "calls-without-bound",
        "LIMIT-1",
        "Twice as many calls as allowed wait for their answers at once.",
        || beside(every_second(|_| true)),
    ),
    Specimen::executor(
        "buffered-calls-without-bound",
        "LIMIT-1",
        "A buffered call does not wait for a place where a streamed one does.",
        || {
            let mut work = Work::default();
            beside(move |message| {
                work.note(message);
                message.is_call() && !message.is_streamed() && work.calls > WAITING_HEADS
            })
        },
    ),
    Specimen::executor(
        "streams-counted-apart",
        "LIMIT-1",
        "As many streamed calls as buffered ones are allowed wait for their answers beside those.",
        || beside(|message| message.is_call() && message.is_streamed()),
    ),
    Specimen::executor(
        "place-kept-by-a-stream",
        "LIMIT-1",
        "A stream keeps its place among the waiting calls.",
        || gate(WAITING_HEADS, usize::MAX, Message::is_end),
    ),
    Specimen::executor(
        "streams-without-bound",
        "LIMIT-2",
        "Twice as many streams as allowed are active at once.",
        || beside(every_second(Message::is_streamed)),
    ),
    Specimen::executor(
        "stream-beyond-the-bound-refused",
        "LIMIT-2",
        "A streamed call is refused where it should wait for a place.",
        || gate(ACTIVE_STREAMS, 0, Message::is_end),
    ),
    Specimen::executor("short-queue", "LIMIT-3", "Calls are refused when 512 of them wait.", || {
        gate(WAITING_HEADS, 512, Message::is_answer)
    }),
    Specimen::executor("queue-counts-no-bytes", "LIMIT-3", "The bytes of waiting calls have no bound.", || {
        gate(WAITING_HEADS, QUEUED_REQUESTS, Message::is_answer)
    }),
    Specimen::executor("queue-without-bound", "LIMIT-14", "Any number of calls wait for a place.", || {
        gate(WAITING_HEADS, usize::MAX, Message::is_answer)
    }),
    Specimen::executor(
        "full-queue-ends-the-connection",
        "LIMIT-3",
        "A call that finds the queue full ends everything.",
        || Tamper::messages(|message, out| if is_over_limit(&message) { out.hang_up() } else { out.pass(message) }),
    ),
    Specimen::executor("id-kept-by-a-full-queue", "LIMIT-4", "A call that finds the queue full keeps its id.", || {
        ids_kept(|message| is_over_limit(message).then_some(Duration::MAX))
    }),
    Specimen::executor(
        "refused-but-queued",
        "LIMIT-4",
        "A call that is refused for a limit is made later all the same.",
        refused_but_made,
    ),
    Specimen::executor("small-bodies-only", "LIMIT-5", "A buffered body of 8 MiB or more is refused.", || {
        answers(REQUEST_METHOD, |answer| {
            let length = answer["result"]["bodyBase64"].as_str().map_or(0, |body| body.len() / 4 * 3);
            if length >= 8 * MIB {
                fail(answer, "the body is too long");
            }
        })
    }),
    Specimen::executor("bodies-without-bound", "LIMIT-6", "A buffered body may have any length.", from_streams),
    Specimen::executor(
        "long-body-cut-off",
        "LIMIT-6",
        "What a buffered body has beyond the bound is left out.",
        || {
            answers(REQUEST_METHOD, |answer| {
                if answer["error"]["data"]["kind"] == "limit" {
                    let result = json!({"status": 200, "headers": [], "bodyBase64": STANDARD.encode(vec![0; MIB])});
                    *answer = json!({"id": answer["id"], "result": result});
                }
            })
        },
    ),
    Specimen::executor(
        "long-body-ends-the-connection",
        "LIMIT-6",
        "A buffered body beyond the bound ends the connection.",
        || {
            Tamper::messages(|message, out| {
                let ends = is_over_limit(&message);
                out.pass(message);
                if ends {
                    out.hang_up();
                }
            })
        },
    ),
    Specimen::executor("messages-of-8-mib", "LIMIT-7", "A message of more than 8 MiB ends the connection.", || {
        Tamper::messages(|message, out| {
            let body = message.json["params"]["bodyBase64"].as_str().unwrap_or_default();
            if message.is_call() && body.len() > 8 * MIB {
                out.unit(Way::ToClient, Unit::Close(Some(1009)));
                out.hang_up();
            } else {
                out.pass(message);
            }
        })
    })
    .on_websocket(),
    Specimen::executor(
        "no-word-to-a-long-message",
        "LIMIT-8",
        "A message above the bound ends the connection without a close frame.",
        || on_too_large(|_| {}),
    )
    .on_websocket(),
    Specimen::executor(
        "long-message-breaks-a-rule",
        "LIMIT-8",
        "A message above the bound ends the connection with status 1002.",
        || on_too_large(|out| out.unit(Way::ToClient, Unit::Close(Some(1002)))),
    )
    .on_websocket(),
    Specimen::executor("head-of-64-fields", "LIMIT-9", "A response head of more than 64 fields is refused.", || {
        heads(|fields| fields.len() > 64)
    }),
    Specimen::executor("head-of-32-kib", "LIMIT-9", "A response head of more than 32 KiB is refused.", || {
        heads(|fields| {
            fields.iter().map(|field| field["value"].as_str().map_or(0, str::len)).sum::<usize>() > 32 * 1024
        })
    }),
    Specimen::executor(
        "hoards-for-a-slow-client",
        "LIMIT-10",
        "What a client does not read waits, up to 96 MiB of it.",
        || Tamper::outflow(Outflow::Hoards(96 * MIB)),
    ),
    Specimen::executor(
        "reads-ahead",
        "LIMIT-10",
        "While a client does not read, up to 66 MiB of responses are read.",
        || relay::ahead(66 * MIB),
    ),
    Specimen::executor(
        "buffer-for-each-stream",
        "LIMIT-14",
        "Each stream has a buffer of 16 MiB of its own for as long as it lasts.",
        || {
            let mut buffers = HashMap::new();
            Tamper::messages(move |message, out| {
                if message.is_call() && message.is_streamed() {
                    buffers.insert(message.request_id().to_owned(), vec![1_u8; 16 * MIB]);
                } else if message.is_end() {
                    buffers.remove(message.request_id());
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "streams-of-a-slow-client-fail",
        "LIMIT-11",
        "The streams of a connection on which nothing could be sent for a third of a second fail.",
        streams_of_a_slow_client_fail,
    ),
    Specimen::executor(
        "loses-for-a-slow-client",
        "LIMIT-11",
        "A message that a client lets wait for a third of a second is lost.",
        || Tamper::outflow(Outflow::Loses(MIB, Duration::from_millis(333))),
    ),
    Specimen::executor("short-ids-only", "PARAMS-7", "A `requestId` of more than 255 bytes is refused.", || {
        Tamper::messages(|message, out| {
            if message.is_call() && message.request_id().len() > 255 {
                out.send(
                    Way::ToClient,
                    &message.refusal(INVALID_PARAMS, "requestId is too long", Some(ErrorKind::Limit)),
                );
            } else {
                out.pass(message);
            }
        })
    }),
    Specimen::executor(
        "short-ids-of-buffered-calls",
        "PARAMS-7",
        "A `requestId` of more than 512 bytes is refused in a buffered call.",
        || {
            calls(|call| {
                if call["streamResponse"] != true && call["requestId"].as_str().is_some_and(|id| id.len() > 512) {
                    call["requestId"] = Value::Null;
                }
            })
        },
    ),
    Specimen::executor("long-id-cut", "PARAMS-8", "A `requestId` that is too long is cut and not refused.", || {
        calls(|call| {
            if let Some(id) = call["requestId"].as_str().filter(|id| id.len() > REQUEST_ID_BYTES) {
                call["requestId"] = json!(id.chars().take(REQUEST_ID_BYTES / 4).collect::<String>());
            }
        })
    }),
];

fn is_over_limit(message: &Message) -> bool {
    message.is_answer() && message.json["error"]["code"] == INTERNAL_ERROR && message.kind() == "limit"
}

/// Makes an answer an error for a limit.
fn fail(answer: &mut Value, text: &str) {
    let error = json!({"code": INTERNAL_ERROR, "message": text, "data": {"kind": "limit"}});
    *answer = json!({"id": answer["id"], "error": error});
}

fn streams_of_a_slow_client_fail() -> Tamper {
    let mut last = Instant::now();
    // The calls that ask for streams; true when one is to fail.
    let mut streams: HashMap<String, bool> = HashMap::new();
    Tamper::messages(move |message, out| {
        let id = message.request_id();
        if message.is_call() && message.is_streamed() {
            streams.insert(id.to_owned(), false);
        } else if message.way == Way::ToClient && last.elapsed() > Duration::from_millis(333) {
            streams.values_mut().for_each(|fails| *fails = true);
        }
        last = Instant::now();
        if !message.is_delta() {
            if message.is_end() && message.is_streamed() {
                streams.remove(id);
            }
            return out.pass(message);
        }
        match streams.remove(id) {
            Some(true) => changed(message, out, |delta| {
                set_bytes(delta, b"");
                delta["done"] = json!(true);
                delta["error"] = json!("the client is too slow");
                delta["errorKind"] = json!("limit");
            }),
            Some(false) => {
                if !message.is_terminal() {
                    streams.insert(id.to_owned(), false);
                }
                out.pass(message);
            }
            None => {}
        }
    })
}

/// Refuses response heads.
fn heads(is_refused: fn(&[Value]) -> bool) -> Tamper {
    answers(REQUEST_METHOD, move |answer| {
        if answer["result"]["headers"].as_array().is_some_and(|fields| is_refused(fields)) {
            fail(answer, "the response head is too large");
        }
    })
}

/// Makes some calls on a connection of its own, which has its own bounds. `leaves` sees every message and tells which.
fn beside(mut leaves: impl FnMut(&Message) -> bool + Send + 'static) -> Tamper {
    /// The `id` of the second handshake.
    const ASIDE: &str = "aside";
    Tamper::messages(move |message, out| {
        let leaves = leaves(&message);
        match message.method() {
            "initialize" => {
                let mut copy = message.json.clone();
                copy["id"] = json!(ASIDE);
                out.aside(&copy);
            }
            "initialized" => out.aside(&message.json),
            _ if message.json["id"] == ASIDE => return,
            _ if leaves => return out.aside(&message.json),
            _ => {}
        }
        out.pass(message);
    })
    .doubled()
}

/// Every second one of some calls.
fn every_second(some: fn(&Message) -> bool) -> impl FnMut(&Message) -> bool {
    let mut is_second = false;
    move |message| {
        let is_one = message.is_call() && some(message);
        is_second ^= is_one;
        is_one && is_second
    }
}

/// Asks once more, as calls are answered, for what was refused for a limit.
fn refused_but_made() -> Tamper {
    let mut refused: Vec<Value> = Vec::new();
    let mut again: HashSet<String> = HashSet::new();
    Tamper::messages(move |message, out| {
        if message.way == Way::ToClient && again.remove(message.json["id"].as_str().unwrap_or_default()) {
            return;
        }
        if is_over_limit(&message) {
            refused.extend(message.asked.as_deref().cloned());
        } else if message.is_answer()
            && let Some(mut call) = refused.pop()
        {
            let id = format!("again-{}", call["id"]);
            call["id"] = json!(id);
            call["params"]["streamResponse"] = json!(false);
            out.send(Way::ToExecutor, &call);
            again.insert(id);
        }
        out.pass(message);
    })
}

/// Asks for a stream where the client wants a whole body, and collects it.
fn from_streams() -> Tamper {
    let mut bodies: HashMap<String, (Value, Vec<u8>)> = HashMap::new();
    let name = |id: &Value| format!("whole-{id}");
    Tamper::messages(move |mut message, out| {
        if message.is_call() && !message.is_streamed() {
            message.json["params"]["requestId"] = json!(name(&message.json["id"]));
            message.json["params"]["streamResponse"] = json!(true);
        } else if message.is_answer() && !message.is_streamed() && message.json.get("result").is_some() {
            bodies.insert(name(&message.json["id"]), (message.json, Vec::new()));
            return;
        } else if let Some((answer, body)) = bodies.get_mut(message.request_id()).filter(|_| message.is_delta()) {
            let params = &message.json["params"];
            body.extend(STANDARD.decode(params["deltaBase64"].as_str().unwrap_or_default()).unwrap_or_default());
            if message.is_terminal() {
                if params["error"].is_string() {
                    let data = json!({"kind": params["errorKind"]});
                    let error = json!({"code": INTERNAL_ERROR, "message": params["error"], "data": data});
                    *answer = json!({"id": answer["id"], "error": error});
                } else {
                    answer["result"]["bodyBase64"] = json!(STANDARD.encode(body));
                }
                out.send(Way::ToClient, answer);
                bodies.remove(message.request_id());
            }
            return;
        }
        out.pass(message);
    })
}

/// Replaces the close frame that says that a message is too large.
fn on_too_large(instead: fn(&mut Outlet)) -> Tamper {
    Tamper::units(move |way, unit, out| {
        if way == Way::ToClient && unit == Unit::Close(Some(1009)) { instead(out) } else { out.unit(way, unit) }
    })
}
