//! Executors that break what is said about connections to origins.

use crate::conformance::zoo::relay::{self, Soiled, change_head};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("early-hints-are-the-response", "HTTP-30", "A 103 is taken for the response.", || {
        relay::responses(|start| {
            change_head(start, |head| match head.split_once("\r\n") {
                Some((status, fields)) if status.starts_with("HTTP/1.1 103") => {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}")
                }
                _ => head.to_owned(),
            })
        })
    }),
    Specimen::executor("early-hints-merged", "HTTP-30", "The headers of a 103 are reported with the response.", || {
        relay::responses(merge_hints)
    }),
    Specimen::executor("connection-with-bytes-left", "HTTP-31", "Bytes behind a response begin the next one.", || {
        relay::reusing(Soiled::BytesLeft)
    }),
    Specimen::executor(
        "connection-given-up",
        "HTTP-31",
        "A connection is used again behind a request that timed out.",
        || relay::reusing(Soiled::Abandoned),
    ),
    Specimen::executor("get-sent-again", "HTTP-32", "A GET whose connection broke is sent a second time.", || {
        sent_again("GET")
    }),
    Specimen::executor("post-sent-again", "HTTP-32", "A POST whose connection broke is sent a second time.", || {
        sent_again("POST")
    }),
];

fn merge_hints(start: &mut Vec<u8>) -> bool {
    let text = String::from_utf8_lossy(start).into_owned();
    let Some((hints, response)) = text.split_once("\r\n\r\n") else { return false };
    let Some((_, hints)) = hints.split_once("\r\n").filter(|(status, _)| status.starts_with("HTTP/1.1 103")) else {
        return true;
    };
    let Some((status, fields)) = response.split_once("\r\n").filter(|_| response.contains("\r\n\r\n")) else {
        return false;
    };
    *start = format!("{status}\r\n{hints}\r\n{fields}").into();
    true
}

fn sent_again(method: &'static str) -> Tamper {
    Tamper::messages(move |message, out| {
        let broke = message.is_answer() && message.json["error"]["data"]["kind"] == "reset";
        match &message.asked {
            Some(call) if broke && call["params"]["method"] == method => out.send(Way::ToExecutor, call),
            _ => out.pass(message),
        }
    })
}
