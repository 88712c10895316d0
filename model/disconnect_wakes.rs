//! The connection goes away under a waiting consumer: it sees what came before, then one end that stays.

use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;
use serde_json::json;

use crate::explore::{Model, assert_empty, data, deliver, read_from, routes, stream, terminal};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{AnswerError, OnFull, Routes};
use crate::sync::Arc;

#[test]
fn frames_then_disconnect() {
    let results = &["disconnected"];
    Model { name: "frames, then disconnect, against a waiting consumer", threads: 2, bound: None, results }.explore(
        || {
            // The queue may be full when the disconnect comes.
            let routes = routes(OnFull::Fail, 2, 1024);
            let mut route = stream(&routes);
            let key = route.key();
            deliver(&routes, key, data(1));
            let reader = thread::spawn({
                let routes = Arc::clone(&routes);
                move || {
                    deliver(&routes, key, data(2));
                    routes.disconnect(Disconnect::Closed);
                }
            });
            assert_eq!(read_from(1, &mut route), (2, Err(StreamError::Disconnected(Disconnect::Closed))));
            reader.join().expect("the reader does not panic");
            drop(route);
            assert_empty(&routes);
            "disconnected"
        },
    );
}

#[test]
fn answer_against_disconnect() {
    let results = &["lost", "answered, body lost"];
    Model { name: "answer against disconnect", threads: 3, bound: Some(3), results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let spawn = |act: fn(&Routes, crate::routes::Key)| {
            let routes = Arc::clone(&routes);
            thread::spawn(move || act(&routes, key))
        };
        let answer = spawn(|routes, key| routes.answer(key, Ok(json!(1))));
        let disconnect = spawn(|routes, _| routes.disconnect(Disconnect::Closed));
        let result = match block_on(poll_fn(|cx| route.poll_answer(cx))) {
            Ok(value) => {
                assert_eq!(value, json!(1));
                "answered, body lost"
            }
            Err(error) => {
                assert_eq!(error, AnswerError::Disconnected(Disconnect::Closed));
                "lost"
            }
        };
        assert_eq!(read_from(1, &mut route), (0, Err(StreamError::Disconnected(Disconnect::Closed))));
        answer.join().and_then(|()| disconnect.join()).expect("neither panics");
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn terminal_against_disconnect() {
    let results = &["complete", "lost with its bytes", "lost without bytes"];
    Model { name: "terminal against disconnect", threads: 3, bound: Some(3), results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                deliver(&routes, key, terminal(2));
            }
        });
        let disconnect = thread::spawn({
            let routes = Arc::clone(&routes);
            move || routes.disconnect(Disconnect::Closed)
        });
        let lost = Err(StreamError::Disconnected(Disconnect::Closed));
        let result = match read_from(1, &mut route) {
            (1, Ok(())) => "complete",
            (1, end) if end == lost => "lost with its bytes",
            (0, end) if end == lost => "lost without bytes",
            other => panic!("illegal: {other:?}"),
        };
        reader.join().and_then(|()| disconnect.join()).expect("neither panics");
        drop(route);
        assert_empty(&routes);
        result
    });
}
