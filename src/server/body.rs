//! Response bodies: handed on in pieces, or collected whole.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::failure;
use super::limits::IdleTime;
use super::reply::Reply;
use crate::protocol::error::RpcError;
use crate::protocol::limits::JOINED_DELTA_BYTES;

/// Hands a body on while it comes. The origin is read only while the client keeps up.
///
/// # Errors
///
/// Why the body is not whole, after all bytes before that were handed on.
pub(super) async fn pump(mut body: Incoming, reply: &Reply, idle: IdleTime) -> Result<(), RpcError> {
    loop {
        let (data, next) = read_ready(&mut body, idle).await;
        if !data.is_empty() {
            reply.chunk(data).await;
        }
        match next {
            Next::More => {}
            Next::End => return Ok(()),
            Next::Failed(error) => return Err(error),
        }
    }
}

/// Collects a body.
///
/// # Errors
///
/// Why the body is not whole, or that it is longer than `limit` bytes.
pub(super) async fn collect(mut body: Incoming, limit: usize, idle: IdleTime) -> Result<Bytes, RpcError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(failure::body_too_long(limit));
    }
    let mut whole = BytesMut::new();
    while let Some(data) = idle.bound(next_data(&mut body)).await? {
        if whole.len() + data.len() > limit {
            return Err(failure::body_too_long(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// What comes after the bytes of one read.
enum Next {
    /// Perhaps more.
    More,
    /// Nothing: the body is whole.
    End,
    /// Nothing: it broke off.
    Failed(RpcError),
}

/// Waits for bytes, then joins small chunks that are there already.
async fn read_ready(body: &mut Incoming, idle: IdleTime) -> (Bytes, Next) {
    let first = match idle.bound(next_data(body)).await {
        Ok(Some(data)) => data,
        Ok(None) => return (Bytes::new(), Next::End),
        Err(error) => return (Bytes::new(), Next::Failed(error)),
    };
    if first.len() >= JOINED_DELTA_BYTES {
        return (first, Next::More);
    }
    let mut joined = BytesMut::from(first);
    while joined.len() < JOINED_DELTA_BYTES {
        match next_data(body).now_or_never() {
            None => break,
            Some(Ok(Some(data))) => joined.extend_from_slice(&data),
            Some(Ok(None)) => return (joined.freeze(), Next::End),
            Some(Err(error)) => return (joined.freeze(), Next::Failed(error)),
        }
    }
    (joined.freeze(), Next::More)
}

/// The next bytes, trailers left out. Cancel safe.
async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, RpcError> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| failure::in_body(&error))?.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
    Ok(None)
}
