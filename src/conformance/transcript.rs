//! The end of a trace for people: frames both ways with their bodies decoded, and what the origins saw.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::case::steps::BARRIER_METHOD;
use super::case::{Case, MAIN};
use super::trace::{Event, Trace, What};

/// Lines that a transcript has at most.
const LINES: usize = 40;

/// Characters of a frame that are shown.
const FRAME_CHARACTERS: usize = 400;

/// Decoded bytes of a body that are shown.
const BODY_BYTES: usize = 48;

/// The last events of a trace, one a line, oldest first.
pub fn transcript(trace: &Trace) -> Vec<String> {
    let lines: Vec<String> = trace.events.iter().filter_map(line).collect();
    let left_out = lines.len().saturating_sub(LINES);
    let mut shown = lines[left_out..].to_vec();
    if left_out > 0 {
        shown.insert(0, format!("({left_out} earlier events)"));
    }
    shown
}

/// What the suite sent last, on the wire or to the adapter, up to that event; barriers say nothing.
pub fn last_sent(trace: &Trace, decided: Option<u64>) -> Option<String> {
    let until = decided.unwrap_or(u64::MAX);
    trace.events.iter().rev().filter(|event| event.number <= until).find_map(|event| match &event.what {
        What::Sent { text, .. } if text.contains(BARRIER_METHOD) => None,
        What::Sent { connection, text } => Some(format!("{}{}", prefix(connection), frame(text))),
        What::Told { command } => Some(format!("to the adapter: {}", json(command))),
        _ => None,
    })
}

/// Everything that happened in a case, one event a line, each step above what it brought about.
pub fn whole(case: &Case, trace: &Trace) -> Vec<String> {
    let mut source = None;
    let mut lines = Vec::new();
    for event in &trace.events {
        if let What::Step { step } = event.what {
            let begun = case.steps.get(step).map(|step| (step.line, step.source.as_str()));
            // Several steps can stand on one line.
            if begun.is_some() && begun != source {
                lines.extend(begun.map(|(line, text)| format!("{:>4}  {text}", line)));
            }
            source = begun;
        }
        lines.extend(line(event));
    }
    lines
}

fn line(event: &Event) -> Option<String> {
    let text = match &event.what {
        What::Sent { connection, text } => format!("{}-> {}", prefix(connection), frame(text)),
        What::Received { connection, text, binary } => {
            format!("{}<- {}{}", prefix(connection), if *binary { "(binary) " } else { "" }, frame(text))
        }
        What::Ping { connection, .. } => format!("{}<- ping", prefix(connection)),
        What::Pong { connection, .. } => format!("{}<- pong", prefix(connection)),
        What::CloseFrame { connection, code } => match code {
            Some(code) => format!("{}<- close frame {code}", prefix(connection)),
            None => format!("{}<- close frame", prefix(connection)),
        },
        What::Garbage { connection, reason } => format!("{}<- not a frame: {reason}", prefix(connection)),
        What::Ended { connection, reason } => format!("{}<- end of the connection: {reason}", prefix(connection)),
        What::Unreached { connection, reason } => format!("{}no connection: {reason}", prefix(connection)),
        What::Stalled { connection } => format!("{}the peer does not read", prefix(connection)),
        What::Deadline { milliseconds } => format!("deadline of the step after {milliseconds} ms"),
        What::Exited { code: Some(code) } => format!("the process exited with status {code}"),
        What::Exited { code: None } => "the process was ended by a signal".to_owned(),
        What::Memory { bytes } => format!("peak memory of the process: {bytes} bytes"),
        What::Probed { status } => format!("HTTP status {status} on the listening address"),
        What::Request { origin, method, target, body, .. } => {
            format!("{}: {method} {} ({} body bytes)", origin_name(*origin), shortened(target), body.len())
        }
        What::Aborted { origin, path } => format!("{}: connection of {path} closed by the peer", origin_name(*origin)),
        What::Blocked { origin, path, written } => {
            format!("{}: writing {path} stands still after {written} bytes", origin_name(*origin))
        }
        What::Connected { connection, .. } => format!("{}<- a connection", prefix(connection)),
        What::Told { command } => format!("   adapter, {}", json(command)),
        What::Heard { line } => format!("   adapter: {}", json(line)),
        What::Broken { reason } => format!("the suite cannot go on: {reason}"),
        What::Begun { .. } | What::Step { .. } | What::Accepted { .. } | What::Closed { .. } | What::Finished => {
            return None;
        }
    };
    Some(format!("{:>9.3}  {text}", event.at().as_secs_f64()))
}

