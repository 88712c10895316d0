//! The declaration file `exec-http.toml`: what the implementation under test claims.
//!
//! ```toml
//! cmd = "my-executor --stdio"          # what `conform server` tests without --cmd and --url; or url = "ws://…"
//! adapter = "python3 adapter.py"       # what `conform client` tests without --adapter
//! env = { LEVEL = "debug" }            # added to the environment of either
//! cwd = "build"                        # their working directory
//! transports = ["stdio", "ws"]         # default: every transport that the command line offers
//! revision = "2026-08"                 # default: "extension", everything
//! capabilities = ["header-env-vars"]   # default: all, except those that the peer shows to be absent
//! ```
//!
//! A case that needs what is not declared is not applicable. What a peer does beyond its declaration is not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::case::{Revision, Transport};

/// Where the declaration is looked for when the command line names none.
pub const DECLARATION_FILE: &str = "exec-http.toml";

/// The capability that `initialize` announces as `httpHeaderEnvVars`.
pub const HEADER_ENV_VARS: &str = "header-env-vars";

/// The capability of peers that know the method `http/request/cancel`.
pub const CANCEL: &str = "cancel";

/// The capability that `initialize` announces as `httpBodyCredit`.
pub const CREDIT: &str = "credit";

/// Capabilities that a peer shows by itself.
const SHOWN: [&str; 3] = [HEADER_ENV_VARS, CANCEL, CREDIT];

/// What the implementation claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declaration {
    /// The command that starts the executor.
    cmd: Option<String>,
    /// The websocket of an executor that runs already.
    url: Option<String>,
    /// The command that starts the adapter of the client.
    adapter: Option<String>,
    /// Added to the environment of what is started. Statements have the names only: a value may be a secret.
    #[serde(serialize_with = "names_only")]
    env: BTreeMap<String, String>,
    /// The working directory of what is started.
    cwd: Option<PathBuf>,
    /// `None`: every transport that the command line offers.
    transports: Option<Vec<Transport>>,
    /// `None`: the newest.
    revision: Option<Revision>,
    /// `None`: all, except those that the peer shows to be absent.
    capabilities: Option<BTreeSet<String>>,
}

fn names_only<S: Serializer>(env: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(env.keys())
}

/// Why a declaration file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclarationError {
    /// Not TOML, or not in the form of this file.
    Form(String),
    /// No case needs that capability.
    UnknownCapability(String),
    /// An executor is started or attached to, not both.
    CmdAndUrl,
}

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "not a declaration file: {}", error.trim_end()),
            Self::CmdAndUrl => f.write_str("cmd and url exclude each other"),
            Self::UnknownCapability(name) => write!(f, "no case needs a capability {name}"),
        }
    }
}

impl std::error::Error for DeclarationError {}

impl Declaration {
    /// Reads the text of a file. `known` are the capabilities that cases of the library need.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`] names what is wrong.
    pub fn parse(text: &str, known: &BTreeSet<String>) -> Result<Self, DeclarationError> {
        let declaration: Self = toml::from_str(text).map_err(|error| DeclarationError::Form(error.to_string()))?;
        if declaration.cmd.is_some() && declaration.url.is_some() {
            return Err(DeclarationError::CmdAndUrl);
        }
        if let Some(unknown) = declaration.capabilities.iter().flatten().find(|name| !known.contains(*name)) {
            return Err(DeclarationError::UnknownCapability(unknown.clone()));
        }
        Ok(declaration)
    }

    /// The command that starts the executor, if it has one.
    pub fn cmd(&self) -> Option<&str> {
        self.cmd.as_deref()
    }

    /// The websocket of the executor, if it runs already.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The command that starts the adapter of the client, if there is one.
    pub fn adapter(&self) -> Option<&str> {
        self.adapter.as_deref()
    }

    /// What is added to the environment of what is started.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The working directory of what is started, if it is another one.
    pub fn cwd(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }

    /// The revision that the implementation claims; cases of later ones are not applicable.
    pub fn revision(&self) -> Revision {
        self.revision.unwrap_or(Revision::Extension)
    }

    /// The same declaration for another revision.
    #[must_use]
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Whether the implementation claims that transport.
    pub fn has_transport(&self, transport: Transport) -> bool {
        self.transports.as_ref().is_none_or(|transports| transports.contains(&transport))
    }

    /// Whether the implementation claims that capability. `shown` are those that the peer showed by itself; they count only
    /// where the file says nothing, and only for capabilities that a peer can show.
    pub fn has_capability(&self, name: &str, shown: &BTreeSet<&'static str>) -> bool {
        match &self.capabilities {
            Some(declared) => declared.contains(name),
            None => !SHOWN.contains(&name) || shown.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        BTreeSet::from([HEADER_ENV_VARS.to_owned(), "resume".to_owned()])
    }

    #[test]
    fn without_a_file_everything_counts_that_the_peer_does_not_deny() {
        let declaration = Declaration::default();
        let shown = BTreeSet::from([HEADER_ENV_VARS]);
        assert!(declaration.has_transport(Transport::Stdio) && declaration.has_transport(Transport::Websocket));
        assert!(declaration.has_capability("resume", &BTreeSet::new()));
        assert!(!declaration.has_capability(HEADER_ENV_VARS, &BTreeSet::new()));
        assert!(declaration.has_capability(HEADER_ENV_VARS, &shown));
        assert!(!declaration.has_capability(CANCEL, &shown));
        assert_eq!(declaration.revision(), Revision::Extension);
    }

    #[test]
    fn a_file_says_exactly_what_counts() {
        let text = "transports = [\"ws\"]\nrevision = \"2026-07\"\ncapabilities = [\"header-env-vars\"]\n";
        let declaration = Declaration::parse(text, &known()).expect("the file is well formed");
        assert!(!declaration.has_transport(Transport::Stdio));
        assert!(declaration.has_capability(HEADER_ENV_VARS, &BTreeSet::new()));
        assert!(!declaration.has_capability("resume", &BTreeSet::new()));
        assert_eq!(declaration.revision(), Revision::July2026);
        assert_eq!(declaration.with_revision(Revision::April2026).revision(), Revision::April2026);
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let unknown = Declaration::parse("capabilities = [\"flight\"]", &known());
        assert_eq!(unknown, Err(DeclarationError::UnknownCapability("flight".into())));
        let both = Declaration::parse("cmd = \"a\"\nurl = \"ws://127.0.0.1:1\"", &known());
        assert_eq!(both, Err(DeclarationError::CmdAndUrl));
        for text in ["capability = []", "transports = [\"tcp\"]", "revision = \"2025-01\"", "["] {
            assert!(matches!(Declaration::parse(text, &known()), Err(DeclarationError::Form(_))), "{text}");
        }
    }
}
