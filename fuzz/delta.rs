//! A body delta on both of its ways in: whatever is found without reading JSON, the reader of JSON says as well.

use std::cell::RefCell;

use arbitrary::{Arbitrary, Unstructured};
use exec_http::protocol::delta::{BodyDelta, DELTA_METHOD, EncodedDelta, NextDelta};
use exec_http::protocol::limits::DELTA_BYTES;
use exec_http::protocol::message::Message;

/// Holds the law for a frame, and for one that is made of the same bytes and looks more like a delta.
pub fn check(data: &[u8]) {
    check_frame(data);
    if let Ok(made) = Made::arbitrary(&mut Unstructured::new(data)) {
        check_frame(&made.frame());
    }
}

/// What a frame says by the short way, if it has one: the stream, the number, the data.
pub fn short_way(frame: &[u8]) -> Option<(String, u64, Vec<u8>)> {
    let delta = EncodedDelta::find(frame)?;
    let mut memory = vec![0xa5; delta.most_bytes()];
    let length = delta.decode_into(&mut memory)?;
    memory.truncate(length);
    Some((delta.request_id().to_owned(), delta.seq, memory))
}

/// The law, for one frame.
pub fn check_frame(frame: &[u8]) {
    let Some((request_id, seq, data)) = short_way(frame) else { return };
    FOUND.with_borrow_mut(|found| *found += 1);
    assert!(frame.is_ascii(), "only ASCII is found");
    let Ok(Message::Notification { method, params: Some(params) }) = Message::decode(frame) else {
        panic!("no notification with params");
    };
    assert_eq!(method, DELTA_METHOD);
    let delta = BodyDelta::from_value(&params).expect("a delta");
    assert_eq!((&delta.request_id, delta.seq, &delta.data[..]), (&request_id, seq, &data[..]));
    assert!(!delta.is_terminal() && delta.error_kind.is_none() && data.len() <= DELTA_BYTES);
    check_next(frame, seq);
    let text = params["deltaBase64"].as_str().expect("a delta has it");
    let reference = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
    assert_eq!(reference.as_deref(), Ok(&data[..]), "the scalar decoder reads the same");
}

/// What follows this frame is known exactly where it is found as well.
fn check_next(frame: &[u8], seq: u64) {
    let (number, next) = (format!("\"seq\":{seq}"), format!("\"seq\":{}", u128::from(seq) + 1));
    let following = String::from_utf8_lossy(frame).replacen(&number, &next, 1).into_bytes();
    let (Some(delta), found) = (EncodedDelta::find(frame), EncodedDelta::find(&following)) else { return };
    let mut next = NextDelta::default();
    next.learn(frame, &delta);
    for other in [frame, &following] {
        if let Some(text) = next.take(other) {
            assert_eq!(
                found.map(|found| (found.request_id(), found.seq, found.text)),
                Some((delta.request_id(), seq + 1, text))
            );
            assert_eq!(other, following, "no other follows");
        }
    }
}

thread_local! {
    /// How many frames were found the short way; a law about none says nothing.
    static FOUND: RefCell<usize> = const { RefCell::new(0) };
}

/// How many frames this thread has found the short way.
pub fn found() -> usize {
    FOUND.with_borrow(|found| *found)
}

/// A frame in parts.
#[derive(Arbitrary, Debug)]
pub struct Made {
    /// The order of the params: which of those that are left comes next.
    order: [u8; 6],
    /// `params` stand before `method`.
    params_first: bool,
    /// White space between the tokens, by turns.
    spaces: Vec<Space>,
    /// The data.
    data: Vec<u8>,
    /// The number.
    seq: Number,
    /// The id.
    request_id: Id,
    /// `done` and `error` are there.
    has: [bool; 2],
    /// What else is wrong with it.
    flaw: Option<Flaw>,
}

/// White space, mostly none.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Space {
    None,
    NoneEither,
    Blank,
    Tab,
    LineEnd,
    NoBreak,
}

/// A `seq`.
#[derive(Arbitrary, Debug)]
enum Number {
    Plain(u64),
    Small(u8),
    Padded(u8),
    Signed(i8),
    Fraction(u8),
    Exponent(u8),
}

/// A `requestId`.
#[derive(Arbitrary, Debug)]
enum Id {
    Http(u32),
    Text(String),
    Escaped(u8),
}

