//! The connection goes away under a waiting consumer: it sees what came before, then one end that stays.

use std::task::Poll;

use serde_json::json;

use crate::explore::{
    Model, answer, assert_empty, beside, byte, data, deliver, glance, join, last, read, read_from, routes, stream,
    terminal,
};
use crate::protocol::stream::{Disconnect, StreamError};
use crate::routes::AnswerError;

fn cut_off() -> StreamError {
    StreamError::Disconnected(Disconnect::Closed)
}

/// The queue may be full when the disconnect comes.
#[test]
fn frames_then_disconnect() {
    Model::pair("frames, then disconnect, against a waiting consumer").results(&["disconnected"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(2));
            routes.disconnect(Disconnect::Closed);
            deliver(routes, key, last(3));
        });
        assert_eq!(read(&mut route), (2, Err(cut_off())));
        join(reader);
        drop(route);
        assert_empty(&routes);
        "disconnected"
    });
}

#[test]
fn disconnect_against_drop() {
    Model::pair("disconnect against drop").results(&["dropped open", "dropped cut off"], || {
        let routes = routes();
        let (mut route, waiting) = (stream(&routes), stream(&routes));
        let key = route.key();
        deliver(&routes, key, data(1));
        let reader = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        drop(waiting);
        assert_eq!(glance(&mut route), Poll::Ready(Some(Ok(byte(1)))));
        let result = match glance(&mut route) {
            Poll::Pending => "dropped open",
            Poll::Ready(end) => {
                assert_eq!(end, Some(Err(cut_off())));
                "dropped cut off"
            }
        };
        drop(route);
        join(reader);
        assert_empty(&routes);
        result
    });
}

#[test]
fn data_against_disconnect() {
    let results = ["nothing came", "all came", "the first came"];
    Model::trio("data against disconnect from elsewhere").results(&results, || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, data(2));
        });
        let closing = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        let (frames, end) = read(&mut route);
        join(reader);
        join(closing);
        assert_eq!(end, Err(cut_off()));
        // What came behind the end stays unseen.
        assert_eq!(read_from(frames, &mut route), (0, Err(cut_off())));
        drop(route);
        assert_empty(&routes);
        ["nothing came", "the first came", "all came"][usize::try_from(frames).expect("few")]
    });
}

#[test]
fn answer_against_disconnect() {
    Model::trio("answer against disconnect").results(&["lost", "answered, body lost"], || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let answering = beside(&routes, move |routes| routes.answer(key, Ok(json!(1))));
        let closing = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        let result = match answer(&mut route) {
            Ok(value) => {
                assert_eq!(value, json!(1));
                "answered, body lost"
            }
            Err(error) => {
                assert_eq!(error, AnswerError::Disconnected(Disconnect::Closed));
                "lost"
            }
        };
        assert_eq!(read(&mut route), (0, Err(cut_off())));
        join(answering);
        join(closing);
        drop(route);
        assert_empty(&routes);
        result
    });
}

#[test]
fn terminal_against_disconnect() {
    let results = ["complete", "lost with its bytes", "lost without bytes"];
    Model::trio("terminal against disconnect").results(&results, || {
        let routes = routes();
        let mut route = stream(&routes);
        let key = route.key();
        let reader = beside(&routes, move |routes| {
            deliver(routes, key, data(1));
            deliver(routes, key, terminal(2));
        });
        let closing = beside(&routes, |routes| routes.disconnect(Disconnect::Closed));
        let result = match read(&mut route) {
            (1, Ok(())) => "complete",
            (1, Err(end)) if end == cut_off() => "lost with its bytes",
            (0, Err(end)) if end == cut_off() => "lost without bytes",
            unexpected => panic!("illegal: {unexpected:?}"),
        };
        join(reader);
        join(closing);
        drop(route);
        assert_empty(&routes);
        result
    });
}

/// Each of two consumers that wait is woken, the one for an answer and the one for a frame.
#[test]
fn disconnect_against_two_consumers() {
    Model::trio("disconnect against two waiting consumers").results(&["both woken"], || {
        let routes = routes();
        let (mut caller, mut reading) = (stream(&routes), stream(&routes));
        let caller = beside(&routes, move |_| {
            assert_eq!(answer(&mut caller), Err(AnswerError::Disconnected(Disconnect::Closed)));
        });
        let consumer = beside(&routes, move |_| assert_eq!(read(&mut reading), (0, Err(cut_off()))));
        routes.disconnect(Disconnect::Closed);
        join(caller);
        join(consumer);
        assert_empty(&routes);
        "both woken"
    });
}
