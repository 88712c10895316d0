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
use exec_http::conformance::explore::Model;
use exec_http::conformance::explore::client::ClientModel;
use exec_http::conformance::explore::orders::{DEFAULT_BOUND, orders, sample};
use exec_http::conformance::explore::search::{Outcome, Search};
use exec_http::conformance::explore::server::ServerModel;
use exec_http::conformance::lab::Lab;
use exec_http::conformance::launcher::{START, Target};
use exec_http::conformance::process::CommandLine;
use exec_http::conformance::report::paint::Paint;
use exec_http::conformance::report::repeat::Repeat;
use exec_http::conformance::run::AnyLab;
use exec_http::conformance::verdict::Verdict;
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
            assert!(matches!(failure.result.verdict, Verdict::Fail(_)), "{name}: {:?}", failure.result);
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
async fn the_first_order_that_shows_a_defect_of_a_client() {
    let meet = async |name| first(name, client(&["zoo", "adapter", name], Transport::Websocket).await).await;
    compare(stream::iter(names(CLIENTS)).map(meet).buffer_unordered(AT_ONCE).collect().await, CLIENTS);
}

/// What the explorer finds by itself: the clause that the specimen breaks, the first order that fails at the default bound, and
/// the clause that this order names. Where the two clauses differ, the named one is broken as well: it is what that order shows
/// first.
const EXECUTORS: &str = "
active-request-id-accepted:
answers-behind-streams:
bytes-of-a-neighbour:
calls-outlive-client:
cancel-across-connections:
cancel-answered-first:
cancelled-id-stays-taken:
cancelled-twice:
clean-end-behind-a-failure:
client-delta-ends-stream:
ended-call-cancelled:
failed-id-stays-taken:
failure-ends-all-streams:
frame-before-the-response:
frames-to-the-last-call:
get-sent-again:
id-freed-late:
id-kept-by-a-broken-body:
id-kept-by-an-empty-body:
id-used-up:
lost-connection-ends-all:
malformed-hangs-up:
one-call-at-a-time:
one-frame-behind:
one-stream-at-a-time:
refusal-ends-streams:
refusal-ends-the-stream:
refusal-sent-twice:
response-with-the-first-bytes:
seq-goes-on-behind-a-failure:
seq-shared:
stray-response-hangs-up:
streams-outlive-client:
two-terminals:
unknown-cancel-ends-the-stream:
unknown-notification-hangs-up:
";

const CLIENTS: &str = "
abandoned-receive-takes-frame:
answer-behind-error-is-fatal:
answer-behind-result-is-fatal:
answers-taken-in-order:
any-seq-accepted:
broken-before-a-frame-is-empty:
caller-chosen-reused-id:
calls-outlive-disconnect:
disconnect-as-sequence-error:
disconnect-before-end:
disconnect-behind-first-frame:
disconnect-told-once:
done-of-any-seq:
early-error-fails-call:
end-not-sticky:
failure-record-leaks-on-drop:
gap-ends-all-streams:
gap-is-fatal:
insert-after-disconnect:
late-answer-is-fatal:
late-data-is-fatal:
late-frame-is-fatal:
late-gap-is-fatal:
later-end-counts:
later-end-hides-error:
later-error-counts:
lowest-free-id:
one-stream-told-of-disconnect:
receive-not-cancel-safe:
refused-id-reused:
repeats-ignored:
response-restarts-seq:
route-kept-after-refusal:
route-kept-after-terminal:
route-leaks-on-cancel:
route-made-by-response:
stray-frame-adopted:
streams-outlive-disconnect:
whole-body-not-cancel-safe:
";

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
