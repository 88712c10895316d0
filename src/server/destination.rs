//! Which destinations requests may go to. `docs/destinations.md` says it with examples.

mod built_in;
mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::rule::{Rule, RuleError};

/// What the operator allows and denies, and what is refused without being told to.
///
/// A destination is a host as the URL names it, an address that it has, and a port. It is judged in this order:
///
/// 1. A rule of `deny` that matches the host or the address refuses it.
/// 2. Hosts and addresses of cloud metadata and link-local addresses are refused, unless a rule of `allow` that is at least as
///    narrow as that refusal matches: the very name, or an address or network inside the refused network.
/// 3. If `allow` has rules, what none of them matches is refused.
///
/// The default allows everything but what the second step refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationPolicy {
    /// Exceptions to the built-in refusals; if there are any rules here, nothing else than they say is reached.
    pub allow: Vec<Rule>,
    /// What is never reached.
    pub deny: Vec<Rule>,
}

/// The host of a URL, in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name in lower case without a dot at its end.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

impl Host {
    /// Reads the host of a URL; IPv6 addresses may stand in brackets. `None` for what is no host.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        Some(match url::Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()? {
            url::Host::Domain(name) => Self::Name(name),
            url::Host::Ipv4(address) => Self::Address(address.into()),
            url::Host::Ipv6(address) => Self::Address(address.into()),
        })
    }

    /// The literal address; a name has none.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Address(address) => Some(*address),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl DestinationPolicy {
    /// Whether a request to that host is refused whatever addresses it turns out to have, so that nobody need be asked for them.
    pub(super) fn refuses_unresolved(&self, host: &Host, port: u16) -> bool {
        let may_match = |rule: &Rule| rule.matches(host, None, port) || rule.is_network();
        self.is_denied(host, None, port)
            || self.is_refused_name(host, port)
            || !self.allow.is_empty() && !self.allow.iter().any(may_match)
    }

    /// Whether a connection is refused. `address` is what would be dialled; `None` when only a proxy will know.
    pub(super) fn refuses(&self, host: &Host, address: Option<IpAddr>, port: u16) -> bool {
        let address = address.or(host.address()).map(built_in::canonical);
        self.is_denied(host, address, port)
            || self.is_refused_name(host, port)
            || address.is_some_and(|address| self.is_refused_address(address, port))
            || !self.allow.is_empty() && !self.allow.iter().any(|rule| rule.matches(host, address, port))
    }

    fn is_denied(&self, host: &Host, address: Option<IpAddr>, port: u16) -> bool {
        self.deny.iter().any(|rule| rule.matches(host, address, port))
    }

    fn is_refused_name(&self, host: &Host, port: u16) -> bool {
        host.name().is_some_and(|name| {
            built_in::NAMES.contains(&name) && !self.allow.iter().any(|rule| rule.names(name, port))
        })
    }

    fn is_refused_address(&self, address: IpAddr, port: u16) -> bool {
        built_in::NETWORKS.iter().any(|network| {
            network.contains(&address) && !self.allow.iter().any(|rule| rule.lifts(network, address, port))
        })
    }
}
