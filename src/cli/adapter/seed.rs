//! The seed client under test, with the defects that it is told to have.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use exec_http::conformance::case::Transport;
use exec_http::conformance::client::messages::{CONTROL, Endpoint, Failure, Header, Hello, Kind, Limits, Request};
use exec_http::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};
use exec_http::conformance::zoo::proxy::Make;
use exec_http::conformance::zoo::seed_client::{Body, CallError, Config, Defect, Defects, SeedClient};
use exec_http::protocol::http::{RedirectPolicy, RequestHeader, RequestParams, ResponseHead};
use exec_http::protocol::limits;
use tokio::process::Child;

use super::built_in::kind_of;
use super::connect;

/// How often [`Defect::CallSentAgain`] tries to connect again, and how long it waits in between.
const RECONNECTS: (u32, Duration) = (100, Duration::from_millis(50));

/// The seed client.
#[derive(Clone)]
pub(crate) struct Seed {
    /// The switches that are on.
    defects: Defects,
    /// What is done to the wire of each connection.
    wires: Vec<Make>,
}

/// A connection of it.
pub(crate) struct Connection {
    /// How it was made.
    seed: Seed,
    /// Where it leads.
    endpoint: Endpoint,
    /// The client, and the executor that it started, which is killed with the connection.
    open: Mutex<(SeedClient, Option<Child>)>,
    /// Calls for which this application had to think of a `requestId`.
    named: AtomicU64,
}

/// A body of it.
pub(crate) struct Stream {
    /// What the library gave.
    body: Body,
    /// What its errors begin with.
    prefix: String,
}

impl Seed {
    /// With these defects of its own and of its wire.
    pub(crate) fn new(defects: Defects, wires: Vec<Make>) -> Self {
        Self { defects, wires }
    }

    /// What it can only with a switch that spoils just that.
    fn extra_feature(&self) -> Option<&'static str> {
        self.defects.has(Defect::CallSentAgain).then_some("reconnect")
    }

    async fn connect(&self, endpoint: Endpoint) -> Result<(SeedClient, Option<Child>), Failure> {
        let (connection, child) = connect(endpoint, &self.wires).await?;
        let config = Config { defects: self.defects, ..Config::default() };
        Ok((SeedClient::connect(connection, config).await.map_err(of_call)?, child))
    }
}

impl ClientUnderTest for Seed {
    type Connection = Connection;

    fn hello(&self) -> Hello {
        let features = [
            "error-kinds",
            "census",
            "abandon",
            "cancel",
            "foreign-drop",
            "caller-ids",
            "header-env-vars",
            "redirect-policy",
            "buffered",
            "close-events",
            "remote-cancel",
            "body-credit",
        ];
        Hello {
            control: CONTROL,
            adapter: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            library: format!("seed-client with {:?}", self.defects),
            language: "rust".to_owned(),
            transports: vec![Transport::Websocket, Transport::Stdio],
            features: features.into_iter().chain(self.extra_feature()).map(str::to_owned).collect(),
            limits: Limits {
                queue_frames: Some(limits::QUEUE_FRAMES as u64),
                queue_bytes: Some(limits::QUEUE_BYTES as u64),
                frame_bytes: Some(limits::DELTA_BYTES as u64),
            },
        }
    }

    async fn open(&self, endpoint: Endpoint) -> Result<Connection, Failure> {
        let open = Mutex::new(self.connect(endpoint.clone()).await?);
        Ok(Connection { seed: self.clone(), endpoint, open, named: AtomicU64::new(0) })
    }
}

impl Connection {
    fn client(&self) -> SeedClient {
        self.open.lock().expect("nobody panics with it").0.clone()
    }

    /// Connects once more, until it succeeds or there is no hope left.
    async fn reconnect(&self) {
        for _ in 0..RECONNECTS.0 {
            if let Ok(open) = self.seed.connect(self.endpoint.clone()).await {
                *self.open.lock().expect("nobody panics with it") = open;
                return;
            }
            tokio::time::sleep(RECONNECTS.1).await;
        }
    }

    /// What the client's own errors about a call begin with.
    fn prefix(&self, request: &Request) -> String {
        let told = self.seed.defects.has(Defect::UrlInErrors);
        if told { format!("{}: ", request.url) } else { String::new() }
    }

    /// What the application asks for; it thinks of a `requestId` where the suite does not.
    fn params(&self, request: Request) -> Result<RequestParams, Failure> {
        let body = request.body()?;
        let header = |header: Header| RequestHeader {
            value_env_var: header.value_env_var,
            ..RequestHeader::new(&header.name, header.value)
        };
        Ok(RequestParams {
            request_id: request
                .request_id
                .unwrap_or_else(|| format!("call-{}", self.named.fetch_add(1, Ordering::Relaxed))),
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(header).collect(),
            body,
            timeout: request.timeout_ms.map(Duration::from_millis),
            redirect_policy: if request.redirect.as_deref() == Some("stop") {
                RedirectPolicy::Stop
            } else {
                RedirectPolicy::Follow
            },
            // The library's own business, whatever its caller writes here.
            stream_response: true,
            credit: None,
        })
    }
}

impl ConnectionUnderTest for Connection {
    type Body = Stream;

    async fn request(&self, request: Request) -> Result<(Head, Bytes), Failure> {
        let response = self.client().request(self.params(request)?).await.map_err(of_call)?;
        Ok((head(&response), response.body))
    }

    async fn stream(&self, request: Request) -> Result<(Head, Stream), Failure> {
        let prefix = self.prefix(&request);
        let params = self.params(request)?;
        let mut answered = self.client().stream(params.clone()).await;
        if matches!(answered, Err(CallError::Disconnected { .. })) && self.seed.defects.has(Defect::CallSentAgain) {
            self.reconnect().await;
            answered = self.client().stream(params).await;
        }
        let (response, body) = answered.map_err(|error| prefixed(&prefix, of_call(error)))?;
        Ok((head(&response), Stream { body, prefix }))
    }

    fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.client().closed()
    }

    fn census(&self) -> Option<Census> {
        let census = self.client().census();
        let routes = (census.routes + census.failure_records) as u64;
        Some(Census { routes, calls: None, queued_bytes: Some(census.queued_bytes as u64) })
    }
}

impl BodyUnderTest for Stream {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let failure = |error| Failure { kind: kind_of(&error), message: error.to_string(), code: None };
        self.body.recv().await.map_err(|error| prefixed(&self.prefix, failure(error)))
    }
}

fn prefixed(prefix: &str, failure: Failure) -> Failure {
    Failure { message: format!("{prefix}{}", failure.message), ..failure }
}

fn of_call(error: CallError) -> Failure {
    let kind = match &error {
        CallError::Executor(_) => Kind::Rpc,
        CallError::Result(_) => Kind::Malformed,
        CallError::WrongLength(_) => Kind::Truncated,
        CallError::Disconnected { sent: true, .. } => Kind::UnknownOutcome,
        CallError::Disconnected { sent: false, .. } => Kind::Disconnected,
        CallError::HandshakeTimeout(_) => Kind::Timeout,
        _ => Kind::Other,
    };
    let code = match &error {
        CallError::Executor(error) => Some(error.code),
        _ => None,
    };
    Failure { kind, message: error.to_string(), code }
}

fn head(response: &ResponseHead) -> Head {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entry = |header: &exec_http::protocol::http::ResponseHeader| Header {
        name: header.name.clone(),
        value: text(&header.value),
        value_env_var: None,
    };
    Head { status: response.status, headers: response.headers.iter().map(entry).collect() }
}
