//! Who may come in at a websocket listener: tokens, hosts, origins, certificates, places.

#[path = "door/log.rs"]
mod log_of_all;

use std::net::SocketAddr;
use std::time::Duration;

use exec_http::client::Client;
use exec_http::server::Server;
use exec_http::transport::websocket::{
    Authorities, Dial, Identity, Listener, ListenerConfig, Roots, TlsError, Token, TokenHash, connect, connect_with,
};
use exec_http::transport::{Connection, TransportError};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// No event of these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The headers of an upgrade, without `host`.
const OPEN: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const SECRET: &str = "sesame-4f7d1c";

/// A listener that accepts all the time.
struct House {
    address: SocketAddr,
    url: String,
    /// What was accepted.
    guests: mpsc::UnboundedReceiver<Connection>,
}

impl House {
    async fn open(settings: ListenerConfig) -> Self {
        Self::at("127.0.0.1:0", settings).await
    }

    async fn at(address: &str, settings: ListenerConfig) -> Self {
        let address = address.parse().expect("an address");
        let mut listener = Listener::bind_with(address, settings).await.expect("a free port");
        let (address, url) = (listener.address().expect("bound"), listener.url().expect("bound"));
        let (sender, guests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(connection) = listener.accept().await {
                // The test may be over.
                let _ = sender.send(connection);
            }
        });
        Self { address, url, guests }
    }

    /// With a token.
    async fn locked() -> Self {
        Self::open(ListenerConfig { token: TokenHash::of(SECRET).ok(), ..ListenerConfig::default() }).await
    }

    /// The next that was let in.
    async fn guest(&mut self) -> Connection {
        timeout(PATIENCE, self.guests.recv()).await.expect("in time").expect("it listens")
    }

    /// All that is answered to a request, whose connection ends behind the answer.
    async fn answer(&self, request: &str) -> String {
        let port = self.address.port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("listening");
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("readable");
        String::from_utf8(answer).expect("UTF-8")
    }

    async fn status(&self, target: &str, headers: &str) -> u16 {
        let answer = self.answer(&format!("GET {target} HTTP/1.1\r\n{headers}\r\n")).await;
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }
}

fn with_token(text: &str) -> Dial {
    Dial { token: Some(Token::new(text).expect("legal")), ..Dial::default() }
}

