//! Reading the steps of a case for clients. `docs/notation.md` describes them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::claims::NAMES;
use super::judge::CREDIT_NAME;
use super::script::{Answer, CANCEL_METHOD, CREDIT_METHOD, ClientAction, Deltas, Order, Seq, Sight};
use crate::conformance::case::plain::{read_conditions, read_plain};
use crate::conformance::case::steps::{Reading, merge, read_outcomes};
use crate::conformance::case::template::{Count, Template};
use crate::conformance::case::words::Words;
use crate::conformance::case::{Action, Condition, Expect, Form, MAIN, Promise, Step};

/// What a call asks for, unless the case says otherwise; the name of the call follows. No name server knows the host.
const URL: &str = "http://origin.invalid/";

/// Words that may stand behind a `$` without being names.
const FUNCTIONS: [&str; 8] = ["base64", "repeat", "base64-fill", "any", "absent", "text", "id", "otherId"];

/// The steps by which a library opens a connection.
pub fn opening(connection: &str, line: usize) -> Vec<Step> {
    let step = |action| Step {
        line,
        source: format!("the client connects: {connection}"),
        connection: connection.to_owned(),
        action: Action::Client(action),
        promise: Promise::Clause("HANDSHAKE-1".to_owned()),
        or_closed: false,
        or_malformed: false,
    };
    let actions = [vec![ClientAction::Open], handshake(), vec![ClientAction::Opened]].concat();
    actions.into_iter().map(step).collect()
}

/// What the executor has to do with a client that connects.
fn handshake() -> Vec<ClientAction> {
    vec![ClientAction::Connected(Vec::new()), got("initialize"), ClientAction::Greet(json!({})), got("initialized")]
}

fn got(method: &str) -> ClientAction {
    ClientAction::Got { method: method.to_owned(), params: json!({}) }
}

/// Reads the steps of one case.
#[derive(Debug, Default)]
pub struct ClientStepReader {
    /// The names of connections behind `open`.
    connections: BTreeSet<String>,
    /// The names of calls.
    calls: BTreeSet<String>,
    /// How many barriers were made up.
    barriers: usize,
}

impl ClientStepReader {
    /// Reads one line; some lines are several steps.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong.
    pub fn read(&mut self, line: usize, text: &str) -> Result<Vec<Step>, String> {
        let (text, promise) = Promise::split(text);
        self.check_names(text)?;
        let mut words = Words::new(text);
        let mut connection = MAIN;
        if self.connections.contains(words.peek()) {
            connection = words.word("a connection")?;
        }
        if words.take("open") && !words.is_empty() {
            return self.read_open(line, &mut words);
        }
        let mut reading = Reading::new(line, text, connection, promise);
        let mut words = Words::new(text);
        if connection != MAIN {
            words.word("a connection")?;
        }
        self.read_step(&mut words, &mut reading)?;
        words.end()?;
        if reading.steps.iter().any(|step| step.or_closed || step.or_malformed) {
            return Err("`or closed` and `or malformed` stand in cases for executors only".to_owned());
        }
        Ok(reading.steps)
    }

    fn check_names(&self, text: &str) -> Result<(), String> {
        for behind in text.replace("$$", "").split('$').skip(1) {
            let end = behind.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(behind.len());
            let word = &behind[..end];
            let of_call = word.strip_suffix(CREDIT_NAME).unwrap_or(word);
            if !NAMES.contains(&word) && !FUNCTIONS.contains(&word) && !self.calls.contains(of_call) {
                return Err(format!("${word} stands for nothing; write $$ for a dollar sign"));
            }
        }
        Ok(())
    }

    /// `open b`: another connection, with its handshake.
    fn read_open(&mut self, line: usize, words: &mut Words<'_>) -> Result<Vec<Step>, String> {
        let name = words.word("the name of the connection")?;
        words.end()?;
        self.take_name(name)?;
        self.connections.insert(name.to_owned());
        Ok(opening(name, line))
    }

