//! The orders of an executor: what its client asks for while a stream and another one are under way, and what their origins do.
//!
//! The stream `a` was asked for before the first event, and its request has reached the origin. Whatever an origin does waits
//! for its turn, and whatever the executor has to say about an event is awaited before the next one, so that no order is left
//! to chance.

use super::script::Script;
use super::{Event, Model};
use crate::conformance::case::Transport;

mod stream;

use stream::{Phase, Stream};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// The origin of `a` sends its head.
    Head,
    /// It sends more of the body.
    Chunk,
    /// It ends the body.
    Finish,
    /// It resets the connection.
    Break,
    /// The client asks for a stream with the `requestId` of `a` once more.
    Again,
    /// It makes a buffered call with that `requestId`.
    Shared,
    /// It asks for a second stream `b`, whose head comes at once.
    Second,
    /// The origin of `b` sends more of its body.
    Chunk2,
    /// It ends the body.
    Finish2,
    /// The client asks to cancel `a`.
    Cancel,
    /// It asks to cancel a call that never was.
    Nobody,
    /// It sends a last frame of `a`, which only an executor sends.
    Stray,
    /// It answers a request that the executor has not made.
    Reply,
    /// It sends a frame that is no message.
    Malformed,
    /// Another connection asks for a stream with the `requestId` of `a`, whose head comes at once.
    Elsewhere,
    /// The connection breaks.
    Disconnect,
}

impl Event for ServerEvent {
    const ALL: &'static [Self] = &[
        Self::Head,
        Self::Chunk,
        Self::Finish,
        Self::Break,
        Self::Again,
        Self::Shared,
        Self::Second,
        Self::Chunk2,
        Self::Finish2,
        Self::Cancel,
        Self::Nobody,
        Self::Stray,
        Self::Reply,
        Self::Malformed,
        Self::Elsewhere,
        Self::Disconnect,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Chunk => "chunk",
            Self::Finish => "finish",
            Self::Break => "break",
            Self::Again => "again",
            Self::Shared => "shared",
            Self::Second => "second",
            Self::Chunk2 => "chunk2",
            Self::Finish2 => "finish2",
            Self::Cancel => "cancel",
            Self::Nobody => "nobody",
            Self::Stray => "stray",
            Self::Reply => "reply",
            Self::Malformed => "malformed",
            Self::Elsewhere => "elsewhere",
            Self::Disconnect => "disconnect",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Head => "the origin of the first stream sends its head",
            Self::Chunk => "it sends more of the body",
            Self::Finish => "it ends the body",
            Self::Break => "it resets the connection",
            Self::Again => "the client asks for a stream with the `requestId` of the first one once more",
            Self::Shared => "the client makes a buffered call with that `requestId`",
            Self::Second => "the client asks for a second stream, whose head comes at once",
            Self::Chunk2 => "the origin of the second stream sends more of its body",
            Self::Finish2 => "it ends the body",
            Self::Cancel => "the client asks to cancel the first call or stream",
            Self::Nobody => "the client asks to cancel a call that never was",
            Self::Stray => "the client sends a last frame of the first stream, as only an executor does",
            Self::Reply => "the client answers a request that the executor has not made",
            Self::Malformed => "the client sends a frame that is no message",
            Self::Elsewhere => "another connection asks for a stream with the `requestId` of the first one (ws)",
            Self::Disconnect => "the connection breaks",
        }
    }
}

/// What a correct executor shows.
#[derive(Clone, Debug)]
pub struct ServerModel {
    /// How it is reached.
    transport: Transport,
    /// It offers `http/request/cancel`.
    cancels: bool,
    /// The first stream.
    a: Stream,
    /// The second one.
    b: Stream,
    /// That of the other connection.
    n: Stream,
    /// The `id` of the last request.
    requests: u32,
    /// The connection is open.
    connected: bool,
    /// The clause that says what the last event does to the connection, which is nothing.
    harmless: &'static str,
    /// The clause that says what it does to the streams, if that is nothing and no stream has shown it yet.
    unaffected: Option<&'static str>,
}

/// The body of `/quick`.
const QUICK: &str = "quick";

impl ServerModel {
    /// For an executor that is reached so, and that offers cancelling or does not.
    pub const fn new(transport: Transport, cancels: bool) -> Self {
        Self {
            transport,
            cancels,
            a: Stream::new("a"),
            b: Stream::new("b"),
            n: Stream::new("n"),
            requests: 1,
            connected: true,
            harmless: "ENVELOPE-19",
            unaffected: None,
        }
    }

