//! The limits as a table: what the command line offers and prints, and what [`Limits::check`] goes through.

use std::time::Duration;

use super::Limits;
use crate::protocol::limits::{LINE_BYTES, MOST_BUFFERED_BODY_BYTES, REQUEST_HEADERS};

/// One limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is bounded.
    pub what: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// The option of `exec-http serve` that sets it, without its dashes.
    pub option: &'static str,
    /// The least value that can be chosen.
    pub least: u64,
    /// The greatest value that can be chosen.
    pub most: u64,
    /// Why these two.
    pub why: &'static str,
    /// What happens when it is met.
    pub beyond: &'static str,
    /// Reads it.
    get: fn(&Limits) -> Option<u64>,
    /// Sets it.
    set: fn(&mut Limits, u64),
}

impl Limit {
    /// Its value; `None` where nothing is bounded.
    pub fn value(&self, limits: &Limits) -> Option<u64> {
        (self.get)(limits)
    }

    /// Sets it, to whatever value: [`Limits::check`] judges them together.
    pub fn set(&self, limits: &mut Limits, value: u64) {
        (self.set)(limits, value);
    }
}

/// The greatest count of things that take memory only when they are there.
const MANY: u64 = u32::MAX as u64;

/// A row whose field is a number.
macro_rules! row {
    ($what:literal, $unit:literal, $option:literal, $($field:ident).+, $least:expr, $most:expr, $why:literal, $beyond:literal) => {
        Limit {
            what: $what,
            unit: $unit,
            option: $option,
            least: $least,
            most: $most,
            why: $why,
            beyond: $beyond,
            get: |limits| Some(limits.$($field).+ as u64),
            set: |limits, value| limits.$($field).+ = usize::try_from(value).unwrap_or(usize::MAX),
        }
    };
}

/// A row whose field is a time; 0 takes the limit away.
macro_rules! time {
    ($what:literal, $option:literal, $field:ident, $beyond:literal) => {
        Limit {
            what: $what,
            unit: "ms",
            option: $option,
            least: 0,
            most: u64::MAX,
            why: "0 is no limit",
            beyond: $beyond,
            get: |limits| limits.$field.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            set: |limits, value| limits.$field = (value > 0).then(|| Duration::from_millis(value)),
        }
    };
}

/// All limits of an executor that can be chosen. Those of a connection hold for each.
#[rustfmt::skip]
pub const LIMITS: [Limit; 15] = [
    row!("calls of a connection that wait for heads or buffered bodies", "calls", "max-waiting-heads",
        session.waiting_heads, 1, MANY, "with none nothing would ever start", "further calls are queued"),
    row!("active streams of a connection", "streams", "max-active-streams",
        session.active_streams, 1, MANY, "with none no stream would ever start", "further streamed calls are queued"),
    row!("queued calls of a connection", "calls", "max-queued-requests",
        session.queued_requests, 0, MANY, "they are held in memory", "the call fails, -32603 and kind limit"),
    row!("queued calls of a connection together", "bytes", "max-queued-request-bytes",
        session.queued_request_bytes, 0, MANY, "they are held in memory", "the call fails unless it is the only one, -32603 and kind limit"),
    row!("requestId", "bytes", "max-request-id-bytes",
        session.request_id_bytes, 0, LINE_BYTES as u64, "it stands in a frame", "the call is refused, -32602 and kind limit"),
    row!("frames that wait for a client", "bytes", "max-outbound-bytes",
        session.outbound_bytes, 1, MANY, "with none nothing would ever be sent", "origins are not read until the client reads"),
    row!("frames that wait for a client, replies included", "bytes", "max-reply-bytes",
        session.reply_bytes, 1, MANY, "they are held in memory", "the connection ends"),
    row!("one frame from a client", "bytes", "max-frame-bytes",
        frame_bytes, 1_024, LINE_BYTES as u64, "no transport takes more", "the connection ends, a websocket with status 1009"),
    row!("headers of a request", "headers", "max-request-headers",
        request_headers, 0, REQUEST_HEADERS as u64, "what holds them in memory takes no more", "the call is refused, -32602 and kind limit"),
    row!("headers of a request, names and values together", "bytes", "max-request-header-bytes",
        request_header_bytes, 0, LINE_BYTES as u64, "they stand in a frame", "the call is refused, -32602 and kind limit"),
    row!("request body, decoded", "bytes", "max-request-body-bytes",
        request_body_bytes, 0, LINE_BYTES as u64, "it stands in a frame", "the call is refused, -32602 and kind limit"),
    row!("response head, about", "bytes", "max-response-head-bytes",
        response_head_bytes, 8_192, 16 * 1024 * 1024, "the HTTP library reads at least 8 KiB at once", "the call fails, -32603 and kind limit"),
    row!("response body of a buffered call", "bytes", "max-buffered-body-bytes",
        buffered_body_bytes, 0, MOST_BUFFERED_BODY_BYTES as u64, "its base64 must fit into a frame of 64 MiB, which is what clients read",
        "the call fails, -32603 and kind limit"),
    time!("silence of an origin, in a call without timeoutMs", "max-idle-ms",
        idle_time, "the call or its stream fails, kind limit"),
    time!("time of a call without timeoutMs", "max-total-ms",
        total_time, "the call or its stream fails, kind limit"),
];
