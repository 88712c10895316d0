//! Stand-in.
use serde::Deserialize;

/// The transport that a peer is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Transport {
    /// One message a line, on the peer's standard input and output.
    #[serde(rename = "stdio")]
    Stdio,
    /// One message a websocket message.
    #[serde(rename = "ws")]
    Websocket,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdio => "stdio",
            Self::Websocket => "ws",
        })
    }
}

/// A revision of the protocol, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Revision {
    /// The first release.
    #[serde(rename = "2026-04")]
    April2026,
    /// Bounds, redirect policy, refusal of `Origin`.
    #[serde(rename = "2026-07")]
    July2026,
    /// Header variables.
    #[serde(rename = "2026-08")]
    August2026,
    /// Rules that the specification adds to what earlier implementations do.
    #[serde(rename = "extension")]
    Extension,
}

impl Revision {
    /// All revisions with their names in the specification, oldest first.
    pub const ALL: [(Self, &str); 4] = [
        (Self::April2026, "2026-04"),
        (Self::July2026, "2026-07"),
        (Self::August2026, "2026-08"),
        (Self::Extension, "extension"),
    ];

    /// The revision of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == word).map(|(revision, _)| revision)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Self::ALL.into_iter().find(|(revision, _)| revision == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}
