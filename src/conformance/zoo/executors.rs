//! The executors of the zoo, by the part of the specification that they break.
//!
//! What several of them need: `parts` of messages, the credit of streams (`ledger`), an executor that follows redirects by
//! itself (`hops`), and one that makes buffered calls of streamed ones (`gather`).

mod body;
mod cancel;
mod close;
mod credit;
mod deadline;
mod envelope;
mod error;
mod frame;
mod gate;
mod gather;
mod gone;
mod handshake;
mod hops;
mod http;
mod id;
mod late;
mod ledger;
mod limit;
mod malformed;
mod order;
mod params;
mod parts;
mod phases;
mod redirect;
mod response;
mod stream;
mod transport;
mod upstream;
mod values;
mod variables;

use super::specimen::Specimen;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Specimen> {
    DEFECTS.iter().flat_map(|defects| defects.iter())
}

const DEFECTS: &[&[Specimen]] = &[
    envelope::DEFECTS,
    malformed::DEFECTS,
    id::DEFECTS,
    handshake::DEFECTS,
    phases::DEFECTS,
    transport::DEFECTS,
    params::DEFECTS,
    values::DEFECTS,
    variables::DEFECTS,
    http::DEFECTS,
    deadline::DEFECTS,
    redirect::DEFECTS,
    upstream::DEFECTS,
    response::DEFECTS,
    stream::DEFECTS,
    cancel::DEFECTS,
    credit::DEFECTS,
    body::DEFECTS,
    order::DEFECTS,
    limit::DEFECTS,
    error::DEFECTS,
    close::DEFECTS,
    gone::DEFECTS,
    late::DEFECTS,
];
