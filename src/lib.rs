//! HTTP requests that run on a remote executor, over JSON-RPC on a websocket or on stdio: a client, an executor, and a
//! conformance suite for both.
//!
//! The wire is specified in `SPEC.md`. The crate is layered, and dependencies go one way:
//!
//! | module | concept |
//! |---|---|
//! | [`protocol`] | pure: messages, framing, the life of a stream, the executor's session, limits |
//! | [`transport`] | frames over stdio, websocket and memory |
//! | [`client`] | [`client::Client`]: requests through an executor |
//! | [`server`] | the executor |
//! | `conformance` | the suite (feature `conformance`); talks to a peer over bytes only and knows neither of the two above |

pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod protocol;
pub mod server;
mod sync;
pub mod transport;
