//! Reading one line: words, quoted bytes, JSON.

use std::time::Duration;

use serde_json::Value;

use super::template::{Count, Template};

/// The longest length of time that a case can ask for, in seconds.
const LONGEST_SECONDS: u64 = 3_600;

/// The rest of a line.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// What has not been read yet, without white space in front.
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The words of a line.
    pub fn new(line: &'a str) -> Self {
        Self { rest: line.trim() }
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a str {
        self.rest
    }

    /// Nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word without taking it; `""` at the end.
    pub fn peek(&self) -> &'a str {
        self.rest.split_whitespace().next().unwrap_or_default()
    }

    /// Takes the next word.
    ///
    /// # Errors
    ///
    /// When nothing is left; the text says that `what` is missing.
    pub fn word(&mut self, what: &str) -> Result<&'a str, String> {
        let word = self.peek();
        if word.is_empty() {
            return Err(format!("{what} is missing"));
        }
        self.advance(word.len());
        Ok(word)
    }

    /// Takes the next word if it is this one.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.advance(word.len());
        }
        found
    }

    /// Takes a word that reads as a number or another value of that type.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn parse<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        word.parse().map_err(|_| format!("{word:?} is not {what}"))
    }

    /// Takes alternatives such as `-32600|-32700`.
    ///
    /// # Errors
    ///
    /// When one of them is not of that type.
    pub fn alternatives<T: std::str::FromStr>(&mut self, what: &str) -> Result<Vec<T>, String> {
        let word = self.word(what)?;
        word.split('|').map(|part| part.parse().map_err(|_| format!("{part:?} is not {what}"))).collect()
    }

    /// Takes one JSON value.
    ///
    /// # Errors
    ///
    /// When the line does not go on with one.
    pub fn json(&mut self) -> Result<Value, String> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(format!("not JSON: {error}")),
            None => return Err("JSON is missing".to_owned()),
        };
        let length = values.byte_offset();
        self.advance(length);
        Ok(value)
    }

    /// The line goes on with a JSON object.
    pub fn is_object(&self) -> bool {
        self.rest.starts_with('{')
    }

    /// The line goes on with BYTES.
    pub fn is_bytes(&self) -> bool {
        self.rest.starts_with(['"', '\'']) || matches!(self.peek(), "repeat" | "fill")
    }

    /// Takes BYTES: one or more pieces.
    ///
    /// # Errors
    ///
    /// When there is none, or one is wrong.
    pub fn bytes(&mut self) -> Result<Template, String> {
        if !self.is_bytes() {
            return Err(format!("bytes are missing before {:?}", self.rest));
        }
        let mut joined = Template::default();
        while self.is_bytes() {
            joined.join(self.piece()?);
        }
        Ok(joined)
    }

    /// Takes one piece of BYTES.
    ///
    /// # Errors
    ///
    /// When there is none, or it is wrong.
    pub fn piece(&mut self) -> Result<Template, String> {
        if self.rest.starts_with(['"', '\'']) {
            self.quoted()
        } else if self.take("repeat") {
            let times = Count::parse(self.word("a number of repetitions")?)?;
            Ok(self.quoted()?.repeated(times))
        } else if self.take("fill") {
            if self.peek().starts_with('$') {
                return Ok(Template::filled_as(Count::parse(self.word("a size")?)?));
            }
            Ok(Template::filled(self.size()?))
        } else {
            Err(format!("bytes are missing before {:?}", self.rest))
        }
    }

    /// Takes one text in quotes, or one bare word.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn name(&mut self, what: &str) -> Result<Template, String> {
        if self.rest.starts_with(['"', '\'']) { self.quoted() } else { Template::parse(self.word(what)?.as_bytes()) }
    }

    fn quoted(&mut self) -> Result<Template, String> {
        let mut characters = self.rest.char_indices();
        let quote = match characters.next() {
            Some((_, quote @ ('"' | '\''))) => quote,
            _ => return Err(format!("quotes are missing before {:?}", self.rest)),
        };
        let mut bytes = Vec::new();
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.advance(at + 1);
                    return Template::parse(&bytes);
                }
                '\\' if quote == '"' => {
                    let (_, escape) = characters.next().ok_or("the line ends in an escape")?;
                    bytes.push(match escape {
                        'n' => b'\n',
                        'r' => b'\r',
                        't' => b'\t',
                        '0' => 0,
                        '\\' | '"' => escape as u8,
                        'x' => {
                            let digits: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                            u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is not a byte"))?
                        }
                        other => return Err(format!("\\{other} is no escape")),
                    });
                }
                other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(format!("a text has no end: {}", self.rest))
    }

    /// Takes a number of bytes: `64`, `64KiB`, `8MiB`.
    ///
    /// # Errors
    ///
    /// When the word is none.
    pub fn size(&mut self) -> Result<u64, String> {
        let word = self.word("a size")?;
        let (digits, unit) = split_unit(word);
        let factor = match unit {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return Err(format!("{word:?} is not a size: bytes, KiB or MiB")),
        };
        let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        size.ok_or_else(|| format!("{word:?} is not a size"))
    }

    /// Takes a length of time: `250ms`, `2s`.
    ///
    /// # Errors
    ///
    /// When the word is none.
    pub fn duration(&mut self) -> Result<Duration, String> {
        let word = self.word("a length of time")?;
        let (digits, unit) = split_unit(word);
        let duration = match (digits.parse(), unit) {
            (Ok(number), "ms") => Duration::from_millis(number),
            (Ok(number), "s") => Duration::from_secs(number),
            _ => return Err(format!("{word:?} is not a length of time such as 250ms or 2s")),
        };
        if duration > Duration::from_secs(LONGEST_SECONDS) {
            return Err(format!("{word:?} is more than {LONGEST_SECONDS} seconds"));
        }
        Ok(duration)
    }

    /// The line ends here.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn end(&self) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { Err(format!("the line should end before {:?}", self.rest)) }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }
}

