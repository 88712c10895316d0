//! One peer of the zoo: its name, what is wrong with it, and how it does that.

use super::nulls::adapters::NullAdapter;
use super::nulls::clients::NullLibrary;
use super::proxy::Make;
use super::seed_client::Defect;
use crate::conformance::case::{Half, Transport};

/// A peer with a known defect, or one that is odd but correct.
#[derive(Clone, Copy, Debug)]
pub struct Specimen {
    /// The name on a command line and in a report.
    pub name: &'static str,
    /// What it is.
    pub nature: Nature,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    /// Which half of the suite meets it.
    pub role: Half,
    /// How it does that.
    pub means: Means,
    /// The only transport on which it shows; `None` if it shows on both.
    pub only: Option<Transport>,
    /// Capabilities that it shows and that the correct peer does not have.
    pub offers: &'static [&'static str],
}

/// What a specimen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It breaks this clause, and the cases that own the clause have to say so.
    Defect(&'static str),
    /// It breaks nothing: no case may blame it.
    Twin,
    /// It does nothing: no case may pass it.
    Null,
}

/// How a specimen does what it does.
#[derive(Clone, Copy, Debug)]
pub enum Means {
    /// The wire of a correct peer is changed.
    Wire(Make),
    /// A switch of the seed client.
    Switch(Defect),
    /// A library that does nothing.
    Library(NullLibrary),
    /// An adapter that does nothing.
    Adapter(NullAdapter),
}

impl Specimen {
    /// An executor that breaks a clause.
    pub const fn executor(name: &'static str, clause: &'static str, sentence: &'static str, make: Make) -> Self {
        Self {
            name,
            nature: Nature::Defect(clause),
            sentence,
            role: Half::Executor,
            means: Means::Wire(make),
            only: None,
            offers: &[],
        }
    }

    /// A client that breaks a clause.
    pub const fn client(name: &'static str, clause: &'static str, sentence: &'static str, make: Make) -> Self {
        Self { role: Half::Client, ..Self::executor(name, clause, sentence, make) }
    }

    /// The same, which shows on a websocket only.
    #[must_use]
    pub const fn on_websocket(self) -> Self {
        Self { only: Some(Transport::Websocket), ..self }
    }

    /// The same, which shows on stdio only.
    #[must_use]
    pub const fn on_stdio(self) -> Self {
        Self { only: Some(Transport::Stdio), ..self }
    }

    /// The same, which offers capabilities that the correct peer does not have.
    #[must_use]
    pub const fn offering(self, offers: &'static [&'static str]) -> Self {
        Self { offers, ..self }
    }

    /// A correct peer of that role that does something odd.
    pub const fn twin(role: Half, name: &'static str, sentence: &'static str, make: Make) -> Self {
        Self { role, nature: Nature::Twin, ..Self::executor(name, "", sentence, make) }
    }

    /// The clause that it breaks.
    pub const fn clause(&self) -> Option<&'static str> {
        match self.nature {
            Nature::Defect(clause) => Some(clause),
            Nature::Twin | Nature::Null => None,
        }
    }
}
