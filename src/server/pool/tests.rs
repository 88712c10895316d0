use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Full;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::protocol::http::RequestParams;
use crate::server::destination::DestinationPolicy;
use crate::server::limits::Limits;
use crate::server::origin::{OriginBody, SendError};
use crate::server::proxy::ProxyStream;
use crate::server::request::OriginRequest;
use crate::server::roots::ExtraRoots;
use crate::server::upstream::Upstream;

/// No event of these tests takes this long on a working executor; less than [`IDLE_TIME`].
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole response.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    (listener, url)
}

fn upstream() -> Upstream {
    Upstream::new(DestinationPolicy::default(), None, ExtraRoots::default(), Limits::default())
}

async fn head(upstream: &Upstream, url: &str, more: Value) -> OriginBody {
    let mut params = json!({"requestId": "r", "method": "GET", "url": url});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let params = RequestParams::from_value(Some(params)).expect("legal");
    let request = OriginRequest::from_params(params, &Limits::default()).expect("legal");
    let response = timeout(PATIENCE, upstream.send(&request)).await.expect("in time");
    response.expect("an answer").into_body()
}

async fn whole(mut body: OriginBody) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(data) = timeout(PATIENCE, body.data()).await.expect("in time").expect("no failure") {
        whole.extend_from_slice(&data);
    }
    whole
}

/// Reads the head of a request.
async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
}

/// An origin's end of a connection after one exchange that was whole.
async fn exchange(upstream: &Upstream, listener: &TcpListener, url: &str) -> TcpStream {
    let origin = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.expect("it reads");
        stream
    };
    let client = async { whole(head(upstream, url, json!({})).await).await };
    let (body, stream) = timeout(PATIENCE, async { tokio::join!(client, origin) }).await.expect("in time");
    assert_eq!(body, b"hello");
    stream
}

/// Waits until the other end closes.
async fn closed(mut stream: TcpStream) {
    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
}

/// A connection without an exchange, and the origin's end of it.
async fn connection(listener: &TcpListener, url: &str) -> (OriginConnection, TcpStream) {
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    let key = OriginKey::of(&url.parse().expect("a URL"));
    let stream = MaybeHttpsStream::Http(ProxyStream::direct(TokioIo::new(stream)));
    (OriginConnection::new(key, stream, Limits::default().response_head_bytes).await.expect("no word"), far)
}

#[tokio::test]
async fn a_connection_is_used_again_also_by_a_redirect() {
    let (listener, url) = listen().await;
    let accepted = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        for answer in [
            ANSWER,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: trailer\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nContent-Length: 5\r\n\r\nmoved",
            ANSWER,
        ] {
            read_head(&mut stream).await;
            stream.write_all(answer).await.expect("it reads");
        }
        listener
    });
    let upstream = upstream();
    for body in [&b"hello"[..], b"hello", b""] {
        assert_eq!(whole(head(&upstream, &url, json!({})).await).await, body);
    }
    crate::server::body::discard(head(&upstream, &url, json!({})).await);
    assert_eq!(whole(head(&upstream, &url, json!({})).await).await, b"hello");
    let listener = accepted.await.expect("no panic");
    assert!(listener.accept().now_or_never().is_none(), "one connection");
}

#[tokio::test]
async fn a_connection_is_not_used_for_another_origin_or_after_its_last_response() {
    let upstream = upstream();
    for last in [
        &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let (listener, url) = listen().await;
        let origin = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            read_head(&mut stream).await;
            stream.write_all(last).await.expect("it reads");
            closed(stream).await;
        });
        assert_eq!(whole(head(&upstream, &url, json!({})).await).await, b"");
        timeout(PATIENCE, origin).await.expect("it is closed").expect("no panic");
    }
    let ((first, one), (second, other)) = (listen().await, listen().await);
    let _kept = exchange(&upstream, &first, &one).await;
    let _other = exchange(&upstream, &second, &other).await;
}

#[tokio::test]
async fn a_connection_that_its_origin_closed_is_dropped_at_once_and_not_used() {
    let ((listener, url), upstream) = (listen().await, upstream());
    let mut stream = exchange(&upstream, &listener, &url).await;
    stream.shutdown().await.expect("open");
    // Nothing but the sweeping task can close it.
    timeout(PATIENCE, closed(stream)).await.expect("it is closed");
    exchange(&upstream, &listener, &url).await;
}

