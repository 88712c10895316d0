//! What streams with credit have left, as the messages of a connection tell it.

use std::collections::HashMap;

use super::frame::bytes;
use crate::conformance::zoo::tamper::{Message, Way};
use crate::protocol::credit::CREDIT_METHOD;

/// What one credit notification says, and the stream that it is for.
pub(super) struct Grant {
    /// What it adds.
    pub(super) bytes: u64,
    /// What was left before it.
    pub(super) left: u64,
    /// The number of it among those of the stream, from 1.
    pub(super) count: u64,
    /// The response of the stream was sent.
    pub(super) answered: bool,
    /// How many calls were going on when the call came.
    pub(super) place: usize,
}

/// A streamed call with credit.
#[derive(Default)]
pub(super) struct Stream {
    /// Bytes that may still be sent.
    pub(super) left: u64,
    /// Credit notifications for it.
    pub(super) count: u64,
    /// Its response was sent.
    pub(super) answered: bool,
    /// How many calls were going on when it came.
    pub(super) place: usize,
}

/// The streams of a connection that have a credit.
#[derive(Default)]
pub(super) struct Ledger {
    /// Those that go on.
    pub(super) streams: HashMap<String, Stream>,
    /// All calls that go on, by their identifiers.
    going: Vec<String>,
}

impl Ledger {
    /// Reads a message as it passes. Credit is counted before it is passed on, and what it was is returned.
    pub(super) fn note(&mut self, message: &Message) -> Option<Grant> {
        let name = message.request_id().to_owned();
        let params = &message.json["params"];
        if message.is_call() {
            if let Some(left) = params["creditBytes"].as_u64().filter(|_| message.is_streamed()) {
                self.streams.insert(name.clone(), Stream { left, place: self.going.len(), ..Stream::default() });
            }
            self.going.push(name);
        } else if is_credit(message) {
            let bytes = params["bytes"].as_u64()?;
            let stream = self.streams.get_mut(&name)?;
            stream.count += 1;
            let Stream { left, count, answered, place } = *stream;
            stream.left = left.saturating_add(bytes);
            return Some(Grant { bytes, left, count, answered, place });
        } else if message.is_end() {
            self.streams.remove(&name);
            self.going.retain(|going| *going != name);
        } else if let Some(stream) = self.streams.get_mut(&name) {
            stream.answered = true;
            if message.is_delta() {
                stream.left = stream.left.saturating_sub(bytes(params).len() as u64);
            }
        }
        None
    }

    /// A stream that was answered waits for credit.
    pub(super) fn is_waited(&self) -> bool {
        self.streams.values().any(|stream| stream.answered && stream.left == 0)
    }
}

/// It is a credit notification.
pub(super) fn is_credit(message: &Message) -> bool {
    message.way == Way::ToExecutor && message.method() == CREDIT_METHOD
}
