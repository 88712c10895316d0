//! Executors that are right about the handshake in some of its phases only.

use serde_json::json;

use super::values::connect;
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way, instead, results};
use crate::protocol::error::INVALID_REQUEST;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "session-of-stdio-without-id",
        "HANDSHAKE-2",
        "On stdio, where there is one session only, the `sessionId` is empty.",
        || results("initialize", |result| result["sessionId"] = json!("")),
    )
    .on_stdio(),
    Specimen::executor(
        "early-call-connects",
        "HANDSHAKE-5",
        "A call before `initialize` is refused when the connection to its origin is open.",
        || {
            let mut is_greeted = false;
            Tamper::messages(move |message, out| {
                is_greeted |= message.method() == "initialize";
                if message.is_call() && !is_greeted {
                    drop(connect(&message.json["params"]));
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "initialize-again-before-initialized",
        "HANDSHAKE-8",
        "Until `initialized` a second `initialize` is answered with another session.",
        || {
            let (mut is_greeted, mut is_ready) = (false, false);
            instead(
                move |message| {
                    is_ready |= message.method() == "initialized";
                    message.method() == "initialize" && std::mem::replace(&mut is_greeted, true) && !is_ready
                },
                |message, out| {
                    out.send(Way::ToClient, &json!({"id": message.json["id"], "result": {"sessionId": "second"}}));
                },
            )
        },
    ),
    Specimen::executor(
        "unknown-session-hangs-up",
        "HANDSHAKE-9",
        "The connection is closed behind an `initialize` whose session cannot be resumed.",
        || {
            Tamper::messages(|message, out| {
                let is_last = message.answers("initialize") && message.json["error"]["code"] == INVALID_REQUEST;
                out.pass(message);
                if is_last {
                    out.hang_up();
                }
            })
        },
    ),
];
