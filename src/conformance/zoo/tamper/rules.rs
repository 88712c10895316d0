//! What most specimens do: they change one kind of message.

use bytes::Bytes;
use serde_json::Value;

use super::{Message, Outlet, Tamper, Unit, Way};
use crate::protocol::http::REQUEST_METHOD;

/// Does something else in place of passing on the messages of the client for which that holds.
pub fn instead(
    mut when: impl FnMut(&Message) -> bool + Send + 'static,
    mut does: impl FnMut(&Message, &mut Outlet) + Send + 'static,
) -> Tamper {
    Tamper::messages(move |message, out| {
        if message.way == Way::ToExecutor && when(&message) {
            does(&message, out);
        } else {
            out.pass(message);
        }
    })
}

/// Decides about messages of the client that are no JSON objects.
pub fn unreadable(mut rule: impl FnMut(Bytes, &mut Outlet) + Send + 'static) -> Tamper {
    Tamper::units(move |way, unit, out| match unit {
        Unit::Message { bytes, .. } if way == Way::ToExecutor => rule(bytes, out),
        unit => out.unit(way, unit),
    })
}

/// Changes the params of requests and notifications of the client that have that method.
pub fn requests(method: &'static str, mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.way == Way::ToExecutor && message.method() == method {
            change(&mut message.json["params"]);
        }
        out.pass(message);
    })
}

/// Changes the params of `http/request`.
pub fn calls(change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    requests(REQUEST_METHOD, change)
}

/// Changes the results of requests of that method; an answer with an error passes.
pub fn results(method: &'static str, mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    answers(method, move |answer| {
        if let Some(result) = answer.get_mut("result") {
            change(result);
        }
    })
}

/// Changes the results of `http/request`.
pub fn responses(change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    results(REQUEST_METHOD, change)
}

/// Changes the whole answers to requests of that method.
pub fn answers(method: &'static str, mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.way == Way::ToClient && message.answers(method) {
            change(&mut message.json);
        }
        out.pass(message);
    })
}

/// Changes the errors that the executor answers with, whatever was asked.
pub fn failures(mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.way == Way::ToClient
            && message.json.get("method").is_none()
            && let Some(error) = message.json.get_mut("error")
        {
            change(error);
        }
        out.pass(message);
    })
}

/// Loses messages of that kind.
pub fn lose(which: impl Fn(&Message) -> bool + Send + 'static) -> Tamper {
    Tamper::messages(move |message, out| {
        if !which(&message) {
            out.pass(message);
        }
    })
}

/// Ends the connection in place of a message of that kind.
pub fn hang_up_at(mut which: impl FnMut(&Message) -> bool + Send + 'static) -> Tamper {
    Tamper::messages(move |message, out| if which(&message) { out.hang_up() } else { out.pass(message) })
}

/// Changes the params of frames of bodies.
pub fn deltas(mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_delta() {
            change(&mut message.json["params"]);
        }
        out.pass(message);
    })
}

/// Changes the params of the last frames of bodies.
pub fn terminals(mut change: impl FnMut(&mut Value) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_terminal() {
            change(&mut message.json["params"]);
        }
        out.pass(message);
    })
}

/// Decides about frames of bodies; everything else passes.
pub fn frames(mut rule: impl FnMut(Message, &mut Outlet) + Send + 'static) -> Tamper {
    Tamper::messages(move |message, out| if message.is_delta() { rule(message, out) } else { out.pass(message) })
}
