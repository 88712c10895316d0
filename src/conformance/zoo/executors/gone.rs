//! Executors that do not notice in some situation that their client has gone.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use url::{Position, Url};

use super::close::{Work, deaf_while};
use super::values::connect;
use crate::conformance::zoo::relay;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Unit, Way};
use crate::protocol::limits::WAITING_HEADS;
use crate::sync::{Arc, Mutex};

/// How long a call that nobody wants any more goes on.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(100);

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "buffered-body-outlives-client",
        "CLOSE-1",
        "The response to a buffered call that has begun is read to its end also when the client has gone.",
        || relay::outliving(|call| call["streamResponse"] != true),
    )
    .on_websocket(),
    Specimen::executor(
        "large-body-outlives-client",
        "CLOSE-1",
        "The end of a connection is not noticed while a body is streamed of which more than 32 KiB have come.",
        || {
            let mut lengths: HashMap<String, usize> = HashMap::new();
            deaf_after(move |message| {
                if message.is_terminal() {
                    lengths.remove(message.request_id());
                } else if message.is_delta() {
                    let bytes = message.json["params"]["deltaBase64"].as_str().map_or(0, |text| text.len() / 4 * 3);
                    *lengths.entry(message.request_id().to_owned()).or_default() += bytes;
                }
                lengths.values().any(|length| *length > 32 * 1024)
            })
        },
    ),
    Specimen::executor(
        "old-stream-outlives-client",
        "CLOSE-1",
        "The end of a connection is not noticed while a stream is open that 128 others have followed.",
        || {
            let mut count = 0;
            let mut open: HashMap<String, usize> = HashMap::new();
            deaf_after(move |message| {
                if message.is_terminal() {
                    open.remove(message.request_id());
                } else if message.is_answer() && message.is_streamed() && !message.is_end() {
                    count += 1;
                    open.insert(message.request_id().to_owned(), count);
                }
                open.values().any(|nth| count - nth >= 128)
            })
        },
    ),
    Specimen::executor(
        "close-frame-behind-heads",
        "CLOSE-1",
        "A close frame is not heeded while a streamed call waits for its head.",
        || deaf_to(Leave::Close, |work| work.heads > 0),
    )
    .on_websocket(),
    Specimen::executor(
        "reset-amid-work",
        "CLOSE-1",
        "A connection that is reset while a call waits beside an open stream is not noticed.",
        || deaf_to(Leave::Reset, |work| work.calls > 0 && work.streams > 0),
    )
    .on_websocket(),
    Specimen::executor(
        "half-close-behind-calls",
        "CLOSE-1",
        "A client that closes its direction without a close frame is served on while a call waits.",
        || deaf_to(Leave::HalfClose, |work| work.calls > 0),
    )
    .on_websocket(),
    Specimen::executor(
        "end-behind-queued-streams",
        "CLOSE-2",
        "The end of a connection is not read while more than 256 streamed calls wait for their heads.",
        || deaf_while(|work| work.heads > 256),
    ),
    Specimen::executor(
        "close-frame-behind-queue",
        "CLOSE-2",
        "A close frame is not heeded while calls wait in the queue.",
        || deaf_to(Leave::Close, |work| work.calls > WAITING_HEADS),
    )
    .on_websocket(),
    Specimen::executor(
        "next-call-still-made",
        "CLOSE-2",
        "When a connection ends, the first call of its queue is still sent, and then given up.",
        next_call_still_made,
    ),
];

/// How a client leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Close,
    Reset,
    HalfClose,
}

/// Does not notice that the client leaves in that way while that holds.
fn deaf_to(way_out: Leave, holds: fn(&Work) -> bool) -> Tamper {
    let work = Arc::new(Mutex::new(Work::default()));
    let noted = Arc::clone(&work);
    let mut leaves = Leave::HalfClose;
    Tamper::messages(move |message, out| {
        noted.lock().note(&message);
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        if way == Way::ToExecutor {
            match unit {
                Unit::Close(_) => leaves = Leave::Close,
                Unit::Reset => leaves = Leave::Reset,
                _ => {}
            }
            if leaves == way_out && matches!(unit, Unit::Close(_) | Unit::End) && holds(&work.lock()) {
                return;
            }
        }
        out.unit(way, unit);
    })
}

/// Does not notice that the client has gone when that held behind the last message.
fn deaf_after(mut holds: impl FnMut(&Message) -> bool + Send + 'static) -> Tamper {
    let is_deaf = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&is_deaf);
    Tamper::messages(move |message, out| {
        held.store(holds(&message), Ordering::Relaxed);
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        let is_end = way == Way::ToExecutor && matches!(unit, Unit::Close(_) | Unit::End);
        if !is_end || !is_deaf.load(Ordering::Relaxed) {
            out.unit(way, unit);
        }
    })
}

fn next_call_still_made() -> Tamper {
    let calls: Arc<Mutex<VecDeque<Value>>> = Arc::default();
    let noted = Arc::clone(&calls);
    Tamper::messages(move |message, out| {
        if message.is_call() {
            noted.lock().push_back(message.json.clone());
        } else if message.is_answer() {
            noted.lock().retain(|call| call["id"] != message.json["id"]);
        }
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        if (way, &unit) == (Way::ToExecutor, &Unit::End)
            && let Some(next) = calls.lock().get(WAITING_HEADS)
        {
            send_head(&next["params"]);
            out.wait(GIVEN_UP_AFTER);
        }
        out.unit(way, unit);
    })
}

/// Sends a request and reads no answer.
fn send_head(call: &Value) {
    let Some(url) = call["url"].as_str().and_then(|url| Url::parse(url).ok()) else { return };
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let method = call["method"].as_str().unwrap_or_default();
    if let Some(mut origin) = connect(call) {
        // An origin that is gone sees nothing.
        let _ = write!(origin, "{method} {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    }
}
