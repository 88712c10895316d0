//! Compares what came with what a case allows.

use serde_json::Value;

use super::case::template::{Names, Template, resolve_json};
use super::case::{Condition, Outcome, Shape};
use super::trace::Body;
use crate::protocol::message::Message;

/// An answer of the peer.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// The message.
    pub message: &'a Message,
    /// Its text in the trace.
    pub text: &'a str,
}

/// Matches an answer against one outcome, and keeps what `$set` names.
///
/// # Errors
///
/// What does not match.
pub fn match_outcome(outcome: &Outcome, answer: &Answered<'_>, names: &mut Names) -> Result<(), String> {
    match (&outcome.shape, answer.message) {
        (Shape::Answered, _) => {}
        (Shape::Status(statuses), Message::Response { result, .. }) => {
            let status = result.get("status").and_then(Value::as_u64);
            if !statuses.iter().any(|&allowed| Some(u64::from(allowed)) == status) {
                return Err("another status".to_owned());
            }
        }
        (Shape::Result(expected), Message::Response { result, .. }) => match_json(expected, Some(result), names)?,
        (Shape::Error(codes), Message::Error { error, .. }) => {
            if !codes.contains(&error.code) {
                return Err(format!("code {}", error.code));
            }
        }
        (Shape::Error(_), _) => return Err("a result".to_owned()),
        (_, _) => return Err("an error".to_owned()),
    }
    let kind = match answer.message {
        Message::Error { error, .. } => error.kind.map(|kind| kind.as_str().to_owned()),
        _ => None,
    };
    let result = match answer.message {
        Message::Response { result, .. } => result,
        _ => &Value::Null,
    };
    let entries = || {
        let headers = result.get("headers").and_then(Value::as_array);
        headers.into_iter().flatten().filter_map(|header| {
            Some((header.get("name")?.as_str()?.to_owned(), header.get("value")?.as_str()?.to_owned()))
        })
    };
    for condition in &outcome.conditions {
        match condition {
            Condition::Body(template) => {
                let body = result.get("bodyBase64").and_then(Value::as_str).and_then(Body::from_text);
                match_body(template, body.as_ref(), names)?;
            }
            Condition::Header(..) | Condition::NoHeader(_) => {
                match_header(condition, entries().collect(), names, false)?
            }
            Condition::Kind(words) => match_kind(words, kind.as_deref())?,
            Condition::Lacks(template) => match_lacks(template, answer.text, names)?,
            Condition::Method(_) | Condition::Target(_) => return Err("a condition for requests only".to_owned()),
            Condition::Code(_) | Condition::Says(_) => return Err("a condition for applications only".to_owned()),
        }
    }
    Ok(())
}

/// Matches a value: members that are written must match, `$` texts match more than themselves.
///
/// # Errors
///
/// The place that does not match.
pub fn match_json(expected: &Value, actual: Option<&Value>, names: &mut Names) -> Result<(), String> {
    let place = || format!("{} instead of {expected}", actual.map_or("nothing".to_owned(), ToString::to_string));
    let text = actual.and_then(Value::as_str);
    match expected {
        Value::String(pattern) if pattern == "$absent" => actual.is_none().then_some(()).ok_or_else(place),
        _ if actual.is_none() => Err(place()),
        Value::String(pattern) => match pattern.as_str() {
            "$any" => Ok(()),
            "$text" => text.filter(|text| !text.is_empty()).map(drop).ok_or_else(place),
            pattern => {
                let argument = |function: &str| pattern.strip_prefix(function)?.strip_suffix(')');
                if let Some(name) = argument("$set(") {
                    let text = text.filter(|text| !text.is_empty()).ok_or_else(place)?;
                    names.insert(name.to_owned(), text.to_owned());
                    Ok(())
                } else if let Some(name) = argument("$not(") {
                    let text = text.ok_or_else(place)?;
                    if names.get(name).is_some_and(|other| other == text) { Err(place()) } else { Ok(()) }
                } else {
                    let resolved = resolve_json(expected, names)?;
                    if Some(&resolved) == actual { Ok(()) } else { Err(place()) }
                }
            }
        },
        Value::Object(members) => {
            let object = actual.and_then(Value::as_object).ok_or_else(place)?;
            members.iter().try_for_each(|(name, value)| {
                match_json(value, object.get(name), names).map_err(|fault| format!("{name}: {fault}"))
            })
        }
        Value::Array(items) => {
            let array =
                actual.and_then(Value::as_array).filter(|array| array.len() == items.len()).ok_or_else(place)?;
            items.iter().zip(array).try_for_each(|(item, value)| match_json(item, Some(value), names))
        }
        plain => {
            if Some(plain) == actual {
                Ok(())
            } else {
                Err(place())
            }
        }
    }
}

/// Matches a body.
///
/// # Errors
///
/// How it differs.
pub fn match_body(template: &Template, body: Option<&Body>, names: &Names) -> Result<(), String> {
    let expected = template.resolve(names)?;
    match body {
        Some(body) if body.is(&expected) => Ok(()),
        Some(body) => Err(format!("a body of {} bytes that differs from the {} expected", body.len(), expected.len())),
        None => Err("no body".to_owned()),
    }
}

