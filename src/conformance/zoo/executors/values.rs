//! Executors that break what is said about the values of a call.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::parts::{edit_headers, edit_text, headers};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, calls};
use crate::protocol::http::REQUEST_METHOD;

/// How long an executor waits for a connection that it opens too early.
const CONNECT: Duration = Duration::from_secs(1);

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("method-trimmed", "PARAMS-12", "White space around a method is ignored.", || {
        calls(|call| edit_text(call, "method", |method| method.trim().to_owned()))
    }),
    Specimen::executor("empty-method-is-get", "PARAMS-12", "An empty method is GET.", || {
        calls(|call| edit_text(call, "method", |method| if method.is_empty() { "GET" } else { method }.to_owned()))
    }),
    Specimen::executor("method-of-letters", "PARAMS-12", "A method with a mark such as `!` or `~` is refused.", || {
        calls(|call| edit_text(call, "method", |method| method.replace(['.', '~', '!'], " ")))
    }),
    Specimen::executor("url-without-scheme", "PARAMS-13", "A url without a scheme is one of http.", || {
        calls(|call| {
            edit_text(call, "url", |url| {
                let is_bare = url.trim_start_matches('/').starts_with(|c: char| c.is_ascii_digit());
                if is_bare { format!("http://{}", url.trim_start_matches('/')) } else { url.to_owned() }
            });
        })
    }),
    Specimen::executor("port-out-of-range", "PARAMS-13", "A port that is no number of 16 bits is left out.", || {
        calls(|call| {
            edit_text(call, "url", |url| match url.rsplit_once(':') {
                Some((host, rest)) if Url::parse(url) == Err(ParseError::InvalidPort) => {
                    format!("{host}{}", rest.trim_start_matches(|c| c != '/'))
                }
                _ => url.to_owned(),
            });
        })
    }),
    Specimen::executor(
        "websocket-url-as-http",
        "PARAMS-14",
        "A url of the scheme ws is fetched as one of http.",
        || calls(|call| edit_text(call, "url", |url| url.replacen("ws://", "http://", 1))),
    ),
    Specimen::executor("data-url-answered", "PARAMS-14", "A data url is answered with what it holds.", || {
        Tamper::messages(|message, out| {
            let data =
                message.json["params"]["url"].as_str().and_then(|url| url.strip_prefix("data:")?.split_once(','));
            match data {
                Some((_, data)) if message.is_call() => {
                    let result = json!({"status": 200, "headers": [], "bodyBase64": STANDARD.encode(data)});
                    out.send(Way::ToClient, &json!({"id": message.json["id"], "result": result}));
                }
                _ => out.pass(message),
            }
        })
    }),
    Specimen::executor("scheme-in-lower-case-only", "PARAMS-14", "A scheme with capitals is refused.", || {
        calls(|call| {
            edit_text(call, "url", |url| {
                let has_capital = url.starts_with(|first: char| first.is_ascii_uppercase());
                if has_capital { format!("x-{url}") } else { url.to_owned() }
            })
        })
    }),
    Specimen::executor("bad-header-left-out", "PARAMS-15", "A header whose name is no token is left out.", || {
        calls(|call| {
            if let Some(headers) = headers(call) {
                headers.retain(|entry| entry["name"].as_str().is_none_or(is_token));
            }
        })
    }),
    Specimen::executor(
        "header-name-trimmed",
        "PARAMS-15",
        "White space and colons around a header name are ignored.",
        || calls(|call| edit_headers(call, "name", |name| name.trim_matches([' ', ':']).to_owned())),
    ),
    Specimen::executor(
        "header-name-of-letters",
        "PARAMS-15",
        "A header name with a mark such as `!` is refused.",
        || calls(|call| edit_headers(call, "name", |name| name.replace(['!', '#'], " "))),
    ),
    Specimen::executor(
        "header-value-unfolded",
        "PARAMS-16",
        "A line end in a header value is sent as a space.",
        || calls(|call| edit_headers(call, "value", |value| value.replace("\r\n", " ").replace(['\r', '\n'], " "))),
    ),
    Specimen::executor("header-value-trimmed", "PARAMS-16", "A line end behind a header value is ignored.", || {
        calls(|call| edit_headers(call, "value", |value| value.trim_end_matches(['\r', '\n']).to_owned()))
    }),
    Specimen::executor("nul-ends-a-header", "PARAMS-16", "A header value ends at a NUL.", || {
        calls(|call| edit_headers(call, "value", |value| value.split('\0').next().unwrap_or_default().to_owned()))
    }),
    Specimen::executor("controls-left-out", "PARAMS-16", "Control characters of a header value are left out.", || {
        calls(|call| {
            let stays = |c: &char| !c.is_control() || matches!(c, '\t' | '\r' | '\n' | '\0');
            edit_headers(call, "value", |value| value.chars().filter(stays).collect());
        })
    }),
    Specimen::executor("tab-refused", "PARAMS-16", "A tab in a header value is refused.", || {
        calls(|call| edit_headers(call, "value", |value| value.replace('\t', "\0")))
    }),
    Specimen::executor("base64-sent-unpadded", "PARAMS-17", "Base64 is sent without padding.", || {
        sent_base64(|text| text.trim_end_matches('=').to_owned())
    }),
    Specimen::executor("base64-sent-url-safe", "PARAMS-17", "Base64 is sent in the URL-safe alphabet.", || {
        sent_base64(|text| text.replace('+', "-").replace('/', "_"))
    }),
    Specimen::executor("base64-sent-in-lines", "PARAMS-17", "Base64 is sent in lines of 76 characters.", || {
        sent_base64(|text| {
            let lines: Vec<_> = text.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
            lines.join("\r\n")
        })
    }),
    Specimen::executor("empty-base64-refused", "PARAMS-17", "A bodyBase64 of no bytes is refused.", || {
        calls(|call| edit_text(call, "bodyBase64", |text| if text.is_empty() { "=" } else { text }.to_owned()))
    }),
    Specimen::executor("unpadded-base64", "PARAMS-18", "Base64 without padding is accepted.", || {
        calls(|call| edit_text(call, "bodyBase64", |text| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))))
    }),
    Specimen::executor("url-safe-base64", "PARAMS-18", "Base64 of the URL-safe alphabet is accepted.", || {
        calls(|call| edit_text(call, "bodyBase64", |text| text.replace('-', "+").replace('_', "/")))
    }),
    Specimen::executor("white-space-in-base64", "PARAMS-18", "White space in base64 is ignored.", || {
        calls(|call| edit_text(call, "bodyBase64", |text| text.replace(char::is_whitespace, "")))
    }),
    Specimen::executor("base64-up-to-its-end", "PARAMS-18", "Base64 is read up to its first padding.", || {
        calls(|call| {
            edit_text(call, "bodyBase64", |text| {
                let end = text.find('=').map_or(text.len(), |padding| padding.next_multiple_of(4));
                text.get(..end).unwrap_or(text).to_owned()
            });
        })
    }),
    Specimen::executor("plain-text-body", "PARAMS-18", "A body that is not base64 is sent as it is.", || {
        calls(|call| {
            edit_text(call, "bodyBase64", |text| {
                if STANDARD.decode(text).is_ok() { text.to_owned() } else { STANDARD.encode(text) }
            })
        })
    }),
    Specimen::executor("negative-deadline", "PARAMS-19", "A negative timeoutMs is no deadline.", || {
        calls(|call| {
            if call["timeoutMs"].as_i64() < Some(0) && call["timeoutMs"].is_i64() {
                call["timeoutMs"] = Value::Null;
            }
        })
    }),
    Specimen::executor("fraction-of-a-deadline", "PARAMS-19", "A fractional timeoutMs is rounded.", || {
        calls(|call| {
            if let Some(timeout) = call["timeoutMs"].as_f64().filter(|timeout| timeout.fract() != 0.0) {
                call["timeoutMs"] = json!(Duration::from_secs_f64(timeout.abs() / 1000.0).as_millis() as u64);
            }
        })
    }),
    Specimen::executor("deadline-as-text", "PARAMS-19", "A timeoutMs in text is read as a number.", || {
        calls(|call| {
            if let Some(timeout) = call["timeoutMs"].as_str().and_then(|text| text.parse::<u64>().ok()) {
                call["timeoutMs"] = json!(timeout);
            }
        })
    }),
    Specimen::executor("deadline-of-63-bits", "PARAMS-19", "A timeoutMs beyond a signed integer is refused.", || {
        calls(|call| {
            if call["timeoutMs"].as_u64().is_some_and(|timeout| i64::try_from(timeout).is_err()) {
                call["timeoutMs"] = json!(-1);
            }
        })
    }),
    Specimen::executor(
        "deadline-that-overflows",
        "PARAMS-19",
        "A deadline beyond the clock has passed at once.",
        || {
            calls(|call| {
                if call["timeoutMs"].as_u64().is_some_and(|timeout| timeout > u64::MAX / 1000) {
                    call["timeoutMs"] = json!(0);
                }
            })
        },
    ),
    Specimen::executor(
        "unknown-policy-follows",
        "PARAMS-20",
        "A policy that is not known is that of a missing one.",
        || {
            calls(|call| {
                if call["redirectPolicy"].is_string() && call["redirectPolicy"] != "stop" {
                    call["redirectPolicy"] = json!("follow");
                }
            })
        },
    ),
    Specimen::executor("policy-in-any-case", "PARAMS-20", "A policy is compared without case.", || {
        calls(|call| edit_text(call, "redirectPolicy", str::to_ascii_lowercase))
    }),
    Specimen::executor("null-policy-follows", "PARAMS-20", "A policy of null is that of a missing one.", || {
        calls(|call| {
            if call.get("redirectPolicy").is_some_and(Value::is_null) {
                call["redirectPolicy"] = json!("follow");
            }
        })
    }),
    Specimen::executor(
        "connects-before-checking",
        "PARAMS-21",
        "A connection is opened before the call is checked.",
        || calls(|call| drop(connect(call))),
    ),
    Specimen::executor(
        "connects-before-the-id",
        "PARAMS-21",
        "A connection is opened before `requestId` is looked at.",
        || {
            calls(|call| {
                if !call["requestId"].is_string() {
                    drop(connect(call));
                }
            })
        },
    ),
];

/// Connects to the origin of a call where that is on a loopback address.
pub(super) fn connect(call: &Value) -> Option<TcpStream> {
    let url = Url::parse(call["url"].as_str()?).ok()?;
    let port = url.port().filter(|_| url.host_str() == Some("127.0.0.1"))?;
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), CONNECT).ok()
}

fn is_token(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// Changes all base64 that is sent to the client.
fn sent_base64(change: fn(&str) -> String) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_delta() {
            edit_text(&mut message.json["params"], "deltaBase64", change);
        } else if message.answers(REQUEST_METHOD)
            && let Some(result) = message.json.get_mut("result")
        {
            edit_text(result, "bodyBase64", change);
        }
        out.pass(message);
    })
}
