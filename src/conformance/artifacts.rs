//! What a run leaves in a folder, written as it happens, so that a run that is killed leaves it too.
//!
//! | in `exec-http-runs/20261122-143100-server/` | what |
//! |---|---|
//! | `results.jsonl` | a line for the run, one for each case, one for the end |
//! | `trace/AREA-SLUG.TRANSPORT.jsonl` | everything that happened in a case, an event a line |
//! | `stderr/AREA-SLUG.TRANSPORT.txt` | what the peer wrote to standard error meanwhile |
//! | `failures/AREA-SLUG.TRANSPORT.case` | a script that shows the failure again |
//! | `junit.xml`, `summary.md`, `statement.json`, `report.html` | the run as a whole, at its end |
//!
//! `exec-http-runs/latest` is a link to the newest of these folders, `latest-tap` to the newest one of a tap, which has traces only.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::case::Transport;
use super::expectation::civil;
use super::trace::Event;
use crate::sync::Mutex;

/// Where runs are kept when the user names no other folder.
pub const RUNS_FOLDER: &str = "exec-http-runs";

/// Runs that are kept; the oldest go.
const RUNS_KEPT: usize = 20;

/// Bytes of one trace that are kept; what follows is not, and the trace cannot be judged again then.
const TRACE_FILE_BYTES: usize = 64 * 1024 * 1024;

/// The name of the link to the newest run.
const LATEST: &str = "latest";

/// The name of the link to the newest session of a tap.
const LATEST_TAP: &str = "latest-tap";

/// The results of a run, in its folder.
pub const RESULTS: &str = "results.jsonl";

/// The folder of one run.
#[derive(Debug)]
pub struct Artifacts {
    /// The folder.
    path: PathBuf,
    /// How often each case on each transport has been run.
    runs: Mutex<BTreeMap<String, u32>>,
}

/// The files of one case that is about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFiles {
    /// The folder of the run.
    folder: PathBuf,
    /// The case and the transport.
    case: String,
    /// The name that the files of this run of it have in common.
    stem: String,
}

