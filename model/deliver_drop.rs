//! Frames arrive while the consumer gives up: what it saw is a prefix, and nothing is left of the stream.

use std::task::Poll;

use loom::thread;

use crate::explore::{
    Model, assert_empty, beside, byte, data, deliver, glance, join, last, malformed, read, read_from, routes, stream,
};

#[test]
fn deliver_against_drop() {
    Model::pair("deliver against drop").results(&["dropped unread", "dropped after a chunk"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, data(2));
        });
        let result = match glance(&mut route) {
            Poll::Pending => "dropped unread",
            Poll::Ready(chunk) => {
                assert_eq!(chunk, Some(Ok(byte(1))));
                "dropped after a chunk"
            }
        };
        drop(route);
        join(reader);
        deliver(&routes, key, data(3));
        assert!(!routes.is_open(key));
        assert_empty(&routes);
        result
    });
}

/// No runtime and no second step is needed to clean up: whichever thread drops a stream, it is gone then.
#[test]
fn drop_on_a_foreign_thread() {
    Model::pair("deliver against drop on a foreign thread").results(&["in time", "late"], || {
        let routes = routes();
        let route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let foreign = thread::spawn(move || drop(route));
        let result = if routes.is_open(key) { "in time" } else { "late" };
        deliver(&routes, key, data(2));
        join(foreign);
        assert!(!routes.is_open(key));
        assert_empty(&routes);
        result
    });
}

/// A reader hands over what one read of the connection brought, of several streams, while one of them is dropped.
#[test]
fn batch_against_drop_of_one_stream() {
    Model::pair("batch of two streams' frames against drop of one").results(&["whole"], || {
        let routes = routes();
        let (dropped, mut kept) = (stream(&routes), stream(&routes));
        let keys = (dropped.key(), kept.key());
        let reader = beside(&routes, move |routes| {
            deliver(routes, keys.0, data(1));
            deliver(routes, keys.1, data(1));
            deliver(routes, keys.0, data(2));
            deliver(routes, keys.1, last(2));
        });
        drop(dropped);
        assert_eq!(read(&mut kept), (2, Ok(())));
        join(reader);
        drop(kept);
        assert_empty(&routes);
        "whole"
    });
}

#[test]
fn late_frame_against_the_next_stream() {
    Model::pair("late frames against the next stream in its slot").results(&["came in time", "came late"], || {
        let routes = routes();
        let old = stream(&routes);
        let old_key = old.key();
        let reader = beside(&routes, move |routes| {
            let result = if routes.is_open(old_key) { "came in time" } else { "came late" };
            deliver(routes, old_key, data(1));
            deliver(routes, old_key, last(2));
            routes.fail(old_key, malformed());
            result
        });
        drop(old);
        let mut new = stream(&routes);
        let key = new.key();
        assert!(key != old_key && key.number() % (1 << 24) == old_key.number() % (1 << 24), "the slot is used again");
        deliver(&routes, key, data(1));
        assert_eq!(glance(&mut new), Poll::Ready(Some(Ok(byte(1)))));
        let result = join(reader);
        assert_eq!(glance(&mut new), Poll::Pending);
        deliver(&routes, key, last(2));
        assert_eq!(read_from(2, &mut new), (1, Ok(())));
        drop(new);
        assert_empty(&routes);
        result
    });
}

#[test]
fn malformed_frame_against_a_waiting_consumer() {
    Model::pair("malformed frame against a waiting consumer").results(&["failed"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| {
            routes.fail(key, malformed());
            deliver(routes, key, data(2));
        });
        assert_eq!(read(&mut route), (1, Err(malformed())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "failed"
    });
}

#[test]
fn malformed_frame_against_drop() {
    Model::pair("malformed frame against drop").results(
        &["dropped open", "dropped after a chunk", "dropped failed"],
        || {
            let routes = routes();
            let mut route = stream(&routes);
            let key = route.key();
            let reader = beside(&routes, move |routes| {
                deliver(routes, key, data(1));
                routes.fail(key, malformed());
            });
            let result = match (glance(&mut route), glance(&mut route)) {
                (Poll::Pending, Poll::Pending) => "dropped open",
                (Poll::Pending, Poll::Ready(Some(Ok(chunk)))) | (Poll::Ready(Some(Ok(chunk))), Poll::Pending) => {
                    assert_eq!(chunk, byte(1));
                    "dropped after a chunk"
                }
                (Poll::Ready(Some(Ok(chunk))), Poll::Ready(end)) => {
                    assert_eq!((chunk, end), (byte(1), Some(Err(malformed()))));
                    "dropped failed"
                }
                unexpected => panic!("illegal: {unexpected:?}"),
            };
            drop(route);
            join(reader);
            assert_empty(&routes);
            result
        },
    );
}
