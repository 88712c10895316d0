//! What an adapter declares, and which cases follow.

use crate::conformance::case::template::Names;
use crate::conformance::client::messages::{Hello, Limits};

/// What a library can declare; the words of `needs` in cases for clients. Further words of a declaration are ignored.
pub const FEATURES: [&str; 14] = [
    "error-kinds",
    "census",
    "abandon",
    "cancel",
    "foreign-drop",
    "caller-ids",
    "header-env-vars",
    "redirect-policy",
    "remote-cancel",
    "body-credit",
    "close-events",
    "buffered",
    "pause",
    "reconnect",
];

/// The limits that a library can declare, with the largest that a case reaches for. They are words of `needs`, too.
pub const LIMITS: [(&str, u64); 3] =
    [("queue-frames", 4_096), ("queue-bytes", 64 * 1024 * 1024), ("frame-bytes", 8 * 1024 * 1024)];

/// Bytes of a delta that every client accepts: what cases send where the library declares no limit.
const DELTA_BYTES: u64 = 1024 * 1024;

/// Large deltas that cases about the bytes that may wait need room for.
const HOARD_DELTAS: u64 = 3;

/// The limit of that name.
fn limit(limits: &Limits, name: &str) -> Option<u64> {
    match name {
        "queue-frames" => limits.queue_frames,
        "queue-bytes" => limits.queue_bytes,
        "frame-bytes" => limits.frame_bytes,
        _ => None,
    }
}

impl Hello {
    /// Why the library does not have what a case needs; `None` if it has.
    pub fn lacks(&self, need: &str) -> Option<String> {
        let Some((_, largest)) = LIMITS.iter().find(|(name, _)| *name == need) else {
            return (!self.features.contains(need)).then(|| format!("needs {need}"));
        };
        match limit(&self.limits, need) {
            None => Some(format!("needs {need}")),
            Some(value) if value > *largest => Some(format!("needs {need} of at most {largest}")),
            Some(_) if need == "queue-bytes" => self.cannot_hoard(),
            Some(_) => None,
        }
    }

    /// Why no stream can use up the bytes that may wait; `None` if one can.
    fn cannot_hoard(&self) -> Option<String> {
        let deltas = self.deltas_in_queue();
        if deltas < HOARD_DELTAS {
            return Some(format!("needs queue-bytes of at least {HOARD_DELTAS} large deltas"));
        }
        let few = self.limits.queue_frames.is_some_and(|frames| frames <= deltas);
        few.then(|| "needs queue-bytes that the queue-frames of one stream can use up".to_owned())
    }

    /// The bytes of a large delta.
    fn delta_bytes(&self) -> u64 {
        self.limits.frame_bytes.map_or(DELTA_BYTES, |bytes| bytes.clamp(1, DELTA_BYTES))
    }

    /// How many of those may wait together.
    fn deltas_in_queue(&self) -> u64 {
        self.limits.queue_bytes.unwrap_or(0) / self.delta_bytes()
    }

    /// The names of the limits in cases.
    pub fn names(&self) -> Names {
        let frames = self.limits.queue_frames.unwrap_or(0);
        let bytes = self.limits.queue_bytes.unwrap_or(0);
        let frame = self.limits.frame_bytes.unwrap_or(0);
        [
            ("queueFrames", frames),
            ("queueBytes", bytes),
            ("frameBytes", frame),
            ("deltaBytes", self.delta_bytes()),
            ("deltasInQueue", self.deltas_in_queue()),
            ("hoardBytes", self.deltas_in_queue().saturating_sub(1) * self.delta_bytes()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .into()
    }
}

/// The names that [`Hello::names`] gives a value.
pub const NAMES: [&str; 6] = ["queueFrames", "queueBytes", "frameBytes", "deltaBytes", "deltasInQueue", "hoardBytes"];
