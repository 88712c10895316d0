//! The scripted executor.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use exec_http::client::{Body, CallError, Client, ClientConfig};
use exec_http::protocol::stream::StreamError;
use exec_http::transport::{CloseReason, Connection, memory};
use serde_json::{Value, json};

/// The executor's end of a connection.
pub(crate) struct Executor {
    connection: Connection,
}

/// A request that the executor has read.
pub(crate) struct Call {
    pub(crate) id: Value,
    pub(crate) params: Value,
}

impl Call {
    pub(crate) fn request_id(&self) -> &str {
        self.params["requestId"].as_str().expect("a text")
    }
}

impl Executor {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The next message of the client; `None` once it closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let frame = self.connection.reader.next().await.expect("memory does not fail")?;
        Some(serde_json::from_slice(&frame).expect("the client writes JSON"))
    }

    /// The next message, which must be a `http/request`.
    pub(crate) async fn call(&mut self) -> Call {
        let mut message = self.next().await.expect("a call");
        assert_eq!(message["method"], "http/request");
        Call { id: message["id"].take(), params: message["params"].take() }
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        assert!(self.try_send_text(text).await, "the client reads");
    }

    /// False when the client does not read any more.
    pub(crate) async fn try_send_text(&mut self, text: &str) -> bool {
        self.connection.writer.send(vec![Bytes::copy_from_slice(text.as_bytes())]).await.is_ok()
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn respond(&mut self, call: &Call, result: Value) {
        self.send(json!({"id": call.id, "result": result})).await;
    }

    pub(crate) async fn refuse(&mut self, call: &Call, error: Value) {
        self.send(json!({"id": call.id, "error": error})).await;
    }

    /// Sends a delta with these members beside `requestId`.
    pub(crate) async fn delta(&mut self, request_id: &str, mut members: Value) {
        members["requestId"] = request_id.into();
        self.send(json!({"method": "http/request/bodyDelta", "params": members})).await;
    }

    pub(crate) async fn data(&mut self, request_id: &str, seq: u64, bytes: impl AsRef<[u8]>) {
        self.delta(request_id, json!({"seq": seq, "deltaBase64": STANDARD.encode(bytes)})).await;
    }

    pub(crate) async fn end(&mut self, request_id: &str, seq: u64) {
        self.delta(request_id, json!({"seq": seq, "deltaBase64": "", "done": true, "error": null})).await;
    }

    /// Returns when the client has handled all that was sent: it answers the frames of a connection in their order.
    pub(crate) async fn settle(&mut self, client: &Client) {
        let (response, ()) = tokio::join!(client.request(get()), async {
            let call = self.call().await;
            self.respond(&call, head()).await;
        });
        response.expect("the connection lives");
    }

    /// Starts a streamed call whose response is `head`, and returns its body and `requestId`.
    pub(crate) async fn open_with(&mut self, client: &Client, head: Value) -> (Body, String) {
        let (response, request_id) = tokio::join!(client.stream(get()), async {
            let call = self.call().await;
            self.respond(&call, head).await;
            call.request_id().to_owned()
        });
        (response.expect("a response").into_body(), request_id)
    }

    pub(crate) async fn open(&mut self, client: &Client) -> (Body, String) {
        self.open_with(client, head()).await
    }

    /// Closes the connection in good order.
    pub(crate) async fn close(mut self) {
        self.connection.writer.close(CloseReason::Done).await;
    }
}

/// A client and its executor, behind the handshake.
pub(crate) async fn connected() -> (Client, Executor) {
    connected_with(ClientConfig::default(), json!({"sessionId": "s"})).await
}

/// As [`connected`], with the client's settings and the executor's result of `initialize`.
pub(crate) async fn connected_with(config: ClientConfig, result: Value) -> (Client, Executor) {
    let (near, far) = memory::pair();
    let mut executor = Executor::new(far);
    let (client, ()) = tokio::join!(Client::connect_with(near, config), async {
        let initialize = executor.next().await.expect("initialize");
        executor.send(json!({"id": initialize["id"], "result": result})).await;
    });
    let initialized = executor.next().await.expect("initialized");
    assert_eq!(initialized, json!({"method": "initialized", "params": {}}));
    (client.expect("a handshake"), executor)
}

pub(crate) fn get() -> http::Request<Bytes> {
    http::Request::get("http://origin.test/path?query").body(Bytes::new()).expect("a legal request")
}

/// The smallest result of `http/request`.
pub(crate) fn head() -> Value {
    json!({"status": 200, "headers": [], "bodyBase64": ""})
}

/// Reads to the end: all bytes, and the end, which must stay the same.
pub(crate) async fn read(body: &mut Body) -> (Vec<u8>, Result<(), StreamError>) {
    let mut bytes = Vec::new();
    loop {
        match body.chunk().await {
            Some(Ok(chunk)) => {
                assert!(!chunk.is_empty(), "a chunk has bytes");
                bytes.extend_from_slice(&chunk);
            }
            end => {
                for _ in 0..3 {
                    assert_eq!(body.chunk().await, end, "the end stays");
                }
                return (bytes, end.map_or(Ok(()), |error| Err(error.expect_err("no data here"))));
            }
        }
    }
}

pub(crate) fn assert_nothing_held(client: &Client) {
    let usage = client.usage();
    assert_eq!((usage.routes, usage.queued_bytes), (0, 0));
}

/// The disconnect in a call's error, and whether the request was sent.
pub(crate) fn disconnect_of<T: std::fmt::Debug>(
    result: Result<T, CallError>,
) -> (exec_http::protocol::stream::Disconnect, bool) {
    match result {
        Err(CallError::Disconnected { reason, sent }) => (reason, sent),
        other => panic!("no disconnect: {other:?}"),
    }
}
