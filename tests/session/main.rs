//! The executor's session by value: frames in, frames out, no clock and no tasks.

use bytes::Bytes;
use exec_http::protocol::error::{ErrorKind, INTERNAL_ERROR, RpcError};
use exec_http::protocol::http::{RequestParams, ResponseHead};
use exec_http::protocol::limits::{
    ACTIVE_STREAMS, DELTA_BYTES, OUTBOUND_BYTES, QUEUED_REQUEST_BYTES, QUEUED_REQUESTS, REPLY_BYTES, REQUEST_ID_BYTES,
    WAITING_HEADS,
};
use exec_http::protocol::session::{Attach, AttachError, CloseReason, ExchangeId, Extensions, Session};
use serde_json::{Value, json};

mod cancel;
mod credit;
mod limits;

const SESSION_ID: &str = "session-1";

fn take(session: &mut Session, frame: &Value) {
    session.handle_frame(frame.to_string().as_bytes());
}

fn sent(session: &mut Session) -> Vec<Value> {
    std::iter::from_fn(|| session.poll_transmit())
        .map(|frame| serde_json::from_slice(&frame).expect("frames are JSON"))
        .collect()
}

/// The codes and kinds of the replies sent, 0 for a result.
fn codes(session: &mut Session) -> Vec<(i64, Option<String>)> {
    let kind = |reply: &Value| reply["error"]["data"]["kind"].as_str().map(str::to_owned);
    sent(session).iter().map(|reply| (reply["error"]["code"].as_i64().unwrap_or_default(), kind(reply))).collect()
}

/// A session after the handshake.
fn ready() -> Session {
    ready_with(Extensions::NONE)
}

fn ready_with(extensions: Extensions) -> Session {
    let mut session = Session::new(extensions);
    greet(&mut session);
    session
}

fn greet(session: &mut Session) {
    take(session, &json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}}));
    assert_eq!(session.poll_attach(), Some(Attach { resume: None }));
    session.handle_attach(Ok(SESSION_ID));
    take(session, &json!({"method": "initialized"}));
    assert_eq!(sent(session)[0]["result"]["sessionId"], SESSION_ID);
}

fn request(request_id: &str, stream: bool) -> Value {
    let params = json!({"requestId": request_id, "method": "GET", "url": "http://h/", "streamResponse": stream});
    json!({"id": format!("call {request_id}"), "method": "http/request", "params": params})
}

fn start(session: &mut Session, request_id: &str, stream: bool) -> ExchangeId {
    take(session, &request(request_id, stream));
    let (id, params) = session.poll_start().expect("a free place");
    assert_eq!((params.request_id.as_str(), params.stream_response), (request_id, stream));
    id
}

/// Hands in bytes that all may be sent.
fn chunk(session: &mut Session, id: ExchangeId, data: impl Into<Bytes>) {
    assert!(session.handle_chunk(id, data.into()).is_empty());
}

fn started(session: &mut Session) -> Vec<(ExchangeId, RequestParams)> {
    std::iter::from_fn(|| session.poll_start()).collect()
}

fn head() -> ResponseHead {
    ResponseHead { status: 200, headers: Vec::new(), body: Bytes::new() }
}

fn failure() -> RpcError {
    RpcError::new(INTERNAL_ERROR, "it broke").with_kind(ErrorKind::Reset)
}

