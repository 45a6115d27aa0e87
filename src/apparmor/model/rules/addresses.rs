//! Addresses in network rules: `ip=127.0.0.1 port=1024-65535`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::super::pattern::{ByteSet, Pattern};
use super::conditions::{self, any_bytes};

/// A port in front of which one needs to be root.
const MAX_PRIVILEGED: u16 = 1023;

/// What the kernel puts in front of a port.
const UNPRIVILEGED: u8 = 0;
const PRIVILEGED: u8 = 1;
const REMOTE: u8 = 2;

/// Which side of a connection an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The own, in a rule that permits to bind: ports below 1024 are told from others.
    Binding,
    /// The own, in another.
    Local,
    /// The other.
    Peer,
}

/// `ip=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ip {
    /// An address.
    Address(IpAddr),
    /// `none`
    None,
}

/// Reads `ip=`, as `inet_pton` does.
pub(super) fn ip(text: &[u8]) -> Option<Ip> {
    if text == b"none" {
        return Some(Ip::None);
    }
    let text = std::str::from_utf8(text).ok()?;
    let address = text
        .parse::<Ipv6Addr>()
        .map(IpAddr::V6)
        .or_else(|_| text.parse::<Ipv4Addr>().map(IpAddr::V4));
    address.ok().map(Ip::Address)
}

/// Reads `port=`: a number, or two with `-` between.
pub(super) fn ports(text: &[u8]) -> Option<(u16, u16)> {
    let range = text
        .iter()
        .position(|&byte| byte == b'-')
        .and_then(|dash| text.split_at_checked(dash))
        .and_then(|(from, to)| Some((port(from)?, port(to.get(1..)?)?)));
    match range {
        Some((from, to)) if from <= to => Some((from, to)),
        _ => port(text).map(|port| (port, port)),
    }
}

fn port(text: &[u8]) -> Option<u16> {
    let (port, rest) = conditions::unsigned(text);
    port.filter(|_| rest.is_empty() && !text.is_empty())
}

/// The bytes of an address: the kind of its port, the port, the address's size and bytes.
///
/// Without `port=` all three bytes are free, without `ip=` the address is. `port=0` alone is any port, but of its kind.
pub(super) fn pattern(side: Side, ports: Option<(u16, u16)>, ip: Option<Ip>) -> Pattern {
    let ports = ports.map_or_else(|| any_bytes(3), |(from, to)| port_pattern(side, from, to));
    ports.then(ip_pattern(ip))
}

fn port_pattern(side: Side, from: u16, to: u16) -> Pattern {
    let kind = |port| match side {
        Side::Peer => REMOTE,
        Side::Binding if port <= MAX_PRIVILEGED => PRIVILEGED,
        Side::Binding | Side::Local => UNPRIVILEGED,
    };
    if (from, to) == (0, 0) {
        return Pattern::literal([kind(0)]).then(any_bytes(2));
    }
    let range = |from: u16, to: u16| Pattern::literal([kind(from)]).then(range(from, to));
    if kind(from) == kind(to) {
        range(from, to)
    } else {
        Pattern::Union(vec![
            range(from, MAX_PRIVILEGED),
            range(MAX_PRIVILEGED + 1, to),
        ])
    }
}

/// Two bytes, the high one first, from one to another.
fn range(from: u16, to: u16) -> Pattern {
    let set = |from, to| {
        let mut set = ByteSet::NONE;
        set.insert_range(from, to);
        Pattern::Set(set)
    };
    let ([first, first_low], [last, last_low]) = (from.to_be_bytes(), to.to_be_bytes());
    if first == last {
        return Pattern::literal([first]).then(set(first_low, last_low));
    }
    let mut branches = vec![
        Pattern::literal([first]).then(set(first_low, u8::MAX)),
        Pattern::literal([last]).then(set(0, last_low)),
    ];
    if last - first > 1 {
        branches.push(set(first + 1, last - 1).then(set(0, u8::MAX)));
    }
    Pattern::Union(branches)
}

fn ip_pattern(ip: Option<Ip>) -> Pattern {
    let sized = |size: u8, address: Pattern| Pattern::literal([size]).then(address);
    let none = || Pattern::literal(*b"\0");
    match ip {
        None => Pattern::Union(vec![
            none(),
            sized(1, any_bytes(4)),
            sized(2, any_bytes(16)),
        ]),
        Some(Ip::None) => none(),
        Some(Ip::Address(IpAddr::V4(address))) => sized(1, Pattern::literal(address.octets())),
        Some(Ip::Address(IpAddr::V6(address))) => sized(2, Pattern::literal(address.octets())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    #[test]
    fn reads_ports_as_the_parser_does() {
        for (text, expected) in [
            ("80", Some((80, 80))),
            ("0-65535", Some((0, 65535))),
            ("+3", Some((3, 3))),
            (" 3- 4", Some((3, 4))),
            ("-0", Some((0, 0))),
            ("5-3", None),
            ("65536", None),
            ("", None),
            ("3-", None),
            ("http", None),
            ("1-2-3", None),
        ] {
            assert_eq!(ports(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn reads_addresses_as_the_parser_does() {
        for (text, read) in [
            ("none", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:1.2.3.4", true),
            ("01.2.3.4", false),
            ("1.2.3", false),
            ("fe80::1%eth0", false),
            ("10.0.0.0/8", false),
            ("", false),
        ] {
            assert_eq!(ip(text.as_bytes()).is_some(), read, "{text}");
        }
    }

    #[test]
    fn ranges_match_exactly_their_ports() {
        for (from, to) in [
            (80, 80),
            (1022, 1025),
            (0, 1),
            (255, 256),
            (1, 65535),
            (700, 1999),
        ] {
            for side in [Side::Binding, Side::Local, Side::Peer] {
                let pattern = port_pattern(side, from, to);
                for port in [
                    0, 1, 79, 80, 81, 255, 256, 699, 700, 1023, 1024, 1025, 1999, 2000, 65535,
                ] {
                    let kind = match side {
                        Side::Binding => u8::from(port < 1024),
                        Side::Local => 0,
                        Side::Peer => 2,
                    };
                    let [high, low] = u16::to_be_bytes(port);
                    let inside = (from..=to).contains(&port);
                    assert_eq!(
                        matches(&pattern, &[kind, high, low]),
                        inside,
                        "{from}-{to} {port}"
                    );
                    assert!(!matches(&pattern, &[kind ^ 1, high, low]) || side != Side::Binding);
                }
            }
        }
    }

    #[test]
    fn nothing_given_is_anything() {
        let any = pattern(Side::Local, None, None);
        assert!(matches(&any, b"\x05\0\0\0"));
        assert!(matches(&any, b"\0\0\x50\x01\x7f\0\0\x01"));
        assert!(!matches(&any, b"\0\0\x50\x01\x7f\0\0"));
        let zero = pattern(Side::Peer, Some((0, 0)), ip(b"none"));
        assert!(matches(&zero, b"\x02\x12\x34\0"));
        assert!(!matches(&zero, b"\0\x12\x34\0"));
    }
}
