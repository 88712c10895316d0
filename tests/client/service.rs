//! Code written for `tower` services, over an executor.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use exec_http::client::service::REQUEST_BODY_BYTES;
use exec_http::client::{CallError, Reconnecting, RequestError, RequestOptions, Unconnected};
use exec_http::protocol::stream::Disconnect;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt as _};

use crate::executor::{Executor, assert_nothing_held, connected, get, head};

/// HTTP code that knows of no executor: posts a text, and returns the text that comes back.
async fn post<S, B>(mut service: S, text: &'static str) -> String
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Debug,
    B: Body,
    B::Error: Debug,
{
    let request = Request::post("http://origin.test/items").body(Full::from(text)).expect("a legal request");
    let response = service.ready().await.expect("ready").call(request).await.expect("a response");
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(body.into()).expect("text")
}

/// Waits for a service that takes whole bodies.
async fn ready<S: Service<Request<Full<Bytes>>>>(service: &mut S) -> Result<&mut S, S::Error> {
    service.ready().await
}

/// Answers a call with what was posted, in two frames.
async fn echo(executor: &mut Executor) {
    let call = executor.call().await;
    assert_eq!((&call.params["method"], &call.params["streamResponse"]), (&json!("POST"), &json!(true)));
    executor.respond(&call, head()).await;
    executor.delta(call.request_id(), json!({"seq": 1, "deltaBase64": call.params["bodyBase64"]})).await;
    executor.data(call.request_id(), 2, "!").await;
    executor.end(call.request_id(), 3).await;
}

#[tokio::test]
async fn http_code_runs_over_an_executor() {
    let (client, mut executor) = connected().await;
    let (text, ()) = tokio::join!(post(client.clone(), "text"), echo(&mut executor));
    assert_eq!(text, "text!");
    assert_nothing_held(&client);
}

#[tokio::test(start_paused = true)]
async fn http_code_runs_over_tower_layers() {
    let (client, mut executor) = connected().await;
    let limit = Duration::from_secs(5);
    let service = ServiceBuilder::new().concurrency_limit(1).timeout(limit).service(client.clone());
    let (first, second, ()) = tokio::join!(post(service.clone(), "a"), post(service.clone(), "b"), async {
        for _ in 0..2 {
            echo(&mut executor).await;
        }
    });
    assert_eq!((first.as_str(), second.as_str()), ("a!", "b!"));
    // The layer's timeout drops the call, which is all that it takes.
    let silent = service.oneshot(get().map(Full::new)).await.expect_err("silence");
    assert!(silent.is::<tower::timeout::error::Elapsed>(), "{silent}");
    assert_nothing_held(&client);
}

#[tokio::test]
async fn a_second_call_waits_behind_a_concurrency_limit() {
    let (client, mut executor) = connected().await;
    let mut service = ServiceBuilder::new().concurrency_limit(1).service(client.clone());
    let first = ready(&mut service).await.expect("ready").call(get().map(Full::new));
    let mut second = service.clone();
    assert!(ready(&mut second).now_or_never().is_none());
    let (response, ()) = tokio::join!(first, async {
        let call = executor.call().await;
        executor.respond(&call, head()).await;
    });
    response.expect("a response");
    ready(&mut second).await.expect("ready");
}

#[tokio::test]
async fn a_service_whose_connection_is_gone_is_never_ready_again() {
    let (mut client, executor) = connected().await;
    executor.close().await;
    while client.is_connected() {
        tokio::task::yield_now().await;
    }
    let gone = CallError::Disconnected { reason: Disconnect::Closed, sent: false };
    for _ in 0..2 {
        assert_eq!(ready(&mut client).await.map(drop), Err(gone.clone()));
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_is_refused_before_anything_is() {
    let (client, mut executor) = connected().await;
    let post = |body| Request::post("http://origin.test/").body(body).expect("a legal request");
    let too_large = CallError::Request(RequestError::BodyTooLarge { limit: REQUEST_BODY_BYTES });

    let announced = Full::new(Bytes::from(vec![0; REQUEST_BODY_BYTES + 1]));
    assert_eq!(client.clone().oneshot(post(announced)).await.expect_err("too large"), too_large);

    let endless = stream::repeat(Bytes::from(vec![0; 1024 * 1024])).map(|data| Ok::<_, CallError>(Frame::data(data)));
    let request = Request::post("http://origin.test/").body(StreamBody::new(endless)).expect("a legal request");
    assert_eq!(client.clone().oneshot(request).await.expect_err("too large"), too_large);

    let broken = stream::iter([Ok(Frame::data(Bytes::from("a"))), Err("secret broke")]);
    let request = Request::post("http://origin.test/").body(StreamBody::new(broken)).expect("a legal request");
    let error = client.clone().oneshot(request).await.expect_err("broken");
    assert!(matches!(error, CallError::Request(RequestError::Body(_))));
    assert_eq!(error.source().expect("the body's error").to_string(), "secret broke");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");

    let trailers = stream::iter([Ok::<Frame<Bytes>, CallError>(Frame::trailers(HeaderMap::new()))]);
    let request = Request::post("http://origin.test/").body(StreamBody::new(trailers)).expect("a legal request");
    let error = client.clone().oneshot(request).await.expect_err("trailers");
    assert_eq!(error, CallError::Request(RequestError::Trailers));

    assert_nothing_held(&client);
    // Memory keeps the order: a request would come first.
    executor.settle(&client).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_the_body_of_the_request() {
    let (client, mut executor) = connected().await;
    let limit = Duration::from_secs(5);
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, CallError>>());
    let options = RequestOptions { deadline: Some(limit), ..RequestOptions::default() };
    let request = Request::post("http://origin.test/").extension(options).body(never).expect("a legal request");
    let start = tokio::time::Instant::now();
    let error = client.clone().oneshot(request).await.expect_err("no body");
    assert_eq!(error, CallError::Deadline { limit, sent: false });
    assert_eq!(start.elapsed().as_secs(), limit.as_secs());
    executor.settle(&client).await;
}

#[tokio::test]
async fn a_reconnecting_client_is_ready_without_a_connection_until_it_is_closed() {
    let mut client = Reconnecting::new(|| async { Err("no executor") });
    ready(&mut client).await.expect("to connect is a part of the call");
    client.close();
    assert_eq!(ready(&mut client).await.map(drop), Err(CallError::Unconnected(Unconnected::Closed)));
}
