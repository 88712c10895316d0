//! A caller gives up while the call ends: the executor is told of every call that goes on there, once, and of no other.

use std::sync::{Arc, Mutex};

use loom::thread;
use serde_json::Value;

use crate::explore::{CHARGE, Model, PLENTY, assert_empty, beside, data, deliver, join, last, read, recorded};
use crate::protocol::error::RpcError;
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{Key, Kind, OnFull, Route, Routes};
use crate::sync;

/// A table, and a call in it whose request was sent.
fn sent(kind: Kind) -> (sync::Arc<Routes>, Route, Arc<Mutex<Vec<Key>>>) {
    let (routes, given_up) = recorded(OnFull::Fail, 2, PLENTY);
    let mut route = Routes::insert(&routes, kind).expect("connected, and there is room");
    route.mark_sent();
    (routes, route, given_up)
}

/// Whether the executor was told, of this call and once.
fn told(given_up: &Mutex<Vec<Key>>, key: Key) -> bool {
    let given_up = given_up.lock().expect("no panic under this lock");
    assert!(given_up.iter().all(|told| *told == key) && given_up.len() <= 1, "{given_up:?}");
    !given_up.is_empty()
}

#[test]
fn drop_against_answer() {
    for (kind, name, results) in [
        (Kind::Call, "give up against answer", &["told", "answered"][..]),
        (Kind::Stream, "give up a stream against answer", &["told"][..]),
    ] {
        Model::pair(name).results(results, move || {
            let (routes, route, given_up) = sent(kind);
            let key = route.key();
            let reader = beside(&routes, move |routes| routes.answer(key, Ok(Value::Null)));
            drop(route);
            join(reader);
            assert_empty(&routes);
            if told(&given_up, key) { "told" } else { "answered" }
        });
    }
}

#[test]
fn drop_against_refusal() {
    for kind in [Kind::Call, Kind::Stream] {
        Model::pair("give up against error answer").results(&["told", "refused"], move || {
            let (routes, route, given_up) = sent(kind);
            let key = route.key();
            let reader = beside(&routes, move |routes| routes.answer(key, Err(RpcError::new(-32603, "refused"))));
            drop(route);
            join(reader);
            assert_empty(&routes);
            if told(&given_up, key) { "told" } else { "refused" }
        });
    }
}

#[test]
fn drop_against_terminal() {
    Model::pair("give up against terminal").results(&["told", "ended"], || {
        let (routes, route, given_up) = sent(Kind::Stream);
        let key = route.key();
        routes.answer(key, Ok(Value::Null));
        let reader = beside(&routes, move |routes| deliver(routes, key, last(1)));
        drop(route);
        join(reader);
        assert_empty(&routes);
        if told(&given_up, key) { "told" } else { "ended" }
    });
}

#[test]
fn drop_against_disconnect() {
    for kind in [Kind::Call, Kind::Stream] {
        Model::pair("give up against disconnect").results(&["told", "gone"], move || {
            let (routes, route, given_up) = sent(kind);
            let key = route.key();
            let reader = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
            drop(route);
            join(reader);
            assert_empty(&routes);
            if told(&given_up, key) { "told" } else { "gone" }
        });
    }
}

#[test]
fn drop_on_a_foreign_thread_before_it_was_sent() {
    Model::pair("give up unsent").results(&["not told"], || {
        let (routes, given_up) = recorded(OnFull::Fail, 2, PLENTY);
        let route = Routes::insert(&routes, Kind::Stream).expect("connected, and there is room");
        let key = route.key();
        let foreign = thread::spawn(move || drop(route));
        deliver(&routes, key, data(1));
        join(foreign);
        assert_empty(&routes);
        assert!(!told(&given_up, key), "nobody knows of a call that was not sent");
        "not told"
    });
}

/// A body that fails on this side alone goes on at the executor.
#[test]
fn overflow_against_drop() {
    Model::pair("give up against overflow").results(&["told"], || {
        let (routes, given_up) = recorded(OnFull::Fail, 1, 2 * CHARGE);
        let mut route = Routes::insert(&routes, Kind::Stream).expect("connected, and there is room");
        route.mark_sent();
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, data(2));
        });
        drop(route);
        join(reader);
        assert_empty(&routes);
        assert!(told(&given_up, key));
        "told"
    });
}

/// A consumer that has read the end tells nothing, whatever becomes of the connection.
#[test]
fn end_read_against_disconnect() {
    Model::trio("end read against disconnect").results(&["whole", "cut off"], || {
        let (routes, mut route, given_up) = sent(Kind::Stream);
        let key = route.key();
        routes.answer(key, Ok(Value::Null));
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| deliver(routes, key, last(2)));
        let other = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        let (chunks, outcome) = read(&mut route);
        join(reader);
        join(other);
        drop(route);
        assert_empty(&routes);
        assert!(!told(&given_up, key));
        match outcome {
            Ok(()) => {
                assert_eq!(chunks, 2);
                "whole"
            }
            Err(StreamError::Disconnected(_)) => "cut off",
            Err(error) => unreachable!("{error}"),
        }
    });
}
