//! The seed client under test, with the defects that it is told to have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use exec_http::conformance::case::Transport;
use exec_http::conformance::client::messages::{CONTROL, Endpoint, Failure, Header, Hello, Kind, Limits, Request};
use exec_http::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};
use exec_http::conformance::zoo::seed_client::{Body, CallError, Config, Defects, SeedClient};
use exec_http::protocol::http::{RedirectPolicy, RequestHeader, RequestParams, ResponseHead};
use exec_http::protocol::limits;
use tokio::process::Child;

use super::built_in::kind_of;
use super::connect;

/// The seed client.
pub(super) struct Seed {
    /// The switches that are on.
    defects: Defects,
}

/// A connection of it.
pub(super) struct Connection {
    /// The client.
    client: SeedClient,
    /// The executor that it started; killed with the connection.
    _child: Option<Child>,
    /// Calls for which this application had to think of a `requestId`.
    named: AtomicU64,
}

/// A body of it.
pub(super) struct Stream(Body);

impl Seed {
    /// With these defects.
    pub(super) fn new(defects: Defects) -> Self {
        Self { defects }
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
        ];
        Hello {
            control: CONTROL,
            adapter: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            library: format!("seed-client with {:?}", self.defects),
            language: "rust".to_owned(),
            transports: vec![Transport::Websocket, Transport::Stdio],
            features: features.map(str::to_owned).into(),
            limits: Limits {
                queue_frames: Some(limits::QUEUE_FRAMES as u64),
                queue_bytes: Some(limits::QUEUE_BYTES as u64),
                frame_bytes: Some(limits::DELTA_BYTES as u64),
            },
        }
    }

    async fn open(&self, endpoint: Endpoint) -> Result<Connection, Failure> {
        let (connection, child) = connect(endpoint).await?;
        let config = Config { defects: self.defects, ..Config::default() };
        let client = SeedClient::connect(connection, config).await.map_err(of_call)?;
        Ok(Connection { client, _child: child, named: AtomicU64::new(0) })
    }
}

impl Connection {
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
        })
    }
}

impl ConnectionUnderTest for Connection {
    type Body = Stream;

    async fn request(&self, request: Request) -> Result<(Head, Bytes), Failure> {
        let response = self.client.request(self.params(request)?).await.map_err(of_call)?;
        Ok((head(&response), response.body))
    }

    async fn stream(&self, request: Request) -> Result<(Head, Stream), Failure> {
        let (response, body) = self.client.stream(self.params(request)?).await.map_err(of_call)?;
        Ok((head(&response), Stream(body)))
    }

    fn census(&self) -> Option<Census> {
        let census = self.client.census();
        let routes = (census.routes + census.failure_records) as u64;
        Some(Census { routes, calls: None, queued_bytes: Some(census.queued_bytes as u64) })
    }
}

impl BodyUnderTest for Stream {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let failure = |error| Failure { kind: kind_of(&error), message: error.to_string(), code: None };
        self.0.recv().await.map_err(failure)
    }
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
