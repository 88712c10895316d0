//! What a case does by itself, whatever its steps say.

use tokio::net::TcpListener;

use super::*;
use crate::conformance::case::Half;
use crate::conformance::suites;
use crate::conformance::wire::Incoming;

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_client_that_closes_is_answered_and_its_stream_ended() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let accepted = async { Wire::accept_websocket(listener.accept().await?.0).await };
    let (client, accepted) = tokio::join!(Wire::websocket(&url, None), accepted);
    let (mut client, (wire, _)) = (client.expect("a websocket"), accepted.expect("a client"));

    let settings = Settings::default();
    let mut stage = Stage::new(&suites::of(Half::Client)[0], &settings, None, false);
    stage.open("main", wire);
    let close = client.sender.encode_close();
    client.sender.write(&close).await.expect("the socket takes it");
    // The client waits for the end, as RFC 6455 lets it.
    let seen = async { (client.receiver.next().await, client.receiver.next().await) };
    let seen = stage.while_recording(Instant::now() + LIMIT, seen).await;
    assert_eq!(seen, Some((Incoming::Close(Some(1000)), Incoming::End("end of input".to_owned()))));
}

#[tokio::test]
async fn events_behind_the_verdict_are_not_listened_to() {
    let settings = Settings::default();
    let mut stage = Stage::new(&suites::of(Half::Client)[0], &settings, None, false);
    let events = stage.events();
    let flood = tokio::spawn(async move {
        let ping = || What::Ping { connection: "main".to_owned(), text: String::new() };
        while events.send((Instant::now(), ping())).await.is_ok() {}
    });
    stage.record(What::Broken { reason: "enough".to_owned() });
    let recorded = stage.trace.events.len();
    let stuck = std::future::pending::<()>();
    assert_eq!(stage.while_recording(Instant::now() + LIMIT, stuck).await, None);
    stage.drain().await;
    assert_eq!(stage.trace.events.len(), recorded);
    drop(stage);
    flood.await.expect("it ends with the case");
}
