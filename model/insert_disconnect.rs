//! A call starts while the connection goes away: it is refused or it fails, it never waits for ever and leaves nothing.

use crate::explore::{Model, answer, assert_empty, beside, join, read, routes, stream};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{AnswerError, InsertError, Kind, Routes};

#[test]
fn insert_against_disconnect() {
    Model::pair("insert against disconnect").results(&["refused", "failed"], || {
        let routes = routes();
        let caller = beside(&routes, |routes| match Routes::insert(routes, Kind::Stream) {
            Err(error) => {
                assert_eq!(error, InsertError::Disconnected(Disconnect::Closed));
                "refused"
            }
            Ok(mut route) => {
                assert_eq!(answer(&mut route), Err(AnswerError::Disconnected(Disconnect::Closed)));
                assert_eq!(read(&mut route), (0, Err(StreamError::Disconnected(Disconnect::Closed))));
                "failed"
            }
        });
        routes.disconnect(Disconnect::Closed);
        let result = join(caller);
        assert_empty(&routes);
        result
    });
}

/// Who has seen the disconnect cannot get a route any more: the flag and the routes are one state.
#[test]
fn insert_after_the_disconnect_was_seen() {
    Model::pair("insert after the disconnect was seen").results(&["refused"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let reader = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        assert_eq!(read(&mut route), (0, Err(StreamError::Disconnected(Disconnect::Closed))));
        let refused = Routes::insert(&routes, Kind::Call).expect_err("the connection is gone");
        assert_eq!(refused, InsertError::Disconnected(Disconnect::Closed));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "refused"
    });
}

#[test]
fn two_disconnects() {
    Model::pair("two disconnects").results(&["closed", "local"], || {
        let routes = routes();
        let (mut one, mut other) = (stream(&routes), stream(&routes));
        let closing = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        routes.disconnect(Disconnect::Local);
        let (frames, end) = read(&mut one);
        join(closing);
        // The first reason stays, for every route and for every later call.
        assert_eq!((frames, read(&mut other)), (0, (0, end.clone())));
        let Err(StreamError::Disconnected(reason)) = end else { panic!("illegal: {end:?}") };
        for route in [&mut one, &mut other] {
            assert_eq!(answer(route), Err(AnswerError::Disconnected(reason.clone())));
        }
        let refused = Routes::insert(&routes, Kind::Call).expect_err("the connection is gone");
        assert_eq!(refused, InsertError::Disconnected(reason.clone()));
        drop((one, other));
        assert_empty(&routes);
        if reason == Disconnect::Closed { "closed" } else { "local" }
    });
}

#[test]
fn inserts_and_drops_on_two_threads() {
    Model::pair("inserts and drops on two threads").results(&["slot used again", "own slot"], || {
        let routes = routes();
        let other = beside(&routes, |routes| stream(routes).key().number());
        // A slot serves two routes in a model; the third gets another one.
        let first = stream(&routes).key().number();
        let second = stream(&routes).key().number();
        let other = join(other);
        assert!(first != second && first != other && second != other, "given twice: {first}, {second}, {other}");
        assert!([first, second, other].iter().all(|number| number >> 24 < 2), "a slot is used twice at most");
        assert_empty(&routes);
        let slot = |number: u64| number % (1 << 24);
        if slot(first) == slot(other) || slot(second) == slot(other) { "slot used again" } else { "own slot" }
    });
}

/// The number of routes is itself a bound that two callers may meet at one time.
#[test]
fn the_last_place_is_given_once() {
    Model::pair("two inserts for one place").results(&["first", "second", "one after the other"], || {
        let routes = routes();
        let held = [stream(&routes), stream(&routes), stream(&routes)];
        let other = beside(&routes, |routes| Routes::insert(routes, Kind::Call).map(drop));
        let mine = Routes::insert(&routes, Kind::Call).map(drop);
        let result = match (mine, join(other)) {
            (Ok(()), Ok(())) => "one after the other",
            (Ok(()), Err(InsertError::Full)) => "first",
            (Err(InsertError::Full), Ok(())) => "second",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        drop(held);
        assert_empty(&routes);
        result
    });
}
