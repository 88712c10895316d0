//! The events of a case that its diagram shows: the beginning, the end, and of many like ones in a row the first and the last.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde_json::{Value, json};

use super::super::super::case::{Action, Case};
use super::super::super::client::messages::{Line, Reply};
use super::super::super::client::script::ClientAction;
use super::super::super::trace::{Event, What};

/// Of like events in a row, how many are kept at either end.
const RUN_EDGE: usize = 20;

/// Like events in a row that the page may fold.
const FOLD_FROM: usize = 13;

/// Microseconds without an event that the diagram shows as time that passes.
const PAUSE_MICROS: u64 = 20_000;

/// Bytes of a line of a trace; a longer one ends the reading.
const LINE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a frame that stays as it is.
const FRAME_BYTES: usize = 2_000;

/// Characters of a string in a longer one.
const STRING_CHARACTERS: usize = 300;

/// Characters of base64 in a longer one; a multiple of four.
const BASE64_CHARACTERS: usize = 1_024;

/// Members and items in a longer one.
const ITEMS: usize = 64;

/// What a diagram shows.
#[derive(Debug)]
pub(super) struct Diagram<'a> {
    /// The case, where it is known: its steps have lines.
    case: Option<&'a Case>,
    /// The event that decided; it is always kept.
    decided: Option<u64>,
    /// Events that are kept.
    most: usize,
    /// The first of them.
    head: Vec<Value>,
    /// The last of them.
    tail: VecDeque<Value>,
    /// What stood between the two.
    left_out: LeftOut,
    /// Like events that came last.
    run: Run,
    /// The current step, where it waits; shown if it waits for long.
    waiting: Option<Value>,
    /// The line of the step that was shown last.
    waited: Value,
    /// When the last event happened, in microseconds.
    last_micros: u64,
}

/// Like events in a row.
#[derive(Debug, Default)]
struct Run {
    /// In what they are alike; empty where an event is like no other.
    key: String,
    /// How many runs there were before.
    index: usize,
    /// How many they are.
    length: usize,
    /// The first.
    first: Vec<Value>,
    /// The last.
    last: VecDeque<Value>,
    /// What stood between the two.
    left_out: LeftOut,
}

/// Events that are not kept.
#[derive(Debug, Default)]
struct LeftOut {
    /// How many of what.
    nouns: BTreeMap<String, u64>,
    /// When the last happened, in microseconds.
    micros: u64,
}

impl LeftOut {
    fn add(&mut self, event: &Value) {
        self.micros = event["micros"].as_u64().unwrap_or(self.micros);
        match event["nouns"].as_object() {
            // One that stands for others.
            Some(nouns) => {
                for (noun, count) in nouns {
                    *self.nouns.entry(noun.clone()).or_default() += count.as_u64().unwrap_or(0);
                }
            }
            None => *self.nouns.entry(event["noun"].as_str().unwrap_or("other events").to_owned()).or_default() += 1,
        }
    }

    /// Stands for all of them.
    fn event(self) -> Option<Value> {
        let LeftOut { nouns, micros } = self;
        (!nouns.is_empty()).then(|| json!({"event": "left-out", "micros": micros, "nouns": nouns}))
    }
}

