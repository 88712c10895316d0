//! Every bound of the executor that can be chosen, by name. `docs/limits.md` is the same as a page.

mod table;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::protocol::error::RpcError;
use crate::protocol::limits::{
    BUFFERED_BODY_BYTES, LINE_BYTES, REQUEST_BODY_BYTES, REQUEST_HEADER_BYTES, REQUEST_HEADERS, RESPONSE_HEAD_BYTES,
    SessionLimits,
};

use super::failure;

pub use self::table::{LIMITS, Limit};

/// What an executor holds at most, and how long a call may take. [`LIMITS`] says what happens when a bound is met.
///
/// The defaults are those that `SPEC.md` asks for; lower ones may be less than a client may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What each connection holds.
    pub session: SessionLimits,
    /// Bytes of one frame that is read; 64 MiB by default.
    pub frame_bytes: usize,
    /// Headers of one request; 8,192 by default.
    pub request_headers: usize,
    /// Bytes of the headers of one request, names and values together; 1 MiB by default.
    pub request_header_bytes: usize,
    /// Bytes of one request body, decoded; 48 MiB by default, which is what a frame can carry.
    pub request_body_bytes: usize,
    /// Bytes of one response head, about; 256 KiB by default. It is what one read buffer takes, so a head that is some of it longer
    /// may pass.
    pub response_head_bytes: usize,
    /// Bytes of a response body that is returned whole; 32 MiB by default.
    pub buffered_body_bytes: usize,
    /// How long the origin of a call without `timeoutMs` may send nothing, before the head and between two reads of the body. The
    /// time for which a client does not read does not count. `None`, the default, for ever (HTTP-16).
    pub idle_time: Option<Duration>,
    /// How long a call without `timeoutMs` may take, as if it had one. `None`, the default, for ever (HTTP-16).
    pub total_time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            frame_bytes: LINE_BYTES,
            request_headers: REQUEST_HEADERS,
            request_header_bytes: REQUEST_HEADER_BYTES,
            request_body_bytes: REQUEST_BODY_BYTES,
            response_head_bytes: RESPONSE_HEAD_BYTES,
            buffered_body_bytes: BUFFERED_BODY_BYTES,
            idle_time: None,
            total_time: None,
        }
    }
}

/// Limits that no executor can keep.
#[derive(Clone, Copy, Debug)]
pub enum LimitsError {
    /// A value lies outside of what the limit can be.
    Range {
        /// Which.
        limit: &'static Limit,
    },
    /// The largest buffered response does not fit into what may wait, beside the deltas there, so that it would end the connection.
    Replies {
        /// What `reply_bytes` must be at least.
        least: usize,
    },
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { limit } => {
                write!(f, "--{} must lie between {} and {}; {}", limit.option, limit.least, limit.most, limit.why)
            }
            Self::Replies { least } => {
                write!(
                    f,
                    "--max-reply-bytes must be at least {least}, to hold --max-outbound-bytes and the largest buffered response"
                )
            }
        }
    }
}

impl std::error::Error for LimitsError {}

impl Limits {
    /// Whether an executor can keep them.
    ///
    /// # Errors
    ///
    /// The first that it cannot.
    pub fn check(&self) -> Result<(), LimitsError> {
        for limit in &LIMITS {
            let fits = |value| (limit.least..=limit.most).contains(&value);
            if !limit.value(self).is_none_or(fits) {
                return Err(LimitsError::Range { limit });
            }
        }
        // JSON takes up to six times the room of a header that is short or not UTF-8.
        let response = self.buffered_body_bytes.div_ceil(3) * 4 + self.response_head_bytes * 6;
        let least = self.session.outbound_bytes + response;
        if self.session.reply_bytes < least { Err(LimitsError::Replies { least }) } else { Ok(()) }
    }
}

/// Bounds each wait for an origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdleTime(Option<Duration>);

impl IdleTime {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self(limit)
    }

    /// Waits for the origin's next sign of life. As safe to cancel as `work`.
    pub(super) async fn bound<T>(self, work: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
        match self.0 {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(failure::idle_time(limit))),
        }
    }
}
