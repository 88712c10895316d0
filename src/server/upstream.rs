//! The HTTP client that talks to origins: HTTP/1.1, with a pool of idle connections.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;

use super::connector::Connector;
use super::failure;
use super::request::OriginRequest;
use crate::protocol::error::RpcError;
use crate::protocol::limits::RESPONSE_HEAD_BYTES;

/// How long an unused connection stays in the pool.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Unused connections kept for each origin.
const IDLE_CONNECTIONS: usize = 64;

/// Sends requests to origins; shared by all connections of an executor.
#[derive(Debug)]
pub(super) struct Upstream {
    /// For http.
    plain: Client<Connector, Full<Bytes>>,
    /// For https. Loading the roots takes a while and may fail, so it happens at the first use.
    tls: OnceCell<Client<HttpsConnector<Connector>, Full<Bytes>>>,
}

impl Upstream {
    pub(super) fn new() -> Self {
        Self { plain: client(Connector), tls: OnceCell::new() }
    }

    /// Sends one request and waits for the head of its response. Dropping the future, or later the body, closes the
    /// connection that the exchange used.
    ///
    /// # Errors
    ///
    /// Why there is no head, as an error reply.
    pub(super) async fn send(&self, request: &OriginRequest) -> Result<Response<Incoming>, RpcError> {
        let mut message = Request::new(Full::from(request.body.clone().unwrap_or_default()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = request.wire_headers();
        let response = if request.url.scheme() == "https" {
            let client = self.tls.get_or_try_init(tls_client).await?;
            client.request(message).await
        } else {
            self.plain.request(message).await
        };
        response.map_err(|error| failure::before_head(&error))
    }
}

async fn tls_client() -> Result<Client<HttpsConnector<Connector>, Full<Bytes>>, RpcError> {
    let builder = tokio::task::spawn_blocking(|| HttpsConnectorBuilder::new().with_native_roots());
    let Ok(Ok(builder)) = builder.await else { return Err(failure::no_roots()) };
    Ok(client(builder.https_only().enable_http1().wrap_connector(Connector)))
}

fn client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(RESPONSE_HEAD_BYTES)
        .build(connector)
}
