//! The half of the suite that tests clients. It plays the executor, and tells an adapter what the application does.
//!
//! | file | concept |
//! |---|---|
//! | [`messages`], [`schema`] | what the suite and an adapter say to each other |
//! | [`claims`] | what an adapter declares, and which cases follow |
//! | [`script`], [`notation`] | what happens in a case, and how it is written |
//! | [`adapter`] | a running adapter |
//! | [`door`], [`relay`] | where clients connect to |
//! | [`driver`] | does what a case says |
//! | `judge` | what the events show about a client |

pub mod adapter;
pub mod claims;
pub mod door;
pub mod driver;
pub(super) mod judge;
pub mod messages;
pub mod notation;
pub mod relay;
pub mod schema;
pub mod script;
pub mod serve;
pub mod under_test;