/// Matches `header` and `no-header` against entries in order; `latin1` says that each character of a value is a byte.
///
/// # Errors
///
/// What the entries of that name are.
pub fn match_header(
    condition: &Condition,
    entries: Vec<(String, String)>,
    names: &Names,
    latin1: bool,
) -> Result<(), String> {
    let (name, templates): (_, &[Template]) = match condition {
        Condition::Header(name, templates) => (name, templates),
        Condition::NoHeader(name) => (name, &[]),
        _ => return Ok(()),
    };
    let bytes = |text: String| if latin1 { text.chars().map(|byte| byte as u8).collect() } else { text.into_bytes() };
    let fitting = entries.into_iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let values: Vec<Vec<u8>> = fitting.map(|(_, value)| bytes(value)).collect();
    let expected = templates.iter().map(|template| template.resolve(names)).collect::<Result<Vec<_>, _>>()?;
    if values == expected {
        return Ok(());
    }
    let shown: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    Err(format!("header {name} is {shown:?}"))
}

/// Matches a kind.
///
/// # Errors
///
/// The kind that came.
pub fn match_kind(words: &[String], kind: Option<&str>) -> Result<(), String> {
    match kind {
        Some(kind) if words.iter().any(|word| word == kind) => Ok(()),
        Some(kind) => Err(format!("kind {kind}")),
        None => Err("no kind".to_owned()),
    }
}

/// The text does not occur.
///
/// # Errors
///
/// When it does.
pub fn match_lacks(template: &Template, text: &str, names: &Names) -> Result<(), String> {
    let unwanted = template.resolve_text(names)?;
    if text.contains(&unwanted) { Err(format!("a text with {unwanted:?}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conformance::case::{Action, Expect, parse::parse_cases};

    #[track_caller]
    fn matches(outcome: &str, frame: &str) -> Result<(), String> {
        let text = format!("# One.\ncase a/b\nclauses STREAM-1\n<- 1 {outcome}\n");
        let case = parse_cases("a.case", &text).expect("a good case").remove(0);
        let Some(Action::Expect(Expect::Answer(_, outcomes))) = case.steps.last().map(|step| &step.action) else {
            panic!("no expectation");
        };
        let message = Message::decode(frame.as_bytes()).expect("a message");
        let answered = Answered { message: &message, text: frame };
        match_outcome(&outcomes[0], &answered, &mut Names::from([("a".to_owned(), "A".to_owned())]))
    }

    #[test]
    fn results_match_by_status_body_and_headers() {
        let frame = r#"{"id":1,"result":{"status":200,"headers":[{"name":"x","value":"1"},{"name":"y","value":""},{"name":"x","value":"2"}],"bodyBase64":"aGk="}}"#;
        for good in [
            "200",
            "301|200 body \"hi\"",
            "200 header x \"1\" \"2\" no-header z",
            r#"{"status":200,"zz":"$absent"}"#,
            "answered",
        ] {
            assert_eq!(matches(good, frame), Ok(()), "{good}");
        }
        for bad in [
            "201",
            "200 body \"ho\"",
            "200 header x \"2\" \"1\"",
            "200 header x \"1\"",
            "200 no-header y",
            "error -1",
            r#"{"status":"$absent"}"#,
            "200 lacks \"aGk\"",
        ] {
            assert!(matches(bad, frame).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_match_by_code_kind_and_text() {
        let frame = r#"{"id":1,"error":{"code":-32603,"message":"no /path","data":{"kind":"connect"}}}"#;
        for good in ["error -32603", "error -32602|-32603 kind reset|connect", "error -32603 lacks \"?q\""] {
            assert_eq!(matches(good, frame), Ok(()), "{good}");
        }
        for bad in ["error -32602", "error -32603 kind dns", "error -32603 lacks \"/path\"", "200", "{}"] {
            assert!(matches(bad, frame).is_err(), "{bad}");
        }
    }

    #[test]
    fn special_texts_match_more_than_themselves() {
        let mut names = Names::from([("a".to_owned(), "A".to_owned())]);
        let actual = json!({"any": null, "text": "t", "set": "S", "not": "B", "name": "A!", "list": [1, 2], "more": 1});
        let expected = json!({"any": "$any", "text": "$text", "set": "$set(s)", "not": "$not(a)", "name": "$a!", "list": [1, "$any"]});
        assert_eq!(match_json(&expected, Some(&actual), &mut names), Ok(()));
        assert_eq!(names.get("s").map(String::as_str), Some("S"));
        for (pattern, value) in [("$text", json!("")), ("$not(a)", json!("A")), ("$absent", json!(0))] {
            assert!(match_json(&json!({"m": pattern}), Some(&json!({"m": value})), &mut names).is_err(), "{pattern}");
        }
        assert!(match_json(&json!({"m": "$any"}), Some(&json!({})), &mut names).is_err());
        assert!(match_json(&json!([1]), Some(&json!([1, 2])), &mut names).is_err());
    }
}
