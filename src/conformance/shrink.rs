//! Makes a failing case smaller while it fails the same check.
//!
//! | file | concept |
//! |---|---|
//! | [`document`] | a case as lines and blocks |
//! | `moves` | what can be made smaller in one place |
//! | [`check`] | what "the same check" means |
//! | [`failure`](mod@failure) | the whole way from a failure to a script |
//!
//! [`reduce`] knows no peer: it asks an [`Oracle`] whether a smaller case still fails. It leaves out lines (`ddmin`: halves first,
//! then quarters, then single lines), shortens ranges and sizes by bisection, and simplifies what is left line by line, until
//! nothing of that is possible any more or a bound of the [`Budget`] is met.

pub mod check;
pub mod document;
pub mod failure;
mod moves;

use std::collections::HashSet;
use std::future::Future;
use std::time::{Duration, Instant};

use super::case::parse::parse_cases;
use super::case::template::Names;
use super::case::{Action, Case, Expect};
use document::{Document, Part};

/// Candidates that are tried for one failure.
pub const TRIES: usize = 1_000;

/// How long one failure may take, unless the caller says otherwise.
pub const TIME: Duration = Duration::from_secs(120);

/// What a reduction may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Candidates that are run at most; 0 leaves the case as it is.
    pub tries: usize,
    /// How long it may take; a candidate that runs when this is over is run to its end. Zero leaves the case as it is.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tries: TRIES, time: TIME }
    }
}

impl Budget {
    /// Nothing may be tried.
    pub fn is_zero(&self) -> bool {
        self.tries == 0 || self.time.is_zero()
    }
}

/// Knows whether a case fails.
pub trait Oracle: Send {
    /// Whether the case fails the same check as the one that is reduced, and for no trivial reason.
    fn fails(&mut self, case: &Case) -> impl Future<Output = bool> + Send;

    /// Is told each smaller case.
    fn found(&mut self, case: &Case, tries: usize);
}

/// What became of a reduction.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// The cases on the way, each smaller than the one before; the first is the original, the last the result.
    pub steps: Vec<Case>,
    /// Candidates that were run.
    pub tries: usize,
    /// Why it ended.
    pub end: End,
}

/// Why a reduction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No line can be left out, and no move makes any line smaller.
    Minimal,
    /// That many candidates were run.
    Tries(usize),
    /// That time is over.
    Time(Duration),
}

/// Makes a failing case smaller. The case itself is not asked about.
pub async fn reduce(case: &Case, budget: Budget, oracle: &mut impl Oracle) -> Reduced {
    let best = Document::of(case);
    let mut reducer = Reducer {
        file: &case.file,
        seen: HashSet::from([best.text()]),
        weight: Weight::of(case, &best),
        best,
        steps: vec![case.clone()],
        tries: 0,
        budget,
        end: Instant::now() + budget.time,
        oracle,
    };
    let end = match reducer.run().await {
        Ok(()) => End::Minimal,
        Err(end) => end,
    };
    Reduced { steps: reducer.steps, tries: reducer.tries, end }
}

/// A reduction under way.
struct Reducer<'a, O> {
    /// The file that the case stands in.
    file: &'a str,
    /// The smallest document that fails.
    best: Document,
    /// Its weight.
    weight: Weight,
    /// It, and all that were the smallest before.
    steps: Vec<Case>,
    /// The texts that need not be asked about again.
    seen: HashSet<String>,
    /// Candidates that were run.
    tries: usize,
    /// The bounds.
    budget: Budget,
    /// When the time is over.
    end: Instant,
    /// Whom to ask.
    oracle: &'a mut O,
}

/// How large a case is: what is done, then what is read, then what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    /// Steps and actions of origins, all rounds counted.
    done: usize,
    /// Lines.
    lines: usize,
    /// Bytes of the text.
    bytes: usize,
    /// The sum of all numbers in it.
    numbers: u64,
}

