//! Executors that break what is said about requests to origins.

use serde_json::{Value, json};
use url::{Position, Url};

use super::parts::{
    add_header, drop_headers, edit_bytes, edit_headers, edit_text, header, headers, keep_first_of_each, name,
};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, calls, responses};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "body-as-text",
        "HTTP-1",
        "A request body is a string on its way, and loses what is not UTF-8.",
        || calls(|call| edit_bytes(call, "bodyBase64", |body| String::from_utf8_lossy(&body).into_owned().into())),
    ),
    Specimen::executor("body-of-1-mib", "HTTP-1", "A request body is cut at 1 MiB.", || {
        calls(|call| edit_bytes(call, "bodyBase64", |body| body.into_iter().take(1024 * 1024).collect()))
    }),
    Specimen::executor("body-of-post-only", "HTTP-1", "GET and DELETE are sent without the caller's body.", || {
        calls(|call| {
            if call["method"] == "GET" || call["method"] == "DELETE" {
                edit_bytes(call, "bodyBase64", |_| Vec::new());
            }
        })
    }),
    Specimen::executor("known-methods-only", "HTTP-2", "A method that is not known is refused.", || {
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
        calls(move |call| {
            edit_text(call, "method", |method| {
                let is_known = known.iter().any(|name| name.eq_ignore_ascii_case(method));
                if is_known { method.to_owned() } else { String::new() }
            });
        })
    }),
    Specimen::executor("method-in-capitals", "HTTP-2", "A method is put in capitals.", || {
        calls(|call| edit_text(call, "method", str::to_ascii_uppercase))
    }),
    Specimen::executor(
        "request-headers-in-a-map",
        "HTTP-3",
        "Of a repeated request header only the last is sent.",
        || {
            calls(|call| {
                if let Some(headers) = headers(call) {
                    *headers = keep_first_of_each(headers.iter().rev());
                }
            })
        },
    ),
    Specimen::executor(
        "repeated-headers-reversed",
        "HTTP-3",
        "Repeated request headers are sent last one first.",
        || calls(|call| headers(call).into_iter().for_each(|headers| headers.reverse())),
    ),
    Specimen::executor("empty-header-left-out", "HTTP-3", "A request header without a value is not sent.", || {
        calls(|call| headers(call).into_iter().for_each(|headers| headers.retain(|entry| entry["value"] != "")))
    }),
    Specimen::executor(
        "header-encoded-twice",
        "HTTP-4",
        "The UTF-8 bytes of a header value are each encoded again.",
        || calls(|call| edit_headers(call, "value", |value| value.bytes().map(char::from).collect())),
    ),
    Specimen::executor(
        "header-in-ascii",
        "HTTP-4",
        "Characters beyond ASCII of a header value are sent as `?`.",
        || calls(|call| edit_headers(call, "value", |value| value.replace(|c: char| !c.is_ascii(), "?"))),
    ),
    Specimen::executor(
        "length-dropped",
        "HTTP-5",
        "A content-length of the caller is dropped, right or wrong.",
        || calls(|call| drop_headers(call, &["content-length"])),
    ),
    Specimen::executor(
        "length-of-no-body",
        "HTTP-5",
        "A content-length is not compared with a body that is missing.",
        || {
            calls(|call| {
                if call.get("bodyBase64").is_none_or(Value::is_null) {
                    drop_headers(call, &["content-length"]);
                }
            })
        },
    ),
    Specimen::executor(
        "length-of-get-dropped",
        "HTTP-5",
        "A content-length of the caller is dropped where the method is GET or HEAD.",
        || {
            calls(|call| {
                if call["method"] == "GET" || call["method"] == "HEAD" {
                    drop_headers(call, &["content-length"]);
                }
            })
        },
    ),
    Specimen::executor(
        "first-content-length",
        "HTTP-5",
        "Of two lengths that the caller gives, the second is ignored.",
        || calls(|call| keep_first(call, "content-length")),
    ),
    Specimen::executor("transfer-encoding-dropped", "HTTP-6", "A transfer-encoding of the caller is dropped.", || {
        calls(|call| drop_headers(call, &["transfer-encoding"]))
    }),
    Specimen::executor(
        "hop-by-hop-dropped",
        "HTTP-6",
        "Headers of the upstream connection are dropped, not refused.",
        || calls(|call| drop_headers(call, &["connection", "keep-alive", "upgrade", "te", "trailer"])),
    ),
    Specimen::executor(
        "second-host-dropped",
        "HTTP-6",
        "Of two host headers of the caller, the second is dropped.",
        || calls(|call| keep_first(call, "host")),
    ),
    Specimen::executor("host-of-the-url", "HTTP-7", "The host header is always made from the URL.", || {
        calls(|call| {
            if count(call, "host") == 1 {
                drop_headers(call, &["host"]);
            }
        })
    }),
    Specimen::executor("user-agent-added", "HTTP-8", "A user-agent of its own is sent.", || {
        calls(|call| add_missing(call, "user-agent", "executor/1.0"))
    }),
    Specimen::executor("content-type-added", "HTTP-8", "A content-type is sent also without a body.", || {
        calls(|call| add_missing(call, "content-type", "application/octet-stream"))
    }),
    Specimen::executor("gzip-asked-for", "HTTP-9", "An accept-encoding of its own is sent.", || {
        calls(|call| add_missing(call, "accept-encoding", "gzip, deflate"))
    }),
    Specimen::executor(
        "content-encoding-hidden",
        "HTTP-9",
        "The content-encoding of an encoded body is left out.",
        || responses(|result| drop_headers(result, &["content-encoding"])),
    ),
    Specimen::executor(
        "cookie-jar",
        "HTTP-10",
        "A cookie that a response sets is sent with the next request.",
        cookie_jar,
    ),
    Specimen::executor("user-information-lost", "HTTP-11", "User information of the URL is dropped.", || {
        calls(|call| {
            if let Some(mut url) = with_user(call) {
                // Neither fails: an http URL has a host.
                let _ = (url.set_username(""), url.set_password(None));
                call["url"] = json!(url.as_str());
            }
        })
    }),
    Specimen::executor(
        "user-information-wins",
        "HTTP-11",
        "User information replaces the caller's authorization.",
        || {
            calls(|call| {
                if with_user(call).is_some() {
                    drop_headers(call, &["authorization"]);
                }
            })
        },
    ),
    Specimen::executor(
        "user-information-in-host",
        "HTTP-11",
        "User information of the URL stands in the host header.",
        || {
            calls(|call| {
                if let Some(url) = with_user(call) {
                    add_missing(call, "host", &url[Position::BeforeUsername..Position::AfterPort]);
                }
            })
        },
    ),
    Specimen::executor("fragment-sent", "HTTP-12", "The `#` of a URL is sent as a part of its path or query.", || {
        calls(|call| edit_text(call, "url", |url| url.replace('#', "%23")))
    }),
    Specimen::executor("line-ends-of-a-url-sent", "HTTP-12", "A line end in a URL is sent as it is.", || {
        calls(|call| {
            let Some((url, lines)) = call["url"].as_str().and_then(|url| url.split_once("\r\n")) else { return };
            let (url, lines) = (url.split(' ').next().unwrap_or_default().to_owned(), lines.to_owned());
            call["url"] = json!(url);
            for (name, value) in lines.split("\r\n").filter_map(|line| line.split_once(':')) {
                add_header(call, name, value);
            }
        })
    }),
];

fn add_missing(call: &mut Value, name: &str, value: &str) {
    if header(call, name).is_none() {
        add_header(call, name, value);
    }
}

fn count(call: &mut Value, wanted: &str) -> usize {
    headers(call).map_or(0, |headers| headers.iter().filter(|entry| name(entry) == wanted).count())
}

fn keep_first(call: &mut Value, wanted: &str) {
    let mut seen = false;
    if let Some(headers) = headers(call) {
        headers.retain(|entry| name(entry) != wanted || !std::mem::replace(&mut seen, true));
    }
}

/// The URL of a call, if it has user information.
fn with_user(call: &Value) -> Option<Url> {
    let url = Url::parse(call.get("url")?.as_str()?).ok()?;
    (!url.username().is_empty()).then_some(url)
}

fn cookie_jar() -> Tamper {
    let mut jar: Option<String> = None;
    Tamper::messages(move |mut message, out| {
        if message.is_call()
            && let Some(cookie) = &jar
        {
            add_missing(&mut message.json["params"], "cookie", cookie);
        } else if message.is_answer()
            && let Some(cookie) = header(&message.json["result"], "set-cookie")
        {
            jar = cookie.split(';').next().map(str::to_owned);
        }
        out.pass(message);
    })
}
