//! The async client: [`Client::request`] for bodies that fit in memory, [`Client::stream`] for all others.
//!
//! | file | concept |
//! |---|---|
//! | [`call`] | one `http/request`: options, params, response |
//! | [`body`] | the streamed body |
//! | [`error`] | why a connection, a request or a call failed |
//! | [`reconnect`] | a client whose connection is made anew when it is gone |
//! | [`service`] | both as `tower_service::Service` |
//! | `deadline` | when the client itself gives a call up |
//! | `link` | the task that reads and writes one connection |
//! | `inbox` | what comes: answers and deltas to the routes |
//! | `buffers` | memory for bodies, used again |
//! | `notices` | tells the executor of calls that were given up, and of bytes that it may send |
//! | `routes` | which call an answer or a frame belongs to, and what waits for its consumer |
//! | `name` | how a route is called on the wire |

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::protocol::http::{ParamsError, REQUEST_METHOD};
use crate::protocol::limits;
use crate::protocol::message::Message;
use crate::sync::Arc;
use crate::transport::Connection;

pub mod body;
mod buffers;
pub mod call;
mod deadline;
pub mod error;
mod inbox;
mod link;
mod name;
mod notices;
pub mod reconnect;
mod routes;
pub mod service;

/// The code of `docs/client.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/client.md")]
struct Embedding;

pub use body::Body;
pub use call::{HeaderEnvVar, RequestOptions};
pub use error::{BodyError, CallError, ConnectError, RequestError, Unconnected};
pub use reconnect::{ReconnectConfig, Reconnecting};

use call::Exchange;
use deadline::Deadline;
use link::Link;
use routes::{AnswerError, Kind, Limits, OnFull, Route};

/// Calls that one connection may have in flight or in a body that is still held.
pub const CALLS: usize = 16_384;

/// What [`ClientConfig::calls`] is cut to: the slots that a key can name.
const MAX_CALLS: usize = 1 << 24;

/// How long `initialize` may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often one slot of the route table is used; with the slot's 24 bits it keeps every id below 2^53.
const SLOT_USES: u64 = 1 << 29;

/// Makes HTTP requests through the executor at the other end of one connection.
///
/// Clones share the connection. It is closed when the last clone and the last [`Body`] are gone. Requests run concurrently;
/// none is ever repeated by the client (`CLOSE-12`). A connection that is gone is gone for good: see [`Reconnecting`].
///
/// # Cancel safety
///
/// Every future may be dropped at any point: the call's state is released at the drop itself, on any thread, with or without
/// a runtime, and what arrives for it later is ignored (`ROUTE-4`). An executor that offers `http/request/cancel` is told, and
/// gives the call up too (`CANCEL-8`); with any other, a request that was sent may still be carried out.
#[derive(Clone)]
pub struct Client {
    /// The connection; bodies hold it too.
    link: Arc<Link>,
    /// Whether the executor announced that it resolves `valueEnvVar`.
    header_env_vars: bool,
    /// The executor's name for the session.
    session_id: String,
}

/// What happens when the consumer of a body is slower than the executor (`ROUTE-8`, `ROUTE-11`, `ROUTE-14`), and the executor
/// does not offer credit: one that does sends no more than there is room for, and waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueuePolicy {
    /// A stream ends with an overflow, all others go on: the one whose frames are too many, or the one that holds most bytes.
    #[default]
    Fail,
    /// Reading of the connection stops until there is room, and with it every other call of the connection and the answers to
    /// pings: for connections with one stream, whose executor bears with silence as long as the consumer may be slow.
    /// A stream whose frames come before its answer, and are too many, ends as with [`QueuePolicy::Fail`]: nobody can read it yet.
    Pause,
}

