//! From a failure of a run to its script: the smallest case that fails the same check on the peer and passes on the reference.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use tokio::time::timeout;

use super::check::Check;
use super::document::Document;
use super::moves::{ranges, with_rounds};
use super::{Budget, End, Oracle, Reduced, TIME, reduce};
use crate::conformance::case::{Case, Half, Transport};
use crate::conformance::judge::FailKind;
use crate::conformance::result::CaseResult;
use crate::conformance::script;
use crate::conformance::trial::{Tested, Trial};
use crate::conformance::verdict::Verdict;

/// How often the result of a reduction has to fail in a row; one that does not gives way to the one before it. A candidate that fails
/// without waiting for a deadline has to do so as often.
const CONFIRMATIONS: usize = 3;

/// Trials of a failure before anything is left out.
const FIRST_TRIALS: u32 = 3;

/// From here on the rounds of an `each` are many: what fewer do not bring about hangs on what is under way at the moment.
const MANY_ROUNDS: u64 = 32;

/// How often a case that depends on time has to fail to count once.
const ALONE_REPETITIONS: usize = 2;

/// Whom the cases of one half are run against.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The peer whose failures are looked into.
    pub peer: Tested,
    /// A correct peer. A candidate that it fails is wrong by itself.
    pub reference: Tested,
}

/// Where a failure is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Against whom.
    pub pair: &'a Pair,
    /// Over which transport.
    pub transport: Transport,
    /// Multiplies all deadlines.
    pub time_scale: f64,
}

/// What is left of a failure.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file, header included.
    pub text: String,
    /// What the header says of how it was made.
    pub remark: String,
    /// It is smaller than the case, or nothing of the case can be left out.
    pub is_shrunk: bool,
}

/// Shrinks one failure. `told` is given a line for each smaller case. Dropping the future kills what was started.
///
/// Never fails: where a case cannot be shrunk, the script is the whole case, and says why.
pub async fn failure(
    case: &Case,
    check: &Check,
    setting: Setting<'_>,
    budget: Budget,
    mut told: impl FnMut(String) + Send,
) -> Script {
    if budget.is_zero() {
        return whole(case, check, setting.transport, "not shrunk: there was no time for it");
    }
    let started = Instant::now();
    // What fails at once is repeated at once: a script that ends before the peer has failed for sure is no good.
    let steady = if check.is_deadline() { 1 } else { CONFIRMATIONS };
    let repetitions = if case.alone { ALONE_REPETITIONS } else { steady };
    let mut bench = Bench { check, setting, repetitions };
    if let Some(verdict) = bench.refusal_of_reference(case).await {
        let why = format!("not shrunk: a correct peer does not pass it either: {verdict}");
        return whole(case, check, setting.transport, &why);
    }
    if !bench.fails_on_peer(case).await && !bench.fails_on_peer(case).await {
        return whole(case, check, setting.transport, "not shrunk: two repetitions did not fail the same check");
    }
    let Reduced { mut steps, mut tries, mut end } =
        reduce(case, budget, &mut Telling { bench: &bench, told: &mut told }).await;
    let unsteady = bench.leave_unsteady(&mut steps).await;
    let mut unsettled = 0;
    if unsteady > 0
        && let Some(steady) = steps.last()
    {
        // The peer has a race: from here on a smaller case counts only if it fails each time.
        bench.repetitions = bench.repetitions.max(CONFIRMATIONS);
        let rest =
            Budget { tries: budget.tries.saturating_sub(tries), time: budget.time.saturating_sub(started.elapsed()) };
        let again = reduce(steady, rest, &mut Telling { bench: &bench, told: &mut told }).await;
        (steps, end) = (again.steps, again.end);
        tries += again.tries;
        // Of many candidates that fail sometimes, some fail several times in a row.
        unsettled = bench.leave_unsteady(&mut steps).await;
    }
    let end = match end {
        End::Minimal if unsettled > 0 => "not minimal for sure".to_owned(),
        End::Minimal => "1-minimal: nothing of it can be left out".to_owned(),
        End::Tries(_) => format!("stopped after {} tries: it may not be minimal", budget.tries),
        End::Time(_) => format!("stopped after {} s: it may not be minimal", budget.time.as_secs()),
    };
    let race = match unsteady + unsettled {
        0 => String::new(),
        count => format!("; {count} smaller ones failed only sometimes"),
    };
    let smallest = steps.last().unwrap_or(case);
    let mut remark = format!("shrunk in {tries} tries; {end}{race}");
    let mut text = write(case, smallest, check, setting.transport, &remark);
    if check.is_deadline()
        && let Some(surer) = with_margin(smallest, case)
    {
        bench.repetitions = CONFIRMATIONS;
        if bench.refusal_of_reference(&surer).await.is_none() && bench.fails_on_peer(&surer).await {
            remark += "; then a quarter more rounds, as what only many bring about depends on the moment";
            text = write(case, &surer, check, setting.transport, &remark);
        }
    }
    Script { text, remark, is_shrunk: true }
}

