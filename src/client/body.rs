//! The body of a streamed response.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::deadline::Deadline;
use super::link::Link;
use super::routes::Route;
use crate::protocol::length::LengthCheck;
use crate::protocol::stream::{Outcome, StreamError};
use crate::sync::Arc;

/// A response body that arrives in pieces: a [`futures_core::Stream`] and an [`http_body::Body`].
///
/// A clean end means that the body is whole: the executor said so, and its length is what the head promised. Otherwise the
/// pieces that came are followed by an error. The end stays (`STREAM-19`): after it every call returns the same end or error
/// again, never data. So stop at the first error.
///
/// Where the request had a [deadline](super::RequestOptions::deadline), the body ends with [`StreamError::Deadline`] once it has
/// passed, whatever waits. It is noticed by whoever reads: one that nobody reads is kept until it is dropped, as any other.
///
/// Dropping it early releases all its state at once, on any thread, with or without a runtime; frames that come later are
/// ignored. The connection stays open as long as a body of it is alive.
///
/// # Cancel safety
///
/// Nothing is taken before it is returned: a receive may be dropped and repeated at any point (`ROUTE-15`).
pub struct Body {
    /// Where the body is.
    state: State,
}

/// Where a body is, as its consumer sees it.
enum State {
    /// The end was not returned yet.
    Open {
        /// The queue in the route table.
        route: Route,
        /// What was returned, against what the head promised.
        check: LengthCheck,
        /// When its call is given up.
        deadline: Deadline,
        /// Keeps the connection open.
        _link: Arc<Link>,
    },
    /// The end was returned; nothing is held any more.
    Ended(Outcome),
}

impl Body {
    /// The body of a route whose answer has come.
    pub(super) fn new(route: Route, check: LengthCheck, deadline: Deadline, link: Arc<Link>) -> Self {
        Self { state: State::Open { route, check, deadline, _link: link } }
    }

    /// Waits for the next piece; never an empty one. `None` is the clean end.
    ///
    /// # Errors
    ///
    /// See [`StreamError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped before it returns has taken nothing.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, StreamError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        let outcome = match &mut self.state {
            State::Ended(outcome) => return Poll::Ready(outcome.clone().err().map(Err)),
            State::Open { deadline, .. } if let Some(limit) = deadline.passed() => Err(StreamError::Deadline(limit)),
            State::Open { route, check, deadline, .. } => match route.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => match check.handle_chunk(chunk.len()) {
                    Ok(()) => return Poll::Ready(Some(Ok(chunk))),
                    Err(wrong) => Err(StreamError::WrongLength(wrong)),
                },
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => check.handle_end().map_err(StreamError::WrongLength),
                Poll::Pending => Err(StreamError::Deadline(ready!(deadline.poll_passed(cx)))),
            },
        };
        self.state = State::Ended(outcome.clone());
        Poll::Ready(outcome.err().map(Err))
    }
}

impl futures_core::Stream for Body {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        self.poll_chunk(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended(Ok(())))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Open { check, .. } => check,
            State::Ended(outcome) => outcome,
        };
        f.debug_tuple("Body").field(state).finish()
    }
}
