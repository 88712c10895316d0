//! Loom models of the client's route table: `src/client/routes.rs` itself, compiled a second time on loom's lock.
//!
//! Each file is one family of races. A model names all results that are legal and fails when one of them never happens.
//! `LOOM_MAX_PREEMPTIONS=5 cargo test --release --test model` explores deeper.

mod sync;

#[path = "../src/client/routes.rs"]
mod routes;

use exec_http::protocol;

mod explore;

mod answer_drop;
mod credit;
mod deliver_drop;
mod disconnect_wakes;
mod give_up;
mod insert_disconnect;
mod overflow_drop;
mod paused_reader;
mod receive_cancelled;
mod run;
mod terminal_drop;
