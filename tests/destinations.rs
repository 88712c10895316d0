//! Where requests may go: the executor's policy over real sockets, and the certificate authorities of its origins.

#[path = "server/origin.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod origin;

use std::time::Duration;

use exec_http::server::destination::DestinationPolicy;
use exec_http::server::roots::{ExtraRoots, RootsError};
use exec_http::server::{Server, ServerConfig};
use exec_http::transport::memory;
use origin::{Origin, answer, response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig as TlsConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// No event of these tests takes this long on a working executor.
const PATIENCE: Duration = Duration::from_secs(20);

/// The reply to one buffered GET.
async fn get(config: &ServerConfig, url: &str) -> Value {
    let (mut client, far) = memory::pair();
    let server = Server::new(config.clone());
    let serving = tokio::spawn(async move { server.serve_connection(far).await });
    let frames = [
        json!({"id": 0, "method": "initialize", "params": {"clientName": "test"}}),
        json!({"method": "initialized"}),
        json!({"id": 1, "method": "http/request", "params": {"requestId": "r", "method": "GET", "url": url}}),
    ];
    client.writer.send(frames.map(|frame| frame.to_string().into_bytes().into()).into()).await.expect("connected");
    loop {
        let frame = timeout(PATIENCE, client.reader.next()).await.expect("in time").expect("connected").expect("open");
        let frame: Value = serde_json::from_slice(&frame).expect("JSON");
        if frame["id"] == 1 {
            drop(client);
            serving.await.expect("no panic");
            return frame;
        }
    }
}

/// The reply must be an error of that kind that says nothing of the URL.
#[track_caller]
fn check_failed(reply: &Value, kind: &str) {
    assert_eq!((&reply["error"]["code"], &reply["error"]["data"]["kind"]), (&json!(-32603), &json!(kind)), "{reply}");
    for part in ["secret", "169.254", "127.0.0.1", "localhost"] {
        assert!(!reply.to_string().contains(part), "{reply}");
    }
}

fn denying(rule: &str) -> ServerConfig {
    let deny = vec![rule.parse().expect("a rule")];
    ServerConfig { destinations: DestinationPolicy { allow: Vec::new(), deny }, ..ServerConfig::default() }
}

fn redirect(to: &str) -> Vec<u8> {
    answer("302 Found", &format!("location: {to}\r\n"), b"")
}

#[tokio::test]
async fn metadata_is_refused_however_it_is_spelled() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "%31%36%39.254.169.254",
        "\u{ff11}69.254.169.254",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "METADATA.GOOGLE.INTERNAL.",
    ] {
        check_failed(&get(&ServerConfig::default(), &format!("http://{host}/secret?secret")).await, "denied");
    }
}

#[tokio::test]
async fn every_hop_of_a_redirect_is_judged() {
    for target in ["http://169.254.169.254/secret", "//0xA9FEA9FE/secret", "http://metadata.google.internal/secret"] {
        let origin = Origin::answering(redirect(target)).await;
        check_failed(&get(&ServerConfig::default(), &origin.url("/")).await, "denied");
        assert_eq!(origin.connections(), 1);
    }
    let second = Origin::answering(response("", b"x")).await;
    let first = Origin::answering(redirect(&second.url("/secret"))).await;
    let port = second.url("").rsplit(':').next().expect("a port").to_owned();
    check_failed(&get(&denying(&format!("127.0.0.0/8:{port}")), &first.url("/")).await, "denied");
    check_failed(&get(&denying(&format!("*:{port}")), &first.url("/")).await, "denied");
    assert_eq!(second.connections(), 0);
    assert_eq!(get(&denying("127.0.0.0/8:1"), &first.url("/")).await["result"]["bodyBase64"], "eA==");
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let origin = Origin::answering(response("", b"x")).await;
    let url = origin.url("/secret").replace("127.0.0.1", "localhost");
    assert_eq!(get(&ServerConfig::default(), &url).await["result"]["status"], 200);
    let mut config = denying("127.0.0.0/8");
    config.destinations.deny.push("::1".parse().expect("a rule"));
    check_failed(&get(&config, &url).await, "denied");
    check_failed(&get(&denying("localhost"), &url).await, "denied");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_authority_of_the_operator_is_trusted() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let tls = TlsConfig::builder().with_no_client_auth();
    let tls = tls.with_single_cert(vec![certified.cert.der().clone()], key).expect("a pair");
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut head = [0; 1024];
                let read = stream.read(&mut head).await.expect("a request");
                assert!(head[..read].ends_with(b"\r\n\r\n"));
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await.expect("it reads");
                stream.shutdown().await.expect("it reads");
            }
        }
    });
    let roots = ExtraRoots::from_pem(certified.cert.pem().as_bytes()).expect("one certificate");
    let trusting = ServerConfig { roots, ..ServerConfig::default() };
    assert_eq!(get(&trusting, &url).await["result"]["bodyBase64"], "eA==");
    check_failed(&get(&ServerConfig::default(), &url).await, "tls");
}

#[test]
fn a_file_without_certificates_is_told() {
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
    let other = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (text, error) in [
        ("", RootsError::Empty),
        ("not PEM", RootsError::Empty),
        (other, RootsError::Empty),
        (empty, RootsError::Certificate),
        (broken, RootsError::NotPem),
    ] {
        assert_eq!(ExtraRoots::from_pem(text.as_bytes()).err(), Some(error), "{text}");
    }
}
