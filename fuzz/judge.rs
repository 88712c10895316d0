//! Verdicts over traces.

mod fault;
mod peer;
mod stage;

use std::sync::LazyLock;

use arbitrary::Unstructured;
use exec_http::conformance::case::{Case, Half};
use exec_http::conformance::declaration::CANCEL;
use exec_http::conformance::judge::{Judge, Judgement, State, judge};
use exec_http::conformance::suites;
use exec_http::conformance::trace::{Event, Trace, What};

use stage::play;

/// Steps of the longest case that is played: others take too long to be played often.
const STEPS: usize = 300;

/// A case that names a number from here on, a size as a rule, is not played either.
const BODY_BYTES: u64 = 64 * 1024;

/// Cases of the suite that the peer of this law can pass.
static CASES: LazyLock<Vec<&Case>> = LazyLock::new(|| {
    // A peer that cancels would have to put the end of a call before the answer; this one sends both in any order.
    let cancels = |case: &&Case| case.needs.iter().any(|need| need == CANCEL);
    let all: Vec<&Case> = suites::of(Half::Executor).iter().filter(|case| !cancels(case)).collect();
    let cases: Vec<&Case> = all.iter().copied().filter(|case| is_playable(case)).collect();
    assert!(cases.len() * 5 > all.len() * 4, "only {} of {} cases are played", cases.len(), all.len());
    cases
});

/// Any conformant peer passes any case; no prefix of its trace is a violation, and a peer that is silent from there on does not
/// pass. One broken clause is found. Events in disorder are judged without a panic, live as when stored.
pub fn check(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let case = CASES[bytes.choose_index(CASES.len()).unwrap_or(0)];
    let Some((trace, verdict)) = play(case, &mut bytes) else { panic!("{}: the peer is stuck", case.id) };
    assert_eq!(verdict, Judgement::Pass, "{}\n{}", case.id, shown(&trace));
    assert_eq!(stored(&trace), trace);
    assert_eq!(judge(case, &trace), verdict);

    let end = bytes.int_in_range(0..=trace.events.len() - 1).unwrap_or(0);
    check_prefix(case, &trace.events[..end]);
    if let Some((broken, clauses)) = fault::broken(&trace, &mut bytes) {
        let verdict = judge(case, &broken);
        let found = matches!(&verdict, Judgement::Fail(_, finding) if clauses.contains(&finding.clause.as_str()));
        assert!(found, "{}: {verdict:?} instead of {clauses:?}\n{}", case.id, shown(&broken));
    }
    let disordered = fault::disordered(trace, &mut bytes);
    assert_eq!(judge(case, &disordered), judge(case, &stored(&disordered)), "{}", case.id);
}

fn check_prefix(case: &Case, events: &[Event]) {
    let mut judge = Judge::new(case);
    let mut state = State::Ready;
    for event in events {
        state = judge.handle(event);
        assert_ne!(state, State::Over, "{}: {event:?}", case.id);
    }
    if let (State::Waiting, Some(last)) = (state, events.last()) {
        let event = |more, what| Event { number: last.number + more, micros: last.micros + more, what };
        judge.handle(&event(1, What::Deadline { milliseconds: 1 }));
        judge.handle(&event(2, What::Finished));
        assert_ne!(judge.finish(), Judgement::Pass, "{}", case.id);
    } else {
        assert!(matches!(judge.finish(), Judgement::Error(_)), "{}: only the end is missing", case.id);
    }
}

fn is_playable(case: &Case) -> bool {
    let is_long = |digits: &str| digits.parse().is_ok_and(|number| (BODY_BYTES..1 << 32).contains(&number));
    let mut numbers = case.text.split(|character: char| !character.is_ascii_digit());
    let short = case.steps.len() <= STEPS && !case.text.contains("MiB") && !numbers.any(is_long);
    short && play(case, &mut Unstructured::new(&[])).is_some_and(|(_, verdict)| verdict == Judgement::Pass)
}

/// What is left of a trace when it has been written and read.
fn stored(trace: &Trace) -> Trace {
    let mut text = Vec::new();
    trace.write(&mut text).expect("memory takes it");
    Trace::read(&text[..]).expect("what was written reads")
}

fn shown(trace: &Trace) -> String {
    trace.events.iter().map(|event| format!("{:?}\n", event.what)).collect()
}