/// The settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `clientName` of the handshake.
    pub client_name: String,
    /// How long the handshake may take.
    pub handshake_timeout: Duration,
    /// What to do when a queue is full.
    pub queue_policy: QueuePolicy,
    /// Data frames that may wait in one stream. With [`QueuePolicy::Pause`] frames that came together count as one.
    pub queue_frames: usize,
    /// Bytes that may wait in all streams together; at least [`limits::DELTA_BYTES`], or a legal frame may fit nowhere.
    pub queue_bytes: usize,
    /// Calls in flight and bodies held at one time; a further one is refused with [`CallError::TooManyCalls`]. At most 2^24.
    pub calls: usize,
    /// Whether what the executor offers beyond the revisions of the protocol is used.
    pub extensions: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_name: env!("CARGO_PKG_NAME").into(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            queue_policy: QueuePolicy::Fail,
            queue_frames: limits::QUEUE_FRAMES,
            queue_bytes: limits::QUEUE_BYTES,
            calls: CALLS,
            extensions: true,
        }
    }
}

/// What a connection's calls hold at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls in flight, and bodies whose end was not seen yet.
    pub routes: usize,
    /// Bytes of the frames that wait. Where the executor does not keep to a credit, a small frame counts as
    /// [`limits::FRAME_CHARGE_BYTES`].
    pub queued_bytes: usize,
}

impl Client {
    /// Makes the handshake with default settings. Must be called within a tokio runtime, which then drives the connection.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. The connection is closed then.
    pub async fn connect(connection: Connection) -> Result<Self, ConnectError> {
        Self::connect_with(connection, ClientConfig::default()).await
    }

    /// As [`Client::connect`], with settings.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. The connection is closed then.
    pub async fn connect_with(connection: Connection, config: ClientConfig) -> Result<Self, ConnectError> {
        let limits = Limits {
            routes: config.calls.min(MAX_CALLS),
            slot_uses: SLOT_USES,
            queue_frames: config.queue_frames,
            queue_bytes: config.queue_bytes,
        };
        let on_full = match config.queue_policy {
            QueuePolicy::Fail => OnFull::Fail,
            QueuePolicy::Pause => OnFull::Pause,
        };
        let client =
            Self { link: Link::open(connection, limits, on_full), header_env_vars: false, session_id: String::new() };
        tokio::time::timeout(config.handshake_timeout, client.handshake(&config))
            .await
            .map_err(|_| ConnectError::Timeout(config.handshake_timeout))?
    }

    /// Sends a request and waits for the whole response body.
    ///
    /// Any HTTP status is a response. What [`RequestOptions`] holds is taken from the request's extensions.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. The body is limited by the executor, to some tens of megabytes.
    pub async fn request(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, CallError> {
        let deadline = Deadline::of(request.extensions());
        self.request_until(request, deadline).await
    }

    /// Sends a request and returns as soon as the response head is there; the body follows in pieces.
    ///
    /// Any HTTP status is a response. What [`RequestOptions`] holds is taken from the request's extensions.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn stream(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, CallError> {
        let deadline = Deadline::of(request.extensions());
        self.stream_until(request, deadline).await
    }

    /// Whether the executor announced that it resolves [`HeaderEnvVar`]s.
    pub fn resolves_header_env_vars(&self) -> bool {
        self.header_env_vars
    }

    /// The executor's name for the session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Whether the connection is there, as far as is seen here. The next call may fail nevertheless.
    pub fn is_connected(&self) -> bool {
        self.check_connected().is_ok()
    }

    /// Counts what the connection's calls hold.
    pub fn usage(&self) -> Usage {
        let census = self.link.routes().census();
        Usage { routes: census.routes, queued_bytes: census.queued_bytes }
    }

