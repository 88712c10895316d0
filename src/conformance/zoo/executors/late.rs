//! Executors whose defects were invented after the cases were frozen, without a look at any case, in order to see how many of the
//! defects that nobody had in mind are caught.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::hops::hops;
use super::parts::encode_bytes;
use super::redirect::carry;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, calls, deltas, responses};
use crate::protocol::error::ErrorKind;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "members-in-any-case",
        "ENVELOPE-4",
        "A member of the params of a call counts in any spelling of its case: `URL` and `Url` are `url`.",
        members_in_any_case,
    ),
    Specimen::executor(
        "padded-in-the-middle",
        "PARAMS-17",
        "A buffered body is encoded in pieces of 32 KiB, each with a padding of its own.",
        || {
            responses(|result| {
                encode_bytes(result, "bodyBase64", |bytes| {
                    bytes.chunks(PIECE_BYTES).map(|piece| STANDARD.encode(piece)).collect()
                });
            })
        },
    ),
    Specimen::executor(
        "host-crosses-origins",
        "HTTP-27",
        "A `host` of the caller follows a redirect to another origin.",
        || hops(|hop| carry(hop, |name| name == "host")),
    ),
    Specimen::executor(
        "https-deadline-as-tls",
        "ERROR-8",
        "A call to an https URL that its deadline cuts off, unless that is 0, has kind tls.",
        https_deadline_as_tls,
    ),
    Specimen::executor(
        "seq-goes-on-behind-a-failure",
        "STREAM-1",
        "Behind a stream that failed, the next one with its `requestId` goes on with its numbers.",
        seq_goes_on_behind_a_failure,
    ),
];

/// The members of the params of a call.
const MEMBERS: [&str; 8] =
    ["method", "url", "headers", "bodyBase64", "timeoutMs", "redirectPolicy", "requestId", "streamResponse"];

/// Bytes that are encoded at a time.
const PIECE_BYTES: usize = 32 * 1024;

fn members_in_any_case() -> Tamper {
    calls(|call| {
        let Some(members) = call.as_object_mut() else { return };
        for (name, value) in members.clone() {
            if let Some(meant) = MEMBERS.iter().find(|member| **member != name && member.eq_ignore_ascii_case(&name)) {
                members.insert((*meant).to_owned(), value);
            }
        }
    })
}

fn https_deadline_as_tls() -> Tamper {
    Tamper::messages(|mut message, out| {
        let is_https = message.asked.as_ref().is_some_and(|asked| {
            let call = &asked["params"];
            call["timeoutMs"] != 0 && call["url"].as_str().is_some_and(|url| url.starts_with("https:"))
        });
        if is_https && message.kind() == ErrorKind::Timeout.as_str() {
            message.json["error"]["data"]["kind"] = json!(ErrorKind::Tls.as_str());
        }
        out.pass(message);
    })
}

fn seq_goes_on_behind_a_failure() -> Tamper {
    let mut failed: HashMap<Value, u64> = HashMap::new();
    deltas(move |delta| {
        let stream = delta["requestId"].clone();
        let seq = delta["seq"].as_u64().unwrap_or_default() + failed.get(&stream).copied().unwrap_or_default();
        delta["seq"] = json!(seq);
        if delta["error"].is_string() {
            failed.insert(stream, seq);
        } else if delta["done"] == true {
            failed.remove(&stream);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::zoo::specimen::Means;
    use crate::conformance::zoo::tamper::{Effect, Unit, Way, text};
    use crate::protocol::delta::DELTA_METHOD;
    use crate::protocol::http::REQUEST_METHOD;

    /// What becomes of a message that is passed on.
    fn passed(tamper: &mut Tamper, way: Way, json: &Value) -> Value {
        match &tamper.take(way, text(json))[..] {
            [Effect::Send(_, Unit::Message { bytes, .. })] => serde_json::from_slice(bytes).expect("a message is JSON"),
            effects => panic!("{effects:?}"),
        }
    }

    /// The defect of that name.
    fn tamper(name: &str) -> Tamper {
        match DEFECTS.iter().find(|specimen| specimen.name == name).expect("it is one of them").means {
            Means::Wire(make) => make(),
            means => panic!("{means:?}"),
        }
    }

    fn call(id: u64, params: &Value) -> Value {
        json!({"id": id, "method": REQUEST_METHOD, "params": params})
    }

    #[test]
    fn members_count_in_any_case() {
        let mut tamper = tamper("members-in-any-case");
        let sent = call(1, &json!({"url": "http://a/", "Url": "http://b/", "requestid": "r", "urls": 1}));
        let wanted = json!({"url": "http://b/", "Url": "http://b/", "requestid": "r", "requestId": "r", "urls": 1});
        assert_eq!(passed(&mut tamper, Way::ToExecutor, &sent)["params"], wanted);
        let usual = call(2, &json!({"url": "http://a/", "requestId": "r", "x": 1}));
        assert_eq!(passed(&mut tamper, Way::ToExecutor, &usual), usual);
    }

    #[test]
    fn pieces_of_a_buffered_body_are_padded() {
        let mut tamper = tamper("padded-in-the-middle");
        for (id, length, is_changed) in [(1, 0, false), (2, PIECE_BYTES, false), (3, PIECE_BYTES + 1, true)] {
            passed(&mut tamper, Way::ToExecutor, &call(id, &json!({})));
            let sent = json!({"id": id, "result": {"bodyBase64": STANDARD.encode(vec![7; length])}});
            let came = passed(&mut tamper, Way::ToClient, &sent);
            assert_eq!(came != sent, is_changed, "{length}");
            assert_eq!(
                STANDARD.decode(came["result"]["bodyBase64"].as_str().expect("a body is text")).is_err(),
                is_changed
            );
        }
    }

    #[test]
    fn a_deadline_on_https_is_a_failure_of_tls() {
        let mut tamper = tamper("https-deadline-as-tls");
        let kinds = [
            ("https://a/", 5, "timeout", "tls"),
            ("https://a/", 5, "connect", "connect"),
            ("https://a/", 0, "timeout", "timeout"),
            ("http://a/", 5, "timeout", "timeout"),
        ];
        for (id, (url, timeout, kind, wanted)) in (1..).zip(kinds) {
            passed(&mut tamper, Way::ToExecutor, &call(id, &json!({"url": url, "timeoutMs": timeout})));
            let failed = json!({"id": id, "error": {"code": -32603, "message": "m", "data": {"kind": kind}}});
            assert_eq!(passed(&mut tamper, Way::ToClient, &failed)["error"]["data"]["kind"], wanted);
        }
    }

    #[test]
    fn the_numbers_of_a_failed_stream_go_on() {
        let mut tamper = tamper("seq-goes-on-behind-a-failure");
        let mut number = |id: &str, seq: u64, error: Value, done: bool| {
            let params = json!({"requestId": id, "seq": seq, "deltaBase64": "", "done": done, "error": error});
            let frame = json!({"method": DELTA_METHOD, "params": params});
            passed(&mut tamper, Way::ToClient, &frame)["params"]["seq"].as_u64().expect("a frame has a number")
        };
        assert_eq!(number("a", 1, Value::Null, false), 1);
        assert_eq!(number("a", 2, json!("broken"), true), 2);
        assert_eq!(number("b", 1, Value::Null, true), 1);
        assert_eq!(number("b", 1, Value::Null, true), 1);
        assert_eq!(number("a", 1, Value::Null, false), 3);
        assert_eq!(number("a", 2, Value::Null, true), 4);
        assert_eq!(number("a", 1, Value::Null, true), 1);
    }
}
