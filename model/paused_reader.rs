//! With `Pause` the reader waits for room: whoever makes room, or makes it pointless, must wake it.

use serde_json::Value;

use crate::explore::{
    CHARGE, Model, PLENTY, answer, answered, assert_empty, beside, bounded, byte, chunk, data, deliver,
    deliver_patiently, join, last, read, read_from, stream,
};
use crate::protocol::stream::{Disconnect, Overflow, StreamError};
use crate::routes::OnFull;

/// A reader with two frames, and room for one.
fn explore(name: &'static str, queue_frames: usize, queue_bytes: usize) {
    Model::pair(name).results(&["complete"], move || {
        let routes = bounded(OnFull::Pause, queue_frames, queue_bytes);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, key, data(1));
            deliver_patiently(routes, key, data(2));
        });
        assert_eq!([chunk(&mut route), chunk(&mut route)], [Some(Ok(byte(1))), Some(Ok(byte(2)))]);
        join(reader);
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

#[test]
fn consumer_frees_a_place() {
    explore("reader paused by frames against a consumer", 1, PLENTY);
}

#[test]
fn consumer_frees_bytes() {
    explore("reader paused by bytes against a consumer", 4, CHARGE);
}

#[test]
fn drop_ends_the_pause() {
    Model::pair("reader paused against drop").results(&["done"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, key, data(1));
            deliver_patiently(routes, key, data(2));
        });
        drop(route);
        join(reader);
        assert_empty(&routes);
        "done"
    });
}

/// The bytes that the reader waits for may be another stream's.
#[test]
fn drop_of_another_stream_ends_the_pause() {
    Model::pair("reader paused by another stream's bytes against its drop").results(&["whole"], || {
        let routes = bounded(OnFull::Pause, 4, CHARGE);
        let (holder, mut route) = (answered(&routes), answered(&routes));
        let key = route.key();
        deliver(&routes, holder.key(), data(1));
        let reader = beside(&routes, move |routes| deliver_patiently(routes, key, last(1)));
        drop(holder);
        assert_eq!(read(&mut route), (1, Ok(())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "whole"
    });
}

#[test]
fn disconnect_ends_the_pause() {
    Model::pair("reader paused against disconnect").results(&["lost"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, key, data(1));
            deliver_patiently(routes, key, data(2));
        });
        routes.disconnect(Disconnect::Local);
        join(reader);
        let (frames, end) = read(&mut route);
        assert!(frames <= 1);
        assert_eq!(end, Err(StreamError::Disconnected(Disconnect::Local)));
        drop(route);
        assert_empty(&routes);
        "lost"
    });
}

#[test]
fn drop_and_disconnect_against_the_pause() {
    Model::trio("reader paused against drop and disconnect").results(&["done"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let route = answered(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| deliver_patiently(routes, key, data(2)));
        let closing = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        drop(route);
        join(reader);
        join(closing);
        assert_empty(&routes);
        "done"
    });
}

/// The reader is one for all streams: while it waits for the one, the frame of the other is behind it.
#[test]
fn pause_delays_the_other_stream() {
    Model::trio("reader paused by one stream, another waits").results(&["both whole"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let (mut slow, mut other) = (answered(&routes), answered(&routes));
        let keys = (slow.key(), other.key());
        deliver(&routes, keys.0, data(1));
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, keys.0, data(2));
            deliver_patiently(routes, keys.1, last(1));
        });
        let consumer = beside(&routes, move |_| assert_eq!(read(&mut other), (1, Ok(()))));
        assert_eq!(chunk(&mut slow), Some(Ok(byte(1))));
        join(reader);
        deliver(&routes, keys.0, last(3));
        assert_eq!(read_from(2, &mut slow), (2, Ok(())));
        join(consumer);
        drop(slow);
        assert_empty(&routes);
        "both whole"
    });
}

/// A reader that waited here would never come to the answer, and the consumer waits for nothing else.
#[test]
fn frames_before_the_answer_do_not_pause() {
    Model::pair("two early frames with room for one").results(&["overflow"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, key, data(1));
            deliver_patiently(routes, key, data(2));
            routes.answer(key, Ok(Value::Null));
        });
        assert_eq!(answer(&mut route), Ok(Value::Null));
        assert_eq!(read(&mut route), (1, Err(StreamError::Overflow(Overflow::Frames(1)))));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "overflow"
    });
}

/// Bytes that wait for an answer are as bad for a paused reader as frames that do: their stream has to go.
#[test]
fn bytes_before_an_answer_do_not_pause() {
    Model::pair("early bytes of one stream, a frame of another").results(&["overflow"], || {
        let routes = bounded(OnFull::Pause, 4, CHARGE);
        let (mut early, mut other) = (stream(&routes), answered(&routes));
        let keys = (early.key(), other.key());
        let reader = beside(&routes, move |routes| {
            deliver_patiently(routes, keys.0, data(1));
            deliver_patiently(routes, keys.1, last(1));
            routes.answer(keys.0, Ok(Value::Null));
        });
        assert_eq!(answer(&mut early), Ok(Value::Null));
        assert_eq!(read(&mut early), (0, Err(StreamError::Overflow(Overflow::Bytes(CHARGE)))));
        assert_eq!(read(&mut other), (1, Ok(())));
        join(reader);
        drop((early, other));
        assert_empty(&routes);
        "overflow"
    });
}
