//! Frames that came together are taken under one lock: the consumer sees all of them or none, whatever happens beside it.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use loom::future::block_on;

use crate::explore::{
    CHARGE, Model, PLENTY, answered, assert_empty, beside, bounded, chunk, credited, data, deliver, glance, join,
    routes, stream, terminal,
};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::{Key, OnFull, Routes, Run};

/// Two frames from this one on.
fn two(first: u64) -> Run {
    Run { first, frames: 2, data: bytes(first), charge: 2 * CHARGE }
}

/// What they carry.
fn bytes(first: u64) -> Bytes {
    [first, first + 1].map(|seq| u8::try_from(seq).expect("models are small")).to_vec().into()
}

/// Delivers where no reader ever waits: whether it was taken.
fn deliver_run(routes: &Routes, key: Key, run: &Run) -> bool {
    let poll = routes.poll_deliver_run(&mut Context::from_waker(Waker::noop()), key, run);
    assert!(poll.is_ready(), "nobody waits without a pause");
    poll == Poll::Ready(true)
}

/// Delivers, and waits for room.
fn deliver_run_patiently(routes: &Routes, key: Key, run: &Run) -> bool {
    block_on(poll_fn(|cx| routes.poll_deliver_run(cx, key, run)))
}

#[test]
fn a_consumer_is_woken() {
    Model::pair("run against a consumer that waits").results(&["complete"], || {
        let routes = bounded(OnFull::Fail, 3, PLENTY);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            assert!(deliver_run(routes, key, &two(2)));
            deliver(routes, key, terminal(4));
        });
        assert_eq!(chunk(&mut route), Some(Ok(vec![1].into())));
        assert_eq!([chunk(&mut route), chunk(&mut route)], [Some(Ok(bytes(2))), None]);
        join(reader);
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

#[test]
fn run_against_drop() {
    Model::pair("run against drop").results(&["taken", "nobody there"], || {
        let routes = routes();
        let route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| deliver_run(routes, key, &two(1)));
        drop(route);
        let taken = join(reader);
        assert!(!deliver_run(&routes, key, &two(3)));
        assert_empty(&routes);
        if taken { "taken" } else { "nobody there" }
    });
}

#[test]
fn run_against_disconnect() {
    Model::trio("run against disconnect").results(&["before", "after"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| deliver_run(routes, key, &two(1)));
        let closer = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        let gone = Some(Err(StreamError::Disconnected(Disconnect::Closed)));
        let result = match chunk(&mut route) {
            Some(Ok(all)) => {
                assert_eq!(all, bytes(1));
                assert_eq!(chunk(&mut route), gone);
                "before"
            }
            end => {
                assert_eq!(end, gone);
                "after"
            }
        };
        assert_eq!(join(reader), result == "before");
        join(closer);
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn a_paused_reader_is_woken() {
    Model::pair("reader paused by a run against a consumer").results(&["complete"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            assert!(deliver_run_patiently(routes, key, &two(1)));
            assert!(deliver_run_patiently(routes, key, &two(3)));
        });
        assert_eq!([chunk(&mut route), chunk(&mut route)], [Some(Ok(bytes(1))), Some(Ok(bytes(3)))]);
        join(reader);
        drop(route);
        assert_empty(&routes);
        "complete"
    });
}

#[test]
fn drop_ends_the_pause() {
    Model::pair("reader paused by a run against drop").results(&["nobody there", "taken first"], || {
        let routes = bounded(OnFull::Pause, 1, PLENTY);
        let mut route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            let first = deliver_run_patiently(routes, key, &two(1));
            // It would fit only beside nothing, and then only a consumer that reads makes room.
            (first, deliver_run_patiently(routes, key, &two(3)))
        });
        let seen = glance(&mut route).is_ready();
        drop(route);
        let taken = join(reader);
        assert!(taken.0 || !seen);
        assert!(seen || !taken.1, "nobody made room");
        assert_empty(&routes);
        if taken.0 { "taken first" } else { "nobody there" }
    });
}

#[test]
fn a_run_is_taken_only_where_credit_covers_all_of_it() {
    Model::pair("run beyond the credit against a consumer").results(&["refused"], || {
        let (routes, _) = credited();
        assert!(!routes.counts_frames());
        let mut route = answered(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| deliver_run(routes, key, &two(1)));
        assert!(glance(&mut route).is_pending());
        assert!(!join(reader), "one byte is allowed");
        drop(route);
        assert_empty(&routes);
        "refused"
    });
}
