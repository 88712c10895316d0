//! The accepting side of a websocket: TCP, TLS, and as many connections as there are places.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::door::{Door, is_loopback};
use super::framing::Role;
use super::observer::Observer;
use super::tls::Identity;
use super::token::TokenHash;
use super::{HANDSHAKE_TIME, Stream, connection};
use crate::transport::Connection;

/// Handshakes, TLS included, that may be under way at one time; further connections wait in the kernel.
const HANDSHAKES: usize = 128;

/// Websocket connections that a listener has open at one time, unless [`ListenerConfig::connections`] says otherwise.
pub const CONNECTIONS: usize = 1_024;

/// The settings of a [`Listener`].
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// What clients must show; `None` on loopback addresses only.
    pub token: Option<TokenHash>,
    /// `None` for `ws://`.
    pub tls: Option<Identity>,
    /// Open websocket connections at one time; a further one is answered with status 503. [`CONNECTIONS`] by default.
    pub connections: usize,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self { token: None, tls: None, connections: CONNECTIONS }
    }
}

/// Accepts websocket connections.
///
/// Any request with an `Origin` header gets 403, and on a loopback address one with a `Host` that does not name it, so that no
/// web page can reach a loopback executor; any but `/readyz` without the token gets 401; `GET /readyz` gets 200; a websocket is
/// opened at `/` only, whatever the query.
#[derive(Debug)]
pub struct Listener {
    /// The bound socket.
    socket: TcpListener,
    /// Who may come in.
    door: Arc<Door>,
    /// `None` for `ws://`.
    tls: Option<Identity>,
    /// Opening handshakes under way; each gives a connection or nothing.
    handshakes: JoinSet<Option<Connection>>,
}

impl Listener {
    /// Binds a loopback address, with the default settings; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As [`Listener::bind_with`].
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(address, ListenerConfig::default()).await
    }

    /// Binds an address; port 0 lets the system choose. Listening beyond loopback without TLS is logged as a warning.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for an address beyond loopback when there is no token; else what the system says.
    pub async fn bind_with(address: SocketAddr, settings: ListenerConfig) -> io::Result<Self> {
        let ListenerConfig { token, tls, connections } = settings;
        let loopback = is_loopback(address.ip());
        if !loopback && token.is_none() {
            // Whoever reaches the address can send requests from this machine's place in the network.
            let error = "listening beyond loopback takes a bearer token";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        if !loopback && tls.is_none() {
            tracing::warn!(%address, "listening beyond loopback without TLS: the token and all else can be read on the way");
        }
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, door: Arc::new(Door::new(token, loopback, connections)), tls, handshakes: JoinSet::new() })
    }

    /// Tells it who is behind it; there is no `/metrics` before that.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) {
        // Handshakes under way keep the door as it was; the places are the same.
        Arc::make_mut(&mut self.door).observe(observer);
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The URL that a client dials.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        Ok(format!("{scheme}://{}", self.address()?))
    }

    /// The next websocket connection that finished its handshake.
    ///
    /// # Errors
    ///
    /// What the system says of the listening socket; the listener stays usable.
    ///
    /// # Cancel safety
    ///
    /// Safe: handshakes under way go on in the next call.
    pub async fn accept(&mut self) -> io::Result<Connection> {
        loop {
            tokio::select! {
                accepted = self.socket.accept(), if self.handshakes.len() < HANDSHAKES => {
                    let (stream, _peer) = accepted?;
                    // Without it every small frame waits for the acknowledgement of the one before.
                    stream.set_nodelay(true)?;
                    let handshake = handshake(stream, self.tls.clone(), Arc::clone(&self.door));
                    self.handshakes.spawn(async {
                        tokio::time::timeout(HANDSHAKE_TIME, handshake).await.ok().flatten()
                    });
                }
                Some(finished) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = finished {
                        return Ok(connection);
                    }
                }
            }
        }
    }
}

async fn handshake(stream: TcpStream, tls: Option<Identity>, door: Arc<Door>) -> Option<Connection> {
    match tls {
        None => upgrade(stream, door).await,
        Some(identity) => match TlsAcceptor::from(identity.config).accept(stream).await {
            Ok(stream) => upgrade(stream, door).await,
            Err(error) => {
                tracing::debug!(%error, "no TLS handshake");
                None
            }
        },
    }
}

/// Serves one HTTP connection up to its upgrade; `None` when it asked for something else.
async fn upgrade<S: Stream>(stream: S, door: Arc<Door>) -> Option<Connection> {
    let (sender, mut upgraded) = mpsc::channel(1);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let response = match door.admit(&request) {
            Ok(entry) => {
                let (response, place) = entry.response();
                if let Some(place) = place {
                    // There is room: an upgrade ends the HTTP connection.
                    let _sent = sender.try_send((hyper::upgrade::on(&mut request), place));
                }
                response
            }
            Err(refusal) => refusal.response(),
        };
        async { Ok::<_, Infallible>(response) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    http.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok()?;
    let (upgraded, place) = upgraded.try_recv().ok()?;
    let parts = upgraded.await.ok()?.downcast::<TokioIo<S>>().ok()?;
    Some(connection(parts.io.into_inner().halves(), &parts.read_buf, Role::Server, Some(place)))
}
