//! Verdicts over events written by hand.

use serde_json::json;

use crate::conformance::case::parse::parse_cases;
use crate::conformance::judge::{Judge, Judgement, State};
use crate::conformance::trace::sha256;

use super::*;

const WHOLE: &str = "call a stream\n<- a\na => 200 \"hi\" end";

/// What the judge says about a case with these steps when that happens behind the handshake.
fn verdict(steps: &str, happened: &[Vec<What>]) -> Judgement {
    let text = format!("# One.\ncase client-a/b\nclauses STREAM-30\nhandshake none\n{steps}\n");
    let case = parse_cases("client-a.case", &text).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let handshake = [
        vec![What::Begun { case: String::new(), names: Names::new(), transport: "ws".to_owned(), time_scale: 1.0 }],
        received(json!({"id": "i", "method": "initialize", "params": {"clientName": "c"}})),
        received(json!({"method": "initialized"})),
    ];
    let (mut judge, mut number, mut next) = (Judge::new(&case), 0, 0);
    for what in handshake.iter().chain(happened).flatten().cloned() {
        let mut handle = |what| {
            number += 1;
            judge.handle(&Event { number, micros: number, what })
        };
        let mut state = handle(what);
        while state == State::Ready && next < case.steps.len() {
            state = handle(What::Step { step: next });
            next += 1;
        }
        if state == State::Ready {
            handle(What::Finished);
        }
    }
    judge.finish()
}

#[track_caller]
fn passes(steps: &str, happened: &[Vec<What>]) {
    assert_eq!(verdict(steps, happened), Judgement::Pass);
}

#[track_caller]
fn breaks(clause: &str, steps: &str, happened: &[Vec<What>]) {
    match verdict(steps, happened) {
        Judgement::Fail(_, finding) => assert_eq!(finding.clause, clause, "{finding:?}"),
        other => panic!("{clause}: {other:?}"),
    }
}

#[track_caller]
fn is_no_adapter(part: &str, happened: &[Vec<What>]) {
    match verdict(WHOLE, happened) {
        Judgement::Error(reason) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{part}: {other:?}"),
    }
}

fn received(message: Value) -> Vec<What> {
    vec![What::Received { connection: "main".to_owned(), text: message.to_string(), binary: false }]
}

fn sent(message: Value) -> Vec<What> {
    vec![What::Sent { connection: "main".to_owned(), text: message.to_string() }]
}

fn heard(line: Value) -> Vec<What> {
    vec![What::Heard { line: serde_json::from_value(line).expect("a line") }]
}

/// A command, and its reply.
fn told(id: u64, mut command: Value, mut reply: Value) -> Vec<What> {
    (command["id"], reply["id"]) = (id.into(), id.into());
    let command = serde_json::from_value(command).expect("a command");
    [vec![What::Told { command }], heard(reply)].concat()
}

/// The application starts a call, and its request comes with that `id` and `requestId`.
fn call_with(id: Value, request_id: &str) -> Vec<What> {
    let command = json!({"command": "request", "conn": "main", "op": "a", "stream": true, "method": "GET",
        "url": "http://origin.invalid/a", "headers": []});
    [told(1, command, json!({"reply": "ok"})), request(id, request_id)].concat()
}

fn call() -> Vec<What> {
    call_with(json!(7), "r")
}

fn request(id: Value, request_id: &str) -> Vec<What> {
    received(json!({"id": id, "method": "http/request", "params": {"method": "GET",
        "url": "http://origin.invalid/a", "headers": [], "requestId": request_id, "streamResponse": true}}))
}

fn response() -> Vec<What> {
    heard(json!({"n": 1, "event": "response", "op": "a", "status": 200, "headers": []}))
}

/// A call that was answered.
fn answered() -> Vec<What> {
    [call(), response()].concat()
}

fn delta(seq: u64, base64: &str, rest: Value) -> Vec<What> {
    delta_of("r", seq, base64, rest)
}

