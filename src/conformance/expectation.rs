//! The expectation file: known failures of one implementation, each with its reason.
//!
//! ```toml
//! [[expect]]
//! case = "stream/seq-from-one"   # required
//! transport = "ws"               # without it: on every transport on which the case applies
//! expect = "fail"                # or "timeout"
//! kind = "assertion"             # without it: any kind of failure
//! clause = "STREAM-1"            # without it: any clause of the case
//! reason = "why, from a transcript that was read"   # required
//! issue = "https://example.com/issues/1"
//! until = 2027-01-01             # the entry is an error from this day on
//! platform = "linux"             # the entry counts on this platform only
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use toml::value::Datetime;

use super::case::Transport;
use super::judge::FailKind;
use super::result::{CaseResult, Reason};
use super::verdict::Verdict;

/// All entries that count on this platform.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// In the order of the file.
    entries: Vec<Expectation>,
}

/// One entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// The id of the case.
    case: String,
    /// `None`: every transport.
    transport: Option<Transport>,
    /// The class that is expected.
    expect: Class,
    /// `None`: any kind.
    kind: Option<FailKind>,
    /// `None`: any clause.
    clause: Option<String>,
    /// For the reader.
    reason: String,
    /// For the reader.
    #[serde(rename = "issue")]
    _issue: Option<String>,
    /// The first day on which the entry is out of date.
    until: Option<Datetime>,
    /// As in [`std::env::consts::OS`]; `None`: everywhere.
    platform: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    Fail,
    Timeout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expect: Vec<Expectation>,
}

/// Why an expectation file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectationError {
    /// Not TOML, or not in the form of this file.
    Form(String),
    /// No case has that id, or not on that transport.
    UnknownCase(String),
    /// Two entries for one case on one transport.
    Duplicate(String),
    /// An entry whose reason is empty.
    NoReason(String),
    /// An entry whose `until` has passed.
    Expired(String),
    /// An entry for a case that does not apply to this peer.
    NotApplicable(String),
}

impl fmt::Display for ExpectationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "not an expectation file: {}", error.trim_end()),
            Self::UnknownCase(entry) => write!(f, "no such case: {entry}"),
            Self::Duplicate(entry) => write!(f, "more than one entry for {entry}"),
            Self::NoReason(entry) => write!(f, "the entry for {entry} has no reason"),
            Self::Expired(entry) => write!(f, "the entry for {entry} has expired"),
            Self::NotApplicable(entry) => write!(f, "the entry for {entry} concerns a case that does not apply"),
        }
    }
}

impl std::error::Error for ExpectationError {}

impl Expectations {
    /// Reads the text of a file. `cases` are the ids of the library with the transports on which each exists.
    ///
    /// # Errors
    ///
    /// [`ExpectationError`] names the first entry that is wrong. Entries of other platforms are checked too.
    pub fn parse(text: &str, cases: &BTreeMap<String, Vec<Transport>>) -> Result<Self, ExpectationError> {
        Self::parse_on(text, cases, today())
    }

    fn parse_on(text: &str, cases: &BTreeMap<String, Vec<Transport>>, today: Day) -> Result<Self, ExpectationError> {
        let file: File = toml::from_str(text).map_err(|error| ExpectationError::Form(error.to_string()))?;
        for entry in &file.expect {
            let known = cases.get(&entry.case).is_some_and(|transports| transports.iter().any(|on| entry.is_on(*on)));
            if !known {
                return Err(ExpectationError::UnknownCase(entry.to_string()));
            }
            if entry.reason.trim().is_empty() {
                return Err(ExpectationError::NoReason(entry.to_string()));
            }
            if entry.until.is_some_and(|until| day(until).is_none_or(|until| until <= today)) {
                return Err(ExpectationError::Expired(entry.to_string()));
            }
        }
        let here = |entry: &Expectation| entry.platform.as_deref().is_none_or(|os| os == std::env::consts::OS);
        let entries: Vec<_> = file.expect.into_iter().filter(here).collect();
        for (index, entry) in entries.iter().enumerate() {
            let same = |other: &Expectation| {
                other.case == entry.case
                    && (other.transport.is_none() || entry.transport.is_none() || other.transport == entry.transport)
            };
            if entries[..index].iter().any(same) {
                return Err(ExpectationError::Duplicate(entry.to_string()));
            }
        }
        Ok(Self { entries })
    }

