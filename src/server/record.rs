//! What is told of one exchange: a span for those who read logs, numbers for those who count.
//!
//! The span holds no path, no query, no header and no user information.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::Method;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};
use url::Url;

use super::metrics::{Metrics, Outcome};
use crate::protocol::error::{ErrorKind, RpcError};
use crate::protocol::http::RequestParams;

/// Characters of a method that are told; a longer one is none that anybody knows.
const METHOD_CHARACTERS: usize = 32;

/// The record of one exchange. Shared by its task and by its connection, which may end that.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it counts.
    metrics: Arc<Metrics>,
    /// Disabled when nobody listens.
    span: Span,
    /// When it was started.
    begun: Instant,
    /// Bytes of its response body so far.
    bytes: AtomicU64,
    /// The first that was said of its end.
    outcome: OnceLock<Outcome>,
}

impl Record {
    /// Begins with the start of the exchange of that number, inside the span of its connection.
    pub(super) fn begin(metrics: &Arc<Metrics>, id: u64, params: &RequestParams) -> Arc<Self> {
        let span = tracing::info_span!(
            "exchange",
            id,
            method = field::Empty,
            host = field::Empty,
            status = field::Empty,
            bytes = field::Empty,
            ms = field::Empty,
            outcome = field::Empty,
        );
        if !span.is_disabled() {
            span.record("method", method(&params.method).as_ref().map_or("?", Method::as_str));
            span.record("host", host(&params.url).as_deref().unwrap_or("?"));
        }
        metrics.exchanges_started.add(1);
        metrics.request_body_bytes.add(params.body.as_ref().map_or(0, |body| body.len() as u64));
        let metrics = Arc::clone(metrics);
        Arc::new(Self { metrics, span, begun: Instant::now(), bytes: AtomicU64::new(0), outcome: OnceLock::new() })
    }

    /// The head of its response was handed on.
    pub(super) fn head(&self, status: u16) {
        self.span.record("status", status);
    }

    /// So many bytes of its response body were handed on.
    pub(super) fn body(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.metrics.response_body_bytes.add(bytes as u64);
    }

    /// Its client cancelled it.
    pub(super) fn cancelled(&self) {
        self.decide(Outcome::Failed(ErrorKind::Cancelled));
    }

    /// It ended by itself.
    pub(super) fn ended(&self, result: &Result<(), RpcError>) {
        self.decide(match result {
            Ok(()) => Outcome::Ok,
            Err(error) => error.kind.map_or(Outcome::Invalid, Outcome::Failed),
        });
    }

    fn decide(&self, outcome: Outcome) {
        // The first that is said stands.
        _ = self.outcome.set(outcome);
    }

    /// Runs the exchange inside its span, and tells of its end when the future is ready or dropped, polled or not.
    pub(super) fn of(self: Arc<Self>, run: impl Future<Output = ()>) -> impl Future<Output = ()> {
        let run = run.instrument(self.span.clone());
        let end = End(self);
        async move {
            run.await;
            drop(end);
        }
    }
}

/// Tells of the end.
struct End(Arc<Record>);

impl Drop for End {
    fn drop(&mut self) {
        let Record { metrics, span, begun, bytes, outcome } = &*self.0;
        let outcome = *outcome.get_or_init(|| Outcome::Disconnected);
        metrics.exchange_finished(outcome);
        span.record("bytes", bytes.load(Ordering::Relaxed));
        span.record("ms", u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        span.record("outcome", outcome.as_str());
        span.in_scope(|| tracing::info!("exchange ended"));
    }
}

/// A method that can be told.
fn method(method: &str) -> Option<Method> {
    Method::from_bytes(method.as_bytes()).ok().filter(|method| method.as_str().len() <= METHOD_CHARACTERS)
}

/// The host of a URL, with its port if it is not that of the scheme.
fn host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_exchange_that_is_dropped_before_it_runs_has_an_end() {
        let metrics = Arc::new(Metrics::default());
        let params = json!({"method": "GET", "url": "http://h/", "requestId": "r"});
        let params = RequestParams::from_value(Some(params)).expect("legal");
        let record = Record::begin(&metrics, 0, &params);
        drop(Arc::clone(&record).of(std::future::pending()));
        assert_eq!(record.outcome.get(), Some(&Outcome::Disconnected));
        assert!(metrics.render().contains("\nexec_http_exchanges_active 0\n"));
    }

    #[test]
    fn neither_secrets_nor_long_texts_are_told() {
        assert_eq!(host("http://user:word@Example.COM/path?key=value#x").as_deref(), Some("example.com"));
        assert_eq!(host("https://[::1]:9/path").as_deref(), Some("[::1]:9"));
        assert_eq!(host("mailto:a@b"), None);
        assert_eq!(host("no URL"), None);
        assert_eq!(method("PROPFIND").as_ref().map(Method::as_str), Some("PROPFIND"));
        assert_eq!(method("a b"), None);
        assert_eq!(method(&"A".repeat(33)), None);
    }
}
