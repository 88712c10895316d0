//! One exchange: from the params of a call to its outcome.

use std::future::Future;

use bytes::Bytes;
use http::Response;
use tokio::time::Instant;

use super::limits::IdleTime;
use super::origin::OriginBody;
use super::reply::Reply;
use super::request::OriginRequest;
use super::upstream::Upstream;
use super::{body, failure, redirect};
use crate::protocol::error::RpcError;
use crate::protocol::http::{RedirectPolicy, RequestParams, ResponseHead, ResponseHeader};
use crate::protocol::limits::REDIRECT_HOPS;

/// Runs an exchange to its end. Dropping the future closes its upstream connection.
pub(super) async fn run(params: RequestParams, reply: Reply, upstream: &Upstream) {
    let (timeout, limits) = (params.timeout, upstream.limits());
    let (policy, stream) = (params.redirect_policy, params.stream_response);
    // A caller that sets a deadline knows better than the executor how long its origin may be silent.
    let idle = IdleTime::new(limits.idle_time.filter(|_| timeout.is_none()));
    let outcome = match OriginRequest::from_params(params, limits) {
        Err(refusal) => Err(refusal),
        // HTTP-17: not even a connection is opened.
        Ok(_) if timeout.is_some_and(|timeout| timeout.is_zero()) => Err(failure::timed_out()),
        Ok(request) => {
            let (time, late) = match timeout {
                Some(timeout) => (Some(timeout), failure::timed_out()),
                None => (limits.total_time, failure::total_time(limits.total_time.unwrap_or_default())),
            };
            // A deadline too far for the clock is none.
            let deadline = time.and_then(|time| Instant::now().checked_add(time));
            within(deadline, late, async {
                let response = fetch(request, policy, upstream, idle).await?;
                if stream {
                    hand_on(response, &reply, idle).await
                } else {
                    hand_over(response, &reply, limits.buffered_body_bytes, idle).await
                }
            })
            .await
        }
    };
    reply.record.ended(&outcome);
    if let Err(error) = outcome {
        tracing::debug!(kind = error.kind.map(|kind| kind.as_str()), code = error.code, "exchange failed");
        reply.failure(error).await;
    }
}

/// The outcome of `work`, or `late` when the deadline passes before.
async fn within<T>(
    deadline: Option<Instant>,
    late: RpcError,
    work: impl Future<Output = Result<T, RpcError>>,
) -> Result<T, RpcError> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(late)),
    }
}

/// The response of the last request of a chain of redirects.
async fn fetch(
    mut request: OriginRequest,
    policy: RedirectPolicy,
    upstream: &Upstream,
    idle: IdleTime,
) -> Result<Response<OriginBody>, RpcError> {
    for _ in 0..=REDIRECT_HOPS {
        let response = idle.bound(upstream.send(&request)).await?;
        if policy == RedirectPolicy::Stop {
            return Ok(response);
        }
        match redirect::follow(&request, response.status(), response.headers())? {
            None => return Ok(response),
            Some(next) => {
                body::discard(response.into_body());
                request = next;
            }
        }
    }
    Err(failure::too_many_redirects())
}

async fn hand_on(response: Response<OriginBody>, reply: &Reply, idle: IdleTime) -> Result<(), RpcError> {
    let (head, mut body) = response.into_parts();
    body.beside(reply.head(to_head(&head, Bytes::new()))).await;
    body::pump(body, reply, idle).await?;
    reply.end().await;
    Ok(())
}

async fn hand_over(
    response: Response<OriginBody>,
    reply: &Reply,
    limit: usize,
    idle: IdleTime,
) -> Result<(), RpcError> {
    let (head, body) = response.into_parts();
    let body = body::collect(body, limit, idle).await?;
    reply.buffered(to_head(&head, body)).await;
    Ok(())
}

fn to_head(head: &http::response::Parts, body: Bytes) -> ResponseHead {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| ResponseHeader {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    ResponseHead { status: head.status.as_u16(), headers: head.headers.iter().map(header).collect(), body }
}
