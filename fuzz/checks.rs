//! The laws that the fuzz targets hold the code to. Each takes any bytes, and panics where a law is broken.
//!
//! | target | law |
//! |---|---|
//! | [`client_session`] | each consumer of a client sees what an oracle says, whatever the executor sends |
//! | [`framing`] | any chunking of the same bytes gives the same lines |
//! | `routes`: [`route_table`] | the client's route table does what an oracle says, under any sequence of operations |
//!
//! The package in this folder compiles this file as a library for cargo-fuzz; the package above compiles it as the test `seeds`,
//! which replays every committed seed.

#![allow(unreachable_pub, reason = "reached from the fuzz targets")]

pub mod client_session;
pub mod framing;
pub mod route_table;

use exec_http::protocol;

#[path = "../src/client/routes.rs"]
mod routes;

#[path = "../src/sync.rs"]
mod sync;

#[cfg(test)]
mod replay;
