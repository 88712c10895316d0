//! The seed client: how the first shipped client of this protocol was designed, with its defects as switches.
//!
//! The design: a map from `requestId` to the sender of a bounded channel, copied for every change; a second map for what a full
//! channel could not take; the end of a stream as one more frame in its channel; a disconnect that walks the map and sends
//! every stream such a frame; cleanup in tasks. It is the obvious one, and it invites every defect in [`defect`]: some of them
//! shipped, others were caught in review. `tests/seed_client.rs` shows those that shipped, and the zoo shows all of them.
//!
//! The production client ([`crate::client`]) is designed so that it has none, and the models in `model/` keep it so; this
//! client shows readers what they protect from. It is a subject for the conformance suite and a measure for benchmarks, never
//! a client to use.
//!
//! With all switches off it is correct: the same maps and channels behind one lock, with cleanup at the drop itself.
//!
//! | file | concept |
//! |---|---|
//! | [`defect`] | the switches: name, clause, sentence |
//! | `routes` | the maps |
//! | `queue` | what waits for one consumer, and its share of the byte budget |
//! | [`body`] | the consumer's side of a stream |
//! | `link` | the task that reads and writes the connection |
//! | [`error`] | why a call has no response |

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::protocol::error::RpcError;
use crate::protocol::http::{ParamsError, REQUEST_METHOD, RequestParams, ResponseHead};
use crate::protocol::length::{self, LengthCheck};
use crate::protocol::limits::LINE_BYTES;
use crate::protocol::message::Message;
use crate::protocol::session::{INITIALIZE_METHOD, INITIALIZED_METHOD};
use crate::protocol::stream::Disconnect;
use crate::sync::Arc;
use crate::transport::Connection;

pub mod body;
pub mod defect;
pub mod error;
mod link;
mod queue;
mod routes;

pub use body::Body;
pub use defect::{Defect, Defects};
pub use error::CallError;
pub use routes::CALLS;

use body::Stream;
use link::Link;
use routes::Routes;

/// How long the handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The error that the original made itself for calls after a disconnect, and by whose code and text it knew that error again.
const DISCONNECT_ANSWER: (i64, &str) = (-32000, "JSON-RPC transport closed");

/// Makes HTTP requests through the executor at the other end of one connection, with the defects that it was told to have.
///
/// Clones share the connection. It is closed when the last clone and the last [`Body`] are gone.
#[derive(Clone)]
pub struct SeedClient {
    /// The connection.
    link: Arc<Link>,
    /// Whether the executor announced that it resolves `valueEnvVar`.
    header_env_vars: bool,
}

/// The settings of a [`SeedClient`].
#[derive(Clone, Debug)]
pub struct Config {
    /// `clientName` of the handshake.
    pub client_name: String,
    /// The switches that are on.
    pub defects: Defects,
}

impl Default for Config {
    fn default() -> Self {
        Self { client_name: "seed-client".into(), defects: Defects::NONE }
    }
}

/// What a connection holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Streams whose last frame was not queued yet.
    pub routes: usize,
    /// Last frames that found their queue full.
    pub failure_records: usize,
    /// Bytes charged for frames that wait.
    pub queued_bytes: usize,
    /// Routes that were copied from one map into the next, since the connection was made.
    pub copied_routes: usize,
}

impl SeedClient {
    /// Makes the handshake. Must be called within a tokio runtime, which then drives the connection.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. The connection is closed then.
    pub async fn connect(connection: Connection, config: Config) -> Result<Self, CallError> {
        let client = Self { link: Link::open(connection, config.defects), header_env_vars: false };
        tokio::time::timeout(HANDSHAKE_TIMEOUT, client.handshake(&config.client_name))
            .await
            .map_err(|_| CallError::HandshakeTimeout(HANDSHAKE_TIMEOUT))?
    }

