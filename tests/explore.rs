//! The explorer: nothing to be said about the built-in executor and the built-in client, which order shows which defect of the zoo
//! first, and no word against a peer that is odd but correct.

use std::fmt::Debug;
use std::future;
use std::process::{Command, Output};
use std::sync::Arc;

use exec_http::conformance::case::parse::parse_cases;
use exec_http::conformance::case::{Half, Revision, Transport};
use exec_http::conformance::client::door::RelayProgram;
use exec_http::conformance::client::lab::{ClientLab, ClientTarget};
use exec_http::conformance::declaration::CANCEL;
use exec_http::conformance::explore::client::ClientModel;
use exec_http::conformance::explore::orders::{DEFAULT_BOUND, MOST_EVENTS, orders, sample};
use exec_http::conformance::explore::search::{Outcome, Search};
use exec_http::conformance::explore::server::ServerModel;
use exec_http::conformance::explore::{Model, order_of};
use exec_http::conformance::lab::Lab;
use exec_http::conformance::launcher::{START, Target};
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::run::AnyLab;
use exec_http::conformance::zoo;
use exec_http::conformance::zoo::specimen::Nature;
use futures_util::stream::{self, StreamExt as _};

const TRANSPORTS: [Transport; 2] = [Transport::Stdio, Transport::Websocket];

/// Peers that are explored at one time.
const AT_ONCE: usize = 6;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exec-http");

fn command(words: &[&str]) -> CommandLine {
    let argv = [PROGRAM].iter().chain(words).map(|word| (*word).to_owned()).collect();
    CommandLine { argv, env: Vec::new(), cwd: None }
}

/// A place where an executor is met.
async fn executor(words: &[&str], transport: Transport) -> (ServerModel, AnyLab) {
    let target = Target::Command(command(&[words, &["--listen", "{listen}"]].concat()));
    let (lab, ready) = Lab::open(target, transport, START).await.expect("the executor is ready");
    (ServerModel::new(transport, ready.shown.contains(CANCEL)), Arc::new(lab).into())
}

/// A place where a client is met. It is not looked at first: some could not even make the calls of that.
async fn client(words: &[&str], transport: Transport) -> (ClientModel, AnyLab) {
    let target = ClientTarget { adapter: command(words), relay: RelayProgram { argv: vec![PROGRAM.to_owned()] } };
    let lab = ClientLab::unchecked(target, transport, START, 1.0).await.expect("the adapter introduces itself");
    (ClientModel::new(lab.hello().features.iter().cloned()), Arc::new(lab).into())
}

/// Plays all orders up to a bound, and so many longer ones, four at a time.
async fn explored<M: Model>((model, lab): (M, AnyLab), bound: usize, longer: usize) -> Outcome {
    let search = Search { bound, parallel: 4, most_failures: 10, revision: Revision::Extension };
    let all = orders(&model, bound).into_iter().chain(sample(&model, bound, longer, 1)).collect();
    let outcome = search.run(&model, &lab, all, |_| {}, future::pending()).await;
    assert_eq!(lab.close().await, []);
    outcome
}