#[track_caller]
fn check_refused(connected: Result<Connection, TransportError>, status: u16) {
    match connected {
        Err(TransportError::Refused(refused)) => assert_eq!(refused, status),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_token_opens_and_nothing_else_does() {
    let mut house = House::locked().await;
    for bad in ["sesame", "sesame-4f7d1", "sesame-4f7d1c0", "SESAME-4F7D1C", "\"sesame-4f7d1c\""] {
        check_refused(connect_with(&house.url, &with_token(bad)).await, 401);
    }
    check_refused(connect(&house.url).await, 401);
    let mut near = connect_with(&house.url, &with_token(SECRET)).await.expect("the token is right");
    let mut far = house.guest().await;
    near.writer.send(vec!["{}".into()]).await.expect("open");
    assert_eq!(far.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
    assert!(house.guests.is_empty(), "nobody else came in");
}

#[tokio::test]
async fn a_refusal_says_that_a_token_is_wanted() {
    let house = House::locked().await;
    let answer = house.answer(&format!("GET / HTTP/1.1\r\nhost: localhost\r\n{OPEN}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\na bearer token is needed\n"), "{answer}");
    assert_eq!(house.status("/readyz", "host: localhost\r\nconnection: close\r\n").await, 200, "for those who watch");
}

#[tokio::test]
async fn a_client_and_an_executor_talk_behind_a_token() {
    let settings = ListenerConfig { token: TokenHash::of(SECRET).ok(), ..ListenerConfig::default() };
    let listener =
        Listener::bind_with("127.0.0.1:0".parse().expect("an address"), settings).await.expect("a free port");
    let url = listener.url().expect("bound");
    let server = Server::default();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve_websockets(listener).await }
    });
    let connection = connect_with(&url, &with_token(SECRET)).await.expect("the token is right");
    let client = Client::connect(connection).await.expect("the handshake");
    assert!(!client.session_id().is_empty());
    server.shut_down();
    timeout(PATIENCE, serving).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn hosts_that_are_not_loopback_are_refused_on_loopback() {
    let house = House::open(ListenerConfig::default()).await;
    let close = "connection: close\r\n";
    for (target, headers, status) in [
        ("/readyz", "host: localhost:1\r\n", 200),
        ("/readyz", "Host: [::1]:80\r\n", 200),
        ("/readyz", "host: rebound.example.com\r\n", 403),
        ("/readyz", "host: 192.0.2.1\r\n", 403),
        ("/readyz", "", 400),
        ("/readyz", "host: localhost\r\nhost: localhost\r\n", 400),
        ("/readyz", "host: localhost\r\nhost: rebound.example.com\r\n", 400),
        ("/readyz", "host: a b\r\n", 400),
        ("http://127.0.0.1:1/readyz", "host: rebound.example.com\r\n", 200),
        ("http://rebound.example.com/readyz", "host: localhost\r\n", 403),
        ("http://localhost/readyz", "", 400),
        ("/", "host: localhost\r\norigin: null\r\n", 403),
    ] {
        assert_eq!(house.status(target, &format!("{headers}{close}")).await, status, "{target} {headers}");
    }
    let rebound = format!("host: rebound.example.com\r\n{OPEN}");
    let answer = house.answer(&format!("GET / HTTP/1.1\r\n{rebound}{close}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Host must be"), "{answer}");
    assert!(house.answer("GET /readyz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 400 "));
    assert!(house.guests.is_empty());
}

#[tokio::test]
async fn beyond_loopback_a_token_is_needed_and_hosts_are_free() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Listener::bind(address.parse().expect("an address")).await.expect_err("no token");
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{refused}");
        assert!(refused.to_string().contains("bearer token"), "{refused}");
    }
    let token = TokenHash::of(SECRET).ok();
    let mut house = House::at("0.0.0.0:0", ListenerConfig { token, ..ListenerConfig::default() }).await;
    let close = "connection: close\r\n";
    assert_eq!(house.status("/readyz", &format!("host: executor.example.com\r\n{close}")).await, 200);
    assert_eq!(house.status("/", &format!("host: executor.example.com\r\n{OPEN}")).await, 401);
    let url = format!("ws://127.0.0.1:{}", house.address.port());
    connect_with(&url, &with_token(SECRET)).await.expect("the token is right");
    house.guest().await;
}

#[tokio::test]
async fn a_full_house_refuses_and_a_place_is_free_again_when_its_connection_has_ended() {
    let mut house = House::open(ListenerConfig { connections: 2, ..ListenerConfig::default() }).await;
    let mut first = connect(&house.url).await.expect("a free place");
    let mut far = house.guest().await;
    let _second = connect(&house.url).await.expect("the last place");
    let _guest = house.guest().await;
    check_refused(connect(&house.url).await, 503);
    assert_eq!(house.status("/readyz", "host: localhost\r\nconnection: close\r\n").await, 200);
    first.writer.send(vec!["{}".into()]).await.expect("nobody else is disturbed");
    assert_eq!(far.reader.next().await.expect("open").as_deref(), Some(&b"{}"[..]));
    let Connection { reader, writer } = far;
    drop(reader);
    check_refused(connect(&house.url).await, 503);
    drop(writer);
    connect(&house.url).await.expect("a free place");
    house.guest().await;
}

/// A certification authority and a certificate of it for these names.
struct Certificates {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificates {
    fn of(name: &str) -> Self {
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("legal");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let own = key();
        let params = CertificateParams::new([name.to_owned()]).expect("legal");
        let certificate = params.signed_by(&own, &authority).expect("a certificate");
        Self {
            authority: authority.pem().into_bytes(),
            certificate: certificate.pem().into_bytes(),
            key: own.serialize_pem().into_bytes(),
        }
    }

    fn settings(&self) -> ListenerConfig {
        let tls = Some(Identity::from_pem(&self.certificate, &self.key).expect("usable"));
        ListenerConfig { tls, ..ListenerConfig::default() }
    }