/// The case with a quarter more rounds of each long `each`, but no more than the original has; `None` where that changes nothing.
fn with_margin(smallest: &Case, original: &Case) -> Option<Case> {
    let most = |document: &Document| ranges(document).into_iter().map(|(from, to)| to - from + 1).max();
    let limit = most(&Document::of(original))?;
    let mut document = Document::of(smallest);
    for range in ranges(&document) {
        let rounds = range.1 - range.0 + 1;
        let more = (rounds + rounds.div_ceil(4)).min(limit);
        if rounds >= MANY_ROUNDS && more > rounds {
            document = with_rounds(&document, range, more, true);
        }
    }
    let text = document.text();
    (text != Document::of(smallest).text()).then(|| script::read(&smallest.file, &text).ok()).flatten()
}

/// The whole case as a script.
fn whole(case: &Case, check: &Check, transport: Transport, remark: &str) -> Script {
    Script { text: write(case, case, check, transport, remark), remark: remark.to_owned(), is_shrunk: false }
}

fn write(case: &Case, smallest: &Case, check: &Check, transport: Transport, remark: &str) -> String {
    let header = [format!("from {} on {transport}", case.id), format!("fails: {check}"), remark.to_owned()];
    script::write(&header, &smallest.text)
}

/// Asks real peers.
struct Bench<'a> {
    /// What has to fail.
    check: &'a Check,
    /// Against whom.
    setting: Setting<'a>,
    /// How often it has to.
    repetitions: usize,
}

impl Bench<'_> {
    fn trial(&self) -> Trial {
        let Setting { transport, time_scale, .. } = self.setting;
        Trial { transport, time_scale, judge_end: self.check.verdict() == Verdict::Fail(FailKind::Leak) }
    }

    /// What a correct peer makes of it, unless it passes. Its warnings matter only where the failure is one.
    async fn refusal_of_reference(&self, case: &Case) -> Option<Verdict> {
        let (result, _) = self.trial().run(&self.setting.pair.reference, case, drop).await;
        match result.verdict {
            Verdict::Pass => None,
            Verdict::Warn if self.check.verdict() != Verdict::Warn => None,
            other => Some(other),
        }
    }

    async fn fails_on_peer(&self, case: &Case) -> bool {
        for _ in 0..self.repetitions {
            let (result, _) = self.trial().run(&self.setting.pair.peer, case, drop).await;
            if Check::of(case, &result).as_ref() != Some(self.check) {
                return false;
            }
        }
        true
    }

    /// Leaves out the last cases as long as they do not fail each time; returns how many.
    async fn leave_unsteady(&self, steps: &mut Vec<Case>) -> usize {
        let before = steps.len();
        while steps.len() > 1
            && let Some(last) = steps.last()
            && !self.confirms(last).await
        {
            steps.pop();
        }
        before - steps.len()
    }

    async fn confirms(&self, case: &Case) -> bool {
        for _ in 0..CONFIRMATIONS {
            if !self.fails_on_peer(case).await {
                return false;
            }
        }
        true
    }
}

/// The oracle that real peers are.
struct Telling<'a, F> {
    /// Asks them.
    bench: &'a Bench<'a>,
    /// Is given a line for each smaller case.
    told: F,
}

