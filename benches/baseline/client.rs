//! The client: a task that reads messages, a task that dispatches them, a queue for each stream.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{Stream, StreamExt as _};
use futures_util::{Sink, SinkExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::codec::{self, BodyDelta, InitializeParams, InitializeResult, Message, RequestId, RequestParams};
use super::codec::{DELTA_METHOD, ErrorDetail, ResponseResult};
use super::routes::{QUEUE_FRAMES, Routes};

/// Messages that may wait between two tasks.
const CHANNEL_MESSAGES: usize = 128;

type Answer = Result<Value, ErrorDetail>;

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Client {
    /// To the writing task.
    outgoing: mpsc::Sender<Message>,
    /// What the dispatching task shares.
    shared: Arc<Shared>,
    /// The next id.
    next: AtomicI64,
}

/// What the dispatching task shares with callers.
#[derive(Debug, Default)]
struct Shared {
    /// Calls without answer.
    pending: Mutex<HashMap<RequestId, oneshot::Sender<Answer>>>,
    /// Open streams.
    routes: Routes,
}

/// A streamed body.
#[derive(Debug)]
pub(crate) struct Body {
    /// The stream.
    id: String,
    /// Its frames.
    frames: mpsc::Receiver<BodyDelta>,
    /// What its seq has to be.
    expected: u64,
    /// Where it is registered.
    shared: Arc<Shared>,
    /// The last frame was seen.
    ended: bool,
}

impl Client {
    /// Dials `ws://HOST:PORT`.
    pub(crate) async fn connect(url: &str) -> io::Result<Self> {
        let address = url.trim_start_matches("ws://").to_owned();
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(WebSocketConfig::default()))
            .await
            .map_err(io::Error::other)?;
        let (sink, stream) = socket.split();
        Self::open(texts(stream), messages(sink)).await
    }

    /// Speaks over the pipes of a child.
    pub(crate) async fn over_lines(
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> io::Result<Self> {
        let lines = BufReader::new(input).lines();
        let lines = futures_util::stream::unfold(lines, |mut lines| async {
            let line = lines.next_line().await.ok().flatten()?;
            Some((line, lines))
        });
        let lines = lines.filter(|line| std::future::ready(!line.trim().is_empty()));
        let sink = futures_util::sink::unfold(output, |mut output, text: String| async move {
            output.write_all(text.as_bytes()).await?;
            output.write_all(b"\n").await?;
            output.flush().await?;
            Ok::<_, io::Error>(output)
        });
        Self::open(Box::pin(lines), Box::pin(sink)).await
    }

    async fn open<T: Deref<Target = str> + Send>(
        mut texts: impl Stream<Item = T> + Send + Unpin + 'static,
        mut sink: impl Sink<String> + Send + Unpin + 'static,
    ) -> io::Result<Self> {
        let (outgoing, mut waiting) = mpsc::channel::<Message>(CHANNEL_MESSAGES);
        let (incoming, mut arrived) = mpsc::channel::<Message>(CHANNEL_MESSAGES);
        let shared = Arc::<Shared>::default();
        tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                let Ok(text) = codec::encode(&message) else { break };
                if sink.send(text).await.is_err() {
                    break;
                }
            }
            _ = sink.close().await;
        });
        tokio::spawn(async move {
            while let Some(text) = texts.next().await {
                let Ok(message) = codec::decode(&text) else { break };
                if incoming.send(message).await.is_err() {
                    break;
                }
            }
        });
        let dispatcher = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(message) = arrived.recv().await {
                if dispatcher.dispatch(message).await.is_none() {
                    break;
                }
            }
        });
        let client = Self { outgoing, shared, next: AtomicI64::new(1) };
        let params = InitializeParams { client_name: "baseline".into() };
        let _: InitializeResult = client.call("initialize", &params).await?;
        let initialized = Message::Notification { method: "initialized".into(), params: Some(serde_json::json!({})) };
        client.outgoing.send(initialized).await.map_err(io::Error::other)?;
        Ok(client)
    }

    async fn call<R: serde::de::DeserializeOwned>(&self, method: &str, params: &impl Serialize) -> io::Result<R> {
        let id = RequestId::Number(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        self.shared.pending.lock().map_err(|_| io::ErrorKind::Other)?.insert(id.clone(), sender);
        let params = Some(serde_json::to_value(params)?);
        let request = Message::Request { id, method: method.to_owned(), params };
        self.outgoing.send(request).await.map_err(io::Error::other)?;
        let answer = answer.await.map_err(io::Error::other)?;
        let result = answer.map_err(|error| io::Error::other(format!("{}: {}", error.code, error.message)))?;
        Ok(serde_json::from_value(result)?)
    }

    /// Asks for a streamed body.
    pub(crate) async fn stream(&self, url: &str) -> io::Result<Body> {
        let id = format!("http-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, frames) = mpsc::channel(QUEUE_FRAMES);
        self.shared.routes.insert(id.clone(), sender).await;
        let params = RequestParams {
            method: "GET".into(),
            url: url.to_owned(),
            headers: Vec::new(),
            body_base64: None,
            request_id: id.clone(),
            stream_response: true,
        };
        let result: ResponseResult = self.call("http/request", &params).await?;
        if result.status != 200 {
            return Err(io::Error::other(format!("status {}", result.status)));
        }
        Ok(Body { id, frames, expected: 1, shared: Arc::clone(&self.shared), ended: false })
    }
}

impl Shared {
    /// `None` when the connection cannot go on.
    async fn dispatch(&self, message: Message) -> Option<()> {
        let (id, answer) = match message {
            Message::Notification { method, params } if method == DELTA_METHOD => {
                let delta = codec::delta(params?).ok()?;
                if let Some(stream) = self.routes.get(&delta.request_id) {
                    let (id, is_terminal) = (delta.request_id.clone(), delta.done || delta.error.is_some());
                    // The first design fails the stream when the queue is full; a consumer that has gone is no matter.
                    _ = stream.send(delta).await;
                    if is_terminal {
                        self.routes.remove(&id).await;
                    }
                }
                return Some(());
            }
            Message::Response { id, result } => (id, Ok(result)),
            Message::Error { id, error } => (id, Err(error)),
            Message::Notification { .. } | Message::Request { .. } => return Some(()),
        };
        if let Some(waiting) = self.pending.lock().ok()?.remove(&id) {
            _ = waiting.send(answer);
        }
        Some(())
    }
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<io::Result<Vec<u8>>> {
        if self.ended {
            return None;
        }
        let Some(delta) = self.frames.recv().await else {
            return Some(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        if delta.seq != self.expected {
            self.shared.routes.remove(&self.id).await;
            return Some(Err(io::Error::other(format!("received seq {}, expected {}", delta.seq, self.expected))));
        }
        self.expected += 1;
        self.ended = delta.done;
        if let Some(error) = delta.error {
            self.ended = true;
            return Some(Err(io::Error::other(error)));
        }
        let bytes = delta.delta_base64.0;
        if self.ended && bytes.is_empty() { None } else { Some(Ok(bytes)) }
    }
}

/// The text of each message.
fn texts(
    stream: impl Stream<Item = Result<tungstenite::Message, tungstenite::Error>> + Send,
) -> impl Stream<Item = tungstenite::Utf8Bytes> + Send + Unpin {
    Box::pin(stream.filter_map(|message| {
        std::future::ready(match message {
            Ok(tungstenite::Message::Text(text)) => Some(text),
            _ => None,
        })
    }))
}

/// A message of each text.
fn messages(
    sink: impl Sink<tungstenite::Message, Error = tungstenite::Error> + Send,
) -> impl Sink<String> + Send + Unpin {
    Box::pin(
        sink.with(|text: String| std::future::ready(Ok::<_, tungstenite::Error>(tungstenite::Message::text(text)))),
    )
}
