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
//! | [`limits`] | every bound that can be chosen |
//! | [`destination`] | where requests may go |
//! | [`proxy`], [`roots`] | proxies of the environment, trusted certificate authorities |
//! | `body` | response bodies, handed on or collected |
//! | `reply` | how an exchange hands in its results, in turn |
//! | `failure` | what the client is told when an exchange fails |

mod body;
mod connection;
mod connector;
pub mod destination;
mod exchange;
mod exchanges;
mod failure;
mod keepalive;
pub mod limits;
pub mod proxy;
mod redirect;
mod reply;
mod request;
pub mod roots;
mod sessions;
mod shared;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::destination::DestinationPolicy;
use self::limits::Limits;
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
    /// Becomes true once, and ends all connections.
    shutdown: watch::Sender<bool>,
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
        Self { upstream, sessions: Arc::default(), extensions, shutdown: watch::Sender::new(false) }
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
        let shutdown = self.shutdown.subscribe();
        connection::serve(connection, &self.upstream, &self.sessions, self.extensions, shutdown).await;
    }

    /// Serves this process's standard input and output until the input ends.
    pub async fn serve_stdio(&self) {
        self.serve_connection(lines::stdio()).await;
    }

    /// Accepts and serves websockets until [`Server::shut_down`], and then until the last of them has ended.
    pub async fn serve_websockets(&self, mut listener: Listener) {
        let mut connections = JoinSet::new();
        let mut shutdown = self.shutdown.subscribe();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(connection) => {
                        let server = self.clone();
                        connections.spawn(async move { server.serve_connection(connection).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = shut_down(&mut shutdown) => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Ends all connections of this executor, now and in future.
    pub fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }
}

/// Waits for [`Server::shut_down`]. Cancel safe.
async fn shut_down(shutdown: &mut watch::Receiver<bool>) {
    // An error means that no server is left that could be shut down, which comes to the same.
    _ = shutdown.wait_for(|shutdown| *shutdown).await;
}

impl Default for Server {
    fn default() -> Self {
        Self::new(ServerConfig::default())
    }
}
