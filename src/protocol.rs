//! The protocol itself: pure, synchronous, without I/O, time or tasks.
//!
//! | file | concept |
//! |---|---|
//! | [`json`] | one strict JSON value: no repeated keys, bounded count and nesting |
//! | [`id`] | JSON-RPC ids, text and integer kept apart |
//! | [`message`] | the four message shapes and their encoding |
//! | [`http`] | params and result of `http/request` |
//! | [`cancel`] | params and result of `http/request/cancel` |
//! | [`credit`] | how much of a body may be sent, and the notification `http/request/credit` |
//! | [`delta`] | one piece of a streamed body |
//! | [`error`] | error codes, error kinds, error replies |
//! | [`fault`] | whose fault an error is, and whether its request may have been carried out |
//! | [`base64`] | how bytes stand in JSON |
//! | [`batch`] | frames that go out together |
//! | [`framing`] | lines out of bytes in any chunking |
//! | [`session`] | one connection as the executor sees it |
//! | [`stream`] | the life of one body stream as a transition table |
//! | [`length`] | how long a body must be to be whole |
//! | [`limits`] | every bound by name |

pub mod base64;
pub mod batch;
pub mod cancel;
pub mod credit;
pub mod delta;
pub mod error;
pub mod fault;
pub mod framing;
pub mod http;
pub mod id;
pub mod json;
pub mod length;
pub mod limits;
pub mod message;
pub mod session;
pub mod stream;
