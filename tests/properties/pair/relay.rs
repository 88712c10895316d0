//! What becomes of each frame on its way from the executor to the client, and a record of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Fault, Scenario};

/// Carries the executor's frames.
pub(super) struct Relay {
    /// What to do, by the number of the frame.
    faults: BTreeMap<usize, Fault>,
    /// After how many frames to stop.
    cut: Option<usize>,
    /// Whether the handshake's answer has passed.
    open: bool,
    /// All frames behind it, as the executor wrote them.
    frames: Vec<Bytes>,
    /// Frames held back, each with how many others have to pass first.
    late: Vec<(usize, usize)>,
    /// What is known by now.
    log: Log,
}

/// All that happened on a connection.
#[derive(Default)]
pub(super) struct Log {
    /// The calls that the executor read, by JSON-RPC id and `requestId`.
    calls: Vec<(Value, Value, usize)>,
    /// What the executor's frames say.
    sent: Vec<Sent>,
    /// What came out of the relay, in order.
    pub(super) passed: Vec<Passed>,
    /// Whether the connection was cut.
    pub(super) is_cut: bool,
}

/// What a frame of the executor says.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Its place among all frames.
    number: usize,
    /// Of this call.
    pub(super) call: usize,
    /// This.
    pub(super) what: What,
}

/// The content of a frame.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The answer is a head.
    Head,
    /// The answer is an error.
    Refusal,
    /// A delta.
    Delta { seq: u64, data: Vec<u8>, done: bool, failed: bool },
}

/// A frame that came out of the relay.
#[derive(Clone, Debug)]
pub(super) enum Passed {
    /// As it was.
    Intact(Sent),
    /// With an unreadable member.
    Spoilt(Sent),
    /// No message any more.
    Garbled,
    /// For a call that does not exist.
    Misdirected,
}

impl Log {
    /// How many frames the executor sent behind the handshake.
    pub(super) fn frames(&self) -> usize {
        self.sent.len()
    }

    /// Whether the executor read this call.
    pub(super) fn was_read(&self, number: usize) -> bool {
        self.calls.iter().any(|(_, _, call)| *call == number)
    }

    /// Whether all frames of a call came out as they went in.
    pub(super) fn is_untouched(&self, number: usize) -> bool {
        let sent = self.sent.iter().filter(|sent| sent.call == number).map(|sent| Some(sent.number));
        let passed = self.passed.iter().filter_map(|passed| match passed {
            Passed::Intact(sent) if sent.call == number => Some(Some(sent.number)),
            Passed::Spoilt(sent) if sent.call == number => Some(None),
            _ => None,
        });
        !self.is_cut && sent.eq(passed)
    }

    fn note_sent(&mut self, frame: &[u8]) -> Sent {
        let message: Value = serde_json::from_slice(frame).expect("the executor writes JSON");
        let params = &message["params"];
        let call = self.calls.iter().rev().find(|(id, request_id, _)| match params["requestId"].as_str() {
            Some(text) => request_id == text,
            None => *id == message["id"],
        });
        let (_, _, call) = *call.expect("the executor names calls that it read");
        let what = match (message.get("result"), message.get("error")) {
            (Some(_), _) => What::Head,
            (None, Some(_)) => What::Refusal,
            (None, None) => What::Delta {
                seq: params["seq"].as_u64().expect("a number"),
                data: STANDARD.decode(params["deltaBase64"].as_str().expect("a text")).expect("base64"),
                done: params["done"] == true,
                failed: params["error"].is_string(),
            },
        };
        let sent = Sent { number: self.sent.len(), call, what };
        self.sent.push(sent.clone());
        sent
    }
}

