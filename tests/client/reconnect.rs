//! One connection after the other: when one is made, who waits for it, and that nothing is sent twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use exec_http::client::reconnect::{DIAL_TIMEOUT, FIRST_PAUSE};
use exec_http::client::{CallError, ConnectError, ReconnectConfig, Reconnecting, RequestOptions, Unconnected};
use exec_http::protocol::stream::{Disconnect, StreamError};
use exec_http::transport::{Connection, memory};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::executor::{Executor, disconnect_of, get, head, read};

/// One use of the dial function, to be answered by the test.
struct Dial {
    answer: oneshot::Sender<Result<Connection, &'static str>>,
}

impl Dial {
    /// Connects, and answers the handshake.
    async fn accept(self) -> Executor {
        let mut executor = self.accept_with(json!({"result": {"sessionId": "s"}})).await;
        assert_eq!(executor.next().await.expect("initialized")["method"], "initialized");
        executor
    }

    /// Connects, and answers `initialize` with these members beside its id.
    async fn accept_with(self, mut answer: Value) -> Executor {
        let (near, far) = memory::pair();
        let mut executor = Executor::new(far);
        self.answer.send(Ok(near)).expect("the dial is waited for");
        answer["id"] = executor.next().await.expect("initialize")["id"].take();
        executor.send(answer).await;
        executor
    }

    fn refuse(self) {
        self.answer.send(Err("refused")).map_err(|_| ()).expect("the dial is waited for");
    }
}

/// A client whose dials are answered by the test.
fn scripted(config: ReconnectConfig) -> (Reconnecting, mpsc::UnboundedReceiver<Dial>) {
    let (sender, dials) = mpsc::unbounded_channel();
    let dial = move || {
        let (answer, connection) = oneshot::channel();
        sender.send(Dial { answer }).map_err(|_| ()).expect("the test waits for dials");
        async { connection.await.unwrap_or(Err("the test is gone")) }
    };
    (Reconnecting::with(dial, config), dials)
}

/// Virtual time: nothing but a dial that never comes lets it pass.
const NEVER: Duration = Duration::from_secs(3600);

async fn next(dials: &mut mpsc::UnboundedReceiver<Dial>) -> Dial {
    timeout(NEVER, dials.recv()).await.expect("a dial").expect("the client lives")
}

fn refused() -> CallError {
    CallError::Unconnected(Unconnected::Dial("refused".into()))
}

/// Makes a buffered call, which must reach this executor.
async fn call(client: &Reconnecting, executor: &mut Executor) {
    let (response, ()) = tokio::join!(client.request(get()), async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
    });
    response.expect("the connection lives");
}

/// Returns when the client has seen the end of the connection.
async fn close(executor: Executor, client: &Reconnecting) {
    let connected = client.client().await.expect("a connection");
    executor.close().await;
    while connected.is_connected() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_call_dials_and_later_ones_use_its_connection() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    tokio::task::yield_now().await;
    assert!(dials.try_recv().is_err(), "nobody has called");
    let (response, mut executor) = tokio::join!(client.stream(get()), async {
        let mut executor = next(&mut dials).await.accept().await;
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        executor.end(call.request_id(), 1).await;
        executor
    });
    assert_eq!(read(response.expect("a response").body_mut()).await, (vec![], Ok(())));
    call(&client.clone(), &mut executor).await;
    assert!(dials.try_recv().is_err(), "there is a connection");
    assert_eq!(client.client().await.expect("a connection").session_id(), "s");
}

