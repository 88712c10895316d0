//! A run folder: what a run of the suite left behind, whole or not.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::super::verdict::Verdict;

/// The file of results.
const RESULTS: &str = "results.jsonl";

/// The folder of traces.
const TRACES: &str = "trace";

/// Cases that a run can have under way.
const MOST_UNDER_WAY: usize = 64;

/// Bytes of the first line of a trace.
const LINE_BYTES: u64 = 64 * 1024;

/// Results of a run; the suite has a tenth as many.
const MOST_RESULTS: usize = 20_000;

/// A run that is over, or was ended.
#[derive(Clone, Debug)]
pub struct RunFolder {
    /// What the page calls it.
    pub(super) name: String,
    /// The folder, as the user named it.
    pub(super) given: PathBuf,
    /// Where it really is.
    pub(super) path: PathBuf,
    /// How it began.
    pub(super) head: RunLine,
    /// The results, in the order in which they came.
    pub(super) cases: Vec<CaseLine>,
    /// How it ended; `None` when it was killed.
    pub(super) end: Option<EndLine>,
}

/// The line `run`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunLine {
    /// Name and version.
    pub(super) suite: String,
    /// Of the cases and clauses.
    pub(super) digest: String,
    /// Those that were tested.
    pub(super) transports: Vec<String>,
    /// The command line.
    pub(super) command: String,
    /// In RFC 3339.
    pub(super) started: String,
}

/// The line `case`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CaseLine {
    /// The id.
    pub case: String,
    /// `stdio` or `ws`.
    pub transport: String,
    /// The class.
    pub verdict: String,
    /// The class with its kind.
    pub detail: String,
    /// How long it took.
    pub(super) seconds: f64,
    /// The clause that was broken, if one was.
    pub clause: Option<String>,
    /// File and line of the step.
    pub(super) place: Option<String>,
    /// What was allowed.
    pub(super) expected: Option<String>,
    /// What came, or why there is nothing to say.
    pub came: Option<String>,
    /// The last events, one a line.
    pub(super) transcript: Vec<String>,
    /// What the peer wrote meanwhile, its end.
    pub(super) stderr: String,
    /// The number of the event that decided.
    pub(super) decided: Option<u64>,
    /// Below the folder.
    pub(super) trace: Option<PathBuf>,
    /// Below the folder.
    pub(super) script: Option<PathBuf>,
}

/// The line `end`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndLine {
    /// Of the run.
    pub(super) exit_code: u8,
    /// How long it took.
    pub(super) seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    Run(RunLine),
    Case(Box<CaseLine>),
    End(EndLine),
}

/// The first event of a trace.
#[derive(Debug, Deserialize)]
struct Begun {
    /// The id.
    case: String,
    /// `stdio` or `ws`.
    transport: String,
}

/// Why a folder cannot be reported.
#[derive(Debug)]
pub enum ReadError {
    /// There is no such folder.
    NoFolder(PathBuf),
    /// Nothing in it says that it is the folder of a run.
    NoRun(PathBuf),
    /// A line of its results is none.
    Line(PathBuf, usize),
    /// It has more results than a run can have.
    TooMany(PathBuf),
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder(path) => write!(f, "{}: no such folder", path.display()),
            Self::NoRun(path) => {
                write!(f, "{}: not the folder of a run: no {RESULTS} that begins with one", path.display())
            }
            Self::Line(path, line) => write!(f, "{}:{line}: not a result", path.display()),
            Self::TooMany(path) => write!(f, "{}: more than {MOST_RESULTS} results", path.display()),
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {}

impl RunFolder {
    /// Reads the results of a run; half a last line, as a killed run leaves it, is no result.
    ///
    /// # Errors
    ///
    /// Why it is not the folder of a run.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let unreadable = |error| ReadError::Unreadable(path.to_owned(), error);
        if !path.is_dir() {
            return Err(ReadError::NoFolder(path.to_owned()));
        }
        let results = path.join(RESULTS);
        let text = match fs::read_to_string(&results) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::NoRun(path.to_owned())),
            Err(error) => return Err(unreadable(error)),
        };
        // The folder may be named by a link, such as `latest`.
        let real = path.canonicalize().map_err(unreadable)?;
        let name =
            real.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let mut lines = text.split_inclusive('\n').map(serde_json::from_str);
        let Some(Ok(Line::Run(head))) = lines.next() else { return Err(ReadError::NoRun(path.to_owned())) };
        let mut folder = Self { name, given: path.to_owned(), path: real, head, cases: Vec::new(), end: None };
        let whole = text.matches('\n').count();
        for (line, number) in lines.zip(2..) {
            match line {
                Ok(Line::Case(_)) if folder.cases.len() == MOST_RESULTS => return Err(ReadError::TooMany(results)),
                Ok(Line::Case(case)) => folder.cases.push(*case),
                Ok(Line::End(end)) => folder.end = Some(end),
                Err(_) if number > whole => {}
                Ok(Line::Run(_)) | Err(_) => return Err(ReadError::Line(results, number)),
            }
        }
        if folder.end.is_none() {
            let left = folder.under_way();
            folder.cases.extend(left);
        }
        Ok(folder)
    }

    /// The results, in the order in which they came.
    pub fn cases(&self) -> &[CaseLine] {
        &self.cases
    }

    /// The cases that have a trace and no result: those under way when the run was ended.
    fn under_way(&self) -> Vec<CaseLine> {
        let known: BTreeSet<(&str, &str)> = self.cases.iter().map(|line| (&*line.case, &*line.transport)).collect();
        let files = fs::read_dir(self.path.join(TRACES)).into_iter().flatten().flatten();
        let mut traces: Vec<PathBuf> = files.map(|file| Path::new(TRACES).join(file.file_name())).collect();
        traces.sort();
        let begun = |trace: PathBuf| {
            let mut line = String::new();
            BufReader::new(File::open(self.file(&trace)?).ok()?).take(LINE_BYTES).read_line(&mut line).ok()?;
            let Begun { case, transport } = serde_json::from_str(&line).ok()?;
            let verdict = Verdict::NotRun.class().to_owned();
            let came = Some("the run was ended while this case was under way".to_owned());
            let under_way = !known.contains(&(&*case, &*transport));
            let detail = verdict.clone();
            under_way.then(|| CaseLine {
                case,
                transport,
                detail,
                verdict,
                came,
                trace: Some(trace),
                ..CaseLine::default()
            })
        };
        traces.into_iter().filter_map(begun).take(MOST_UNDER_WAY).collect()
    }

    /// The same run under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// A file below the folder; `None` for a path that leads out of it.
    pub(super) fn file(&self, relative: &Path) -> Option<PathBuf> {
        let file = self.path.join(relative).canonicalize().ok()?;
        file.starts_with(&self.path).then_some(file)
    }
}
