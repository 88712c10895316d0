//! The conformance suite.

pub mod case;
pub mod clause;
pub mod declaration;
pub mod expectation;
pub mod launcher;
pub mod probe;
pub mod process;
pub mod result;
pub mod select;
pub mod verdict;
