//! The conformance suite.

pub mod clause;
pub mod declaration;
pub mod expectation;
pub mod process;
pub mod result;
pub mod select;
pub mod verdict;
