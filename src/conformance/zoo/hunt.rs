//! The suite against the zoo: who is caught, by which case, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::choice;
use super::specimen::{Nature, Specimen};
use super::statement;
use super::twins;
use crate::conformance::case::{Case, Half, Transport};
use crate::conformance::clause::{self, Level};
use crate::conformance::client::door::RelayProgram;
use crate::conformance::client::lab::{ClientLab, ClientTarget};
use crate::conformance::declaration::Declaration;
use crate::conformance::judge::FailKind;
use crate::conformance::lab::Lab;
use crate::conformance::launcher::{START, Target};
use crate::conformance::plan::{Claims, Job};
use crate::conformance::process::CommandLine;
use crate::conformance::result::{CaseResult, Reason};
use crate::conformance::stage::Settings;
use crate::conformance::suites;
use crate::conformance::trace::Trace;
use crate::conformance::unready::Unready;
use crate::conformance::verdict::{Bearing, Verdict};

/// Multiplies the deadlines of cases that meet a peer that does nothing.
const NULL_TIME_SCALE: f64 = 0.05;

/// Peers at one time that meet a case that depends on time: few enough that none has to wait for a processor.
const ALONE_AT_ONCE: usize = 3;

/// How far apart in the order of the zoo two meetings are that begin one behind the other.
const STRIDE: usize = 97;

/// How often in all a meeting has to come out other than published until it counts so.
const ATTEMPTS: usize = 3;

/// The suite against a part of the zoo.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The program that is every specimen, and the relay of clients on stdio.
    program: String,
    /// What the correct executor claims.
    claims: Claims,
    /// Cases that run at one time; of those that depend on time fewer do, behind all others.
    parallel: usize,
    /// Multiplies all deadlines.
    time_scale: f64,
}

/// What the suite says of one specimen.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The specimen.
    pub specimen: &'static Specimen,
    /// The outcome.
    pub fate: Fate,
    /// Every case that met it, and what happened, as long as it is short enough to be kept.
    pub results: Vec<(CaseResult, Trace)>,
    /// Cases that came out other than published at first and as published when they met it again.
    pub wavering: Vec<String>,
}

/// What became of a specimen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Cases that own the clause fail by what they assert; these.
    Owned(Vec<String>),
    /// A case fails, but none that owns the clause; the first.
    Neighbour(String),
    /// A case saw the peer die, and no other said anything.
    Crash(String),
    /// A case waited in vain for something that no clause promises there.
    Timeout(String),
    /// Every case passed a peer that is not correct.
    Missed,
    /// Every case passed a peer that is correct.
    Unblamed,
    /// A case blames a correct peer; the first.
    Blamed(String),
    /// No case passed a peer that does nothing.
    PassesNothing,
    /// Cases passed a peer that does nothing; these.
    Fools(Vec<String>),
}

impl Catch {
    /// For programs: who it is, and what became of it.
    pub fn to_json(&self) -> Value {
        let (fate, cases) = match &self.fate {
            Fate::Owned(cases) => ("caught", cases.clone()),
            Fate::Neighbour(case) => ("neighbour", vec![case.clone()]),
            Fate::Crash(case) => ("crash", vec![case.clone()]),
            Fate::Timeout(case) => ("timeout", vec![case.clone()]),
            Fate::Missed => ("missed", Vec::new()),
            Fate::Unblamed => ("not-blamed", Vec::new()),
            Fate::Blamed(case) => ("blamed", vec![case.clone()]),
            Fate::PassesNothing => ("passes-nothing", Vec::new()),
            Fate::Fools(cases) => ("fools", cases.clone()),
        };
        let Specimen { name, sentence, role, .. } = self.specimen;
        let role = if *role == Half::Executor { "executor" } else { "client" };
        json!({
            "name": name, "role": role, "clause": self.specimen.clause(), "sentence": sentence,
            "outcome": fate, "good": self.fate.is_good(), "cases": cases,
        })
    }
}

