//! The half of the suite that tests clients. It plays the executor, and tells an adapter what the application does.
//!
//! | file | concept |
//! |---|---|
//! | [`messages`], [`schema`] | what the suite and an adapter say to each other |
//! | [`claims`] | what an adapter declares, and which cases follow |
//! | [`script`], [`notation`] | what happens in a case, and how it is written |
//! | [`adapter`] | a running adapter |
//! | [`door`], [`relay`] | where clients connect to |
//! | [`check`], [`lab`] | the first look at an adapter; where cases meet it |
//! | [`driver`] | does what a case says |
//! | `receives` | what the application is receiving |
//! | `judge` | what the events show about a client |
//! | [`under_test`], [`serve`], [`harness`] | a library in Rust: what it implements, its adapter, the suite as its tests |

pub mod adapter;
pub mod check;
pub mod claims;
pub mod door;
pub mod driver;
pub mod harness;
pub(super) mod judge;
pub mod lab;
pub mod messages;
pub mod notation;
mod receives;
pub mod relay;
pub mod schema;
pub mod script;
pub mod serve;
pub mod under_test;
