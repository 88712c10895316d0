//! The built-in client under test.

use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client, ConnectError, HeaderEnvVar, RequestOptions};
use exec_http::conformance::case::Transport;
use exec_http::conformance::client::messages::{CONTROL, Endpoint, Failure, Header, Hello, Kind, Limits, Request};
use exec_http::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};
use exec_http::protocol::http::RedirectPolicy;
use exec_http::protocol::limits;
use exec_http::protocol::stream::StreamError;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::process::Child;

use super::connect;

/// The client of this package.
pub(super) struct BuiltIn;

/// A connection of it.
pub(super) struct Connection {
    /// The client.
    client: Client,
    /// The executor that it started; killed with the connection.
    _child: Option<Child>,
}

/// A body of it.
pub(super) struct Stream(Body);

impl ClientUnderTest for BuiltIn {
    type Connection = Connection;

    fn hello(&self) -> Hello {
        let name = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
        let features = [
            "error-kinds",
            "census",
            "abandon",
            "cancel",
            "foreign-drop",
            "header-env-vars",
            "redirect-policy",
            "buffered",
            "remote-cancel",
            "body-credit",
        ];
        Hello {
            control: CONTROL,
            adapter: name.to_owned(),
            library: name.to_owned(),
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
        let (connection, child) = connect(endpoint, &[]).await?;
        let client = Client::connect(connection).await.map_err(|error| Failure {
            kind: match &error {
                ConnectError::Timeout(_) => Kind::Timeout,
                ConnectError::Executor(_) => Kind::Rpc,
                ConnectError::Result(_) => Kind::Malformed,
                ConnectError::Disconnected(_) => Kind::Disconnected,
                ConnectError::Config => Kind::Other,
            },
            message: error.to_string(),
            code: match &error {
                ConnectError::Executor(error) => Some(error.code),
                _ => None,
            },
        })?;
        Ok(Connection { client, _child: child })
    }
}

impl ConnectionUnderTest for Connection {
    type Body = Stream;

    async fn request(&self, request: Request) -> Result<(Head, Bytes), Failure> {
        let response = self.client.request(to_http(request)?).await.map_err(of_call)?;
        let (parts, body) = response.into_parts();
        Ok((head(parts.status.as_u16(), &parts.headers), body))
    }

    async fn stream(&self, request: Request) -> Result<(Head, Stream), Failure> {
        let response = self.client.stream(to_http(request)?).await.map_err(of_call)?;
        let (parts, body) = response.into_parts();
        Ok((head(parts.status.as_u16(), &parts.headers), Stream(body)))
    }

    fn census(&self) -> Option<Census> {
        let usage = self.client.usage();
        Some(Census { routes: usage.routes as u64, calls: None, queued_bytes: Some(usage.queued_bytes as u64) })
    }
}

impl BodyUnderTest for Stream {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        self.0.chunk().await.transpose().map_err(|error| Failure {
            kind: kind_of(&error),
            message: error.to_string(),
            code: None,
        })
    }
}

/// What the adapter protocol calls an error of a stream.
pub(super) fn kind_of(error: &StreamError) -> Kind {
    match error {
        StreamError::Remote { .. } => Kind::Remote,
        StreamError::Sequence { .. } => Kind::Sequence,
        StreamError::Overflow(_) => Kind::Overflow,
        StreamError::Malformed(_) | StreamError::BeyondCredit { .. } => Kind::Malformed,
        StreamError::Disconnected(_) => Kind::Disconnected,
        StreamError::WrongLength(_) => Kind::Truncated,
        StreamError::Deadline(_) => Kind::Timeout,
    }
}

fn of_call(error: CallError) -> Failure {
    let kind = match &error {
        CallError::Request(_) => Kind::Other,
        CallError::TooManyCalls => Kind::Limit,
        CallError::Executor(_) => Kind::Rpc,
        CallError::Result(_) => Kind::Malformed,
        CallError::WrongLength(_) => Kind::Truncated,
        CallError::Disconnected { sent: true, .. } => Kind::UnknownOutcome,
        CallError::Disconnected { sent: false, .. } | CallError::Unconnected(_) => Kind::Disconnected,
        CallError::Deadline { .. } => Kind::Timeout,
    };
    let code = match &error {
        CallError::Executor(error) => Some(error.code),
        _ => None,
    };
    Failure { kind, message: error.to_string(), code }
}

fn head(status: u16, headers: &HeaderMap) -> Head {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let entry = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: text(value),
        value_env_var: None,
    };
    Head { status, headers: headers.iter().map(entry).collect() }
}

fn to_http(request: Request) -> Result<http::Request<Bytes>, Failure> {
    let mut out = http::Request::new(request.body()?.unwrap_or_default());
    *out.method_mut() = request.method.parse::<Method>().map_err(Failure::other)?;
    *out.uri_mut() = request.url.parse::<Uri>().map_err(Failure::other)?;
    let mut header_env_vars = Vec::new();
    for Header { name, value, value_env_var } in request.headers {
        let name: HeaderName = name.parse().map_err(Failure::other)?;
        match value_env_var {
            Some(variable) => header_env_vars.push(HeaderEnvVar { name, prefix: value, variable }),
            None => {
                let value = HeaderValue::from_str(&value).map_err(Failure::other)?;
                out.headers_mut().try_append(name, value).map_err(Failure::other)?;
            }
        }
    }
    let redirect = match request.redirect.as_deref() {
        Some("stop") => RedirectPolicy::Stop,
        _ => RedirectPolicy::Follow,
    };
    let timeout = request.timeout_ms.map(Duration::from_millis);
    out.extensions_mut().insert(RequestOptions { timeout, redirect, header_env_vars, ..RequestOptions::default() });
    Ok(out)
}
