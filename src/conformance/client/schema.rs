//! The published JSON Schema of the adapter protocol, which every line of both directions is held against.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schema: its root allows the lines of both sides.
pub const SCHEMA: &str = include_str!("adapter.schema.json");

static COMMAND: LazyLock<Validator> = LazyLock::new(|| of("command"));
static REPLY: LazyLock<Validator> = LazyLock::new(|| of("reply"));
static EVENT: LazyLock<Validator> = LazyLock::new(|| of("event"));

fn of(definition: &str) -> Validator {
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("a test reads the schema");
    let root = schema.as_object_mut().expect("a schema is an object");
    root.remove("oneOf");
    root.insert("$ref".to_owned(), json!(format!("#/$defs/{definition}")));
    jsonschema::validator_for(&schema).expect("a test compiles the schema")
}

/// Holds a line of the suite against the schema.
///
/// # Errors
///
/// What is wrong, and where.
pub fn check_command(line: &Value) -> Result<(), String> {
    check(&COMMAND, line, "command")
}

/// Holds a line of an adapter against the schema.
///
/// # Errors
///
/// What is wrong, and where.
pub fn check_line(line: &Value) -> Result<(), String> {
    match (line.get("reply"), line.get("event")) {
        (Some(_), None) => check(&REPLY, line, "reply"),
        (None, Some(_)) => check(&EVENT, line, "event"),
        _ => Err("neither a reply nor an event".to_owned()),
    }
}

/// A text that is none of the alternatives says little; what is wrong with the one that it names says more.
fn check(validator: &Validator, line: &Value, member: &str) -> Result<(), String> {
    let Err(error) = validator.validate(line) else { return Ok(()) };
    let schema: Value = serde_json::from_str(SCHEMA).expect("a test reads the schema");
    let alternatives = schema["$defs"][member]["oneOf"].as_array().cloned().unwrap_or_default();
    let named = alternatives.into_iter().find(|alternative| alternative["properties"][member]["const"] == line[member]);
    let Some(mut named) = named else { return Err(format!("unknown {member} {}", line[member])) };
    named["$defs"] = schema["$defs"].clone();
    let told = jsonschema::validator_for(&named).expect("a test compiles the schema");
    match told.validate(line) {
        Err(error) if error.instance_path().as_str().is_empty() => Err(error.to_string()),
        Err(error) => Err(format!("{}: {error}", error.instance_path())),
        Ok(()) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(check: fn(&Value) -> Result<(), String>, line: Value, part: &str) {
        let error = check(&line).expect_err("the line is wrong");
        assert!(error.contains(part), "{line}: {error}");
    }

    #[test]
    fn the_exchange_of_the_document_is_valid() {
        let document = include_str!("../../../docs/adapter.md");
        let (mut commands, mut lines) = (0, 0);
        for line in document.lines() {
            let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            if let Some(command) = line.strip_prefix("> {").map(|rest| value(&format!("{{{rest}"))) {
                commands += 1;
                assert_eq!(check_command(&command), Ok(()), "{line}");
            } else if let Some(answer) = line.strip_prefix("< {").map(|rest| value(&format!("{{{rest}"))) {
                lines += 1;
                assert_eq!(check_line(&answer), Ok(()), "{line}");
            }
        }
        assert_eq!((commands, lines), (6, 9));
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(check_line, json!({"n": 1}), "neither a reply nor an event");
        refused(check_line, json!({"id": 1, "reply": "okay"}), "unknown reply");
        refused(check_line, json!({"id": "1", "reply": "ok"}), "/id");
        refused(check_line, json!({"n": 1, "event": "end"}), "op");
        refused(check_line, json!({"n": 1, "event": "call-failed", "op": "a", "kind": "rpc", "message": ""}), "code");
        let chunk = json!({"n": 1, "event": "chunk", "op": "a", "bytes": 1, "sha256": "00"});
        refused(check_line, chunk, "/sha256");
        refused(
            check_line,
            json!({"n": 1, "event": "chunk", "op": "a", "bytes": 1, "sha256": "0".repeat(64)}),
            "dataBase64",
        );
        refused(check_command, json!({"id": 1, "command": "open", "conn": "c", "transport": "ws"}), "url");
        refused(
            check_command,
            json!({"id": 1, "command": "open", "conn": "c", "transport": "stdio", "argv": ["x"]}),
            "env",
        );
    }
}
