//! One rule of the operator, read from text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::Host;
use super::built_in::{EMBEDDINGS, canonical};

/// One rule: which hosts or addresses, and perhaps which port.
///
/// | text | matches |
/// |---|---|
/// | `api.example.com` | that host |
/// | `*.example.com` | every host below it, itself not |
/// | `*` | every host, literal addresses included |
/// | `10.0.0.0/8`, `192.0.2.1`, `fd00::/8`, `::1` | every address in it, of any host |
/// | `*.example.com:443`, `10.0.0.0/8:443`, `[fd00::/8]:443` | the same on that port only |
///
/// Names are compared in lower case, internationalised ones in their ASCII form, without a dot at the end. Addresses are compared
/// as what they reach: `::ffff:10.0.0.1` and `64:ff9b::10.0.0.1` are `10.0.0.1`, `0.0.0.0` is `127.0.0.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which hosts or addresses.
    target: Target,
    /// `None` for every port.
    port: Option<u16>,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// Every host.
    Every,
    /// This host.
    Name(String),
    /// Every host whose name has at least one label more in front of this.
    Below(String),
    /// Every host with an address in it.
    Network(IpNet),
}

/// Why a text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// What follows the colon is no number from 1 to 65,535.
    Port,
    /// A `*` stands elsewhere than alone or for the first labels.
    Star,
    /// Neither a host name, an address nor a network.
    Target,
    /// An IPv6 network that stands for an IPv4 network, which is not compared in that form.
    Embedded,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "the port must be a number from 1 to 65535",
            Self::Star => "a * may stand alone or for the first labels of a name, as in *.example.com",
            Self::Target => "must be a host name, an IP address or a network such as 10.0.0.0/8, perhaps with a :PORT",
            Self::Embedded => "must be given as the IPv4 network that it stands for",
        })
    }
}

impl std::error::Error for RuleError {}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (target, port) = split_port(text)?;
        let target = match (target.strip_prefix("*."), target.parse::<IpAddr>(), target.contains('/')) {
            _ if target == "*" => Target::Every,
            (Some(base), ..) => Target::Below(read_name(base)?),
            (None, Ok(address), _) => Target::Network(canonical(address).into()),
            (None, Err(_), true) => Target::Network(read_network(target)?),
            (None, Err(_), false) => match Host::parse(target) {
                Some(Host::Address(address)) => Target::Network(canonical(address).into()),
                _ => Target::Name(read_name(target)?),
            },
        };
        Ok(Self { target, port })
    }
}

/// The colons of a bare IPv6 address or network start no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), RuleError> {
    let (target, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']').ok_or(RuleError::Target)? {
            (target, "") => (target, None),
            (target, port) => (target, Some(port.strip_prefix(':').ok_or(RuleError::Target)?)),
        },
        None => match text.split_once(':') {
            Some((target, port)) if !port.contains(':') => (target, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or(RuleError::Port)).transpose()?;
    Ok((target, port))
}

fn read_name(text: &str) -> Result<String, RuleError> {
    if text.contains('*') {
        return Err(RuleError::Star);
    }
    match Host::parse(text) {
        Some(Host::Name(name)) if !name.is_empty() => Ok(name),
        _ => Err(RuleError::Target),
    }
}

fn read_network(text: &str) -> Result<IpNet, RuleError> {
    let network = text.parse::<IpNet>().map_err(|_| RuleError::Target)?.trunc();
    match network {
        IpNet::V6(six) if EMBEDDINGS.iter().any(|embedding| embedding.contains(&six)) => Err(RuleError::Embedded),
        network => Ok(network),
    }
}

impl Rule {
    /// Whether it is about that host or that address, and that port. The address is a canonical one.
    pub(super) fn matches(&self, host: &Host, address: Option<IpAddr>, port: u16) -> bool {
        let matches = match &self.target {
            Target::Every => true,
            Target::Name(name) => host.name() == Some(name),
            Target::Below(base) => host
                .name()
                .and_then(|name| name.strip_suffix(base.as_str())?.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
            Target::Network(network) => address.is_some_and(|address| network.contains(&address)),
        };
        matches && self.is_for(port)
    }

    /// Whether it is about that name and no other.
    pub(super) fn names(&self, name: &str, port: u16) -> bool {
        matches!(&self.target, Target::Name(own) if own == name) && self.is_for(port)
    }

    /// Whether it is about that address and about nothing outside of `refused`.
    pub(super) fn lifts(&self, refused: &IpNet, address: IpAddr, port: u16) -> bool {
        let inside = |network: &IpNet| refused.contains(network) && network.contains(&address);
        matches!(&self.target, Target::Network(network) if inside(network)) && self.is_for(port)
    }

    /// Whether it is about addresses.
    pub(super) fn is_network(&self) -> bool {
        matches!(self.target, Target::Network(_))
    }

    fn is_for(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}
