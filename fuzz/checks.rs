//! The laws that the fuzz targets hold the code to. Each takes any bytes, and panics where a law is broken.
//!
//! | target | law |
//! |---|---|
//! | [`framing`] | any chunking of the same bytes gives the same lines |
//! | `routes`: [`route_table`] | the client's route table does what an oracle says, under any sequence of operations |
//! | [`server_session`] | one connection of the executor answers each request once, numbers and ends each stream, and keeps its bounds |
//!
//! The package in this folder compiles this file as a library for cargo-fuzz; the package above compiles it as the test `seeds`,
//! which replays every committed seed.

#![allow(unreachable_pub, reason = "reached from the fuzz targets")]

pub mod framing;
pub mod route_table;
pub mod server_session;

use exec_http::protocol;

#[path = "../src/client/routes.rs"]
mod routes;

#[path = "../src/sync.rs"]
mod sync;

#[cfg(test)]
mod replay;
