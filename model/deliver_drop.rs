//! Frames arrive while the consumer gives up: what it saw is a prefix, and nothing is left of the stream.

use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::explore::{Model, assert_empty, byte, data, deliver, routes, stream};
use crate::protocol::http::{DeltaFault, ParamsError};
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
fn malformed_frame_against_drop() {
    let results = &["dropped first", "failed first"];
    Model { name: "malformed frame against drop", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 2, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let fault = StreamError::Malformed(DeltaFault::Member(ParamsError { member: "seq", expected: "a number" }));
        let reader = thread::spawn({
            let (routes, fault) = (Arc::clone(&routes), fault.clone());
            move || routes.fail(key, fault)
        });
        let result = match route.poll_chunk(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "dropped first",
            Poll::Ready(end) => {
                assert_eq!(end, Some(Err(fault)));
                "failed first"
            }
        };
        drop(route);
        reader.join().expect("the reader does not panic");
        assert_empty(&routes);
        result
    });
}
