//! A consumer makes room, and the executor is allowed more: told once for each byte, of live streams only, and never not at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use crate::explore::{
    Model, assert_empty, beside, byte, chunk, credited, data, deliver, join, last, read_from, stream,
};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::Routes;

/// What a writing loop that was woken so often finds: nothing may wait that it was not woken for.
fn told(routes: &Routes, notices: &AtomicUsize, takes: usize, taken: u64) -> u64 {
    let left: u64 = routes.take_credit().iter().map(|(_, bytes)| bytes).sum();
    assert!(left == 0 || notices.load(Ordering::Relaxed) > takes, "nobody would come for what waits");
    taken + left
}

#[test]
fn credit_against_the_writer() {
    Model::pair("credit against the writer").results(&["at once", "later"], || {
        let (routes, notices) = credited();
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let writer = beside(&routes, |routes| routes.take_credit());
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        let taken: u64 = join(writer).iter().map(|(_, bytes)| bytes).sum();
        // A take that came too early was for no notice.
        let takes = usize::from(taken > 0);
        assert_eq!(told(&routes, &notices, takes, taken), 1);
        deliver(&routes, key, last(2));
        assert_eq!(read_from(2, &mut route), (1, Ok(())));
        drop(route);
        assert_empty(&routes);
        if taken > 0 { "at once" } else { "later" }
    });
}

/// Two consumers make room at the same time: the writer is woken for both, together or apart.
#[test]
fn credit_of_two_streams_against_the_writer() {
    Model::trio("credit of two streams against the writer").results(&["none", "one", "both"], || {
        let (routes, notices) = credited();
        let (mut one, mut other) = (stream(&routes), stream(&routes));
        deliver(&routes, one.key(), data(1));
        deliver(&routes, other.key(), data(1));
        let writer = beside(&routes, |routes| routes.take_credit());
        let foreign = thread::spawn(move || {
            assert_eq!(chunk(&mut other), Some(Ok(byte(1))));
            other
        });
        assert_eq!(chunk(&mut one), Some(Ok(byte(1))));
        let other = join(foreign);
        let taken = join(writer);
        let sum = taken.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(told(&routes, &notices, usize::from(sum > 0), sum), 2);
        drop((one, other));
        assert_empty(&routes);
        ["none", "one", "both"][taken.len()]
    });
}

/// What was allowed to a stream that is gone is not told of, neither under its name nor under that of the next in its slot.
#[test]
fn credit_against_drop() {
    Model::pair("credit against drop").results(&["told", "too late"], || {
        let (routes, _) = credited();
        let mut old = stream(&routes);
        let old_key = old.key();
        deliver(&routes, old_key, data(1));
        assert_eq!(chunk(&mut old), Some(Ok(byte(1))));
        let writer = beside(&routes, |routes| routes.take_credit());
        drop(old);
        let mut new = stream(&routes);
        let key = new.key();
        assert_eq!(key.number() % (1 << 24), old_key.number() % (1 << 24), "the slot is used again");
        let taken = join(writer);
        assert!(taken.iter().all(|told| *told == (old_key, 1)), "{taken:?}");
        assert!(routes.take_credit().is_empty());
        // The next stream has a credit of its own, no more and no less.
        assert_eq!(new.credit(), Some(1));
        deliver(&routes, key, data(1));
        assert_eq!(chunk(&mut new), Some(Ok(byte(1))));
        assert_eq!(routes.take_credit(), [(key, 1)]);
        drop(new);
        assert_empty(&routes);
        if taken.is_empty() { "too late" } else { "told" }
    });
}

#[test]
fn credit_against_disconnect() {
    Model::pair("credit against disconnect").results(&["cut off"], || {
        let (routes, _) = credited();
        let mut route = stream(&routes);
        deliver(&routes, route.key(), data(1));
        let reader = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        join(reader);
        assert_eq!(read_from(2, &mut route), (0, Err(StreamError::Disconnected(Disconnect::Closed))));
        drop(route);
        assert_empty(&routes);
        "cut off"
    });
}

/// A frame is judged by what was allowed when it comes: one that is too early ends the stream behind the bytes before it.
#[test]
fn frame_against_its_credit() {
    Model::pair("frame against its credit").results(&["allowed", "beyond"], || {
        let (routes, _) = credited();
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| deliver(routes, key, last(2)));
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        let (frames, end) = read_from(2, &mut route);
        join(reader);
        drop(route);
        assert_empty(&routes);
        match (frames, end) {
            (1, Ok(())) => "allowed",
            (0, Err(StreamError::BeyondCredit { received: 1, allowed: 0 })) => "beyond",
            other => unreachable!("{other:?}"),
        }
    });
}

/// The executor sends the next byte as soon as it hears of it, while the consumer waits for it.
#[test]
fn credit_told_against_a_waiting_consumer() {
    Model::pair("credit told against a waiting consumer").results(&["whole"], || {
        let (routes, _) = credited();
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        let executor = beside(&routes, move |routes| {
            assert_eq!(routes.take_credit(), [(key, 1)]);
            deliver(routes, key, data(2));
        });
        assert_eq!(chunk(&mut route), Some(Ok(byte(2))));
        join(executor);
        assert_eq!(routes.take_credit(), [(key, 1)]);
        drop(route);
        assert_empty(&routes);
        "whole"
    });
}
