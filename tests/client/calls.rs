//! What a request looks like on the wire, and what its result looks like to the caller.

use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{CallError, Client, HeaderEnvVar, RequestError, RequestOptions};
use exec_http::protocol::http::RedirectPolicy;
use http::{HeaderName, HeaderValue, Request, Response};
use serde_json::{Value, json};

use crate::executor::{Executor, assert_nothing_held, connected, connected_with, get, head};

/// Makes a buffered call that is answered with `result`; returns the params that were sent and what the caller gets.
async fn call(
    client: &Client,
    executor: &mut Executor,
    request: Request<Bytes>,
    result: Value,
) -> (Value, Result<Response<Bytes>, CallError>) {
    let (response, params) = tokio::join!(client.request(request), async {
        let call = executor.call().await;
        executor.respond(&call, result).await;
        call.params
    });
    (params, response)
}

#[tokio::test]
async fn a_request_is_sent_as_it_is() {
    let (client, mut executor) = connected().await;
    let options = RequestOptions {
        timeout: Some(Duration::from_millis(1500)),
        redirect: RedirectPolicy::Stop,
        ..RequestOptions::default()
    };
    let request = Request::post("https://user@origin.test:8443/a%20b?c=d")
        .header("x-two", "1")
        .header("x-one", "é")
        .header("x-two", "2")
        .extension(options)
        .body(Bytes::from_static(b"\0\xff"));
    let (mut params, response) = call(&client, &mut executor, request.expect("legal"), head()).await;
    response.expect("a response");
    params["headers"].as_array_mut().expect("headers").sort_by_key(|header| header["name"].to_string());
    params["requestId"].take();
    assert_eq!(
        params,
        json!({
            "method": "POST",
            "url": "https://user@origin.test:8443/a%20b?c=d",
            "headers": [
                {"name": "x-one", "value": "é"},
                {"name": "x-two", "value": "1"},
                {"name": "x-two", "value": "2"},
            ],
            "bodyBase64": "AP8=",
            "timeoutMs": 1500,
            "redirectPolicy": "stop",
            "requestId": null,
            "streamResponse": false,
        })
    );
}

#[tokio::test]
async fn defaults_are_not_sent() {
    let (client, mut executor) = connected().await;
    let (params, _) = call(&client, &mut executor, get(), head()).await;
    for member in ["bodyBase64", "timeoutMs", "redirectPolicy"] {
        assert_eq!(params.get(member), None, "{member}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_refused_before_it_is() {
    let (client, mut executor) = connected().await;
    let mut latin = get();
    latin.headers_mut().insert("x-name", HeaderValue::from_bytes(b"caf\xe9").expect("legal in HTTP"));
    let variable = HeaderEnvVar { name: HeaderName::from_static("x-key"), prefix: "p".into(), variable: "V".into() };
    let mut secret = get();
    secret.extensions_mut().insert(RequestOptions { header_env_vars: vec![variable], ..RequestOptions::default() });
    let uri = |uri: &str| Request::get(uri).body(Bytes::new()).expect("a URI");
    for (request, expected) in [
        (latin, RequestError::HeaderValue(HeaderName::from_static("x-name"))),
        (secret, RequestError::HeaderEnvVar(HeaderName::from_static("x-key"))),
        (uri("/path"), RequestError::Uri),
        (uri("origin.test:80"), RequestError::Uri),
        (uri("ftp://origin.test/"), RequestError::Uri),
    ] {
        assert_eq!(client.request(request.clone()).await.expect_err("refused"), expected.clone().into());
        assert_eq!(client.stream(request).await.expect_err("refused"), expected.into());
    }
    assert_nothing_held(&client);
    executor.settle(&client).await;
}

/// PARAMS-27.
#[tokio::test]
async fn a_variable_is_sent_to_an_executor_that_announced_it() {
    let capabilities = json!({"httpHeaderEnvVars": true});
    let result = json!({"sessionId": "s", "environmentInfo": {"capabilities": capabilities}});
    let (client, mut executor) = connected_with(Default::default(), result).await;
    let name = HeaderName::from_static("authorization");
    let variable = HeaderEnvVar { name, prefix: "Bearer ".into(), variable: "TOKEN".into() };
    let mut request = get();
    request.extensions_mut().insert(RequestOptions { header_env_vars: vec![variable], ..RequestOptions::default() });
    let (params, _) = call(&client, &mut executor, request, head()).await;
    let header = json!({"name": "authorization", "value": "Bearer ", "valueEnvVar": "TOKEN"});
    assert_eq!(params["headers"], json!([header]));
}

#[tokio::test]
async fn a_result_keeps_status_order_and_bytes() {
    let (client, mut executor) = connected().await;
    let result = json!({
        "status": 599,
        "headers": [
            {"name": "x-name", "value": "caf\u{fffd}", "valueBase64": "Y2Fm6Q=="},
            {"name": "set-cookie", "value": "b=é"},
            {"name": "set-cookie", "value": "a=1"},
        ],
        "bodyBase64": "AP8=",
        "extra": 1,
    });
    let (_, response) = call(&client, &mut executor, get(), result).await;
    let response = response.expect("any status is a response");
    assert_eq!(response.status().as_u16(), 599);
    assert_eq!(response.headers()["x-name"].as_bytes(), b"caf\xe9");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(cookies, ["b=é".as_bytes(), b"a=1"]);
    assert_eq!(response.into_body(), &b"\0\xff"[..]);
}

/// RESPONSE-15.
#[tokio::test]
async fn a_result_that_does_not_decode_fails_its_call_only() {
    let (client, mut executor) = connected().await;
    let with = |member: &str, value: Value| {
        let mut result = head();
        result[member] = value;
        result
    };
    for (result, member) in [
        (json!(null), "result"),
        (with("status", json!(0)), "status"),
        (with("status", json!(1000)), "status"),
        (with("status", json!("200")), "status"),
        (with("headers", json!({})), "headers"),
        (with("headers", json!([{"name": "a b", "value": ""}])), "headers"),
        (with("headers", json!([{"name": "a", "value": "x\ny"}])), "headers"),
        (with("bodyBase64", json!("YQ")), "bodyBase64"),
        (with("bodyBase64", json!(null)), "bodyBase64"),
    ] {
        let (_, response) = call(&client, &mut executor, get(), result.clone()).await;
        match response {
            Err(CallError::Result(error)) => assert_eq!(error.member, member, "{result}"),
            other => panic!("{result} was read as {other:?}"),
        }
    }
    assert_nothing_held(&client);
}

/// ERROR-16: what a client says of a request holds nothing of it.
#[tokio::test]
async fn errors_and_debug_texts_hold_no_secret() {
    let (client, mut executor) = connected().await;
    let mut request = Request::get("http://origin.test/secret?secret").body(Bytes::from("secret")).expect("legal");
    request.headers_mut().insert("x-key", HeaderValue::from_bytes(b"secret\xe9").expect("legal in HTTP"));
    let error = client.request(request.clone()).await.expect_err("not UTF-8");
    request.headers_mut().insert("x-key", HeaderValue::from_static("secret"));
    let (lost, ()) = tokio::join!(client.request(request), async {
        executor.call().await;
        executor.send_text(r#"{"secret":"#).await;
    });
    let lost = lost.expect_err("the connection ended");
    for text in [error.to_string(), format!("{error:?}"), lost.to_string(), format!("{lost:?} {client:?}")] {
        assert!(!text.contains("secret"), "{text}");
    }
}