fn delta_of(request_id: &str, seq: u64, base64: &str, rest: Value) -> Vec<What> {
    let mut params = json!({"requestId": request_id, "seq": seq, "deltaBase64": base64});
    crate::conformance::case::steps::merge(&mut params, rest);
    sent(json!({"method": "http/request/bodyDelta", "params": params}))
}

/// The body `hi`, to its end.
fn hi() -> Vec<What> {
    delta(1, "aGk=", json!({"done": true}))
}

fn read() -> Vec<What> {
    told(2, json!({"command": "read", "op": "a"}), json!({"reply": "ok"}))
}

fn chunk(text: &str) -> Vec<What> {
    heard(json!({"n": 1, "event": "chunk", "op": "a", "bytes": text.len(), "sha256": sha256(text.as_bytes()),
        "dataBase64": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)}))
}

fn end() -> Vec<What> {
    heard(json!({"n": 1, "event": "end", "op": "a"}))
}

fn failed(kind: &str) -> Vec<What> {
    heard(json!({"n": 1, "event": "stream-failed", "op": "a", "kind": kind, "message": "why"}))
}

#[test]
fn a_body_passes_in_any_division() {
    passes(WHOLE, &[answered(), hi(), read(), chunk("hi"), read(), end()]);
    passes(WHOLE, &[answered(), hi(), read(), chunk("h"), read(), chunk(""), read(), chunk("i"), read(), end()]);
    let halves = "call a stream\n<- a\na => 200 \"h\" \"i\" end";
    passes(halves, &[answered(), hi(), read(), chunk("hi"), read(), end()]);
}

#[test]
fn ids_are_any_text() {
    let odd = "a\"\\ \u{1}$a é";
    let body = delta_of(odd, 1, "aGk=", json!({"done": true}));
    passes(WHOLE, &[call_with(json!("x\"$1"), odd), response(), body, read(), chunk("hi"), read(), end()]);
}

#[test]
fn bytes_are_those_of_the_frames() {
    breaks("STREAM-30", WHOLE, &[answered(), hi(), read(), chunk("ho")]);
    breaks("STREAM-30", WHOLE, &[answered(), hi(), read(), chunk("hihi")]);
    breaks("STREAM-30", WHOLE, &[answered(), hi(), read(), chunk("h"), read(), end()]);
    // The frame behind a gap does not count.
    breaks("STREAM-30", WHOLE, &[answered(), delta(2, "aGk=", json!({})), read(), chunk("hi")]);
}

#[test]
fn a_clean_end_needs_a_terminal_frame() {
    breaks("STREAM-28", WHOLE, &[answered(), read(), end()]);
    for (clause, frame) in [
        ("STREAM-16", delta(1, "", json!({"done": true, "error": ""}))),
        ("STREAM-20", delta(2, "", json!({"done": true}))),
        ("STREAM-22", delta(1, "aGk", json!({"done": true}))),
        ("STREAM-22", delta(1, "", json!({"done": "true"}))),
        ("STREAM-22", delta(1, "", json!({"done": true, "error": 7}))),
        ("STREAM-22", delta(1, "", json!({"done": true, "seq": "1"}))),
        ("STREAM-23", delta(1, &"AAAA".repeat(400_000), json!({"done": true}))),
    ] {
        breaks(clause, WHOLE, &[answered(), frame, read(), end()]);
    }
}

fn cancel(id: &str, request_id: &str) -> Vec<What> {
    received(json!({"id": id, "method": "http/request/cancel", "params": {"requestId": request_id}}))
}

#[test]
fn a_cancel_request_is_offered_and_names_a_call_once() {
    let offer = || sent(json!({"id": "i", "result": {"sessionId": "s", "capabilities": {"httpRequestCancel": true}}}));
    let body = || [hi(), read(), chunk("hi"), read(), end()].concat();
    breaks("CANCEL-8", WHOLE, &[answered(), cancel("c", "r")]);
    breaks("CANCEL-8", WHOLE, &[offer(), answered(), cancel("c", "other")]);
    breaks("CANCEL-8", WHOLE, &[offer(), answered(), cancel("c", "r"), cancel("d", "r")]);
    // Who is told to give up may be just sending the end.
    passes(WHOLE, &[offer(), answered(), cancel("c", "r"), body()]);
    let again = "call a stream\n<- a\na => 200 \"hi\" end end";
    breaks("STREAM-31", again, &[offer(), answered(), body(), cancel("c", "r")]);
}