#[tokio::test]
async fn a_closed_connection_is_not_taken_and_gives_a_request_back() {
    let ((listener, url), pool) = (listen().await, Pool::new());
    for give_back in [false, true] {
        let (mut connection, far) = connection(&listener, &url).await;
        let key = connection.key().clone();
        drop(far);
        poll_fn(|cx| {
            connection.drive(cx);
            if connection.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if give_back {
            let request = http::Request::new(Full::from(Bytes::new()));
            let failed = connection.send(request, &pool).await;
            assert!(matches!(failed, Err(SendError { unsent: true, .. })), "{failed:?}");
        } else {
            pool.keep(connection);
            assert!(pool.take(&key).is_none());
        }
    }
}

#[tokio::test]
async fn a_request_that_was_written_is_not_given_back() {
    let ((listener, url), pool) = (listen().await, Pool::new());
    let (connection, mut far) = connection(&listener, &url).await;
    let request = http::Request::new(Full::from(Bytes::new()));
    let origin = async {
        read_head(&mut far).await;
        drop(far);
    };
    let (failed, ()) = tokio::join!(connection.send(request, &pool), origin);
    assert!(matches!(failed, Err(SendError { unsent: false, .. })), "{failed:?}");
}

#[tokio::test]
async fn an_unused_connection_is_kept_for_its_time_and_the_sweeping_task_ends() {
    let ((listener, url), upstream) = (listen().await, upstream());
    let stream = exchange(&upstream, &listener, &url).await;
    tokio::time::pause();
    let begun = Instant::now();
    closed(stream).await;
    let kept = begun.elapsed();
    assert!(kept.abs_diff(IDLE_TIME) < Duration::from_secs(5), "{kept:?}");
    assert!(!upstream.pool().idle.lock().swept);
    tokio::time::resume();
    exchange(&upstream, &listener, &url).await;
}

#[tokio::test]
async fn unused_connections_end_when_they_are_cleared_and_with_their_pool() {
    let ((listener, url), upstream) = (listen().await, upstream());
    let stream = exchange(&upstream, &listener, &url).await;
    upstream.pool().clear();
    timeout(PATIENCE, closed(stream)).await.expect("it is closed");
    let stream = exchange(&upstream, &listener, &url).await;
    drop(upstream);
    timeout(PATIENCE, closed(stream)).await.expect("it is closed");
}

#[tokio::test]
async fn a_dropped_exchange_closes_its_connection() {
    let ((listener, url), upstream) = (listen().await, upstream());
    let accept = async || {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        stream
    };
    let stream = tokio::select! {
        _ = head(&upstream, &url, json!({})) => unreachable!("there is no answer"),
        stream = accept() => stream,
    };
    timeout(PATIENCE, closed(stream)).await.expect("it is closed before the head");
    let (mut body, stream) = tokio::join!(head(&upstream, &url, json!({})), async {
        let mut stream = accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello").await.expect("it reads");
        stream
    });
    assert_eq!(body.data().await.expect("no failure").as_deref(), Some(&b"hello"[..]));
    drop(body);
    timeout(PATIENCE, closed(stream)).await.expect("it is closed in the body");
    assert_eq!(upstream.pool().idle.lock().count, 0);
}

#[tokio::test]
async fn a_request_is_sent_to_its_end_although_its_response_is_whole() {
    /// More than the buffers of two sockets hold.
    const BYTES: usize = 24 * 1024 * 1024;
    let ((listener, url), upstream) = (listen().await, upstream());
    let (answered, read_on) = oneshot::channel();
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.expect("it reads");
        read_on.await.expect("the response is whole");
        stream.read_exact(&mut vec![0; BYTES]).await.expect("the whole request");
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.expect("it reads");
    });
    let more = json!({"bodyBase64": STANDARD.encode(vec![0; BYTES])});
    assert_eq!(whole(head(&upstream, &url, more).await).await, b"hello");
    assert_eq!(upstream.pool().idle.lock().count, 0);
    answered.send(()).expect("it waits");
    let unsent = Arc::clone(&upstream.pool().unsent);
    let all = u32::try_from(UNSENT_REQUESTS).expect("a few");
    drop(timeout(PATIENCE, unsent.acquire_many(all)).await.expect("it is sent").expect("open"));
    assert_eq!(whole(head(&upstream, &url, json!({})).await).await, b"hello");
    timeout(PATIENCE, origin).await.expect("one connection").expect("no panic");
}

#[tokio::test]
async fn unused_connections_are_bounded_for_each_origin_and_the_oldest_goes_first() {
    let ((listener, url), mut idle) = (listen().await, Idle::default());
    let mut far_ends = Vec::new();
    let now = Instant::now();
    let other = connection(&listener, "http://other/").await.0;
    let other_key = other.key().clone();
    assert!(idle.push(other, now - Duration::from_secs(1)).is_none());
    for number in 0..=IDLE_CONNECTIONS {
        let (connection, far) = connection(&listener, &url).await;
        far_ends.push(far);
        assert_eq!(idle.push(connection, now).is_some(), number == IDLE_CONNECTIONS);
    }
    assert_eq!(idle.count, IDLE_CONNECTIONS + 1);
    assert_eq!(idle.pop_oldest().expect("there are some").key(), &other_key);
    assert!(idle.pop(&other_key).is_none());
    idle.count = ALL_IDLE_CONNECTIONS;
    assert!(idle.push(connection(&listener, "http://other/").await.0, now).is_some(), "too many in all");
}