#[track_caller]
fn is_clean(outcome: &Outcome, orders: usize, what: impl Debug) {
    let failures = || outcome.text(&format!("{what:?}"), "some events", &Repeat::default(), Paint::PLAIN);
    assert_eq!(outcome.orders, orders, "{what:?}");
    assert_eq!((outcome.run(), outcome.tally.passed(true)), (orders, orders), "{}", failures());
    assert!(outcome.failures.is_empty() && outcome.incomplete.is_none(), "{}", failures());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_said_about_our_executor() {
    for (transport, orders) in TRANSPORTS.into_iter().zip([SERVER_STDIO_ORDERS, SERVER_WS_ORDERS]) {
        let outcome = explored(executor(&["serve"], transport).await, 2, LONGER).await;
        is_clean(&outcome, orders + LONGER, transport);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_said_about_our_client() {
    for transport in TRANSPORTS {
        let outcome = explored(client(&["adapter"], transport).await, 2, LONGER).await;
        is_clean(&outcome, CLIENT_ORDERS + LONGER, transport);
    }
}

/// Longer orders beside those up to two events.
const LONGER: usize = 100;

/// Orders of up to two events.
const CLIENT_ORDERS: usize = 147;
const SERVER_STDIO_ORDERS: usize = 102;
const SERVER_WS_ORDERS: usize = 122;

/// The first order that fails, one played behind the other, and the clause that it names.
async fn first<M: Model>(name: &str, (model, lab): (M, AnyLab)) -> String {
    let search = Search { bound: DEFAULT_BOUND, parallel: 1, most_failures: 1, revision: Revision::Extension };
    let outcome = search.run(&model, &lab, orders(&model, DEFAULT_BOUND), |_| {}, future::pending()).await;
    lab.close().await;
    let clause = zoo::all().find(|specimen| specimen.name == name).and_then(|specimen| specimen.clause());
    let clause = clause.unwrap_or("nothing");
    match &outcome.failures[..] {
        [] => format!("{name}: breaks {clause}, and is not found"),
        [failure, ..] => {
            let named = failure.result.reason.as_ref().and_then(|reason| reason.clause.as_deref());
            let (_, order) = failure.case.id.split_once('/').expect("an id has an area");
            format!("{name}: breaks {clause}; {order} shows {}", named.unwrap_or("nothing"))
        }
    }
}

/// Compares lines, in any order.
#[track_caller]
fn compare(found: Vec<String>, table: &str) {
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    let mut expected: Vec<&str> = table.trim().lines().collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{}", found.join("\n"));
}

/// The names at the beginnings of the lines.
fn names(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.trim().lines().filter_map(|line| line.split(':').next())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_order_that_shows_a_defect_of_an_executor() {
    let meet = async |name| first(name, executor(&["zoo", "serve", name], Transport::Websocket).await).await;
    compare(stream::iter(names(EXECUTORS)).map(meet).buffer_unordered(AT_ONCE).collect().await, EXECUTORS);
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_that_mix_up_their_connections_are_found() {
    for name in TANGLED {
        let line = first(name, executor(&["zoo", "serve", name], Transport::Websocket).await).await;
        assert!(line.contains(" shows "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_order_that_shows_a_defect_of_a_client() {
    let meet = async |name| first(name, client(&["zoo", "adapter", name], Transport::Websocket).await).await;
    compare(stream::iter(names(CLIENTS)).map(meet).buffer_unordered(AT_ONCE).collect().await, CLIENTS);
}

/// They mix up their connections, so that the order that comes next fails as well, and which one is told first is chance.
const TANGLED: [&str; 2] = ["cancel-across-connections", "lost-connection-ends-all"];

/// What the explorer finds by itself: the clause that the specimen breaks, the first order that fails at the default bound, and
/// the clause that this order names. Where the two clauses differ, the named one is broken as well: it is what that order shows
/// first. Defects that need a longer order are below; those that need a full queue, such as `failure-record-leaks-on-drop`, are out
/// of reach.
const EXECUTORS: &str = "
active-request-id-accepted: breaks PARAMS-9; head-again shows PARAMS-9
answers-behind-streams: breaks ORDER-9; head-shared shows ORDER-9
calls-outlive-client: breaks CLOSE-1; disconnect shows CLOSE-1
cancel-answered-first: breaks CANCEL-6; cancel shows CANCEL-6
cancelled-id-stays-taken: breaks CANCEL-6; cancel-again shows CANCEL-6
cancelled-twice: breaks CANCEL-2; cancel-cancel shows CANCEL-2
clean-end-behind-a-failure: breaks STREAM-3; head-break shows STREAM-3
client-delta-ends-stream: breaks ENVELOPE-16; stray shows STREAM-8
ended-call-cancelled: breaks CANCEL-2; break-cancel shows CANCEL-2
failed-id-stays-taken: breaks ORDER-7; break-again shows ORDER-7
frame-before-the-response: breaks ORDER-1; nothing shows ORDER-2
frames-to-the-last-call: breaks ORDER-4; second shows STREAM-8
get-sent-again: breaks HTTP-32; break shows HTTP-32
id-freed-late: breaks ORDER-6; head-finish-again shows ORDER-6
id-kept-by-a-broken-body: breaks ORDER-5; head-break-again shows ORDER-5
id-kept-by-an-empty-body: breaks ORDER-5; head-finish-again shows ORDER-6
id-used-up: breaks ORDER-5; head-finish-again shows ORDER-6
malformed-hangs-up: breaks ENVELOPE-7; malformed shows ENVELOPE-7
one-call-at-a-time: breaks ORDER-8; shared shows ORDER-8
one-frame-behind: breaks ORDER-3; head-chunk shows ORDER-3
one-stream-at-a-time: breaks ORDER-9; shared shows ORDER-8
refusal-ends-streams: breaks ENVELOPE-7; head-again shows PARAMS-9
refusal-ends-the-stream: breaks PARAMS-9; head-chunk-again shows PARAMS-9
refusal-sent-twice: breaks ENVELOPE-19; head-again shows ENVELOPE-19
response-with-the-first-bytes: breaks ORDER-2; nothing shows ORDER-2
seq-goes-on-behind-a-failure: breaks STREAM-1; head-break-again shows STREAM-1
seq-shared: breaks STREAM-1; second shows STREAM-1
stray-response-hangs-up: breaks ENVELOPE-17; reply shows ENVELOPE-17
streams-outlive-client: breaks CLOSE-1; head-disconnect shows CLOSE-1
two-terminals: breaks STREAM-3; nothing shows STREAM-3
unknown-cancel-ends-the-stream: breaks STREAM-12; cancel shows ORDER-1
unknown-notification-hangs-up: breaks ENVELOPE-16; stray shows ENVELOPE-16
";

const CLIENTS: &str = "
abandoned-receive-takes-frame: breaks ROUTE-15; response-abandon shows STREAM-30
answer-behind-error-is-fatal: breaks ID-7; refusal-response shows ID-7
answer-behind-result-is-fatal: breaks ID-7; response-response shows ID-7
answers-taken-in-order: breaks ORDER-12; second shows ORDER-12
any-seq-accepted: breaks STREAM-20; repeat shows STREAM-30
broken-before-a-frame-is-empty: breaks CLOSE-8; response-disconnect shows STREAM-28
caller-chosen-reused-id: breaks ROUTE-3; second shows ROUTE-3
calls-outlive-disconnect: breaks CLOSE-10; disconnect shows CLOSE-10
disconnect-as-sequence-error: breaks CLOSE-9; response-delta-disconnect shows CLOSE-9
disconnect-before-end: breaks CLOSE-13; response-last-disconnect shows CLOSE-13
disconnect-told-once: breaks STREAM-19; response-disconnect shows STREAM-19
done-of-any-seq: breaks STREAM-21; repeat shows STREAM-20
early-error-fails-call: breaks ROUTE-1; failure shows ROUTE-1
end-not-sticky: breaks STREAM-19; failure shows STREAM-19
gap-ends-all-streams: breaks STREAM-20; second-delta2-repeat shows STREAM-15
gap-is-fatal: breaks STREAM-20; gap shows STREAM-20
insert-after-disconnect: breaks ROUTE-18; disconnect shows ROUTE-18
late-answer-is-fatal: breaks ROUTE-4; response-response shows ID-7
late-data-is-fatal: breaks ROUTE-4; stray shows ROUTE-2
late-frame-is-fatal: breaks ROUTE-5; stray shows ROUTE-2
late-gap-is-fatal: breaks ROUTE-5; refusal-repeat shows ROUTE-7
later-end-counts: breaks STREAM-18; last-failure shows STREAM-18
later-end-hides-error: breaks STREAM-18; failure-last shows STREAM-16
later-error-counts: breaks STREAM-18; last-failure shows STREAM-18
lowest-free-id: breaks ROUTE-3; nothing shows ROUTE-3
one-stream-told-of-disconnect: breaks CLOSE-8; response-second-disconnect shows STREAM-28
receive-not-cancel-safe: breaks ROUTE-15; response-last-abandon shows STREAM-30
refused-id-reused: breaks ROUTE-3; refusal shows ROUTE-3
repeats-ignored: breaks STREAM-20; repeat shows ROUTE-1
response-restarts-seq: breaks ROUTE-1; delta shows ROUTE-1
route-kept-after-refusal: breaks ROUTE-7; refusal shows ROUTE-7
route-kept-after-terminal: breaks ROUTE-5; disconnect shows ROUTE-16
route-leaks-on-cancel: breaks ROUTE-4; refusal shows ROUTE-7
route-made-by-response: breaks ROUTE-1; delta shows ROUTE-1
stray-frame-adopted: breaks ROUTE-2; stray shows STREAM-30
streams-outlive-disconnect: breaks CLOSE-8; response-disconnect shows CLOSE-9
whole-body-not-cancel-safe: breaks ROUTE-15; response-last-abandon shows STREAM-30
";

/// What is not found at the default bound, and the order of four events that shows it.
const DEEPER: [(&str, &str); 3] = [
    ("bytes-of-a-neighbour", "explore/head-second-chunk-chunk2"),
    ("failure-ends-all-streams", "explore/head-second-chunk2-break"),
    ("disconnect-behind-first-frame", "client-explore/response-delta-delta-disconnect"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_order_shows_what_the_default_bound_does_not() {
    async fn fails<M: Model>((model, lab): (M, AnyLab), id: &str) -> bool {
        let order = order_of(&model, id).expect("it is an order of this peer");
        assert!(order.len() > DEFAULT_BOUND);
        let search = Search { bound: MOST_EVENTS, parallel: 1, most_failures: 1, revision: Revision::Extension };
        let outcome = search.run(&model, &lab, vec![order], |_| {}, future::pending()).await;
        lab.close().await;
        outcome.failures.len() == 1
    }
    let on = Transport::Websocket;
    for (name, id) in DEEPER {
        let found = match Half::of(id) {
            Half::Executor => fails(executor(&["zoo", "serve", name], on).await, id).await,
            Half::Client => fails(client(&["zoo", "adapter", name], on).await, id).await,
        };
        assert!(found, "{name}");
    }
}

/// Odd but correct peers of each half.
const TWINS: [&str; 12] = [
    "cancelling-executor",
    "empty-frames",
    "frames-in-halves",
    "last-bytes-with-the-end",
    "malformed-frame-as-parse-error",
    "slow-but-steady",
    "stray-answer-answered",
    "unknown-notification-answered",
    "asks-more-than-it-needs",
    "odd-request-ids",
    "request-ids-like-ids",
    "slow-reader",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_odd_but_correct_peer_is_blamed() {
    for name in TWINS {
        let twin = zoo::all().find(|specimen| specimen.name == name).expect("a specimen of the zoo");
        assert_eq!(twin.nature, Nature::Twin, "{name}");
        let on = Transport::Websocket;
        let outcome = match twin.role {
            Half::Executor => explored(executor(&["zoo", "serve", name], on).await, 2, 20).await,
            Half::Client => explored(client(&["zoo", "adapter", name], on).await, 2, 20).await,
        };
        is_clean(&outcome, outcome.orders, name);
    }
}

fn explore(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(PROGRAM).arg("explore").args(arguments).output().expect("the explorer can be started");
    let text = String::from_utf8(output.stdout.clone()).expect("the report is UTF-8");
    (output, text)
}

#[test]
fn a_failure_is_printed_and_kept_as_a_script() {
    let folder = std::env::temp_dir().join(format!("exec-http-explore-{}", std::process::id()));
    let out = folder.to_str().expect("a path of UTF-8");
    let adapter = format!("'{PROGRAM}' zoo adapter gap-is-fatal");
    let options = ["client", "--adapter", &adapter, "--transport", "ws", "--out", out];
    let (output, text) = explore(&[&options[..], &["--only", "client-explore/gap"]].concat());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("client-explore [ws]: 1 orders of these events, 1 run, 1 violations in "), "{text}");
    assert!(text.contains("STREAM-20: A gap or a repeat"), "{text}");
    let again = " --transport ws --only client-explore/gap\n";
    assert!(text.contains("exec-http explore client --adapter ") && text.contains(again), "{text}");
    assert!(text.ends_with("\n0 passed, 1 failed, 0 skipped\n"), "{text}");
    let script = std::fs::read_to_string(folder.join("client-explore-gap.ws.case")).expect("it is kept");
    assert_eq!(parse_cases("kept.case", &script).expect("it is a case")[0].id, "client-explore/gap");

    // A longer order that fails in the same way is shrunk to it.
    let longer = "client-explore/response-delta-delta-gap";
    let (_, text) = explore(&[&options[..], &["--only", longer]].concat());
    assert!(text.contains(&format!("shrunk from {longer}")), "{text}");
    assert!(text.contains("client-explore/gap [ws]"), "{text}");
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

#[test]
fn the_last_line_counts_and_nothing_is_kept_of_what_passes() {
    let folder = std::env::temp_dir().join(format!("exec-http-explored-{}", std::process::id()));
    let out = folder.to_str().expect("a path of UTF-8");
    let (output, text) = explore(&["server", "--transport", "ws", "--bound", "1", "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("explore [ws]: 12 orders of up to 1 events, 12 run, 0 violations in "), "{text}");
    assert!(text.ends_with("\n12 passed, 0 failed, 0 skipped\n"), "{text}");
    assert!(!folder.exists());
}

#[test]
fn what_does_nothing_passes_nothing() {
    let (output, text) = explore(&["server", "--time-scale", "0.1", "--cmd", "sleep 60"]);
    assert_eq!((output.status.code(), text.as_str()), (Some(3), ""));
    let (output, text) = explore(&["client", "--time-scale", "0.1", "--adapter", "sleep 60"]);
    assert_eq!((output.status.code(), text.as_str()), (Some(3), ""));
}

#[test]
fn wrong_options_are_told() {
    for wrong in [&["server", "--bound", "0"][..], &["server", "--bound", "9"], &["client", "--only", "explore/head"]] {
        let (output, text) = explore(wrong);
        assert_eq!((output.status.code(), text.as_str()), (Some(2), ""), "{wrong:?}");
    }
}
