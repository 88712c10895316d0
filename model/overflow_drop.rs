//! A bound is met while the consumer reads or gives up: the stream that holds most pays, once, and the others go on.

use std::task::Poll;

use crate::explore::{
    CHARGE, Model, PLENTY, assert_empty, beside, bounded, byte, chunk, data, deliver, glance, join, last, read, stream,
    terminal,
};
use crate::protocol::stream::{Overflow, StreamError};
use crate::routes::{OnFull, Routes};
use crate::sync::Arc;

/// A budget for two frames.
fn two_frames() -> Arc<Routes> {
    bounded(OnFull::Fail, 4, 2 * CHARGE)
}

/// How the stream ends that has to pay in [`two_frames`].
fn evicted() -> StreamError {
    StreamError::Overflow(Overflow::Bytes(2 * CHARGE))
}

/// How a stream ends that has one frame too many.
fn too_slow() -> StreamError {
    StreamError::Overflow(Overflow::Frames(1))
}

#[test]
fn too_many_frames_against_a_consumer() {
    Model::pair("one frame too many against a consumer").results(&["read in time", "too slow"], || {
        let routes = bounded(OnFull::Fail, 1, PLENTY);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, data(2));
            deliver(routes, key, terminal(3));
        });
        let result = match read(&mut route) {
            (2, Ok(())) => "read in time",
            (1, Err(end)) if end == too_slow() => "too slow",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        join(reader);
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn too_many_frames_against_drop() {
    let results = ["dropped unread", "dropped after a chunk", "dropped failed"];
    Model::pair("one frame too many against drop").results(&results, || {
        let routes = bounded(OnFull::Fail, 1, PLENTY);
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
                match glance(&mut route) {
                    Poll::Ready(Some(Err(error))) => {
                        assert_eq!(error, too_slow());
                        "dropped failed"
                    }
                    Poll::Ready(Some(Ok(_))) | Poll::Pending => "dropped after a chunk",
                    Poll::Ready(None) => panic!("a truncated body is no clean end"),
                }
            }
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn hoarder_pays_while_it_reads() {
    Model::pair("budget taken from a stream that begins to read").results(&["evicted", "read in time"], || {
        let routes = two_frames();
        let (mut hoarder, mut other) = (stream(&routes), stream(&routes));
        let (key, other_key) = (hoarder.key(), other.key());
        deliver(&routes, key, data(1));
        deliver(&routes, key, data(2));
        deliver(&routes, key, terminal(3));
        let reader = beside(&routes, move |routes| {
            deliver(routes, other_key, data(1));
            deliver(routes, other_key, terminal(2));
        });
        // The budget may be taken between its two chunks: no clean end then.
        let result = match read(&mut hoarder) {
            (2, Ok(())) => "read in time",
            (0, Err(end)) if end == evicted() => "evicted",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        join(reader);
        assert_eq!(read(&mut other), (1, Ok(())));
        drop((hoarder, other));
        assert_empty(&routes);
        result
    });
}

/// A stream that nobody reads costs the others nothing, and in the end only itself.
#[test]
fn a_stream_that_is_never_read() {
    Model::pair("one stream read, one never").results(&["other whole"], || {
        let routes = two_frames();
        let (mut unread, mut other) = (stream(&routes), stream(&routes));
        let (key, other_key) = (unread.key(), other.key());
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, data(2));
            deliver(routes, other_key, data(1));
            deliver(routes, key, data(3));
            deliver(routes, other_key, last(2));
        });
        assert_eq!(read(&mut other), (2, Ok(())));
        join(reader);
        assert_eq!(read(&mut unread), (0, Err(evicted())));
        drop((unread, other));
        assert_empty(&routes);
        "other whole"
    });
}

#[test]
fn overflow_against_drop() {
    let results = ["dropped first", "evicted first"];
    Model::pair("budget taken against drop of the stream that pays").results(&results, || {
        let routes = two_frames();
        let (mut hoarder, mut other) = (stream(&routes), stream(&routes));
        let (key, other_key) = (hoarder.key(), other.key());
        deliver(&routes, key, data(1));
        deliver(&routes, key, data(2));
        let reader = beside(&routes, move |routes| deliver(routes, other_key, data(1)));
        let result = match glance(&mut hoarder) {
            Poll::Ready(Some(Ok(_))) => "dropped first",
            Poll::Ready(Some(Err(error))) => {
                assert_eq!(error, evicted());
                "evicted first"
            }
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        drop(hoarder);
        join(reader);
        deliver(&routes, other_key, terminal(2));
        assert_eq!(read(&mut other), (1, Ok(())));
        drop(other);
        assert_empty(&routes);
        result
    });
}

/// The budget is returned with each chunk, and the next frame may take it at once.
#[test]
fn budget_returned_against_the_next_frame() {
    Model::pair("budget returned against the next frame").results(&["fits", "too slow"], || {
        let routes = bounded(OnFull::Fail, 4, CHARGE);
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(2));
            deliver(routes, key, terminal(3));
        });
        let result = match read(&mut route) {
            (2, Ok(())) => "fits",
            (1, Err(StreamError::Overflow(Overflow::Bytes(CHARGE)))) => "too slow",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        join(reader);
        drop(route);
        assert_empty(&routes);
        result
    });
}

/// A terminal frame with data needs the budget as any other; one without data needs nothing.
#[test]
fn terminals_against_an_exhausted_budget() {
    Model::pair("terminals with and without data against an exhausted budget").results(&["evicted", "room"], || {
        let routes = two_frames();
        let (mut hoarder, mut empty, mut full) = (stream(&routes), stream(&routes), stream(&routes));
        let keys = (hoarder.key(), empty.key(), full.key());
        deliver(&routes, keys.0, data(1));
        deliver(&routes, keys.0, data(2));
        let reader = beside(&routes, move |routes| {
            deliver(routes, keys.1, terminal(1));
            deliver(routes, keys.2, last(1));
        });
        let result = match chunk(&mut hoarder) {
            Some(Ok(bytes)) => {
                assert_eq!(bytes, byte(1));
                "room"
            }
            end => {
                assert_eq!(end, Some(Err(evicted())));
                "evicted"
            }
        };
        join(reader);
        assert_eq!((read(&mut empty), read(&mut full)), ((0, Ok(())), (1, Ok(()))));
        drop((hoarder, empty, full));
        assert_empty(&routes);
        result
    });
}