impl Weight {
    fn of(case: &Case, document: &Document) -> Self {
        let origins = case.origins.iter().flatten();
        let text: String = document.lines().map(|line| format!("{line}\n")).collect();
        let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
        Self {
            done: case.steps.len() + origins.map(|exchange| 1 + exchange.actions.len()).sum::<usize>(),
            lines: document.lines().count(),
            bytes: text.len(),
            numbers: numbers.fold(0, u64::saturating_add),
        }
    }
}

impl<O: Oracle> Reducer<'_, O> {
    /// Goes on until nothing helps any more.
    async fn run(&mut self) -> Result<(), End> {
        if self.budget.is_zero() {
            return Err(if self.budget.tries == 0 { End::Tries(0) } else { End::Time(Duration::ZERO) });
        }
        // What costs time first: many rounds, and long deadlines, which each candidate that fails by waiting takes.
        self.halve_ranges().await?;
        self.leave_out_units(|part| part == Part::Head).await?;
        self.offer_all(moves::one_clause).await?;
        loop {
            let before = self.steps.len();
            self.leave_out_units(|part| part != Part::Fixed).await?;
            self.leave_out_lines_of_blocks().await?;
            self.shorten_ranges().await?;
            self.offer_all(moves::merged_chunks).await?;
            self.shorten_numbers().await?;
            self.offer_all(moves::simpler_lines).await?;
            self.offer_all(moves::shorter_texts).await?;
            self.offer_all(moves::shorter_names).await?;
            if self.steps.len() == before {
                return Ok(());
            }
        }
    }

    /// Asks about a candidate, and keeps it if it is smaller and still fails.
    async fn offer(&mut self, mut candidate: Document) -> Result<bool, End> {
        self.best.keep_lengths(&mut candidate);
        let text = candidate.text();
        if !self.seen.insert(text.clone()) {
            return Ok(false);
        }
        let Ok([case]) = parse_cases(self.file, &text).map(<[Case; 1]>::try_from).unwrap_or(Err(Vec::new())) else {
            return Ok(false);
        };
        let weight = Weight::of(&case, &candidate);
        if weight >= self.weight || !is_plausible(&case) {
            return Ok(false);
        }
        if self.tries >= self.budget.tries {
            return Err(End::Tries(self.budget.tries));
        }
        if Instant::now() >= self.end {
            return Err(End::Time(self.budget.time));
        }
        self.tries += 1;
        if !self.oracle.fails(&case).await {
            return Ok(false);
        }
        self.oracle.found(&case, self.tries);
        (self.best, self.weight) = (candidate, weight);
        self.steps.push(case);
        Ok(true)
    }

    /// Offers what a move makes of the best document, again and again until nothing is taken.
    async fn offer_all(&mut self, candidates: fn(&Document) -> Vec<Document>) -> Result<(), End> {
        'again: loop {
            for candidate in candidates(&self.best) {
                if self.offer(candidate).await? {
                    continue 'again;
                }
            }
            return Ok(());
        }
    }

    /// Leaves out units, from the end: half of them at once, then a quarter, at last one by one.
    async fn leave_out_units(&mut self, may_go: impl Fn(Part) -> bool) -> Result<(), End> {
        let mut size = self.best.units.len();
        while size > 0 {
            let mut end = self.best.units.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                let mut index = 0;
                candidate.units.retain(|unit| {
                    let goes = (start..end).contains(&index) && may_go(unit.part());
                    index += 1;
                    !goes
                });
                self.offer(candidate).await?;
                end = start.min(self.best.units.len());
            }
            size /= 2;
        }
        Ok(())
    }

    /// The same for the lines of each block, and blocks of one round without their `each`.
    async fn leave_out_lines_of_blocks(&mut self) -> Result<(), End> {
        for index in (0..self.best.units.len()).rev() {
            let mut size = self.best.units[index].children.len();
            while size > 0 {
                let mut end = self.best.units[index].children.len();
                while end > 0 {
                    let start = end.saturating_sub(size);
                    let mut candidate = self.best.clone();
                    candidate.units[index].children.drain(start..end);
                    self.offer(candidate).await?;
                    end = start.min(self.best.units[index].children.len());
                }
                size /= 2;
            }
            if let Some(candidate) = self.best.unrolled(index) {
                self.offer(candidate).await?;
            }
        }
        Ok(())
    }

    /// Half as many rounds, as often as it goes. What is left over makes it possible to leave out other lines.
    async fn halve_ranges(&mut self) -> Result<(), End> {
        for (from, to) in moves::ranges(&self.best) {
            let (start, mut rounds) = (self.best.clone(), to - from + 1);
            while rounds > 1 && self.offer(moves::with_rounds(&start, (from, to), rounds / 2, true)).await? {
                rounds /= 2;
            }
        }
        Ok(())
    }

    /// Fewer rounds: first of all blocks with the same range together, then of each alone, at its end and at its beginning.
    async fn shorten_ranges(&mut self) -> Result<(), End> {
        for (from, to) in moves::ranges(&self.best) {
            self.bisect(to - from + 1, 1, |best, rounds| moves::with_rounds(best, (from, to), rounds, true)).await?;
        }
        for (from, to) in moves::ranges(&self.best) {
            self.bisect(to - from + 1, 1, |best, rounds| moves::with_rounds(best, (from, to), rounds, false)).await?;
        }
        for index in (0..self.best.units.len()).rev() {
            let Some((from, to)) = self.best.units.get(index).and_then(document::Unit::rounds) else { continue };
            let set = |best: &Document, from: u64, to: u64| {
                let mut candidate = best.clone();
                candidate.units[index].line = format!("each {from}..{to}");
                candidate
            };
            self.bisect(to - from + 1, 1, |best, rounds| set(best, from, from + rounds - 1)).await?;
            let Some((from, to)) = self.best.units[index].rounds() else { continue };
            self.bisect(to - from + 1, 1, |best, rounds| set(best, to + 1 - rounds, to)).await?;
            if let Some(candidate) = self.best.unrolled(index) {
                self.offer(candidate).await?;
            }
        }
        Ok(())
    }

    /// Smaller sizes and counts, each wherever it stands.
    async fn shorten_numbers(&mut self) -> Result<(), End> {
        for number in moves::numbers(&self.best) {
            self.bisect(number, 1, |best, smaller| moves::with_number(best, number, smaller)).await?;
        }
        Ok(())
    }

    /// Finds the smallest number from `least` to below `most` that still fails, provided that all above it do, too.
    async fn bisect(&mut self, most: u64, least: u64, make: impl Fn(&Document, u64) -> Document) -> Result<(), End> {
        let start = self.best.clone();
        let (mut low, mut high) = (least, most);
        // The smallest of all is often good enough.
        if high > low && self.offer(make(&start, low)).await? {
            return Ok(());
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.offer(make(&start, middle)).await? { high = middle } else { low = middle }
        }
        Ok(())
    }
}

/// A case that waits for an answer or a stream which no step has asked for fails everywhere, after a long wait.
fn is_plausible(case: &Case) -> bool {
    let (mut ids, mut names, mut raw) = (HashSet::new(), HashSet::new(), String::new());
    let mut pinged = false;
    for step in &case.steps {
        match &step.action {
            Action::Send(message) => {
                ids.insert(message["id"].to_string());
                names.extend(message["params"]["requestId"].as_str().map(str::to_owned));
            }
            Action::SendBytes(..) => raw += &step.source,
            Action::Ping(_) => pinged = true,
            Action::Expect(Expect::Answer(id, _)) => {
                let id = id.to_string();
                // In raw bytes the quotes of an id may be escaped.
                if !ids.contains(&id) && !raw.contains(id.trim_matches('"')) {
                    return false;
                }
            }
            Action::Expect(Expect::Part(name, _) | Expect::Whole(name, ..) | Expect::Failed(name, ..)) => {
                let name = name.resolve_text(&Names::new());
                if name.is_ok_and(|name| !names.contains(&name) && !raw.contains(&name)) {
                    return false;
                }
            }
            Action::Expect(Expect::Pong(_)) if !pinged => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
