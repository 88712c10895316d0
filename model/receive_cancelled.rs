//! A receive is given up and repeated: no byte, error or end is lost or seen twice, and the latest waker is the one that counts.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;

use crate::explore::{
    Model, assert_empty, beside, byte, data, deliver, failed, glance, join, last, read, read_from, reset, routes,
    stream,
};

#[test]
fn receive_cancelled_and_repeated() {
    let results = ["nothing there yet", "the first frame", "the second frame"];
    Model::pair("receive cancelled and repeated").results(&results, move || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, failed(2));
        });
        let mut taken = 0;
        for _ in 0..2 {
            if let Poll::Ready(chunk) = glance(&mut route) {
                taken += 1;
                assert_eq!(chunk, Some(Ok(byte(taken))));
            }
        }
        assert_eq!(read_from(taken + 1, &mut route), (2 - taken, Err(reset())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        results[usize::try_from(taken).expect("few")]
    });
}

/// A future that moved to another task leaves its first waker behind.
#[test]
fn stream_moves_to_another_thread() {
    Model::trio("stream polled on one thread, then read on another").results(&["began here", "all there"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| deliver(routes, key, last(1)));
        let (first, result) = match glance(&mut route) {
            Poll::Pending => (1, "all there"),
            Poll::Ready(chunk) => {
                assert_eq!(chunk, Some(Ok(byte(1))));
                (2, "began here")
            }
        };
        let consumer = beside(&routes, move |_| read_from(first, &mut route));
        assert_eq!(join(consumer), (2 - first, Ok(())));
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn one_task_waits_for_two_streams() {
    Model::pair("one task waits for two streams").results(&["one", "other"], || {
        let routes = routes();
        let (mut one, mut other) = (stream(&routes), stream(&routes));
        let keys = (one.key(), other.key());
        let reader = beside(&routes, move |routes| {
            deliver(routes, keys.0, last(1));
            deliver(routes, keys.1, last(1));
        });
        // Whichever comes first, and then both to their ends.
        let first = block_on(poll_fn(|cx| match (one.poll_chunk(cx), other.poll_chunk(cx)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            (Poll::Ready(chunk), Poll::Pending) => Poll::Ready((chunk, None)),
            (Poll::Pending, Poll::Ready(chunk)) => Poll::Ready((None, chunk)),
            (Poll::Ready(chunk), Poll::Ready(chunk_of_other)) => Poll::Ready((chunk, chunk_of_other)),
        }));
        let taken = (u64::from(first.0.is_some()), u64::from(first.1.is_some()));
        assert!(first.0.is_none_or(|chunk| chunk == Ok(byte(1))) && first.1.is_none_or(|chunk| chunk == Ok(byte(1))));
        assert_eq!(read_from(1 + taken.0, &mut one), (1 - taken.0, Ok(())));
        assert_eq!(read_from(1 + taken.1, &mut other), (1 - taken.1, Ok(())));
        join(reader);
        drop((one, other));
        assert_empty(&routes);
        if taken.0 == 1 { "one" } else { "other" }
    });
}

#[test]
fn two_consumers_have_their_own_wakers() {
    Model::trio("two streams, each with its waiting consumer").results(&["both whole"], || {
        let routes = routes();
        let (mut one, mut other) = (stream(&routes), stream(&routes));
        let keys = (one.key(), other.key());
        let consumers = [
            beside(&routes, move |_| assert_eq!(read(&mut one), (1, Ok(())))),
            beside(&routes, move |_| assert_eq!(read(&mut other), (1, Ok(())))),
        ];
        deliver(&routes, keys.0, last(1));
        deliver(&routes, keys.1, last(1));
        consumers.into_iter().for_each(join);
        assert_empty(&routes);
        "both whole"
    });
}
