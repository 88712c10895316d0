//! Traces of the zoo that are kept, so that the judge alone can be asked again.

use std::io;

use serde::{Deserialize, Serialize};

use crate::conformance::case::template::Names;
use crate::conformance::case::{Case, Half, Transport};
use crate::conformance::judge::{Finding, Judge, Judgement, State};
use crate::conformance::suites;
use crate::conformance::trace::{Event, What};

/// One case that met one specimen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The name of the specimen.
    pub specimen: String,
    /// The id of the case.
    pub case: String,
    /// The transport.
    pub transport: Transport,
    /// What the judge said.
    pub said: Said,
    /// What happened.
    pub events: Vec<Event>,
}

/// What a judge says, to the driver on its way and in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The class.
    pub verdict: String,
    /// The clause that is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The index of the step that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// What would have satisfied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came instead, or why there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<String>,
    /// What the driver is told, a letter an event: to wait, to go on to the next step (`r`eady), or that it is over.
    pub states: String,
    /// What names stand for that the case did not begin with.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

impl Said {
    fn of(case: &Case, events: &[Event]) -> Self {
        let mut judge = Judge::new(case);
        let state = |event| match judge.handle(event) {
            State::Waiting => 'w',
            State::Ready => 'r',
            State::Over => 'o',
        };
        let states = events.iter().map(state).collect();
        let mut names = judge.names().clone();
        if let Some(What::Begun { names: given, .. }) = events.first().map(|event| &event.what) {
            names.retain(|name, _| !given.contains_key(name));
        }
        let (verdict, found) = match judge.finish() {
            Judgement::Pass => ("pass".to_owned(), Err(None)),
            Judgement::Warn(finding) => ("warn".to_owned(), Ok(finding)),
            Judgement::Fail(kind, finding) => (format!("fail({kind})"), Ok(finding)),
            Judgement::Timeout(finding) => ("timeout".to_owned(), Ok(finding)),
            Judgement::NoHandshake(finding) => ("no-handshake".to_owned(), Ok(finding)),
            Judgement::Error(reason) => ("error".to_owned(), Err(Some(reason))),
        };
        let said = Self { verdict, clause: None, step: None, expected: None, came: None, states, names };
        match found {
            Ok(Finding { clause, step, expected, got, .. }) => {
                Self { clause: Some(clause), step: Some(step), expected: Some(expected), came: Some(got), ..said }
            }
            Err(came) => Self { came, ..said },
        }
    }
}

impl Record {
    /// What happened when a specimen met that case; `None` when there is no such case.
    pub fn new(specimen: &str, case: &str, transport: Transport, events: &[Event]) -> Option<Self> {
        let case = suites::of(Half::of(case)).iter().find(|known| known.id == case)?;
        let said = Said::of(case, events);
        Some(Self { specimen: specimen.to_owned(), case: case.id.clone(), transport, said, events: events.to_vec() })
    }

    /// Asks the judge; `None` when no case has that id any more.
    pub fn judge_again(&self) -> Option<Said> {
        let case = suites::of(Half::of(&self.case)).iter().find(|case| case.id == self.case)?;
        Some(Said::of(case, &self.events))
    }
}

/// Writes one record a line.
///
/// # Errors
///
/// Those of the writer.
pub fn write(records: &[Record], mut out: impl io::Write) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// Lines that are no records.
pub fn read(text: &str) -> io::Result<Vec<Record>> {
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}