impl Fate {
    /// It is what should become of such a specimen.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Owned(_) | Self::Unblamed | Self::PassesNothing)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(cases) => f.write_str(&cases.join(", ")),
            Self::Neighbour(case) => write!(f, "only by a neighbour: {case}"),
            Self::Crash(case) => write!(f, "only by a crash: {case}"),
            Self::Timeout(case) => write!(f, "only by a timeout: {case}"),
            Self::Missed => f.write_str("missed"),
            Self::Unblamed => f.write_str("not blamed"),
            Self::Blamed(case) => write!(f, "blamed by {case}"),
            Self::PassesNothing => f.write_str("passes nothing"),
            Self::Fools(cases) => write!(f, "fools {}", cases.join(", ")),
        }
    }
}

/// One case against one specimen.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    specimen: &'static Specimen,
    case: &'static Case,
    transport: Transport,
}

impl Hunt {
    /// Looks at the correct executor, as the specimens claim what it claims. `program` is this one's path.
    ///
    /// # Errors
    ///
    /// Why it is not ready.
    pub async fn new(program: String, parallel: usize, time_scale: f64) -> Result<Self, Unready> {
        let mut claims = Claims { declaration: Declaration::default(), is_spawned: true, shown: BTreeMap::new() };
        for transport in [Transport::Stdio, Transport::Websocket] {
            let argv = [&program, "zoo", "serve", "--listen", "{listen}"].map(str::to_owned).into();
            let correct = Target::Command(CommandLine { argv, env: Vec::new(), cwd: None });
            let (lab, ready) = Lab::open(correct, transport, START.mul_f64(time_scale)).await?;
            lab.close().await;
            claims.shown.insert(transport.as_str(), ready.shown);
        }
        Ok(Self { program, claims, parallel, time_scale })
    }