impl<'a> Diagram<'a> {
    /// Reads a trace as far as it goes; `None` when there is none. Of more than `most` events the middle is left out.
    pub(super) fn read(file: &Path, case: Option<&'a Case>, decided: Option<u64>, most: usize) -> Option<Self> {
        let mut diagram = Self::new(case, decided, most);
        let mut reader = BufReader::new(File::open(file).ok()?);
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line).ok()?;
            // Half a last line, or what is no event at all, is the end of what can be shown.
            let Ok(event) = serde_json::from_slice::<Event>(&line) else { return Some(diagram) };
            diagram.add(&event);
        }
    }

    fn new(case: Option<&'a Case>, decided: Option<u64>, most: usize) -> Self {
        Self {
            case,
            decided,
            most,
            head: Vec::new(),
            tail: VecDeque::new(),
            left_out: LeftOut::default(),
            run: Run::default(),
            waiting: None,
            waited: Value::Null,
            last_micros: 0,
        }
    }

    /// The events as the page reads them: those of a trace, with `noun` where they can be counted, `run` where they can be folded,
    /// steps with their line, and `left-out`.
    pub(super) fn into_events(mut self) -> Vec<Value> {
        // A run that was killed ends here.
        if self.decided.is_none() {
            self.show_wait();
        }
        self.end_run();
        let Self { mut head, tail, left_out, .. } = self;
        head.extend(left_out.event());
        head.extend(tail);
        head
    }

    fn add(&mut self, event: &Event) {
        if let What::Step { step } = event.what {
            if let Some((kind, value)) = self.step(event, step) {
                // Whatever an earlier step waited for has come.
                self.waiting = (kind == Kind::Wait).then(|| value.clone());
                if kind == Kind::Do {
                    self.join("", value);
                }
            }
            return;
        }
        if matches!(&event.what, What::Heard { line: Line::Reply { reply: Reply::Ok, .. } }) {
            return;
        }
        let (key, noun) = likeness(&event.what);
        let paused = event.micros.saturating_sub(self.last_micros) >= PAUSE_MICROS;
        if paused {
            self.show_wait();
        }
        if event.what == What::Finished {
            self.waiting = None;
        }
        self.last_micros = event.micros;
        let decides = self.decided == Some(event.number);
        if paused || decides {
            self.end_run();
        }
        let mut value = serde_json::to_value(event).unwrap_or_default();
        if let Some(text) = value.get_mut("text") {
            shorten_text(text);
        }
        for container in ["command", "line"] {
            if let Some(said) = value.get_mut(container) {
                shorten(said);
            }
        }
        if !noun.is_empty() {
            value["noun"] = noun.into();
        }
        self.join(if decides { "" } else { &key }, value);
    }

    /// Shows the step that waits, where time passes; not again below one with the same line.
    fn show_wait(&mut self) {
        if let Some(mut step) = self.waiting.take_if(|step| step["line"] != self.waited) {
            self.waited = step["line"].clone();
            let since = step["micros"].as_u64().unwrap_or_default();
            step["micros"] = since.max(self.last_micros).into();
            self.join("", step);
        }
    }

    /// A step with its line, what kind it is, and where it shows.
    fn step(&self, event: &Event, index: usize) -> Option<(Kind, Value)> {
        let step = self.case?.steps.get(index)?;
        let kind = Kind::of(&step.action);
        let (word, lane, line) = match step.action {
            _ if kind == Kind::Wait => ("wait", "wire", &*step.source),
            Action::Connect => ("do", "wire", "connects"),
            Action::Release(_) => ("do", "origin", &*step.source),
            Action::Signal(_) => ("do", "peer", &*step.source),
            _ => ("do", "wire", &*step.source),
        };
        let line = line.strip_prefix(&*step.connection).map_or(line, str::trim_start);
        let Event { number, micros, .. } = event;
        let connection = &step.connection;
        Some((
            kind,
            json!({"event": word, "number": number, "micros": micros, "line": line, "lane": lane, "connection": connection}),
        ))
    }

    /// The next event, like those of that key.
    fn join(&mut self, key: &str, event: Value) {
        if key.is_empty() || key != self.run.key {
            self.end_run();
            key.clone_into(&mut self.run.key);
        }
        let run = &mut self.run;
        run.length += 1;
        if run.first.len() < RUN_EDGE {
            run.first.push(event);
        } else {
            run.last.push_back(event);
            if run.last.len() > RUN_EDGE
                && let Some(event) = run.last.pop_front()
            {
                run.left_out.add(&event);
            }
        }
    }

    fn end_run(&mut self) {
        let index = self.run.index + 1;
        let Run { length, first, last, left_out, .. } =
            std::mem::replace(&mut self.run, Run { index, ..Run::default() });
        for mut event in first.into_iter().chain(left_out.event()).chain(last) {
            if length >= FOLD_FROM {
                event["run"] = index.into();
            }
            if self.head.len() < self.most / 2 {
                self.head.push(event);
                continue;
            }
            self.tail.push_back(event);
            if self.tail.len() > self.most / 2
                && let Some(event) = self.tail.pop_front()
            {
                self.left_out.add(&event);
            }
        }
    }
}

