//! The report for people: a progress bar on a terminal, one line per area, failures in full, counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::result::CaseResult;
use super::super::verdict::{Bearing, Tally, Verdict};
use super::Summary;
use super::card::card;

/// Writes the report to standard output and progress to standard error.
#[derive(Debug)]
pub struct Console {
    /// Hidden where standard error is no terminal.
    progress: ProgressBar,
    /// Whether standard output shows colours.
    paint: Paint,
}

impl Console {
    /// Looks at the two streams and at `NO_COLOR`.
    pub fn new() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { progress: bar(), paint: Paint(io::stdout().is_terminal() && !no_color) }
    }

    /// The run begins.
    pub fn begin(&self, cases: usize) {
        self.progress.set_length(cases as u64);
    }

    /// A case is over.
    pub fn add(&self, result: &CaseResult) {
        self.progress.inc(1);
        if matches!(result.verdict.bearing(), Bearing::Violation | Bearing::Incomplete) {
            self.progress.set_message(format!("{} {}", result.case, result.verdict));
        }
    }

    /// The run is over.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub fn end(&self, summary: &Summary, replay: &str) -> io::Result<()> {
        self.progress.finish_and_clear();
        let mut out = io::stdout().lock();
        out.write_all(text(summary, replay, self.paint).as_bytes())?;
        out.flush()
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

/// Whether text is coloured.
#[derive(Clone, Copy, Debug)]
struct Paint(bool);

impl Paint {
    fn verdict(self, text: &str, bearing: Bearing) -> String {
        let colour = match bearing {
            Bearing::Good => 32,
            Bearing::Violation | Bearing::Incomplete => 31,
            Bearing::Advice => 33,
            Bearing::Neutral => 90,
        };
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The whole report.
fn text(summary: &Summary, replay: &str, paint: Paint) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    if let Some((count, cause)) = summary.headline() {
        let line = format!("{count} of {} results have one cause: {cause}", summary.results.len());
        let _ = writeln!(text, "{}\n", paint.verdict(&line, Bearing::Violation));
    }
    for (area, (tally, time)) in areas(summary) {
        let _ = writeln!(text, "{area:<12} {:>8.2} s  {}", time.as_secs_f64(), counts(&tally, paint));
    }
    for result in summary.failures() {
        let card = card(result, replay);
        let (head, rest) = card.split_once('\n').unwrap_or((&card, ""));
        let _ = write!(text, "\n{}\n{rest}", paint.verdict(head, result.verdict.bearing()));
    }
    let _ = writeln!(text);
    for (verdict, heading) in [(Verdict::NotApplicable, "not applicable"), (Verdict::Xfail, "failed as expected")] {
        let of_class: Vec<_> = summary.results.iter().filter(|result| result.verdict == verdict).collect();
        for result in &of_class {
            let came = result.came().lines().next().unwrap_or_default();
            let _ = writeln!(text, "{heading}: {} [{}]: {came}", result.case, result.transport);
        }
    }
    if summary.results.iter().any(|result| result.verdict == Verdict::Skipped) {
        let _ = writeln!(text, "partial run: cases were left out");
    }
    let _ = writeln!(text, "{} in {:.1} s", counts(&summary.tally, paint), summary.duration.as_secs_f64());
    let _ = writeln!(text, "{}", summary.last_line());
    text
}

/// The counts of each area, and the time of its cases added up.
fn areas(summary: &Summary) -> BTreeMap<&str, (Tally, Duration)> {
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
        ];
        let text = text(&summary(results), "exec-http conform server", Paint(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id               0.00 s  1 not-applicable, 1 skipped");
        assert_eq!(lines[1], "stream           0.00 s  1 pass, 1 fail");
        assert_eq!(lines[3], "stream/b [stdio] fail(assertion)");
        let end = &lines[lines.len() - 4..];
        assert_eq!(
            end,
            [
                "not applicable: id/a [stdio]: needs resume",
                "partial run: cases were left out",
                "1 pass, 1 fail, 1 not-applicable, 1 skipped in 1.5 s",
                "1 passed, 1 failed, 2 skipped",
            ]
        );
    }

    #[test]
    fn the_last_line_has_no_colours() {
        let painted = text(&summary(vec![result("a/b", FAIL, "x")]), "", Paint(true));
        assert!(painted.contains("\x1b[31m"));
        assert!(painted.ends_with("\n0 passed, 1 failed, 0 skipped\n"));
    }
}
