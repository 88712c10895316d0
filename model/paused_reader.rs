//! With `Pause` the reader waits for room: whoever makes room, or makes it pointless, must wake it.

use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;
use serde_json::Value;

use crate::explore::{CHARGE, Model, assert_empty, byte, chunk, data, deliver_patiently, read_from, routes, stream};
use crate::protocol::stream::{Disconnect, Overflow, StreamError};
use crate::routes::{OnFull, Route, Routes};
use crate::sync::Arc;

/// A route whose answer is there: from then on its consumer may take frames, and the reader waits for it.
fn answered(routes: &Arc<Routes>) -> Route {
    let route = stream(routes);
    routes.answer(route.key(), Ok(Value::Null));
    route
}

/// A reader with two frames, and room for one.
fn explore(name: &'static str, queue_frames: usize, queue_bytes: usize) {
    Model { name, threads: 2, bound: None, results: &["complete"] }.explore(move || {
        let routes = routes(OnFull::Pause, queue_frames, queue_bytes);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver_patiently(&routes, key, data(1));
                deliver_patiently(&routes, key, data(2));
            }
        });
        assert_eq!([chunk(&mut route), chunk(&mut route)], [Some(Ok(byte(1))), Some(Ok(byte(2)))]);
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

#[test]
fn consumer_frees_a_place() {
    explore("reader paused by frames against a consumer", 1, 1024);
}

#[test]
fn consumer_frees_bytes() {
    explore("reader paused by bytes against a consumer", 4, CHARGE);
}

#[test]
fn drop_ends_the_pause() {
    let results = &["done"];
    Model { name: "reader paused against drop", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Pause, 1, 1024);
        let route = answered(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver_patiently(&routes, key, data(1));
                deliver_patiently(&routes, key, data(2));
            }
        });
        drop(route);
        reader.join().expect("the reader does not panic");
        assert_empty(&routes);
        "done"
    });
}

#[test]
fn disconnect_ends_the_pause() {
    let results = &["lost"];
    Model { name: "reader paused against disconnect", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Pause, 1, 1024);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver_patiently(&routes, key, data(1));
                deliver_patiently(&routes, key, data(2));
            }
        });
        routes.disconnect(Disconnect::Local);
        reader.join().expect("the reader does not panic");
        let (frames, end) = read_from(1, &mut route);
        assert!(frames <= 1);
        assert_eq!(end, Err(StreamError::Disconnected(Disconnect::Local)));
        drop(route);
        assert_empty(&routes);
        "lost"
    });
}

/// A reader that waited here would never come to the answer, and the consumer waits for nothing else.
#[test]
fn frames_before_the_answer_do_not_pause() {
    let results = &["overflow"];
    Model { name: "two early frames with room for one", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Pause, 1, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver_patiently(&routes, key, data(1));
                deliver_patiently(&routes, key, data(2));
                routes.answer(key, Ok(Value::Null));
            }
        });
        assert_eq!(block_on(poll_fn(|cx| route.poll_answer(cx))), Ok(Value::Null));
        assert_eq!(read_from(1, &mut route), (1, Err(StreamError::Overflow(Overflow::Frames(1)))));
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        "overflow"
    });
}
