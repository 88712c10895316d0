//! Plays orders to a peer, several at a time, groups those that fail by what they show, and shrinks them.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Model, case_of, id, orders};
use crate::conformance::case::{Case, Revision};
use crate::conformance::clause;
use crate::conformance::result::{CaseResult, Reason};
use crate::conformance::run::AnyLab;
use crate::conformance::verdict::{Bearing, Tally, Verdict};

/// Orders that fail until a search has seen enough: each may wait for what does not come.
pub const MOST_FAILURES: usize = 40;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The number of events up to which all orders are played; those that are longer are shrunk where they fail.
    pub bound: usize,
    /// Orders that are played at one time.
    pub parallel: usize,
    /// No further order is played when so many have failed.
    pub most_failures: usize,
    /// Clauses of later revisions do not count.
    pub revision: Revision,
}

/// What came of a search.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The orders that were to be played.
    pub orders: usize,
    /// What became of them.
    pub tally: Tally,
    /// The failures: one entry for each clause and each kind of failure.
    pub failures: Vec<Failure>,
    /// The first order of which nothing can be said, with the reason.
    pub incomplete: Option<CaseResult>,
    /// Somebody stopped it.
    pub is_stopped: bool,
    /// How long it took.
    pub duration: Duration,
}

/// Orders that fail by the same clause in the same way.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How many of them there are.
    pub count: usize,
    /// The case of the shortest one.
    pub case: Case,
    /// What it shows.
    pub result: CaseResult,
    /// The id of the order that was shrunk to it, where it was not that short already.
    pub shrunk_from: Option<String>,
}

/// An order that was played.
struct Played<M: Model> {
    /// Its place among all.
    index: usize,
    /// The events.
    order: Vec<M::Event>,
    /// Its case.
    case: Case,
    /// What came of it.
    result: CaseResult,
}

impl Search {
    /// Plays the orders, one begun behind the other, until `stop` is ready. `told` hears of each that is over.
    pub async fn run<M: Model>(
        &self,
        start: &M,
        lab: &AnyLab,
        orders: Vec<Vec<M::Event>>,
        mut told: impl FnMut(&CaseResult),
        stop: impl Future<Output = ()>,
    ) -> Outcome {
        let begun = Instant::now();
        let mut outcome = Outcome { orders: orders.len(), ..Outcome::default() };
        let mut failed: Vec<Played<M>> = Vec::new();
        let mut queue = orders.into_iter().enumerate();
        let mut running = JoinSet::new();
        let mut over = 0;
        let mut stop = pin!(stop);
        loop {
            while running.len() < self.parallel
                && failed.len() < self.most_failures
                && let Some((index, order)) = queue.next()
            {
                running.spawn(play(start.clone(), lab.clone(), index, order));
            }
            let mut played = tokio::select! {
                biased;
                () = &mut stop => {
                    // Dropping a case ends its process.
                    running.shutdown().await;
                    outcome.is_stopped = true;
                    break;
                }
                done = running.join_next() => match done {
                    None => break,
                    Some(Ok(played)) => played,
                    Some(Err(error)) => {
                        let reason = Reason::plain(format!("the suite failed: {error}"));
                        // Of which order nobody knows; it counts as one without a verdict.
                        outcome.tally.add(Verdict::Error);
                        outcome.incomplete.get_or_insert_with(|| without_order(reason));
                        over += 1;
                        continue;
                    }
                },
            };
            over += 1;
            if self.is_later(&played.result) {
                played.result.verdict = Verdict::NotApplicable;
            }
            told(&played.result);
            outcome.tally.add(played.result.verdict);
            match played.result.verdict.bearing() {
                Bearing::Violation => failed.push(played),
                Bearing::Incomplete => _ = outcome.incomplete.get_or_insert(played.result),
                Bearing::Good | Bearing::Advice | Bearing::Neutral => {}
            }
        }
        (over..outcome.orders).for_each(|_| outcome.tally.add(Verdict::NotRun));
        outcome.failures = self.group(start, lab, failed, !outcome.is_stopped).await;
        outcome.duration = begun.elapsed();
        outcome
    }

    /// The clause that is broken belongs to a revision that the peer does not claim.
    fn is_later(&self, result: &CaseResult) -> bool {
        let clause = result.reason.as_ref().and_then(|reason| clause::find(reason.clause.as_ref()?));
        result.verdict.bearing() == Bearing::Violation && clause.is_some_and(|clause| clause.since > self.revision)
    }

    /// One entry for each way to fail, with its shortest order. An order within the bound is not shrunk: all shorter ones have
    /// been played before it.
    async fn group<M: Model>(
        &self,
        start: &M,
        lab: &AnyLab,
        mut failed: Vec<Played<M>>,
        shrinks: bool,
    ) -> Vec<Failure> {
        failed.sort_by_key(|played| (played.order.len(), played.index));
        let mut failures: Vec<Failure> = Vec::new();
        for played in failed {
            if let Some(same) = failures.iter_mut().find(|failure| way(&failure.result) == way(&played.result)) {
                same.count += 1;
                continue;
            }
            let Played { order, case, result, .. } = played;
            let mut failure = Failure { count: 1, case, result, shrunk_from: None };
            if shrinks && order.len() > self.bound {
                let mut least = None;
                let fails = async |shorter: &[M::Event]| {
                    let shorter = play(start.clone(), lab.clone(), 0, shorter.to_vec()).await;
                    let same = way(&shorter.result) == way(&failure.result);
                    if same {
                        least = Some(shorter);
                    }
                    same
                };
                let allowed = |shorter: &[M::Event]| orders::is_allowed(start, shorter);
                shrink(order.clone(), allowed, fails).await;
                if let Some(Played { case, result, .. }) = least {
                    failure = Failure { count: 1, case, result, shrunk_from: Some(id::<M>(&order)) };
                }
            }
            failures.push(failure);
        }
        failures
    }
}

/// Leaves events out, one at a time, as long as what is left is allowed and fails. No event of what is returned can be left out.
///
/// Exact rather than clever: the model writes the expectations of every shorter order anew, so that no reference is needed.
pub async fn shrink<E: Copy>(
    mut order: Vec<E>,
    allowed: impl Fn(&[E]) -> bool,
    mut fails: impl AsyncFnMut(&[E]) -> bool,
) -> Vec<E> {
    let mut at = 0;
    while at < order.len() {
        let mut shorter = order.clone();
        shorter.remove(at);
        if allowed(&shorter) && fails(&shorter).await {
            order = shorter;
            at = 0;
        } else {
            at += 1;
        }
    }
    order
}

/// By which clause an order fails, and how.
fn way(result: &CaseResult) -> (Option<&str>, Verdict) {
    (result.reason.as_ref().and_then(|reason| reason.clause.as_deref()), result.verdict)
}

async fn play<M: Model>(start: M, lab: AnyLab, index: usize, order: Vec<M::Event>) -> Played<M> {
    let case = case_of(&start, &order);
    let result = lab.run(&case).await;
    Played { index, order, case, result }
}

/// A result of an order that was lost.
fn without_order(reason: Reason) -> CaseResult {
    let transport = crate::conformance::case::Transport::Websocket;
    CaseResult::without_run("explore/unknown", transport, Verdict::Error, reason)
}
