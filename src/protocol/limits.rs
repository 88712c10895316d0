//! Every bound of the protocol by name. The last word of a name is its unit.

/// Decoded bytes that one body delta may carry (`LIMIT` clauses; since 2026-07).
pub const DELTA_BYTES: usize = 1024 * 1024;

/// JSON values that one message may hold, nested ones counted (since 2026-07).
pub const MESSAGE_VALUES: usize = 262_144;

/// Levels of arrays and objects that one message may nest; the JSON reader's own bound, one level below the specification's.
pub const NESTING_LEVELS: usize = 128;

/// Bytes of one stdio line without its line end (since 2026-07).
pub const LINE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of one websocket message, all its fragments together.
pub const WEBSOCKET_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Frames that may wait in one stream of a client for their consumer.
pub const QUEUE_FRAMES: usize = 256;

/// Body bytes that may wait in all streams of one client connection together.
pub const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// What a waiting frame costs of [`QUEUE_BYTES`] at least, so that tiny frames cannot pile up for free.
pub const FRAME_CHARGE_BYTES: usize = 256;

/// Bytes of a streamed body that a client allows with the request, when it can.
pub const CREDIT_FIRST_BYTES: u64 = 64 * 1024;

/// Bytes of a streamed body that a client allows at one time, at most.
pub const CREDIT_WINDOW_BYTES: u64 = 1024 * 1024;

/// Frames of a stream with credit that wait for their consumer are joined up to this size.
pub const QUEUE_JOINED_BYTES: usize = 16 * 1024;

/// Exchanges of one connection that may wait for their response head at one time.
pub const WAITING_HEADS: usize = 64;

/// Body streams of one connection that may be active at one time.
pub const ACTIVE_STREAMS: usize = 1_024;

/// Requests of one connection that may wait for a place among [`WAITING_HEADS`] and [`ACTIVE_STREAMS`].
pub const QUEUED_REQUESTS: usize = 4_096;

/// Bytes that those waiting requests may hold together.
pub const QUEUED_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of body deltas that may wait for a slow client; beyond it the executor stops reading its origins.
pub const OUTBOUND_BYTES: usize = 1024 * 1024;

/// Bytes of memory that an empty batch of frames keeps: what may wait, and one frame more.
pub const BATCH_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of replies that may wait for a client that does not read; beyond it the connection is closed.
pub const REPLY_BYTES: usize = 128 * 1024 * 1024;

/// Bytes of a response body that is returned whole. Its base64 text, a third longer, still fits [`LINE_BYTES`].
pub const BUFFERED_BODY_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of a request body, decoded: what fits [`LINE_BYTES`] in base64, with nothing beside it.
pub const REQUEST_BODY_BYTES: usize = LINE_BYTES / 4 * 3;

/// Bytes of a buffered body that fit a line of [`LINE_BYTES`] in base64, with head (LIMIT-6).
pub const MOST_BUFFERED_BODY_BYTES: usize = 45 * 1024 * 1024;

/// Bytes of a response head, status line and headers.
pub const RESPONSE_HEAD_BYTES: usize = 256 * 1024;

/// Bytes of a `requestId`, which is repeated in every delta of its stream.
pub const REQUEST_ID_BYTES: usize = 1_024;

/// Headers of one request; what holds them in memory has its own, higher bound.
pub const REQUEST_HEADERS: usize = 8_192;

/// Bytes of the headers of one request, names and values together.
pub const REQUEST_HEADER_BYTES: usize = 1024 * 1024;

/// Redirects that one request follows.
pub const REDIRECT_HOPS: usize = 10;

/// Ready chunks of a body are joined into one delta up to this size.
pub const JOINED_DELTA_BYTES: usize = 64 * 1024;

/// The bounds of one [`Session`](super::session::Session), as its executor chose them. The default is the constants of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// In place of [`WAITING_HEADS`].
    pub waiting_heads: usize,
    /// In place of [`ACTIVE_STREAMS`].
    pub active_streams: usize,
    /// In place of [`QUEUED_REQUESTS`].
    pub queued_requests: usize,
    /// In place of [`QUEUED_REQUEST_BYTES`].
    pub queued_request_bytes: usize,
    /// In place of [`REQUEST_ID_BYTES`].
    pub request_id_bytes: usize,
    /// In place of [`OUTBOUND_BYTES`].
    pub outbound_bytes: usize,
    /// In place of [`REPLY_BYTES`].
    pub reply_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            waiting_heads: WAITING_HEADS,
            active_streams: ACTIVE_STREAMS,
            queued_requests: QUEUED_REQUESTS,
            queued_request_bytes: QUEUED_REQUEST_BYTES,
            request_id_bytes: REQUEST_ID_BYTES,
            outbound_bytes: OUTBOUND_BYTES,
            reply_bytes: REPLY_BYTES,
        }
    }
}
