//! What is refused without being told to: whoever can send requests from a machine in a cloud must not get its credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Link-local addresses, and where clouds answer questions about a machine beside them.
pub(super) const NETWORKS: [IpNet; 8] = [
    // Nearly every cloud's metadata lies in it.
    four([169, 254, 0, 0], 16),
    six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    // Amazon, metadata and its other services for one machine.
    six([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    // Google.
    six([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    // Scaleway.
    six([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    // Alibaba.
    four([100, 100, 100, 200], 32),
    // Azure.
    four([168, 63, 129, 16], 32),
    // Oracle.
    four([192, 0, 0, 192], 32),
];

/// Names of the same; their addresses are refused anyway, unless a proxy resolves them.
pub(super) const NAMES: [&str; 6] = [
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
];

const fn four([a, b, c, d]: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn six([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length))
}

/// How IPv6 spells an IPv4 address in its last four bytes: compatible, mapped, translated, and NAT64.
pub(super) const EMBEDDINGS: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
];

/// Where a connection to that address goes: the IPv4 address inside an IPv6 address, and loopback for the unspecified address.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) if address.is_unspecified() || address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(six) if EMBEDDINGS.iter().any(|embedding| embedding.contains(&six)) => {
            let [.., a, b, c, d] = six.octets();
            canonical(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        address => address,
    }
}
