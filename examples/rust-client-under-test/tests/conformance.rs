//! The conformance suite as tests of a client library, which here is `exec_http::client`.

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use bytes::Bytes;
use exec_http::client::{Body, CallError, Client, ConnectError, HeaderEnvVar, RequestOptions};
use exec_http::conformance::case::Transport;
use exec_http::conformance::client::harness;
use exec_http::conformance::client::messages::{CONTROL, Endpoint, Failure, Header, Hello, Kind, Limits, Request};
use exec_http::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};
use exec_http::protocol::http::RedirectPolicy;
use exec_http::protocol::limits;
use exec_http::protocol::stream::StreamError;
use exec_http::transport::{lines, websocket};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::process::{Child, Command};

fn main() -> ExitCode {
    harness::main(Library)
}

/// The library.
struct Library;

/// A connection of it.
struct Connection {
    client: Client,
    /// The executor that was started for it; killed with the connection.
    _child: Option<Child>,
}

/// A body of it.
struct Stream(Body);

impl ClientUnderTest for Library {
    type Connection = Connection;

    fn hello(&self) -> Hello {
        let features = ["error-kinds", "census", "abandon", "cancel", "foreign-drop"];
        let more = ["header-env-vars", "redirect-policy", "buffered", "remote-cancel", "body-credit"];
        Hello {
            control: CONTROL,
            adapter: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            library: "exec_http::client".to_owned(),
            language: "rust".to_owned(),
            transports: vec![Transport::Websocket, Transport::Stdio],
            features: features.into_iter().chain(more).map(str::to_owned).collect(),
            limits: Limits {
                queue_frames: Some(limits::QUEUE_FRAMES as u64),
                queue_bytes: Some(limits::QUEUE_BYTES as u64),
                frame_bytes: Some(limits::DELTA_BYTES as u64),
            },
        }
    }

    async fn open(&self, endpoint: Endpoint) -> Result<Connection, Failure> {
        let (connection, child) = match endpoint {
            Endpoint::Ws { url } => (websocket::connect(&url).await.map_err(Failure::other)?, None),
            Endpoint::Stdio { argv, env } => {
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]).envs(env).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
                let mut child = command.spawn().map_err(Failure::other)?;
                let pipes = child.stdout.take().zip(child.stdin.take());
                let (output, input) = pipes.ok_or_else(|| Failure::other("the program has no pipes"))?;
                (lines::connection(output, input), Some(child))
            }
        };
        match Client::connect(connection).await {
            Ok(client) => Ok(Connection { client, _child: child }),
            Err(error) => Err(of_connect(&error)),
        }
    }
}

impl ConnectionUnderTest for Connection {
    type Body = Stream;

    async fn request(&self, request: Request) -> Result<(Head, Bytes), Failure> {
        let (parts, body) = self.client.request(to_http(request)?).await.map_err(|error| of_call(&error))?.into_parts();
        Ok((head(parts.status.as_u16(), &parts.headers), body))
    }

    async fn stream(&self, request: Request) -> Result<(Head, Stream), Failure> {
        let (parts, body) = self.client.stream(to_http(request)?).await.map_err(|error| of_call(&error))?.into_parts();
        Ok((head(parts.status.as_u16(), &parts.headers), Stream(body)))
    }

    fn census(&self) -> Option<Census> {
        let usage = self.client.usage();
        Some(Census { routes: usage.routes as u64, calls: None, queued_bytes: Some(usage.queued_bytes as u64) })
    }
}

impl BodyUnderTest for Stream {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        self.0.chunk().await.transpose().map_err(|error| of_stream(&error))
    }
}

/// The request of an application.
fn to_http(request: Request) -> Result<http::Request<Bytes>, Failure> {
    let mut out = http::Request::new(request.body()?.unwrap_or_default());
    *out.method_mut() = request.method.parse::<Method>().map_err(Failure::other)?;
    *out.uri_mut() = request.url.parse::<Uri>().map_err(Failure::other)?;
    let mut options = RequestOptions { timeout: request.timeout_ms.map(Duration::from_millis), ..Default::default() };
    if request.redirect.as_deref() == Some("stop") {
        options.redirect = RedirectPolicy::Stop;
    }
    for Header { name, value, value_env_var } in request.headers {
        let name: HeaderName = name.parse().map_err(Failure::other)?;
        if let Some(variable) = value_env_var {
            options.header_env_vars.push(HeaderEnvVar { name, prefix: value, variable });
        } else {
            let value = value.parse::<HeaderValue>().map_err(Failure::other)?;
            out.headers_mut().append(name, value);
        }
    }
    out.extensions_mut().insert(options);
    Ok(out)
}

/// The head of a response.
fn head(status: u16, headers: &HeaderMap) -> Head {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let header = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: text(value),
        value_env_var: None,
    };
    Head { status, headers: headers.iter().map(header).collect() }
}

/// What the suite calls an error of the handshake.
fn of_connect(error: &ConnectError) -> Failure {
    let (kind, code) = match error {
        ConnectError::Executor(error) => (Kind::Rpc, Some(error.code)),
        ConnectError::Timeout(_) => (Kind::Timeout, None),
        ConnectError::Result(_) => (Kind::Malformed, None),
        ConnectError::Disconnected(_) => (Kind::Disconnected, None),
        ConnectError::Config => (Kind::Other, None),
    };
    Failure { kind, message: error.to_string(), code }
}

/// What the suite calls an error of a call.
fn of_call(error: &CallError) -> Failure {
    let (kind, code) = match error {
        CallError::Executor(error) => (Kind::Rpc, Some(error.code)),
        CallError::TooManyCalls => (Kind::Limit, None),
        CallError::Result(_) => (Kind::Malformed, None),
        CallError::WrongLength(_) => (Kind::Truncated, None),
        CallError::Disconnected { sent: true, .. } => (Kind::UnknownOutcome, None),
        CallError::Disconnected { sent: false, .. } | CallError::Unconnected(_) => (Kind::Disconnected, None),
        CallError::Deadline { .. } => (Kind::Timeout, None),
        CallError::Request(_) => (Kind::Other, None),
    };
    Failure { kind, message: error.to_string(), code }
}

/// What the suite calls an error of a body.
fn of_stream(error: &StreamError) -> Failure {
    let kind = match error {
        StreamError::Remote { .. } => Kind::Remote,
        StreamError::Sequence { .. } => Kind::Sequence,
        StreamError::Overflow(_) => Kind::Overflow,
        StreamError::Malformed(_) | StreamError::BeyondCredit { .. } => Kind::Malformed,
        StreamError::Disconnected(_) => Kind::Disconnected,
        StreamError::WrongLength(_) => Kind::Truncated,
        StreamError::Deadline(_) => Kind::Timeout,
    };
    Failure { kind, message: error.to_string(), code: None }
}