#[test]
fn an_outcome_stays() {
    let again = "call a stream\n<- a\na => 200 \"hi\" end end";
    let ended = [answered(), hi(), read(), chunk("hi"), read(), end(), read()].concat();
    passes(again, &[ended.clone(), end()]);
    breaks("STREAM-19", again, &[ended.clone(), failed("other")]);
    breaks("STREAM-19", again, &[ended, chunk("")]);
    let fails = "call a stream\n<- a\na => 200 fails kind sequence fails";
    let text = format!("needs error-kinds\n{fails}");
    passes(&text, &[answered(), read(), failed("sequence"), read(), failed("sequence")]);
    breaks("STREAM-19", &text, &[answered(), read(), failed("sequence"), read(), failed("other")]);
    breaks("STREAM-30", &text, &[answered(), read(), failed("overflow")]);
}

#[test]
fn an_adapter_tells_what_was_asked_and_no_more() {
    is_no_adapter("reads although nobody asked", &[answered(), hi(), chunk("hi")]);
    is_no_adapter("reads although nobody asked", &[answered(), hi(), read(), chunk("h"), chunk("i")]);
    is_no_adapter("reads although nobody asked", &[answered(), hi(), end()]);
    is_no_adapter("a second result", &[answered(), response()]);
    is_no_adapter("nobody asked for", &[call(), heard(json!({"n": 1, "event": "end", "op": "b"}))]);
    let dropped = told(3, json!({"command": "drop", "op": "a"}), json!({"reply": "ok"}));
    is_no_adapter("let go of", &[answered(), hi(), read(), dropped, chunk("hi")]);
    let wrong = json!({"n": 1, "event": "chunk", "op": "a", "bytes": 2, "sha256": sha256(b"ho"), "dataBase64": "aGk="});
    is_no_adapter("do not belong together", &[answered(), hi(), read(), heard(wrong)]);
}

#[test]
fn a_reply_belongs_to_its_command() {
    let failed = json!({"reply": "failed", "kind": "other", "message": ""});
    for (command, reply) in [
        (json!({"command": "sync"}), json!({"reply": "opened"})),
        (json!({"command": "sync"}), json!({"reply": "census", "routes": 0})),
        (json!({"command": "drop", "op": "a"}), failed.clone()),
        (json!({"command": "census", "conn": "main"}), failed),
        (json!({"command": "census", "conn": "main"}), json!({"reply": "ok"})),
    ] {
        is_no_adapter("does not belong to its command", &[answered(), told(3, command, reply)]);
    }
    let unsupported = json!({"reply": "unsupported", "reason": "no"});
    is_no_adapter("declares what it does not support", &[call(), told(3, json!({"command": "sync"}), unsupported)]);
    is_no_adapter("replies to 1", &[call(), heard(json!({"id": 1, "reply": "ok"}))]);
}

#[test]
fn frames_of_a_client_keep_their_rules() {
    let params = |change: Value| {
        let mut params = json!({"method": "GET", "url": "http://origin.invalid/b", "requestId": "s"});
        crate::conformance::case::steps::merge(&mut params, change);
        received(json!({"id": 8, "method": "http/request", "params": params}))
    };
    for (clause, frame) in [
        ("ENVELOPE-1", received(json!([1]))),
        ("ENVELOPE-21", received(json!({"method": "news"}))),
        ("ID-6", request(json!(7), "s")),
        ("ROUTE-3", request(json!(8), "r")),
        ("PARAMS-28", params(json!({"requestId": 7}))),
        ("PARAMS-28", params(json!({"streamResponse": "true"}))),
        ("PARAMS-17", params(json!({"bodyBase64": "aGk"}))),
        ("PARAMS-27", params(json!({"headers": [{"name": "a", "value": "", "valueEnvVar": "KEY"}]}))),
    ] {
        breaks(clause, WHOLE, &[call(), frame]);
    }
}
