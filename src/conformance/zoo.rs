//! Peers with known defects, each one a switch with a name. What the suite is worth shows in whether it catches them; what the
//! production code avoids shows in what they do.
//!
//! | file | concept |
//! |---|---|
//! | [`seed_client`] | the first client design of this protocol, with the defects that it had |

pub mod seed_client;
