//! Traces that are wrong: by one clause, or altogether.

use arbitrary::Unstructured;
use exec_http::conformance::trace::{Event, Trace, What};
use exec_http::protocol::delta::{BodyDelta, DELTA_METHOD};
use exec_http::protocol::id::Id;
use exec_http::protocol::message::Message;

/// A trace with one broken clause: one of these. `None` where the bytes choose what the trace has no place for.
pub(super) fn broken(trace: &Trace, bytes: &mut Unstructured<'_>) -> Option<(Trace, &'static [&'static str])> {
    let mut events = trace.events.clone();
    let places: Vec<usize> = (0..events.len()).filter(|&at| matches!(events[at].what, What::Received { .. })).collect();
    let at = *places.get(bytes.choose_index(places.len()).ok()?)?;
    let frame = Frame::of(&events[at])?;
    let clauses: &[&str] = match (bytes.int_in_range(0..=6).ok()?, &frame.message) {
        (0, _) => {
            let (connection, text) = (frame.connection.clone(), frame.text.clone());
            events[at].what = What::Received { connection, text, binary: true };
            &["TRANSPORT-10"]
        }
        (1, _) => {
            let text = frame.text[..frame.text.len() - 1].to_owned();
            events[at].what = frame.with(text);
            &["TRANSPORT-7", "ENVELOPE-1"]
        }
        (2, _) => {
            let id = Id::from("never asked");
            insert(&mut events, at, &frame, &Message::Response { id, result: 1.into() });
            &["ENVELOPE-19"]
        }
        (3, Message::Response { .. } | Message::Error { id: Some(_), .. }) if frame.is_asked_once(&events) => {
            insert(&mut events, at + 1, &frame, &frame.message);
            &["ENVELOPE-19"]
        }
        (4, Message::Response { .. }) => {
            insert(&mut events, at + 1, &frame, &Message::Notification { method: "log".into(), params: None });
            &["ENVELOPE-20"]
        }
        (5, Message::Notification { .. }) => {
            insert(&mut events, at + 1, &frame, &frame.message);
            &["STREAM-1", "STREAM-3", "ORDER-1"]
        }
        (6, Message::Notification { params: Some(params), .. }) => {
            let delta = BodyDelta::from_value(params).ok()?;
            let mut text = Vec::new();
            BodyDelta { seq: delta.seq + 1, ..delta }.encode_into(&mut text);
            events[at].what = frame.with(String::from_utf8(text).ok()?);
            &["STREAM-1"]
        }
        _ => return None,
    };
    Some((numbered(events), clauses))
}

/// The events of a trace dropped, doubled, moved and cut as the bytes say.
pub(super) fn disordered(trace: Trace, bytes: &mut Unstructured<'_>) -> Trace {
    let mut events = trace.events;
    while let (Ok(change @ 0..=4), false) = (bytes.int_in_range(0..=6), bytes.is_empty() || events.is_empty()) {
        let at = bytes.choose_index(events.len()).unwrap_or(0);
        match change {
            0 => drop(events.remove(at)),
            1 => events.insert(at, events[at].clone()),
            2 => {
                let event = events.remove(at);
                events.insert(bytes.int_in_range(0..=events.len()).unwrap_or(0), event);
            }
            3 => events[at].micros = bytes.arbitrary().unwrap_or(0),
            _ => alter(&mut events[at].what, bytes),
        }
    }
    numbered(events)
}

/// Replaces a number, or a part of a text.
fn alter(what: &mut What, bytes: &mut Unstructured<'_>) {
    match what {
        What::Received { text, .. } | What::Sent { text, .. } | What::Pong { text, .. } => {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = bytes.choose_index(ends.len()).unwrap_or(0);
            let to = (from + bytes.int_in_range(0..=8).unwrap_or(0)).min(ends.len() - 1);
            let length = bytes.int_in_range(0..=8).unwrap_or(0);
            let other = String::from_utf8_lossy(bytes.bytes(length.min(bytes.len())).unwrap_or_default()).into_owned();
            text.replace_range(ends[from]..ends[to], &other);
        }
        What::Step { step } => *step = bytes.int_in_range(0..=*step + 2).unwrap_or(0),
        What::Accepted { origin } | What::Closed { origin } => *origin = bytes.int_in_range(0..=2).unwrap_or(0),
        What::Exited { code } => *code = bytes.arbitrary().unwrap_or(None),
        What::Probed { status } => *status = bytes.arbitrary().unwrap_or(0),
        What::CloseFrame { code, .. } => *code = bytes.arbitrary().unwrap_or(None),
        What::Ended { connection, .. } => *what = What::Stalled { connection: connection.clone() },
        _ => *what = What::Deadline { milliseconds: bytes.arbitrary().unwrap_or(0) },
    }
}

/// A frame of the peer.
struct Frame {
    connection: String,
    text: String,
    message: Message,
}

impl Frame {
    fn of(event: &Event) -> Option<Self> {
        let What::Received { connection, text, .. } = &event.what else { return None };
        let message = Message::decode(text.as_bytes()).ok()?;
        let is_known = |method: &str| method == DELTA_METHOD;
        if matches!(&message, Message::Notification { method, .. } if !is_known(method)) {
            return None;
        }
        Some(Self { connection: connection.clone(), text: text.clone(), message })
    }

    fn with(&self, text: String) -> What {
        What::Received { connection: self.connection.clone(), text, binary: false }
    }

    /// The suite has sent only frames that are messages, and only one of them with the id of this answer.
    fn is_asked_once(&self, events: &[Event]) -> bool {
        let (Message::Response { id, .. } | Message::Error { id: Some(id), .. }) = &self.message else { return false };
        let mut times = 0;
        for event in events {
            let What::Sent { connection, text } = &event.what else { continue };
            match Message::decode(text.as_bytes()) {
                _ if *connection != self.connection => {}
                Ok(Message::Request { id: asked, .. }) => times += usize::from(asked == *id),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        times == 1
    }
}

fn insert(events: &mut Vec<Event>, at: usize, frame: &Frame, message: &Message) {
    let text = String::from_utf8(message.encode()).expect("JSON is UTF-8");
    let micros = events[at - 1].micros;
    events.insert(at, Event { number: 0, micros, what: frame.with(text) });
}

/// The events with the numbers of their places.
fn numbered(mut events: Vec<Event>) -> Trace {
    for (event, number) in events.iter_mut().zip(1..) {
        event.number = number;
    }
    Trace { events }
}
