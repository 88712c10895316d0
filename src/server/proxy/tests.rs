use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::protocol::error::{ErrorKind, RpcError};
use crate::protocol::http::RequestParams;
use crate::server::destination::DestinationPolicy;
use crate::server::limits::Limits;
use crate::server::request::OriginRequest;
use crate::server::roots::ExtraRoots;
use crate::server::upstream::Upstream;

/// Reads variables from pairs.
fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
    let read = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    Proxies::from_variables(read)
}

/// A proxy for one connection: its address, and what it was sent before its answer, and the first byte after it.
async fn proxy(answer: &'static [u8]) -> (String, JoinHandle<(String, Option<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        stream.write_all(answer).await.expect("it reads");
        let next = stream.read_u8().await.ok();
        (String::from_utf8(head).expect("ASCII").to_lowercase(), next)
    });
    (address.to_string(), serving)
}

async fn send(proxies: Proxies, policy: DestinationPolicy, url: &str) -> Result<u16, RpcError> {
    let params = json!({"requestId": "r", "method": "GET", "url": url});
    let params = RequestParams::from_value(Some(params)).expect("legal");
    let request = OriginRequest::from_params(params, &Limits::default()).expect("legal");
    let upstream = Upstream::new(policy, Some(proxies), ExtraRoots::default(), Limits::default());
    upstream.send(&request).await.map(|response| response.status().as_u16())
}

#[test]
fn variables_are_read_as_curl_reads_them() {
    let chosen = |variables: &[(&str, &str)], url: &'static str| {
        let proxy = proxies(variables).expect("legal").intercept(&Uri::from_static(url));
        proxy.map(|proxy| proxy.uri().authority().expect("a host").to_string())
    };
    let some = |authority: &str| Some(authority.to_owned());
    assert_eq!(chosen(&[], "http://h/"), None);
    assert_eq!(chosen(&[("http_proxy", "p:1")], "http://h/"), some("p:1"));
    assert_eq!(chosen(&[("http_proxy", "p:1")], "https://h/"), None);
    assert_eq!(chosen(&[("HTTP_PROXY", "p:1")], "http://h/"), None);
    assert_eq!(chosen(&[("HTTPS_PROXY", "http://u:p@p:1/")], "https://h/"), some("p:1"));
    assert_eq!(chosen(&[("https_proxy", "p:1"), ("HTTPS_PROXY", "q:1")], "https://h/"), some("p:1"));
    assert_eq!(chosen(&[("all_proxy", "p:1"), ("http_proxy", "")], "http://h/"), some("p:1"));
    let exempt = &[("ALL_PROXY", "p:1"), ("no_proxy", "example.com, 10.0.0.0/8")];
    assert_eq!(chosen(exempt, "http://a.example.com/"), None);
    assert_eq!(chosen(exempt, "http://10.0.0.1/"), None);
    assert_eq!(chosen(exempt, "http://other.example/"), some("p:1"));
}

#[test]
fn what_is_no_http_proxy_is_told_by_the_name_of_its_variable() {
    for (variable, value) in [
        ("all_proxy", "socks5://user:secret@127.0.0.1:1080"),
        ("https_proxy", "https://127.0.0.1:1"),
        ("http_proxy", "http://"),
        ("http_proxy", "/path"),
        ("http_proxy", "not a proxy"),
    ] {
        let error = proxies(&[(variable, value)]).expect_err(value);
        assert_eq!(error.variable, variable);
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_plain_request_goes_to_the_proxy_with_its_whole_url_and_the_proxy_is_exempt() {
    let (address, serving) = proxy(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let proxies = proxies(&[("http_proxy", &format!("http://user:pass@{address}"))]).expect("legal");
    let policy = DestinationPolicy { allow: vec!["*.invalid".parse().expect("a rule")], deny: Vec::new() };
    assert_eq!(send(proxies, policy, "http://origin.invalid:81/path?query").await, Ok(204));
    let (head, _) = serving.await.expect("no panic");
    assert!(head.starts_with("get http://origin.invalid:81/path?query http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: origin.invalid:81\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"), "{head}");
}

#[tokio::test]
async fn a_secure_request_goes_through_a_tunnel() {
    let (address, serving) = proxy(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let proxies = proxies(&[("https_proxy", &format!("http://user:pass@{address}"))]).expect("legal");
    let error = send(proxies, DestinationPolicy::default(), "https://origin.invalid/path").await;
    assert_eq!(error.expect_err("the tunnel ends").kind, Some(ErrorKind::Tls));
    let (head, next) = serving.await.expect("no panic");
    assert!(head.starts_with("connect origin.invalid:443 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"), "{head}");
    assert_eq!(next, Some(22), "the first byte of a TLS handshake");
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_a_failed_connection() {
    let (address, _serving) = proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let proxies = proxies(&[("all_proxy", &address)]).expect("legal");
    let error = send(proxies, DestinationPolicy::default(), "https://origin.invalid/").await;
    assert_eq!(error.expect_err("no tunnel").kind, Some(ErrorKind::Connect));
}

#[tokio::test]
async fn behind_a_proxy_names_and_literal_addresses_are_judged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    for url in ["http://169.254.169.254/", "https://[::ffff:169.254.169.254]/", "http://metadata.google.internal/"] {
        let proxies = proxies(&[("all_proxy", &address)]).expect("legal");
        let error = send(proxies, DestinationPolicy::default(), url).await;
        assert_eq!(error.expect_err(url).kind, Some(ErrorKind::Denied));
    }
}
