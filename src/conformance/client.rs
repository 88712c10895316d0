//! The half of the suite that tests clients. It plays the executor, and tells an adapter what the application does.
//!
//! | file | concept |
//! |---|---|
//! | [`messages`], [`schema`] | what the suite and an adapter say to each other |
//! | [`claims`] | what an adapter declares, and which cases follow |
//! | [`script`], [`notation`] | what happens in a case, and how it is written |
//! | `judge` | what the events show about a client |

pub mod claims;
pub(super) mod judge;
pub mod messages;
pub mod notation;
pub mod schema;
pub mod script;
