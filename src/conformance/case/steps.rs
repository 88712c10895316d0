//! Reading steps.

use serde_json::{Map, Value, json};

use super::plain::{read_conditions, read_plain};
use super::template::Template;
use super::words::Words;
use super::{Action, Expect, Form, MAIN, Outcome, Promise, Shape, Step};

/// The method of a barrier, which no executor has.
pub(in crate::conformance) const BARRIER_METHOD: &str = "conformance/barrier";

/// Bytes of the name of a stream, twice what an executor has to accept as a `requestId`.
const NAME_BYTES: u64 = 2_048;

/// Calls of each kind that one `first-delta` makes.
const FIRST_DELTA_CALLS: usize = 1_000;

/// The steps that open a connection and complete the handshake on it.
pub fn handshake(connection: &str, line: usize) -> Vec<Step> {
    let id = || Value::from(format!("handshake-{connection}"));
    let session = if connection == MAIN { "$set(sessionId)" } else { "$text" };
    let initialize = json!({"id": id(), "method": "initialize", "params": {"clientName": "exec-http conformance"}});
    let greeted = Outcome { shape: Shape::Result(json!({"sessionId": session})), conditions: Vec::new() };
    let actions = [
        Action::Connect,
        Action::Send(initialize),
        Action::Expect(Expect::Answer(id(), vec![greeted])),
        Action::Send(json!({"method": "initialized", "params": {}})),
    ];
    let promise = Promise::Clause("HANDSHAKE-2".to_owned());
    actions
        .into_iter()
        .map(|action| Step {
            line,
            source: format!("handshake on {connection}"),
            connection: connection.to_owned(),
            action,
            promise: promise.clone(),
            or_closed: false,
            or_malformed: false,
        })
        .collect()
}

/// Reads the steps of one case.
#[derive(Debug, Default)]
pub struct StepReader {
    /// The names of connections behind `connect`.
    connections: Vec<String>,
    /// The accepted params of the last `twin`, and how many refusals and acceptances followed.
    twin: Option<(Map<String, Value>, usize, usize)>,
    /// How many ids were made up.
    made_up: usize,
    /// Stream names whose `requestId` is another.
    aliases: Vec<(String, Template)>,
}

impl StepReader {
    /// Reads one line; some lines are several steps.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong.
    pub fn read(&mut self, line: usize, text: &str) -> Result<Vec<Step>, String> {
        let (text, promise) = Promise::split(text);
        let mut words = Words::new(text);
        let mut connection = MAIN;
        if self.connections.iter().any(|name| name == words.peek()) {
            connection = words.word("a connection")?;
        }
        if words.peek() == "connect" {
            return self.read_connect(line, words);
        }
        let mut reading = Reading::new(line, text, connection, promise);
        self.read_step(&mut words, &mut reading)?;
        words.end()?;
        Ok(reading.steps)
    }

