//! Response bodies: handed on in pieces, or collected whole.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::task::coop::consume_budget;

use super::failure;
use super::limits::IdleTime;
use super::origin::OriginBody;
use super::reply::Reply;
use crate::protocol::error::RpcError;
use crate::protocol::limits::JOINED_DELTA_BYTES;

/// One read of a body: bytes, or `None` at its end.
type Read = Result<Option<Bytes>, RpcError>;

/// Hands a body on while it comes. The origin is read only while the client keeps up.
///
/// # Errors
///
/// Why the body is not whole, after all bytes before that were handed on.
pub(super) async fn pump(mut body: OriginBody, reply: &Reply, idle: IdleTime) -> Result<(), RpcError> {
    let mut buffer = BytesMut::new();
    let mut read = next(&mut body, idle).await;
    while let Some(data) = read? {
        let (delta, beyond) = join(&mut body, data, &mut buffer);
        body.beside(reply.chunk(delta)).await;
        read = match beyond {
            Some(read) => read,
            None => next(&mut body, idle).await,
        };
    }
    Ok(())
}

/// Collects a body.
///
/// # Errors
///
/// Why the body is not whole, or that it is longer than `limit` bytes.
pub(super) async fn collect(mut body: OriginBody, limit: usize, idle: IdleTime) -> Result<Bytes, RpcError> {
    if body.least_bytes() > limit as u64 {
        return Err(failure::body_too_long(limit));
    }
    let mut whole = BytesMut::new();
    while let Some(data) = next(&mut body, idle).await? {
        if whole.len() + data.len() > limit {
            return Err(failure::body_too_long(limit));
        }
        whole.extend_from_slice(&data);
        // Small chunks may be ready for a long time.
        consume_budget().await;
    }
    Ok(whole.freeze())
}

/// Reads what is ready of a body that nobody wants, so that its connection can be used again; a long one is not worth it.
pub(super) fn discard(mut body: OriginBody) {
    let mut bytes = 0;
    while bytes < JOINED_DELTA_BYTES
        && let Some(Ok(Some(data))) = body.data().now_or_never()
    {
        bytes += data.len();
    }
}

/// Waits for bytes; a timer runs only if there are none yet.
async fn next(body: &mut OriginBody, idle: IdleTime) -> Read {
    match body.data().now_or_never() {
        Some(read) => read,
        None => idle.bound(body.data()).await,
    }
}

/// Joins small chunks that are there already behind the first, in the buffer; and what was read beyond them. A chunk that is alone
/// or long is not copied. Once the result is dropped, the buffer is as good as new.
fn join(body: &mut OriginBody, first: Bytes, buffer: &mut BytesMut) -> (Bytes, Option<Read>) {
    if first.len() >= JOINED_DELTA_BYTES {
        return (first, None);
    }
    let mut alone = Some(first);
    loop {
        let bytes = alone.as_ref().map_or(buffer.len(), Bytes::len);
        match body.data().now_or_never() {
            Some(Ok(Some(data))) if bytes + data.len() <= JOINED_DELTA_BYTES => {
                if let Some(first) = alone.take() {
                    buffer.extend_from_slice(&first);
                }
                buffer.extend_from_slice(&data);
            }
            beyond => return (alone.unwrap_or_else(|| buffer.split().freeze()), beyond),
        }
    }
}
