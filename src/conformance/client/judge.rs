//! What the events show about a client, and whether a step is satisfied by it.

mod call;
mod connection;
mod sight;

use std::collections::BTreeMap;

use serde_json::Value;

use super::messages::{Command, Failure, Line, Order as Told, Reply, Seen};
use super::script::ClientAction;
use crate::conformance::case::template::{Names, resolve_json};
use crate::conformance::case::{Action, Condition, Expect, Step};
use crate::conformance::judge::{FailKind, Fault, Progress, Scene, Setting, Violation, shown};
use crate::conformance::matcher::{Answered, match_json, match_outcome};
use crate::conformance::trace::{Event, What};
use crate::protocol::cancel::CANCEL_METHOD;
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::id::Id;
use call::{Call, Outcome};
use connection::Connection;
use sight::check_failure;

/// Behind the name of a call, the name under which the `id` of its request is kept as JSON. No case can write it.
const ID_NAME: &str = " id";

/// Behind the name of a call, the name of the bytes that its request allowed.
pub(super) const CREDIT_NAME: &str = "Credit";

/// The name under which the `id` of a call's request is kept, as JSON text.
pub(super) fn id_name(call: &str) -> String {
    format!("{call}{ID_NAME}")
}

/// The name of the bytes that the request of a call allowed.
fn credit_name(call: &str) -> String {
    format!("{call}{CREDIT_NAME}")
}

/// A client as its frames show it, and as its application sees it.
#[derive(Debug, Default)]
pub(in crate::conformance) struct Client {
    /// The connections by name.
    connections: BTreeMap<String, Connection>,
    /// The calls by name.
    calls: BTreeMap<String, Call>,
    /// The commands that wait for their reply.
    commands: BTreeMap<u64, Told>,
    /// The newest command, and its reply.
    newest: Option<(u64, Option<Reply>)>,
    /// What the application was told about each `open`.
    opened: BTreeMap<String, Result<(), Failure>>,
    /// The connections of which the application was told that they ended.
    told_closed: Vec<String>,
}

impl Scene for Client {
    fn note(&mut self, event: &Event, step: Option<&Step>, setting: &mut Setting) -> Result<(), Fault> {
        match &event.what {
            What::Step { .. } => self.newest = None,
            What::Connected { connection, head } => self.connection(connection).head = Some(head.clone()),
            What::Sent { connection, text } => self.note_sent(connection, text, step, &setting.names),
            What::Received { connection, text, .. } => {
                self.connection(connection).handle_received(text)?;
                self.join(connection, &mut setting.names)?;
                self.check_cancel(connection)?;
            }
            What::Pong { connection, text } => self.connection(connection).pongs.push(text.clone()),
            What::Garbage { connection, reason } => {
                self.connection(connection).ended = Some(reason.clone());
                let violation = Violation::new(FailKind::Malformed, "ENVELOPE-1", "frames of the transport", reason);
                return Err(violation.into());
            }
            What::Ended { connection, reason } => self.connection(connection).ended = Some(reason.clone()),
            What::Exited { code } => {
                let status = code.map_or("by a signal".to_owned(), |code| format!("with status {code}"));
                let got = format!("the adapter's process ended {status}");
                let expected = "a process that lives as long as the suite talks to it";
                return Err(Violation::new(FailKind::Crash, "", expected, &got).into());
            }
            What::Told { command } => self.note_told(command),
            What::Heard { line } => return self.note_heard(line),
            _ => {}
        }
        Ok(())
    }

    fn progress(&mut self, step: &Step, _: &Event, setting: &mut Setting) -> Progress {
        match &step.action {
            Action::Client(action) => self.client_progress(step, action, setting),
            Action::Expect(expect) => self.expect(step, expect, &setting.names),
            _ => Progress::DONE,
        }
    }

    fn has_ended(&self, connection: &str) -> bool {
        self.connections.get(connection).is_some_and(|connection| connection.ended.is_some())
    }

    fn describe(&self, connection: &str) -> Option<String> {
        let last = self.connections.get(connection).and_then(|connection| connection.last.as_deref());
        let last = last.map_or("nothing".to_owned(), shown);
        let calls = self.calls.iter().filter(|(_, call)| call.connection == connection);
        let seen: Vec<_> = calls.map(|(name, call)| format!("{name} has {}", call.describe())).collect();
        let seen = if seen.is_empty() { String::new() } else { format!("; {}", seen.join(", ")) };
        Some(format!("{seen}; the client's last frame was: {last}"))
    }

