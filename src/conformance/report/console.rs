//! The report for people: a progress bar on a terminal, one line per area, failures in full, counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::result::CaseResult;
use super::super::transcript::printable;
use super::super::verdict::{Bearing, Tally, Verdict};
use super::Summary;
use super::card::card;
use super::paint::Paint;
use super::repeat::Repeat;

/// Cases that are named as the slowest at most.
const SLOWEST_SHOWN: usize = 5;

/// From here on a case is slow.
const SLOW: Duration = Duration::from_secs(1);

/// Characters of what came that a line of progress has.
const LINE_CHARACTERS: usize = 100;

/// Writes the report to standard output and progress to standard error.
#[derive(Debug)]
pub struct Console {
    /// Hidden where standard error is no terminal.
    progress: ProgressBar,
    /// Colours on standard output.
    paint: Paint,
    /// Colours on standard error.
    progress_paint: Paint,
}

impl Console {
    /// Looks at the two streams and at `NO_COLOR`.
    pub fn new() -> Self {
        Self { progress: bar(), paint: Paint::of(&io::stdout()), progress_paint: Paint::of(&io::stderr()) }
    }

    /// The run begins.
    pub fn begin(&self, cases: usize) {
        self.progress.set_length(cases as u64);
    }

    /// A case is over.
    pub fn add(&self, result: &CaseResult) {
        self.progress.inc(1);
        if matches!(result.verdict.bearing(), Bearing::Violation | Bearing::Incomplete) {
            let line = format!("{} [{}] {}", result.case, result.transport, result.verdict);
            let came = result.came().lines().next().unwrap_or_default();
            let line = self.progress_paint.verdict(&line, result.verdict.bearing());
            self.progress.println(format!("{line}: {}", shortened(came)));
        }
    }

    /// The run is over.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub fn end(&self, summary: &Summary, repeat: &Repeat, folder: Option<&Path>) -> io::Result<()> {
        self.progress.finish_and_clear();
        let mut out = io::stdout().lock();
        out.write_all(text(summary, repeat, folder, self.paint).as_bytes())?;
        out.flush()
    }

    /// What the run does behind its cases.
    pub fn note(&self, what: &str) {
        self.progress.set_message(what.to_owned());
    }
}

/// A bar on standard error, hidden where that is no terminal.
pub fn bar() -> ProgressBar {
    let draw = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(0), draw).with_style(style)
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

/// The whole report.
fn text(summary: &Summary, repeat: &Repeat, folder: Option<&Path>, paint: Paint) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    if let Some((count, cause)) = summary.headline() {
        let line = format!("{count} of {} results have one cause: {}", summary.results.len(), printable(cause));
        let _ = writeln!(text, "{}\n", paint.verdict(&line, Bearing::Violation));
    }
    for (area, (tally, time)) in areas(summary) {
        if tally.classes().all(|(class, _)| class == Verdict::Skipped.class()) {
            continue;
        }
        let _ = writeln!(text, "{area:<12} {:>8.2} s  {}", time.as_secs_f64(), counts(&tally, paint));
    }
    for result in summary.failures() {
        let _ = write!(text, "\n{}", card(result, repeat, paint));
    }
    let _ = writeln!(text);
    for ((transport, reason), cases) in not_applicable(summary) {
        let _ = writeln!(text, "not applicable on {transport}, {}: {}", printable(reason), cases.join(" "));
    }
    for result in summary.results.iter().filter(|result| result.verdict == Verdict::Xfail) {
        let came = printable(result.came().lines().next().unwrap_or_default());
        let _ = writeln!(text, "failed as expected: {} [{}]: {came}", result.case, result.transport);
    }
    if summary.results.iter().any(|result| result.verdict == Verdict::Skipped) {
        let _ = writeln!(text, "partial run: cases were left out");
    }
    let slowest = slowest(summary);
    if !slowest.is_empty() {
        let _ = writeln!(text, "slowest: {}", slowest.join(", "));
    }
    if let Some(folder) = folder {
        let _ = writeln!(text, "report: {}", folder.join("report.html").display());
    }
    let _ = writeln!(text, "{} in {:.1} s", counts(&summary.tally, paint), summary.duration.as_secs_f64());
    let _ = writeln!(text, "{}", summary.last_line());
    text
}

