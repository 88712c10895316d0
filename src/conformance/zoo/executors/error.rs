//! Executors that break the clauses of errors.

use std::collections::HashMap;

use serde_json::{Value, json};
use url::Url;

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, answers, failures, frames, terminals};
use crate::protocol::error::{INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND};
use crate::protocol::http::REQUEST_METHOD;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("code-as-text", "ERROR-1", "The code of an error is a text.", || {
        failures(|error| error["code"] = json!(error["code"].to_string()))
    }),
    Specimen::executor(
        "unknown-method-without-text",
        "ERROR-1",
        "The error for an unknown method has an empty message.",
        || {
            failures(|error| {
                if error["code"] == METHOD_NOT_FOUND {
                    error["message"] = json!("");
                }
            })
        },
    ),
    Specimen::executor(
        "failure-as-bad-params",
        "ERROR-2",
        "A call that fails upstream has the code of bad params.",
        || {
            failures(|error| {
                if error["code"] == INTERNAL_ERROR {
                    error["code"] = json!(INVALID_PARAMS);
                }
            })
        },
    ),
    Specimen::executor(
        "bad-url-as-failure",
        "ERROR-2",
        "A URL that is refused has the code of a failed exchange.",
        || {
            told(|message| {
                let asked_for = message.asked.as_ref().and_then(|asked| asked["params"]["url"].as_str());
                if message.json["error"]["code"] == INVALID_PARAMS
                    && !asked_for.is_some_and(|url| url.starts_with("http"))
                {
                    message.json["error"]["code"] = json!(INTERNAL_ERROR);
                }
            })
        },
    ),
    Specimen::executor("no-kinds", "ERROR-3", "Errors have no kinds.", || {
        answers(REQUEST_METHOD, |answer| {
            if answer["error"]["code"] == INTERNAL_ERROR {
                answer["error"]["data"] = Value::Null;
            }
        })
    }),
    Specimen::executor("kind-of-a-library", "ERROR-3", "The kind of a refused connection is `ECONNREFUSED`.", || {
        renamed("connect", "ECONNREFUSED", Place::Everywhere)
    }),
    Specimen::executor("terminal-without-kind", "ERROR-4", "A terminal frame with an error has no kind.", || {
        terminals(|delta| delta["errorKind"] = Value::Null)
    }),
    Specimen::executor(
        "code-in-the-terminal",
        "ERROR-4",
        "A terminal frame has a code where its kind should be.",
        || {
            terminals(|delta| {
                if delta["error"].is_string() {
                    delta["errorKind"] = json!(INTERNAL_ERROR.to_string());
                }
            })
        },
    ),
    Specimen::executor("one-kind-for-all", "ERROR-5", "Whatever fails has kind reset.", || {
        told(|message| {
            if message.is_delta() && message.json["params"]["error"].is_string() {
                message.json["params"]["errorKind"] = json!("reset");
            } else if !message.kind().is_empty() {
                message.json["error"]["data"]["kind"] = json!("reset");
            }
        })
    }),
    Specimen::executor("refused-as-timeout", "ERROR-5", "A refused connection has kind timeout.", || {
        renamed("connect", "timeout", Place::Everywhere)
    }),
    Specimen::executor("dns-as-connect", "ERROR-6", "A name that does not resolve has kind connect.", || {
        renamed("dns", "connect", Place::Everywhere)
    }),
    Specimen::executor("tls-as-connect", "ERROR-7", "A failed TLS handshake has kind connect.", || {
        renamed("tls", "connect", Place::Everywhere)
    }),
    Specimen::executor("silence-as-reset", "ERROR-8", "A deadline that passes before the head has kind reset.", || {
        renamed("timeout", "reset", Place::Answers)
    }),
    Specimen::executor(
        "streamed-silence-as-reset",
        "ERROR-8",
        "The deadline of a streamed call to an http URL that passes before the head has kind reset.",
        || {
            told(|message| {
                let is_http = url_of(message).is_some_and(|url| url.scheme() == "http");
                if message.is_answer() && message.is_streamed() && is_http && message.kind() == "timeout" {
                    message.json["error"]["data"]["kind"] = json!("reset");
                }
            })
        },
    ),
    Specimen::executor(
        "stall-as-truncated",
        "ERROR-8",
        "A deadline that passes in a stream has kind truncated.",
        || renamed("timeout", "truncated", Place::Frames),
    ),
    Specimen::executor(
        "deadline-for-the-head-only",
        "HTTP-15",
        "A deadline that passes in the middle of a stream does not end it.",
        || {
            frames(|frame, out| {
                if frame.kind() != "timeout" {
                    out.pass(frame)
                }
            })
        },
    ),
    Specimen::executor(
        "half-head-as-protocol",
        "ERROR-9",
        "A connection that breaks in the head has kind protocol.",
        || renamed("reset", "protocol", Place::Answers),
    ),
    Specimen::executor(
        "streamed-break-as-protocol",
        "ERROR-9",
        "A streamed call whose connection breaks before the head has kind protocol.",
        || {
            told(|message| {
                if message.is_answer() && message.is_streamed() && message.kind() == "reset" {
                    message.json["error"]["data"]["kind"] = json!("protocol");
                }
            })
        },
    ),
    Specimen::executor("reset-as-truncated", "ERROR-9", "A stream that is reset has kind truncated.", || {
        renamed("reset", "truncated", Place::Frames)
    }),
    Specimen::executor(
        "truncated-as-reset",
        "ERROR-10",
        "A body that ends early by an orderly close has kind reset.",
        || renamed("truncated", "reset", Place::Everywhere),
    ),
    Specimen::executor("garbage-as-reset", "ERROR-11", "A head that is not HTTP has kind reset.", || {
        renamed("protocol", "reset", Place::Answers)
    }),
    Specimen::executor("bad-chunk-as-truncated", "ERROR-11", "A chunk that cannot be read has kind truncated.", || {
        renamed("protocol", "truncated", Place::Frames)
    }),
    Specimen::executor("redirect-as-protocol", "ERROR-12", "Too many redirects have kind protocol.", || {
        renamed("redirect", "protocol", Place::Everywhere)
    }),
    Specimen::executor("limit-as-protocol", "ERROR-13", "A body that is too long has kind protocol.", || {
        told(|message| {
            if message.kind() == "limit" && message.json["error"]["code"] == INTERNAL_ERROR {
                message.json["error"]["data"]["kind"] = json!("protocol");
            }
        })
    }),
    Specimen::executor(
        "long-id-without-kind",
        "ERROR-13",
        "A `requestId` that is too long is refused without a kind.",
        || {
            told(|message| {
                if message.kind() == "limit" && message.json["error"]["code"] == INVALID_PARAMS {
                    message.json["error"]["data"] = Value::Null;
                }
            })
        },
    ),
    Specimen::executor("denied-without-kind", "ERROR-14", "A denied variable is refused without a kind.", || {
        told(|message| {
            if message.kind() == "denied" {
                message.json["error"]["data"] = Value::Null;
            }
        })
    }),
    Specimen::executor(
        "url-in-failures",
        "ERROR-15",
        "The error of a failed call has its URL with path and query.",
        || saying(INTERNAL_ERROR, |call| call["url"].as_str().unwrap_or_default().to_owned()),
    ),
    Specimen::executor("path-in-failures", "ERROR-15", "The error of a failed call has the path of its URL.", || {
        saying(INTERNAL_ERROR, |call| url(call).map(|url| url.path().to_owned()).unwrap_or_default())
    }),
    Specimen::executor(
        "password-in-failures",
        "ERROR-15",
        "The error of a failed call has the password of its URL.",
        || {
            saying(INTERNAL_ERROR, |call| {
                url(call).and_then(|url| url.password().map(str::to_owned)).unwrap_or_default()
            })
        },
    ),
    Specimen::executor("headers-in-failures", "ERROR-15", "The error of a failed call has its headers.", || {
        saying(INTERNAL_ERROR, |call| call["headers"].to_string())
    }),
    Specimen::executor(
        "url-of-a-streamed-connect",
        "ERROR-15",
        "The error of a streamed call that finds no connection has its URL.",
        || naming_url(|message| message.kind() == "connect" && message.is_streamed()),
    ),
    Specimen::executor(
        "url-of-an-unknown-host",
        "ERROR-15",
        "The error of a name that does not resolve has the URL.",
        || naming_url(|message| message.kind() == "dns"),
    ),
    Specimen::executor(
        "url-of-a-failed-handshake",
        "ERROR-15",
        "The error of a failed TLS handshake has the URL.",
        || naming_url(|message| message.kind() == "tls"),
    ),
    Specimen::executor(
        "url-of-a-broken-connection",
        "ERROR-15",
        "The error of a call whose connection was reset has its URL.",
        || naming_url(|message| message.kind() == "reset"),
    ),
    Specimen::executor(
        "url-of-a-refused-redirect",
        "ERROR-15",
        "The error of a redirect that is not followed has the URL of its call.",
        || naming_url(|message| message.kind() == "redirect"),
    ),
    Specimen::executor(
        "url-in-terminals",
        "ERROR-15",
        "The error of a terminal frame has the URL of its call.",
        || {
            let mut urls = HashMap::new();
            Tamper::messages(move |mut message, out| {
                if message.is_call() {
                    urls.insert(message.request_id().to_owned(), message.json["params"]["url"].clone());
                } else if message.is_terminal() {
                    let url = urls.remove(message.request_id()).unwrap_or_default();
                    let delta = &mut message.json["params"];
                    if let Some(text) = delta["error"].as_str() {
                        delta["error"] = json!(format!("{text}: {url}"));
                    }
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor("url-in-refusals", "ERROR-15", "The error of a refused call has its URL.", || {
        saying(INVALID_PARAMS, |call| call["url"].to_string())
    }),
    Specimen::executor("header-in-refusals", "ERROR-15", "The error of a refused header has its value.", || {
        saying(INVALID_PARAMS, |call| call["headers"][0]["value"].to_string())
    }),
];

/// Where a failure is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Answers,
    Frames,
    Everywhere,
}

/// Changes everything that tells the failure of a call.
fn told(mut change: impl FnMut(&mut Message) + Send + 'static) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_answer() || message.is_delta() {
            change(&mut message);
        }
        out.pass(message);
    })
}