    /// Sends a request and waits for the whole response. Its `requestId` is chosen here, whatever the params hold, and
    /// `streamResponse` is false.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn request(&self, params: RequestParams) -> Result<ResponseHead, CallError> {
        let asked = params.stream_response && self.link.defects().has(Defect::BufferedCallAsksForStream);
        let method = params.method.clone();
        let request_id = "buffered-request".to_owned();
        let result = self.http_request(RequestParams { request_id, stream_response: asked, ..params }).await?;
        let head = ResponseHead::from_value(result).map_err(CallError::Result)?;
        let mut check = LengthCheck::new(length::promised(&method, head.status, &head.headers));
        let whole = check.handle_chunk(head.body.len()).and_then(|()| check.handle_end());
        if !asked {
            whole.map_err(CallError::WrongLength)?;
        }
        Ok(head)
    }

    /// Sends a request and returns as soon as the response head is there; the body follows in pieces. Its `requestId` is
    /// chosen here, whatever the params hold, and `streamResponse` is true.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn stream(&self, params: RequestParams) -> Result<(ResponseHead, Body), CallError> {
        let (request_id, queue) = self.routes().insert_stream(&params.request_id)?;
        let mut stream = Stream::new(Arc::clone(&self.link), request_id, queue);
        let (method, request_id) = (params.method.clone(), stream.request_id().to_owned());
        let credit = self.routes().credit(&request_id);
        let params = RequestParams { request_id, stream_response: true, credit, ..params };
        let result = match self.http_request(params).await {
            Ok(result) => result,
            Err(error) => {
                let refused = matches!(error, CallError::Executor(_));
                if refused {
                    self.routes().refused(stream.request_id());
                    stream.refuse();
                }
                if refused && self.link.defects().has(Defect::RouteKeptAfterRefusal) {
                    stream.leave();
                }
                return Err(error);
            }
        };
        let head = ResponseHead::from_value(result).map_err(CallError::Result)?;
        let check = LengthCheck::new(self.promised(&method, &head));
        let body = Body::new(stream, check, Arc::clone(&self.link));
        Ok((ResponseHead { body: Bytes::new(), ..head }, body))
    }

    /// Waits until the connection is gone, and does not keep it open.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.routes().closed()
    }

    /// How long a streamed body must be.
    fn promised(&self, method: &str, head: &ResponseHead) -> Option<u64> {
        let defects = self.link.defects();
        if defects.has(Defect::LengthNotChecked) {
            return None;
        }
        if defects.has(Defect::LengthAlwaysChecked) {
            let first = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
            return length::promised("GET", 200, std::slice::from_ref(first));
        }
        length::promised(method, head.status, &head.headers)
    }

    /// Counts what the connection holds.
    pub fn census(&self) -> Census {
        self.routes().census()
    }

    fn routes(&self) -> &Arc<Routes> {
        self.link.routes()
    }

    async fn handshake(mut self, client_name: &str) -> Result<Self, CallError> {
        let result = self.call(INITIALIZE_METHOD, json!({"clientName": client_name})).await?;
        if result.get("sessionId").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(CallError::Result(ParamsError { member: "sessionId", expected: "a non-empty text" }));
        }
        let flag = result.pointer("/environmentInfo/capabilities/httpHeaderEnvVars");
        self.header_env_vars = flag.and_then(Value::as_bool).unwrap_or(false);
        if result.pointer("/capabilities/httpRequestCancel").and_then(Value::as_bool).unwrap_or(false) {
            self.link.offer_cancel();
        }
        let credit = result.pointer("/capabilities/httpBodyCredit").and_then(Value::as_bool).unwrap_or(false);
        if credit || self.link.defects().has(Defect::CreditNotOffered) {
            self.routes().keep_credit();
        }
        let initialized = Message::Notification { method: INITIALIZED_METHOD.into(), params: Some(json!({})) };
        self.link.send(initialized.encode().into()).await;
        Ok(self)
    }

    async fn http_request(&self, params: RequestParams) -> Result<Value, CallError> {
        if !self.header_env_vars && params.headers.iter().any(|header| header.value_env_var.is_some()) {
            return Err(CallError::HeaderEnvVar);
        }
        self.call(REQUEST_METHOD, params.to_value()).await
    }

    /// Sends a request and waits for its answer.
    async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let (id, answer) = self.routes().insert_call()?;
        let _pending = Pending { routes: self.routes(), id };
        let frame =
            Bytes::from(Message::Request { id: id.into(), method: method.into(), params: Some(params) }.encode());
        if frame.len() > LINE_BYTES {
            return Err(CallError::TooLarge);
        }
        self.link.cancelled().await;
        let sent = self.link.send(frame).await && !self.link.defects().has(Defect::OutcomeOfSentCallNotSaid);
        match answer.await.expect("only the drop of this call removes it unanswered") {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(self.refusal(error, sent)),
            Err(reason) => Err(CallError::Disconnected { reason, sent }),
        }
    }

    /// The error of a call that the executor answered with an error.
    fn refusal(&self, error: RpcError, sent: bool) -> CallError {
        let own = (error.code, error.message.as_str()) == DISCONNECT_ANSWER;
        if own && self.link.defects().has(Defect::DisconnectGuessedFromAnswer) {
            return CallError::Disconnected { reason: Disconnect::Closed, sent };
        }
        CallError::Executor(error)
    }
}

impl fmt::Debug for SeedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedClient").field("defects", &self.link.defects()).field("census", &self.census()).finish()
    }
}

/// A call that waits for its answer; its drop forgets it.
struct Pending<'a> {
    /// Where it is registered.
    routes: &'a Routes,
    /// Its JSON-RPC id.
    id: i64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.routes.remove_call(self.id);
    }
}
