//! Clients whose defects were invented after the cases were frozen, without a look at any case, in order to see how many of the
//! defects that nobody had in mind are caught.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Tamper, Unit, Way, answers, hang_up_at, lose};
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::INTERNAL_ERROR;
use crate::protocol::session::INITIALIZE_METHOD;
use crate::sync::Mutex;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::client(
        "null-result-is-fatal",
        "RESPONSE-15",
        "A response whose `result` is null is no message, and ends the connection.",
        || {
            hang_up_at(|message| {
                message.way == Way::ToClient
                    && message.json.get("method").is_none()
                    && message.json.get("result").is_some_and(Value::is_null)
            })
        },
    ),
    Specimen::client(
        "text-id-not-read",
        "ENVELOPE-24",
        "A message whose `id` is a text does not decode and is ignored, a request of the executor, too.",
        || lose(|message| message.way == Way::ToClient && message.json["id"].is_string()),
    ),
    Specimen::client(
        "length-up-to-a-comma",
        "STREAM-27",
        "A body has to be as long as the number that its `content-length` begins with, whatever follows that.",
        length_up_to_a_comma,
    ),
    Specimen::client(
        "normal-closure-is-the-end",
        "STREAM-28",
        "A close frame of status 1000 is the clean end of all open streams.",
        normal_closure_is_the_end,
    )
    .on_websocket(),
    Specimen::client(
        "capabilities-taken-for-granted",
        "HANDSHAKE-17",
        "A session whose `environmentInfo` has no `capabilities` fails the handshake.",
        || {
            answers(INITIALIZE_METHOD, |answer| {
                let info = &answer["result"]["environmentInfo"];
                if info.is_object() && info["capabilities"].is_null() {
                    *answer = failure(&answer["id"], "httpHeaderEnvVars of undefined");
                }
            })
        },
    ),
];

fn failure(id: &Value, text: &str) -> Value {
    json!({"id": id, "error": {"code": INTERNAL_ERROR, "message": text}})
}

fn length_up_to_a_comma() -> Tamper {
    // The bytes that are still to come, by stream.
    let mut left: HashMap<String, i64> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let stream = message.request_id().to_owned();
        if message.is_answer()
            && let Some(length) = length_at_the_start(&message)
        {
            if message.is_streamed() {
                left.insert(stream, length);
            } else if decoded(&message.json["result"]["bodyBase64"]) != length {
                message.json = failure(&message.json["id"], "the body has another length than its head says");
            }
        } else if message.is_delta()
            && let Some(left) = left.get_mut(&stream)
        {
            *left -= decoded(&message.json["params"]["deltaBase64"]);
            let is_clean = message.json["params"]["error"].is_null();
            if is_clean && (*left < 0 || message.is_terminal() && *left > 0) {
                message.json["params"]["error"] = json!("the body has another length than its head says");
            }
        }
        out.pass(message);
    })
}

/// What the `content-length` of a response with a body begins with, if it is not one number anyway.
fn length_at_the_start(message: &Message) -> Option<i64> {
    let (asked, result) = (message.asked.as_ref()?, &message.json["result"]);
    let is_bodiless = matches!(asked["params"]["method"].as_str(), Some("HEAD" | "CONNECT"))
        || matches!(result["status"].as_u64(), Some(100..=199 | 204 | 304));
    let named = |name| {
        let headers = result["headers"].as_array().into_iter().flatten();
        headers.filter(move |header| header["name"] == name).filter_map(|header| header["value"].as_str())
    };
    if is_bodiless || named("transfer-encoding").next().is_some() {
        return None;
    }
    let text = named("content-length").collect::<Vec<_>>().join(", ");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok().filter(|_| digits < text.len())
}

