//! The executor: a message for each chunk of a body, through two channels, each written and flushed by itself.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;

use super::codec::{self, BodyDelta, ByteChunk, ErrorDetail, Header, InitializeResult, Message, RequestParams};
use super::codec::{RequestId, ResponseResult};

/// Messages that may wait between two tasks.
const CHANNEL_MESSAGES: usize = 128;

/// Decoded bytes that one delta may carry.
const DELTA_BYTES: usize = 1024 * 1024;

/// Unused connections kept for each origin: as many as ours keeps, since that is not what is measured.
const IDLE_CONNECTIONS: usize = 64;

/// What an exchange hands in.
#[derive(Debug)]
enum Outbound {
    /// The answer of a call.
    Response(RequestId, serde_json::Value),
    /// The failure of a call.
    Error(RequestId, String),
    /// A piece of a body.
    Notification(Message),
}

/// Makes requests.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    /// With a pool of connections; each is driven by a task of its own.
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Executor {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        Self { http: builder.pool_max_idle_per_host(IDLE_CONNECTIONS).build(connector) }
    }

    /// Serves each websocket that is opened.
    pub(crate) async fn serve_websockets(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve_websocket(stream));
        }
    }

    async fn serve_websocket(self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let (mut sink, mut stream) = tokio_tungstenite::accept_async(stream).await.ok()?.split();
        let (incoming, arrived) = mpsc::channel(CHANNEL_MESSAGES);
        let (outgoing, mut waiting) = mpsc::channel::<Message>(CHANNEL_MESSAGES);
        tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                let Ok(text) = codec::encode(&message) else { break };
                if sink.send(tungstenite::Message::text(text)).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let tungstenite::Message::Text(text) = message else { continue };
                let Ok(message) = codec::decode(&text) else { break };
                if incoming.send(message).await.is_err() {
                    break;
                }
            }
        });
        self.serve(arrived, outgoing).await
    }

    /// Serves this process's standard input and output until the input ends.
    pub(crate) async fn serve_stdio(self) {
        let (incoming, arrived) = mpsc::channel(CHANNEL_MESSAGES);
        let (outgoing, mut waiting) = mpsc::channel::<Message>(CHANNEL_MESSAGES);
        tokio::spawn(async move {
            let mut output = tokio::io::stdout();
            while let Some(message) = waiting.recv().await {
                let Ok(text) = codec::encode(&message) else { break };
                if write_line(&mut output, &text).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(message) = codec::decode(&line) else { break };
                if incoming.send(message).await.is_err() {
                    break;
                }
            }
        });
        self.serve(arrived, outgoing).await;
    }

    async fn serve(self, mut arrived: mpsc::Receiver<Message>, outgoing: mpsc::Sender<Message>) -> Option<()> {
        let (outbound, mut waiting) = mpsc::channel::<Outbound>(CHANNEL_MESSAGES);
        tokio::spawn(async move {
            while let Some(outbound) = waiting.recv().await {
                let message = match outbound {
                    Outbound::Response(id, result) => Message::Response { id, result },
                    Outbound::Error(id, message) => Message::Error { id, error: ErrorDetail { code: -32603, message } },
                    Outbound::Notification(message) => message,
                };
                if outgoing.send(message).await.is_err() {
                    break;
                }
            }
        });
        while let Some(message) = arrived.recv().await {
            let Message::Request { id, method, params } = message else { continue };
            if method == "initialize" {
                let result = InitializeResult { session_id: "baseline".into() };
                outbound.send(Outbound::Response(id, serde_json::to_value(result).ok()?)).await.ok()?;
                continue;
            }
            let params: RequestParams = serde_json::from_value(params?).ok()?;
            // One at a time up to the head; the body then goes on by itself.
            match self.request(&params).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let value = |value: &http::HeaderValue| Some(value.to_str().ok()?.to_owned());
                    let headers = head.headers.iter();
                    let headers =
                        headers.filter_map(|(name, v)| Some(Header { name: name.to_string(), value: value(v)? }));
                    let result = ResponseResult {
                        status: head.status.as_u16(),
                        headers: headers.collect(),
                        body_base64: ByteChunk::default(),
                    };
                    outbound.send(Outbound::Response(id, serde_json::to_value(result).ok()?)).await.ok()?;
                    tokio::spawn(hand_on(body, params.request_id, outbound.clone()));
                }
                Err(error) => outbound.send(Outbound::Error(id, error.to_string())).await.ok()?,
            }
        }
        Some(())
    }

    async fn request(&self, params: &RequestParams) -> io::Result<http::Response<Incoming>> {
        let body = params.body_base64.clone().unwrap_or_default().0;
        let mut request = http::Request::builder().method(params.method.as_str()).uri(&params.url);
        for header in &params.headers {
            request = request.header(&header.name, &header.value);
        }
        let request = request.body(Full::from(body)).map_err(io::Error::other)?;
        self.http.request(request).await.map_err(io::Error::other)
    }
}

/// Hands a body on, chunk by chunk, and then its end.
async fn hand_on(mut body: Incoming, id: String, outbound: mpsc::Sender<Outbound>) -> Option<()> {
    let id = Arc::<str>::from(id);
    let mut seq = 0;
    let mut delta = |bytes: &[u8], done, error| {
        seq += 1;
        let delta_base64 = ByteChunk(bytes.to_vec());
        codec::notification(&BodyDelta { request_id: id.to_string(), seq, delta_base64, done, error }).ok()
    };
    loop {
        let bytes = match body.frame().await {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                return outbound.send(Outbound::Notification(delta(&[], true, Some(error.to_string()))?)).await.ok();
            }
        };
        for piece in bytes.chunks(DELTA_BYTES) {
            outbound.send(Outbound::Notification(delta(piece, false, None)?)).await.ok()?;
        }
    }
    outbound.send(Outbound::Notification(delta(&[], true, None)?)).await.ok()
}

async fn write_line(output: &mut tokio::io::Stdout, text: &str) -> io::Result<()> {
    output.write_all(text.as_bytes()).await?;
    output.write_all(b"\n").await?;
    output.flush().await
}