impl<F: FnMut(String) + Send> Oracle for Telling<'_, F> {
    /// The correct peer is asked first: it is quick where the candidate is good.
    async fn fails(&mut self, case: &Case) -> bool {
        self.bench.refusal_of_reference(case).await.is_none() && self.bench.fails_on_peer(case).await
    }

    fn found(&mut self, case: &Case, tries: usize) {
        let lines = case.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        (self.told)(format!("try {tries}: {lines} lines, {} steps", case.steps.len()));
    }
}

/// All failures of a run, for whoever runs the suite.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// For failures of executors.
    pub executor: Option<Pair>,
    /// For failures of clients.
    pub client: Option<Pair>,
    /// Multiplies all deadlines.
    pub time_scale: f64,
    /// Failures that are shrunk at one time; those that depend on time are shrunk one behind the other.
    pub parallel: usize,
    /// How long all of it may take, about; zero writes whole cases.
    pub time: Duration,
}

impl Workshop {
    /// Writes a script for each of these results that is a failure into the folder, which has to exist; see [`file_name`].
    /// Returns how many were written.
    ///
    /// # Errors
    ///
    /// The first file that cannot be written.
    pub async fn write(&self, results: &[(&Case, &CaseResult)], folder: &Path) -> io::Result<usize> {
        let mut failed: Vec<(&Case, &CaseResult, Check)> =
            results.iter().filter_map(|(case, result)| Some((*case, *result, Check::of(case, result)?))).collect();
        // What is quick leaves its time to what is slow.
        failed.sort_by_key(|(_, result, _)| result.duration);
        let end = Instant::now() + self.time;
        let left = AtomicUsize::new(failed.len());
        let (alone, beside): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(case, ..)| case.alone);
        let mut written = 0;
        for (failed, at_once) in [(beside, self.parallel.max(1)), (alone, 1)] {
            let shrink = failed.iter().map(|(case, result, check)| {
                let left = &left;
                async move {
                    let waiting = left.fetch_sub(1, Ordering::Relaxed);
                    let share = end.saturating_duration_since(Instant::now()).mul_f64(at_once as f64 / waiting as f64);
                    let script = self.script(case, result, check, share, end).await;
                    std::fs::write(folder.join(file_name(case, result.transport)), script)
                }
            });
            let mut running = stream::iter(shrink).buffer_unordered(at_once);
            while let Some(result) = running.next().await {
                result?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// The script of one failure, within its share of the time, and never behind the end of all of it.
    async fn script(&self, case: &Case, result: &CaseResult, check: &Check, share: Duration, end: Instant) -> String {
        let transport = result.transport;
        let pair = match case.half() {
            Half::Executor => &self.executor,
            Half::Client => &self.client,
        };
        let Some(pair) = pair else {
            return whole(case, check, transport, "not shrunk: nobody to repeat it with").text;
        };
        let rest = end.saturating_duration_since(Instant::now());
        let setting = Setting { pair, transport, time_scale: self.time_scale };
        // So short that not even the first trials fit, it is not begun.
        let time =
            if result.duration * FIRST_TRIALS > share.min(rest) { Duration::ZERO } else { share.min(rest).min(TIME) };
        match timeout(rest, failure(case, check, setting, Budget { time, ..Budget::default() }, drop)).await {
            Ok(script) => script.text,
            Err(_) => whole(case, check, transport, "not shrunk: there was no time for all of it").text,
        }
    }
}

/// `AREA-SLUG.TRANSPORT.case`.
pub fn file_name(case: &Case, transport: Transport) -> PathBuf {
    format!("{}.{transport}.case", case.id.replace('/', "-")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(rounds: u64) -> Case {
        let text = format!(
            "# Many.\ncase order/many\nclauses ORDER-11\n\neach 1..{rounds}\n  -> $i call GET /a\n  <- $i answered\n"
        );
        script::read("many.case", &text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn many_rounds_get_a_margin_within_the_original() {
        let rounds = |smallest, original| {
            let text = with_margin(&case(smallest), &case(original))?.text;
            text.lines().find_map(|line| line.strip_prefix("each 1..").and_then(|rounds| rounds.parse::<u64>().ok()))
        };
        assert_eq!(rounds(200, 300), Some(250));
        assert_eq!(rounds(250, 300), Some(300));
        assert_eq!(rounds(300, 300), None);
        assert_eq!(rounds(MANY_ROUNDS - 1, 300), None);
    }
}
