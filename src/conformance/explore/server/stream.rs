//! One stream of an executor: what its origin does step by step, and what a correct executor makes of that.

use crate::conformance::explore::script::Script;

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has asked for it.
    Unasked,
    /// Its request has reached the origin, and there is no head.
    Waiting,
    /// Its head has come.
    Open,
    /// It is over; the clause says that its `requestId` is free.
    Ended(&'static str),
}

/// A stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its name in the case, and the path of its origin.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) phase: Phase,
    /// The bytes of its body so far.
    bytes: String,
    /// What its origin does.
    origin: Vec<String>,
    /// For how many turns of the case the origin waits.
    turns: usize,
}

impl Stream {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, phase: Phase::Unasked, bytes: String::new(), origin: Vec::new(), turns: 0 }
    }

    /// Its origin answers with a head at once.
    pub(super) fn open_at_once(&mut self) {
        self.phase = Phase::Open;
        self.origin.extend(["200".to_owned(), "chunked".to_owned()]);
    }

    /// It is the origin's turn.
    fn turn(&mut self, script: &mut Script) {
        self.turns += 1;
        let turn = format!("{}{}", self.name, self.turns);
        self.origin.push(format!("wait {turn}"));
        script.step(format!("release {turn}"));
    }

    /// The name of the stream on the wire.
    fn word(&self) -> &'static str {
        if self.name == "b" { "b" } else { "a" }
    }

    /// The bytes so far, as they stand behind `failed`.
    pub(super) fn bytes_word(&self) -> String {
        if self.bytes.is_empty() { String::new() } else { format!(" \"{}\"", self.bytes) }
    }

    /// No byte of its body has been sent.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The origin sends the head.
    pub(super) fn head(&mut self, clause: &'static str, script: &mut Script) {
        self.turn(script);
        self.open_at_once();
        script.expect("<- 1 200", clause);
    }

    /// The origin sends more of the body.
    pub(super) fn chunk(&mut self, clause: &'static str, script: &mut Script) {
        self.turn(script);
        let bytes = format!("{}{} ", self.name, self.turns);
        self.origin.push(format!("chunk \"{bytes}\""));
        self.bytes += &bytes;
        script.expect(&format!("<- part {} \"{}\"", self.word(), self.bytes), clause);
    }

    /// The origin ends the body, if it goes on; `came` is the arrow of its connection.
    pub(super) fn finish(&mut self, came: &str, clause: &'static str, script: &mut Script) {
        if self.phase == Phase::Open {
            self.turn(script);
            script.expect(&format!("{came}deltas {} \"{}\"", self.word(), self.bytes), clause);
            self.phase = Phase::Ended("ORDER-6");
        }
    }

    /// The origin resets the connection before its head.
    pub(super) fn fail(&mut self, script: &mut Script) {
        self.turn(script);
        self.origin.push("reset".to_owned());
        script.expect("<- 1 error -32603", "RESPONSE-13");
        self.phase = Phase::Ended("ORDER-7");
    }

    /// The origin resets the connection in the midst of the body.
    pub(super) fn reset(&mut self, clause: &'static str, script: &mut Script) {
        self.turn(script);
        self.origin.push("reset".to_owned());
        script.expect(&format!("<- failed {}{}", self.word(), self.bytes_word()), clause);
        self.phase = Phase::Ended("ORDER-5");
    }

    /// The origin does nothing more.
    pub(super) fn hang(&mut self) {
        self.origin.push("hang".to_owned());
    }

    /// Writes what the origin does.
    pub(super) fn write_origin(self, script: &mut Script) {
        if !self.origin.is_empty() {
            script.origin(&format!("/{}", self.name), self.origin);
        }
    }
}
