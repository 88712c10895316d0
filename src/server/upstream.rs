//! The HTTP client that talks to origins: HTTP/1.1, with a pool of idle connections.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use tokio::sync::OnceCell;
use tower_service::Service;

use super::connector::Connector;
use super::destination::DestinationPolicy;
use super::failure;
use super::limits::Limits;
use super::origin::{OriginBody, OriginConnection, OriginKey};
use super::pool::Pool;
use super::proxy::Proxies;
use super::request::OriginRequest;
use super::roots::ExtraRoots;
use crate::protocol::error::RpcError;

/// Sends requests to origins; shared by all connections of an executor.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Opens connections for http.
    plain: Connector,
    /// For https. Loading the roots takes a while and may fail, so it happens at the first use.
    tls: OnceCell<HttpsConnector<Connector>>,
    /// Connections of both that wait for another request.
    pool: Arc<Pool>,
    /// Authorities that https trusts beside those of the system.
    roots: ExtraRoots,
    /// Where plain requests may have to say who sends them.
    proxies: Option<Proxies>,
    /// The bounds of this executor.
    limits: Limits,
}

impl Upstream {
    pub(super) fn new(policy: DestinationPolicy, proxies: Option<Proxies>, roots: ExtraRoots, limits: Limits) -> Self {
        let plain = Connector::new(policy, proxies.clone());
        Self { plain, tls: OnceCell::new(), pool: Pool::new(), roots, proxies, limits }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Connections to origins that nobody uses.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Sends one request and waits for the head of its response. Dropping the future, or later the body, closes the
    /// connection that the exchange used.
    ///
    /// # Errors
    ///
    /// Why there is no head, as an error reply.
    pub(super) async fn send(&self, request: &OriginRequest) -> Result<Response<OriginBody>, RpcError> {
        let key = OriginKey::of(&request.uri);
        loop {
            let pooled = self.pool.take(&key);
            let reused = pooled.is_some();
            tracing::trace!(reused, "a request to the origin");
            let connection = match pooled {
                Some(connection) => connection,
                None => self.connect(key.clone(), &request.uri).await?,
            };
            let message = self.message(request, connection.takes_whole_url());
            match connection.send(message, &self.pool).await {
                Ok(response) => return Ok(response),
                // The origin closed it at this very moment. Nothing was sent, so nothing is sent twice.
                Err(failed) if failed.unsent && reused => {}
                Err(failed) => return Err(failure::before_head(&failed.error, self.limits.response_head_bytes)),
            }
        }
    }

    async fn connect(&self, key: OriginKey, uri: &Uri) -> Result<OriginConnection, RpcError> {
        let stream = if uri.scheme_str() == Some("https") {
            let connector = self.tls.get_or_try_init(|| self.tls_connector()).await?;
            call(connector.clone(), uri).await.map_err(|error| failure::no_connection(&*error))?
        } else {
            MaybeHttpsStream::Http(call(self.plain.clone(), uri).await.map_err(|error| failure::no_connection(&error))?)
        };
        let head_bytes = self.limits.response_head_bytes;
        let connection = OriginConnection::new(key, stream, head_bytes).await;
        connection.map_err(|error| failure::before_head(&error, head_bytes))
    }

    /// The request as it is written: with its path, or with its whole URL for a proxy.
    fn message(&self, request: &OriginRequest, whole_url: bool) -> Request<Full<Bytes>> {
        let uri = &request.uri;
        let mut message = Request::new(Full::from(request.body.clone().unwrap_or_default()));
        *message.method_mut() = request.method.clone();
        *message.headers_mut() = request.wire_headers();
        let path = || uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *message.uri_mut() = if whole_url { uri.clone() } else { path().into() };
        if uri.scheme_str() != Some("https")
            && let Some(authorization) = self.proxies.as_ref().and_then(|proxies| proxies.authorization(uri))
        {
            message.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        if let Some(host) = host(uri) {
            message.headers_mut().entry(HOST).or_insert(host);
        }
        message
    }

    async fn tls_connector(&self) -> Result<HttpsConnector<Connector>, RpcError> {
        let roots = self.roots.clone();
        let config = tokio::task::spawn_blocking(move || roots.client_config());
        let Ok(Some(config)) = config.await else { return Err(failure::no_roots()) };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
        Ok(builder.wrap_connector(self.plain.clone()))
    }
}

async fn call<C: Service<Uri>>(mut connector: C, uri: &Uri) -> Result<C::Response, C::Error> {
    poll_fn(|cx| connector.poll_ready(cx)).await?;
    connector.call(uri.clone()).await
}

/// The value of `host`: without the port that the scheme stands for.
fn host(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    match uri.port_u16() {
        Some(port) if port != usual => HeaderValue::try_from(format!("{host}:{port}")).ok(),
        _ => HeaderValue::from_str(host).ok(),
    }
}
