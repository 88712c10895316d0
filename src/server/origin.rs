//! One HTTP/1.1 connection to an origin, and the exchange on it.
//!
//! No task of its own moves the bytes: hyper's side of the connection is polled by whoever waits for the exchange. So a chunk
//! costs no task switch, and what has arrived can be had at once; dropping an exchange closes its connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection as _;

use super::failure;
use super::pool::Pool;
use super::proxy::ProxyStream;
use crate::protocol::error::RpcError;

/// A connection's bytes, with TLS for https.
pub(super) type Stream = MaybeHttpsStream<ProxyStream>;

/// What a connection can be used again for: requests to the same scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OriginKey {
    /// http or https.
    scheme: Option<Scheme>,
    /// Host and port.
    authority: Option<Authority>,
}

impl OriginKey {
    pub(super) fn of(uri: &Uri) -> Self {
        Self { scheme: uri.scheme().cloned(), authority: uri.authority().cloned() }
    }
}

/// A connection on which no exchange goes on. Dropping it closes it.
#[derive(Debug)]
pub(super) struct OriginConnection {
    /// Where it leads.
    key: OriginKey,
    /// Whether requests on it name their whole URL: it leads to a proxy.
    whole_url: bool,
    /// Takes the requests.
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes while it is polled; `None` when the connection is over. It is large, and moves with its exchange.
    driver: Option<Box<http1::Connection<Stream, Full<Bytes>>>>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) struct SendError {
    /// What happened.
    pub(super) error: hyper::Error,
    /// Whether no byte of the request was written, so that it may be sent on another connection.
    pub(super) unsent: bool,
}

impl OriginConnection {
    /// A connection without a request so far; `head_bytes` bounds the heads of its responses, about.
    ///
    /// # Errors
    ///
    /// None that are known of HTTP/1.1, which begins without a word.
    pub(super) async fn new(key: OriginKey, stream: Stream, head_bytes: usize) -> Result<Self, hyper::Error> {
        let whole_url = stream.connected().is_proxied();
        let (sender, driver) = http1::Builder::new().max_buf_size(head_bytes).handshake(stream).await?;
        Ok(Self { key, whole_url, sender, driver: Some(Box::new(driver)) })
    }

    pub(super) fn key(&self) -> &OriginKey {
        &self.key
    }

    pub(super) fn takes_whole_url(&self) -> bool {
        self.whole_url
    }

    /// Reads and writes what can be without waiting, and registers for the rest.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        // How it ended is told to the request or the body on it; without either there is nobody to tell.
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            // Dropped, it ends what still waits for it.
            self.driver = None;
        }
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_none()
    }

    /// Whether it takes a request, as far as the last [`OriginConnection::drive`] knows: nothing of another one is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its response; once that is whole, its connection goes to the pool. Dropping the
    /// future, or the body before its end, closes the connection.
    ///
    /// # Errors
    ///
    /// Why there is no head. The connection is closed.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
        pool: &Arc<Pool>,
    ) -> Result<Response<OriginBody>, SendError> {
        let mut response = pin!(self.sender.try_send_request(request));
        let response = poll_fn(|cx| {
            self.drive(cx);
            response.as_mut().poll(cx)
        });
        match response.await {
            Ok(response) => {
                Ok(response.map(|incoming| OriginBody { incoming, connection: Some(self), pool: Arc::clone(pool) }))
            }
            Err(failed) => Err(SendError { unsent: failed.message().is_some(), error: failed.into_error() }),
        }
    }
}

/// The body of a response, with the connection that it comes on.
pub(super) struct OriginBody {
    /// What hyper has read of it.
    incoming: Incoming,
    /// `None` behind the end of the body, whole or not.
    connection: Option<OriginConnection>,
    /// Where the connection goes when the body is whole.
    pool: Arc<Pool>,
}

impl fmt::Debug for OriginBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginBody").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl OriginBody {
    /// Bytes that will come at least, as the origin says.
    pub(super) fn least_bytes(&self) -> u64 {
        self.incoming.size_hint().lower()
    }

    /// The next bytes, never none; trailers are left out. `None` when the body is whole. Cancel safe.
    ///
    /// # Errors
    ///
    /// Why it is not whole.
    pub(super) async fn data(&mut self) -> Result<Option<Bytes>, RpcError> {
        poll_fn(|cx| self.poll_data(cx)).await
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RpcError>> {
        loop {
            // First, for there is rarely anything to take before: hyper reads one chunk ahead.
            if let Some(connection) = &mut self.connection {
                connection.drive(cx);
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Ok(Some(data))),
                    _ => {}
                },
                Some(Err(error)) => {
                    self.connection = None;
                    return Poll::Ready(Err(failure::in_body(&error)));
                }
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.pool.put(connection);
                    }
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// Waits for something else while the connection goes on: an origin may answer before it has read the whole request. At most
    /// one chunk is read meanwhile.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending()
                && let Some(connection) = &mut self.connection
            {
                connection.drive(cx);
            }
            polled
        })
        .await
    }
}
