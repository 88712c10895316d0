//! Clients that break the clauses of responses.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::exchange::{Exchange, decoded, frames};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, answers, hang_up_at, responses};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::http::REQUEST_METHOD;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client("missing-status-is-200", "RESPONSE-15", "A result without a status has status 200.", || {
        responses(|result| {
            if result.is_object() && result.get("status").is_none() {
                result["status"] = json!(200);
            }
        })
    }),
    Specimen::client("any-status-accepted", "RESPONSE-15", "A status that is no HTTP status is taken for 200.", || {
        responses(|result| {
            if result["status"].as_u64().is_none_or(|status| !(100..1000).contains(&status))
                && result["status"] != Value::Null
            {
                result["status"] = json!(200);
            }
        })
    }),
    Specimen::client(
        "bad-status-is-fatal",
        "RESPONSE-15",
        "A result with a status that is no number ends the connection.",
        || {
            hang_up_at(|message| {
                message.is_answer() && message.json["result"].get("status").is_some_and(|status| !status.is_u64())
            })
        },
    ),
    Specimen::client(
        "unpadded-body-accepted",
        "RESPONSE-15",
        "The body of a response is decoded with or without padding.",
        || {
            responses(|result| {
                if let Some(body) = result["bodyBase64"].as_str() {
                    result["bodyBase64"] = json!(format!("{body}{}", "=".repeat(body.len().wrapping_neg() % 4)));
                }
            })
        },
    ),
    Specimen::client(
        "missing-body-is-empty",
        "RESPONSE-15",
        "A buffered response without `bodyBase64` has a body without bytes.",
        || {
            responses(|result| {
                if result.is_object() && result.get("bodyBase64").is_none() {
                    result["bodyBase64"] = json!("");
                }
            })
        },
    ),
    Specimen::client(
        "no-result-is-a-response",
        "RESPONSE-15",
        "A result that is no object is an empty response.",
        || {
            responses(|result| {
                if !result.is_object() {
                    *result = json!({"status": 200, "headers": [], "bodyBase64": ""});
                }
            })
        },
    ),
    Specimen::client(
        "odd-header-is-fatal",
        "RESPONSE-15",
        "A response with a header name that HTTP does not allow ends the connection.",
        || {
            hang_up_at(|message| {
                let headers = message.json["result"]["headers"].as_array();
                headers
                    .into_iter()
                    .flatten()
                    .any(|header| header["name"].as_str().is_some_and(|name| name.contains(' ')))
            })
        },
    ),
    Specimen::client(
        "body-of-head-delivered",
        "RESPONSE-16",
        "A body in the response to a streamed call is delivered before the frames.",
        body_of_head_delivered,
    ),
    Specimen::client(
        "error-status-is-an-error",
        "RESPONSE-17",
        "A response of status 400 or above fails its call.",
        || {
            answers(REQUEST_METHOD, |answer| {
                if answer["result"]["status"].as_u64().is_some_and(|status| status >= 400) {
                    *answer = json!({"id": answer["id"], "error": {"code": -32603, "message": "bad status"}});
                }
            })
        },
    ),
    Specimen::client(
        "last-header-of-a-name",
        "RESPONSE-17",
        "Of headers with one name only the last reaches the application.",
        || {
            responses(|result| {
                let Some(headers) = headers_mut(result) else { return };
                let names: Vec<Value> = headers.iter().map(|header| header["name"].clone()).collect();
                let mut place = 0;
                headers.retain(|header| {
                    place += 1;
                    !names[place..].contains(&header["name"])
                });
            })
        },
    ),
    Specimen::client(
        "client-repeated-headers-joined",
        "RESPONSE-17",
        "Headers with one name are joined by a comma.",
        || {
            responses(|result| {
                let Some(headers) = headers_mut(result) else { return };
                let mut joined: Vec<Value> = Vec::new();
                for header in headers.drain(..) {
                    match joined.iter_mut().find(|earlier| earlier["name"] == header["name"]) {
                        Some(earlier) => {
                            let text = |header: &Value| header["value"].as_str().unwrap_or_default().to_owned();
                            earlier["value"] = json!(format!("{}, {}", text(earlier), text(&header)));
                        }
                        None => joined.push(header),
                    }
                }
                *headers = joined;
            })
        },
    ),
    Specimen::client("header-order-reversed", "RESPONSE-17", "Headers come in reverse order.", || {
        responses(|result| {
            if let Some(headers) = headers_mut(result) {
                headers.reverse();
            }
        })
    }),
    Specimen::client(
        "body-of-head-joined",
        "RESPONSE-16",
        "A body in the response to a streamed call is joined with the bytes of the first frame that has some.",
        || {
            frames(|before, mut message, out| {
                let params = &mut message.json["params"];
                if before.bytes == 0 && params["deltaBase64"] != "" {
                    let bytes = [body_of_head(before), decoded(params)].concat();
                    params["deltaBase64"] = json!(STANDARD.encode(bytes));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::client(
        "body-of-head-for-none",
        "RESPONSE-16",
        "A body in the response to a streamed call is the body of a stream whose frames have no bytes.",
        || {
            frames(|before, mut message, out| {
                if message.is_terminal() && before.bytes == 0 && message.json["params"]["deltaBase64"] == "" {
                    message.json["params"]["deltaBase64"] = json!(STANDARD.encode(body_of_head(before)));
                }
                out.pass(message);
            })
        },
    ),
];

fn headers_mut(result: &mut Value) -> Option<&mut Vec<Value>> {
    result.get_mut("headers")?.as_array_mut()
}

fn body_of_head_delivered() -> Tamper {
    // By how much the frames of a stream are renumbered.
    let mut ahead: HashMap<String, u64> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        if message.is_delta() {
            let params = &mut message.json["params"];
            let shift = params["requestId"].as_str().and_then(|id| ahead.get(id));
            if let (Some(shift), Some(seq)) = (shift, params["seq"].as_u64()) {
                params["seq"] = json!(seq + shift);
            }
        }
        let asked = message.asked.clone().filter(|asked| asked["params"]["streamResponse"] == true);
        let body = message.json["result"]["bodyBase64"].as_str().filter(|body| !body.is_empty()).map(str::to_owned);
        out.pass(message);
        if let (Some(asked), Some(body)) = (asked, body) {
            let id = asked["params"]["requestId"].as_str().unwrap_or_default();
            ahead.insert(id.to_owned(), 1);
            let params = json!({"requestId": id, "seq": 1, "deltaBase64": body});
            out.send(Way::ToClient, &json!({"method": DELTA_METHOD, "params": params}));
        }
    })
}

fn body_of_head(exchange: &Exchange) -> Vec<u8> {
    let body = exchange.result.as_ref().and_then(|result| result["bodyBase64"].as_str());
    body.and_then(|body| STANDARD.decode(body).ok()).unwrap_or_default()
}
