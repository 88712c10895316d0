//! The HTTP client that talks to origins: HTTP/1.1, with a pool of idle connections.

use std::time::Duration;

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;

use super::connector::Connector;
use super::destination::DestinationPolicy;
use super::failure;
use super::limits::Limits;
use super::proxy::Proxies;
use super::request::OriginRequest;
use super::roots::ExtraRoots;
use crate::protocol::error::RpcError;

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
    /// Opens the connections of both.
    connector: Connector,
    /// Authorities that https trusts beside those of the system.
    roots: ExtraRoots,
    /// Where plain requests may have to say who sends them.
    proxies: Option<Proxies>,
    /// The bounds of this executor.
    limits: Limits,
}

impl Upstream {
    pub(super) fn new(policy: DestinationPolicy, proxies: Option<Proxies>, roots: ExtraRoots, limits: Limits) -> Self {
        let connector = Connector::new(policy, proxies.clone());
        let plain = client(connector.clone(), &limits);
        Self { plain, tls: OnceCell::new(), connector, roots, proxies, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
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
            let client = self.tls.get_or_try_init(|| self.tls_client()).await?;
            client.request(message).await
        } else {
            if let Some(authorization) = self.proxies.as_ref().and_then(|proxies| proxies.authorization(&request.uri)) {
                message.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
            }
            self.plain.request(message).await
        };
        response.map_err(|error| failure::before_head(&error, self.limits.response_head_bytes))
    }

    async fn tls_client(&self) -> Result<Client<HttpsConnector<Connector>, Full<Bytes>>, RpcError> {
        let roots = self.roots.clone();
        let config = tokio::task::spawn_blocking(move || roots.client_config());
        let Ok(Some(config)) = config.await else { return Err(failure::no_roots()) };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
        Ok(client(builder.wrap_connector(self.connector.clone()), &self.limits))
    }
}

fn client<C>(connector: C, limits: &Limits) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(limits.response_head_bytes)
        .build(connector)
}