/// Tells another kind than the right one.
fn renamed(kind: &'static str, other: &'static str, place: Place) -> Tamper {
    told(move |message| {
        if message.kind() != kind {
            return;
        }
        match (message.is_delta(), place) {
            (true, Place::Answers) | (false, Place::Frames) => {}
            (true, _) => message.json["params"]["errorKind"] = json!(other),
            (false, _) => message.json["error"]["data"]["kind"] = json!(other),
        }
    })
}

/// Adds something of a call to the text of an error with that code.
fn saying(code: i64, what: fn(&Value) -> String) -> Tamper {
    saying_when(move |message| message.json["error"]["code"] == code, what)
}

/// Adds the URL of a call to the text of an error for which that holds.
fn naming_url(when: fn(&Message) -> bool) -> Tamper {
    saying_when(when, |call| call["url"].as_str().unwrap_or_default().to_owned())
}

fn saying_when(when: impl Fn(&Message) -> bool + Send + 'static, what: fn(&Value) -> String) -> Tamper {
    told(move |message| {
        if !when(message) {
            return;
        }
        if let (Some(asked), Some(text)) = (&message.asked, message.json["error"]["message"].as_str()) {
            message.json["error"]["message"] = json!(format!("{text} ({})", what(&asked["params"])));
        }
    })
}

fn url_of(message: &Message) -> Option<Url> {
    url(&message.asked.as_deref()?["params"])
}

fn url(call: &Value) -> Option<Url> {
    Url::parse(call["url"].as_str()?).ok()
}
