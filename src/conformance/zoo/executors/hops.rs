//! An executor that follows redirects by itself: by the rules, but for what a specimen changes in each of them.
//!
//! Behind it stands a correct executor, which is asked for one response at a time.

use std::collections::HashMap;

use serde_json::{Value, json};
use url::Url;

use super::parts;
use crate::conformance::zoo::tamper::{Tamper, Way};

/// Redirects of one call that are followed.
const LIMIT: usize = 10;

/// Headers that go to another origin, besides `accept-*`.
const HARMLESS: [&str; 4] = ["accept", "content-type", "content-language", "user-agent"];

/// A response to a call that has to follow redirects.
pub(super) struct Hop {
    /// Its status.
    pub(super) status: u64,
    /// Its `location`.
    pub(super) location: Option<String>,
    /// Redirects of the call that were followed before.
    pub(super) followed: usize,
    /// The params of the call.
    pub(super) first: Value,
    /// The params of the request that was answered.
    pub(super) last: Value,
    /// What comes of it.
    pub(super) next: Next,
}

/// What comes of a response.
pub(super) enum Next {
    /// A request with these params.
    Request(Value),
    /// It is the result.
    Result,
    /// The call fails.
    Failure,
}

/// Follows redirects; `change` sees each response together with what the rules make of it.
pub(super) fn hops(change: fn(&mut Hop)) -> Tamper {
    let mut calls: HashMap<String, Hop> = HashMap::new();
    // What is sent when the body of a streamed response that is not the result has ended.
    let mut behind: HashMap<String, (Way, Value)> = HashMap::new();
    Tamper::messages(move |mut message, out| {
        let id = message.json["id"].to_string();
        if message.is_call() {
            let params = &mut message.json["params"];
            if params.is_object() && params.get("redirectPolicy").is_none_or(|policy| policy == "follow") {
                calls.insert(id, Hop::before(params));
                params["redirectPolicy"] = json!("stop");
            }
        } else if message.is_delta() {
            let stream = message.json["params"]["requestId"].to_string();
            if message.is_terminal() {
                if let Some((way, json)) = behind.remove(&stream) {
                    return out.send(way, &json);
                }
            } else if behind.contains_key(&stream) {
                return;
            }
        } else if message.way == Way::ToClient
            && let Some(mut hop) = calls.remove(&id)
        {
            if let Some(result) = message.json.get("result") {
                hop.meet(result);
                change(&mut hop);
            }
            let send = match &hop.next {
                Next::Result => return out.pass(message),
                Next::Failure => {
                    parts::fail(&mut message.json, "redirect", "http/request failed: the redirect cannot be followed");
                    (Way::ToClient, message.json)
                }
                Next::Request(params) => {
                    let request = json!({"id": message.json["id"], "method": "http/request", "params": params});
                    (Way::ToExecutor, request)
                }
            };
            let (stream, is_streamed) = (hop.last["requestId"].to_string(), hop.last["streamResponse"] == true);
            if let Some(hop) = hop.after() {
                calls.insert(id, hop);
            }
            if is_streamed {
                behind.insert(stream, send);
                return;
            }
            return out.send(send.0, &send.1);
        }
        out.pass(message);
    })
}

impl Hop {
    fn before(params: &Value) -> Self {
        let (first, last) = (params.clone(), params.clone());
        Self { status: 0, location: None, followed: 0, first, last, next: Next::Result }
    }

    /// Takes a response, and decides by the rules.
    fn meet(&mut self, result: &Value) {
        self.status = result["status"].as_u64().unwrap_or_default();
        self.location = parts::header(result, "location").map(str::to_owned);
        self.next = match self.status {
            301 | 302 | 303 | 307 | 308 => self.follow(),
            _ => Next::Result,
        };
        if self.followed >= LIMIT && matches!(self.next, Next::Request(_)) {
            self.next = Next::Failure;
        }
    }

    /// The state before the response to the request that follows, if one does.
    fn after(self) -> Option<Self> {
        match self.next {
            Next::Request(last) => Some(Self { last, followed: self.followed + 1, next: Next::Result, ..self }),
            Next::Result | Next::Failure => None,
        }
    }

    /// What follows when the status asks for it and the call has redirects left.
    pub(super) fn follow(&self) -> Next {
        let (Some(from), Some(location)) = (self.last["url"].as_str(), &self.location) else { return Next::Result };
        match Url::parse(from).and_then(|from| Ok((from.join(location)?, from))) {
            Ok((to, from)) if matches!(to.scheme(), "http" | "https") => Next::Request(self.request(&from, &to)),
            Ok(_) => Next::Failure,
            Err(_) => Next::Result,
        }
    }

    fn request(&self, from: &Url, to: &Url) -> Value {
        let mut next = self.last.clone();
        next["url"] = json!(to.as_str());
        next["redirectPolicy"] = json!("stop");
        let becomes_get = match self.status {
            301 | 302 => self.last["method"] == "POST",
            303 => self.last["method"] != "GET" && self.last["method"] != "HEAD",
            _ => false,
        };
        if becomes_get {
            next["method"] = json!("GET");
            next["bodyBase64"] = Value::Null;
        }
        let crosses = from.origin() != to.origin();
        if let Some(headers) = parts::headers(&mut next) {
            headers.retain(|entry| {
                let name = parts::name(entry);
                let harmless = HARMLESS.contains(&name.as_str()) || name.starts_with("accept-");
                !(becomes_get && name.starts_with("content-")) && (harmless || !crosses)
            });
        }
        next
    }

    /// Changes the request that follows, if one does; gets the one that was answered, too.
    pub(super) fn change(&mut self, change: impl FnOnce(&Value, &mut Value)) {
        if let Next::Request(next) = &mut self.next {
            change(&self.last, next);
        }
    }
}
