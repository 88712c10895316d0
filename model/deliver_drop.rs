//! Frames arrive while the consumer gives up: what it saw is a prefix, and nothing is left of the stream.

use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::explore::{Model, assert_empty, byte, data, deliver, read_from, routes, stream};
use crate::protocol::delta::DeltaFault;
use crate::protocol::http::ParamsError;
use crate::protocol::stream::StreamError;
use crate::routes::OnFull;
use crate::sync::Arc;

#[test]
fn deliver_against_drop() {
    let results = &["dropped unread", "dropped after a chunk"];
    Model { name: "deliver against drop", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                deliver(&routes, key, data(2));
            }
        });
        let result = match route.poll_chunk(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "dropped unread",
            Poll::Ready(chunk) => {
                assert_eq!(chunk, Some(Ok(byte(1))));
                "dropped after a chunk"
            }
        };
        drop(route);
        reader.join().expect("the reader does not panic");
        deliver(&routes, key, data(3));
        assert!(!routes.is_open(key));
        assert_empty(&routes);
        result
    });
}

#[test]
fn late_frame_against_the_next_stream() {
    let results = &["came in time", "came late"];
    Model { name: "late frame against the next stream in its slot", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let old = stream(&routes);
        let old_key = old.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                let result = if routes.is_open(old_key) { "came in time" } else { "came late" };
                deliver(&routes, old_key, data(1));
                routes.fail(old_key, malformed());
                result
            }
        });
        drop(old);
        let mut new = stream(&routes);
        let result = reader.join().expect("the reader does not panic");
        assert_eq!(new.poll_chunk(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        drop(new);
        assert_empty(&routes);
        result
    });
}

#[test]
fn malformed_frame_against_a_waiting_consumer() {
    let results = &["failed"];
    Model { name: "malformed frame against a waiting consumer", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                routes.fail(key, malformed());
                deliver(&routes, key, data(2));
            }
        });
        assert_eq!(read_from(1, &mut route), (1, Err(malformed())));
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        "failed"
    });
}

fn malformed() -> StreamError {
    StreamError::Malformed(DeltaFault::Member(ParamsError { member: "seq", expected: "a number" }))
}
