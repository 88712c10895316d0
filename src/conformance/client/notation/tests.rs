//! What the steps of cases for clients mean, and how their mistakes are told.

use super::*;

/// The actions of these lines, those behind the last line only.
#[track_caller]
fn actions(lines: &[&str]) -> Vec<Action> {
    let mut reader = ClientStepReader::default();
    let read = |(line, text): (usize, &&str)| reader.read(line + 1, text).unwrap_or_else(|error| panic!("{error}"));
    let steps = lines.iter().enumerate().map(read).last().expect("a line");
    steps.into_iter().map(|step| step.action).collect()
}

/// The last of these lines is refused in those words.
#[track_caller]
fn refused(lines: &[&str], expected: &str) {
    let (last, before) = lines.split_last().expect("a line");
    let mut reader = ClientStepReader::default();
    before.iter().for_each(|text| drop(reader.read(1, text).unwrap_or_else(|error| panic!("{error}"))));
    assert_eq!(reader.read(1, last).map(|_| ()), Err(expected.to_owned()), "{last}");
}

#[track_caller]
fn deltas(line: &str) -> Deltas {
    match &actions(&["call a stream", line])[..] {
        [Action::Client(ClientAction::Deltas(deltas))] => deltas.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_count_their_seq_unless_they_say_otherwise() {
    assert_eq!(deltas("-> a delta \"x\"").seq, Seq::Off(0));
    assert_eq!(deltas("-> a delta seq 3 \"x\"").seq, Seq::At(3));
    assert_eq!(deltas("-> a delta seq +1 \"x\"").seq, Seq::Off(1));
    assert_eq!(deltas("-> a delta seq -1 \"x\"").seq, Seq::Off(-1));
    let all = deltas("-> as split 3 a delta x5 \"x\" done error \"gone\" {\"seq\":7}");
    assert_eq!((all.done, all.error.as_deref(), all.form), (true, Some("gone"), Form::Split(3)));
    assert_eq!((all.count.resolve(&Default::default()), all.members), (Ok(5), json!({"seq": 7})));
}

#[test]
fn a_line_may_be_several_sights() {
    let seen = actions(&["call a stream", "a => 200|204 header x \"y\" \"hi\" any fails kind overflow silent"]);
    let sights: Vec<_> = seen
        .into_iter()
        .map(|action| match action {
            Action::Client(ClientAction::Saw(call, sight)) if call == "a" => sight,
            other => panic!("{other:?}"),
        })
        .collect();
    let [Sight::Response(statuses, with), Sight::Fails { after_any: true, conditions }, Sight::Silent] = &sights[..]
    else {
        panic!("{sights:?}");
    };
    // Every quoted text behind a header is a value of it.
    assert!(matches!(&with[..], [Condition::Header(name, values)] if name == "x" && values.len() == 2));
    assert_eq!(statuses, &[200, 204]);
    assert!(matches!(&conditions[..], [Condition::Kind(_)]));
}

#[test]
fn a_barrier_lets_go_of_its_call() {
    let steps = actions(&["barrier"]);
    let Some(Action::Client(ClientAction::Call { call, .. })) = steps.first() else { panic!("{steps:?}") };
    let dropped = ClientAction::Order(call.clone(), Order::Drop { foreign: false });
    assert!(
        matches!(steps.last(), Some(Action::Client(last)) if format!("{last:?}") == format!("{dropped:?}")),
        "{steps:?}"
    );
}

#[test]
fn another_connection_has_steps_of_its_own() {
    let mut reader = ClientStepReader::default();
    reader.read(1, "open b").expect("a connection");
    let on = |steps: Vec<Step>| steps.into_iter().map(|step| step.connection).collect::<Vec<_>>();
    assert_eq!(on(reader.read(2, "b call x stream").expect("a call")), ["b"]);
    assert_eq!(on(reader.read(3, "call y stream").expect("a call")), [MAIN]);
}

#[test]
fn mistakes_are_told() {
    refused(&["a => end"], "\"a\" is no step, and no call of that name was made");
    refused(&["<- a"], "there is no call a");
    refused(&["call a stream", "call a stream"], "\"a\" is taken");
    refused(&["call main stream"], "\"main\" is taken");
    refused(&["call a-b stream"], "\"a-b\" is no name of letters and digits");
    refused(&["call a half"], "\"half\" is not stream or buffered");
    refused(&["call a stream", "a => any end"], "behind `any` there can only be `fails`");
    refused(&["call a stream", "a looks"], "\"looks\" is nothing that an application does with a call");
    refused(&["call a stream", "-> a delta seq x \"\""], "\"x\" is not N, +N or -N");
    refused(&["call a stream", "-> as a 200"], "behind `as` a form is missing");
    refused(&["call a stream", "a => \"$b\""], "$b stands for nothing; write $$ for a dollar sign");
    let of_executors = "`or closed` and `or malformed` stand in cases for executors only";
    refused(&["<- 7 error -32601 or closed"], of_executors);
    refused(&["<- 7 error -32601 or malformed"], of_executors);
    refused(&["=> open"], "behind `=>` without a call there can only be `closed`");
}