    /// The event does nothing to the connection and to the streams, as that clause says.
    const fn ignores(&mut self, clause: &'static str) {
        self.harmless = clause;
        self.unaffected = Some(clause);
    }

    /// Who promises what a stream shows next.
    fn promise(&mut self, clause: &'static str) -> &'static str {
        self.unaffected.take().unwrap_or(clause)
    }

    fn id(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// A stream with the `requestId` of the first one: refused while that goes on, served behind it.
    fn again(&mut self, script: &mut Script) {
        let id = self.id();
        script.step(format!("-> {id} stream a GET /quick"));
        match self.a.phase {
            Phase::Ended(clause) => {
                script.expect(&format!("<- {id} 200"), clause);
                script.expect(&format!("<- deltas a \"{QUICK}\""), "STREAM-1");
                self.a.phase = Phase::Ended("ORDER-6");
                self.harmless = "STREAM-3";
            }
            _ => {
                script.expect(&format!("<- {id} error -32602"), "PARAMS-9");
                self.ignores("PARAMS-9");
            }
        }
    }

    fn shared(&mut self, script: &mut Script) {
        let id = self.id();
        script.step(format!(r#"-> {id} call GET /quick {{"requestId":"a"}}"#));
        script.expect(&format!("<- {id} 200 body \"{QUICK}\""), self.independent("PARAMS-10"));
        self.ignores("PARAMS-10");
    }

    fn head(&mut self, script: &mut Script) {
        let clause = self.promise("ORDER-2");
        self.a.head(clause, script);
    }

    /// The origins of these streams end their bodies, where those go on.
    fn finish_streams(&mut self, first: bool, second: bool, script: &mut Script) {
        for (stream, is_wanted) in [(&mut self.a, first), (&mut self.b, second)] {
            if is_wanted && stream.phase == Phase::Open {
                let otherwise = if stream.is_empty() { "STREAM-8" } else { "STREAM-2" };
                stream.finish("<- ", self.unaffected.take().unwrap_or(otherwise), script);
            }
        }
    }

    fn reset(&mut self, script: &mut Script) {
        if self.a.phase == Phase::Waiting {
            self.a.fail(script);
            self.ignores("ENVELOPE-7");
        } else {
            let clause = self.promise("STREAM-9");
            self.a.reset(clause, script);
        }
    }

    /// Who promises the answer to a call beside the first stream.
    fn independent(&self, otherwise: &'static str) -> &'static str {
        match self.a.phase {
            Phase::Waiting => "ORDER-8",
            Phase::Open => "ORDER-9",
            _ => otherwise,
        }
    }

    fn second(&mut self, script: &mut Script) {
        let id = self.id();
        script.step(format!("-> {id} stream b GET /b"));
        script.expect(&format!("<- {id} 200"), self.independent("ORDER-2"));
        self.b.open_at_once();
    }

    fn elsewhere(&mut self, script: &mut Script) {
        script.step("connect n");
        script.step("n -> 1 stream a GET /n");
        script.expect("n <- 1 200", "PARAMS-11");
        self.n.open_at_once();
    }

    fn cancel(&mut self, script: &mut Script) {
        let id = self.id();
        script.step(format!(r#"-> {id} http/request/cancel {{"requestId":"a"}}"#));
        if !self.cancels {
            script.expect(&format!("<- {id} error -32601"), "STREAM-12");
            self.ignores("STREAM-12");
            return;
        }
        let ends = !matches!(self.a.phase, Phase::Ended(_));
        script.expect(&format!(r#"<- {id} {{"cancelled":{ends}}}"#), "CANCEL-2");
        match self.a.phase {
            Phase::Waiting => {
                script.expect("<- 1 error -32603 kind cancelled", "CANCEL-4");
                script.expect(&format!("before 1 {id}"), "CANCEL-6");
            }
            Phase::Open => script.expect(&format!("<- failed a{} kind cancelled", self.a.bytes_word()), "CANCEL-4"),
            _ => {}
        }
        if ends {
            script.expect("origin-aborted /a", "CANCEL-5");
            self.a.hang();
            self.a.phase = Phase::Ended("CANCEL-6");
        }
        self.ignores("CANCEL-3");
    }

    /// Sends what a client never should, and sees that the connection goes on.
    fn stray(&mut self, text: &str, clause: &'static str, script: &mut Script) {
        script.step("allow malformed");
        script.step(text);
        script.expect("barrier", clause);
        self.ignores(clause);
    }

    fn disconnect(&mut self, script: &mut Script) {
        script.step("drop");
        self.connected = false;
        for stream in [&mut self.a, &mut self.b] {
            if matches!(stream.phase, Phase::Waiting | Phase::Open) {
                script.expect(&format!("origin-aborted /{}", stream.name), "CLOSE-1");
                stream.hang();
            }
        }
        match self.transport {
            Transport::Stdio => {
                ["only stdio", "isolate", "needs spawn"].iter().for_each(|line| script.head(line));
                script.expect("<- exit 0", "CLOSE-4");
            }
            // Whoever was there goes on, and whoever comes finds the identifier free.
            Transport::Websocket => {
                self.n.finish("n <- ", "CLOSE-3", script);
                script.step("connect next");
                script.step("next -> 1 stream a GET /quick");
                script.expect("next <- 1 200", "CLOSE-3");
                script.expect(&format!("next <- deltas a \"{QUICK}\""), "PARAMS-11");
            }
        }
    }
}

impl Model for ServerModel {
    type Event = ServerEvent;

    const AREA: &'static str = "explore";

    fn begin(&mut self, script: &mut Script) {
        script.step("-> 1 stream a GET /a");
        script.prepare("origin-count /a 1");
        self.a.phase = Phase::Waiting;
    }

    fn allows(&self, event: ServerEvent) -> bool {
        use ServerEvent::{Again, Break, Chunk, Chunk2, Elsewhere, Finish, Finish2, Head, Nobody, Second};
        self.connected
            && match event {
                Head => self.a.phase == Phase::Waiting,
                Chunk | Finish => self.a.phase == Phase::Open,
                Break => matches!(self.a.phase, Phase::Waiting | Phase::Open),
                // The specification leaves open whether a call that waits for its head is an active stream.
                Again => self.a.phase != Phase::Waiting,
                Second => self.b.phase == Phase::Unasked,
                Chunk2 | Finish2 => self.b.phase == Phase::Open,
                Nobody => self.cancels,
                Elsewhere => self.transport == Transport::Websocket && self.n.phase == Phase::Unasked,
                _ => true,
            }
    }

    fn take(&mut self, event: ServerEvent, script: &mut Script) {
        match event {
            ServerEvent::Head => self.head(script),
            ServerEvent::Chunk => {
                let beside_another = self.b.phase != Phase::Unasked;
                let clause = self.promise(if beside_another { "ORDER-4" } else { "ORDER-3" });
                self.a.chunk(clause, script);
            }
            ServerEvent::Finish => self.finish_streams(true, false, script),
            ServerEvent::Break => self.reset(script),
            ServerEvent::Again => self.again(script),
            ServerEvent::Shared => self.shared(script),
            ServerEvent::Second => self.second(script),
            ServerEvent::Chunk2 => {
                let clause = self.promise("ORDER-4");
                self.b.chunk(clause, script);
            }
            ServerEvent::Finish2 => self.finish_streams(false, true, script),
            ServerEvent::Cancel => self.cancel(script),
            ServerEvent::Nobody => {
                let id = self.id();
                script.step(format!(r#"-> {id} http/request/cancel {{"requestId":"nobody"}}"#));
                script.expect(&format!(r#"<- {id} {{"cancelled":false}}"#), "CANCEL-2");
                self.ignores("CANCEL-3");
            }
            ServerEvent::Stray => {
                let params = r#"{"requestId":"a","seq":1,"deltaBase64":"","done":true,"error":null}"#;
                self.stray(&format!("-> notify http/request/bodyDelta {params}"), "ENVELOPE-16", script);
            }
            ServerEvent::Reply => self.stray(r#"-> raw '{"id":1,"result":{}}'"#, "ENVELOPE-17", script),
            ServerEvent::Malformed => {
                script.step(r#"-> raw "{""#);
                script.expect("<- malformed", "ENVELOPE-6");
                self.ignores("ENVELOPE-7");
            }
            ServerEvent::Elsewhere => self.elsewhere(script),
            ServerEvent::Disconnect => self.disconnect(script),
        }
    }

    fn finish(mut self, script: &mut Script) {
        if self.connected {
            if self.a.phase == Phase::Waiting {
                self.head(script);
            }
            self.finish_streams(true, true, script);
            self.n.finish("n <- ", "STREAM-2", script);
            // Nothing more comes, and the connection goes on, whatever it was told.
            script.expect("barrier", self.harmless);
            script.expect("origin-count /a 1", "HTTP-32");
        }
        for stream in [self.a, self.b, self.n] {
            stream.write_origin(script);
        }
        let quick = ["200".to_owned(), format!("content-length: {}", QUICK.len()), format!("chunk \"{QUICK}\"")];
        script.origin("/quick", quick.into());
    }
}
