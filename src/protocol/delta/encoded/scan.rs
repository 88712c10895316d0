//! Data frames with their members in any order and with white space between them.

use super::{EncodedDelta, Form, number, plain_text};
use crate::protocol::delta::DELTA_METHOD;

/// The frame, if it has no other members than those of a data frame and `jsonrpc`, each once, and no escape anywhere.
pub(super) fn find(frame: &[u8]) -> Option<EncodedDelta<'_>> {
    let (mut method, mut params, mut jsonrpc) = (None, None, None);
    let rest = members(frame, |key, json| match key {
        b"method" => set(&mut method, plain_text(json)),
        b"jsonrpc" => set(&mut jsonrpc, plain_text(json)),
        b"params" => set(&mut params, delta(json)),
        _ => None,
    })?;
    params.filter(|_| method == Some(DELTA_METHOD.as_bytes()) && rest.is_empty())
}

fn delta(json: &[u8]) -> Option<(EncodedDelta<'_>, &[u8])> {
    let (mut id, mut seq, mut text, mut done, mut error) = (None, None, None, None, None);
    let rest = members(json, |key, json| match key {
        b"requestId" => set(&mut id, plain_text(json)),
        b"seq" => set(&mut seq, number(json)),
        b"deltaBase64" => set(&mut text, long_text(json)),
        b"done" => set(&mut done, json.strip_prefix(b"false").map(|rest| ((), rest))),
        b"error" => set(&mut error, json.strip_prefix(b"null").map(|rest| ((), rest))),
        _ => None,
    })?;
    Some((EncodedDelta { id: id?, seq: seq?, text: text?, form: Form::Other }, rest))
}

/// Reads an object, and hands each key and what follows it to `member`, which returns what follows the value. Returns what
/// follows the object and white space.
fn members<'a>(json: &'a [u8], mut member: impl FnMut(&'a [u8], &'a [u8]) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
    let mut json = skip_space(json).strip_prefix(b"{")?;
    loop {
        let (key, rest) = plain_text(skip_space(json))?;
        let rest = skip_space(rest).strip_prefix(b":")?;
        let rest = skip_space(member(key, skip_space(rest))?);
        match rest.split_first()? {
            (b',', rest) => json = rest,
            (b'}', rest) => return Some(skip_space(rest)),
            _ => return None,
        }
    }
}

/// Stores what was read, unless something was before; returns what follows it.
fn set<'a, T>(slot: &mut Option<T>, read: Option<(T, &'a [u8])>) -> Option<&'a [u8]> {
    let (value, rest) = read?;
    match slot.replace(value) {
        None => Some(rest),
        Some(_) => None,
    }
}

/// A string up to its first quote: one with escapes is no base64.
fn long_text(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let json = json.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', json)?;
    Some((&json[..end], &json[end + 1..]))
}

fn skip_space(json: &[u8]) -> &[u8] {
    let space = json.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    &json[space..]
}
