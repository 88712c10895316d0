//! The report for programs: one JSON object a line, written as it happens.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::artifacts::Stamp;
use super::super::result::CaseResult;
use super::super::suites;
use super::Summary;
use super::repeat::Repeat;

/// What ran.
pub const SUITE: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// A file of JSON lines. Each line is complete when the case is over, so that an interrupted run leaves what it found.
pub struct JsonLines {
    out: Box<dyn Write + Send>,
    /// How a reader repeats a result.
    repeat: Repeat,
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").finish_non_exhaustive()
    }
}

impl JsonLines {
    /// Writes the line `run`; `command` is the command line of the run.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn begin(
        out: impl Write + Send + 'static,
        transports: &[&str],
        command: &str,
        repeat: Repeat,
    ) -> io::Result<Self> {
        let mut lines = Self { out: Box::new(out), repeat };
        lines.write(&json!({
            "event": "run",
            "suite": SUITE,
            "digest": suites::digest(),
            "transports": transports,
            "command": command,
            "started": Stamp::now().rfc3339(),
        }))?;
        Ok(lines)
    }

    /// Writes the line `case`.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn add(&mut self, result: &CaseResult) -> io::Result<()> {
        let mut line = json!({
            "event": "case",
            "case": result.case,
            "transport": result.transport.as_str(),
            "verdict": result.verdict.class(),
            "detail": result.verdict.to_string(),
            "seconds": result.duration.as_secs_f64(),
        });
        if let Some(reason) = &result.reason {
            let members = [
                ("clause", json!(reason.clause)),
                ("place", json!(reason.place)),
                ("expected", json!(reason.expected)),
                ("came", json!(reason.came)),
                ("sent", json!(result.sent)),
                ("decided", json!(result.decided)),
                ("transcript", json!(result.transcript)),
                ("stderr", json!(result.stderr)),
            ];
            for (name, value) in members {
                line[name] = value;
            }
        }
        if let Some(files) = &result.files {
            line["trace"] = files.trace().into();
            if files.folder().join(files.script()).exists() {
                line["repeat"] = self.repeat.replay(result).into();
                line["script"] = files.script().into();
            }
        }
        self.write(&line)
    }

    /// Writes the line `end`.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn end(&mut self, summary: &Summary) -> io::Result<()> {
        let classes: Map<String, Value> =
            summary.tally.classes().map(|(class, count)| (class.to_owned(), count.into())).collect();
        self.write(&json!({
            "event": "end",
            "classes": classes,
            "exitCode": summary.outcome().exit_code(),
            "seconds": summary.duration.as_secs_f64(),
        }))
    }

    fn write(&mut self, line: &Value) -> io::Result<()> {
        self.out.write_all(format!("{line}\n").as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::super::verdict::Verdict;
    use super::super::tests::{result, summary};
    use super::*;
    use crate::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_result_is_a_line_of_its_own() {
        let memory = Memory::default();
        let failure = result("stream/a", Verdict::Fail(FailKind::Crash), "a \"quote\"\nand a line");
        let mut lines = JsonLines::begin(memory.clone(), &["stdio"], "exec-http", Repeat::default())
            .expect("memory takes everything");
        lines.add(&failure).expect("memory takes everything");
        lines.end(&summary(vec![failure])).expect("memory takes everything");
        let text = String::from_utf8(memory.0.lock().clone()).expect("JSON is UTF-8");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("each is JSON")).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["event"], "run");
        assert_eq!(lines[1]["verdict"], "fail");
        assert_eq!(lines[1]["detail"], "fail(crash)");
        assert_eq!(lines[1]["clause"], "STREAM-1");
        assert_eq!(lines[1]["came"], "a \"quote\"\nand a line");
        assert_eq!(lines[2], json!({"event": "end", "classes": {"fail": 1}, "exitCode": 1, "seconds": 1.5}));
    }
}
