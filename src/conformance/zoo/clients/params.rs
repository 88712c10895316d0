//! Clients that break the clauses of params.

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::calls;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client("request-body-unpadded", "PARAMS-17", "The base64 of a request's body has no padding.", || {
        calls(|params| change_body(params, |body| body.trim_end_matches('=').to_owned()))
    }),
    Specimen::client(
        "request-body-url-safe",
        "PARAMS-17",
        "The base64 of a request's body is of the alphabet for URLs.",
        || calls(|params| change_body(params, |body| body.replace('+', "-").replace('/', "_"))),
    ),
    Specimen::client(
        "request-body-in-lines",
        "PARAMS-17",
        "The base64 of a request's body is cut into lines of 76 characters.",
        || {
            calls(|params| {
                change_body(params, |body| {
                    let lines = body.as_bytes().chunks(76).map(String::from_utf8_lossy);
                    lines.collect::<Vec<_>>().join("\n")
                })
            })
        },
    ),
    Specimen::client(
        "single-padding-lost",
        "PARAMS-17",
        "The base64 of a request's body has its padding only where that is two signs.",
        || {
            calls(|params| {
                change_body(params, |body| match body.strip_suffix('=') {
                    Some(unpadded) if !unpadded.ends_with('=') => unpadded.to_owned(),
                    _ => body.to_owned(),
                });
            })
        },
    ),
];

fn change_body(params: &mut Value, change: impl FnOnce(&str) -> String) {
    if let Some(body) = params["bodyBase64"].as_str() {
        params["bodyBase64"] = json!(change(body));
    }
}
