//! A bound is met while the consumer reads or gives up: the stream that holds most pays, once, and the others go on.

use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::explore::{CHARGE, Model, assert_empty, data, deliver, read_from, routes, stream, terminal};
use crate::protocol::stream::{Overflow, StreamError};
use crate::routes::OnFull;
use crate::sync::Arc;

#[test]
fn too_many_frames_against_a_consumer() {
    let results = &["read in time", "too slow"];
    Model { name: "one frame too many against a consumer", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 1, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                deliver(&routes, key, data(2));
                deliver(&routes, key, terminal(3));
            }
        });
        let result = match read_from(1, &mut route) {
            (2, Ok(())) => "read in time",
            (1, Err(StreamError::Overflow(Overflow::Frames(1)))) => "too slow",
            other => panic!("illegal: {other:?}"),
        };
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn hoarder_pays_while_it_reads() {
    let results = &["evicted", "read in time"];
    Model { name: "budget taken from a stream that begins to read", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 4, 2 * CHARGE);
        let mut hoarder = stream(&routes);
        let mut other = stream(&routes);
        let (key, other_key) = (hoarder.key(), other.key());
        deliver(&routes, key, data(1));
        deliver(&routes, key, data(2));
        deliver(&routes, key, terminal(3));
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, other_key, data(1));
                deliver(&routes, other_key, terminal(2));
            }
        });
        let result = match read_from(1, &mut hoarder) {
            (1 | 2, Ok(())) => "read in time",
            (0, Err(StreamError::Overflow(Overflow::Bytes(bytes)))) if bytes == 2 * CHARGE => "evicted",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        reader.join().expect("the reader does not panic");
        assert_eq!(read_from(1, &mut other), (1, Ok(())));
        drop((hoarder, other));
        assert_empty(&routes);
        result
    });
}

#[test]
fn overflow_against_drop() {
    let results = &["dropped first", "evicted first"];
    Model { name: "overflow against drop of the stream that pays", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 4, 2 * CHARGE);
        let (mut hoarder, mut other) = (stream(&routes), stream(&routes));
        let (key, other_key) = (hoarder.key(), other.key());
        deliver(&routes, key, data(1));
        deliver(&routes, key, data(2));
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || deliver(&routes, other_key, data(1))
        });
        let result = match hoarder.poll_chunk(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(_))) => "dropped first",
            Poll::Ready(Some(Err(StreamError::Overflow(Overflow::Bytes(_))))) => "evicted first",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        drop(hoarder);
        reader.join().expect("the reader does not panic");
        deliver(&routes, other_key, terminal(2));
        assert_eq!(read_from(1, &mut other), (1, Ok(())));
        drop(other);
        assert_empty(&routes);
        result
    });
}
