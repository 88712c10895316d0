//! Executors that break what is said about headers with a variable.

use std::env;

use serde_json::{Value, json};

use super::parts::{edit_text, headers};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, calls};

/// Names that a table of denied variables had before others were added.
const FEW_DENIED: [&str; 5] =
    ["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "variable-ignored",
        "PARAMS-23",
        "A header is sent without the content of its variable.",
        || {
            variables(|entry, name| {
                if content(name).is_some() {
                    entry["valueEnvVar"] = Value::Null;
                }
            })
        },
    ),
    Specimen::executor("variable-without-prefix", "PARAMS-23", "The content of a variable replaces the value.", || {
        variables(|entry, _| entry["value"] = json!(""))
    }),
    Specimen::executor("prefix-trimmed", "PARAMS-23", "White space at the end of a prefix is lost.", || {
        variables(|entry, _| edit_text(entry, "value", |prefix| prefix.trim_end().to_owned()))
    }),
    Specimen::executor("missing-variable-is-empty", "PARAMS-24", "A variable that is missing has no content.", || {
        variables(|entry, name| {
            if env::var_os(name).is_none() {
                entry["valueEnvVar"] = Value::Null;
            }
        })
    }),
    Specimen::executor("empty-variable-accepted", "PARAMS-24", "A variable may be empty.", || {
        variables(|entry, name| {
            if env::var_os(name).is_some_and(|content| content.is_empty()) {
                entry["valueEnvVar"] = Value::Null;
            }
        })
    }),
    Specimen::executor("denied-in-capitals-only", "PARAMS-25", "A denied variable in small letters is sent.", || {
        variables(|entry, name| {
            if name.bytes().all(|byte| !byte.is_ascii_uppercase()) {
                resolve(entry, name);
            }
        })
    }),
    Specimen::executor("few-denied", "PARAMS-25", "The table of denied variables lacks those that came later.", || {
        variables(|entry, name| {
            if !FEW_DENIED.contains(&name.to_ascii_uppercase().as_str()) {
                resolve(entry, name);
            }
        })
    }),
    Specimen::executor(
        "variable-in-an-error",
        "PARAMS-26",
        "The error of a failed call names the headers as sent.",
        || telling(-32603),
    ),
    Specimen::executor(
        "variable-in-a-refusal",
        "PARAMS-26",
        "The error of a refused header has its whole value.",
        || telling(-32602),
    ),
];

/// Changes each header that names a variable.
fn variables(change: fn(&mut Value, &str)) -> Tamper {
    calls(move |call| {
        for entry in headers(call).into_iter().flatten() {
            if let Some(name) = entry["valueEnvVar"].as_str().map(str::to_owned) {
                change(entry, &name);
            }
        }
    })
}

fn content(name: &str) -> Option<String> {
    env::var(name).ok().filter(|content| !content.is_empty())
}

/// Puts the content of a variable in its place, if there is any.
fn resolve(entry: &mut Value, name: &str) {
    if let Some(content) = content(name) {
        let prefix = entry["value"].as_str().unwrap_or_default();
        *entry = json!({"name": entry["name"], "value": format!("{prefix}{content}")});
    }
}

/// Errors with that code tell the contents of all variables of their call.
fn telling(code: i64) -> Tamper {
    Tamper::messages(move |mut message, out| {
        if message.is_answer()
            && message.json["error"]["code"] == code
            && let Some(call) = message.asked.as_deref()
        {
            let names = call["params"]["headers"].as_array().into_iter().flatten();
            let contents: Vec<_> = names.filter_map(|entry| content(entry["valueEnvVar"].as_str()?)).collect();
            let text = message.json["error"]["message"].as_str().unwrap_or_default();
            message.json["error"]["message"] = json!(format!("{text} {}", contents.join(" ")));
        }
        out.pass(message);
    })
}
