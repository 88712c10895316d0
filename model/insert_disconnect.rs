//! A call starts while the connection goes away: it is refused or it fails, it never waits for ever and leaves nothing.

use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;

use crate::explore::{Model, assert_empty, chunk, routes, stream};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{AnswerError, InsertError, Kind, OnFull, Routes};
use crate::sync::Arc;

#[test]
fn insert_against_disconnect() {
    let results = &["refused", "failed"];
    Model { name: "insert against disconnect", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let caller = thread::spawn({
            let routes = Arc::clone(&routes);
            move || match Routes::insert(&routes, Kind::Stream) {
                Err(error) => {
                    assert_eq!(error, InsertError::Disconnected(Disconnect::Closed));
                    "refused"
                }
                Ok(mut route) => {
                    let lost = block_on(poll_fn(|cx| route.poll_answer(cx)));
                    assert_eq!(lost, Err(AnswerError::Disconnected(Disconnect::Closed)));
                    for _ in 0..2 {
                        let end = chunk(&mut route);
                        assert_eq!(end, Some(Err(StreamError::Disconnected(Disconnect::Closed))));
                    }
                    "failed"
                }
            }
        });
        routes.disconnect(Disconnect::Closed);
        routes.disconnect(Disconnect::Local);
        let result = caller.join().expect("the caller does not panic");
        assert_empty(&routes);
        result
    });
}

#[test]
fn inserts_and_drops_on_two_threads() {
    let results = &["slot used again", "own slot"];
    Model { name: "inserts and drops on two threads", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let other = thread::spawn({
            let routes = Arc::clone(&routes);
            move || stream(&routes).key().number()
        });
        // A slot serves two routes in a model; the third gets another one.
        let first = stream(&routes).key().number();
        let second = stream(&routes).key().number();
        let other = other.join().expect("the other thread does not panic");
        assert!(first != second && first != other && second != other, "given twice: {first}, {second}, {other}");
        assert!([first, second, other].iter().all(|number| number >> 24 < 2), "a slot is used twice at most");
        assert_empty(&routes);
        let slot = |number: u64| number % (1 << 24);
        if slot(first) == slot(other) || slot(second) == slot(other) { "slot used again" } else { "own slot" }
    });
}