    fn finish(&self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Client {
    fn connection(&mut self, name: &str) -> &mut Connection {
        self.connections.entry(name.to_owned()).or_default()
    }

    /// Bytes that the trace has only the hash of are those of the step.
    fn note_sent(&mut self, connection: &str, text: &str, step: Option<&Step>, names: &Names) {
        self.connection(connection).handle_sent(text);
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        let data = match step.map(|step| &step.action) {
            Some(Action::Client(ClientAction::Deltas(deltas))) => deltas.data.resolve(names).ok(),
            _ => None,
        };
        let on_it = self.calls.values_mut().filter(|call| call.connection == connection);
        on_it.for_each(|call| call.handle_sent(&message, data.as_deref()));
    }

    /// Joins the newest request with the call of the application that asked for it.
    fn join(&mut self, connection: &str, names: &mut Names) -> Result<(), Violation> {
        let Some(found) = self.connections.get_mut(connection) else { return Ok(()) };
        let is_later = found.is_later;
        let Some(asked) = found.requests.last_mut() else { return Ok(()) };
        if asked.taken || asked.method != REQUEST_METHOD {
            return Ok(());
        }
        let url = asked.params["url"].as_str().unwrap_or_default();
        let waits = |call: &Call| call.connection == connection && call.request_id.is_none() && call.url == url;
        if let Some((name, call)) = self.calls.iter_mut().find(|(_, call)| waits(call)) {
            let request_id = asked.params["requestId"].as_str().unwrap_or_default();
            call.request_id = Some(request_id.to_owned());
            names.insert(name.clone(), request_id.to_owned());
            names.insert(id_name(name), asked.id.to_value().to_string());
            if let Some(credit) = asked.params["creditBytes"].as_u64() {
                names.insert(credit_name(name), credit.to_string());
            }
            asked.taken = true;
            if asked.params["streamResponse"].as_bool().unwrap_or(false) != call.stream {
                let expected = "streamResponse as the application's call needs it, whatever else it asked for";
                return Err(Violation::new(FailKind::Assertion, "PARAMS-28", expected, &asked.text));
            }
        } else if is_later && self.calls.values().any(|call| call.connection == connection && call.url == url) {
            let expected = "no call of an earlier connection";
            return Err(Violation::new(FailKind::Assertion, "CLOSE-12", expected, &asked.text));
        }
        Ok(())
    }

    /// Whether the newest request gives up a call that the application has seen the executor end.
    fn check_cancel(&self, connection: &str) -> Result<(), Violation> {
        let newest = self.connections.get(connection).and_then(|found| found.requests.last());
        let Some(asked) = newest.filter(|asked| asked.method == CANCEL_METHOD && !asked.taken) else { return Ok(()) };
        let names = |call: &Call| {
            call.connection == connection && call.request_id.as_deref() == asked.params["requestId"].as_str()
        };
        if self.calls.values().any(|call| names(call) && call.is_ended_by_executor()) {
            let expected = "no cancel request for a call that the executor has ended";
            return Err(Violation::new(FailKind::Assertion, "STREAM-31", expected, &asked.text));
        }
        Ok(())
    }

    fn note_told(&mut self, command: &Command) {
        match &command.order {
            Told::Request { conn, op, request } => {
                let call = self.calls.entry(op.clone()).or_default();
                call.connection.clone_from(conn);
                call.url.clone_from(&request.url);
                call.stream = request.stream;
            }
            Told::Read { op, .. } | Told::Drain { op } => self.call(op).receives.note(&command.order),
            _ => {}
        }
        self.newest = Some((command.id, None));
        self.commands.insert(command.id, command.order.clone());
    }

    fn call(&mut self, name: &str) -> &mut Call {
        self.calls.entry(name.to_owned()).or_default()
    }

    fn note_heard(&mut self, line: &Line) -> Result<(), Fault> {
        let (id, reply) = match line {
            Line::Event { event: Seen::Closed { conn }, .. } => {
                self.told_closed.push(conn.clone());
                return Ok(());
            }
            Line::Event { event, .. } => {
                let Some(call) = event.op().and_then(|op| self.calls.get_mut(op)) else {
                    return Err(Fault::Adapter("the adapter tells about a call that nobody asked for".to_owned()));
                };
                return call.handle_seen(event);
            }
            Line::Reply { id, reply } => (*id, reply),
        };
        let Some(order) = self.commands.remove(&id) else {
            return Err(Fault::Adapter(format!("the adapter replies to {id}, which nobody asked or it has answered")));
        };
        match (&order, reply) {
            (Told::Open { conn, .. }, Reply::Opened) => drop(self.opened.insert(conn.clone(), Ok(()))),
            (Told::Open { conn, .. }, Reply::Failed(failure)) => {
                self.opened.insert(conn.clone(), Err(failure.clone()));
            }
            (Told::Census { .. }, Reply::Census { .. }) => {}
            (Told::Drop { op, .. } | Told::Cancel { op }, Reply::Ok) => self.call(op).gone = true,
            (Told::Open { .. } | Told::Census { .. }, Reply::Ok)
            | (_, Reply::Hello(_) | Reply::Opened | Reply::Failed(_) | Reply::Census { .. }) => {
                return Err(Fault::Adapter("the adapter's reply does not belong to its command".to_owned()));
            }
            (_, Reply::Ok) => {}
            (_, Reply::Unsupported { reason }) => {
                return Err(Fault::Adapter(format!("the adapter declares what it does not support: {reason}")));
            }
            (_, Reply::Error { r#where, message }) if r#where == "adapter" => {
                return Err(Fault::Adapter(format!("the adapter failed: {message}")));
            }
            (_, Reply::Error { .. }) => {}
        }
        if let Some((newest, answer)) = &mut self.newest
            && *newest == id
        {
            *answer = Some(reply.clone());
        }
        Ok(())
    }

    fn client_progress(&mut self, step: &Step, action: &ClientAction, setting: &mut Setting) -> Progress {
        match action {
            ClientAction::Open | ClientAction::Greet(_) => Progress::DONE,
            ClientAction::Readmit => {
                self.connections.insert(step.connection.clone(), Connection::later());
                Progress::DONE
            }
            ClientAction::Answer { .. } | ClientAction::Deltas(_) | ClientAction::Send(..) => Progress::DONE,
            ClientAction::Call { .. } | ClientAction::Order(..) | ClientAction::Sync | ClientAction::HangUp => {
                self.replied(|_| Progress::DONE)
            }
            ClientAction::Census { now } => self.census(*now),
            ClientAction::Opened => match self.opened.get(&step.connection) {
                Some(Ok(())) => Progress::MET,
                Some(Err(failure)) => Progress::failed(format!("no connection: {}", failure.message)),
                None => Progress::Pending,
            },
            ClientAction::OpenFails(conditions) => match self.opened.get(&step.connection) {
                Some(Err(failure)) => check_failure(failure, conditions, &setting.names),
                Some(Ok(())) => Progress::failed("a connection"),
                None => Progress::Pending,
            },
            ClientAction::Connected(conditions) => self.connected(&step.connection, conditions, &setting.names),
            ClientAction::SawClosed if self.told_closed.contains(&step.connection) => Progress::MET,
            ClientAction::SawClosed => Progress::Pending,
            ClientAction::Saw(call, sight) => match self.calls.get_mut(call) {
                Some(call) => call.saw(sight, &setting.names),
                None => Progress::failed("no such call"),
            },
            ClientAction::Asked { call, params, conditions } => {
                self.asked(call, params, conditions, &mut setting.names)
            }
            ClientAction::Got { method, params } => self.got(&step.connection, method, params, &mut setting.names),
            ClientAction::Answered(id, outcomes) => {
                let connection = self.connection(&step.connection);
                let id = resolve_json(id, &setting.names).ok().and_then(|id| Id::from_value(&id));
                let found =
                    connection.answers.iter_mut().find(|answer| !answer.taken && Some(&answer.id) == id.as_ref());
                let Some(answer) = found else { return self.pending(step) };
                answer.taken = true;
                let answered = Answered { message: &answer.message, text: &answer.text };
                let fits = outcomes.iter().any(|outcome| match_outcome(outcome, &answered, &mut setting.names).is_ok());
                if fits { Progress::MET } else { Progress::failed(answer.text.clone()) }
            }
        }
    }

    /// A step that waits for a frame: none comes behind the end of the connection.
    fn pending(&mut self, step: &Step) -> Progress {
        match &self.connection(&step.connection).ended {
            Some(reason) => Progress::failed(format!("the end of the connection by the client: {reason}")),
            None => Progress::Pending,
        }
    }

    /// The step's own command was answered.
    fn replied(&self, judge: impl FnOnce(&Reply) -> Progress) -> Progress {
        match &self.newest {
            Some((_, Some(Reply::Error { message, .. }))) => Progress::failed(format!("the library failed: {message}")),
            Some((_, Some(reply))) => judge(reply),
            _ => Progress::Pending,
        }
    }

    fn census(&self, now: bool) -> Progress {
        self.replied(|reply| match reply {
            Reply::Census { routes: Some(0), calls: None | Some(0), queued_bytes: None | Some(0) } => Progress::MET,
            Reply::Census { routes: None, .. } => Progress::failed("a census without routes"),
            Reply::Census { routes, calls, queued_bytes } if now => {
                Progress::failed(format!("routes {routes:?}, calls {calls:?}, queued bytes {queued_bytes:?}"))
            }
            _ => Progress::Pending,
        })
    }

    fn connected(&mut self, connection: &str, conditions: &[Condition], names: &Names) -> Progress {
        match (self.connection(connection).connected(conditions, names), self.opened.get(connection)) {
            (Progress::Pending, Some(Err(failure))) => Progress::failed(format!("no connection: {}", failure.message)),
            (progress, _) => progress,
        }
    }

    fn asked(&mut self, call: &str, params: &Value, conditions: &[Condition], names: &mut Names) -> Progress {
        let Some(found) = self.calls.get(call) else { return Progress::failed("no such call") };
        let Some(request_id) = &found.request_id else {
            return match found.outcome() {
                Some(Outcome::Failed(failure)) => Progress::failed(format!("the call failed: {}", failure.message)),
                _ => Progress::Pending,
            };
        };
        let requests = self.connections.get(&found.connection).map_or(&[][..], |connection| &connection.requests);
        let of_call = |asked: &&connection::Asked| {
            asked.params["requestId"].as_str() == Some(request_id) && asked.params["url"].as_str() == Some(&found.url)
        };
        let Some(asked) = requests.iter().find(of_call) else { return Progress::Pending };
        let matched = match_json(params, Some(&asked.params), names)
            .and_then(|()| conditions.iter().try_for_each(|condition| asked.satisfies(condition, names)));
        match matched {
            Ok(()) => Progress::MET,
            Err(fault) => Progress::failed(format!("{fault} — {}", asked.text)),
        }
    }

    fn got(&mut self, connection: &str, method: &str, params: &Value, names: &mut Names) -> Progress {
        let connection = self.connection(connection);
        let request = connection.requests.iter_mut().find(|asked| !asked.taken && asked.method == method);
        let params_of = match request {
            Some(asked) => {
                asked.taken = true;
                names.insert(id_name(method), asked.id.to_value().to_string());
                &asked.params
            }
            None => match connection.notifications.iter_mut().find(|told| !told.taken && told.method == method) {
                Some(told) => {
                    told.taken = true;
                    &told.params
                }
                None if connection.ended.is_some() => {
                    return Progress::failed("the end of the connection by the client");
                }
                None => return Progress::Pending,
            },
        };
        match match_json(params, Some(params_of), names) {
            // Any object matches what asks for nothing; a missing `params` does as well.
            Err(fault) if params.as_object().is_none_or(|params| !params.is_empty()) => Progress::failed(fault),
            _ => Progress::MET,
        }
    }

    fn expect(&mut self, step: &Step, expect: &Expect, names: &Names) -> Progress {
        let connection = self.connection(&step.connection);
        match expect {
            Expect::Closed if connection.ended.is_some() => Progress::DONE,
            Expect::Closed => Progress::Pending,
            Expect::Pong(payload) => {
                let payload = payload.resolve_text(names).unwrap_or_default();
                match connection.pongs.iter().position(|pong| *pong == payload) {
                    Some(at) => {
                        connection.pongs.remove(at);
                        Progress::MET
                    }
                    None => self.pending(step),
                }
            }
            _ => Progress::failed("a step of cases for executors"),
        }
    }
}

#[cfg(test)]
mod tests;
