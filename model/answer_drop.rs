//! The answer arrives, behind early frames, while the caller waits for it or gives up.

use std::task::{Context, Poll, Waker};

use serde_json::json;

use crate::explore::{Model, answer, assert_empty, beside, data, deliver, join, last, read, routes, stream, terminal};
use crate::protocol::error::RpcError;
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{AnswerError, Kind, Routes};

fn refusal() -> RpcError {
    RpcError::new(-32603, "no route to host")
}

#[test]
fn answer_against_cancel() {
    Model::pair("early frame and answer against cancel").results(&["cancelled", "answered"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            routes.answer(key, Ok(json!(7)));
            routes.answer(key, Ok(json!(8)));
        });
        let result = match route.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "cancelled",
            Poll::Ready(answer) => {
                assert_eq!(answer, Ok(json!(7)));
                "answered"
            }
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn error_answer_against_cancel() {
    Model::pair("early frame and error answer against cancel").results(&["cancelled", "refused"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            routes.answer(key, Err(refusal()));
        });
        let result = match route.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "cancelled",
            Poll::Ready(answer) => {
                assert_eq!(answer, Err(AnswerError::Rpc(refusal())));
                "refused"
            }
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn answer_between_frames() {
    Model::pair("answer between frames against a waiting caller").results(&["complete"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            routes.answer(key, Ok(json!({})));
            deliver(routes, key, terminal(2));
        });
        assert_eq!(answer(&mut route), Ok(json!({})));
        assert_eq!(read(&mut route), (1, Ok(())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

/// A caller that gives up waiting and asks again is woken at its second place.
#[test]
fn answer_against_a_caller_that_asks_again() {
    Model::pair("answer against a caller that asks again").results(&["at once", "on the second call"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| routes.answer(key, Ok(json!(7))));
        let result = match route.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                assert_eq!(answer, Ok(json!(7)));
                "at once"
            }
            Poll::Pending => {
                assert_eq!(answer(&mut route), Ok(json!(7)));
                "on the second call"
            }
        };
        join(reader);
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn error_answer_returns_the_budget() {
    Model::pair("error answer behind an early frame").results(&["refused"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            routes.answer(key, Err(refusal()));
            deliver(routes, key, data(2));
        });
        assert_eq!(answer(&mut route), Err(AnswerError::Rpc(refusal())));
        join(reader);
        assert_eq!(routes.census().queued_bytes, 0);
        let remote = StreamError::Remote { message: refusal().message, kind: None };
        assert_eq!(read(&mut route), (0, Err(remote)));
        drop(route);
        assert_empty(&routes);
        "refused"
    });
}

/// The call has its answer, and the body has what came of it and then the disconnect.
#[test]
fn answer_and_disconnect_back_to_back() {
    Model::pair("answer, frame and disconnect back to back").results(&["answered, body lost"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            routes.answer(key, Ok(json!(7)));
            deliver(routes, key, data(1));
            routes.disconnect(Disconnect::Closed);
        });
        assert_eq!(answer(&mut route), Ok(json!(7)));
        assert_eq!(read(&mut route), (1, Err(StreamError::Disconnected(Disconnect::Closed))));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "answered, body lost"
    });
}

#[test]
fn a_buffered_call_has_no_body() {
    Model::pair("frames for a buffered call").results(&["answered"], || {
        let routes = routes();
        let mut route = Routes::insert(&routes, Kind::Call).expect("connected, and there is room");
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            routes.answer(key, Ok(json!("whole")));
            deliver(routes, key, last(1));
        });
        assert_eq!(answer(&mut route), Ok(json!("whole")));
        join(reader);
        assert_eq!(routes.census().queued_bytes, 0);
        drop(route);
        assert_empty(&routes);
        "answered"
    });
}
