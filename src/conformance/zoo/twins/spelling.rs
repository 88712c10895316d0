//! Other spellings of the same JSON.

use std::fmt::Write as _;

use serde_json::Value;

use crate::conformance::zoo::tamper::{Message, Tamper, Way};

/// Characters of the longest text that is spelt with escapes; longer ones are bodies, which would take six times their room.
const ESCAPED_CHARACTERS: usize = 4_096;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// The members of each object from the last to the first.
    Backwards,
    /// White space wherever it may stand.
    Spaced,
    /// Every character of a text as an escape.
    Escaped,
}

/// Spells all messages of one end in that way.
pub(super) fn spelt(by: Way, spelling: Spelling) -> Tamper {
    Tamper::messages(move |message: Message, out| {
        if message.way != by {
            return out.pass(message);
        }
        let mut text = String::new();
        spell(&message.json, spelling, &mut text);
        out.text(by, text);
    })
}

fn spell(value: &Value, spelling: Spelling, out: &mut String) {
    let space = if spelling == Spelling::Spaced { " \t" } else { "" };
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if spelling == Spelling::Backwards {
                members.reverse();
            }
            out.push('{');
            for (nth, (name, member)) in members.into_iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                out.push_str(space);
                spell_text(name, spelling, out);
                out.push_str(space);
                out.push(':');
                out.push_str(space);
                spell(member, spelling, out);
            }
            out.push_str(space);
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (nth, element) in elements.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                out.push_str(space);
                spell(element, spelling, out);
            }
            out.push_str(space);
            out.push(']');
        }
        Value::String(text) => spell_text(text, spelling, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn spell_text(text: &str, spelling: Spelling, out: &mut String) {
    if spelling != Spelling::Escaped || text.len() > ESCAPED_CHARACTERS {
        return out.push_str(&Value::from(text).to_string());
    }
    out.push('"');
    for unit in text.encode_utf16() {
        // A string takes every text.
        let _ = write!(out, "\\u{unit:04X}");
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_means_the_same() {
        let value = json!({"a": [1, {"b": "x\"\u{1F600}\n"}, null], "c": {}, "d": "/", "e": [true]});
        for spelling in [Spelling::Backwards, Spelling::Spaced, Spelling::Escaped] {
            let mut text = String::new();
            spell(&value, spelling, &mut text);
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value, "{text}");
            assert_ne!(text, value.to_string());
        }
    }
}
