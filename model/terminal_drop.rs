//! The last frame arrives while the consumer reads or gives up: one outcome, complete before a clean end, nothing left.

use std::task::Poll;

use crate::explore::{
    Model, PLENTY, assert_empty, beside, bounded, byte, chunk, data, deliver, failed, glance, join, last, read, reset,
    routes, stream, terminal,
};
use crate::routes::OnFull;

#[test]
fn terminal_against_drop() {
    let results = ["dropped before the end", "dropped after the end"];
    Model::pair("terminal against drop").results(&results, || {
        let routes = bounded(OnFull::Fail, 1, PLENTY);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, terminal(2));
            deliver(routes, key, terminal(2));
        });
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        let result = match glance(&mut route) {
            Poll::Pending => "dropped before the end",
            Poll::Ready(end) => {
                assert_eq!(end, None);
                "dropped after the end"
            }
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn failed_terminal_against_drop() {
    let results = ["dropped open", "dropped before the error", "dropped after the error"];
    Model::pair("terminal with last byte and error against drop").results(&results, || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| deliver(routes, key, failed(1)));
        let result = match (glance(&mut route), glance(&mut route)) {
            (Poll::Pending, Poll::Pending) => "dropped open",
            (Poll::Pending, Poll::Ready(Some(Ok(chunk)))) => {
                assert_eq!(chunk, byte(1));
                "dropped before the error"
            }
            (Poll::Ready(Some(Ok(chunk))), Poll::Ready(end)) => {
                assert_eq!((chunk, end), (byte(1), Some(Err(reset()))));
                "dropped after the error"
            }
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

/// One place for data: the last bytes stand beside it, however slow the consumer is.
#[test]
fn last_bytes_and_error_against_a_reader() {
    Model::pair("last bytes and error against a reading consumer").results(&["whole"], || {
        let routes = bounded(OnFull::Fail, 1, PLENTY);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, failed(2));
            deliver(routes, key, data(3));
        });
        assert_eq!(read(&mut route), (2, Err(reset())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "whole"
    });
}

/// The first terminal frame decides; what comes behind it changes nothing, whether the consumer has seen the end or not.
#[test]
fn second_terminal_against_a_reader() {
    Model::pair("second terminal against a reading consumer").results(&["whole"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, last(1));
            deliver(routes, key, failed(2));
            deliver(routes, key, failed(1));
        });
        assert_eq!(read(&mut route), (1, Ok(())));
        join(reader);
        assert_eq!(read(&mut route), (0, Ok(())));
        drop(route);
        assert_empty(&routes);
        "whole"
    });
}
