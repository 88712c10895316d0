//! Bytes with names in them: `"$origin/x"`, `repeat 3 "ab"`, `fill 1000`, `$base64(text)`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Bytes of the longest text that a template stands for.
const RESOLVED_BYTES: u64 = 256 * 1024 * 1024;

/// What the names stand for while a case runs.
pub type Names = BTreeMap<String, String>;

/// Bytes of the fixed pattern: a shifted or swapped block differs.
pub fn fill(from: u64, bytes: u64) -> impl Iterator<Item = u8> {
    // The high byte of a multiplicative hash of the position: no short period, equal on every machine.
    (from..from.saturating_add(bytes)).map(|at| (at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
}

/// A number that may depend on a name: `300`, `$queueFrames`, `$frameBytes+1`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Count {
    /// The name that is added.
    name: Option<String>,
    /// The number that is added.
    number: i64,
}

impl Count {
    /// Reads a number, or a name with a number added or taken away.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong.
    pub fn parse(word: &str) -> Result<Self, String> {
        let bad = || format!("{word:?} is no number, $NAME, $NAME+N or $NAME-N");
        let Some(rest) = word.strip_prefix('$') else {
            let number = word.parse::<u32>().map_err(|_| bad())?;
            return Ok(Self { name: None, number: number.into() });
        };
        let end = rest.find(['+', '-']).unwrap_or(rest.len());
        let (name, plus) = rest.split_at(end);
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let number = if plus.is_empty() { 0 } else { plus.parse::<i32>().map_err(|_| bad())? };
        if good { Ok(Self { name: Some(name.to_owned()), number: number.into() }) } else { Err(bad()) }
    }

    /// The number.
    ///
    /// # Errors
    ///
    /// A name that stands for no number, or a number below zero.
    pub fn resolve(&self, names: &Names) -> Result<u64, String> {
        let value = match &self.name {
            None => 0,
            Some(name) => {
                let value = names.get(name).ok_or_else(|| format!("${name} has no value"))?;
                value.parse::<i64>().map_err(|_| format!("${name} is no number"))?
            }
        };
        u64::try_from(value.saturating_add(self.number)).map_err(|_| format!("{self} is below zero"))
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.number),
            Some(name) if self.number == 0 => write!(f, "${name}"),
            Some(name) => write!(f, "${name}{:+}", self.number),
        }
    }
}

/// Bytes that are known once the names are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Template {
    /// The parts, joined in order.
    pub(in crate::conformance) pieces: Vec<Piece>,
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::conformance) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the name stands for.
    Name(String),
    /// A part so many times.
    Repeat(Count, Template),
    /// So many bytes of the pattern.
    Fill(u64),
    /// So many, as a name says.
    FillNamed(Count),
    /// Base64 text of a part.
    Base64(Template),
}

