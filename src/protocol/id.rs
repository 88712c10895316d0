//! Ids of JSON-RPC requests.

use std::fmt;

use serde_json::Value;

/// The id of a JSON-RPC request, echoed unchanged with its type: `92` and `"92"` are two ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A signed 64-bit integer.
    Integer(i64),
    /// Any JSON string, the empty one included.
    Text(String),
}

impl Id {
    /// The id in a JSON value; `None` for null, fractions, exponents, booleans, containers and integers outside 64 bits.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Integer),
            Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// The id as it stands on the wire.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Integer(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Id {
    /// Integers bare, texts in quotes, so that the two cannot be mistaken for each other in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_and_integer_stay_apart() {
        assert_ne!(Id::from(92), Id::from("92"));
        assert_eq!(Id::from(92).to_string(), "92");
        assert_eq!(Id::from("92").to_string(), "\"92\"");
    }

    #[test]
    fn only_texts_and_64_bit_integers_are_ids() {
        for good in [json!(0), json!(-1), json!(i64::MAX), json!(i64::MIN), json!(""), json!("a")] {
            let id = Id::from_value(&good).expect("a legal id");
            assert_eq!(id.to_value(), good);
        }
        for bad in [json!(null), json!(true), json!(1.5), json!(1.0), json!(u64::MAX), json!([]), json!({})] {
            assert_eq!(Id::from_value(&bad), None, "{bad}");
        }
    }
}