/// What the suite and the adapter say to each other.
fn json(said: &impl serde::Serialize) -> String {
    shortened(&serde_json::to_string(said).unwrap_or_default())
}

/// Nothing for the connection that steps mean when they name none.
fn prefix(connection: &str) -> String {
    if connection == MAIN { String::new() } else { format!("{connection} ") }
}

fn origin_name(origin: usize) -> &'static str {
    if origin == 0 { "origin" } else { "origin2" }
}

/// A frame, and behind it its body in plain.
fn frame(text: &str) -> String {
    let shown = shortened(text);
    match serde_json::from_str(text).ok().as_ref().and_then(body) {
        Some(bytes) => {
            let end = bytes.len().min(BODY_BYTES);
            let more = if bytes.len() > end { format!("… ({} bytes)", bytes.len()) } else { String::new() };
            format!("{shown}  # \"{}\"{more}", bytes[..end].escape_ascii())
        }
        None => shown,
    }
}

/// The decoded body of a message that carries one, unless it is empty.
fn body(message: &Value) -> Option<Vec<u8>> {
    let encoded = match (message["params"]["deltaBase64"].as_str(), message["params"]["bodyBase64"].as_str()) {
        (Some(delta), _) => delta,
        (None, Some(body)) => body,
        (None, None) => message["result"]["bodyBase64"].as_str()?,
    };
    STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty())
}

/// The beginning of a text of the peer, without characters that would control the terminal.
fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(FRAME_CHARACTERS).map(|(end, _)| end);
    let mut shown = printable(&text[..end.unwrap_or(text.len())]).replace('\n', "\\u{a}");
    if end.is_some() {
        shown += &format!("… ({} bytes)", text.len());
    }
    shown
}

/// The text without characters that would control the terminal; ends of lines stay.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(whats: impl IntoIterator<Item = What>) -> Trace {
        let events = whats.into_iter().zip(1..).map(|(what, number)| Event { number, micros: number * 1000, what });
        Trace { events: events.collect() }
    }

    fn received(connection: &str, text: &str) -> What {
        What::Received { connection: connection.to_owned(), text: text.to_owned(), binary: false }
    }

    #[test]
    fn bodies_are_shown_decoded_and_other_connections_by_name() {
        let shown = transcript(&trace([
            received(MAIN, r#"{"params":{"deltaBase64":"aGkK"}}"#),
            received("b", r#"{"result":{"bodyBase64":""}}"#),
            What::Finished,
        ]));
        assert_eq!(
            shown,
            [
                r#"    0.001  <- {"params":{"deltaBase64":"aGkK"}}  # "hi\n""#,
                r#"    0.002  b <- {"result":{"bodyBase64":""}}"#,
            ]
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(transcript(&trace([received(MAIN, "a\x1b[31m")])), ["    0.001  <- a\\u{1b}[31m"]);
    }

    #[test]
    fn only_the_end_of_a_long_trace_is_shown() {
        let shown = transcript(&trace((0..LINES + 2).map(|number| received(MAIN, &number.to_string()))));
        assert_eq!(shown.len(), LINES + 1);
        assert_eq!(shown[0], "(2 earlier events)");
        assert!(shown[LINES].ends_with("<- 41"), "{}", shown[LINES]);
    }
}
