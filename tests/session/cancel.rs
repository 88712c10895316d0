//! Cancelling, by value.

use exec_http::protocol::limits::WAITING_HEADS;
use exec_http::protocol::session::Extensions;
use serde_json::{Value, json};

use super::*;

fn cancel(request_id: &str) -> Value {
    json!({"id": "cancel", "method": "http/request/cancel", "params": {"requestId": request_id}})
}

fn cancelled(session: &mut Session) -> Vec<ExchangeId> {
    std::iter::from_fn(|| session.poll_cancel()).collect()
}

/// The answer to [`cancel`].
fn answer(cancelled: bool) -> Value {
    json!({"id": "cancel", "result": {"cancelled": cancelled}})
}

/// The error of a call that was cancelled before its response.
fn given_up(session: &mut Session, calls: usize) {
    let frames = sent(session);
    assert_eq!(frames.len(), calls + 1, "{frames:?}");
    for error in &frames[..calls] {
        assert_eq!((&error["error"]["code"], &error["error"]["data"]["kind"]), (&json!(-32603), &json!("cancelled")));
    }
    assert_eq!(frames[calls], answer(true));
}

#[test]
fn it_is_announced_where_it_is_offered_and_an_unknown_method_elsewhere() {
    for (extensions, capability, code) in
        [(Extensions::ALL, json!(true), None), (Extensions::NONE, Value::Null, Some(-32601))]
    {
        let mut session = Session::new(extensions);
        take(&mut session, &json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}}));
        session.handle_attach(Ok(SESSION_ID));
        assert_eq!(sent(&mut session)[0]["result"]["capabilities"]["httpRequestCancel"], capability);
        take(&mut session, &json!({"method": "initialized"}));
        take(&mut session, &cancel("s"));
        assert_eq!(sent(&mut session)[0]["error"]["code"].as_i64(), code);
    }
}

#[test]
fn a_stream_ends_before_the_answer_and_its_id_is_free_behind_it() {
    let mut session = ready_with(Extensions::ALL);
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    chunk(&mut session, id, Bytes::from_static(b"x"));
    sent(&mut session);
    take(&mut session, &cancel("s"));
    assert_eq!(cancelled(&mut session), [id]);
    let frames = sent(&mut session);
    let last = &frames[0]["params"];
    assert_eq!((&last["seq"], &last["done"], &last["errorKind"]), (&json!(2), &json!(true), &json!("cancelled")));
    assert_eq!(frames[1..], [answer(true)]);
    chunk(&mut session, id, Bytes::from_static(b"late"));
    session.handle_end(id);
    assert!(sent(&mut session).is_empty());
    start(&mut session, "s", true);
    take(&mut session, &cancel("nobody"));
    assert_eq!((sent(&mut session), cancelled(&mut session)), (vec![answer(false)], vec![]));
}

#[test]
fn calls_of_one_id_end_together_in_every_phase() {
    let mut session = ready_with(Extensions::ALL);
    let waiting = [start(&mut session, "s", true), start(&mut session, "s", false), start(&mut session, "s", false)];
    let other = start(&mut session, "other", false);
    take(&mut session, &cancel("s"));
    assert_eq!(cancelled(&mut session), waiting);
    given_up(&mut session, 3);
    session.handle_buffered(other, &head());
    assert_eq!(codes(&mut session), [(0, None)]);
}

#[test]
fn a_queued_call_is_never_started_and_a_started_one_gives_its_place_back() {
    let mut session = ready_with(Extensions::ALL);
    for number in 0..=WAITING_HEADS {
        take(&mut session, &request(&number.to_string(), false));
    }
    for stream in [false, true] {
        take(&mut session, &request("queued", stream));
    }
    assert_eq!(started(&mut session).len(), WAITING_HEADS);
    take(&mut session, &cancel("queued"));
    given_up(&mut session, 2);
    assert!(cancelled(&mut session).is_empty() && started(&mut session).is_empty());
    take(&mut session, &request("queued", true));
    assert!(sent(&mut session).is_empty(), "its id is free");
    take(&mut session, &cancel("7"));
    given_up(&mut session, 1);
    let next = started(&mut session);
    assert_eq!(next.iter().map(|(_, params)| params.request_id.as_str()).collect::<Vec<_>>(), ["64"]);
}

#[test]
fn it_needs_a_handshake_and_an_id() {
    let mut session = Session::new(Extensions::ALL);
    take(&mut session, &cancel("s"));
    assert_eq!(codes(&mut session), [(-32600, None)]);
    let mut session = ready_with(Extensions::ALL);
    for params in [Value::Null, json!({}), json!({"requestId": 7}), json!(["s"])] {
        take(&mut session, &json!({"id": 1, "method": "http/request/cancel", "params": params}));
    }
    take(&mut session, &json!({"id": 1, "method": "http/request/cancel"}));
    assert_eq!(codes(&mut session), [(-32602, None), (-32602, None), (-32602, None), (-32602, None), (-32602, None)]);
    take(&mut session, &json!({"method": "http/request/cancel", "params": {"requestId": "s"}}));
    assert!(sent(&mut session).is_empty());
}
