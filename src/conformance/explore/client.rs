//! The orders of a client: what its executor says about a stream and about another one, and what the application does
//! meanwhile.
//!
//! The application has started a stream `a` before the first event, and its request has come. Frames arrive in the order in which
//! they were sent; between a frame and what the application does next stands a barrier, so that no order is left to chance.

use std::collections::BTreeSet;

use super::script::Script;
use super::{Event, Model};

mod stream;

use stream::{Around, Effect, Outcome, Phase, Stream};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The response to `a`; behind the first one another answer to a call that was answered.
    Response,
    /// An error that answers `a`; behind a response another answer.
    Refusal,
    /// The next frame of `a`, with bytes.
    Delta,
    /// The terminal frame of `a`, with bytes.
    Last,
    /// The terminal frame of `a`, without bytes.
    End,
    /// The terminal frame of `a` with an error.
    Failure,
    /// A frame of `a` with bytes and `done`, which repeats the number of the frame before it.
    Repeat,
    /// A frame of `a` with bytes, which leaves one number out.
    Gap,
    /// A frame of a stream that never was.
    Stray,
    /// The application starts a second stream `b`, which is answered.
    Second,
    /// The next frame of `b`, with bytes.
    Delta2,
    /// The terminal frame of `b`, without bytes.
    End2,
    /// The application receives of `a` what waits; where nothing waits, the receive waits for what comes.
    Read,
    /// The same; a receive that waits is given up once, and repeated.
    Abandon,
    /// The application lets go of `a`: of the call before its response, of the stream behind it.
    Drop,
    /// The connection breaks.
    Disconnect,
}

impl Event for ClientEvent {
    const ALL: &'static [Self] = &[
        Self::Response,
        Self::Refusal,
        Self::Delta,
        Self::Last,
        Self::End,
        Self::Failure,
        Self::Repeat,
        Self::Gap,
        Self::Stray,
        Self::Second,
        Self::Delta2,
        Self::End2,
        Self::Read,
        Self::Abandon,
        Self::Drop,
        Self::Disconnect,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Refusal => "refusal",
            Self::Delta => "delta",
            Self::Last => "last",
            Self::End => "end",
            Self::Failure => "failure",
            Self::Repeat => "repeat",
            Self::Gap => "gap",
            Self::Stray => "stray",
            Self::Second => "second",
            Self::Delta2 => "delta2",
            Self::End2 => "end2",
            Self::Read => "read",
            Self::Abandon => "abandon",
            Self::Drop => "drop",
            Self::Disconnect => "disconnect",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Response => "the response to the first call, or one more answer to it",
            Self::Refusal => "an error that answers the first call, or one more answer to it",
            Self::Delta => "the next frame of the first stream, with bytes",
            Self::Last => "its terminal frame, with bytes",
            Self::End => "its terminal frame, without bytes",
            Self::Failure => "its terminal frame, with an error",
            Self::Repeat => "a frame of it that repeats a number, with bytes and `done`",
            Self::Gap => "a frame of it that leaves a number out, with bytes",
            Self::Stray => "a frame of a stream that never was",
            Self::Second => "the application starts a second stream, which is answered",
            Self::Delta2 => "the next frame of the second stream, with bytes",
            Self::End2 => "its terminal frame, without bytes",
            Self::Read => "the application receives what waits of the first stream, or begins to wait",
            Self::Abandon => "the same; a receive that waits is given up once, and repeated",
            Self::Drop => "the application lets go of the first call or stream",
            Self::Disconnect => "the connection breaks",
        }
    }
}

/// What a correct client shows.
#[derive(Clone, Debug)]
pub struct ClientModel {
    /// What the adapter declares.
    features: BTreeSet<String>,
    /// The stream that the application starts first.
    a: Stream,
    /// The other one.
    b: Stream,
    /// What both have in common.
    around: Around,
    /// Frames were sent of which nothing shows that the client has read them.
    unread: bool,
    /// The clause that says what the last event does to the connection, which is nothing.
    harmless: &'static str,
}

/// The features that make a difference.
const FEATURES: [&str; 6] = ["abandon", "cancel", "caller-ids", "census", "error-kinds", "reconnect"];

impl ClientModel {
    /// For a client whose adapter declares these features.
    pub fn new(features: impl IntoIterator<Item = String>) -> Self {
        let wanted = |feature: &String| FEATURES.contains(&feature.as_str());
        let features: BTreeSet<String> = features.into_iter().filter(wanted).collect();
        let around = Around { connected: true, kinds: features.contains("error-kinds"), unaffected: None };
        Self { a: Stream::new("a"), b: Stream::new("b"), around, features, unread: false, harmless: "ROUTE-16" }
    }

    fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// The application starts a call.
    fn call(&self, name: &str, script: &mut Script) {
        // An application that may choose the identifiers chooses the same one for both.
        let ids = if self.has("caller-ids") { r#" {"requestId":"chosen"}"# } else { "" };
        script.step(format!("call {name} stream{ids}"));
    }

    /// The event changes nothing for the connection and for the streams, as that clause says.
    const fn ignores(&mut self, clause: &'static str) {
        self.harmless = clause;
        self.around.unaffected = Some(clause);
    }

    /// Who promises what a call or a stream shows next.
    fn promise(&mut self, clause: &'static str) -> &'static str {
        self.around.unaffected.take().unwrap_or(clause)
    }

    /// The client has read all frames.
    fn settle(&mut self, script: &mut Script) {
        if std::mem::take(&mut self.unread) {
            script.expect("barrier", self.harmless);
        }
    }

    /// The executor answers `a`.
    fn answer(&mut self, is_response: bool, script: &mut Script) {
        script.step(if is_response { "-> a 200" } else { r#"-> a error -32603 "the origin is unreachable""# });
        self.unread = true;
        if self.a.phase != Phase::Calling {
            return self.ignores("ID-7");
        }
        if is_response {
            self.a.phase = Phase::Open;
            let clause = match self.b.phase {
                _ if self.a.is_early() => "ROUTE-1",
                Phase::Unasked => "RESPONSE-17",
                _ => "ORDER-12",
            };
            let clause = self.promise(clause);
            script.expect("a => 200", clause);
            self.harmless = "RESPONSE-17";
        } else {
            self.a.phase = Phase::Gone("ROUTE-7");
            let kind = if self.around.kinds { "kind rpc code -32603 " } else { "" };
            script.expect(&format!(r#"a => fails {kind}says "the origin is unreachable""#), "ROUTE-7");
            self.harmless = "ROUTE-7";
        }
        self.unread = false;
    }

    /// The executor sends a frame of `a` or `b`.
    fn frame(&mut self, event: ClientEvent, script: &mut Script) {
        let second = matches!(event, ClientEvent::Delta2 | ClientEvent::End2);
        let stream = if second { &mut self.b } else { &mut self.a };
        let name = stream.name;
        let bytes = stream.next_bytes();
        let (line, data, outcome) = match event {
            ClientEvent::Delta | ClientEvent::Delta2 => (format!("delta \"{bytes}\""), Some(bytes), None),
            ClientEvent::Last => (format!("delta \"{bytes}\" done"), Some(bytes), Some(Outcome::End)),
            ClientEvent::End | ClientEvent::End2 => ("delta done".to_owned(), None, Some(Outcome::End)),
            ClientEvent::Failure => {
                (r#"delta done error "the origin is gone""#.to_owned(), None, Some(Outcome::Remote))
            }
            ClientEvent::Repeat => (r#"delta seq -1 "again" done"#.to_owned(), None, Some(Outcome::Sequence)),
            _ => (r#"delta seq +1 "beyond""#.to_owned(), None, Some(Outcome::Sequence)),
        };
        script.step(format!("-> {name} {line}"));
        match stream.handle_frame(data, outcome) {
            Effect::Taken(clause) => self.harmless = clause,
            Effect::Ignored(clause) => {
                self.harmless = clause;
                let is_gone = matches!(stream.phase, Phase::Gone(_));
                self.around.unaffected = Some(if is_gone { "ROUTE-2" } else { clause });
            }
        }
        self.unread = true;
        if stream.is_awaited() && stream.has_news() {
            stream.tell_next(&mut self.around, script);
            self.unread = false;
        }
    }

    fn second(&mut self, script: &mut Script) {
        self.settle(script);
        self.call("b", script);
        if !self.around.connected {
            script.expect("b => fails", "ROUTE-18");
            self.b.phase = Phase::Gone("ROUTE-18");
            return;
        }
        script.prepare("<- b");
        script.step("-> b 200");
        self.harmless = if self.a.phase == Phase::Calling { "ORDER-12" } else { "RESPONSE-17" };
        let clause = self.promise(self.harmless);
        script.expect("b => 200", clause);
        self.b.phase = Phase::Open;
    }

    fn read(&mut self, abandons: bool, script: &mut Script) {
        self.settle(script);
        let has_something = self.a.outcome.is_some() || self.a.has_news();
        if abandons {
            script.step("a read abandon");
        } else if !has_something {
            script.step("a read");
        }
        if has_something {
            self.a.tell_next(&mut self.around, script);
        } else {
            script.step("sync");
            self.a.awaited = true;
        }
    }

    fn drop(&mut self, script: &mut Script) {
        self.settle(script);
        let calling = self.a.phase == Phase::Calling;
        script.step(if calling { "a cancel" } else { "a drop" });
        let clause = if calling { "ROUTE-4" } else { "ROUTE-5" };
        self.a.phase = Phase::Gone(clause);
        self.harmless = clause;
    }

    /// The connection breaks, and a call that waits shows that the client knows.
    fn disconnect(&mut self, script: &mut Script) {
        self.settle(script);
        let waits = self.a.phase == Phase::Calling;
        if !waits {
            script.step("call witness stream");
            script.prepare("<- witness");
        }
        script.step("drop");
        let fails = if self.around.kinds { "fails kind disconnected|unknown-outcome" } else { "fails" };
        script.expect(&format!("{} => {fails}", if waits { "a" } else { "witness" }), "CLOSE-10");
        self.around.connected = false;
        // What comes now is about the disconnect.
        self.around.unaffected = None;
        if waits {
            self.a.phase = Phase::Gone("CLOSE-10");
        }
        for stream in [&mut self.a, &mut self.b] {
            stream.handle_disconnect();
            if stream.is_awaited() {
                stream.tell_next(&mut self.around, script);
            }
        }
    }

    /// All streams come to their ends, and the application sees them.
    fn close_streams(&mut self, script: &mut Script) {
        if self.around.connected && self.a.phase == Phase::Calling {
            self.answer(true, script);
        }
        if self.around.connected && self.a.is_live() {
            self.frame(ClientEvent::Last, script);
        }
        if self.around.connected && self.b.is_live() {
            self.frame(ClientEvent::End2, script);
        }
        for stream in [&mut self.a, &mut self.b] {
            if stream.phase == Phase::Open {
                while stream.has_news() {
                    stream.tell_next(&mut self.around, script);
                }
                // The outcome comes again.
                stream.tell_next(&mut self.around, script);
            }
        }
    }
}

impl Model for ClientModel {
    type Event = ClientEvent;

    const AREA: &'static str = "client-explore";

    fn begin(&mut self, script: &mut Script) {
        for feature in &self.features {
            if feature != "reconnect" {
                script.head(&format!("needs {feature}"));
            }
        }
        self.call("a", script);
        script.prepare("<- a");
        self.a.phase = Phase::Calling;
    }

    fn allows(&self, event: ClientEvent) -> bool {
        use ClientEvent::{Abandon, Delta2, Drop, End2, Read, Second};
        let connected = self.around.connected;
        match event {
            Abandon if !self.has("abandon") => false,
            Read | Abandon => self.a.phase == Phase::Open && !self.a.is_awaited(),
            Drop if self.a.phase == Phase::Calling => self.has("cancel"),
            // What becomes of a receive under way is the library's own affair.
            Drop => self.a.phase == Phase::Open && !self.a.is_awaited(),
            // Who connects again by itself starts the call on another connection.
            Second => self.b.phase == Phase::Unasked && (connected || !self.has("reconnect")),
            Delta2 | End2 => connected && self.b.is_live(),
            _ => connected,
        }
    }

    fn take(&mut self, event: ClientEvent, script: &mut Script) {
        match event {
            ClientEvent::Response => self.answer(true, script),
            ClientEvent::Refusal => self.answer(false, script),
            ClientEvent::Stray => {
                let params = r#"{"requestId":"nobody","seq":1,"deltaBase64":"bm9uZQ==","done":false,"error":null}"#;
                script.step(format!(r#"-> {{"method":"http/request/bodyDelta","params":{params}}}"#));
                self.unread = true;
                self.harmless = "STREAM-24";
                self.around.unaffected = Some("ROUTE-2");
            }
            ClientEvent::Second => self.second(script),
            ClientEvent::Read => self.read(false, script),
            ClientEvent::Abandon => self.read(true, script),
            ClientEvent::Drop => self.drop(script),
            ClientEvent::Disconnect => self.disconnect(script),
            _ => self.frame(event, script),
        }
    }

    fn finish(mut self, script: &mut Script) {
        self.close_streams(script);
        if self.around.connected {
            // The connection goes on, whatever has come.
            script.expect("barrier", self.harmless);
        } else if self.b.phase == Phase::Unasked && !self.has("reconnect") {
            self.second(script);
        }
        for stream in [&self.a, &self.b] {
            if stream.phase == Phase::Open {
                script.step(format!("{} drop", stream.name));
            }
        }
        if self.has("census") {
            // All of these clauses say that nothing is left; which one it is depends on how the first stream went.
            let clause = match self.a.phase {
                Phase::Gone(clause @ ("ROUTE-4" | "ROUTE-5" | "ROUTE-7")) => clause,
                _ => "ROUTE-16",
            };
            script.expect("census", clause);
        }
    }
}
