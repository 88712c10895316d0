//! What becomes of something that passes.

use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::message::{Message, Unit, Way, text};

/// What becomes of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This goes that way.
    Send(Way, Unit),
    /// This goes to the executor on the second connection.
    Aside(Unit),
    /// Nothing more is read in the direction of the unit for that time.
    Wait(Duration),
    /// Nothing more is read in that direction.
    Stall(Way),
    /// The process ends with that status.
    Exit(i32),
    /// From now on the process ignores that signal, or heeds it again.
    Ignore(Signal, bool),
}

/// Takes what becomes of a unit. What is not put in here is lost.
#[derive(Debug, Default)]
pub struct Outlet {
    pub(super) effects: Vec<Effect>,
}

impl Outlet {
    /// Passes a message on, as it is now.
    pub fn pass(&mut self, message: Message) {
        self.unit(message.way, message.into_unit());
    }

    /// Sends a message.
    pub fn send(&mut self, way: Way, json: &Value) {
        self.unit(way, text(json));
    }

    /// Sends bytes as a message, JSON or not.
    pub fn text(&mut self, way: Way, bytes: impl Into<Bytes>) {
        self.unit(way, Unit::Message { bytes: bytes.into(), binary: false });
    }

    /// Sends anything.
    pub fn unit(&mut self, way: Way, unit: Unit) {
        self.effects.push(Effect::Send(way, unit));
    }

    /// Answers a request with an error.
    pub fn refuse(&mut self, id: &Value, code: i64) {
        self.send(Way::ToClient, &json!({"id": id, "error": {"code": code, "message": "refused"}}));
    }

    /// Answers a malformed frame.
    pub fn malformed(&mut self) {
        self.refuse(&json!(-1), -32600);
    }

    /// Sends a message to the executor on the second connection of [`Tamper::doubled`](super::Tamper::doubled).
    pub fn aside(&mut self, json: &Value) {
        self.effects.push(Effect::Aside(text(json)));
    }

    /// Ends both directions.
    pub fn hang_up(&mut self) {
        self.unit(Way::ToClient, Unit::End);
        self.unit(Way::ToExecutor, Unit::End);
    }

    /// Reads nothing more in the direction of the unit for that time.
    pub fn wait(&mut self, time: Duration) {
        self.effects.push(Effect::Wait(time));
    }

    /// Reads nothing more in that direction.
    pub fn stall(&mut self, way: Way) {
        self.effects.push(Effect::Stall(way));
    }

    /// Ends the process.
    pub fn exit(&mut self, status: i32) {
        self.effects.push(Effect::Exit(status));
    }

    /// Lets the process ignore that signal, or heed it again.
    pub fn ignore(&mut self, signal: Signal, ignores: bool) {
        self.effects.push(Effect::Ignore(signal, ignores));
    }
}
