//! One JSON value, read strictly: a repeated key, too many values, too deep a nesting or bytes after the value are refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::limits::MESSAGE_VALUES;

/// Why bytes are not one acceptable JSON value. Holds no part of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The bytes are not UTF-8.
    Utf8,
    /// The text is not JSON, nests deeper than [`super::limits::NESTING_LEVELS`], or goes on after the value.
    Syntax {
        /// Byte column (from 1) in the last line read.
        column: usize,
    },
    /// The text ends inside the value.
    Incomplete,
    /// An object has the same key twice.
    RepeatedKey,
    /// More than [`MESSAGE_VALUES`] values.
    TooManyValues,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 => f.write_str("invalid UTF-8"),
            Self::Syntax { column } => write!(f, "invalid JSON at column {column}"),
            Self::Incomplete => f.write_str("incomplete JSON"),
            Self::RepeatedKey => f.write_str("an object repeats a key"),
            Self::TooManyValues => write!(f, "more than {MESSAGE_VALUES} JSON values"),
        }
    }
}

impl std::error::Error for JsonError {}

/// Reads exactly one JSON value.
///
/// # Errors
///
/// See [`JsonError`]; the first fault found is the one reported.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Utf8)?;
    let mut values = MESSAGE_VALUES;
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict { values: &mut values, fault: &mut fault };
    let value = strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| match fault {
        Some(fault) => fault,
        None if error.is_eof() => JsonError::Incomplete,
        None => JsonError::Syntax { column: error.column() },
    })
}

/// Reads one value and all below it.
struct Strict<'a> {
    /// How many values may still come.
    values: &'a mut usize,
    /// The fault that this reader found, as serde's error type cannot carry it.
    fault: &'a mut Option<JsonError>,
}

impl Strict<'_> {
    fn reborrow(&mut self) -> Strict<'_> {
        Strict { values: self.values, fault: self.fault }
    }

    fn refuse<E: serde::de::Error>(&mut self, fault: JsonError) -> E {
        *self.fault = Some(fault);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        match self.values.checked_sub(1) {
            Some(left) => *self.values = left,
            None => return Err(self.refuse(JsonError::TooManyValues)),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(self.reborrow())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.refuse(JsonError::RepeatedKey));
            }
            object.insert(key, access.next_value_seed(self.reborrow())?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), JsonError>) {
        assert_eq!(parse(text.as_bytes()).map(drop), expected, "{}", &text[..text.len().min(80)]);
    }

    #[test]
    fn equal_to_the_library_where_it_accepts() {
        let text = r#"{"a":[1,-2,1.5,1e3,"x\u0041\/",null,true,{"b":{}}],"c":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()), Ok(serde_json::from_str::<Value>(text).expect("legal JSON")));
    }

    #[test]
    fn repeated_keys_are_refused_at_any_depth_and_under_any_spelling() {
        check(r#"{"a":1,"a":1}"#, Err(JsonError::RepeatedKey));
        check(r#"[{"x":{"a":1,"\u0061":2}}]"#, Err(JsonError::RepeatedKey));
        check(r#"{"a":{"a":1},"b":{"a":1}}"#, Ok(()));
    }

    #[test]
    fn values_are_counted_with_the_outermost() {
        let text = |inner: usize| format!("[{}]", vec!["0"; inner].join(","));
        check(&text(MESSAGE_VALUES - 1), Ok(()));
        check(&text(MESSAGE_VALUES), Err(JsonError::TooManyValues));
    }

    #[test]
    fn nesting_is_bounded() {
        let text = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(&text(127), Ok(()));
        assert!(matches!(parse(text(129).as_bytes()), Err(JsonError::Syntax { .. })));
    }

    #[test]
    fn one_value_and_nothing_else() {
        check("{} {}", Err(JsonError::Syntax { column: 4 }));
        check("\u{feff}{}", Err(JsonError::Syntax { column: 1 }));
        check("{\"a\":", Err(JsonError::Incomplete));
        check("", Err(JsonError::Incomplete));
        assert_eq!(parse(b"\"\xff\""), Err(JsonError::Utf8));
        assert!(matches!(parse(br#""\ud800""#), Err(JsonError::Syntax { .. })));
    }
}
