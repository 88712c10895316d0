//! Verdicts over traces written by hand.

use super::*;
use crate::conformance::case::parse::parse_cases;

const CASE: &str =
    "# One.\ncase a/b\nclauses STREAM-5\nhandshake none\n-> 1 stream s GET /a\n<- 1 200\n<- deltas s \"ab\"\nbarrier\n";

fn case(text: &str) -> Case {
    parse_cases("a.case", text).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

/// Writes a trace as a driver would: a step begins as soon as the one before it is satisfied.
struct Script<'a> {
    case: &'a Case,
    judge: Judge<'a>,
    trace: Trace,
    state: State,
    next: usize,
}

impl<'a> Script<'a> {
    fn new(case: &'a Case) -> Self {
        let mut script = Self { case, judge: Judge::new(case), trace: Trace::default(), state: State::Ready, next: 0 };
        script.event(What::Begun {
            case: String::new(),
            names: Names::new(),
            transport: "stdio".to_owned(),
            time_scale: 1.0,
        });
        script
    }

    fn event(&mut self, what: What) {
        let number = self.trace.events.len() as u64 + 1;
        let event = Event { number, micros: number * 1_000, what };
        self.state = self.judge.handle(&event);
        self.trace.events.push(event);
        while self.state == State::Ready && self.next < self.case.steps.len() {
            let step = self.next;
            self.next += 1;
            self.event(What::Step { step });
        }
    }

    fn sent(mut self, text: &str) -> Self {
        self.event(What::Sent { connection: "main".to_owned(), text: text.to_owned() });
        self
    }

    fn received(mut self, text: &str) -> Self {
        self.event(What::Received { connection: "main".to_owned(), text: text.to_owned(), binary: false });
        self
    }

    fn then(mut self, what: What) -> Self {
        self.event(what);
        self
    }

    /// The verdict, which the stored trace has to confirm.
    fn finish(mut self) -> Judgement {
        if self.state == State::Ready {
            self.event(What::Finished);
        }
        let judgement = self.judge.finish();
        assert_eq!(judge(self.case, &self.trace), judgement);
        judgement
    }
}

const STREAMED: &str = r#"{"id":1,"method":"http/request","params":{"method":"GET","url":"http://o/","requestId":"s","streamResponse":true}}"#;
const BUFFERED: &str =
    r#"{"id":1,"method":"http/request","params":{"method":"GET","url":"http://o/","requestId":"s"}}"#;
const BARRIER: &str = r#"{"id":"barrier-1","method":"conformance/barrier"}"#;
const HEAD: &str = r#"{"id":1,"result":{"status":200,"headers":[],"bodyBase64":""}}"#;
const REFUSED: &str = r#"{"id":1,"error":{"code":-32602,"message":"no"}}"#;
const PASSED: &str = r#"{"id":"barrier-1","error":{"code":-32601,"message":"unknown"}}"#;

fn delta(seq: u64, base64: &str, rest: &str) -> String {
    format!(
        r#"{{"method":"http/request/bodyDelta","params":{{"requestId":"s","seq":{seq},"deltaBase64":"{base64}"{rest}}}}}"#
    )
}

