//! What the application of a client has seen, beside what a step expects.

use serde_json::Value;

use super::call::{Call, Outcome};
use crate::conformance::case::Condition;
use crate::conformance::case::template::{Names, Template};
use crate::conformance::client::messages::Failure;
use crate::conformance::client::script::Sight;
use crate::conformance::judge::Progress;
use crate::conformance::matcher::{match_header, match_kind, match_lacks};
use crate::conformance::trace::sha256;

impl Call {
    /// Whether the application has seen it; what it satisfies is taken.
    pub(super) fn saw(&mut self, sight: &Sight, names: &Names) -> Progress {
        match sight {
            Sight::Response(statuses, conditions) => self.saw_response(statuses, conditions, names),
            Sight::Bytes(expected) => self.saw_bytes(expected, names),
            Sight::End => {
                let progress = match self.untaken_outcome() {
                    _ if !self.untaken().is_empty() => Progress::failed(format!("more bytes: {}", self.describe())),
                    Some(Outcome::End) => Progress::MET,
                    Some(Outcome::Failed(failure)) => Progress::failed(format!("an error: {}", describe(failure))),
                    None => return Progress::Pending,
                };
                self.take_outcome();
                progress
            }
            Sight::Fails { after_any, conditions } => {
                let progress = match self.untaken_outcome() {
                    _ if !after_any && !self.untaken().is_empty() => {
                        Progress::failed(format!("more bytes: {}", self.describe()))
                    }
                    Some(Outcome::Failed(failure)) => check_failure(failure, conditions, names),
                    Some(Outcome::End) => Progress::failed("a clean end"),
                    None => match &self.response {
                        Some((response, false)) => {
                            Progress::failed(format!("a response with status {}", response.status))
                        }
                        _ => return Progress::Pending,
                    },
                };
                self.take_outcome();
                progress
            }
            Sight::Silent => {
                let seen = self.response.as_ref().is_some_and(|(_, taken)| !taken);
                if seen || !self.untaken().is_empty() || self.untaken_outcome().is_some() {
                    Progress::failed(self.describe())
                } else {
                    Progress::DONE
                }
            }
        }
    }

    fn saw_response(&mut self, statuses: &[u16], conditions: &[Condition], names: &Names) -> Progress {
        if let Some(Outcome::Failed(failure)) = self.outcome() {
            return Progress::failed(format!("an error: {}", describe(failure)));
        }
        let Some((response, taken)) = &mut self.response else { return Progress::Pending };
        *taken = true;
        if !statuses.contains(&response.status) {
            return Progress::failed(format!("status {}", response.status));
        }
        let entries = || response.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        for condition in conditions {
            let matched = match condition {
                Condition::Header(..) | Condition::NoHeader(_) => {
                    match_header(condition, entries().collect(), names, false)
                }
                Condition::Body(expected) => match (expected.resolve(names), &response.body) {
                    (Ok(expected), Some(body)) if sha256(&expected) == body.sha256 => Ok(()),
                    (Ok(_), Some(body)) => Err(format!("another body, of {} bytes", body.bytes)),
                    (Ok(_), None) => Err("no body".to_owned()),
                    (Err(fault), _) => Err(fault),
                },
                _ => Err("a condition for errors only".to_owned()),
            };
            if let Err(fault) = matched {
                return Progress::failed(fault);
            }
        }
        Progress::MET
    }

    fn saw_bytes(&mut self, expected: &Template, names: &Names) -> Progress {
        let expected = match expected.resolve(names) {
            Ok(expected) => expected,
            Err(fault) => return Progress::failed(fault),
        };
        let there = self.untaken().len().min(expected.len());
        if self.untaken()[..there] != expected[..there] {
            return Progress::failed(self.describe());
        }
        if there == expected.len() {
            self.take(there);
            return Progress::MET;
        }
        match self.outcome() {
            None => Progress::Pending,
            Some(Outcome::End) => Progress::failed(format!("the end: {}", self.describe())),
            Some(Outcome::Failed(failure)) => Progress::failed(format!("an error: {}", describe(failure))),
        }
    }

    /// What the application has seen, in words.
    pub(super) fn describe(&self) -> String {
        let shown = String::from_utf8_lossy(&self.untaken()[..self.untaken().len().min(100)]).into_owned();
        let response = self.response.as_ref().map_or("no response".to_owned(), |(response, _)| {
            format!("status {}, {} bytes, {:?} of them new", response.status, self.received(), shown)
        });
        match self.outcome() {
            None => response,
            Some(Outcome::End) => format!("{response}, the end"),
            Some(Outcome::Failed(failure)) => format!("{response}, an error: {}", describe(failure)),
        }
    }
}

/// An error of the library in words.
pub(super) fn describe(failure: &Failure) -> String {
    let kind = serde_json::to_value(failure.kind).ok();
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    format!("{kind}: {}", failure.message)
}

/// Whether an error of the library is as a step expects it.
pub(super) fn check_failure(failure: &Failure, conditions: &[Condition], names: &Names) -> Progress {
    let kind = serde_json::to_value(failure.kind).ok();
    for condition in conditions {
        let matched = match condition {
            Condition::Kind(words) => match_kind(words, kind.as_ref().and_then(Value::as_str)),
            Condition::Code(codes) if failure.code.is_some_and(|code| codes.contains(&code)) => Ok(()),
            Condition::Code(_) => Err(format!("code {:?}", failure.code)),
            Condition::Lacks(text) => match_lacks(text, &failure.message, names),
            Condition::Says(text) => match text.resolve_text(names) {
                Ok(text) if failure.message.contains(&text) => Ok(()),
                Ok(text) => Err(format!("{text:?} is not said")),
                Err(fault) => Err(fault),
            },
            _ => Err("a condition for responses only".to_owned()),
        };
        if let Err(fault) = matched {
            return Progress::failed(format!("{fault} — {}", describe(failure)));
        }
    }
    Progress::MET
}