    fn dial(&self) -> Dial {
        let roots = Roots::Only(Authorities::from_pem(&self.authority).expect("usable"));
        Dial { roots, ..Dial::default() }
    }
}

#[tokio::test]
async fn frames_pass_over_tls_with_a_token() {
    let certificates = Certificates::of("127.0.0.1");
    let token = TokenHash::of(SECRET).ok();
    let mut house = House::open(ListenerConfig { token, ..certificates.settings() }).await;
    assert!(house.url.starts_with("wss://127.0.0.1:"), "{}", house.url);
    check_refused(connect_with(&house.url, &certificates.dial()).await, 401);
    let dial = Dial { token: Token::new(SECRET).ok(), ..certificates.dial() };
    let mut near = connect_with(&house.url, &dial).await.expect("trusted");
    let mut far = house.guest().await;
    let large = bytes::Bytes::from(vec![b'x'; 3_000_000]);
    let (sent, received) = tokio::join!(near.writer.send(vec![large.clone()]), far.reader.next());
    sent.expect("open");
    assert_eq!(received.expect("open"), Some(large));
    far.writer.close(exec_http::transport::CloseReason::Done).await;
    assert_eq!(near.reader.next().await.expect("a good end"), None);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_or_for_another_name_is_refused() {
    let certificates = Certificates::of("127.0.0.1");
    let house = House::open(certificates.settings()).await;
    for dial in [Certificates::of("127.0.0.1").dial(), Dial::default()] {
        let error = connect_with(&house.url, &dial).await.expect_err("not trusted").to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    let elsewhere = Certificates::of("executor.example.com");
    let house = House::open(elsewhere.settings()).await;
    let error = connect_with(&house.url, &elsewhere.dial()).await.expect_err("another name").to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn plain_clients_of_a_tls_listener_are_refused_and_silent_ones_are_in_nobodys_way() {
    let certificates = Certificates::of("127.0.0.1");
    let mut house = House::open(certificates.settings()).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(house.address).await.expect("listening"));
    }
    connect(&format!("ws://{}", house.address)).await.expect_err("it speaks TLS");
    connect_with(&house.url, &certificates.dial()).await.expect("trusted");
    house.guest().await;
}

#[tokio::test(start_paused = true)]
async fn a_tls_handshake_has_ten_seconds() {
    let house = House::open(Certificates::of("127.0.0.1").settings()).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(house.address).await.expect("listening");
    assert_eq!(silent.read(&mut [0]).await.expect("an end"), 0);
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn files_that_are_no_certificates_are_told_apart() {
    let (good, other) = (Certificates::of("localhost"), Certificates::of("localhost"));
    let identity = |certificate: &[u8], key: &[u8]| Identity::from_pem(certificate, key).map(drop);
    assert_eq!(identity(&good.certificate, &good.key), Ok(()));
    for bad in [&b""[..], b"no PEM", &good.key, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(identity(bad, &good.key), Err(TlsError::Certificate));
        assert_eq!(Authorities::from_pem(bad).map(drop), Err(TlsError::Authorities));
    }
    for bad in
        [&b""[..], b"no PEM", &good.certificate, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    {
        assert_eq!(identity(&good.certificate, bad), Err(TlsError::Key));
    }
    assert_eq!(identity(&good.certificate, &other.key), Err(TlsError::Mismatch));
}

#[tokio::test]
async fn no_token_is_ever_logged() {
    log_of_all::collect();
    let mut house = House::locked().await;
    let settings = ListenerConfig { token: TokenHash::of(SECRET).ok(), ..ListenerConfig::default() };
    let dial = with_token(SECRET);
    connect_with(&house.url, &dial).await.expect("the token is right");
    house.guest().await;
    check_refused(connect_with(&house.url, &with_token("sesame-wrong")).await, 401);
    let url = house.url.replace("ws://", "wss://");
    connect_with(&url, &dial).await.expect_err("no TLS there");
    let all = log_of_all::text() + &format!("{settings:?} {dial:?}");
    assert!(all.contains("request refused"), "something was logged: {all}");
    assert!(!all.contains("sesame"), "{all}");
}
