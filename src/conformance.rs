//! The conformance suite.

pub mod case;
pub mod clause;
pub mod driver;
pub mod judge;
pub mod matcher;
mod memory;
pub mod origin;
pub mod suites;
pub mod trace;
pub mod wire;
