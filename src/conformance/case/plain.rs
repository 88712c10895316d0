//! Reading steps that are one word and its arguments, and conditions.

use super::template::Template;
use super::words::Words;
use super::{Action, Condition, OriginCheck, Signal, TimeBound};

/// Reads a step that is one word and its arguments.
pub(in crate::conformance) fn read_plain(word: &str, words: &mut Words<'_>) -> Result<Action, String> {
    if let Some((origin, what)) = word.split_once('-').filter(|(origin, _)| matches!(*origin, "origin" | "origin2")) {
        return Ok(Action::Origin(usize::from(origin == "origin2"), read_origin_check(what, words)?));
    }
    let below = |words: &mut Words<'_>| if words.take("below") { Ok(()) } else { Err("`below` is missing".to_owned()) };
    Ok(match word {
        "allow" if words.take("malformed") => Action::AllowMalformed,
        "before" => Action::Before(words.json()?, words.json()?),
        "release" => Action::Release(words.word("a name")?.to_owned()),
        "ping" => Action::Ping(words.bytes()?),
        "close" => Action::Close,
        "eof" => Action::Eof,
        "drop" => Action::Drop,
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "signal" => Action::Signal(match words.word("TERM or INT")? {
            "TERM" => Signal::Term,
            "INT" => Signal::Int,
            other => return Err(format!("{other:?} is not TERM or INT")),
        }),
        "memory" => {
            below(words)?;
            Action::Memory(words.size()?)
        }
        "http-get" => {
            let path = words.word("a path")?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: $peer\r\nconnection: close\r\n\r\n");
            Action::Probe { request: Template::parse(request.as_bytes())?, status: words.parse("a status")? }
        }
        "upgrade" => read_upgrade(words)?,
        "mark" => Action::Mark(words.word("a name")?.to_owned()),
        "elapsed" => {
            let name = words.word("a name")?.to_owned();
            Action::Elapsed(
                name,
                match words.word("below or at-least")? {
                    "below" => TimeBound::Below(words.duration()?),
                    "at-least" => TimeBound::AtLeast(words.duration()?),
                    other => return Err(format!("{other:?} is not below or at-least")),
                },
            )
        }
        other => return Err(format!("{other:?} is no step")),
    })
}

fn read_upgrade(words: &mut Words<'_>) -> Result<Action, String> {
    let status = words.parse("a status")?;
    let mut path = Template::parse(b"/")?;
    if words.take("path") {
        path = words.name("a path")?;
    }
    let mut request = Template::parse(b"GET ")?;
    request.join(path);
    request.join(Template::parse(
        b" HTTP/1.1\r\nhost: $peer\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
          sec-websocket-key: ZXhlYy1odHRwIHByb2JlLg==\r\n",
    )?);
    while words.take("header") {
        request.join(words.piece()?);
        request.join(Template::parse(b"\r\n")?);
    }
    request.join(Template::parse(b"\r\n")?);
    Ok(Action::Probe { request, status })
}

fn read_origin_check(what: &str, words: &mut Words<'_>) -> Result<OriginCheck, String> {
    if what == "idle" {
        return Ok(OriginCheck::Idle);
    }
    if what == "connections" {
        return Ok(OriginCheck::Connections(words.parse("a number of connections")?));
    }
    let path = words.word("a path")?.to_owned();
    Ok(match what {
        "count" => OriginCheck::Count(path, words.parse("a number of requests")?),
        "request" => {
            let (path, nth) = match path.split_once('#') {
                Some((path, nth)) => (path.to_owned(), Some(nth.parse().map_err(|_| format!("{nth:?} is no number"))?)),
                None => (path, None),
            };
            OriginCheck::Request(path, nth, read_conditions(words)?)
        }
        "aborted" => {
            OriginCheck::Aborted(path, if words.is_empty() { 1 } else { words.parse("a number of requests")? })
        }
        "blocked" => {
            if !words.take("below") {
                return Err("`below` is missing".to_owned());
            }
            OriginCheck::Blocked(path, words.size()?)
        }
        other => return Err(format!("origin-{other} is no step")),
    })
}

/// Reads conditions as long as there are any.
pub(in crate::conformance) fn read_conditions(words: &mut Words<'_>) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    loop {
        conditions.push(match words.peek() {
            "body" => {
                words.take("body");
                Condition::Body(words.bytes()?)
            }
            "header" => {
                words.take("header");
                let name = words.word("a header name")?.to_owned();
                let mut values = Vec::new();
                // Each quoted text is a value of its own here.
                while words.is_bytes() {
                    values.push(words.piece()?);
                }
                Condition::Header(name, values)
            }
            "no-header" => {
                words.take("no-header");
                Condition::NoHeader(words.word("a header name")?.to_owned())
            }
            "kind" => {
                words.take("kind");
                Condition::Kind(words.alternatives("a kind")?)
            }
            "code" => {
                words.take("code");
                Condition::Code(words.alternatives("an error code")?)
            }
            "says" => {
                words.take("says");
                Condition::Says(words.piece()?)
            }
            "lacks" => {
                words.take("lacks");
                Condition::Lacks(words.piece()?)
            }
            "method" => {
                words.take("method");
                Condition::Method(words.word("a method")?.to_owned())
            }
            "target" => {
                words.take("target");
                Condition::Target(words.name("a target")?)
            }
            _ => return Ok(conditions),
        });
    }
}