impl Template {
    /// Reads text in which `$` introduces names and functions.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong behind a `$`.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            template.push_bytes(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix(b"$") {
                template.push_bytes(b"$");
                rest = after;
                continue;
            }
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let (mut word, mut after) = rest.split_at(length);
            if word == b"base64" && after.starts_with(b"-fill(") {
                (word, after) = rest.split_at(length + "-fill".len());
            }
            let word = String::from_utf8_lossy(word).into_owned();
            let function = matches!(word.as_str(), "base64" | "base64-fill" | "repeat");
            let piece = match after.strip_prefix(b"(") {
                Some(arguments) if function => {
                    let end = memchr::memchr(b')', arguments).ok_or_else(|| format!("${word}( without a )"))?;
                    rest = &arguments[end + 1..];
                    Piece::function(&word, &arguments[..end])?
                }
                _ if word.is_empty() => return Err("a $ without a name; write $$ for a dollar sign".to_owned()),
                _ => {
                    rest = after;
                    Piece::Name(word)
                }
            };
            template.pieces.push(piece);
        }
        template.push_bytes(rest);
        Ok(template)
    }

    /// So many bytes of the pattern.
    pub fn filled(bytes: u64) -> Self {
        Self { pieces: vec![Piece::Fill(bytes)] }
    }

    /// So many bytes of the pattern, as a name says.
    pub fn filled_as(count: Count) -> Self {
        Self { pieces: vec![Piece::FillNamed(count)] }
    }

    /// This template so many times.
    pub fn repeated(self, times: Count) -> Self {
        Self { pieces: vec![Piece::Repeat(times, self)] }
    }

    /// This template and then the other.
    pub fn join(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    /// The names that it uses.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Name(name) => names.push(name.as_str()),
                Piece::Repeat(count, inner) => {
                    names.extend(count.name.as_deref());
                    names.extend(inner.names());
                }
                Piece::Base64(inner) => names.extend(inner.names()),
                Piece::FillNamed(count) => names.extend(count.name.as_deref()),
                Piece::Bytes(_) | Piece::Fill(_) => {}
            }
        }
        names
    }

    /// It is this text and has no names.
    pub fn is_text(&self, text: &str) -> bool {
        matches!(&self.pieces[..], [Piece::Bytes(bytes)] if bytes == text.as_bytes())
    }

    /// How many bytes it stands for; names without a value count nothing.
    pub fn length(&self, names: &Names) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Bytes(literal) => literal.len() as u64,
            Piece::Name(name) => names.get(name).map_or(0, |value| value.len() as u64),
            Piece::Repeat(times, inner) => inner.length(names).saturating_mul(times.resolve(names).unwrap_or(0)),
            Piece::Fill(length) => *length,
            Piece::FillNamed(count) => count.resolve(names).unwrap_or(0),
            Piece::Base64(inner) => inner.length(names).div_ceil(3).saturating_mul(4),
        };
        self.pieces.iter().map(length).fold(0, u64::saturating_add)
    }

    /// The bytes.
    ///
    /// # Errors
    ///
    /// A name that stands for nothing, or more bytes than a case may send or expect.
    pub fn resolve(&self, names: &Names) -> Result<Vec<u8>, String> {
        if self.length(names) > RESOLVED_BYTES {
            return Err(format!("more than {RESOLVED_BYTES} bytes"));
        }
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(literal) => bytes.extend_from_slice(literal),
                Piece::Name(name) => {
                    bytes.extend_from_slice(names.get(name).ok_or_else(|| format!("${name} has no value"))?.as_bytes());
                }
                Piece::Repeat(times, inner) => {
                    let times = usize::try_from(times.resolve(names)?).map_err(|_| "too many repetitions")?;
                    bytes.extend_from_slice(&inner.resolve(names)?.repeat(times));
                }
                Piece::Fill(length) => bytes.extend(fill(0, *length)),
                Piece::FillNamed(count) => bytes.extend(fill(0, count.resolve(names)?)),
                Piece::Base64(inner) => bytes.extend_from_slice(STANDARD.encode(inner.resolve(names)?).as_bytes()),
            }
        }
        Ok(bytes)
    }

    /// The bytes as text, bad UTF-8 replaced.
    ///
    /// # Errors
    ///
    /// As [`Template::resolve`].
    pub fn resolve_text(&self, names: &Names) -> Result<String, String> {
        self.resolve(names).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Piece {
    fn function(word: &str, arguments: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(arguments);
        let number =
            |text: &str| text.trim().parse::<u64>().map_err(|_| format!("${word}( needs a number, not {text:?}"));
        match word {
            "base64" => Ok(Self::Base64(Template::parse(arguments)?)),
            "base64-fill" => Ok(Self::Base64(Template::filled(number(&text)?))),
            _ => {
                let (times, text) = text.split_once(',').ok_or("$repeat( needs a number, a comma and a text")?;
                let times = i64::try_from(number(times)?).map_err(|_| "$repeat( is too long")?;
                Ok(Self::Repeat(Count { name: None, number: times }, Template::parse(text.as_bytes())?))
            }
        }
    }
}

/// Replaces the names in all strings and member names of a value.
///
/// # Errors
///
/// As [`Template::parse`] and [`Template::resolve`].
pub fn resolve_json(value: &Value, names: &Names) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(Template::parse(text.as_bytes())?.resolve_text(names)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| resolve_json(item, names)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| Ok((name.clone(), resolve_json(value, names)?)))
                .collect::<Result<_, String>>()?,
        ),
        plain => plain.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        let names = Names::from([("origin".to_owned(), "http://o".to_owned())]);
        Template::parse(text.as_bytes())?.resolve_text(&names)
    }

    #[test]
    fn names_and_functions() {
        assert_eq!(resolved("$origin/a?b=$$c").as_deref(), Ok("http://o/a?b=$c"));
        assert_eq!(resolved("[$base64(hello)]").as_deref(), Ok("[aGVsbG8=]"));
        assert_eq!(resolved("$repeat(3,ab)").as_deref(), Ok("ababab"));
        assert_eq!(resolved("$base64-fill(3)").map(|text| text.len()), Ok(4));
        assert_eq!(resolved("$nobody"), Err("$nobody has no value".to_owned()));
        assert!(resolved("a$").is_err() && resolved("$repeat(x,a)").is_err() && resolved("$base64(a").is_err());
    }

    #[test]
    fn the_length_is_known_before_the_bytes_and_bounded() {
        let names = Names::from([("origin".to_owned(), "http://o".to_owned())]);
        for text in ["", "a$$b", "$origin/a", "$base64(hello)", "$base64($origin)", "$repeat(3,ab)", "$base64-fill(4)"]
        {
            let template = Template::parse(text.as_bytes()).expect("a good template");
            assert_eq!(template.resolve(&names).map(|bytes| bytes.len() as u64), Ok(template.length(&names)), "{text}");
        }
        for text in ["$repeat(18446744073709551615,ab)", "$base64-fill(18446744073709551615)"] {
            assert!(resolved(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_pattern_has_no_short_period() {
        let bytes: Vec<u8> = fill(0, 1 << 16).collect();
        for shift in [1, 2, 16, 255, 256, 1024, 4096, 16 * 1024] {
            assert_ne!(bytes[..1000], bytes[shift..shift + 1000], "shifted by {shift}");
        }
        assert!(fill(500, 20).eq(bytes[500..520].iter().copied()));
    }
}
