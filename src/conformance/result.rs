//! The result of one case on one transport, as reports and expectations see it.

use std::time::Duration;

use super::artifacts::CaseFiles;
use super::case::{Case, Transport};
use super::judge::{Finding, Judgement};
use super::stage::CaseRun;
use super::transcript::{last_sent, transcript};
use super::verdict::Verdict;

/// What was wrong, or why there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// The clause that was broken; `None` where no clause is concerned.
    pub clause: Option<String>,
    /// `FILE:LINE` of the step in the case library, where there is one.
    pub place: Option<String>,
    /// What would have been right; empty where nothing was expected.
    pub expected: String,
    /// What came instead, or the reason of a verdict that is no failure.
    pub came: String,
}

impl Reason {
    /// A reason that no clause is concerned with.
    pub fn plain(came: impl Into<String>) -> Self {
        Self { came: came.into(), ..Self::default() }
    }

    /// A broken clause outside of any case.
    pub fn broken(clause: &str, expected: &str, came: impl Into<String>) -> Self {
        Self { clause: Some(clause.to_owned()), place: None, expected: expected.to_owned(), came: came.into() }
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
    pub reason: Option<Reason>,
    /// From the first connection to the verdict.
    pub duration: Duration,
    /// What the suite said or did last before the verdict was known, as in the transcript.
    pub sent: Option<String>,
    /// The number of the event after which the verdict was known, where it came before the end of the case.
    pub decided: Option<u64>,
    /// The last frames and origin events, one a line.
    pub transcript: Vec<String>,
    /// The end of what the peer wrote to standard error meanwhile.
    pub stderr: String,
    /// What was kept of it.
    pub files: Option<CaseFiles>,
}

impl CaseResult {
    /// A result that needed no run.
    pub fn without_run(case: &str, transport: Transport, verdict: Verdict, reason: Reason) -> Self {
        Self {
            case: case.to_owned(),
            transport,
            verdict,
            reason: Some(reason),
            duration: Duration::ZERO,
            sent: None,
            decided: None,
            transcript: Vec::new(),
            stderr: String::new(),
            files: None,
        }
    }

    /// The result of a run; `stderr` is what the peer wrote meanwhile, and `files` what was kept.
    pub fn of_run(case: &Case, transport: Transport, run: &CaseRun, stderr: String, files: Option<CaseFiles>) -> Self {
        let found = |finding: &Finding| Reason {
            clause: Some(finding.clause.clone()),
            place: Some(format!("{}:{}", case.file, finding.line)),
            expected: finding.expected.clone(),
            came: finding.got.clone(),
        };
        let (verdict, reason) = match &run.judgement {
            Judgement::Pass => (Verdict::Pass, None),
            Judgement::Warn(finding) => (Verdict::Warn, Some(found(finding))),
            Judgement::Fail(kind, finding) => (Verdict::Fail(*kind), Some(found(finding))),
            Judgement::Timeout(finding) => (Verdict::Timeout, Some(found(finding))),
            Judgement::NoHandshake(finding) => (Verdict::NotRun, Some(found(finding))),
            Judgement::Error(reason) => (Verdict::Error, Some(Reason::plain(reason))),
        };
        let (mut shown, mut sent, mut decided) = (Vec::new(), None, None);
        if reason.is_some() {
            (shown, sent, decided) = (transcript(&run.trace), last_sent(&run.trace, run.decided), run.decided);
        }
        Self {
            case: case.id.clone(),
            transport,
            verdict,
            reason,
            duration: run.duration,
            sent,
            decided,
            transcript: shown,
            stderr,
            files,
        }
    }

    /// Two runs of a case came to different verdicts: nothing can be said.
    pub fn differs_from(self, other: Self) -> Self {
        let came = format!("two runs differ: {} and {}", self.verdict, other.verdict);
        let odd = if self.reason.is_some() { self } else { other };
        Self { verdict: Verdict::Error, reason: Some(Reason { came, ..odd.reason.unwrap_or_default() }), ..odd }
    }

    /// The part of the id before the slash.
    pub fn area(&self) -> &str {
        self.case.split_once('/').map_or(self.case.as_str(), |(area, _)| area)
    }

    /// What the report says in one line.
    pub fn came(&self) -> &str {
        self.reason.as_ref().map_or("", |reason| &reason.came)
    }
}
