//! The conformance suite.

pub mod case;
pub mod clause;
pub mod declaration;
pub mod driver;
pub mod expectation;
pub mod judge;
pub mod lab;
pub mod launcher;
pub mod matcher;
mod memory;
pub mod origin;
pub mod plan;
pub mod probe;
pub mod process;
pub mod report;
pub mod result;
pub mod run;
pub mod select;
pub mod suites;
pub mod trace;
pub mod transcript;
pub mod verdict;
pub mod wire;
