//! What is measured.
//!
//! | file | rows |
//! |---|---|
//! | [`codec`] | one delta from and to its frame |
//! | [`routes`] | a stream into and out of the table of live streams |
//! | [`queue`] | pieces from the reader to the consumer |
//! | [`client`] | the client alone: what it is fed was there before |
//! | [`executor`] | the executor alone: what it sends is not looked at |
//! | [`end_to_end`] | origin, executor, client, over websocket and over stdio |
//! | [`latency`] | one event at a time |
//! | [`streams`] | the same bytes in more and more streams |

pub(crate) mod client;
pub(crate) mod codec;
pub(crate) mod end_to_end;
pub(crate) mod executor;
pub(crate) mod latency;
pub(crate) mod queue;
pub(crate) mod routes;
pub(crate) mod streams;

use crate::harness::Row;
use crate::options::Options;

/// All rows, in the order of the table.
pub(crate) fn all(options: &Options) -> Vec<Row> {
    let parts = [codec::rows, routes::rows, queue::rows, client::rows, executor::rows];
    let whole = [end_to_end::rows, latency::rows, streams::rows];
    parts.iter().chain(&whole).flat_map(|rows| rows(options)).collect()
}

/// Bytes as a word.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}