/// The cases that do not apply, by transport and reason.
fn not_applicable(summary: &Summary) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut cases: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for result in summary.results.iter().filter(|result| result.verdict == Verdict::NotApplicable) {
        cases.entry((result.transport.as_str(), result.came())).or_default().push(&result.case);
    }
    cases
}

/// The cases that took longest.
fn slowest(summary: &Summary) -> Vec<String> {
    let mut slow: Vec<&CaseResult> = summary.results.iter().filter(|result| result.duration >= SLOW).collect();
    slow.sort_by_key(|result| std::cmp::Reverse(result.duration));
    let shown = |result: &&CaseResult| format!("{} {:.1} s", result.case, result.duration.as_secs_f64());
    slow.iter().take(SLOWEST_SHOWN).map(shown).collect()
}

/// The beginning of a line.
fn shortened(line: &str) -> String {
    let line = printable(line);
    match line.char_indices().nth(LINE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The counts of each area, and the time of its cases added up.
pub(super) fn areas(summary: &Summary) -> BTreeMap<&str, (Tally, Duration)> {
    let mut areas: BTreeMap<&str, (Tally, Duration)> = BTreeMap::new();
    for result in &summary.results {
        let (tally, time) = areas.entry(result.area()).or_default();
        tally.add(result.verdict);
        *time += result.duration;
    }
    areas
}

/// `12 pass, 1 fail`.
fn counts(tally: &Tally, paint: Paint) -> String {
    let counts = tally.classes().map(|(class, count)| {
        let verdict = Verdict::CLASSES.iter().find(|verdict| verdict.class() == class);
        let bearing = verdict.map_or(Bearing::Incomplete, |verdict| verdict.bearing());
        paint.verdict(&format!("{count} {class}"), bearing)
    });
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::super::judge::FailKind;
    use super::super::tests::{result, summary};
    use super::*;

    const FAIL: Verdict = Verdict::Fail(FailKind::Assertion);

    #[test]
    fn the_report_ends_with_the_counts_alone_on_a_line() {
        let results = vec![
            result("stream/a", Verdict::Pass, ""),
            result("stream/b", FAIL, "seq 2"),
            result("id/a", Verdict::NotApplicable, "needs resume"),
            result("id/b", Verdict::Skipped, "--skip"),
            result("close/a", Verdict::Skipped, "--skip"),
        ];
        let text = text(&summary(results), &Repeat::default(), Some(Path::new("runs/a")), Paint::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id               0.00 s  1 not-applicable, 1 skipped");
        assert_eq!(lines[1], "stream           0.00 s  1 pass, 1 fail");
        assert_eq!(lines[3], "stream/b [stdio] fail(assertion)");
        assert!(!text.contains("close"), "an area of which nothing ran says nothing");
        let end = &lines[lines.len() - 5..];
        assert_eq!(
            end,
            [
                "not applicable on stdio, needs resume: id/a",
                "partial run: cases were left out",
                "report: runs/a/report.html",
                "1 pass, 1 fail, 1 not-applicable, 2 skipped in 1.5 s",
                "1 passed, 1 failed, 3 skipped",
            ]
        );
    }

    #[test]
    fn the_last_line_has_no_colours() {
        let painted = text(&summary(vec![result("a/b", FAIL, "x")]), &Repeat::default(), None, Paint::COLOURS);
        assert!(painted.contains("\x1b[31m"));
        assert!(painted.ends_with("\n0 passed, 1 failed, 0 skipped\n"));
    }
}