/// What a step means for a diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Other events tell what it does.
    Send,
    /// It does something that no other event tells.
    Do,
    /// It waits for something, or looks at something.
    Wait,
}

impl Kind {
    const fn of(action: &Action) -> Self {
        use Action::{Burst, Client, Close, Connect, Drop, Eof, Pause, Ping, Release, Resume, Signal};
        use ClientAction::{Asked, Connected, Got, Saw, SawClosed};
        match action {
            Connect | Release(_) | Ping(_) | Close | Eof | Drop | Pause | Resume | Signal(_) => Self::Do,
            Client(Asked { .. } | Connected(_) | Got { .. } | Saw(..) | SawClosed | ClientAction::Answered(..)) => {
                Self::Wait
            }
            Client(_) | Burst => Self::Send,
            _ if action.is_send() => Self::Send,
            _ => Self::Wait,
        }
    }
}

/// In what an event is like others, and what those are called. Nothing for events that are worth a line each.
fn likeness(what: &What) -> (String, &'static str) {
    let traffic = |noun| ("traffic".to_owned(), noun);
    match what {
        What::Sent { connection, text } | What::Received { connection, text, .. } => {
            let is_sent = matches!(what, What::Sent { .. });
            match noun(text) {
                "" => (String::new(), ""),
                noun @ "requests" => (format!("{noun} {is_sent} {connection}"), noun),
                // What comes back mixes with what the origins see.
                noun if !is_sent => traffic(noun),
                noun => (format!("answers {connection}"), noun),
            }
        }
        What::Request { .. } => traffic("requests at the origin"),
        What::Accepted { .. } => traffic("connections to the origin"),
        What::Closed { .. } => traffic("connections to the origin closed"),
        What::Aborted { .. } => ("aborted".to_owned(), "requests aborted at the origin"),
        What::Told { .. } => (String::new(), "orders to the adapter"),
        What::Heard { .. } => (String::new(), "reports of the adapter"),
        _ => (String::new(), ""),
    }
}

/// What frames of that shape are called.
fn noun(frame: &str) -> &'static str {
    let Ok(message) = serde_json::from_str::<Value>(frame) else { return "" };
    match message["method"].as_str() {
        Some("http/request/bodyDelta") => "deltas",
        Some("http/request") => "requests",
        Some(_) => "",
        None if message["result"]["status"].is_number() => "responses",
        None => "",
    }
}

/// Makes a frame short, and leaves it a message.
fn shorten_text(text: &mut Value) {
    let Some(frame) = text.as_str().filter(|frame| frame.len() > FRAME_BYTES) else { return };
    if let Ok(mut message) = serde_json::from_str::<Value>(frame) {
        shorten(&mut message);
        let short = message.to_string();
        if short.len() <= 4 * FRAME_BYTES {
            *text = short.into();
            return;
        }
    }
    *text = format!("{}… ({} bytes)", &frame[..frame.floor_char_boundary(FRAME_BYTES)], frame.len()).into();
}

/// Cuts long strings, arrays and objects in it.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > STRING_CHARACTERS => {
            *text = format!("{}… ({} bytes)", &text[..text.floor_char_boundary(STRING_CHARACTERS)], text.len());
        }
        Value::Array(items) => {
            let more = items.len().saturating_sub(ITEMS);
            items.truncate(ITEMS);
            items.iter_mut().for_each(shorten);
            if more > 0 {
                items.push(format!("… ({more} more)").into());
            }
        }
        Value::Object(members) => {
            let names: Vec<String> = members.keys().skip(ITEMS).cloned().collect();
            names.iter().for_each(|name| drop(members.remove(name)));
            for (name, member) in members {
                match member {
                    Value::String(text) if name.ends_with("Base64") => {
                        text.truncate(text.floor_char_boundary(BASE64_CHARACTERS));
                    }
                    other => shorten(other),
                }
            }
        }
        _ => {}
    }
}
