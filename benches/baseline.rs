//! The baseline: the design that this protocol's first client and executor share, written down once and then left alone.
//!
//! | file | concept |
//! |---|---|
//! | [`codec`] | messages by way of an untagged enum, `serde_json::Value` and owned buffers |
//! | [`routes`] | the copy-on-write map of streams |
//! | [`client`] | a task that reads, a task that dispatches, a bounded queue for each stream |
//! | [`executor`] | a message for each chunk, two channels, one flush for each message |
//!
//! It has nothing of this crate, or it would become faster together with it. For the same reason it is not the client in
//! `src/conformance/zoo/seed_client`: that one is there to be wrong in known ways, uses this crate's messages, and keeps its routes
//! under one lock.
//!
//! Two things are in its favour, so that it can be measured at all: a full queue makes its client wait where the first one failed the
//! stream, and its sockets have `TCP_NODELAY`, without which each small response waits some 40 ms for an acknowledgement.

pub(crate) mod client;
pub(crate) mod codec;
pub(crate) mod executor;
pub(crate) mod routes;
