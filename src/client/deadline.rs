//! The client's own deadline of one call.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::call::RequestOptions;

/// When this client gives a call up, if ever. It goes with the call from its first step to the last byte of its body.
pub(super) struct Deadline(Option<End>);

/// The end of a deadline that there is.
struct End {
    /// What the caller allowed.
    limit: Duration,
    /// When it passes.
    at: Instant,
    /// Wakes the task that waits; made at its first wait, as a call that does not wait needs none.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The one that a request's [`RequestOptions`] ask for, counted from now. A time that no clock can hold is none.
    pub(super) fn of(extensions: &http::Extensions) -> Self {
        let limit = extensions.get::<RequestOptions>().and_then(|options| options.deadline);
        Self(limit.and_then(|limit| Some(End { limit, at: Instant::now().checked_add(limit)?, timer: None })))
    }

    /// The limit, once it has passed.
    pub(super) fn passed(&self) -> Option<Duration> {
        self.0.as_ref().filter(|end| Instant::now() >= end.at).map(|end| end.limit)
    }

    /// Waits for it to pass; for ever where there is none.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(End { limit, at, timer }) = &mut self.0 else { return Poll::Pending };
        ready!(timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*at))).as_mut().poll(cx));
        Poll::Ready(*limit)
    }

    /// Runs `future` until the deadline passes: then it is not polled again, and the limit is the error.
    pub(super) async fn run<F: Future>(&mut self, future: F) -> Result<F::Output, Duration> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Some(limit) = self.passed() {
                return Poll::Ready(Err(limit));
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_passed(cx).map(Err)
        })
        .await
    }
}
