//! The clients of the zoo: the switches of the seed client, and what else can be done to its wire, by the part of the specification
//! that they break.

mod close;
mod envelope;
mod error;
mod exchange;
mod frames;
mod gap;
mod handshake;
mod id;
mod late;
mod limit;
mod params;
mod response;
mod route;
mod stream;
mod transport;

use std::sync::LazyLock;

use super::seed_client::Defect;
use super::specimen::{Means, Nature, Specimen};
use super::tamper::Tamper;
use crate::conformance::case::{Half, Transport};

const WIRES: &[&[Specimen]] = &[
    close::DEFECTS,
    envelope::DEFECTS,
    error::DEFECTS,
    handshake::DEFECTS,
    id::DEFECTS,
    limit::DEFECTS,
    params::DEFECTS,
    response::DEFECTS,
    route::DEFECTS,
    stream::DEFECTS,
    frames::DEFECTS,
    gap::DEFECTS,
    transport::DEFECTS,
    late::DEFECTS,
];

static ALL: LazyLock<Vec<Specimen>> = LazyLock::new(|| {
    // Copying costs time and changes nothing that a case could see; `tests/seed_client` counts the copies.
    let visible = Defect::ALL.iter().filter(|defect| **defect != Defect::MapCopiedOnEachChange);
    let switches = visible.map(|defect| Specimen {
        name: defect.name(),
        nature: Nature::Defect(defect.clause()),
        means: Means::Switch(*defect),
        only: (*defect == Defect::HalfCloseIgnored).then_some(Transport::Websocket),
        ..Specimen::twin(Half::Client, "", defect.sentence(), Tamper::none)
    });
    switches.chain(WIRES.iter().flat_map(|specimens| specimens.iter().copied())).collect()
});

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Specimen> {
    ALL.iter()
}
