use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::*;
use crate::sync::Mutex;

const METADATA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// What successive lookups give, last first. A lookup beyond them panics.
#[derive(Debug)]
struct Script(Mutex<Vec<Vec<SocketAddr>>>);

impl Resolve for Script {
    fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().pop().expect("one lookup a connection"))
    }
}

struct Fixture {
    origin: TcpListener,
    connector: Connector,
}

impl Fixture {
    /// `Some` stands for an origin on loopback, `None` for the metadata address.
    async fn new(policy: DestinationPolicy, mut lookups: Vec<Vec<Option<()>>>) -> Self {
        let origin = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = origin.local_addr().expect("bound");
        lookups.reverse();
        let one = |found: Option<()>| found.map_or(METADATA, |()| address);
        let script = lookups.into_iter().map(|lookup| lookup.into_iter().map(one).collect()).collect();
        let resolver = Arc::new(Script(Mutex::new(script)));
        Self { origin, connector: Connector { resolver, ..Connector::new(policy, None) } }
    }

    async fn connect(&self, uri: &'static str) -> Result<(), ConnectError> {
        self.connector.connect(&Uri::from_static(uri)).await.map(drop)
    }
}

#[tokio::test]
async fn what_was_judged_is_dialled_and_each_connection_is_judged_anew() {
    let fixture = Fixture::new(DestinationPolicy::default(), vec![vec![Some(())], vec![None]]).await;
    fixture.connect("http://rebinding.example/").await.expect("the first lookup gives loopback");
    let second = fixture.connect("http://rebinding.example/").await;
    assert!(matches!(second, Err(ConnectError::Denied)), "{second:?}");
}

#[tokio::test]
async fn refused_addresses_are_skipped() {
    let fixture = Fixture::new(DestinationPolicy::default(), vec![vec![None, Some(()), None]]).await;
    fixture.connect("http://mixed.example/").await.expect("one of them is allowed");
    let (_, peer) = fixture.origin.accept().await.expect("it came");
    assert!(peer.ip().is_loopback());
}

#[tokio::test]
async fn no_name_is_looked_up_that_can_only_be_refused() {
    let policy = DestinationPolicy { allow: vec!["*.example.com".parse().expect("a rule")], deny: Vec::new() };
    let fixture = Fixture::new(policy, vec![vec![Some(())]]).await;
    for refused in ["http://secret.other.example/", "http://metadata.google.internal/", "http://169.254.169.254/"] {
        let refused = fixture.connect(refused).await;
        assert!(matches!(refused, Err(ConnectError::Denied)), "{refused:?}");
    }
    fixture.connect("http://a.example.com/").await.expect("allowed");
}

#[tokio::test]
async fn a_name_without_addresses_did_not_resolve() {
    let fixture = Fixture::new(DestinationPolicy::default(), vec![Vec::new()]).await;
    let empty = fixture.connect("http://empty.example/").await;
    assert!(matches!(empty, Err(ConnectError::Dns)), "{empty:?}");
}
