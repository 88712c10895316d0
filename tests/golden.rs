//! Golden snapshots of every wire message, both ways, and of the transition tables.
//!
//! The snapshots stand in `tests/golden/`. A changed snapshot is a changed protocol: it is reviewed like one.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use exec_http::protocol::delta::BodyDelta;
use exec_http::protocol::error::{
    ErrorKind, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, MALFORMED_FRAME_ID, METHOD_NOT_FOUND, RpcError,
};
use exec_http::protocol::http::{
    REQUEST_METHOD, RedirectPolicy, RequestHeader, RequestParams, ResponseHead, ResponseHeader,
};
use exec_http::protocol::id::Id;
use exec_http::protocol::message::Message;
use exec_http::protocol::session::{Extensions, Session};
use exec_http::protocol::stream::{Disconnect, Overflow, StreamError, StreamEvent, StreamState};

/// Compares with `tests/golden/NAME.snap`.
macro_rules! golden {
    ($name:literal, $text:expr) => {
        insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

/// One frame a line, each under the sentence that says what it is.
fn frames(entries: &[(&str, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (what, frame) in entries {
        let frame = std::str::from_utf8(frame).expect("frames are UTF-8");
        writeln!(text, "# {what}\n{frame}").expect("writing to a string cannot fail");
    }
    text
}

fn request(params: &RequestParams) -> Vec<u8> {
    Message::Request { id: Id::from(7), method: REQUEST_METHOD.to_owned(), params: Some(params.to_value()) }.encode()
}

fn response(head: &ResponseHead) -> Vec<u8> {
    Message::Response { id: Id::from(7), result: head.to_value() }.encode()
}

fn error(id: Option<Id>, error: RpcError) -> Vec<u8> {
    Message::Error { id, error }.encode()
}

fn delta(delta: &BodyDelta) -> Vec<u8> {
    let mut frame = Vec::new();
    delta.encode_into(&mut frame);
    frame
}

#[test]
fn what_a_client_sends() {
    let least = RequestParams {
        request_id: "http-1".into(),
        method: "GET".into(),
        url: "http://127.0.0.1:8080/".into(),
        headers: Vec::new(),
        body: None,
        timeout: None,
        redirect_policy: RedirectPolicy::Follow,
        stream_response: false,
        credit: None,
    };
    let most = RequestParams {
        method: "POST".into(),
        headers: vec![
            RequestHeader::new("accept", "text/plain"),
            RequestHeader::new("x-name", "Zoë \"quoted\""),
            RequestHeader { value_env_var: Some("API_TOKEN".into()), ..RequestHeader::new("authorization", "Bearer ") },
        ],
        body: Some(Bytes::from_static(b"\0binary\xff")),
        timeout: Some(Duration::from_millis(30_000)),
        redirect_policy: RedirectPolicy::Stop,
        stream_response: true,
        ..least.clone()
    };
    let empty_body = RequestParams { body: Some(Bytes::new()), ..least.clone() };
    golden!(
        "client-sends",
        frames(&[
            ("a request with nothing but what it must have", request(&least)),
            ("a request with every member", request(&most)),
            ("an empty body is not the same as none", request(&empty_body)),
        ])
    );
}

#[test]
fn what_an_executor_sends() {
    let header =
        |name: &str, value: &'static [u8]| ResponseHeader { name: name.into(), value: Bytes::from_static(value) };
    let head = ResponseHead {
        status: 200,
        headers: vec![
            header("set-cookie", b"a=1"),
            header("set-cookie", b"b=2"),
            header("x-utf8", "é".as_bytes()),
            header("x-latin1", b"caf\xe9"),
        ],
        body: Bytes::new(),
    };
    let buffered = ResponseHead { status: 404, headers: Vec::new(), body: Bytes::from_static(b"not here") };
    let frame = |seq, data: &'static [u8]| BodyDelta {
        request_id: "http-1".into(),
        seq,
        data: Bytes::from_static(data),
        done: false,
        error: None,
        error_kind: None,
    };
    let end = BodyDelta { done: true, ..frame(2, b"") };
    let failed =
        BodyDelta { error: Some("the body was cut off".into()), error_kind: Some(ErrorKind::Truncated), ..end.clone() };
    let refused = RpcError::new(INVALID_PARAMS, "http/request params: requestId must be text");
    let timeout = RpcError::new(INTERNAL_ERROR, "http/request failed: deadline").with_kind(ErrorKind::Timeout);
    golden!(
        "executor-sends",
        frames(&[
            ("the head of a stream; a value that is not UTF-8 stands twice", response(&head)),
            ("a buffered response", response(&buffered)),
            ("a piece of a body", delta(&frame(1, b"hello"))),
            ("the clean end", delta(&end)),
            ("the end of a body that is not whole", delta(&failed)),
            ("refused params", error(Some(Id::from("a")), refused)),
            ("a failed exchange, with its kind", error(Some(Id::from(7)), timeout)),
            ("an unknown method", error(Some(Id::from(7)), RpcError::new(METHOD_NOT_FOUND, "unknown method"))),
            (
                "the answer to a frame that is not a message",
                error(Some(Id::from(MALFORMED_FRAME_ID)), RpcError::new(INVALID_REQUEST, "not a JSON object")),
            ),
        ])
    );
}

#[test]
fn the_life_of_a_stream() {
    let remote = || StreamError::Remote { message: "text".into(), kind: None };
    let states = [
        StreamState::new(),
        StreamState::Open { expected: 2 },
        StreamState::Ended(Ok(())),
        StreamState::Ended(Err(remote())),
        StreamState::Ended(Err(StreamError::Disconnected(Disconnect::Closed))),
    ];
    let events = [
        StreamEvent::Data { seq: 0 },
        StreamEvent::Data { seq: 1 },
        StreamEvent::Data { seq: 2 },
        StreamEvent::Data { seq: 3 },
        StreamEvent::Terminal { seq: 1, outcome: Ok(()) },
        StreamEvent::Terminal { seq: 2, outcome: Ok(()) },
        StreamEvent::Terminal { seq: 2, outcome: Err(remote()) },
        StreamEvent::Fault(StreamError::Overflow(Overflow::Frames(256))),
        StreamEvent::Fault(StreamError::Disconnected(Disconnect::Closed)),
    ];
    let mut table = String::new();
    for state in &states {
        writeln!(table, "{state:?}").expect("writing to a string cannot fail");
        for event in &events {
            let mut next = state.clone();
            let action = next.apply(event.clone());
            writeln!(table, "  {event:?}\n    {action:?} -> {next:?}").expect("writing to a string cannot fail");
        }
    }
    golden!("stream-life", table);
}

/// A session that has come this far, with nothing left to send.
fn session(phase: &str, extensions: Extensions) -> Session {
    let mut session = Session::new(extensions);
    let steps: &[&str] = match phase {
        "new" => &[],
        "greeted" => &[INITIALIZE],
        _ => &[INITIALIZE, INITIALIZED],
    };
    for frame in steps {
        step(&mut session, frame);
    }
    session
}

const INITIALIZE: &str = r#"{"id":1,"method":"initialize","params":{"clientName":"golden"}}"#;
const INITIALIZED: &str = r#"{"method":"initialized","params":{}}"#;

/// What a session does with one frame: the frames that it sends, the exchange that it starts, and whether it closes.
fn step(session: &mut Session, frame: &str) -> String {
    let mut did = String::new();
    session.handle_frame(frame.as_bytes());
    if session.poll_attach().is_some() {
        session.handle_attach(Ok("00000000-0000-4000-8000-000000000000"));
    }
    while let Some((_, params)) = session.poll_start() {
        writeln!(did, "    starts {} {}", params.method, params.url).expect("writing to a string cannot fail");
    }
    while let Some(frame) = session.poll_transmit() {
        let frame = std::str::from_utf8(&frame).expect("frames are UTF-8");
        writeln!(did, "    sends {frame}").expect("writing to a string cannot fail");
    }
    if let Some(reason) = session.poll_close() {
        writeln!(did, "    closes: {reason}").expect("writing to a string cannot fail");
    }
    if did.is_empty() { "    nothing\n".to_owned() } else { did }
}

#[test]
fn the_phases_of_an_executor() {
    golden!("executor-phases", phases(Extensions::NONE));
}

#[test]
fn the_phases_of_an_executor_with_extensions() {
    golden!("executor-phases-extended", phases(Extensions::ALL));
}

fn phases(extensions: Extensions) -> String {
    let frames = [
        INITIALIZE,
        r#"{"id":1,"method":"initialize","params":{}}"#,
        INITIALIZED,
        r#"{"id":"a","method":"http/request","params":{"method":"GET","url":"http://127.0.0.1:8080/","requestId":"r"}}"#,
        r#"{"id":"a","method":"http/request","params":{"requestId":7}}"#,
        r#"{"id":"a","method":"http/request","params":["GET"]}"#,
        r#"{"id":"a","method":"http/request/cancel","params":{"requestId":"r"}}"#,
        r#"{"method":"unknown"}"#,
        r#"{"id":7,"result":{}}"#,
        r#"{"id":7,"error":{"code":1,"message":"x"}}"#,
        r#"[{"id":1,"method":"initialize"}]"#,
        r#"{"id":1.5,"method":"initialize"}"#,
        r#"{"id":1,"id":1,"method":"initialize"}"#,
        "{",
    ];
    let mut table = String::new();
    for phase in ["new", "greeted", "ready"] {
        writeln!(table, "{phase}").expect("writing to a string cannot fail");
        for frame in frames {
            write!(table, "  {frame}\n{}", step(&mut session(phase, extensions), frame))
                .expect("writing to a string cannot fail");
        }
    }
    let version = concat!("\"executorVersion\":\"", env!("CARGO_PKG_VERSION"), "\"");
    table.replace(version, "\"executorVersion\":\"VERSION\"")
}