    /// All lines were read.
    ///
    /// # Errors
    ///
    /// When a twin lacks one of its sides.
    pub fn finish(&self) -> Result<(), String> {
        match self.twin {
            Some((_, refused, accepted)) if refused == 0 || accepted == 0 => {
                Err("a twin needs at least one `refuse` and one `accept`".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn made_up_id(&mut self, what: &str) -> Value {
        self.made_up += 1;
        Value::from(format!("{what}-{}", self.made_up))
    }

    fn read_connect(&mut self, line: usize, mut words: Words<'_>) -> Result<Vec<Step>, String> {
        words.take("connect");
        let name = words.word("the name of the connection")?;
        let mut steps = handshake(name, line);
        if words.take("none") {
            steps.truncate(1);
        }
        self.connections.push(name.to_owned());
        words.end().map(|()| steps)
    }

    fn read_step(&mut self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        match words.word("a step")? {
            "->" => self.read_send(words, reading),
            "<-" => {
                let expect = self.read_expect(words, reading)?;
                reading.push(Action::Expect(expect));
                Ok(())
            }
            "barrier" => {
                if reading.promise == Promise::Case {
                    reading.promise = Promise::Setup;
                }
                let id = self.made_up_id("barrier");
                reading.push(Action::Send(json!({"id": id, "method": BARRIER_METHOD})));
                let any = Outcome { shape: Shape::Answered, conditions: Vec::new() };
                reading.push(Action::Expect(Expect::Answer(id, vec![any])));
                Ok(())
            }
            "twin" => match words.json()? {
                Value::Object(params) => {
                    self.finish()?;
                    self.twin = Some((params, 0, 0));
                    Ok(())
                }
                _ => Err("twin needs the params as an object".to_owned()),
            },
            side @ ("refuse" | "accept") => self.read_twin(side == "refuse", words, reading),
            "first-delta" => self.read_first_delta(words, reading),
            word => {
                let action = read_plain(word, words)?;
                reading.push(action);
                Ok(())
            }
        }
    }

    fn read_send(&mut self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let form = match words.peek() {
            "raw" => Some(Form::Frame),
            "binary" => Some(Form::Binary),
            "fragments" => Some(Form::Fragments(0)),
            "split" => Some(Form::Split(0)),
            "crlf" => Some(Form::Crlf),
            "bytes" => Some(Form::Bytes),
            _ => None,
        };
        let action = if let Some(form) = form {
            words.word("")?;
            let form = match form {
                Form::Fragments(_) => Form::Fragments(words.parse("a number of fragments")?),
                Form::Split(_) => Form::Split(words.parse("a number of writes")?),
                form => form,
            };
            Action::SendBytes(words.bytes()?, form)
        } else if words.take("burst") {
            Action::Burst
        } else if words.take("notify") {
            let mut message = json!({"method": words.word("a method")?});
            if !words.is_empty() {
                message["params"] = words.json()?;
            }
            Action::Send(message)
        } else {
            let id = words.json()?;
            match words.word("a method, stream or call")? {
                "stream" => {
                    let name = words.name("the name of the stream")?;
                    if name.length(&Default::default()) > NAME_BYTES {
                        return Err(format!("the name of the stream is longer than {NAME_BYTES} bytes"));
                    }
                    let name =
                        name.resolve_text(&Default::default()).map_err(|error| format!("stream name: {error}"))?;
                    let params = read_call(words, json!({"requestId": name, "streamResponse": true}))?;
                    if let Some(id) = params["requestId"].as_str().filter(|id| *id != name) {
                        self.aliases.push((name, Template::parse(id.as_bytes())?));
                    }
                    Action::Send(request(id, &params))
                }
                "call" => {
                    let name = self.made_up_id("call");
                    let params = read_call(words, json!({"requestId": name}))?;
                    Action::Send(request(id, &params))
                }
                method => {
                    let mut message = json!({"id": id, "method": method});
                    if !words.is_empty() {
                        message["params"] = words.json()?;
                    }
                    Action::Send(message)
                }
            }
        };
        reading.push(action);
        Ok(())
    }

    fn read_twin(&mut self, refuse: bool, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let change = if words.is_object() { words.json()? } else { json!({}) };
        let id = self.made_up_id(if refuse { "refuse" } else { "accept" });
        let Some((params, refused, accepted)) = &mut self.twin else { return Err("there is no twin above".to_owned()) };
        let changes = change.as_object().map_or(0, Map::len);
        if changes > 1 || (refuse && changes != 1) {
            return Err("exactly one member must differ from the twin".to_owned());
        }
        *(if refuse { refused } else { accepted }) += 1;
        let mut params = Value::Object(params.clone());
        merge(&mut params, change);
        let outcomes = read_outcomes(words, reading)?;
        reading.push(Action::Send(request(id.clone(), &params)));
        reading.push(Action::Expect(Expect::Answer(id, outcomes)));
        Ok(())
    }

    fn read_first_delta(&mut self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<(), String> {
        let url = full_url(words.word("a path")?);
        let calls: usize = words.parse("a number of calls")?;
        if calls > FIRST_DELTA_CALLS {
            return Err(format!("first-delta makes at most {FIRST_DELTA_CALLS} calls"));
        }
        if !words.take("below") {
            return Err("first-delta needs `below`".to_owned());
        }
        let below = words.duration()?;
        let (mut buffered, mut streamed) = (Vec::new(), Vec::new());
        for nth in 0..2 * calls {
            let id = self.made_up_id("first-delta");
            let stream = nth >= calls;
            let params = json!({"method": "GET", "url": url, "requestId": id, "streamResponse": stream});
            reading.push(Action::Send(request(id.clone(), &params)));
            let ok = Outcome { shape: Shape::Status(vec![200]), conditions: Vec::new() };
            reading.push(Action::Expect(Expect::Answer(id.clone(), vec![ok])));
            if stream {
                let name = Template::parse(id.as_str().unwrap_or_default().as_bytes())?;
                reading.push(Action::Expect(Expect::Whole(name, None, None)));
            }
            if stream { streamed.push(id) } else { buffered.push(id) }
        }
        reading.push(Action::FirstDelta { buffered, streamed, below });
        Ok(())
    }

    fn read_expect(&self, words: &mut Words<'_>, reading: &mut Reading<'_>) -> Result<Expect, String> {
        if words.rest().starts_with(['"', '-']) || words.peek().starts_with(|first: char| first.is_ascii_digit()) {
            let id = words.json()?;
            return Ok(Expect::Answer(id, read_outcomes(words, reading)?));
        }
        let expect = match words.word("what is expected")? {
            "part" => Expect::Part(self.read_stream_name(words)?, words.bytes()?),
            "deltas" => {
                let (name, bytes) = (self.read_stream_name(words)?, words.bytes()?);
                let frames = if words.take("frames") { Some(words.parse("a number of frames")?) } else { None };
                Expect::Whole(name, Some(bytes), frames)
            }
            "failed" => {
                let name = self.read_stream_name(words)?;
                let bytes = match () {
                    () if words.take("after-any") => None,
                    () if words.is_bytes() => Some(words.bytes()?),
                    () => Some(Template::default()),
                };
                Expect::Failed(name, bytes, read_conditions(words)?)
            }
            "malformed" => Expect::Malformed,
            "closed" => Expect::Closed,
            "close-frame" => {
                let number = words.peek().starts_with(|first: char| first.is_ascii_digit());
                Expect::CloseFrame(if number { Some(words.parse("a close code")?) } else { None })
            }
            "pong" => Expect::Pong(words.bytes()?),
            "exit" => Expect::Exit(if words.is_empty() { None } else { Some(words.parse("an exit code")?) }),
            other => return Err(format!("{other:?} is nothing that can be expected")),
        };
        if reading.alternatives(words) {
            return Err(format!("or {:?}: only `closed` and `malformed` can stand here", words.rest()));
        }
        Ok(expect)
    }

    /// Reads the name of a stream; what is awaited is the `requestId` that its call carries.
    fn read_stream_name(&self, words: &mut Words<'_>) -> Result<Template, String> {
        let name = words.name("the name of the stream")?;
        let alias = self.aliases.iter().rev().find(|(alias, _)| name.is_text(alias));
        Ok(alias.map_or(name, |(_, id)| id.clone()))
    }
}

impl Promise {
    /// The text without the promise at its end.
    pub(in crate::conformance) fn split(text: &str) -> (&str, Self) {
        match text.rsplit_once(" @") {
            Some((text, "setup")) => (text, Self::Setup),
            Some((text, clause))
                if !clause.is_empty() && !clause.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') =>
            {
                (text, Self::Clause(clause.to_owned()))
            }
            _ => (text, Self::Case),
        }
    }
}

/// What the steps of one line have in common.
pub(in crate::conformance) struct Reading<'a> {
    /// Its number.
    line: usize,
    /// Its text.
    source: String,
    /// The connection that it names.
    connection: &'a str,
    /// Who promises it.
    pub(in crate::conformance) promise: Promise,
    /// `or closed` was read.
    or_closed: bool,
    /// `or malformed` was read.
    or_malformed: bool,
    /// The steps read so far.
    pub(in crate::conformance) steps: Vec<Step>,
}

impl<'a> Reading<'a> {
    /// A line of which no step was read yet.
    pub(in crate::conformance) fn new(line: usize, text: &str, connection: &'a str, promise: Promise) -> Self {
        let source = text.to_owned();
        Self { line, source, connection, promise, or_closed: false, or_malformed: false, steps: Vec::new() }
    }

    pub(in crate::conformance) fn push(&mut self, action: Action) {
        self.steps.push(Step {
            line: self.line,
            source: self.source.clone(),
            connection: self.connection.to_owned(),
            action,
            promise: self.promise.clone(),
            or_closed: self.or_closed,
            or_malformed: self.or_malformed,
        });
    }

    /// Takes `or closed` and `or malformed`; `true` when another `or` is left.
    fn alternatives(&mut self, words: &mut Words<'_>) -> bool {
        while words.peek() == "or" {
            let before = *words;
            words.take("or");
            if words.take("closed") {
                self.or_closed = true;
            } else if words.take("malformed") {
                self.or_malformed = true;
            } else {
                *words = before;
                words.take("or");
                return true;
            }
        }
        false
    }
}

fn request(id: Value, params: &Value) -> Value {
    json!({"id": id, "method": "http/request", "params": params})
}

fn full_url(url: &str) -> String {
    if url.starts_with('/') { format!("$origin{url}") } else { url.to_owned() }
}

/// Reads `METHOD URL [JSON]` into params.
fn read_call(words: &mut Words<'_>, more: Value) -> Result<Value, String> {
    let method = words.word("a method")?;
    let url = full_url(words.word("a URL")?);
    let mut params = json!({"method": method, "url": url});
    merge(&mut params, more);
    if words.is_object() {
        merge(&mut params, words.json()?);
    }
    Ok(params)
}

/// Adds and replaces members; `"$absent"` removes.
pub(in crate::conformance) fn merge(params: &mut Value, change: Value) {
    let (Value::Object(params), Value::Object(change)) = (params, change) else { return };
    for (name, value) in change {
        if value == "$absent" {
            params.remove(&name);
        } else {
            params.insert(name, value);
        }
    }
}

pub(in crate::conformance) fn read_outcomes(
    words: &mut Words<'_>,
    reading: &mut Reading<'_>,
) -> Result<Vec<Outcome>, String> {
    let mut outcomes = Vec::new();
    loop {
        let shape = if words.is_object() {
            Shape::Result(words.json()?)
        } else if words.take("error") {
            Shape::Error(words.alternatives("an error code")?)
        } else if words.take("answered") {
            Shape::Answered
        } else {
            Shape::Status(words.alternatives("a status, an object, `error` or `answered`")?)
        };
        outcomes.push(Outcome { shape, conditions: read_conditions(words)? });
        if !reading.alternatives(words) {
            return Ok(outcomes);
        }
    }
}
