//! Frames of bodies, for the specimens that change them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, frames};

/// Its number.
pub(super) fn seq(delta: &Value) -> u64 {
    delta["seq"].as_u64().unwrap_or_default()
}

/// Its bytes.
pub(super) fn bytes(delta: &Value) -> Vec<u8> {
    STANDARD.decode(delta["deltaBase64"].as_str().unwrap_or_default()).unwrap_or_default()
}

/// Gives it other bytes.
pub(super) fn set_bytes(delta: &mut Value, bytes: &[u8]) {
    delta["deltaBase64"] = json!(STANDARD.encode(bytes));
}

/// It ends its body with an error.
pub(super) fn is_failed(frame: &Message) -> bool {
    frame.json["params"]["error"].is_string()
}

/// Makes a failure a clean end.
pub(super) fn succeed(delta: &mut Value) {
    delta["error"] = Value::Null;
    delta["errorKind"] = Value::Null;
}

/// Passes a frame with other params.
pub(super) fn changed(mut frame: Message, out: &mut Outlet, change: impl FnOnce(&mut Value)) {
    change(&mut frame.json["params"]);
    out.pass(frame);
}

/// Frames that are longer stay whole where pieces are made: millions of them would show nothing more.
const PIECED_BYTES: usize = 32 * 1024;

/// So do all frames of a body behind so many pieces: on a busy machine a long one comes in small frames.
const PIECES: u64 = 8_192;

/// Cuts small frames into pieces of so many bytes.
pub(super) fn pieces(size: usize, mut rule: impl FnMut(Message, &mut Outlet) + Send + 'static) -> Tamper {
    let mut counts: HashMap<String, u64> = HashMap::new();
    frames(move |frame, out| {
        let count = counts.entry(frame.request_id().to_owned()).or_default();
        let bytes = bytes(&frame.json["params"]);
        let is_whole = frame.is_terminal() || bytes.len() > PIECED_BYTES || *count >= PIECES;
        let pieces = if is_whole { vec![&bytes[..]] } else { bytes.chunks(size).collect() };
        for piece in pieces {
            *count += 1;
            let mut part = frame.clone();
            part.json["params"]["seq"] = json!(*count);
            set_bytes(&mut part.json["params"], piece);
            rule(part, out);
        }
        if frame.is_terminal() {
            counts.remove(frame.request_id());
        }
    })
}

/// Keeps one frame of a body back; `end` decides about the last one and the terminal frame behind it.
pub(super) fn one_behind(end: fn(Message, Message, &mut Outlet)) -> Tamper {
    let mut held: HashMap<String, Message> = HashMap::new();
    frames(move |frame, out| match (held.remove(frame.request_id()), frame.is_terminal()) {
        (Some(last), true) => end(last, frame, out),
        (None, true) => out.pass(frame),
        (before, false) => {
            before.into_iter().for_each(|before| out.pass(before));
            held.insert(frame.request_id().to_owned(), frame);
        }
    })
}
