//! The last frame arrives while the consumer reads or gives up: one outcome, complete before a clean end, nothing left.

use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::explore::{Model, assert_empty, byte, chunk, data, deliver, read_from, routes, stream, terminal};
use crate::protocol::delta::BodyDelta;
use crate::protocol::stream::StreamError;
use crate::routes::OnFull;
use crate::sync::Arc;

#[test]
fn terminal_against_drop() {
    let results = &["dropped before the end", "dropped after the end"];
    Model { name: "terminal against drop", threads: 2, bound: None, results }.explore(|| {
        let routes = routes(OnFull::Fail, 1, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                deliver(&routes, key, terminal(2));
                deliver(&routes, key, terminal(2));
            }
        });
        assert_eq!(chunk(&mut route), Some(Ok(byte(1))));
        let result = match route.poll_chunk(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "dropped before the end",
            Poll::Ready(end) => {
                assert_eq!(end, None);
                "dropped after the end"
            }
        };
        drop(route);
        reader.join().expect("the reader does not panic");
        assert_empty(&routes);
        result
    });
}

#[test]
fn last_bytes_and_error_against_a_reader() {
    let results = &["whole"];
    Model { name: "last bytes and error against a reading consumer", threads: 2, bound: None, results }.explore(|| {
        // One place for data: the last bytes stand beside it, however slow the consumer is.
        let routes = routes(OnFull::Fail, 1, 1024);
        let mut route = stream(&routes);
        let key = route.key();
        let reader = thread::spawn({
            let routes = Arc::clone(&routes);
            move || {
                deliver(&routes, key, data(1));
                deliver(&routes, key, BodyDelta { error: Some("reset".into()), ..data(2) });
                deliver(&routes, key, data(3));
            }
        });
        let remote = StreamError::Remote { message: "reset".into(), kind: None };
        assert_eq!(read_from(1, &mut route), (2, Err(remote)));
        reader.join().expect("the reader does not panic");
        drop(route);
        assert_empty(&routes);
        "whole"
    });
}