/// CLOSE-10, CLOSE-11, CLOSE-12.
#[tokio::test(start_paused = true)]
async fn what_was_in_flight_fails_and_is_not_sent_on_the_next_connection() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let (response, mut executor) = tokio::join!(client.stream(get()), async {
        let mut executor = next(&mut dials).await.accept().await;
        let call = executor.call().await;
        executor.respond(&call, head()).await;
        executor
    });
    let mut body = response.expect("a response").into_body();
    let (lost, ()) = tokio::join!(client.request(get()), async {
        executor.call().await;
        executor.close().await;
    });
    assert_eq!(disconnect_of(lost), (Disconnect::Closed, true));
    assert_eq!(read(&mut body).await, (vec![], Err(StreamError::Disconnected(Disconnect::Closed))));
    assert!(dials.try_recv().is_err(), "no call, no dial");
    let start = Instant::now();
    let ((), mut executor) = tokio::join!(
        async {
            client.client().await.expect("a connection");
        },
        async { next(&mut dials).await.accept().await }
    );
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing has failed that would be a reason to wait");
    // The next thing that comes is this call.
    call(&client, &mut executor).await;
    assert_eq!(executor.next().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_while_idle_costs_no_call() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    for _ in 0..3 {
        let (connected, executor) = tokio::join!(client.client(), async { next(&mut dials).await.accept().await });
        connected.expect("a connection");
        close(executor, &client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_one_dial() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let calls = join_all((0..10).map(|_| client.request(get())));
    let (responses, ()) = tokio::join!(calls, async {
        let dial = next(&mut dials).await;
        sleep(DIAL_TIMEOUT / 2).await;
        assert!(dials.try_recv().is_err(), "one dial at a time");
        let mut executor = dial.accept().await;
        for _ in 0..10 {
            let call = executor.call().await;
            executor.respond(&call, head()).await;
        }
    });
    assert!(responses.iter().all(Result::is_ok));
    assert!(dials.try_recv().is_err());
}

/// Fails the dial, and returns the time since `last`, which is now.
async fn refuse_next(dials: &mut mpsc::UnboundedReceiver<Dial>, last: &mut Instant) -> Duration {
    let dial = next(dials).await;
    let pause = last.elapsed();
    *last = Instant::now();
    dial.refuse();
    pause
}

#[track_caller]
fn assert_pause(pause: Duration, doubled: u32) {
    let whole = FIRST_PAUSE * 2_u32.pow(doubled);
    // The timer's grain is a millisecond.
    assert!((whole / 2..=whole + Duration::from_millis(1)).contains(&pause), "{pause:?} for at most {whole:?}");
}

#[tokio::test(start_paused = true)]
async fn failed_dials_pause_longer_and_longer_until_one_succeeds() {
    let (client, mut dials) = scripted(ReconnectConfig { dials: 3, ..ReconnectConfig::default() });
    let mut last = Instant::now();
    let (first, second, ()) = tokio::join!(client.request(get()), client.stream(get()), async {
        assert_eq!(refuse_next(&mut dials, &mut last).await, Duration::ZERO);
        for failures in 0..2 {
            assert_pause(refuse_next(&mut dials, &mut last).await, failures);
        }
    });
    assert_eq!((first.expect_err("refused"), second.expect_err("refused")), (refused(), refused()));
    assert_eq!(last.elapsed(), Duration::ZERO, "behind the last dial nobody waits");
    // The next calls wait for the rest of the pause.
    let (failed, ()) = tokio::join!(client.request(get()), async {
        for failures in 2..5 {
            assert_pause(refuse_next(&mut dials, &mut last).await, failures);
        }
    });
    assert_eq!(failed.map(drop), Err(refused()));
    let (connected, executor) = tokio::join!(client.client(), async {
        let dial = next(&mut dials).await;
        assert_pause(last.elapsed(), 5);
        dial.accept().await
    });
    connected.expect("a connection");
    close(executor, &client).await;
    last = Instant::now();
    let (connected, _executor) = tokio::join!(client.client(), async {
        let dial = next(&mut dials).await;
        assert_eq!(last.elapsed(), Duration::ZERO, "a success ends the pauses");
        dial.accept().await
    });
    connected.expect("a connection");
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_and_a_handshake_that_is_refused_are_failures() {
    let (client, mut dials) = scripted(ReconnectConfig { dials: 1, ..ReconnectConfig::default() });
    let start = Instant::now();
    let (failed, _dial) = tokio::join!(client.request(get()), next(&mut dials));
    assert_eq!(failed.map(drop), Err(CallError::Unconnected(Unconnected::DialTimeout(DIAL_TIMEOUT))));
    assert_eq!(start.elapsed().as_secs(), DIAL_TIMEOUT.as_secs());
    let (failed, executor) = tokio::join!(client.request(get()), async {
        let error = json!({"code": -32600, "message": "not today"});
        next(&mut dials).await.accept_with(json!({"error": error})).await
    });
    match failed {
        Err(CallError::Unconnected(Unconnected::Handshake(ConnectError::Executor(error)))) => {
            assert_eq!(error.code, -32600);
        }
        other => panic!("not refused: {other:?}"),
    }
    drop(executor);
}

/// A caller's deadline ends its call; the dial goes on for the next one.
#[tokio::test(start_paused = true)]
async fn a_dial_outlives_the_call_that_began_it() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let limit = Duration::from_secs(1);
    let mut request = get();
    request.extensions_mut().insert(RequestOptions { deadline: Some(limit), ..RequestOptions::default() });
    let start = Instant::now();
    assert_eq!(client.request(request).await.map(drop), Err(CallError::Deadline { limit, sent: false }));
    assert_eq!(start.elapsed().as_secs(), 1);
    let mut executor = next(&mut dials).await.accept().await;
    // Nothing came before this call.
    call(&client, &mut executor).await;
    assert!(dials.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_gives_up_the_dial_and_fails_who_waits_for_it() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let start = Instant::now();
    let (failed, mut dial) = tokio::join!(client.request(get()), async {
        let dial = next(&mut dials).await;
        client.clone().close();
        dial
    });
    let closed = CallError::Unconnected(Unconnected::Closed);
    assert_eq!(failed.map(drop), Err(closed.clone()));
    dial.answer.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO, "not only when the dial took too long");
    assert!(client.is_closed());
    assert_eq!(client.request(get()).await.map(drop), Err(closed));
    assert!(dials.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_lets_calls_in_flight_end() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let (connected, mut executor) = tokio::join!(client.client(), async { next(&mut dials).await.accept().await });
    drop(connected);
    let (response, ()) = tokio::join!(client.request(get()), async {
        let call = executor.call().await;
        client.close();
        executor.respond(&call, head()).await;
    });
    response.expect("it was in flight");
    assert_eq!(executor.next().await, None, "behind the last call the connection closes");
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_gives_up_the_dial() {
    let (client, mut dials) = scripted(ReconnectConfig::default());
    let mut pending = Box::pin(client.request(get()));
    assert!(pending.as_mut().now_or_never().is_none());
    let mut dial = next(&mut dials).await;
    drop(pending);
    drop(client);
    let start = Instant::now();
    dial.answer.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO, "not only when the dial took too long");
    assert!(dials.recv().await.is_none(), "the dial function is gone, too");
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_panics_fails_its_calls_and_no_later_one() {
    let dials = AtomicU32::new(0);
    let dial = move || {
        let first = dials.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if first { panic!("as the test wants") } else { Err::<Connection, _>("refused") } }
    };
    let client = Reconnecting::new(dial);
    match client.request(get()).await {
        Err(CallError::Unconnected(Unconnected::Dial(text))) => assert!(text.contains("without a result"), "{text}"),
        other => panic!("not told: {other:?}"),
    }
    assert_eq!(client.request(get()).await.map(drop), Err(refused()));
}