    async fn handshake(mut self, config: &ClientConfig) -> Result<Self, ConnectError> {
        let mut route = self.link.insert(Kind::Call)?;
        let params = json!({"clientName": config.client_name});
        let request = Message::Request { id: name::id(route.key()), method: "initialize".into(), params: Some(params) };
        let result = self.call(&mut route, &request).await?;
        let session_id = result.get("sessionId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let wrong = ParamsError { member: "sessionId", expected: "a non-empty text" };
        self.session_id = session_id.ok_or(ConnectError::Result(wrong))?.to_owned();
        let flag = result.pointer("/environmentInfo/capabilities/httpHeaderEnvVars");
        self.header_env_vars = flag.and_then(Value::as_bool).unwrap_or(false);
        let offers = |name| result["capabilities"][name] == true && config.extensions;
        if offers("httpRequestCancel") {
            self.link.offer_cancel();
        }
        if offers("httpBodyCredit") {
            self.link.routes().keep_credit();
        }
        let initialized = Message::Notification { method: "initialized".into(), params: Some(json!({})) };
        self.link.send(initialized.encode().into()).await;
        Ok(self)
    }

    /// The error of a call that was made now, if it were that the connection is gone.
    fn check_connected(&self) -> Result<(), CallError> {
        // The table is asked by a route that is dropped at once. A full table is one of a connection that lives.
        match self.link.insert(Kind::Call) {
            Err(gone @ CallError::Disconnected { .. }) => Err(gone),
            _ => Ok(()),
        }
    }

    /// As [`Client::request`], with a deadline that runs already.
    async fn request_until(
        &self,
        request: http::Request<Bytes>,
        mut deadline: Deadline,
    ) -> Result<http::Response<Bytes>, CallError> {
        let exchange = Exchange::new(request, self.header_env_vars)?;
        let (_, result) = self.exchange(&exchange, Kind::Call, &mut deadline).await?;
        exchange.buffered(result)
    }

    /// As [`Client::stream`], with a deadline that runs already.
    async fn stream_until(
        &self,
        request: http::Request<Bytes>,
        mut deadline: Deadline,
    ) -> Result<http::Response<Body>, CallError> {
        let exchange = Exchange::new(request, self.header_env_vars)?;
        let (route, result) = self.exchange(&exchange, Kind::Stream, &mut deadline).await?;
        exchange.streamed(result, |check| Body::new(route, check, deadline, Arc::clone(&self.link)))
    }

    async fn exchange(
        &self,
        exchange: &Exchange,
        kind: Kind,
        deadline: &mut Deadline,
    ) -> Result<(Route, Value), CallError> {
        let mut route = self.link.insert(kind)?;
        let params = exchange.params(name::request_id(route.key()), kind == Kind::Stream, route.credit());
        let (id, method) = (name::id(route.key()), REQUEST_METHOD.to_owned());
        let request = Message::Request { id, method, params: Some(params.to_value()) };
        let passed = |sent| move |limit| CallError::Deadline { limit, sent };
        let sent = deadline.run(self.send(&mut route, &request)).await.map_err(passed(false))??;
        let result = deadline.run(Self::answer(&mut route, sent)).await.map_err(passed(sent))??;
        Ok((route, result))
    }

    /// Sends the request of a route and waits for its answer.
    async fn call(&self, route: &mut Route, request: &Message) -> Result<Value, CallError> {
        let sent = self.send(route, request).await?;
        Self::answer(route, sent).await
    }

    /// Sends the request of a route. False when the connection is gone: the route's answer says why.
    async fn send(&self, route: &mut Route, request: &Message) -> Result<bool, CallError> {
        let frame = Bytes::from(request.encode());
        if frame.len() > limits::LINE_BYTES {
            return Err(RequestError::TooLarge { bytes: frame.len() }.into());
        }
        let sent = self.link.send(frame).await;
        if sent {
            route.mark_sent();
        }
        Ok(sent)
    }

    /// Waits for the answer of a route whose request was sent, or was not.
    async fn answer(route: &mut Route, sent: bool) -> Result<Value, CallError> {
        poll_fn(|cx| route.poll_answer(cx)).await.map_err(|error| match error {
            AnswerError::Rpc(error) => CallError::Executor(error),
            AnswerError::Disconnected(reason) => CallError::Disconnected { reason, sent },
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("usage", &self.usage()).finish_non_exhaustive()
    }
}