    /// Holds the entries against the cases that are not applicable to this peer.
    ///
    /// # Errors
    ///
    /// [`ExpectationError::NotApplicable`] names an entry for which `applies` is false on each of the transports of this
    /// run that it concerns. An entry for another transport is left alone, so that one file can serve several runs.
    pub fn check(
        &self,
        transports: &[Transport],
        applies: impl Fn(&str, Transport) -> bool,
    ) -> Result<(), ExpectationError> {
        for entry in &self.entries {
            let mut concerned = transports.iter().filter(|on| entry.is_on(**on)).peekable();
            if concerned.peek().is_some() && !concerned.any(|on| applies(&entry.case, *on)) {
                return Err(ExpectationError::NotApplicable(entry.to_string()));
            }
        }
        Ok(())
    }

    /// Compares one result with its entry. Verdicts about which nothing can be expected are left as they are.
    pub fn apply(&self, result: &mut CaseResult) {
        let matches = |entry: &&Expectation| entry.case == result.case && entry.is_on(result.transport);
        let Some(entry) = self.entries.iter().find(matches) else { return };
        match result.verdict {
            Verdict::Fail(_) | Verdict::Timeout | Verdict::Warn => {
                if entry.describes(result) {
                    result.verdict = Verdict::Xfail;
                } else {
                    let was = result.verdict;
                    result.verdict = Verdict::XfailChanged;
                    let reason = result.reason.get_or_insert_default();
                    reason.came = format!("{was}: {} (expected: {})", reason.came, entry.outcome());
                }
            }
            Verdict::Pass => {
                result.verdict = Verdict::Xpass;
                let came = format!("passed, although expected to go wrong: {}", entry.reason);
                result.reason =
                    Some(Reason { clause: entry.clause.clone(), place: None, expected: entry.outcome(), came });
            }
            Verdict::NotApplicable
            | Verdict::Error
            | Verdict::NotRun
            | Verdict::Skipped
            | Verdict::Xfail
            | Verdict::XfailChanged
            | Verdict::Xpass => {}
        }
    }
}

impl Expectation {
    fn is_on(&self, transport: Transport) -> bool {
        self.transport.is_none_or(|on| on == transport)
    }

    fn describes(&self, result: &CaseResult) -> bool {
        let class = match result.verdict {
            Verdict::Fail(kind) => self.expect == Class::Fail && self.kind.is_none_or(|expected| expected == kind),
            // A broken SHOULD is a failure to whoever maintains the file.
            Verdict::Warn => self.expect == Class::Fail && self.kind.is_none_or(|kind| kind == FailKind::Assertion),
            Verdict::Timeout => self.expect == Class::Timeout,
            _ => false,
        };
        let broken = result.reason.as_ref().and_then(|reason| reason.clause.as_ref());
        class && (self.clause.is_none() || self.clause.as_ref() == broken)
    }

    /// What the entry expects, in words.
    fn outcome(&self) -> String {
        let class = match self.expect {
            Class::Fail => "fail",
            Class::Timeout => "timeout",
        };
        let kind = self.kind.map_or(String::new(), |kind| format!("({kind})"));
        let clause = self.clause.as_ref().map_or(String::new(), |clause| format!(" of {clause}"));
        format!("{class}{kind}{clause}")
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.case)?;
        self.transport.map_or(Ok(()), |transport| write!(f, " on {transport}"))
    }
}

/// Year, month, day.
type Day = (u16, u8, u8);

fn day(datetime: Datetime) -> Option<Day> {
    datetime.date.map(|date| (date.year, date.month, date.day))
}

/// The current day in UTC. The conversion is the inverse of counting days in years that begin in March, so that the leap
/// day is the last of its year.
fn today() -> Day {
    const DAY_SECONDS: u64 = 86_400;
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / DAY_SECONDS);
    civil(days)
}

