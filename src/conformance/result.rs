//! The result of one case on one transport, as reports and expectations see it.

use std::time::Duration;

use super::case::Transport;
use super::verdict::Verdict;

/// What was wrong, or why there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The clause that was broken; `None` where no clause is concerned.
    pub clause: Option<String>,
    /// What would have been right; empty where nothing was expected.
    pub expected: String,
    /// What came instead, or the reason of a verdict that is no failure.
    pub came: String,
}

impl Finding {
    /// A finding that no clause is concerned with.
    pub fn reason(came: impl Into<String>) -> Self {
        Self { came: came.into(), ..Self::default() }
    }
}

/// The result of one case on one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The id, `area/slug`.
    pub case: String,
    /// The transport that it ran on.
    pub transport: Transport,
    /// Its class.
    pub verdict: Verdict,
    /// Why; `None` for a pass.
    pub finding: Option<Finding>,
    /// From the start of the peer, or of the connection, to the verdict.
    pub duration: Duration,
    /// The last frames and origin events, one a line.
    pub transcript: Vec<String>,
    /// The end of what the peer wrote to standard error meanwhile.
    pub stderr: String,
}

impl CaseResult {
    /// A result of a case that was not started.
    pub fn not_started(case: &str, transport: Transport, verdict: Verdict, reason: &str) -> Self {
        Self {
            case: case.to_owned(),
            transport,
            verdict,
            finding: Some(Finding::reason(reason)),
            duration: Duration::ZERO,
            transcript: Vec::new(),
            stderr: String::new(),
        }
    }

    /// The part of the id before the slash.
    pub fn area(&self) -> &str {
        self.case.split_once('/').map_or(self.case.as_str(), |(area, _)| area)
    }

    /// What the report says in one line.
    pub fn came(&self) -> &str {
        self.finding.as_ref().map_or("", |finding| &finding.came)
    }
}