    fn take_name(&self, name: &str) -> Result<(), String> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("{name:?} is no name of letters and digits"));
        }
        let words =
            ["open", "opened", "call", "sync", "census", "barrier", "drop", "close", "eof", "main", "reconnected"];
        if words.contains(&name) || self.calls.contains(name) || self.connections.contains(name) {
            return Err(format!("{name:?} is taken"));
        }
        Ok(())
    }

    fn call(&self, words: &mut Words<'_>) -> Result<String, String> {
        let name = words.word("the name of a call")?;
        if self.calls.contains(name) { Ok(name.to_owned()) } else { Err(format!("there is no call {name}")) }
    }

    fn read_step(&mut self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let action = match words.peek() {
            "->" => {
                words.word("->")?;
                return self.read_send(words, reading);
            }
            "<-" => {
                words.word("<-")?;
                self.read_expect(words, reading)?
            }
            "=>" => {
                words.word("=>")?;
                if !words.take("closed") {
                    return Err("behind `=>` without a call there can only be `closed`".to_owned());
                }
                Action::Client(ClientAction::SawClosed)
            }
            "call" => {
                words.word("call")?;
                self.read_call(words)?
            }
            "barrier" => {
                words.word("barrier")?;
                return self.read_barrier(reading);
            }
            "open" => {
                words.word("open")?;
                Action::Client(ClientAction::Open)
            }
            "opened" => {
                words.word("opened")?;
                Action::Client(if words.take("fails") {
                    ClientAction::OpenFails(read_conditions(words)?)
                } else {
                    ClientAction::Opened
                })
            }
            "reconnected" => {
                words.word("reconnected")?;
                for action in [vec![ClientAction::Readmit], handshake()].concat() {
                    reading.push(Action::Client(action));
                }
                return Ok(());
            }
            "sync" => {
                words.word("sync")?;
                Action::Client(ClientAction::Sync)
            }
            "hang-up" => {
                words.word("hang-up")?;
                Action::Client(ClientAction::HangUp)
            }
            "census" => {
                words.word("census")?;
                Action::Client(ClientAction::Census { now: words.take("now") })
            }
            name if self.calls.contains(name) => return self.read_application(words, reading),
            word @ ("ping" | "close" | "eof" | "drop" | "pause" | "resume" | "mark" | "elapsed") => {
                words.word("a step")?;
                read_plain(word, words)?
            }
            other => return Err(format!("{other:?} is no step, and no call of that name was made")),
        };
        reading.push(action);
        Ok(())
    }

    /// `call NAME stream|buffered [METHOD URL] [JSON]`
    fn read_call(&mut self, words: &mut Words<'_>) -> Result<Action, String> {
        let name = words.word("the name of the call")?.to_owned();
        self.take_name(&name)?;
        let stream = match words.word("stream or buffered")? {
            "stream" => true,
            "buffered" => false,
            other => return Err(format!("{other:?} is not stream or buffered")),
        };
        let (mut method, mut url) = ("GET", format!("{URL}{name}"));
        if !words.is_empty() && !words.is_object() {
            method = words.word("a method")?;
            url = words.word("a URL")?.to_owned();
        }
        let mut request = json!({"stream": stream, "method": method, "url": url, "headers": []});
        if words.is_object() {
            merge(&mut request, words.json()?);
        }
        self.calls.insert(name.clone());
        Ok(Action::Client(ClientAction::Call { call: name, request }))
    }

    /// An ordered round trip: a call of its own, answered with no bytes.
    fn read_barrier(&mut self, reading: &mut Reading<'_>) -> Result<(), String> {
        if reading.promise == Promise::Case {
            reading.promise = Promise::Setup;
        }
        self.barriers += 1;
        let call = format!("barrier{}", self.barriers);
        let request = json!({"stream": true, "method": "GET", "url": format!("{URL}{call}"), "headers": []});
        let result = json!({"status": 204, "headers": []});
        let answer = Answer::Result { result, body: Template::default(), members: json!({}) };
        let terminal = Deltas {
            call: call.clone(),
            seq: Seq::Off(0),
            count: Count::parse("1")?,
            data: Template::default(),
            done: true,
            error: None,
            members: json!({}),
            form: Form::Frame,
        };
        for action in [
            ClientAction::Call { call: call.clone(), request },
            ClientAction::Asked { call: call.clone(), params: json!({}), conditions: Vec::new() },
            ClientAction::Answer { call: call.clone(), answer, form: Form::Frame },
            ClientAction::Deltas(terminal),
            ClientAction::Saw(call.clone(), Sight::Response(vec![204], Vec::new())),
            ClientAction::Saw(call.clone(), Sight::End),
            // A client may keep what it holds for a stream until the application lets go of it.
            ClientAction::Order(call.clone(), Order::Drop { foreign: false }),
        ] {
            reading.push(Action::Client(action));
        }
        self.calls.insert(call);
        Ok(())
    }

    /// What the application does with a call, and what it sees of it.
    fn read_application(&self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let call = self.call(words)?;
        let order = match words.word("`=>`, read, drain, drop or cancel")? {
            "=>" => return read_sights(&call, words, reading),
            "read" => Order::Read { abandon: words.take("abandon") },
            "drain" => Order::Drain,
            "drop" => Order::Drop { foreign: words.take("foreign") },
            "cancel" => Order::Cancel,
            other => return Err(format!("{other:?} is nothing that an application does with a call")),
        };
        reading.push(Action::Client(ClientAction::Order(call, order)));
        Ok(())
    }

    fn read_expect(&self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<Action, String> {
        let is_id =
            words.rest().starts_with(['"', '-']) || words.peek().starts_with(|first: char| first.is_ascii_digit());
        if is_id {
            let id = words.json()?;
            return Ok(Action::Client(ClientAction::Answered(id, read_outcomes(words, reading)?)));
        }
        let params = |words: &mut Words<'_>| if words.is_object() { words.json() } else { Ok(json!({})) };
        Ok(match words.peek() {
            "connected" => {
                words.word("connected")?;
                Action::Client(ClientAction::Connected(read_conditions(words)?))
            }
            "closed" => {
                words.word("closed")?;
                Action::Expect(Expect::Closed)
            }
            "pong" => {
                words.word("pong")?;
                Action::Expect(Expect::Pong(words.bytes()?))
            }
            method @ ("initialize" | "initialized" | CANCEL_METHOD | CREDIT_METHOD) => {
                words.word("a method")?;
                Action::Client(ClientAction::Got { method: method.to_owned(), params: params(words)? })
            }
            _ => {
                let call = self.call(words)?;
                let params = params(words)?;
                Action::Client(ClientAction::Asked { call, params, conditions: read_conditions(words)? })
            }
        })
    }

    fn read_send(&self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let wrapped = words.take("as");
        let form = match words.peek() {
            "raw" | "binary" | "crlf" | "bytes" | "fragments" | "split" => read_form(words)?,
            _ if wrapped => return Err("behind `as` a form is missing".to_owned()),
            _ => None,
        };
        let action = match form {
            Some(form) if !wrapped => Action::SendBytes(words.bytes()?, form),
            _ if words.take("burst") => Action::Burst,
            form => {
                let form = form.unwrap_or(Form::Frame);
                Action::Client(if words.is_object() {
                    ClientAction::Send(words.json()?, form)
                } else if words.take("initialize") {
                    ClientAction::Greet(if words.is_object() { words.json()? } else { json!({}) })
                } else {
                    let call = self.call(words)?;
                    read_frame(call, words, form)?
                })
            }
        };
        reading.push(action);
        Ok(())
    }
}

