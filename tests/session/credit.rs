//! Credit, by value.

use exec_http::protocol::limits::WAITING_HEADS;
use serde_json::{Value, json};

use super::*;

/// A streamed request with that `creditBytes`.
fn request_with(request_id: &str, credit: Value) -> Value {
    let mut request = request(request_id, true);
    request["params"]["creditBytes"] = credit;
    request
}

fn grant(request_id: &str, bytes: u64) -> Value {
    json!({"method": "http/request/credit", "params": {"requestId": request_id, "bytes": bytes}})
}

/// A stream that was answered and has so much credit.
fn stream(session: &mut Session, request_id: &str, credit: u64) -> ExchangeId {
    take(session, &request_with(request_id, credit.into()));
    let (id, _) = session.poll_start().expect("a free place");
    session.handle_head(id, head());
    sent(session);
    id
}

/// The decoded lengths of the deltas sent; the terminal one has 0.
fn lengths(session: &mut Session) -> Vec<usize> {
    let decoded = |delta: &Value| {
        let text = delta["params"]["deltaBase64"].as_str().expect("a delta");
        text.len() / 4 * 3 - text.bytes().filter(|byte| *byte == b'=').count()
    };
    sent(session).iter().map(decoded).collect()
}

#[test]
fn it_is_announced_where_it_is_offered_and_unknown_elsewhere() {
    for (extensions, capability) in [(Extensions::ALL, json!(true)), (Extensions::NONE, Value::Null)] {
        let mut session = Session::new(extensions);
        take(&mut session, &json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}}));
        session.handle_attach(Ok(SESSION_ID));
        assert_eq!(sent(&mut session)[0]["result"]["capabilities"]["httpBodyCredit"], capability);
    }
    let mut session = ready();
    for credit in [json!(0), json!("any")] {
        take(&mut session, &request_with(&credit.to_string(), credit));
        let (id, params) = session.poll_start().expect("the member is not looked at");
        assert_eq!(params.credit, None);
        session.handle_head(id, head());
        chunk(&mut session, id, Bytes::from_static(b"hello"));
    }
}

#[test]
fn a_stream_stops_where_its_credit_is_used_up_and_goes_on_with_more() {
    let mut session = ready_with(Extensions::ALL);
    let id = stream(&mut session, "s", 3);
    let rest = session.handle_chunk(id, Bytes::from_static(b"hello"));
    assert_eq!((&rest[..], lengths(&mut session)), (&b"lo"[..], vec![3]));
    assert_eq!(session.handle_chunk(id, rest.clone()), rest);
    assert_eq!((session.poll_credit(), lengths(&mut session)), (None, vec![]));
    take(&mut session, &grant("s", 1));
    assert_eq!((session.poll_credit(), session.poll_credit()), (Some(id), None));
    let rest = session.handle_chunk(id, rest);
    assert_eq!((&rest[..], lengths(&mut session)), (&b"o"[..], vec![1]));
    take(&mut session, &grant("s", 0));
    assert_eq!(session.poll_credit(), None, "nothing came");
    take(&mut session, &grant("s", 7));
    take(&mut session, &grant("s", u64::MAX));
    assert_eq!((session.poll_credit(), session.poll_credit()), (Some(id), None));
    chunk(&mut session, id, rest);
    chunk(&mut session, id, vec![0; DELTA_BYTES]);
    session.handle_end(id);
    assert_eq!(lengths(&mut session), [1, DELTA_BYTES, 0]);
}

#[test]
fn an_end_needs_no_credit() {
    let mut session = ready_with(Extensions::ALL);
    let ids = ["whole", "failed", "cancelled"].map(|name| stream(&mut session, name, 0));
    session.handle_end(ids[0]);
    session.handle_failure(ids[1], failure());
    take(&mut session, &json!({"id": 1, "method": "http/request/cancel", "params": {"requestId": "cancelled"}}));
    let frames = sent(&mut session);
    let ends: Vec<_> = frames.iter().map(|frame| (&frame["params"]["seq"], &frame["params"]["done"])).collect();
    assert_eq!(ends[..3], [(&json!(1), &json!(true)); 3]);
}

#[test]
fn credit_may_come_before_the_call_is_started_or_answered() {
    let mut session = ready_with(Extensions::ALL);
    for number in 0..WAITING_HEADS {
        take(&mut session, &request(&number.to_string(), false));
    }
    let busy = started(&mut session);
    take(&mut session, &request_with("s", json!(1)));
    take(&mut session, &grant("s", 1));
    session.handle_failure(busy[0].0, failure());
    let (id, _) = session.poll_start().expect("a place is free");
    take(&mut session, &grant("s", 1));
    session.handle_head(id, head());
    sent(&mut session);
    assert_eq!(session.handle_chunk(id, Bytes::from_static(b"hello")), "lo");
    assert_eq!(lengths(&mut session), [3]);
}

#[test]
fn credit_for_nobody_and_malformed_credit_are_ignored() {
    let mut session = ready_with(Extensions::ALL);
    let limited = stream(&mut session, "s", 1);
    let unlimited = start(&mut session, "unlimited", true);
    session.handle_head(unlimited, head());
    let buffered = start(&mut session, "buffered", false);
    sent(&mut session);
    for name in ["nobody", "unlimited", "buffered", "S"] {
        take(&mut session, &grant(name, 5));
    }
    for params in [
        Value::Null,
        json!([]),
        json!({"requestId": "s"}),
        json!({"requestId": "s", "bytes": -1}),
        json!({"requestId": "s", "bytes": 1.5}),
        json!({"requestId": "s", "bytes": "5"}),
        json!({"requestId": 7, "bytes": 5}),
    ] {
        take(&mut session, &json!({"method": "http/request/credit", "params": params}));
    }
    assert!(sent(&mut session).is_empty() && session.poll_close().is_none());
    assert_eq!(session.handle_chunk(limited, Bytes::from_static(b"hello")), "ello");
    chunk(&mut session, unlimited, vec![0; 10]);
    session.handle_buffered(buffered, &head());
    session.handle_end(limited);
    take(&mut session, &grant("s", 5));
    let next = stream(&mut session, "s", 2);
    assert_eq!(session.handle_chunk(next, Bytes::from_static(b"hello")), "llo", "credit of the stream before is gone");
}

#[test]
fn a_credit_that_is_no_count_is_refused() {
    let mut session = ready_with(Extensions::ALL);
    for credit in [json!(-1), json!(1.5), json!("1"), json!(true), json!([1]), json!({})] {
        take(&mut session, &request_with("s", credit));
    }
    assert_eq!(codes(&mut session), vec![(-32602, None); 6]);
    take(&mut session, &request_with("s", Value::Null));
    assert_eq!(started(&mut session)[0].1.credit, None);
}