/// Something that makes another frame of it.
#[derive(Arbitrary, Debug)]
enum Flaw {
    /// A byte is another.
    Byte { at: u16, byte: u8 },
    /// A byte is missing.
    Cut { at: u16 },
    /// A byte is there twice.
    Twice { at: u16 },
    /// It ends early.
    Short { at: u16 },
    /// A member stands in the envelope.
    Envelope(Member),
    /// A member stands in the params.
    Params(Member),
}

/// A member more.
#[derive(Arbitrary, Debug)]
enum Member {
    Jsonrpc,
    Id,
    Seq,
    Done,
    Error,
    ErrorKind,
    Unknown,
}

impl Member {
    const fn json(&self) -> &'static str {
        match self {
            Self::Jsonrpc => "\"jsonrpc\":\"2.0\"",
            Self::Id => "\"id\":1",
            Self::Seq => "\"seq\":2",
            Self::Done => "\"done\":true",
            Self::Error => "\"error\":\"x\"",
            Self::ErrorKind => "\"errorKind\":\"reset\"",
            Self::Unknown => "\"unknown\":{}",
        }
    }
}

impl Made {
    fn frame(&self) -> Vec<u8> {
        let number = match self.seq {
            Number::Plain(number) => number.to_string(),
            Number::Small(number) => number.to_string(),
            Number::Padded(number) => format!("0{number}"),
            Number::Signed(number) => number.to_string(),
            Number::Fraction(number) => format!("{number}.0"),
            Number::Exponent(number) => format!("{number}e0"),
        };
        let request_id = match &self.request_id {
            Id::Http(number) => format!("\"http-{number}\""),
            Id::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Id::Escaped(byte) => format!("\"http-\\u00{byte:02x}\""),
        };
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &self.data);
        let mut params = vec![
            format!("\"requestId\"@:@{request_id}"),
            format!("\"seq\"@:@{number}"),
            format!("\"deltaBase64\"@:@\"{text}\""),
        ];
        params.extend(self.has[0].then(|| "\"done\"@:@false".to_owned()));
        params.extend(self.has[1].then(|| "\"error\"@:@null".to_owned()));
        let mut envelope = vec![format!("\"method\"@:@\"{DELTA_METHOD}\"")];
        match &self.flaw {
            Some(Flaw::Envelope(member)) => envelope.push(member.json().to_owned()),
            Some(Flaw::Params(member)) => params.push(member.json().to_owned()),
            _ => {}
        }
        let mut ordered = Vec::new();
        for choice in self.order.iter().cycle() {
            if params.is_empty() {
                break;
            }
            ordered.push(params.swap_remove(usize::from(*choice) % params.len()));
        }
        envelope.push(format!("\"params\"@:@{{@{}@}}", ordered.join("@,@")));
        if self.params_first {
            envelope.reverse();
        }
        let mut frame = self.spaced(&format!("@{{@{}@}}@", envelope.join("@,@")));
        self.spoil(&mut frame);
        frame
    }

    /// A template with white space in place of each `@`; no part of it holds one but an id.
    fn spaced(&self, template: &str) -> Vec<u8> {
        let mut spaces = self.spaces.iter().cycle();
        let mut text = String::new();
        for character in template.chars() {
            match character {
                '@' => text.push_str(match spaces.next() {
                    None | Some(Space::None | Space::NoneEither) => "",
                    Some(Space::Blank) => " ",
                    Some(Space::Tab) => "\t",
                    Some(Space::LineEnd) => "\r\n",
                    Some(Space::NoBreak) => "\u{a0}",
                }),
                other => text.push(other),
            }
        }
        text.into_bytes()
    }

    fn spoil(&self, frame: &mut Vec<u8>) {
        let index = |at: u16| usize::from(at) % frame.len();
        match self.flaw {
            Some(Flaw::Byte { at, byte }) => {
                let at = index(at);
                frame[at] = byte;
            }
            Some(Flaw::Cut { at }) => _ = frame.remove(index(at)),
            Some(Flaw::Twice { at }) => {
                let at = index(at);
                frame.insert(at, frame[at]);
            }
            Some(Flaw::Short { at }) => frame.truncate(index(at)),
            _ => {}
        }
    }
}
