//! The executor.
//!
//! | file | concept |
//! |---|---|
//! | `connection` | one connection: its reader, its writer, its exchanges |
//! | `shared` | what the tasks of one connection share |
//! | `keepalive` | notices a peer that is gone |
//! | `sessions` | the session registry |
//! | `exchange` | one exchange, from the params to the outcome |
//! | `exchanges` | the tasks of a connection's exchanges |
//! | `request` | what is sent to an origin, checked |
//! | `redirect` | which request follows a redirect |
//! | `upstream`, `connector` | the HTTP client, its TCP connections |
//! | `origin`, `pool` | one connection to an origin with the exchange on it, connections that wait for another |
//! | [`limits`] | every bound that can be chosen |
//! | [`destination`] | where requests may go |
//! | [`proxy`], [`roots`] | proxies of the environment, trusted certificate authorities |
//! | `body` | response bodies, handed on or collected |
//! | `reply` | how an exchange hands in its results, in turn |
//! | `failure` | what the client is told when an exchange fails |
//! | `record` | what is logged and counted of an exchange |
//! | `metrics` | counters, as text |
//! | `front` | what a listener is told |
//! | `phase` | serving, draining, stopped |

mod body;
mod connection;
mod connector;
pub mod destination;
mod exchange;
mod exchanges;
mod failure;
mod front;
mod keepalive;
pub mod limits;
mod metrics;
mod origin;
mod phase;
mod pool;
pub mod proxy;
mod record;
mod redirect;
mod reply;
mod request;
pub mod roots;
mod sessions;
mod shared;
mod upstream;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument as _;

use self::destination::DestinationPolicy;
use self::front::Front;
use self::limits::Limits;
use self::metrics::Metrics;
use self::phase::Phase;
use self::proxy::Proxies;
use self::roots::ExtraRoots;
use self::sessions::Sessions;
use self::upstream::Upstream;
use crate::protocol::session::Extensions;
use crate::transport::websocket::Listener;
use crate::transport::{Connection, lines};

/// How long to wait after a failure to accept, such as too many open files, before the next attempt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The settings of a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What is offered beyond the revisions of the protocol.
    pub extensions: Extensions,
    /// Where requests may go.
    pub destinations: DestinationPolicy,
    /// Proxies between this executor and its origins; none are used unless they are given here.
    pub proxies: Option<Proxies>,
    /// Certificate authorities of origins, beside those of the system.
    pub roots: ExtraRoots,
    /// What this executor holds at most.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            extensions: Extensions::ALL,
            destinations: DestinationPolicy::default(),
            proxies: None,
            roots: ExtraRoots::default(),
            limits: Limits::default(),
        }
    }
}

/// An executor: makes the HTTP requests that clients ask for. Clones are the same executor.
#[derive(Clone, Debug)]
pub struct Server {
    /// The HTTP client of all connections.
    upstream: Arc<Upstream>,
    /// The sessions of all connections.
    sessions: Arc<Sessions>,
    /// What its clients are offered.
    extensions: Extensions,
    /// What it has done.
    metrics: Arc<Metrics>,
    /// Whether it goes on. Each connection and each listener holds a receiver as long as it lives.
    phases: watch::Sender<Phase>,
}

impl Server {
    /// An executor without connections.
    ///
    /// # Panics
    ///
    /// When [`Limits::check`] finds the limits wrong.
    pub fn new(config: ServerConfig) -> Self {
        let ServerConfig { extensions, destinations, proxies, roots, limits } = config;
        if let Err(wrong) = limits.check() {
            panic!("{wrong}");
        }
        let upstream = Arc::new(Upstream::new(destinations, proxies, roots, limits));
        let (sessions, metrics, phases) = (Arc::default(), Arc::default(), watch::Sender::default());
        Self { upstream, sessions, extensions, metrics, phases }
    }

    /// Serves one connection until either side ends it.
    ///
    /// When it returns, none of its exchanges goes on, replies that were already computed have been sent to a client that
    /// reads (CLOSE-5), and the connection is closed. What ended it is logged, for there is nothing else to do about it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the exchanges as well, without the final flush.
    pub async fn serve_connection(&self, mut connection: Connection) {
        connection.reader.limit_frames(self.upstream.limits().frame_bytes);
        let phases = self.phases.subscribe();
        let (number, _open) = self.metrics.connection();
        let span = tracing::info_span!("connection", number);
        connection::serve(connection, &self.upstream, &self.sessions, self.extensions, &self.metrics, phases)
            .instrument(span)
            .await;
    }

    /// Serves this process's standard input and output until the input ends.
    pub async fn serve_stdio(&self) {
        self.serve_connection(lines::stdio()).await;
    }

    /// Accepts and serves websockets until [`Server::shut_down`], or [`Server::drain`] with nothing that goes on, and then until
    /// the last of them has ended. `/metrics` and `/readyz` tell how it is.
    pub async fn serve_websockets(&self, mut listener: Listener) {
        listener.observe(Arc::new(Front(self.clone())));
        let mut connections = JoinSet::new();
        let mut phases = self.phases.subscribe();
        loop {
            match *phases.borrow_and_update() {
                Phase::Serving => {}
                // Until then `/readyz` says what is going on.
                Phase::Draining if !connections.is_empty() => {}
                Phase::Draining | Phase::Stopped => break,
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(connection) => {
                        let server = self.clone();
                        connections.spawn(async move { server.serve_connection(connection).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        // It may be for want of descriptors.
                        self.upstream.pool().clear();
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                // An error means that no server is left that could be stopped, which comes to the same.
                changed = phases.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Lets what goes on finish, at most for so long, and then ends what is left as [`Server::shut_down`] does.
    ///
    /// From now on calls are refused (-32603, kind `limit`), listeners open no more websockets and their `/readyz` gets 503, and a
    /// connection on which no call waits or goes on is closed. Ready when nothing is left or the time is up.
    ///
    /// # Cancel safety
    ///
    /// Safe: the executor stays as it is then, and can be drained again or shut down. It never serves again.
    pub async fn drain(&self, limit: Duration) {
        self.enter(Phase::Draining);
        // It comes to the same when the time is up.
        _ = timeout(limit, self.phases.closed()).await;
        self.shut_down();
    }

    /// Ends all connections of this executor, now and in future.
    pub fn shut_down(&self) {
        self.enter(Phase::Stopped);
    }

    /// What it has done since it was made, in the text format of Prometheus; `/metrics` of its listeners.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn enter(&self, phase: Phase) {
        self.phases.send_if_modified(|now| mem::replace(now, phase.max(*now)) < phase);
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new(ServerConfig::default())
    }
}
