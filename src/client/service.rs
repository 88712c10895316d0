//! The client as a `tower_service::Service`, so that code written for such a service runs over an executor.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower_service::Service;

use super::deadline::Deadline;
use super::error::BodyError;
use super::{Body, CallError, Client, Reconnecting, RequestError, Unconnected};
use crate::protocol::limits::LINE_BYTES;

/// Bytes of a request body that are collected; what is longer fits no message, as its base64 text is a third longer.
pub const REQUEST_BODY_BYTES: usize = LINE_BYTES / 4 * 3;

/// The future of both services.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<http::Response<Body>, CallError>> + Send>>;

/// A call is [`Client::stream`] behind the collected body of the request, up to [`REQUEST_BODY_BYTES`]; the time for that counts
/// to its [deadline](super::RequestOptions::deadline). Nothing is sent before the body is whole.
///
/// It is always ready while the connection is there, and reserves nothing: a call beyond
/// [`calls`](super::ClientConfig::calls) fails with [`CallError::TooManyCalls`], so put a concurrency limit in front where calls
/// are to wait instead. When the connection is gone it is never ready again, and `poll_ready` has the error of the calls.
impl<B> Service<http::Request<B>> for Client
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = http::Response<Body>;
    type Error = CallError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(self.check_connected())
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let (client, mut deadline) = (self.clone(), Deadline::of(request.extensions()));
        Box::pin(async move {
            let request = collect(request, &mut deadline).await?;
            client.stream_until(request, deadline).await
        })
    }
}

/// A call is [`Reconnecting::stream`] behind the collected body of the request, as for [`Client`].
///
/// It is always ready, with or without a connection, until it is closed: making one is a part of the call.
impl<B> Service<http::Request<B>> for Reconnecting
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = http::Response<Body>;
    type Error = CallError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(if self.is_closed() { Err(CallError::Unconnected(Unconnected::Closed)) } else { Ok(()) })
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let (client, mut deadline) = (self.clone(), Deadline::of(request.extensions()));
        Box::pin(async move {
            let request = collect(request, &mut deadline).await?;
            client.stream_until(request, deadline).await
        })
    }
}

/// The same request with its whole body.
async fn collect<B>(request: http::Request<B>, deadline: &mut Deadline) -> Result<http::Request<Bytes>, CallError>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let too_large = || RequestError::BodyTooLarge { limit: REQUEST_BODY_BYTES };
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > REQUEST_BODY_BYTES as u64 {
        return Err(too_large().into());
    }
    let collected = deadline.run(Limited::new(body, REQUEST_BODY_BYTES).collect()).await;
    let collected = collected.map_err(|limit| CallError::Deadline { limit, sent: false })?.map_err(|error| {
        if error.is::<LengthLimitError>() { too_large() } else { RequestError::Body(BodyError::new(error)) }
    })?;
    if collected.trailers().is_some() {
        return Err(RequestError::Trailers.into());
    }
    Ok(http::Request::from_parts(parts, collected.to_bytes()))
}
