//! Clients that break the clauses of limits.

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Tamper, Way};
use crate::protocol::limits::LINE_BYTES;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[Specimen::client(
    "long-message-skipped",
    "LIMIT-12",
    "A message above the limit is skipped, and the connection goes on without it.",
    || {
        Tamper::messages(|message, out| {
            if message.way == Way::ToExecutor || message.json.to_string().len() <= LINE_BYTES {
                out.pass(message);
            }
        })
    },
)];
