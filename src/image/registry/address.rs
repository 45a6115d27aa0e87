//! Which addresses a registry may have: public ones.
//!
//! Whoever writes a pod chooses the name of its image, and would else make Armorgate ask services of the cluster's own
//! network, or a cloud's metadata service, in its place. Names are looked up here, so that what was looked at is what is
//! connected to.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::hosts::HostPattern;

/// Every address of a host is one that only this network has.
#[derive(Debug, thiserror::Error)]
#[error("its addresses are private")]
pub(super) struct PrivateAddress;

/// Looks names up, and leaves private addresses out, except of hosts that may have them.
pub(super) struct Resolver {
    private: Arc<[HostPattern]>,
}

impl Resolver {
    pub(super) fn new(private: &[HostPattern]) -> Self {
        Self {
            private: private.into(),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = Arc::clone(&self.private);
        Box::pin(async move {
            let name = name.as_str();
            let may_be_private = private.iter().any(|pattern| pattern.matches_name(name));
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let mut usable = found;
            usable.retain(|address| may_be_private || is_public(address.ip()));
            if usable.is_empty() {
                return Err(PrivateAddress.into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address is one that the whole internet has (IANA special-purpose address registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL.iter().any(|([a, b, c], length)| {
        let network = Ipv4Addr::new(*a, *b, *c, 0);
        (network.to_bits() ^ address.to_bits()).leading_zeros() >= *length
    })
}

/// Networks of IPv4 that are not public, with the lengths of their prefixes.
const SPECIAL: [([u8; 3], u32); 14] = [
    // This network, loopback, link-local addresses.
    ([0, 0, 0], 8),
    ([127, 0, 0], 8),
    ([169, 254, 0], 16),
    // Private networks, and those of carriers.
    ([10, 0, 0], 8),
    ([172, 16, 0], 12),
    ([192, 168, 0], 16),
    ([100, 64, 0], 10),
    // Protocol assignments, benchmarks, documentation.
    ([192, 0, 0], 24),
    ([198, 18, 0], 15),
    ([192, 0, 2], 24),
    ([198, 51, 100], 24),
    ([203, 0, 113], 24),
    // Multicast; reserved, and broadcast.
    ([224, 0, 0], 4),
    ([240, 0, 0], 4),
];

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match address.segments() {
        // Translated to IPv4: what counts is where it ends.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and other protocol assignments, documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] => false,
        // Only this is given out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::is_public;

    #[test]
    fn only_what_the_whole_internet_has_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(address.parse::<IpAddr>().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse::<IpAddr>().unwrap()), "{address}");
        }
    }
}