/// The day that is `days` after 1970-01-01.
pub(super) fn civil(days: u64) -> Day {
    const DAYS_TO_1970_FROM_YEAR_0: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097; // 400 years
    let days = days + DAYS_TO_1970_FROM_YEAR_0;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let small = "a calendar day fits its fields";
    (u16::try_from(year).expect(small), u8::try_from(month).expect(small), u8::try_from(day).expect(small))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = (2026, 7, 1);

    fn cases() -> BTreeMap<String, Vec<Transport>> {
        BTreeMap::from([
            ("stream/a".to_owned(), vec![Transport::Stdio, Transport::Websocket]),
            ("stream/ws-only".to_owned(), vec![Transport::Websocket]),
        ])
    }

    fn parse(text: &str) -> Result<Expectations, ExpectationError> {
        Expectations::parse_on(text, &cases(), TODAY)
    }

    fn result(verdict: Verdict, clause: &str) -> CaseResult {
        CaseResult::without_run("stream/a", Transport::Websocket, verdict, Reason::broken(clause, "x", "y"))
    }

    #[track_caller]
    fn refused(text: &str, expected: &ExpectationError) {
        assert_eq!(parse(text).map(|_| ()).as_ref(), Err(expected), "{text}");
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let entry = |rest: &str| format!("[[expect]]\nexpect = \"fail\"\n{rest}\n");
        refused(&entry("case = \"no/such\"\nreason = \"r\""), &ExpectationError::UnknownCase("no/such".into()));
        let other_transport = entry("case = \"stream/ws-only\"\ntransport = \"stdio\"\nreason = \"r\"");
        refused(&other_transport, &ExpectationError::UnknownCase("stream/ws-only on stdio".into()));
        refused(&entry("case = \"stream/a\"\nreason = \" \""), &ExpectationError::NoReason("stream/a".into()));
        let expired = entry("case = \"stream/a\"\nreason = \"r\"\nuntil = 2026-07-01");
        refused(&expired, &ExpectationError::Expired("stream/a".into()));
        let twice = entry("case = \"stream/a\"\nreason = \"r\"")
            + &entry("case = \"stream/a\"\ntransport = \"ws\"\nreason = \"r\"");
        refused(&twice, &ExpectationError::Duplicate("stream/a on ws".into()));
        for form in [
            entry("case = \"stream/a\""),
            entry("case = \"stream/a\"\nreason = \"r\"\nresaon = \"r\""),
            entry("case = \"stream/a\"\nreason = \"r\"\nkind = \"bad\""),
            "[[expect]]\ncase = \"stream/a\"\nexpect = \"pass\"\nreason = \"r\"".to_owned(),
        ] {
            assert!(matches!(parse(&form), Err(ExpectationError::Form(_))), "{form}");
        }
    }

    #[test]
    fn a_later_day_and_another_platform_are_accepted() {
        let text = "[[expect]]\ncase = \"stream/a\"\nexpect = \"fail\"\nreason = \"r\"\nuntil = 2026-07-02\n\
                    [[expect]]\ncase = \"stream/a\"\nexpect = \"timeout\"\nreason = \"r\"\nplatform = \"plan9\"\n";
        assert_eq!(parse(text).map(|expectations| expectations.entries.len()), Ok(1));
    }

    #[test]
    fn results_are_compared_with_their_entry() {
        let text = "[[expect]]\ncase = \"stream/a\"\ntransport = \"ws\"\nexpect = \"fail\"\nkind = \"assertion\"\n\
                    clause = \"STREAM-1\"\nreason = \"r\"\n";
        let expectations = parse(text).expect("the entry is well formed");
        let assertion = Verdict::Fail(FailKind::Assertion);
        for (verdict, clause, expected) in [
            (assertion, "STREAM-1", Verdict::Xfail),
            (assertion, "STREAM-2", Verdict::XfailChanged),
            (Verdict::Fail(FailKind::Crash), "STREAM-1", Verdict::XfailChanged),
            (Verdict::Timeout, "STREAM-1", Verdict::XfailChanged),
            (Verdict::Pass, "STREAM-1", Verdict::Xpass),
            (Verdict::Error, "STREAM-1", Verdict::Error),
            (Verdict::NotRun, "STREAM-1", Verdict::NotRun),
            (Verdict::Skipped, "STREAM-1", Verdict::Skipped),
        ] {
            let mut result = result(verdict, clause);
            expectations.apply(&mut result);
            assert_eq!(result.verdict, expected, "{verdict} of {clause}");
        }
        let mut other = result(assertion, "STREAM-1");
        other.transport = Transport::Stdio;
        expectations.apply(&mut other);
        assert_eq!(other.verdict, assertion, "an entry for ws says nothing about stdio");
    }

    #[test]
    fn an_entry_for_a_case_that_does_not_apply_is_refused_on_the_transports_of_the_run() {
        let on_ws = "[[expect]]\ncase = \"stream/a\"\ntransport = \"ws\"\nexpect = \"fail\"\nreason = \"r\"\n";
        let expectations = parse(on_ws).expect("the entry is well formed");
        let refused = Err(ExpectationError::NotApplicable("stream/a on ws".into()));
        assert_eq!(
            expectations.check(&[Transport::Stdio, Transport::Websocket], |_, on| on == Transport::Stdio),
            refused
        );
        assert_eq!(expectations.check(&[Transport::Stdio], |_, _| false), Ok(()));
        let anywhere = parse("[[expect]]\ncase = \"stream/a\"\nexpect = \"fail\"\nreason = \"r\"\n");
        let anywhere = anywhere.expect("the entry is well formed");
        assert_eq!(anywhere.check(&[Transport::Stdio, Transport::Websocket], |_, on| on == Transport::Stdio), Ok(()));
        assert!(anywhere.check(&[Transport::Stdio], |_, _| false).is_err());
    }

    #[test]
    fn days_since_the_epoch_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_514), (2026, 3, 2));
    }
}