#[test]
fn a_stream_is_a_response_then_numbered_deltas_then_one_empty_terminal_frame() {
    let mut session = ready();
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    chunk(&mut session, id, Bytes::from_static(b"hello"));
    chunk(&mut session, id, Bytes::new());
    chunk(&mut session, id, vec![7; DELTA_BYTES + 1]);
    session.handle_end(id);
    session.handle_end(id);
    chunk(&mut session, id, Bytes::from_static(b"late"));
    let frames = sent(&mut session);
    assert_eq!(frames[0], json!({"id": "call s", "result": {"status": 200, "headers": [], "bodyBase64": ""}}));
    let deltas: Vec<_> = frames[1..].iter().map(|frame| &frame["params"]).collect();
    let seqs: Vec<_> = deltas.iter().map(|delta| delta["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(deltas[0]["deltaBase64"], "aGVsbG8=");
    assert_eq!(deltas[1]["deltaBase64"].as_str().map(str::len), Some(DELTA_BYTES.div_ceil(3) * 4));
    assert_eq!(deltas[2]["deltaBase64"], "Bw==");
    assert_eq!(deltas[3], &json!({"requestId": "s", "seq": 4, "deltaBase64": "", "done": true, "error": null}));
}

#[test]
fn a_failure_is_an_error_reply_before_the_head_and_a_terminal_frame_after_it() {
    let mut session = ready();
    for stream in [false, true] {
        let id = start(&mut session, "s", stream);
        session.handle_failure(id, failure());
        let error = json!({"code": INTERNAL_ERROR, "message": "it broke", "data": {"kind": "reset"}});
        assert_eq!(sent(&mut session), [json!({"id": "call s", "error": error})]);
    }
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    chunk(&mut session, id, Bytes::from_static(b"x"));
    session.handle_failure(id, failure());
    let frames = sent(&mut session);
    assert_eq!(frames.len(), 3);
    let last =
        json!({"requestId": "s", "seq": 2, "deltaBase64": "", "done": true, "error": "it broke", "errorKind": "reset"});
    assert_eq!(frames[2]["params"], last);
}

#[test]
fn a_buffered_call_is_one_response() {
    let mut session = ready();
    let id = start(&mut session, "b", false);
    chunk(&mut session, id, Bytes::from_static(b"no delta for a buffered call"));
    session.handle_buffered(id, &ResponseHead { body: Bytes::from_static(b"hello"), ..head() });
    let result = json!({"status": 200, "headers": [], "bodyBase64": "aGVsbG8="});
    assert_eq!(sent(&mut session), [json!({"id": "call b", "result": result})]);
}

#[test]
fn an_end_that_does_not_fit_the_exchange_leaves_it_to_be_answered() {
    let mut session = ready();
    for stream in [false, true] {
        let id = start(&mut session, "s", stream);
        session.handle_end(id);
        if stream {
            session.handle_buffered(id, &head());
        }
        session.handle_failure(id, failure());
        assert_eq!(codes(&mut session), [(INTERNAL_ERROR, Some("reset".into()))]);
    }
}

#[test]
fn an_active_stream_id_is_refused_for_streams_only_and_free_when_its_stream_is_over() {
    let mut session = ready();
    let id = start(&mut session, "s", true);
    take(&mut session, &request("s", true));
    assert_eq!(codes(&mut session), [(-32602, None)]);
    let buffered = start(&mut session, "s", false);
    session.handle_buffered(buffered, &head());
    session.handle_head(id, head());
    sent(&mut session);
    take(&mut session, &request("s", true));
    assert_eq!(codes(&mut session), [(-32602, None)], "the end of the buffered call frees nothing");
    session.handle_end(id);
    let again = start(&mut session, "s", true);
    assert_eq!(sent(&mut session).len(), 1, "the id is free while the terminal frame still waits");
    session.handle_failure(again, failure());
    start(&mut session, "s", true);
}

#[test]
fn the_handshake_is_checked_after_the_params_are_read() {
    let mut session = Session::new(Extensions::NONE);
    take(&mut session, &json!({"id": 1, "method": "http/request", "params": {}}));
    take(&mut session, &request("s", false));
    take(&mut session, &json!({"id": 1, "method": "process/start"}));
    assert_eq!(codes(&mut session), [(-32602, None), (-32600, None), (-32601, None)]);
    take(&mut session, &json!({"id": 0, "method": "initialize", "params": {"clientName": 1}}));
    take(&mut session, &json!({"id": 0, "method": "initialize"}));
    assert_eq!(session.poll_attach(), None);
    take(&mut session, &json!({"id": 0, "method": "initialize", "params": {"clientName": ""}}));
    assert_eq!(session.poll_attach(), Some(Attach { resume: None }));
    assert_eq!(session.poll_attach(), None, "asked once");
    session.handle_attach(Ok(SESSION_ID));
    take(&mut session, &request("s", false));
    take(&mut session, &json!({"id": 0, "method": "initialize", "params": {"clientName": ""}}));
    assert_eq!(
        codes(&mut session),
        [(-32602, None), (-32602, None), (0, None), (-32600, None), (-32600, None)],
        "two bad initialize, a good one, a request before initialized, a second initialize"
    );
    take(&mut session, &json!({"method": "initialized", "params": null}));
    take(&mut session, &json!({"method": "initialized", "params": {}}));
    start(&mut session, "s", false);
    assert_eq!(session.poll_close(), None);
}

#[test]
fn a_refused_session_may_be_asked_for_again() {
    let mut session = Session::new(Extensions::NONE);
    let resume = json!({"id": 0, "method": "initialize", "params": {"clientName": "c", "resumeSessionId": "old"}});
    for (refusal, code) in [(AttachError::Unknown, -32600), (AttachError::Attached, -32010)] {
        take(&mut session, &resume);
        assert_eq!(session.poll_attach(), Some(Attach { resume: Some("old".into()) }));
        session.handle_attach(Err(refusal));
        assert_eq!(codes(&mut session), [(code, None)]);
    }
    take(&mut session, &resume);
    session.handle_attach(Ok("old"));
    assert_eq!(sent(&mut session)[0]["result"]["sessionId"], "old");
}

#[test]
fn initialized_without_a_session_closes_after_what_waits_was_sent() {
    let mut session = Session::new(Extensions::NONE);
    take(&mut session, &json!({"id": 1, "method": "unknown"}));
    take(&mut session, &json!({"method": "initialized"}));
    take(&mut session, &json!({"id": 2, "method": "unknown"}));
    assert_eq!(session.poll_close(), Some(CloseReason::HandshakeOrder));
    assert_eq!(codes(&mut session), [(-32601, None)]);
}

#[test]
fn what_nobody_waits_for_is_ignored_and_what_is_no_message_is_answered() {
    let mut session = ready();
    take(&mut session, &json!({"method": "$/cancelRequest", "params": {"id": 1}}));
    take(&mut session, &json!({"method": "http/request", "params": request("s", true)["params"]}));
    take(&mut session, &json!({"id": 9, "result": {}}));
    take(&mut session, &json!({"id": 9, "error": {"code": 1, "message": "x"}}));
    assert!(sent(&mut session).is_empty());
    session.handle_frame(b"[]");
    session.handle_frame(b"{");
    let replies = sent(&mut session);
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|reply| reply["id"] == -1 && reply["error"]["code"] == -32600));
    assert_eq!(started(&mut session).len(), 0);
    start(&mut session, "s", true);
}