impl Relay {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            faults: scenario.faults.clone(),
            cut: scenario.cut,
            open: false,
            frames: Vec::new(),
            late: Vec::new(),
            log: Log::default(),
        }
    }

    /// Reads along what the client sends.
    pub(super) fn note_request(&mut self, frame: &[u8]) {
        let mut message: Value = serde_json::from_slice(frame).expect("the client writes JSON");
        if message["method"] == "http/request" {
            let url = message["params"]["url"].as_str().expect("a text");
            let (_, number) = url.rsplit_once('/').expect("a path");
            let number = number.parse().expect("a number");
            self.log.calls.push((message["id"].take(), message["params"]["requestId"].take(), number));
        }
    }

    /// Whether nothing passes any more.
    pub(super) fn is_cut(&self) -> bool {
        self.open && self.cut.is_some_and(|cut| self.frames.len() >= cut)
    }

    /// What comes out when this frame goes in.
    pub(super) fn pass(&mut self, frame: &Bytes) -> Vec<Bytes> {
        if !self.open {
            self.open = true;
            return vec![frame.clone()];
        }
        let number = self.frames.len();
        self.frames.push(frame.clone());
        let sent = self.log.note_sent(frame);
        let mut out = Vec::new();
        match self.faults.get(&number) {
            None => out.push(self.intact(number)),
            Some(Fault::Drop) => {}
            Some(Fault::Twice) => out.extend([self.intact(number), self.intact(number)]),
            Some(Fault::Late(frames)) => self.late.push((number, *frames)),
            Some(Fault::Replay(back)) => {
                let older = number.saturating_sub(*back);
                out.extend([self.intact(number), self.intact(older)]);
            }
            Some(Fault::Garble(at)) => {
                let mut bytes = frame.to_vec();
                let at = at % bytes.len();
                bytes[at] = 0;
                out.push(self.changed(bytes, Passed::Garbled));
            }
            Some(Fault::Spoil) => out.push(match spoil(frame) {
                Some(bytes) => self.changed(bytes, Passed::Spoilt(sent)),
                None => self.intact(number),
            }),
            Some(Fault::Misdirect) => out.push(self.changed(misdirect(frame), Passed::Misdirected)),
        }
        let is_new = |(held, _): &(usize, usize)| *held == number;
        for (held, frames) in std::mem::take(&mut self.late) {
            match frames {
                0 => out.push(self.intact(held)),
                _ if is_new(&(held, frames)) => self.late.push((held, frames)),
                1 => out.push(self.intact(held)),
                _ => self.late.push((held, frames - 1)),
            }
        }
        out
    }

    /// What was held back until now; nothing behind a cut.
    pub(super) fn finish(&mut self) -> Vec<Bytes> {
        let late = std::mem::take(&mut self.late);
        if self.is_cut() {
            return Vec::new();
        }
        late.into_iter().map(|(held, _)| self.intact(held)).collect()
    }

    pub(super) fn into_log(self) -> Log {
        Log { is_cut: self.is_cut(), ..self.log }
    }

    fn intact(&mut self, number: usize) -> Bytes {
        self.log.passed.push(Passed::Intact(self.log.sent[number].clone()));
        self.frames[number].clone()
    }

    fn changed(&mut self, bytes: Vec<u8>, passed: Passed) -> Bytes {
        self.log.passed.push(passed);
        bytes.into()
    }
}

/// Makes one member unreadable; `None` for an answer that is an error, of which every member says whether it is a message.
fn spoil(frame: &[u8]) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(frame).expect("the executor writes JSON");
    if message.get("error").is_some() {
        return None;
    }
    match message.get_mut("result") {
        Some(result) => result["status"] = json!("200"),
        None => message["params"]["deltaBase64"] = json!("*"),
    }
    Some(message.to_string().into_bytes())
}

fn misdirect(frame: &[u8]) -> Vec<u8> {
    let mut message: Value = serde_json::from_slice(frame).expect("the executor writes JSON");
    match message.get_mut("id") {
        Some(id) => *id = json!("http-0"),
        None => message["params"]["requestId"] = json!("nobody"),
    }
    message.to_string().into_bytes()
}
