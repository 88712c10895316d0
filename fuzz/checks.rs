//! The laws that the fuzz targets hold the code to. Each takes any bytes, and panics where a law is broken.
//!
//! | target | law |
//! |---|---|
//! | [`message`] | the strict JSON reader agrees with `serde_json` but for its documented refusals; what is read is written as the same |
//! | [`framing`] | any chunking of the same bytes gives the lines, the rest and the error of splitting the whole |
//! | [`case_notation`] | any text is read, or refused at one of its lines; each case reads the same alone |
//! | [`judge`] | a conformant peer passes, however it divides and orders what is free; a prefix of its trace is no violation; a broken clause is found |
//!
//! The package in this folder compiles this file as a library for cargo-fuzz; the package above compiles it as the test `seeds`,
//! which replays every committed seed.

#![allow(unreachable_pub, reason = "reached from the fuzz targets")]

pub mod case_notation;
pub mod framing;
pub mod judge;
pub mod message;

#[cfg(test)]
mod replay;