impl Artifacts {
    /// Makes the folder of a run below `parent`, named after the moment and `what`, and the link `latest` to it. Folders of older
    /// runs there are removed until 20 are left.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create(parent: &Path, what: &str) -> io::Result<Self> {
        Self::create_linked(parent, what, LATEST)
    }

    /// The same for sessions of others, whose link is `latest-tap`: they have traces and no results.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create_for_tap(parent: &Path) -> io::Result<Self> {
        Self::create_linked(parent, "tap", LATEST_TAP)
    }

    fn create_linked(parent: &Path, what: &str, link: &str) -> io::Result<Self> {
        // A folder that was there is the user's, who may keep it in a repository.
        let is_new = !parent.exists();
        fs::create_dir_all(parent)?;
        if is_new {
            fs::write(parent.join(".gitignore"), "*\n")?;
        }
        let stamp = Stamp::now();
        let mut nth = 1_u32;
        // Another run may begin at the same moment.
        let path = loop {
            let name = if nth == 1 { format!("{stamp}-{what}") } else { format!("{stamp}-{what}-{nth}") };
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => nth += 1,
                Err(error) => return Err(error),
            }
        };
        for folder in ["trace", "stderr", "failures"] {
            fs::create_dir_all(path.join(folder))?;
        }
        link_to(parent, link, &path);
        remove_old(parent, &path);
        Ok(Self { path, runs: Mutex::default() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of a case that is about to run. Each further run of a case has files of its own.
    pub fn of_case(&self, case: &str, transport: Transport) -> CaseFiles {
        let case = stem(case, transport);
        let mut stem = case.clone();
        let mut runs = self.runs.lock();
        let count = runs.entry(stem.clone()).or_default();
        *count += 1;
        if *count > 1 {
            stem += &format!(".{count}");
        }
        CaseFiles { folder: self.path.clone(), case, stem }
    }
}

/// `AREA-SLUG.TRANSPORT`.
fn stem(case: &str, transport: Transport) -> String {
    format!("{}.{transport}", case.replace('/', "-"))
}

impl CaseFiles {
    /// Begins the trace; `None` where no file can be made, which must not keep a case from being judged.
    pub fn begin_trace(&self) -> Option<TraceFile> {
        let file = File::create(self.folder.join(self.trace())).ok()?;
        Some(TraceFile { file, left: TRACE_FILE_BYTES })
    }

    /// The trace, below the folder of the run.
    pub fn trace(&self) -> String {
        format!("trace/{}.jsonl", self.stem)
    }

    /// Where standard error goes.
    pub fn stderr(&self) -> PathBuf {
        self.folder.join(format!("stderr/{}.txt", self.stem))
    }

    /// The script of the failure, below the folder of the run; one for all runs of a case.
    pub fn script(&self) -> String {
        format!("failures/{}.case", self.case)
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A trace that is being written. Each event is in the file when the next one happens.
#[derive(Debug)]
pub struct TraceFile {
    /// Not buffered: nobody would flush it for a process that is killed.
    file: File,
    /// Bytes that may still be written.
    left: usize,
}

impl TraceFile {
    /// Writes one event. A disk that is full must not change a verdict, so that errors only end the file.
    pub fn add(&mut self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let left = self.left.checked_sub(line.len()).filter(|_| self.file.write_all(&line).is_ok());
        self.left = left.unwrap_or(0);
    }
}

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Since 1970.
    seconds: u64,
}

impl Stamp {
    /// The current moment.
    pub fn now() -> Self {
        Self { seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) }
    }

    /// Year, month, day, hour, minute, second.
    fn parts(self) -> (u16, u8, u8, u64, u64, u64) {
        const DAY_SECONDS: u64 = 86_400;
        let (year, month, day) = civil(self.seconds / DAY_SECONDS);
        let rest = self.seconds % DAY_SECONDS;
        (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
    }

    /// `2026-11-22T14:31:00Z`.
    pub fn rfc3339(self) -> String {
        let (year, month, day, hour, minute, second) = self.parts();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day, hour, minute, second) = self.parts();
        write!(f, "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }
}

/// Lets a link lead to the run. Where there are no links, there is none.
fn link_to(parent: &Path, link: &str, run: &Path) {
    let link = parent.join(link);
    // Whatever else has that name is not ours.
    if link.is_symlink() || !link.exists() {
        let _ = fs::remove_file(&link);
        if let Some(name) = run.file_name() {
            let _ = std::os::unix::fs::symlink(name, link);
        }
    }
}

/// Removes the oldest runs. A folder that cannot be removed stays.
fn remove_old(parent: &Path, newest: &Path) {
    let is_run = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (stamp, _) = name.split_at_checked(15).unwrap_or_default();
        let of_stamp = |(at, byte): (usize, u8)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() };
        !stamp.is_empty()
            && stamp.bytes().enumerate().all(of_stamp)
            && path.join("trace").is_dir()
            && !path.is_symlink()
    };
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_run).collect();
    runs.sort();
    let old = runs.len().saturating_sub(RUNS_KEPT);
    for run in runs[..old].iter().filter(|run| *run != newest) {
        let _ = fs::remove_dir_all(run);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::What;
    use super::*;

    fn parent(name: &str) -> PathBuf {
        let parent = std::env::temp_dir().join(format!("exec-http-artifacts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&parent);
        parent
    }

    #[test]
    fn every_event_is_in_the_file_at_once_and_every_run_of_a_case_has_its_own() {
        let parent = parent("events");
        let artifacts = Artifacts::create(&parent, "server").expect("the temporary folder can be written");
        let files = artifacts.of_case("stream/gap", Transport::Websocket);
        assert_eq!(files.trace(), "trace/stream-gap.ws.jsonl");
        let mut trace = files.begin_trace().expect("the folder is there");
        trace.add(&Event { number: 1, micros: 7, what: What::Finished });
        let written = fs::read_to_string(artifacts.path().join(files.trace())).expect("a file");
        assert_eq!(written, "{\"number\":1,\"micros\":7,\"event\":\"finished\"}\n");
        let again = artifacts.of_case("stream/gap", Transport::Websocket);
        assert_eq!(again.trace(), "trace/stream-gap.ws.2.jsonl");
        assert_eq!(again.script(), files.script());
        fs::remove_dir_all(&parent).expect("it is ours");
    }

    #[test]
    fn only_the_newest_runs_stay_and_latest_leads_to_the_last() {
        let parent = parent("old");
        for day in 1..=RUNS_KEPT {
            fs::create_dir_all(parent.join(format!("200001{day:02}-000000-server/trace"))).expect("a folder");
        }
        fs::create_dir_all(parent.join("notes/trace")).expect("a folder");
        let newest = Artifacts::create(&parent, "server").expect("the temporary folder can be written");
        let latest = fs::canonicalize(parent.join(LATEST)).expect("a link");
        assert_eq!(latest, fs::canonicalize(newest.path()).expect("a folder"));
        assert!(!parent.join("20000101-000000-server").exists());
        assert!(parent.join("20000102-000000-server").exists() && parent.join("notes").exists());
        fs::remove_dir_all(&parent).expect("it is ours");
    }

    #[test]
    fn a_moment_has_two_forms() {
        let moment = Stamp { seconds: 951_782_399 };
        assert_eq!(
            (moment.to_string().as_str(), moment.rfc3339().as_str()),
            ("20000228-235959", "2000-02-28T23:59:59Z")
        );
    }
}
