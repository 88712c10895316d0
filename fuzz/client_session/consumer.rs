//! Who waits for a call or reads its body, polled by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client};
use exec_http::protocol::delta::DeltaFault;
use exec_http::protocol::stream::{Disconnect, Overflow, StreamError};
use http::{Request, Response};

use super::seen::{End, Failure, Loss, Seen};

/// The consumer of one call.
pub(super) struct Consumer {
    /// What it waits for.
    state: State,
    /// Set by a wake, and unset by a poll.
    woken: Arc<Flag>,
    /// Whether the last poll gave nothing.
    waits: bool,
}

/// What a consumer waits for.
enum State {
    /// The answer.
    Call(Pin<Box<dyn Future<Output = Result<Reply, CallError>>>>),
    /// The body, of which the end was seen or not.
    Body { body: Body, ended: bool },
    /// Nothing: the call is over, or was dropped.
    Gone,
}

/// What a call gives.
enum Reply {
    /// A buffered one.
    Whole(Response<Bytes>),
    /// A streamed one.
    Streamed(Response<Body>),
}

/// Whether a wake has come.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Consumer {
    /// A call that was not polled yet.
    pub(super) fn new(client: &Client, stream: bool) -> Self {
        let client = client.clone();
        let request = Request::get("http://origin.test/").body(Bytes::new()).expect("a legal request");
        let call = Box::pin(async move {
            Ok(if stream {
                Reply::Streamed(client.stream(request).await?)
            } else {
                Reply::Whole(client.request(request).await?)
            })
        });
        Self { state: State::Call(call), woken: Arc::default(), waits: false }
    }

    /// Waits once. Each receive from a body is a new one, and is given up when there is nothing.
    pub(super) fn poll(&mut self) -> Seen {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        let seen = match &mut self.state {
            State::Call(call) => match call.as_mut().poll(&mut cx) {
                Poll::Pending => Seen::Nothing,
                Poll::Ready(Ok(Reply::Streamed(response))) => {
                    let status = response.status().as_u16();
                    self.state = State::Body { body: response.into_body(), ended: false };
                    Seen::Head(status)
                }
                Poll::Ready(result) => {
                    self.state = State::Gone;
                    seen_of(result)
                }
            },
            State::Body { body, ended } => match std::pin::pin!(body.chunk()).poll(&mut cx) {
                Poll::Pending => Seen::Nothing,
                Poll::Ready(Some(Ok(chunk))) => Seen::Chunk(chunk.into()),
                Poll::Ready(end) => {
                    *ended = true;
                    Seen::End(end.map_or(End::Whole, |error| end_of(error.expect_err("no data here"))))
                }
            },
            State::Gone => unreachable!("nobody is left to poll"),
        };
        self.waits = seen == Seen::Nothing;
        seen
    }

    /// Drops what the consumer holds.
    pub(super) fn leave(&mut self) {
        (self.state, self.waits) = (State::Gone, false);
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Gone | State::Body { ended: true, .. })
    }

    /// Whether it does not wait, or was woken since it does.
    pub(super) fn is_awake(&self) -> bool {
        !self.waits || self.woken.0.load(Ordering::Relaxed)
    }
}

fn seen_of(result: Result<Reply, CallError>) -> Seen {
    Seen::Failed(match result {
        Ok(Reply::Whole(response)) => return Seen::Whole(response.status().as_u16(), response.into_body().into()),
        Ok(Reply::Streamed(_)) => unreachable!("taken before"),
        Err(CallError::Executor(error)) => Failure::Refused(error.message),
        Err(CallError::Result(_)) => Failure::NoHead,
        Err(CallError::WrongLength(_)) => Failure::WrongLength,
        Err(CallError::TooManyCalls) => Failure::TooManyCalls,
        Err(CallError::Disconnected { reason, sent }) => Failure::Lost { loss: loss_of(&reason), sent },
        Err(CallError::Request(error)) => panic!("the request is legal: {error}"),
        Err(error @ (CallError::Deadline { .. } | CallError::Unconnected(_))) => panic!("not asked for: {error}"),
    })
}

fn end_of(error: StreamError) -> End {
    match error {
        StreamError::Remote { message, .. } => End::Remote(message),
        StreamError::Sequence { received, expected } => End::Sequence { received, expected },
        StreamError::Overflow(Overflow::Frames(limit)) => End::TooManyFrames(limit),
        StreamError::Overflow(Overflow::Bytes(limit)) => End::TooManyBytes(limit),
        StreamError::BeyondCredit { .. } => panic!("this executor keeps to no credit"),
        StreamError::Malformed(DeltaFault::Member(fault)) => End::Malformed(fault.member),
        StreamError::Malformed(DeltaFault::TooLong) => panic!("no frame is too long"),
        StreamError::Disconnected(reason) => End::Lost(loss_of(&reason)),
        StreamError::WrongLength(wrong) => End::WrongLength { promised: wrong.promised, received: wrong.received },
        StreamError::Deadline(limit) => panic!("no deadline was asked for: {limit:?}"),
    }
}

fn loss_of(reason: &Disconnect) -> Loss {
    match reason {
        Disconnect::Closed => Loss::Closed,
        Disconnect::Transport(_) => Loss::Transport,
        Disconnect::Malformed(_) => Loss::Malformed,
        Disconnect::Unreadable(_) => Loss::Unreadable,
        Disconnect::Local => panic!("the client is still held"),
    }
}
