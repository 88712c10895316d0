//! Executors that break the clauses of the handshake and of sessions.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Way, instead, requests, results};
use crate::sync::Mutex;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("session-id-is-number", "HANDSHAKE-2", "The `sessionId` is a number.", || {
        results("initialize", |result| result["sessionId"] = json!(1))
    }),
    Specimen::executor("session-id-of-process", "HANDSHAKE-2", "All sessions of a process have one id.", || {
        results("initialize", |result| result["sessionId"] = json!(std::process::id().to_string()))
    }),
    Specimen::executor("client-name-optional", "HANDSHAKE-3", "A client without a name is anonymous.", || {
        requests("initialize", |params| {
            if params["clientName"].is_null() {
                params["clientName"] = json!("anonymous");
            }
        })
    }),
    Specimen::executor("client-name-of-any-type", "HANDSHAKE-3", "The name of a client may be a number.", || {
        requests("initialize", |params| {
            if params["clientName"].is_number() {
                params["clientName"] = json!(params["clientName"].to_string());
            }
        })
    }),
    Specimen::executor(
        "null-session-is-unknown",
        "HANDSHAKE-4",
        "A `resumeSessionId` of null is looked for and not found.",
        || instead(|message| resumed(message).is_some_and(Value::is_null), refuse),
    ),
    Specimen::executor(
        "handshake-optional",
        "HANDSHAKE-5",
        "A call that comes first is served as if the handshake had been made.",
        || unshaken(|_, _| true),
    ),
    Specimen::executor(
        "handshake-checked-behind-request",
        "HANDSHAKE-5",
        "A call that comes first is refused after its request was sent upstream.",
        || {
            unshaken(|message, out| {
                if message.is_answer() {
                    refuse(message, out);
                }
                false
            })
        },
    ),
    Specimen::executor(
        "early-call-has-code-of-its-own",
        "HANDSHAKE-5",
        "A call before `initialize` is refused with -32002, the code that language servers use.",
        || {
            let mut is_greeted = false;
            Tamper::messages(move |mut message, out| {
                is_greeted |= message.method() == "initialize";
                if message.is_answer() && !is_greeted && message.json["error"]["code"] == -32600 {
                    message.json["error"]["code"] = json!(-32002);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "initialized-not-needed",
        "HANDSHAKE-6",
        "Calls are served as soon as `initialize` has been answered.",
        || {
            Tamper::messages(|message, out| {
                let is_first = message.way == Way::ToExecutor && message.method() == "initialize";
                out.pass(message);
                if is_first {
                    out.send(Way::ToExecutor, &initialized());
                }
            })
        },
    ),
    Specimen::executor(
        "call-waits-for-initialized",
        "HANDSHAKE-6",
        "A call before `initialized` is not refused but kept and served behind it.",
        || {
            let (mut is_greeted, mut is_ready) = (false, false);
            let mut kept = Vec::new();
            Tamper::messages(move |message, out| {
                is_greeted |= message.method() == "initialize";
                if message.is_call() && is_greeted && !is_ready {
                    kept.push(message);
                    return;
                }
                is_ready |= message.method() == "initialized";
                out.pass(message);
                if is_ready {
                    kept.drain(..).for_each(|call| out.pass(call));
                }
            })
        },
    ),
    Specimen::executor(
        "early-params-are-internal-error",
        "HANDSHAKE-7",
        "Malformed params before the handshake are answered with -32603.",
        || {
            let mut is_ready = false;
            Tamper::messages(move |mut message, out| {
                is_ready |= message.method() == "initialized";
                if message.is_answer() && !is_ready && message.json["error"]["code"] == -32602 {
                    message.json["error"]["code"] = json!(-32603);
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "second-initialize-accepted",
        "HANDSHAKE-8",
        "A second `initialize` is answered with another session.",
        || {
            let is_second = second("initialize");
            instead(is_second, |message, out| {
                out.send(Way::ToClient, &json!({"id": message.json["id"], "result": {"sessionId": "second"}}));
            })
        },
    ),
    Specimen::executor(
        "second-initialize-ends-streams",
        "HANDSHAKE-8",
        "A second `initialize` is refused, and the streams of the first session are gone.",
        || without_streams_behind("initialize"),
    ),
    Specimen::executor(
        "refused-initialize-hangs-up",
        "HANDSHAKE-9",
        "The connection is closed behind an `initialize` that was refused.",
        || {
            Tamper::messages(|message, out| {
                let is_last = message.answers("initialize") && message.json.get("error").is_some();
                out.pass(message);
                if is_last {
                    out.hang_up();
                }
            })
        },
    ),
    Specimen::executor(
        "refused-initialize-counts",
        "HANDSHAKE-9",
        "A refused `initialize` is the only one of its connection.",
        || instead(second("initialize"), refuse),
    ),
    Specimen::executor(
        "early-initialized-counts",
        "HANDSHAKE-10",
        "An `initialized` before `initialize` counts when the latter comes.",
        || {
            let (mut is_greeted, mut is_early) = (false, false);
            Tamper::messages(move |message, out| {
                if message.method() == "initialized" && !is_greeted {
                    is_early = true;
                    return;
                }
                let greets = message.method() == "initialize" && !is_greeted;
                is_greeted |= greets;
                out.pass(message);
                if greets && is_early {
                    out.send(Way::ToExecutor, &initialized());
                }
            })
        },
    ),
    Specimen::executor(
        "second-initialized-hangs-up",
        "HANDSHAKE-11",
        "A second `initialized` ends the connection.",
        || {
            let is_second = second("initialized");
            instead(is_second, |_, out| out.hang_up())
        },
    ),
    Specimen::executor(
        "second-initialized-ends-streams",
        "HANDSHAKE-11",
        "A second `initialized` starts the session afresh, without its streams.",
        || without_streams_behind("initialized"),
    ),
    Specimen::executor(
        "initialized-needs-params",
        "HANDSHAKE-12",
        "An `initialized` without params does not count.",
        || instead(|message| message.method() == "initialized" && message.json.get("params").is_none(), |_, _| {}),
    ),
    Specimen::executor(
        "initialized-needs-object",
        "HANDSHAKE-12",
        "An `initialized` whose params are null does not count.",
        || {
            let is_null = |message: &Message| message.json.get("params").is_some_and(Value::is_null);
            instead(move |message| message.method() == "initialized" && is_null(message), |_, _| {})
        },
    ),
    Specimen::executor(
        "burst-before-answer-refused",
        "HANDSHAKE-13",
        "A call that comes before `initialize` has been answered is refused, `initialized` or not.",
        || {
            let mut is_answered = false;
            Tamper::messages(move |message, out| {
                is_answered |= message.answers("initialize");
                if message.is_call() && !is_answered {
                    refuse(&message, out);
                } else {
                    out.pass(message);
                }
            })
        },
    ),
    Specimen::executor(
        "unknown-session-is-new",
        "HANDSHAKE-14",
        "Where there is nothing to resume a new session starts.",
        || {
            requests("initialize", |params| {
                if let Some(params) = params.as_object_mut() {
                    params.remove("resumeSessionId");
                }
            })
        },
    ),
    Specimen::executor("empty-session-is-none", "HANDSHAKE-14", "An empty `resumeSessionId` is none.", || {
        requests("initialize", |params| {
            if params["resumeSessionId"] == "" {
                params["resumeSessionId"] = Value::Null;
            }
        })
    }),
    Specimen::executor(
        "attached-session-shared",
        "HANDSHAKE-15",
        "A session can be resumed while another connection has it.",
        || {
            Tamper::messages(|mut message, out| {
                if message.answers("initialize") && message.json["error"]["code"] == -32010 {
                    let asked = message.asked.as_ref().map(|asked| &asked["params"]["resumeSessionId"]);
                    message.json = json!({"id": message.json["id"], "result": {"sessionId": asked}});
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "last-frame-resumed",
        "HANDSHAKE-16",
        "On a connection that resumes a session the last frame of the lost one is sent again.",
        || {
            static LAST: LazyLock<Mutex<Option<Value>>> = LazyLock::new(Mutex::default);
            Tamper::messages(|message, out| {
                if message.is_delta() {
                    *LAST.lock() = Some(message.json.clone());
                }
                let resumes =
                    message.asked.as_ref().is_some_and(|asked| asked["params"]["resumeSessionId"].is_string());
                out.pass(message);
                if let Some(last) = LAST.lock().take_if(|_| resumes) {
                    out.send(Way::ToClient, &last);
                }
            })
        },
    ),
    Specimen::executor(
        "ids-of-lost-connection-taken",
        "HANDSHAKE-16",
        "Streams that a lost connection cut off keep their `requestId` from the one that resumes its session.",
        || {
            static OPEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
            let mut resumes = false;
            Tamper::messages(move |message, out| {
                resumes |= resumed(&message).is_some_and(Value::is_string);
                let id = message.json["params"]["requestId"].to_string();
                if message.is_terminal() {
                    OPEN.lock().remove(&id);
                } else if message.is_call() && message.json["params"]["streamResponse"] == true {
                    let is_new = OPEN.lock().insert(id);
                    if resumes && !is_new {
                        return out.refuse(&message.json["id"], -32602);
                    }
                }
                out.pass(message);
            })
        },
    ),
    Specimen::executor(
        "header-variables-not-announced",
        "HANDSHAKE-18",
        "Variables are resolved, but `capabilities` has no flag for that.",
        || {
            results("initialize", |result| {
                if let Some(flags) = result["environmentInfo"]["capabilities"].as_object_mut() {
                    flags.remove("httpHeaderEnvVars");
                }
            })
        },
    ),
];

fn initialized() -> Value {
    json!({"method": "initialized"})
}

fn refuse(message: &Message, out: &mut Outlet) {
    out.refuse(&message.json["id"], -32600);
}

/// The session that an `initialize` of the client asks for.
fn resumed(message: &Message) -> Option<&Value> {
    let is_first = message.way == Way::ToExecutor && message.method() == "initialize";
    message.json["params"].get("resumeSessionId").filter(|_| is_first)
}

/// Whether a message of the client has that method and is not the first one of it.
fn second(method: &'static str) -> impl FnMut(&Message) -> bool {
    let mut is_known = false;
    move |message| message.method() == method && std::mem::replace(&mut is_known, true)
}

/// The frames of all streams are lost behind the second message of the client with that method.
fn without_streams_behind(method: &'static str) -> Tamper {
    let mut is_second = second(method);
    let mut are_gone = false;
    Tamper::messages(move |message, out| {
        are_gone |= is_second(&message);
        if !are_gone || !message.is_delta() {
            out.pass(message);
        }
    })
}

/// Makes the handshake with the executor itself when a call comes first. `tells` decides about what comes back before the client
/// has made its own.
fn unshaken(mut tells: impl FnMut(&Message, &mut Outlet) -> bool + Send + 'static) -> Tamper {
    const OWN: &str = "handshake";
    let (mut is_greeted, mut is_own) = (false, false);
    Tamper::messages(move |message, out| match message.way {
        Way::ToExecutor => {
            if message.method() == "initialize" {
                is_greeted = true;
                if is_own {
                    return out.send(Way::ToClient, &json!({"id": message.json["id"], "result": {"sessionId": OWN}}));
                }
            } else if message.is_call() && !is_greeted && !is_own {
                is_own = true;
                let params = json!({"clientName": OWN});
                out.send(Way::ToExecutor, &json!({"id": OWN, "method": "initialize", "params": params}));
                out.send(Way::ToExecutor, &initialized());
            }
            out.pass(message);
        }
        Way::ToClient => {
            let is_ours = message.json["id"] == OWN;
            let is_call = message.is_answer() || message.is_delta();
            if !is_ours && (is_greeted || !is_call || tells(&message, out)) {
                out.pass(message);
            }
        }
    })
}
