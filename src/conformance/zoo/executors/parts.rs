//! Parts of calls and results that specimens of several areas change. A part that is missing, or of another type, is left alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::protocol::error::INTERNAL_ERROR;

/// The header entries of a call or a result.
pub(super) fn headers(of: &mut Value) -> Option<&mut Vec<Value>> {
    of.get_mut("headers")?.as_array_mut()
}

/// The name of a header entry, in lower case.
pub(super) fn name(entry: &Value) -> String {
    entry["name"].as_str().unwrap_or_default().to_ascii_lowercase()
}

/// The value of the first header of that name.
pub(super) fn header<'a>(of: &'a Value, wanted: &str) -> Option<&'a str> {
    of.get("headers")?.as_array()?.iter().find(|entry| name(entry) == wanted)?["value"].as_str()
}

/// Puts a header behind all others.
pub(super) fn add_header(of: &mut Value, name: &str, value: &str) {
    if let Some(members) = of.as_object_mut()
        && let Some(headers) = members.entry("headers").or_insert_with(|| json!([])).as_array_mut()
    {
        headers.push(json!({"name": name, "value": value}));
    }
}

/// Leaves out the headers of these names.
pub(super) fn drop_headers(of: &mut Value, names: &[&str]) {
    if let Some(headers) = headers(of) {
        headers.retain(|entry| !names.contains(&name(entry).as_str()));
    }
}

/// Keeps of each header name one entry: the first, in the order in which the entries are given.
pub(super) fn keep_first_of_each<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries {
        if !kept.iter().any(|other| name(other) == name(entry)) {
            kept.push(entry.clone());
        }
    }
    kept
}

/// Changes a member that is a string.
pub(super) fn edit_text(of: &mut Value, member: &str, change: impl FnOnce(&str) -> String) {
    if let Some(part) = of.get_mut(member)
        && let Some(text) = part.as_str()
    {
        *part = json!(change(text));
    }
}

/// Changes the string of that member of each header.
pub(super) fn edit_headers(of: &mut Value, member: &str, mut change: impl FnMut(&str) -> String) {
    for entry in headers(of).into_iter().flatten() {
        edit_text(entry, member, &mut change);
    }
}

/// Changes a member that is base64.
pub(super) fn edit_bytes(of: &mut Value, member: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    encode_bytes(of, member, |bytes| STANDARD.encode(change(bytes)));
}

/// Encodes the bytes of a member that is base64 in another way.
pub(super) fn encode_bytes(of: &mut Value, member: &str, encode: impl FnOnce(Vec<u8>) -> String) {
    if let Some(part) = of.get_mut(member)
        && let Some(bytes) = part.as_str().and_then(|text| STANDARD.decode(text).ok())
    {
        *part = json!(encode(bytes));
    }
}

/// Makes an answer that of a call that failed upstream.
pub(super) fn fail(answer: &mut Value, kind: &str, text: &str) {
    let error = json!({"code": INTERNAL_ERROR, "message": text, "data": {"kind": kind}});
    *answer = json!({"id": answer["id"], "error": error});
}
