//! What the judge knows of an origin.

use super::{FailKind, Progress};
use crate::conformance::case::template::Names;
use crate::conformance::case::{Condition, OriginCheck};
use crate::conformance::matcher::{match_body, match_header, match_lacks};
use crate::conformance::trace::{Body, What};

/// One origin as its events tell it.
#[derive(Debug, Default)]
pub(super) struct OriginView {
    /// Connections accepted.
    connections: usize,
    /// How many of them are closed.
    closed: usize,
    /// Requests in order.
    requests: Vec<Request>,
    /// Paths whose connections were closed early by the peer.
    aborted: Vec<String>,
    /// Paths whose answers could not be written for a while, and the bytes written until then.
    blocked: Vec<(String, u64)>,
}

/// A request that an origin read.
#[derive(Debug)]
struct Request {
    /// The method with its case.
    method: String,
    /// The target as it stood in the request line.
    target: String,
    /// Names and values in order, bytes as Latin-1.
    headers: Vec<(String, String)>,
    /// The body without its framing.
    body: Body,
}

impl OriginView {
    /// Takes an event of this origin.
    pub(super) fn handle(&mut self, what: &What) {
        match what {
            What::Accepted { .. } => self.connections += 1,
            What::Closed { .. } => self.closed += 1,
            What::Request { method, target, headers, body, .. } => self.requests.push(Request {
                method: method.clone(),
                target: target.clone(),
                headers: headers.clone(),
                body: body.clone(),
            }),
            What::Aborted { path, .. } => self.aborted.push(path.clone()),
            What::Blocked { path, written, .. } => self.blocked.push((path.clone(), *written)),
            _ => {}
        }
    }

    /// Looks whether a check holds.
    pub(super) fn check(&self, check: &OriginCheck, names: &Names) -> Progress {
        match check {
            OriginCheck::Connections(expected) => count(self.connections, *expected, "connections"),
            OriginCheck::Idle if self.closed == self.connections => Progress::Met { observed: false },
            OriginCheck::Idle => Progress::Pending,
            OriginCheck::Count(path, expected) => {
                count(self.requests.iter().filter(|request| request.path() == path).count(), *expected, "requests")
            }
            OriginCheck::Request(path, nth, conditions) => {
                let mut of_path = self.requests.iter().filter(|request| request.path() == path);
                let request = match nth {
                    Some(nth) => of_path.nth(nth.saturating_sub(1)),
                    None => of_path.next_back(),
                };
                match request.map(|request| request.matches(conditions, names)) {
                    None => Progress::Pending,
                    Some(Ok(())) => Progress::Met { observed: true },
                    Some(Err(fault)) => Progress::Failed(FailKind::Assertion, format!("a request with {fault}")),
                }
            }
            OriginCheck::Aborted(path, expected) => {
                let aborted = self.aborted.iter().filter(|aborted| *aborted == path).count();
                if aborted >= *expected { Progress::Met { observed: true } } else { Progress::Pending }
            }
            OriginCheck::Blocked(path, below) => match self.blocked.iter().find(|(blocked, _)| blocked == path) {
                None => Progress::Pending,
                Some((_, written)) if written < below => Progress::Met { observed: true },
                Some((_, written)) => Progress::Failed(FailKind::Leak, format!("{written} bytes handed over")),
            },
        }
    }
}

fn count(seen: usize, expected: usize, what: &str) -> Progress {
    match seen.cmp(&expected) {
        std::cmp::Ordering::Less => Progress::Pending,
        std::cmp::Ordering::Equal => Progress::Met { observed: expected > 0 },
        std::cmp::Ordering::Greater => Progress::Failed(FailKind::Assertion, format!("{seen} {what}")),
    }
}

impl Request {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn matches(&self, conditions: &[Condition], names: &Names) -> Result<(), String> {
        for condition in conditions {
            match condition {
                Condition::Method(method) if *method == self.method => {}
                Condition::Method(_) => return Err(format!("method {}", self.method)),
                Condition::Target(target) => {
                    if target.resolve_text(names)? != self.target {
                        return Err(format!("target {:?}", self.target));
                    }
                }
                Condition::Body(body) => match_body(body, Some(&self.body), names)?,
                Condition::Header(..) | Condition::NoHeader(_) => {
                    match_header(condition, self.headers.clone(), names, true)?;
                }
                Condition::Lacks(text) => {
                    let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
                    let head: Vec<_> = std::iter::once(self.target.clone()).chain(headers).collect();
                    match_lacks(text, &head.join("\n"), names)?;
                }
                Condition::Kind(_) | Condition::Code(_) | Condition::Says(_) => {
                    return Err("a condition for errors only".to_owned());
                }
            }
        }
        Ok(())
    }
}
