//! The laws that the fuzz targets hold the code to. Each takes any bytes, and panics where a law is broken.
//!
//! | target | law |
//! |---|---|
//! | [`case_notation`] | any text is read, or refused at one of its lines; each case reads the same alone |
//! | [`client_session`] | each consumer of a client sees what an oracle says, whatever the executor sends |
//! | [`credit`] | what executors are allowed fits together, whoever reads is never without, and what was allowed arrives |
//! | [`delta`] | a delta that is found without reading JSON is what JSON says |
//! | [`framing`] | any chunking of the same bytes gives the lines, the rest and the error of splitting the whole |
//! | [`judge`] | a conformant peer passes, however it divides and orders what is free; a prefix of its trace is no violation; a broken clause is found |
//! | [`message`] | the strict JSON reader agrees with `serde_json` but for its documented refusals; what is read is written as the same |
//! | `routes`: [`route_table`] | the client's route table does what an oracle says, under any sequence of operations |
//! | [`runs`] | frames that came together leave a route table as they do one by one |
//! | [`server_session`] | one connection of the executor answers each request once, numbers and ends each stream, and keeps its bounds |
//! | [`websocket`] | any chunking of any bytes gives the messages and the kind of end that another library gives |
//!
//! The package in this folder compiles this file as a library for cargo-fuzz; the package above compiles it as the test `seeds`,
//! which replays every committed seed.

#![allow(unreachable_pub, reason = "reached from the fuzz targets")]

pub mod case_notation;
pub mod client_session;
pub mod credit;
pub mod delta;
pub mod framing;
pub mod judge;
pub mod message;
pub mod route_table;
pub mod runs;
pub mod server_session;
pub mod websocket;

use exec_http::protocol;

#[path = "../src/client/routes.rs"]
mod routes;

#[path = "../src/sync.rs"]
mod sync;

#[cfg(test)]
mod replay;
