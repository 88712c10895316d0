//! The answer arrives, behind early frames, while the caller waits for it or gives up.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;
use serde_json::json;

use crate::explore::{Model, assert_empty, data, deliver, read_from, routes, stream, terminal};
use crate::protocol::error::RpcError;
use crate::routes::{AnswerError, Kind, OnFull, Routes};
use crate::sync::Arc;

#[test]
fn answer_against_cancel() {
    let results = &["cancelled", "answered"];
    Model { name: "early frame and answer against cancel", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                routes.answer(key, Ok(json!(7)));
                routes.answer(key, Ok(json!(8)));
            }
        });
        let result = match route.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "cancelled",
            Poll::Ready(answer) => {
                assert_eq!(answer, Ok(json!(7)));
                "answered"
            }
        };
        drop(route);
        reader.join().expect("the reader does not panic");
        assert_empty(&routes);
        result
    });
}

#[test]
fn answer_between_frames() {
    let results = &["complete"];
    Model { name: "answer between frames against a waiting caller", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                routes.answer(key, Ok(json!({})));
                deliver(&routes, key, terminal(2));
            }
        });
        assert_eq!(block_on(poll_fn(|cx| route.poll_answer(cx))), Ok(json!({})));
        assert_eq!(read_from(1, &mut route), (1, Ok(())));
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

#[test]
fn error_answer_returns_the_budget() {
    let results = &["refused"];
    Model { name: "error answer behind an early frame", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                routes.answer(key, Err(RpcError::new(-32603, "no route to host")));
                deliver(&routes, key, data(2));
            }
        });
        let refused = Err(AnswerError::Rpc(RpcError::new(-32603, "no route to host")));
        assert_eq!(block_on(poll_fn(|cx| route.poll_answer(cx))), refused);
        reader.join().expect("the reader does not panic");
        assert_eq!(routes.census().queued_bytes, 0);
        drop(route);
        assert_empty(&routes);
        "refused"
    });
}

#[test]
fn a_buffered_call_has_no_body() {
    let results = &["answered"];
    Model { name: "frame for a buffered call", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = Routes::insert(&routes, Kind::Call).expect("connected, and there is room");
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                routes.answer(key, Ok(json!("whole")));
            }
        });
        assert_eq!(block_on(poll_fn(|cx| route.poll_answer(cx))), Ok(json!("whole")));
        reader.join().expect("the reader does not panic");
        assert_eq!(routes.census().queued_bytes, 0);
        drop(route);
        assert_empty(&routes);
        "answered"
    });
}
