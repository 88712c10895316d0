//! One stream as the application of a correct client sees it: the table *Life of a stream* of the specification.

use crate::conformance::explore::script::Script;

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The application has not started it.
    Unasked,
    /// Its request has come, and was not answered.
    Calling,
    /// It was answered with a response, and the application holds it.
    Open,
    /// It failed, or the application has let go of it; the clause says that what still comes is ignored.
    Gone(&'static str),
}

/// How it ends; the first outcome is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Cleanly.
    End,
    /// With an error of the executor.
    Remote,
    /// With a wrong number.
    Sequence,
    /// With the connection.
    Disconnected,
}

/// What a stream has in common with others.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// The connection is open.
    pub(super) connected: bool,
    /// The library tells its errors apart.
    pub(super) kinds: bool,
    /// The clause that says that the last event changes nothing for the streams, if none of them has shown it yet.
    pub(super) unaffected: Option<&'static str>,
}

/// What a frame does, and the clause that says so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// It belongs to its stream.
    Taken(&'static str),
    /// It changes nothing for anybody else.
    Ignored(&'static str),
}

/// A stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its name in the case.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) phase: Phase,
    /// How it ends, once that is known.
    pub(super) outcome: Option<Outcome>,
    /// A receive waits.
    pub(super) awaited: bool,
    /// Bytes that wait for the application.
    waiting: String,
    /// Frames that have come for it.
    frames: usize,
    /// Frames came before the response.
    early: bool,
    /// More came behind the outcome.
    late: bool,
    /// The application has seen the outcome.
    told: bool,
}

impl Stream {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            phase: Phase::Unasked,
            outcome: None,
            awaited: false,
            waiting: String::new(),
            frames: 0,
            early: false,
            late: false,
            told: false,
        }
    }

    /// Frames came before its response.
    pub(super) const fn is_early(&self) -> bool {
        self.early
    }

    /// A receive waits for what comes.
    pub(super) const fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// It can still end in any way.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Calling | Phase::Open) && self.outcome.is_none()
    }

    /// The application has something to receive that it has not seen.
    pub(super) fn has_news(&self) -> bool {
        !self.waiting.is_empty() || self.outcome.is_some() && !self.told
    }

    /// Bytes that no other frame has.
    pub(super) fn next_bytes(&mut self) -> String {
        self.frames += 1;
        format!("{}{} ", self.name, self.frames)
    }

    /// A frame comes.
    pub(super) fn handle_frame(&mut self, data: Option<String>, outcome: Option<Outcome>) -> Effect {
        if let Phase::Gone(clause) = self.phase {
            return Effect::Ignored(clause);
        }
        if self.outcome.is_some() {
            self.late = true;
            return Effect::Ignored("STREAM-18");
        }
        self.early |= self.phase == Phase::Calling;
        self.waiting += data.as_deref().unwrap_or_default();
        self.outcome = outcome;
        match outcome {
            None => Effect::Taken("STREAM-30"),
            // Nothing but its own stream.
            Some(Outcome::Sequence) => Effect::Ignored("STREAM-20"),
            Some(Outcome::Remote) => Effect::Taken("STREAM-16"),
            Some(_) => Effect::Taken("STREAM-15"),
        }
    }

    /// The connection breaks.
    pub(super) fn handle_disconnect(&mut self) {
        if self.phase == Phase::Open {
            self.outcome.get_or_insert(Outcome::Disconnected);
        }
    }

    /// The application receives what comes next: all bytes that wait, or else the outcome.
    pub(super) fn tell_next(&mut self, around: &mut Around, script: &mut Script) {
        let (connected, kinds) = (around.connected, around.kinds);
        let unaffected = around.unaffected.take();
        self.awaited = false;
        if !self.waiting.is_empty() {
            let clause = match self.outcome {
                _ if self.early => "ROUTE-1",
                Some(Outcome::Disconnected) => "CLOSE-8",
                Some(Outcome::Sequence) => "STREAM-20",
                _ => "STREAM-30",
            };
            script.expect(&format!("{} => \"{}\"", self.name, self.waiting), unaffected.unwrap_or(clause));
            self.waiting.clear();
            return;
        }
        let sight = match self.outcome {
            Some(Outcome::Sequence) if kinds => "fails kind sequence",
            Some(Outcome::Disconnected) if kinds => "fails kind disconnected",
            Some(Outcome::Remote) => r#"fails says "the origin is gone""#,
            Some(Outcome::End) => "end",
            _ => "fails",
        };
        let clause = match self.outcome {
            _ if self.told => "STREAM-19",
            Some(Outcome::Disconnected) if kinds => "CLOSE-9",
            Some(Outcome::Disconnected) => "CLOSE-8",
            _ if !connected => "CLOSE-13",
            _ if self.late => "STREAM-18",
            _ if self.early => "ROUTE-1",
            Some(Outcome::Sequence) => "STREAM-20",
            Some(Outcome::Remote) => "STREAM-16",
            _ => "STREAM-15",
        };
        script.expect(&format!("{} => {sight}", self.name), unaffected.unwrap_or(clause));
        self.told = true;
    }
}
