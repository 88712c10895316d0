//! What happens in a case for clients, as data: what the application does and sees, and what the executor says.

use serde_json::Value;

use crate::conformance::case::template::{Count, Template};
use crate::conformance::case::{Condition, Form, Outcome};

/// The request by which a client gives up a stream at its executor.
pub const CANCEL_METHOD: &str = "http/request/cancel";

/// The notification by which a client allows more of a body.
pub const CREDIT_METHOD: &str = "http/request/credit";

/// What a step of a case for clients does or awaits. What concerns the connection alone is in
/// [`Action`](crate::conformance::case::Action).
#[derive(Clone, Debug)]
pub enum ClientAction {
    /// The application opens the connection.
    Open,
    /// Its connection is usable.
    Opened,
    /// The client may come in once more where it came in before; what is known of the connection begins anew.
    Readmit,
    /// There is no connection.
    OpenFails(Vec<Condition>),
    /// The application starts a call.
    Call {
        /// Its name in the case.
        call: String,
        /// The members of the adapter's `request`.
        request: Value,
    },
    /// The application does something with a call, whose result another step awaits.
    Order(String, Order),
    /// All that the application was told to do took effect.
    Sync,
    /// The application closes the connection.
    HangUp,
    /// Nothing is held for the connection; at once, or before the deadline.
    Census {
        /// At once.
        now: bool,
    },
    /// The application sees something of a call.
    Saw(String, Sight),
    /// The application was told that the connection ended.
    SawClosed,
    /// The request of a call has come.
    Asked {
        /// The call.
        call: String,
        /// Its params match.
        params: Value,
        /// What must hold for its headers, its body and its text.
        conditions: Vec<Condition>,
    },
    /// Another message has come.
    Got {
        /// Its method.
        method: String,
        /// Its params match.
        params: Value,
    },
    /// The client has answered a request of the executor.
    Answered(Value, Vec<Outcome>),
    /// The client has connected, and its request for a websocket satisfies.
    Connected(Vec<Condition>),
    /// The executor answers `initialize`.
    Greet(Value),
    /// The executor answers a call.
    Answer {
        /// The call.
        call: String,
        /// The answer.
        answer: Answer,
        /// How it is sent.
        form: Form,
    },
    /// The executor sends frames of a stream.
    Deltas(Deltas),
    /// The executor sends a message.
    Send(Value, Form),
}

/// What the executor answers to a call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A result.
    Result {
        /// `status` and `headers`.
        result: Value,
        /// What `bodyBase64` stands for.
        body: Template,
        /// Members that are added and replaced; `"$absent"` removes.
        members: Value,
    },
    /// An error.
    Error(Value),
}

/// What an application can do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Receives one chunk.
    Read {
        /// Gives the receive up where it waits, and receives again.
        abandon: bool,
    },
    /// Receives to the end.
    Drain,
    /// Lets go of the stream.
    Drop {
        /// On a foreign thread.
        foreign: bool,
    },
    /// Gives the call up before its response.
    Cancel,
}

/// What an application can see of a call. All but the first and the last make it read.
#[derive(Clone, Debug)]
pub enum Sight {
    /// A response with one of these statuses.
    Response(Vec<u16>, Vec<Condition>),
    /// These bytes next, in any division.
    Bytes(Template),
    /// The clean end, and no bytes before it.
    End,
    /// The call, or its stream, fails; bytes before it are allowed or not.
    Fails {
        /// Any bytes may come first.
        after_any: bool,
        /// What must hold for the error.
        conditions: Vec<Condition>,
    },
    /// Nothing that no step has awaited.
    Silent,
}

/// Frames of a stream.
#[derive(Clone, Debug)]
pub struct Deltas {
    /// The call.
    pub call: String,
    /// The `seq` of the first.
    pub seq: Seq,
    /// How many.
    pub count: Count,
    /// The bytes of each.
    pub data: Template,
    /// `done` of the last.
    pub done: bool,
    /// `error` of the last.
    pub error: Option<String>,
    /// Members that are added and replaced; `"$absent"` removes.
    pub members: Value,
    /// How they are sent.
    pub form: Form,
}

/// The `seq` of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {
    /// This one.
    At(u64),
    /// So far from the next: 0 is right, 1 leaves one out, -1 repeats the last.
    Off(i64),
}