/// The clause that a peer breaks which answers a call with these frames.
fn broken(sent: &str, frames: &[&str]) -> String {
    let case = case(CASE);
    let mut script = Script::new(&case).sent(sent).sent(BARRIER);
    for frame in frames {
        script = script.received(frame);
    }
    match script.finish() {
        Judgement::Fail(_, finding) => finding.clause,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn a_conformant_trace_passes_and_no_prefix_of_it_fails() {
    let case = case(CASE);
    let frames = [
        HEAD,
        &delta(1, "YQ==", ""),
        &delta(2, "", ""),
        &delta(3, "Yg==", r#","done":false,"error":null"#),
        &delta(4, "", r#","done":true"#),
        PASSED,
    ];
    for length in 0..=frames.len() {
        let mut script = Script::new(&case).sent(STREAMED).sent(BARRIER);
        for frame in &frames[..length] {
            script = script.received(frame);
        }
        match script.finish() {
            Judgement::Pass => assert_eq!(length, frames.len()),
            Judgement::Error(_) => assert!(length < frames.len()),
            other => panic!("{length} frames: {other:?}"),
        }
    }
}

#[test]
fn each_invariant_has_its_clause() {
    let done = r#","done":true"#;
    let (data, end) = (delta(1, "YQ==", ""), delta(1, "", done));
    for (sent, frames, clause) in [
        (STREAMED, vec!["no json"], "TRANSPORT-7"),
        (STREAMED, vec!["[]"], "ENVELOPE-1"),
        (STREAMED, vec![HEAD, HEAD], "ENVELOPE-19"),
        (STREAMED, vec![r#"{"id":9,"result":{}}"#], "ENVELOPE-19"),
        (STREAMED, vec![r#"{"id":-1,"error":{"code":-32600,"message":"x"}}"#], "ENVELOPE-19"),
        (STREAMED, vec![HEAD, r#"{"method":"hello"}"#], "ENVELOPE-20"),
        (STREAMED, vec![r#"{"id":1,"error":{"code":-32603,"message":""}}"#], "ERROR-1"),
        (STREAMED, vec![r#"{"id":1,"error":{"code":"x","message":"x"}}"#], "ERROR-1"),
        (STREAMED, vec![r#"{"id":1,"result":{"status":200,"headers":[]}}"#], "RESPONSE-1"),
        (STREAMED, vec![r#"{"id":1,"result":{"status":200,"headers":[],"bodyBase64":"YQ=="}}"#], "RESPONSE-3"),
        (BUFFERED, vec![r#"{"id":1,"result":{"status":200,"headers":[],"bodyBase64":"YQ"}}"#], "PARAMS-17"),
        (BUFFERED, vec![HEAD, &data], "RESPONSE-4"),
        (STREAMED, vec![&data, HEAD], "ORDER-1"),
        (STREAMED, vec![HEAD, &delta(0, "YQ==", "")], "STREAM-1"),
        (STREAMED, vec![HEAD, &data, &data], "STREAM-1"),
        (STREAMED, vec![HEAD, &data, &delta(3, "", done)], "STREAM-1"),
        (STREAMED, vec![HEAD, &delta(1, "YWI=", done), &delta(2, "", done)], "STREAM-3"),
        (STREAMED, vec![HEAD, &delta(1, "", r#","error":"x""#)], "STREAM-4"),
        (STREAMED, vec![HEAD, &delta(1, "YQ", "")], "PARAMS-17"),
        (STREAMED, vec![HEAD, &delta(1, "$sha256 00 1048577 YQ==", "")], "STREAM-6"),
        (STREAMED, vec![REFUSED, &end], "STREAM-5"),
        (STREAMED, vec![HEAD, &end], "STREAM-5"),
        (STREAMED, vec![HEAD, &delta(1, "YWM=", done)], "STREAM-5"),
    ] {
        assert_eq!(broken(sent, &frames), clause, "{frames:?}");
    }
}

#[test]
fn a_cancelled_stream_has_ended_before_the_answer() {
    let case = case(CASE);
    let cancel = r#"{"id":8,"method":"http/request/cancel","params":{"requestId":"s"}}"#;
    let answer = |cancelled: bool| format!(r#"{{"id":8,"result":{{"cancelled":{cancelled}}}}}"#);
    let open = || Script::new(&case).sent(STREAMED).sent(cancel).sent(BARRIER).received(HEAD);
    let whole = |script: Script<'_>| {
        let script = script.received(&delta(1, "YWI=", r#","done":true"#));
        script.received(PASSED).finish()
    };
    assert!(
        matches!(open().received(&answer(true)).finish(), Judgement::Fail(_, finding) if finding.clause == "CANCEL-6")
    );
    assert_eq!(whole(open().received(&answer(false))), Judgement::Pass);
}

#[test]
fn frames_of_a_refused_call_break_their_own_clause() {
    let text = CASE.replace("<- 1 200\n<- deltas s \"ab\"", "<- 1 error -32602");
    let case = case(&text);
    let script = Script::new(&case).sent(STREAMED).sent(BARRIER).received(REFUSED).received(&delta(1, "", ""));
    assert!(matches!(script.finish(), Judgement::Fail(_, finding) if finding.clause == "STREAM-7"));
}

#[test]
fn the_end_of_the_connection_tells_a_crash_from_an_orderly_end() {
    let case = case(CASE);
    let ended = || What::Ended { connection: "main".to_owned(), reason: "end of input".to_owned() };
    for (code, kind) in [(Some(0), FailKind::Assertion), (Some(101), FailKind::Crash), (None, FailKind::Crash)] {
        let script = Script::new(&case).sent(STREAMED).then(What::Exited { code }).then(ended());
        assert!(matches!(script.finish(), Judgement::Fail(found, _) if found == kind), "{code:?}");
    }
}

#[test]
fn errors_for_malformed_frames_must_be_awaited_or_allowed() {
    let text =
        |steps: &str| format!("# One.\ncase a/b\nclauses ENVELOPE-6\nhandshake none\n-> raw 'x'\n{steps}\nbarrier\n");
    let verdict = |steps: &str| {
        let case = case(&text(steps));
        let malformed = r#"{"id":-1,"error":{"code":-32600,"message":"x"}}"#;
        Script::new(&case).sent("x").sent(BARRIER).received(malformed).received(PASSED).finish()
    };
    assert_eq!(verdict("<- malformed"), Judgement::Pass);
    assert_eq!(verdict("allow malformed"), Judgement::Pass);
    assert!(matches!(verdict(""), Judgement::Fail(_, finding) if finding.clause == "ENVELOPE-19"));
}

#[test]
fn origins_and_time_are_judged() {
    let request = |target: &str| What::Request {
        origin: 0,
        method: "GET".to_owned(),
        target: target.to_owned(),
        headers: vec![("X".to_owned(), "1".to_owned())],
        body: crate::conformance::trace::Body::new(b""),
    };
    let case = case(
        "# One.\ncase a/b\nclauses CLOSE-1\nhandshake none\nmark m\norigin-request /a method GET header x \"1\"\n\
         elapsed m below 1s\norigin-count /a 1\norigin-connections 0\n",
    );
    assert_eq!(Script::new(&case).then(request("/b")).then(request("/a?q")).finish(), Judgement::Pass);
    let twice = Script::new(&case).then(What::Accepted { origin: 0 }).then(request("/a")).finish();
    assert!(matches!(twice, Judgement::Fail(_, finding) if finding.expected == "origin-connections 0"));
}

#[test]
fn a_stored_trace_whose_clock_runs_backwards_is_judged() {
    let case = case("# One.\ncase a/b\nclauses STREAM-5\nhandshake none\nfirst-delta / 1 below 1s\n");
    let request = |id: &str, stream: bool| {
        let params = format!(r#"{{"method":"GET","url":"http://o/","requestId":"{id}","streamResponse":{stream}}}"#);
        format!(r#"{{"id":"{id}","method":"http/request","params":{params}}}"#)
    };
    let head = |id: &str| format!(r#"{{"id":"{id}","result":{{"status":200,"headers":[],"bodyBase64":""}}}}"#);
    let (buffered, streamed) = ("first-delta-1", "first-delta-2");
    let mut script = Script::new(&case).sent(&request(buffered, false)).received(&head(buffered));
    script = script.sent(&request(streamed, true)).received(&head(streamed));
    script = script.received(&delta(1, "", r#","done":true"#).replace(r#""s""#, r#""first-delta-2""#));
    script.event(What::Finished);
    assert_eq!(judge(&case, &script.trace), Judgement::Pass);
    let count = script.trace.events.len() as u64;
    for event in &mut script.trace.events {
        event.micros = count - event.number;
    }
    assert_eq!(judge(&case, &script.trace), Judgement::Pass, "no span is shorter than none");
}
