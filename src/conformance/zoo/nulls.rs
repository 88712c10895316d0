//! Peers that do nothing, or the same whatever is asked: no case may pass them.
//!
//! | file | concept |
//! |---|---|
//! | [`executors`] | executors |
//! | [`clients`] | libraries behind a correct adapter |
//! | [`adapters`] | adapters |

pub mod adapters;
pub mod clients;
pub mod executors;

use super::specimen::Specimen;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Specimen> {
    executors::NULLS.iter().chain(clients::NULLS).chain(adapters::NULLS)
}