#[test]
fn a_long_request_id_is_refused() {
    let mut session = ready();
    start(&mut session, &"é".repeat(REQUEST_ID_BYTES / 2), true);
    take(&mut session, &request(&"x".repeat(REQUEST_ID_BYTES + 1), true));
    assert_eq!(codes(&mut session), [(-32602, Some("limit".into()))]);
}

#[test]
fn places_for_heads_are_free_again_at_the_head() {
    let mut session = ready();
    for number in 0..WAITING_HEADS + 2 {
        take(&mut session, &request(&number.to_string(), number % 2 == 0));
    }
    let running = started(&mut session);
    assert_eq!(running.len(), WAITING_HEADS);
    session.handle_head(running[0].0, head());
    assert_eq!(started(&mut session)[0].1.request_id, WAITING_HEADS.to_string());
    session.handle_head(running[1].0, head());
    assert!(started(&mut session).is_empty(), "a buffered call has no head of its own");
    session.handle_buffered(running[1].0, &head());
    assert_eq!(started(&mut session)[0].1.request_id, (WAITING_HEADS + 1).to_string());
}

#[test]
fn buffered_calls_pass_streams_that_wait_for_a_stream_to_end() {
    let mut session = ready();
    let mut streams = Vec::new();
    for number in 0..ACTIVE_STREAMS {
        let id = start(&mut session, &number.to_string(), true);
        session.handle_head(id, head());
        streams.push(id);
    }
    take(&mut session, &request("stream", true));
    take(&mut session, &request("buffered", false));
    let passed = started(&mut session);
    assert_eq!(passed.iter().map(|(_, params)| params.request_id.as_str()).collect::<Vec<_>>(), ["buffered"]);
    session.handle_end(streams[0]);
    assert_eq!(started(&mut session)[0].1.request_id, "stream");
}

#[test]
fn the_queue_is_bounded_in_requests() {
    let mut session = ready();
    for number in 0..WAITING_HEADS {
        start(&mut session, &format!("running {number}"), true);
    }
    for number in 0..QUEUED_REQUESTS {
        take(&mut session, &request(&format!("queued {number}"), true));
    }
    assert!(sent(&mut session).is_empty());
    take(&mut session, &request("too many", true));
    assert_eq!(codes(&mut session), [(-32603, Some("limit".into()))]);
    session.stop();
    assert!(started(&mut session).is_empty());
}

#[test]
fn the_queue_is_bounded_in_bytes_but_what_starts_at_once_always_fits() {
    let mut large = request("large", false);
    large["params"]["url"] = "x".repeat(QUEUED_REQUEST_BYTES).into();
    let mut session = ready();
    take(&mut session, &large);
    assert_eq!(started(&mut session).len(), 1);
    for number in 1..WAITING_HEADS {
        start(&mut session, &number.to_string(), false);
    }
    take(&mut session, &large);
    take(&mut session, &request("small", true));
    assert_eq!(codes(&mut session), [(-32603, Some("limit".into()))]);
}

#[test]
fn deltas_that_are_not_sent_take_the_room() {
    let mut session = ready();
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    chunk(&mut session, id, vec![0; OUTBOUND_BYTES / 2]);
    assert!(session.has_room());
    chunk(&mut session, id, vec![0; OUTBOUND_BYTES / 2]);
    assert!(!session.has_room());
    assert_eq!(sent(&mut session).len(), 3);
    assert!(session.has_room());
}

#[test]
fn replies_that_nobody_reads_close_the_connection() {
    let mut session = ready();
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    chunk(&mut session, id, vec![0; REPLY_BYTES / 4 * 3 - 64 * 1024]);
    for _ in 0..2 {
        assert_eq!(session.poll_close(), None);
        take(&mut session, &json!({"id": "i".repeat(64 * 1024), "method": "unknown"}));
    }
    assert_eq!(session.poll_close(), Some(CloseReason::RepliesUnread));
    assert!(sent(&mut session).is_empty(), "the memory is given back");
}

#[test]
fn a_stopped_session_starts_nothing_and_sends_what_waits() {
    let mut session = ready();
    let id = start(&mut session, "s", true);
    session.handle_head(id, head());
    take(&mut session, &request("queued", true));
    session.stop();
    session.handle_end(id);
    take(&mut session, &request("late", true));
    assert!(started(&mut session).is_empty());
    assert_eq!(session.poll_close(), Some(CloseReason::Stopped));
    assert_eq!(sent(&mut session).len(), 1, "the response");
}