fn read_form(words: &mut Words<'_>) -> Result<Option<Form>, String> {
    Ok(Some(match words.word("a form")? {
        "raw" => Form::Frame,
        "binary" => Form::Binary,
        "crlf" => Form::Crlf,
        "bytes" => Form::Bytes,
        "fragments" => Form::Fragments(words.parse("a number of fragments")?),
        "split" => Form::Split(words.parse("a number of writes")?),
        _ => return Ok(None),
    }))
}

/// What the executor says about a call: `200 [body BYTES] [JSON]`, `error CODE TEXT [JSON]`, `delta ...`, `done`.
fn read_frame(call: String, words: &mut Words<'_>, form: Form) -> Result<ClientAction, String> {
    if words.take("delta") {
        return Ok(ClientAction::Deltas(read_deltas(call, words, form)?));
    }
    if words.take("error") {
        let code: i64 = words.parse("an error code")?;
        let mut error = json!({"code": code, "message": words.bytes()?.resolve_text(&Default::default())?});
        if words.is_object() {
            merge(&mut error, words.json()?);
        }
        return Ok(ClientAction::Answer { call, answer: Answer::Error(error), form });
    }
    let status: u16 = words.parse("a status, error or delta")?;
    let mut result = json!({"status": status, "headers": []});
    let mut body = Template::default();
    loop {
        if words.take("body") {
            body = words.bytes()?;
        } else if words.take("header") {
            let name = words.word("a header name")?;
            let value = words.bytes()?.resolve_text(&Default::default())?;
            let headers = result["headers"].as_array_mut().ok_or("headers are an array")?;
            headers.push(json!({"name": name, "value": value}));
        } else {
            break;
        }
    }
    let members = if words.is_object() { words.json()? } else { json!({}) };
    Ok(ClientAction::Answer { call, answer: Answer::Result { result, body, members }, form })
}

