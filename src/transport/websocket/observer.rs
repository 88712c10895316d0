//! What a listener tells, and asks of, the program behind it.

use std::fmt::Debug;

use super::door::Refusal;

/// The program behind a listener. Its methods are called while a request is answered and must not block.
pub trait Observer: Debug + Send + Sync {
    /// Whether new connections are served: else `/readyz` and every upgrade get status 503.
    fn is_ready(&self) -> bool;

    /// The answer to `GET /metrics`, in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// A request was refused.
    fn refused(&self, why: Refusal);
}
