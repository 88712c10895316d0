//! Texts, bytes and JSON values as Python writes them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::conformance::case::template::{Names, Piece, Template};

/// Stands for the number of a round while the lines of an `each` are read once for all of them; the number behind it for the next.
pub(super) const ROUND: u64 = 987_654_321_012;

/// A text, which may hold the number of a round.
pub(super) fn text(text: &str) -> String {
    joined_text(&[Part::Text(text.to_owned())])
}

/// A part of an f-string.
enum Part {
    /// As it is.
    Text(String),
    /// An expression.
    Expression(String),
}

/// One literal of all parts: an f-string where it needs to be.
fn joined_text(parts: &[Part]) -> String {
    let (round, next) = (ROUND.to_string(), (ROUND + 1).to_string());
    let formatted = parts.iter().any(|part| match part {
        Part::Text(text) => text.contains(&round) || text.contains(&next),
        Part::Expression(_) => true,
    });
    let mut literal = if formatted { "f\"".to_owned() } else { "\"".to_owned() };
    for part in parts {
        match part {
            Part::Text(text) => {
                let text = escaped(text);
                let text = if formatted { text.replace('{', "{{").replace('}', "}}") } else { text };
                literal += &text.replace(&round, "{i}").replace(&next, "{i + 1}");
            }
            Part::Expression(expression) => literal += &format!("{{{expression}}}"),
        }
    }
    literal + "\""
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        // Writing to a text cannot fail.
        let _ = match character {
            '"' | '\\' => write!(escaped, "\\{character}"),
            '\n' => write!(escaped, "\\n"),
            '\r' => write!(escaped, "\\r"),
            '\t' => write!(escaped, "\\t"),
            ' '..='~' => write!(escaped, "{character}"),
            '\0'..='\u{ff}' => write!(escaped, "\\x{:02x}", u32::from(character)),
            '\u{100}'..='\u{ffff}' => write!(escaped, "\\u{:04x}", u32::from(character)),
            _ => write!(escaped, "\\U{:08x}", u32::from(character)),
        };
    }
    escaped
}

/// A template as an expression of bytes.
pub(super) fn bytes(template: &Template) -> Result<String, String> {
    let pieces = template.pieces.iter().map(piece).collect::<Result<Vec<_>, _>>()?;
    Ok(if pieces.is_empty() { "b\"\"".to_owned() } else { pieces.join(" + ") })
}

fn piece(piece: &Piece) -> Result<String, String> {
    Ok(match piece {
        Piece::Bytes(literal) => match std::str::from_utf8(literal) {
            Ok(plain) if text(plain).starts_with('f') => format!("{}.encode()", text(plain)),
            _ => literal_bytes(literal),
        },
        Piece::Name(name) => format!("v.{name}.encode()"),
        Piece::Repeat(times, inner) => {
            let times = times.resolve(&Names::new())?;
            format!("({}) * {}", bytes(inner)?, number(times))
        }
        Piece::Fill(length) => format!("fill({})", number(*length)),
        Piece::FillNamed(count) => format!("fill({})", number(count.resolve(&Names::new())?)),
        Piece::Base64(inner) => format!("b64({}).encode()", bytes(inner)?),
    })
}

fn number(number: u64) -> String {
    match number {
        ROUND => "i".to_owned(),
        _ => number.to_string(),
    }
}

fn literal_bytes(bytes: &[u8]) -> String {
    // Rust and Python escape bytes alike.
    format!("b\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'"))
}

/// A template as an expression of text.
pub(super) fn template_text(template: &Template) -> Result<String, String> {
    let simple = |piece: &Piece| matches!(piece, Piece::Bytes(_) | Piece::Name(_));
    if !template.pieces.iter().all(simple) {
        return Ok(format!("({}).decode()", bytes(template)?));
    }
    let part = |piece: &Piece| match piece {
        Piece::Name(name) => Part::Expression(format!("v.{name}")),
        Piece::Bytes(literal) => Part::Text(String::from_utf8_lossy(literal).into_owned()),
        _ => Part::Text(String::new()),
    };
    Ok(joined_text(&template.pieces.iter().map(part).collect::<Vec<_>>()))
}

/// A value in whose texts names are replaced.
pub(super) fn json(value: &Value) -> Result<String, String> {
    json_with(value, &|text| template_text(&Template::parse(text.as_bytes())?))
}

/// A value in whose texts some match more than themselves.
pub(super) fn pattern(value: &Value) -> Result<String, String> {
    json_with(value, &|written| {
        let argument = |function: &str| written.strip_prefix(function)?.strip_suffix(')');
        match (written, argument("$set("), argument("$not(")) {
            ("$any", ..) => Ok("ANY".to_owned()),
            ("$absent", ..) => Ok("ABSENT".to_owned()),
            ("$text", ..) => Ok("TEXT".to_owned()),
            (_, Some(name), _) => Ok(format!("Set({})", text(name))),
            (_, _, Some(name)) => Ok(format!("Not({})", text(name))),
            _ => template_text(&Template::parse(written.as_bytes())?),
        }
    })
}

fn json_with(value: &Value, text_of: &impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    Ok(match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(written) => match written.as_u64() {
            Some(ROUND) => "i".to_owned(),
            Some(other) if other == ROUND + 1 => "i + 1".to_owned(),
            _ => written.to_string(),
        },
        Value::String(text) => text_of(text)?,
        Value::Array(items) => {
            let items = items.iter().map(|item| json_with(item, text_of)).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| Ok(format!("{}: {}", text(name), json_with(value, text_of)?));
            let members = members.iter().map(member).collect::<Result<Vec<_>, String>>()?;
            format!("{{{}}}", members.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_what_python_reads() {
        assert_eq!(text("a\"\\\n\u{1}é€"), r#""a\"\\\n\x01\xe9\u20ac""#);
        assert_eq!(text(&format!("{{{ROUND}}}")), "f\"{{{i}}}\"");
        let template = |text: &[u8]| Template::parse(text).expect("a good template");
        assert_eq!(bytes(&template(b"a\"'\xff\0$origin")).as_deref(), Ok(r#"b"a\"'\xff\x00" + v.origin.encode()"#));
        assert_eq!(bytes(&Template::default()).as_deref(), Ok("b\"\""));
        assert_eq!(template_text(&template(b"{$origin}/x")).as_deref(), Ok("f\"{{{v.origin}}}/x\""));
        assert_eq!(template_text(&template(b"$repeat(3,ab)")).as_deref(), Ok("((b\"ab\") * 3).decode()"));
        let value = serde_json::json!({"a": [null, true, 1, ROUND, "$any"]});
        assert_eq!(pattern(&value).as_deref(), Ok(r#"{"a": [None, True, 1, i, ANY]}"#));
    }
}
