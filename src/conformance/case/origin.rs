//! Reading the lines of an `origin` block.

use std::time::Duration;

use super::words::Words;
use super::{Exchange, OriginAction};
use crate::conformance::case::template::Template;

/// Reads one line below `origin` into the exchange.
///
/// # Errors
///
/// A text that says what is wrong.
pub fn read_line(exchange: &mut Exchange, line: &str) -> Result<(), String> {
    let mut words = Words::new(line);
    if let Some(action) = read_action(exchange, &mut words, line)? {
        words.end()?;
        exchange.actions.push(action);
    }
    Ok(())
}

fn read_action(exchange: &mut Exchange, words: &mut Words<'_>, line: &str) -> Result<Option<OriginAction>, String> {
    let first = words.peek();
    let rest_of_line = |words: &mut Words<'_>| {
        let rest = words.rest().to_owned();
        *words = Words::new("");
        rest
    };
    if first.len() == 3 && first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(OriginAction::Status(rest_of_line(words))));
    }
    if let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.contains([' ', '"', '\''])) {
        let value = value.trim();
        let value = if value.starts_with(['"', '\'']) || value.starts_with("repeat ") || value.starts_with("fill ") {
            let mut words = Words::new(value);
            let value = words.bytes()?;
            words.end()?;
            value
        } else {
            Template::parse(value.as_bytes())?
        };
        *words = Words::new("");
        return Ok(Some(OriginAction::Header(Template::parse(name.as_bytes())?, value)));
    }
    Ok(Some(match words.word("an origin line")? {
        "chunked" => OriginAction::Chunked,
        "chunk" => OriginAction::Chunk(words.bytes()?, 1, Duration::ZERO),
        "each" => {
            let times = words.parse("a number of chunks")?;
            if !words.take("chunk") {
                return Err("each needs `chunk` behind its number".to_owned());
            }
            OriginAction::Chunk(words.bytes()?, times, Duration::ZERO)
        }
        "drip" => {
            let times = words.parse("a number of chunks")?;
            if !words.take("every") {
                return Err("drip needs `every` behind its number".to_owned());
            }
            let pause = words.duration()?;
            OriginAction::Chunk(words.bytes()?, times, pause)
        }
        "trailer" => OriginAction::Trailer(rest_of_line(words)),
        "raw" => OriginAction::Raw(words.bytes()?),
        "endless" => OriginAction::Endless,
        "wait" => OriginAction::Wait(words.word("a name")?.to_owned()),
        "delay" => OriginAction::Delay(words.duration()?),
        "hang" => OriginAction::Hang,
        "reset" => OriginAction::Reset,
        "close" => OriginAction::Close,
        "early" if exchange.actions.is_empty() => {
            exchange.early = true;
            return Ok(None);
        }
        "silent-tls" if exchange.actions.is_empty() => {
            exchange.silent_tls = true;
            return Ok(None);
        }
        other => return Err(format!("{other:?} is nothing that an origin does")),
    }))
}