    /// Lets the suite meet the specimens: a defect meets the cases that own its clause, and all others when none of those says
    /// that it is broken; twins and nulls meet them all. Where a case comes out other than published, the two meet again: a case
    /// that depends on time can be held up by its neighbours. `told` hears how many of how many meetings are over.
    pub async fn run(&self, specimens: &[&'static Specimen], mut told: impl FnMut(usize, usize)) -> Vec<Catch> {
        let usual = self.usual_warnings(specimens).await;
        let first = specimens.iter().flat_map(|specimen| meetings(specimen)).collect();
        let mut caught = self.meet(first, &mut told).await;
        let mut catches = Vec::new();
        for specimen in specimens {
            let results = caught.remove(specimen.name).unwrap_or_default();
            let mut catch = Catch { specimen, fate: fate(specimen, &results, &usual), results, wavering: Vec::new() };
            self.ask_again(&mut catch, &usual).await;
            if specimen.clause().is_some() && !catch.fate.is_good() {
                let rest = all_meetings(specimen).filter(|meeting| !owns(meeting.case, specimen)).collect();
                catch.results.extend(self.meet(rest, &mut told).await.remove(specimen.name).unwrap_or_default());
                catch.fate = fate(specimen, &catch.results, &usual);
            }
            catches.push(catch);
        }
        catches
    }

    /// Repeats the meetings of a defect that came out other than published.
    async fn ask_again(&self, catch: &mut Catch, usual: &[CaseResult]) {
        let specimen = catch.specimen;
        let Some(published) = statement::published(specimen) else { return };
        let is_as_published = |result: &CaseResult| published.contains(&&*result.case) == asserts(result, usual);
        for _ in 1..ATTEMPTS {
            let differs = |meeting: &Meeting| {
                catch.results.iter().any(|(result, _)| result.case == meeting.case.id && !is_as_published(result))
            };
            let again = meetings(specimen).into_iter().filter(differs).collect();
            let met = self.meet(again, &mut |_, _| {}).await.remove(specimen.name).unwrap_or_default();
            for (result, trace) in met.into_iter().filter(|(result, _)| is_as_published(result)) {
                catch.wavering.push(result.case.clone());
                if let Some(first) = catch.results.iter_mut().find(|(first, _)| first.case == result.case) {
                    *first = (result, trace);
                }
            }
        }
        catch.fate = fate(specimen, &catch.results, usual);
    }

    /// What is said of the correct peers, too, by the cases about a clause that only recommends something.
    async fn usual_warnings(&self, specimens: &[&'static Specimen]) -> Vec<CaseResult> {
        let recommends = |case: &&Case| {
            let mut clauses = case.clauses.iter().filter_map(|id| clause::find(id));
            clauses.any(|clause| clause.level == Level::Should)
        };
        let mut meetings = Vec::new();
        for specimen in twins::correct().filter(|correct| specimens.iter().any(|met| met.role == correct.role)) {
            for case in suites::of(specimen.role).iter().filter(recommends) {
                let on = [Transport::Stdio, Transport::Websocket].into_iter();
                let on = on.filter(|on| case.only.is_none_or(|only| only == *on));
                meetings.extend(on.map(|transport| Meeting { specimen, case, transport }));
            }
        }
        let results = self.meet(meetings, &mut |_, _| {}).await.into_values().flatten().map(|(result, _)| result);
        results.filter(|result| result.verdict == Verdict::Warn).collect()
    }

    /// The results by the name of the specimen, in the order of the case library.
    async fn meet(
        &self,
        meetings: Vec<Meeting>,
        told: &mut impl FnMut(usize, usize),
    ) -> BTreeMap<&'static str, Vec<(CaseResult, Trace)>> {
        let mut results: Vec<Option<(CaseResult, Trace)>> = vec![None; meetings.len()];
        let mut over = 0;
        let places = meetings.iter().copied().enumerate();
        let (serial, parallel): (Vec<_>, Vec<_>) = places.partition(|(_, meeting)| meeting.case.alone);
        let hunt = Arc::new(self.clone());
        // Peers that let others wait stand together in the order of the zoo: mixed with those that work, no processor idles.
        let mixed = (0..STRIDE).flat_map(|start| parallel.iter().skip(start).step_by(STRIDE)).copied().collect();
        let mut queues = vec![(mixed, self.parallel)];
        // One case behind the other: one that computes would hold up one that measures.
        let mut by_case: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (place, meeting) in serial {
            by_case.entry(&meeting.case.id).or_default().push((place, meeting));
        }
        queues.extend(by_case.into_values().map(|queue| (queue, ALONE_AT_ONCE.min(self.parallel))));
        for (queue, at_once) in queues {
            let run = |(place, meeting)| {
                let hunt = Arc::clone(&hunt);
                tokio::spawn(async move {
                    let (result, trace) = hunt.run_one(meeting).await;
                    (place, (result, if choice::is_short(&trace) { trace } else { Trace::default() }))
                })
            };
            let mut running = stream::iter(queue).map(run).buffer_unordered(at_once);
            while let Some(ended) = running.next().await {
                over += 1;
                told(over, meetings.len());
                match ended {
                    Ok((place, result)) => results[place] = Some(result),
                    // The case is missing in the results, so that nothing can pass.
                    Err(error) => eprintln!("error: the suite failed: {error}"),
                }
            }
        }
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (meeting, result) in meetings.iter().zip(results) {
            by_name.entry(meeting.specimen.name).or_default().extend(result);
        }
        by_name
    }

    fn claims_of(&self, specimen: &Specimen) -> Claims {
        let mut claims = self.claims.clone();
        for shown in claims.shown.values_mut() {
            shown.extend(specimen.offers);
        }
        claims
    }

    async fn run_one(&self, Meeting { specimen, case, transport }: Meeting) -> (CaseResult, Trace) {
        let command = |words: &[&str]| CommandLine {
            argv: [self.program.as_str()].iter().chain(words).map(|word| (*word).to_owned()).collect(),
            env: Vec::new(),
            cwd: None,
        };
        // Whoever does nothing does not do it late.
        let hurry = if specimen.nature == Nature::Null { NULL_TIME_SCALE } else { 1.0 };
        let time_scale = self.time_scale * hurry;
        let settings = Settings { time_scale, ..Settings::default() };
        let job = Job { case, transport };
        let without = |verdict, why: String| {
            (CaseResult::without_run(&case.id, transport, verdict, Reason::plain(why)), Trace::default())
        };
        let lacks = |lack| without(Verdict::NotApplicable, lack);
        match specimen.role {
            Half::Executor => {
                if let Some(lack) = self.claims_of(specimen).not_applicable(&job) {
                    return lacks(lack);
                }
                let target = Target::Command(command(&["zoo", "serve", specimen.name, "--listen", "{listen}"]));
                Lab::unseen(target, transport, START).with_settings(settings).run_unseen(case).await
            }
            Half::Client => {
                let target = ClientTarget {
                    adapter: command(&["zoo", "adapter", specimen.name]),
                    relay: RelayProgram { argv: vec![self.program.clone()] },
                };
                match ClientLab::unchecked(target, transport, START.mul_f64(time_scale), time_scale).await {
                    Ok(lab) => match lab.not_applicable(&job) {
                        Some(lack) => lacks(lack),
                        None => lab.run_unseen(case).await,
                    },
                    Err(reason) => without(Verdict::NotRun, reason),
                }
            }
        }
    }
}

fn meetings(specimen: &'static Specimen) -> Vec<Meeting> {
    all_meetings(specimen).filter(|meeting| specimen.clause().is_none() || owns(meeting.case, specimen)).collect()
}

/// All cases that can meet the specimen, each on one transport: where both show the same, the cheaper one.
fn all_meetings(specimen: &'static Specimen) -> impl Iterator<Item = Meeting> {
    let on = |case: &Case| match (case.only, specimen.only) {
        (Some(only), Some(shows)) if only != shows => None,
        (Some(only), _) | (None, Some(only)) => Some(only),
        (None, None) => Some(Transport::Stdio),
    };
    suites::of(specimen.role)
        .iter()
        .filter_map(move |case| on(case).map(|transport| Meeting { specimen, case, transport }))
}

/// The case is one of those that have to say that the clause of the specimen is broken.
fn owns(case: &Case, specimen: &Specimen) -> bool {
    specimen.clause().is_some_and(|clause| case.clauses.iter().any(|owned| owned == clause))
}

fn fate(specimen: &Specimen, results: &[(CaseResult, Trace)], usual: &[CaseResult]) -> Fate {
    let results = || results.iter().map(|(result, _)| result);
    let name = |result: &CaseResult| format!("{} [{}] {}", result.case, result.transport, result.verdict);
    let find = |wanted: &dyn Fn(&CaseResult) -> bool| results().find(|result| wanted(result)).map(name);
    if specimen.nature == Nature::Null {
        let passed = results().filter(|result| result.verdict == Verdict::Pass);
        let cases: Vec<_> = passed.map(|result| result.case.clone()).collect();
        return if cases.is_empty() { Fate::PassesNothing } else { Fate::Fools(cases) };
    }
    if specimen.nature == Nature::Twin {
        let blames = |result: &CaseResult| matches!(result.verdict.bearing(), Bearing::Violation | Bearing::Incomplete);
        return find(&blames).map_or(Fate::Unblamed, Fate::Blamed);
    }
    let is_owner = |id: &str| suites::of(specimen.role).iter().any(|case| case.id == id && owns(case, specimen));
    let asserts = |result: &CaseResult| asserts(result, usual);
    let owners: Vec<_> = results()
        .filter(|result| asserts(result) && is_owner(&result.case))
        .map(|result| result.case.clone())
        .collect();
    if !owners.is_empty() {
        return Fate::Owned(owners);
    }
    find(&asserts)
        .map(Fate::Neighbour)
        .or_else(|| find(&|result| result.verdict == Verdict::Fail(FailKind::Crash)).map(Fate::Crash))
        .or_else(|| find(&|result| result.verdict == Verdict::Timeout).map(Fate::Timeout))
        .unwrap_or(Fate::Missed)
}

/// The case says that something is wrong, and does not say it of correct peers, too.
fn asserts(result: &CaseResult, usual: &[CaseResult]) -> bool {
    match result.verdict {
        Verdict::Fail(kind) => kind != FailKind::Crash,
        Verdict::Warn => !usual.iter().any(|usual| {
            (&usual.case, usual.transport, &usual.reason) == (&result.case, result.transport, &result.reason)
        }),
        _ => false,
    }
}