fn split_unit(word: &str) -> (&str, &str) {
    word.split_at(word.find(|character: char| !character.is_ascii_digit()).unwrap_or(word.len()))
}

/// The line without a comment at its end.
pub fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '#' && before.is_whitespace() => return line[..at].trim_end(),
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None => {}
        }
        before = character;
    }
    line.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_a_line_outside_quotes() {
        assert_eq!(without_comment(r##"-> 1 m {"a":"# no \" # no"} # yes"##), r##"-> 1 m {"a":"# no \" # no"}"##);
        assert_eq!(without_comment("origin-request /p#1 method GET"), "origin-request /p#1 method GET");
        assert_eq!(without_comment("# all"), "");
    }

    #[test]
    fn bytes_are_pieces_with_escapes() {
        let mut words = Words::new(r#""a\x00\n\"" repeat 2 "xy" '{"\n":1}' fill 3 rest"#);
        let bytes = words.bytes().and_then(|template| template.resolve(&Default::default())).expect("good bytes");
        assert_eq!(bytes.len(), 4 + 4 + 8 + 3);
        assert!(bytes.starts_with(b"a\0\n\"xyxy{\"\\n\":1}"));
        assert_eq!(words.rest(), "rest");
        for bad in [r#""open"#, r#""\q""#, r#""\xgg""#, "word", "repeat x"] {
            assert!(Words::new(bad).bytes().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_times_are_bounded() {
        assert_eq!(Words::new("17592186044415MiB").size(), Ok(17_592_186_044_415 << 20));
        assert!(Words::new("17592186044416MiB").size().is_err(), "more than 64 bits");
        assert_eq!(Words::new("3600s").duration(), Ok(Duration::from_secs(3_600)));
        assert!(Words::new("3600001ms").duration().is_err(), "more than an hour");
    }

    #[test]
    fn json_ends_where_its_value_ends() {
        let mut words = Words::new(r#"{"a":[1]} 7 8MiB 250ms 1|2"#);
        assert_eq!(words.json(), Ok(serde_json::json!({"a":[1]})));
        assert_eq!(words.json(), Ok(7.into()));
        assert_eq!(words.size(), Ok(8 << 20));
        assert_eq!(words.duration(), Ok(Duration::from_millis(250)));
        assert_eq!(words.alternatives::<u8>("a number"), Ok(vec![1, 2]));
        assert!(words.end().is_ok() && words.json().is_err());
    }
}