/// How many bytes that is.
fn decoded(base64: &Value) -> i64 {
    let bytes = base64.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn normal_closure_is_the_end() -> Tamper {
    // The number of the next frame of each open stream.
    let open = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let at_close = Arc::clone(&open);
    Tamper::messages(move |message, out| {
        let stream = message.request_id().to_owned();
        if message.is_end() {
            open.lock().remove(&stream);
        } else if message.is_answer() {
            open.lock().entry(stream).or_insert(1);
        } else if message.is_delta() {
            open.lock().insert(stream, message.json["params"]["seq"].as_u64().unwrap_or_default() + 1);
        }
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        if (way, &unit) == (Way::ToClient, &Unit::Close(Some(1000))) {
            for (stream, seq) in at_close.lock().drain() {
                let params = json!({"requestId": stream, "seq": seq, "deltaBase64": "", "done": true});
                out.send(way, &json!({"method": DELTA_METHOD, "params": params}));
            }
        }
        out.unit(way, unit);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::zoo::specimen::Means;
    use crate::conformance::zoo::tamper::{Effect, text};
    use crate::protocol::http::REQUEST_METHOD;

    /// The defect of that name.
    fn tamper(name: &str) -> Tamper {
        match DEFECTS.iter().find(|specimen| specimen.name == name).expect("it is one of them").means {
            Means::Wire(make) => make(),
            means => panic!("{means:?}"),
        }
    }

    /// What comes of a message of the executor.
    fn come(tamper: &mut Tamper, json: &Value) -> Vec<Value> {
        sent(tamper.take(Way::ToClient, text(json)))
    }

    fn sent(effects: Vec<Effect>) -> Vec<Value> {
        let of = |effect| match effect {
            Effect::Send(Way::ToClient, Unit::Message { bytes, .. }) => {
                serde_json::from_slice(&bytes).expect("a message is JSON")
            }
            Effect::Send(_, unit) => json!(format!("{unit:?}")),
            effect => panic!("{effect:?}"),
        };
        effects.into_iter().map(of).collect()
    }

    fn ask(tamper: &mut Tamper, id: u64, method: &str, params: &Value) {
        tamper.take(Way::ToExecutor, text(&json!({"id": id, "method": method, "params": params})));
    }

    fn frame(stream: &str, seq: u64, bytes: &str, done: bool) -> Value {
        let params = json!({"requestId": stream, "seq": seq, "deltaBase64": STANDARD.encode(bytes), "done": done});
        json!({"method": DELTA_METHOD, "params": params})
    }

    #[test]
    fn a_result_of_null_ends_the_connection() {
        let mut tamper = tamper("null-result-is-fatal");
        assert_eq!(come(&mut tamper, &json!({"id": 1, "result": null})), [json!("End"), json!("End")]);
        for other in [json!({"id": 1, "result": 7}), json!({"id": 1, "method": "a", "result": null})] {
            assert_eq!(come(&mut tamper, &other), std::slice::from_ref(&other));
        }
    }

    #[test]
    fn a_message_with_an_id_of_text_is_lost() {
        let mut tamper = tamper("text-id-not-read");
        assert_eq!(come(&mut tamper, &json!({"id": "a", "method": "b"})), [] as [Value; 0]);
        let number = json!({"id": 7, "method": "b"});
        assert_eq!(come(&mut tamper, &number), std::slice::from_ref(&number));
    }

    #[test]
    fn a_length_counts_up_to_its_comma() {
        let mut tamper = tamper("length-up-to-a-comma");
        let lengths = [
            ("GET", 200, json!(["3, 4"]), true),
            ("GET", 200, json!(["3", "3"]), true),
            ("GET", 200, json!(["3x"]), true),
            ("GET", 200, json!(["5, 5"]), false),
            ("GET", 200, json!(["3"]), false),
            ("GET", 200, json!(["x"]), false),
            ("HEAD", 200, json!(["3, 4"]), false),
            ("GET", 304, json!(["3, 4"]), false),
        ];
        for (id, (method, status, lengths, is_wrong)) in (1..).zip(lengths) {
            let headers: Vec<Value> = lengths.as_array().into_iter().flatten().map(length).collect();
            let answer = |id: u64, bytes: &str| {
                let result = json!({"status": status, "headers": headers, "bodyBase64": STANDARD.encode(bytes)});
                json!({"id": id, "result": result})
            };
            ask(&mut tamper, 2 * id, REQUEST_METHOD, &json!({"method": method, "requestId": "b"}));
            let [whole] = &come(&mut tamper, &answer(2 * id, "12345"))[..] else { panic!() };
            assert_eq!(whole["error"].is_object(), is_wrong, "{id}");

            let stream = format!("s{id}");
            let params = json!({"method": method, "requestId": stream, "streamResponse": true});
            ask(&mut tamper, 2 * id + 1, REQUEST_METHOD, &params);
            assert_eq!(come(&mut tamper, &answer(2 * id + 1, "")), [answer(2 * id + 1, "")]);
            let [first] = &come(&mut tamper, &frame(&stream, 1, "12", false))[..] else { panic!() };
            assert!(first["params"]["error"].is_null(), "{id}");
            let [last] = &come(&mut tamper, &frame(&stream, 2, "345", true))[..] else { panic!() };
            assert_eq!(last["params"]["error"].is_string(), is_wrong, "{id}");
        }
    }

    fn length(value: &Value) -> Value {
        json!({"name": "content-length", "value": value})
    }

    #[test]
    fn a_normal_closure_ends_open_streams() {
        let mut tamper = tamper("normal-closure-is-the-end");
        for (id, stream) in [(1, "open"), (2, "ended"), (3, "new"), (4, "waiting")] {
            ask(&mut tamper, id, REQUEST_METHOD, &json!({"requestId": stream, "streamResponse": true}));
        }
        for id in [1, 2, 3] {
            come(&mut tamper, &json!({"id": id, "result": {}}));
        }
        come(&mut tamper, &frame("open", 1, "a", false));
        come(&mut tamper, &frame("ended", 1, "a", true));
        let going = tamper.take(Way::ToClient, Unit::Close(Some(1001)));
        assert_eq!(sent(going), [json!("Close(Some(1001))")]);
        let mut closed = sent(tamper.take(Way::ToClient, Unit::Close(Some(1000))));
        closed.sort_by_key(ToString::to_string);
        let wanted = [json!("Close(Some(1000))"), frame("new", 1, "", true), frame("open", 2, "", true)];
        assert_eq!(closed, wanted);
    }

    #[test]
    fn a_session_without_capabilities_fails() {
        let mut tamper = tamper("capabilities-taken-for-granted");
        let infos = [
            (json!({}), false),
            (json!({"environmentInfo": null}), false),
            (json!({"environmentInfo": {"capabilities": {}}}), false),
            (json!({"environmentInfo": {"shell": {}}}), true),
        ];
        for (id, (result, fails)) in (1..).zip(infos) {
            ask(&mut tamper, id, INITIALIZE_METHOD, &json!({}));
            let [answer] = &come(&mut tamper, &json!({"id": id, "result": result}))[..] else { panic!() };
            assert_eq!(answer["error"].is_object(), fails, "{id}");
        }
    }
}
