//! Executors that do nothing, or the same whatever is asked. None of them lets anything through to the correct one behind it.

use serde_json::{Value, json};

use crate::conformance::case::Half;
use crate::conformance::zoo::proxy::Make;
use crate::conformance::zoo::specimen::{Nature, Specimen};
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way};

const fn null(name: &'static str, sentence: &'static str, make: Make) -> Specimen {
    Specimen { nature: Nature::Null, ..Specimen::twin(Half::Executor, name, sentence, make) }
}

/// All of them.
pub(super) const NULLS: &[Specimen] = &[
    null("executor-exits", "It exits at the first connection.", || Tamper::opening(|out| out.exit(0))),
    null("executor-hangs", "It reads everything and says nothing.", || whatever(|_, _| {})),
    null("executor-hangs-up", "It ends every connection at once.", || {
        Tamper::opening(|out| out.unit(Way::ToClient, Unit::End))
    }),
    null("executor-hangs-up-on-initialize", "It ends the connection when it is greeted.", || {
        whatever(|_, out| out.hang_up())
    }),
    null("executor-echoes", "It says what it hears.", || {
        whatever(|message, out| out.send(Way::ToClient, &message.json))
    }),
    null("executor-empty-results", "It answers every request with `{}`.", || answering(|_| json!({"result": {}}))),
    null("executor-errors", "It answers every request with an error.", || {
        answering(|_| json!({"error": {"code": -32603, "message": "no", "data": {"kind": "connect"}}}))
    }),
    null("executor-unknown-methods", "It answers every request with -32601.", || {
        answering(|_| json!({"error": {"code": -32601, "message": "method not found"}}))
    }),
    null("executor-unrelated-frames", "It says well-formed things that have nothing to do with what is asked.", || {
        whatever(|_, out| {
            let params = json!({"requestId": "nobody", "seq": 1, "deltaBase64": "aGk=", "done": true, "error": null});
            out.send(Way::ToClient, &json!({"method": "http/request/bodyDelta", "params": params}));
            out.send(Way::ToClient, &json!({"id": 4_711, "result": {"sessionId": "nobody's"}}));
        })
    }),
    null("executor-same-answer", "It answers every request with everything that any answer could hold.", || {
        answering(
            |_| json!({"result": {"sessionId": "s", "environmentInfo": {}, "status": 200, "headers": [], "bodyBase64": ""}}),
        )
    }),
];

/// Does that for each message, and ends when the client does.
fn whatever(mut rule: impl FnMut(Message, &mut Outlet) + Send + 'static) -> Tamper {
    Tamper::messages(move |message, out| {
        if message.way == Way::ToExecutor {
            rule(message, out);
        }
    })
    .with_units(|way, unit, out| {
        if unit == Unit::End {
            out.unit(way, unit);
        }
    })
}

/// Answers each request so.
fn answering(answer: impl Fn(&Value) -> Value + Send + 'static) -> Tamper {
    whatever(move |message, out| {
        if let (Some(id), true) = (message.json.get("id"), message.json.get("method").is_some()) {
            let mut answer = answer(&message.json);
            answer["id"] = id.clone();
            out.send(Way::ToClient, &answer);
        }
    })
}