/// `[seq N|+N|-N] [xCOUNT] [BYTES] [done] [error TEXT] [JSON]`
fn read_deltas(call: String, words: &mut Words<'_>, form: Form) -> Result<Deltas, String> {
    let mut seq = Seq::Off(0);
    if words.take("seq") {
        let word = words.word("a seq")?;
        let number = || word.parse::<i64>().map_err(|_| format!("{word:?} is not N, +N or -N"));
        seq = if word.starts_with(['+', '-']) {
            Seq::Off(number()?)
        } else {
            Seq::At(word.parse().map_err(|_| format!("{word:?} is not N, +N or -N"))?)
        };
    }
    let mut count = Count::parse("1")?;
    if let Some(number) = words.peek().strip_prefix('x') {
        count = Count::parse(number)?;
        words.word("a count")?;
    }
    let data = if words.is_bytes() { words.bytes()? } else { Template::default() };
    let done = words.take("done");
    let error = if words.take("error") { Some(words.bytes()?.resolve_text(&Default::default())?) } else { None };
    let members = if words.is_object() { words.json()? } else { json!({}) };
    Ok(Deltas { call, seq, count, data, done, error, members, form })
}

/// One sight or several: `"bytes" end`, `200`, `fails kind disconnected`.
fn read_sights(call: &str, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
    loop {
        let after_any = words.take("any");
        let sight = if words.take("fails") {
            Sight::Fails { after_any, conditions: read_conditions(words)? }
        } else if after_any {
            return Err("behind `any` there can only be `fails`".to_owned());
        } else if words.is_bytes() {
            Sight::Bytes(words.bytes()?)
        } else if words.take("end") {
            Sight::End
        } else if words.take("silent") {
            Sight::Silent
        } else {
            let statuses = words.alternatives("a status, bytes, end, fails or silent")?;
            Sight::Response(statuses, read_conditions(words)?)
        };
        reading.push(Action::Client(ClientAction::Saw(call.to_owned(), sight)));
        if words.is_empty() {
            return Ok(());
        }
    }
}

/// The step can only be satisfied by something that the library does, other than going away.
pub fn observes(action: &ClientAction) -> bool {
    match action {
        ClientAction::Saw(_, Sight::Silent) => false,
        ClientAction::Saw(..)
        | ClientAction::Asked { .. }
        | ClientAction::Got { .. }
        | ClientAction::Answered(..)
        | ClientAction::Opened
        | ClientAction::Connected(_) => true,
        _ => false,
    }
}

/// The words of `needs` that the case does not have although a step asks for them.
pub fn missing_need(action: &ClientAction, needs: &[String]) -> Option<&'static str> {
    let has = |need: &str| needs.iter().any(|word| word == need);
    let kind = |conditions: &[Condition]| conditions.iter().any(|condition| matches!(condition, Condition::Kind(_)));
    let need = match action {
        ClientAction::Census { .. } => "census",
        ClientAction::Order(_, Order::Cancel) => "cancel",
        ClientAction::Order(_, Order::Read { abandon: true }) => "abandon",
        ClientAction::Order(_, Order::Drop { foreign: true }) => "foreign-drop",
        ClientAction::SawClosed => "close-events",
        ClientAction::Readmit => "reconnect",
        ClientAction::Got { method, .. } if method == CANCEL_METHOD => "remote-cancel",
        ClientAction::Got { method, .. } if method == CREDIT_METHOD => "body-credit",
        ClientAction::Saw(_, Sight::Fails { conditions, .. }) | ClientAction::OpenFails(conditions)
            if kind(conditions) =>
        {
            "error-kinds"
        }
        ClientAction::Call { request, .. } if request["stream"] == Value::Bool(false) => "buffered",
        ClientAction::Call { request, .. } if request.get("requestId").is_some() => "caller-ids",
        _ => return None,
    };
    (!has(need)).then_some(need)
}

#[cfg(test)]
mod tests;
