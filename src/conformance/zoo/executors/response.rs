//! Executors that break what is said about responses.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::gather::gathered;
use super::parts::{edit_bytes, edit_headers, fail, header, headers, keep_first_of_each, name};
use crate::conformance::zoo::relay::{self, change_head};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Way, responses};
use crate::protocol::delta::DELTA_METHOD;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("no-headers-no-member", "RESPONSE-1", "A result without headers has no such member.", || {
        responses(|result| leave_out(result, "headers", &json!([])))
    }),
    Specimen::executor("no-body-no-member", "RESPONSE-1", "A result with an empty body has no such member.", || {
        responses(|result| leave_out(result, "bodyBase64", &json!("")))
    }),
    Specimen::executor("client-errors-fail", "RESPONSE-2", "A status of 400 and more fails the call.", || {
        failing(|_, result| result["status"].as_u64() >= Some(400))
    }),
    Specimen::executor("status-beyond-599-fails", "RESPONSE-2", "A status without a meaning fails the call.", || {
        failing(|_, result| result["status"].as_u64() > Some(599))
    }),
    Specimen::executor("redirect-statuses-fail", "RESPONSE-2", "A 3xx that is not followed fails the call.", || {
        failing(|_, result| matches!(result["status"].as_u64(), Some(300..400)))
    }),
    Specimen::executor(
        "chunk-in-the-result",
        "RESPONSE-3",
        "The first bytes of a stream stand in its result, too.",
        || {
            let mut held: HashMap<String, Message> = HashMap::new();
            Tamper::messages(move |message, out| {
                if message.is_delta() {
                    if let Some(mut answer) = held.remove(&message.json["params"]["requestId"].to_string()) {
                        answer.json["result"]["bodyBase64"] = message.json["params"]["deltaBase64"].clone();
                        out.pass(answer);
                    }
                } else if let Some(call) = streamed(&message) {
                    held.insert(call["requestId"].to_string(), message);
                    return;
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "buffered-body-in-frames-too",
        "RESPONSE-4",
        "A buffered body follows in a frame once more.",
        || {
            Tamper::messages(|message, out| {
                let frame = buffered(&message).map(|call| {
                    let body = &message.json["result"]["bodyBase64"];
                    let params = json!({"requestId": call["requestId"], "seq": 1, "deltaBase64": body, "done": true});
                    json!({"method": DELTA_METHOD, "params": params})
                });
                out.pass(message);
                frame.into_iter().for_each(|frame| out.send(Way::ToClient, &frame));
            })
        },
    ),
    Specimen::executor("buffered-body-of-1-mib", "RESPONSE-4", "A buffered body is cut at 1 MiB.", || {
        responses(|result| edit_bytes(result, "bodyBase64", |body| body.into_iter().take(1024 * 1024).collect()))
    }),
    Specimen::executor(
        "header-names-in-title-case",
        "RESPONSE-5",
        "Header names in a result begin with capitals.",
        || responses(|result| edit_headers(result, "name", title_case)),
    ),
    Specimen::executor(
        "repeated-headers-joined",
        "RESPONSE-6",
        "Repeated response headers are joined with commas.",
        || {
            responses(|result| {
                let Some(entries) = headers(result) else { return };
                let mut joined = keep_first_of_each(entries.iter());
                for entry in &mut joined {
                    let same = entries.iter().filter(|other| name(other) == name(entry));
                    let values: Vec<_> = same.filter_map(|other| other["value"].as_str()).collect();
                    entry["value"] = json!(values.join(", "));
                }
                *entries = joined;
            })
        },
    ),
    Specimen::executor(
        "response-headers-in-a-map",
        "RESPONSE-6",
        "Of a repeated response header the last is reported.",
        || {
            responses(|result| {
                if let Some(headers) = headers(result) {
                    *headers = keep_first_of_each(headers.iter().rev());
                }
            })
        },
    ),
    Specimen::executor(
        "equal-headers-once",
        "RESPONSE-6",
        "A response header that repeats a value is left out.",
        || {
            responses(|result| {
                let mut seen = BTreeSet::new();
                if let Some(headers) = headers(result) {
                    headers.retain(|entry| seen.insert(entry.to_string()));
                }
            })
        },
    ),
    Specimen::executor("response-headers-sorted", "RESPONSE-7", "Response headers are sorted by their names.", || {
        responses(|result| headers(result).into_iter().for_each(|headers| headers.sort_by_key(name)))
    }),
    Specimen::executor(
        "response-header-as-latin1",
        "RESPONSE-8",
        "Each byte of a response header is a character.",
        || responses(|result| edit_headers(result, "value", |value| value.bytes().map(char::from).collect())),
    ),
    Specimen::executor(
        "utf8-header-left-out",
        "RESPONSE-8",
        "A response header beyond visible ASCII is left out.",
        || {
            responses(|result| {
                if let Some(headers) = headers(result) {
                    headers.retain(|entry| entry["value"].as_str().is_none_or(str::is_ascii));
                }
            })
        },
    ),
    Specimen::executor(
        "bad-utf8-header-left-out",
        "RESPONSE-9",
        "A response header that is not UTF-8 is left out.",
        || {
            responses(|result| {
                if let Some(headers) = headers(result) {
                    headers.retain(|entry| entry.get("valueBase64").is_none());
                }
            })
        },
    ),
    Specimen::executor(
        "no-exact-bytes",
        "RESPONSE-9",
        "A value that is not UTF-8 is reported without its bytes.",
        || {
            responses(|result| {
                for entry in headers(result).into_iter().flatten().filter_map(Value::as_object_mut) {
                    entry.remove("valueBase64");
                }
            })
        },
    ),
    Specimen::executor(
        "bytes-of-every-header",
        "RESPONSE-9",
        "Every response header is reported with its bytes.",
        || {
            responses(|result| {
                for entry in headers(result).into_iter().flatten() {
                    if entry.get("valueBase64").is_none() {
                        entry["valueBase64"] = json!(STANDARD.encode(entry["value"].as_str().unwrap_or_default()));
                    }
                }
            })
        },
    ),
    Specimen::executor(
        "head-promises-a-body",
        "RESPONSE-10",
        "A response to HEAD lacks the body of its length.",
        || {
            failing(|call, result| {
                call["method"] == "HEAD" && header(result, "content-length").is_some_and(|n| n != "0")
            })
        },
    ),
    Specimen::executor("304-promises-a-body", "RESPONSE-10", "A 304 lacks the body of its length.", || {
        failing(|_, result| result["status"] == 304 && header(result, "content-length").is_some_and(|n| n != "0"))
    }),
    Specimen::executor("204-without-length", "RESPONSE-10", "A 204 fails for want of a length.", || {
        failing(|_, result| result["status"] == 204 && header(result, "content-length").is_none())
    }),
    Specimen::executor("short-body-is-whole", "RESPONSE-11", "A body that is shorter than promised is whole.", || {
        gathered(&["truncated"])
    }),
    Specimen::executor("reset-body-is-whole", "RESPONSE-11", "A body is whole when its connection is reset.", || {
        gathered(&["reset"])
    }),
    Specimen::executor(
        "bad-chunk-ends-a-body",
        "RESPONSE-11",
        "A body is whole before a chunk without a length.",
        || gathered(&["protocol"]),
    ),
    Specimen::executor("body-needs-a-length", "RESPONSE-12", "A body that ends with its connection fails.", || {
        failing(|call, result| {
            let framed = ["content-length", "transfer-encoding"].iter().any(|name| header(result, name).is_some());
            !framed && call["method"] != "HEAD" && result["status"] != 204 && result["status"] != 304
        })
    }),
    Specimen::executor("trailers-reported", "RESPONSE-12", "Trailers are reported as headers.", || {
        relay::responses(|start| {
            let text = String::from_utf8_lossy(start).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            if !head.contains("chunked") {
                return true;
            }
            let Some((chunks, trailers)) = body.split_once("\r\n0\r\n").filter(|_| body.ends_with("\r\n\r\n")) else {
                return false;
            };
            let trailers = trailers.trim_end();
            if !trailers.is_empty() {
                *start = format!("{head}\r\n{trailers}\r\n\r\n{chunks}\r\n0\r\n\r\n").into();
            }
            true
        })
    }),
    Specimen::executor("failure-is-a-502", "RESPONSE-13", "An upstream failure is a result with status 502.", || {
        Tamper::messages(|mut message, out| {
            if message.is_answer() && message.json["error"]["code"] == -32603 {
                let result = json!({"status": 502, "headers": [], "bodyBase64": ""});
                message.json = json!({"id": message.json["id"], "result": result});
            }
            out.pass(message);
        })
    }),
    Specimen::executor("first-of-two-lengths", "RESPONSE-13", "Of two lengths in a response the first counts.", || {
        relay::responses(|start| {
            change_head(start, |head| {
                let mut seen = false;
                without_lines(head, |line| line.starts_with("content-length:") && std::mem::replace(&mut seen, true))
            })
        })
    }),
    Specimen::executor("response-without-a-head", "RESPONSE-13", "What is not HTTP is the body of a response.", || {
        relay::responses(|start| {
            if start.len() >= 5 && !start.starts_with(b"HTTP/") {
                start.splice(..0, *b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            }
            start.len() >= 5
        })
    }),
    Specimen::executor(
        "length-before-chunks",
        "RESPONSE-14",
        "A content-length counts beside transfer-encoding.",
        || {
            relay::responses(|start| {
                change_head(start, |head| {
                    let both = head.contains("\r\ncontent-length:") && head.contains("\r\ntransfer-encoding:");
                    without_lines(head, |line| both && line.starts_with("transfer-encoding:"))
                })
            })
        },
    ),
];

fn leave_out(result: &mut Value, member: &str, value: &Value) {
    if result[member] == *value
        && let Some(members) = result.as_object_mut()
    {
        members.remove(member);
    }
}

/// The params of the streamed call that a message answers with a result.
fn streamed(message: &Message) -> Option<&Value> {
    result_of(message).filter(|call| call["streamResponse"] == true)
}

/// The params of the buffered call that a message answers with a result.
fn buffered(message: &Message) -> Option<&Value> {
    result_of(message).filter(|call| call["streamResponse"] != true)
}

fn result_of(message: &Message) -> Option<&Value> {
    let call = message.asked.as_deref().filter(|_| message.is_answer() && message.json.get("result").is_some());
    call.map(|call| &call["params"])
}

/// Buffered calls with such params and such a result fail.
fn failing(is_failure: fn(&Value, &Value) -> bool) -> Tamper {
    Tamper::messages(move |mut message: Message, out: &mut Outlet| {
        if buffered(&message).is_some_and(|call| is_failure(call, &message.json["result"])) {
            fail(&mut message.json, "protocol", "http/request failed: the response is not acceptable");
        }
        out.pass(message);
    })
}

fn title_case(name: &str) -> String {
    let words = name
        .split('-')
        .map(|word| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default());
    words.collect::<Vec<_>>().join("-")
}

fn without_lines(head: &str, mut is_left_out: impl FnMut(&str) -> bool) -> String {
    head.split_inclusive("\r\n").filter(|line| !is_left_out(&line.to_ascii_lowercase())).collect()
}
