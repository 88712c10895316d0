//! Peers that are odd but correct: no case may blame them.

mod clients;
mod executors;
mod spelling;

use super::specimen::Specimen;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Specimen> {
    executors::TWINS.iter().chain(clients::TWINS)
}

/// Those that are not even odd.
pub fn correct() -> impl Iterator<Item = &'static Specimen> {
    executors::TWINS.iter().take(1).chain(clients::TWINS.iter().take(1))
}
