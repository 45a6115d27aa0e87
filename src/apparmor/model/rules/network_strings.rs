//! The strings of network rules, in the layout that [`network`](super::network) describes.

use std::borrow::Cow;

use super::super::super::pattern::{ByteSet, Pattern};
use super::addresses::{self, Ip, Side};
use super::conditions::{any_bytes, or_any};
use super::sockets::{self, number, only};

/// What a rule is about: some families, and a type of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds {
    /// Families.
    pub(super) families: ByteSet,
    /// The type; any at all when there is none.
    kind: Option<u8>,
    /// The protocol; any when there is none.
    protocol: Option<u16>,
    /// Whether the families were not named: then `unix` ones may be of types that have no name.
    all: bool,
}

/// What one side of a rule says.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    /// `ip=`
    pub(super) ip: Option<Ip>,
    /// `port=`: the first and the last.
    pub(super) ports: Option<(u16, u16)>,
    /// `label=`
    pub(super) label: Option<Pattern>,
}

impl Kinds {
    /// What a rule's words name: a family, a type, or both. Types may be the protocols that come with them.
    ///
    /// With conditions about addresses types alone are those of `inet` and `inet6`.
    pub(super) fn of(names: &[Cow<'_, [u8]>], addressed: bool) -> Option<Self> {
        let mut inet = only(sockets::INET);
        inet.insert(sockets::INET6);
        let kinds = |families, (kind, protocol)| Self {
            families,
            kind,
            protocol,
            all: false,
        };
        match names {
            [] => Some(Self {
                families: if addressed { inet } else { sockets::families() },
                all: true,
                ..kinds(ByteSet::NONE, (None, None))
            }),
            [name] => {
                if let Some(family) = sockets::family(name) {
                    return Some(kinds(only(family), (None, None)));
                }
                if let Some(kind) = sockets::socket_type(name) {
                    let families = if addressed {
                        inet
                    } else {
                        sockets::named_families()
                    };
                    return Some(kinds(families, (Some(kind), None)));
                }
                let (families, kind, protocol) = protocol(name)?;
                Some(kinds(families, (Some(kind), protocol)))
            }
            [family, name, ..] => {
                let family = sockets::family(family)?;
                if let Some(kind) = sockets::socket_type(name) {
                    return Some(kinds(only(family), (Some(kind), None)));
                }
                let (families, kind, protocol) = protocol(name)?;
                families
                    .contains(family)
                    .then(|| kinds(only(family), (Some(kind), protocol)))
            }
        }
    }

    /// The types of `unix` sockets that a rule is about: any at all when there are none.
    pub(super) fn unix_types(self) -> Option<ByteSet> {
        match self.kind {
            Some(kind) => Some(only(kind)),
            None if self.all => None,
            None => Some(sockets::socket_types()),
        }
    }

    fn prefix(self, families: ByteSet) -> Pattern {
        number(families).then(
            self.kind
                .map_or_else(|| any_bytes(2), |kind| number(only(kind))),
        )
    }
}

/// Protocols that may stand where types do, with their families and type.
fn protocol(name: &[u8]) -> Option<(ByteSet, u8, Option<u16>)> {
    let both = sockets::both(only(sockets::INET), only(sockets::INET6));
    match name {
        b"tcp" => Some((both, 1, None)),
        b"udp" => Some((both, 2, None)),
        // The parser writes the bit of the protocol where its number belongs: 2, though ICMP is 1. With addresses in the ABI
        // the rule permits little but to create the socket.
        b"icmp" => Some((only(sockets::INET), 3, Some(1 << 1))),
        _ => None,
    }
}

/// The string of a family and type, for rules that are no network rules but imply one.
pub(super) fn family_and_type(family: u8, kind: Option<u8>) -> Pattern {
    number(only(family)).then(kind.map_or_else(|| any_bytes(2), |kind| number(only(kind))))
}

/// The strings of a rule, and what it permits with each; `inet` says whether the ABI has addresses.
///
/// `quiet` is what is not to be logged, of rules that deny: the parser takes such bits away wherever an address begins, also
/// where the rule says no more than that the string goes on.
pub(super) fn strings(
    kinds: Kinds,
    inet: bool,
    (permissions, quiet): (u32, u32),
    local: Endpoint,
    peer: Endpoint,
) -> Vec<(Pattern, u32)> {
    let (mut detailed, mut plain) = (ByteSet::NONE, ByteSet::NONE);
    for family in kinds.families.iter() {
        if inet && (family == sockets::INET || family == sockets::INET6) {
            detailed.insert(family);
        } else {
            plain.insert(family);
        }
    }
    let mut strings = Vec::new();
    if !plain.is_empty() {
        strings.push((kinds.prefix(plain), permissions));
    }
    if !detailed.is_empty() {
        let prefix = kinds.prefix(detailed);
        strings.push((
            prefix.clone(),
            permissions & sockets::CREATE | sockets::CONTINUE,
        ));
        let protocol = kinds.protocol.map_or_else(
            || any_bytes(2),
            |protocol| Pattern::literal(protocol.to_be_bytes()),
        );
        let addressed = addressed(&prefix.then(protocol), permissions, local, peer);
        strings.extend(
            addressed
                .into_iter()
                .map(|(pattern, bits)| (pattern, bits | quiet)),
        );
    }
    strings
}

/// What follows the protocol.
fn addressed(
    prefix: &Pattern,
    permissions: u32,
    local: Endpoint,
    peer: Endpoint,
) -> Vec<(Pattern, u32)> {
    let nul = || Pattern::literal(*b"\0");
    let side = if permissions & sockets::BIND == 0 {
        Side::Local
    } else {
        Side::Binding
    };
    let address = addresses::pattern(side, local.ports, local.ip).then(nul());
    let mut strings = Vec::new();
    if permissions & sockets::ABOUT_PEER != 0 {
        let remote = prefix
            .clone()
            .then(addresses::pattern(Side::Peer, peer.ports, peer.ip))
            .then(nul());
        let labelled = remote.clone().then(or_any(peer.label)).then(nul());
        strings.extend([
            (remote, sockets::CONTINUE),
            (labelled.clone(), sockets::CONTINUE),
        ]);
        let pair = labelled
            .then(Pattern::literal([sockets::PEER_FOLLOWS]))
            .then(address.clone());
        if let Some(label) = &local.label {
            strings.push((pair.clone().then(label.clone()).then(nul()), permissions));
        }
        strings.push((pair, permissions));
    }
    let own = prefix.clone().then(address);
    let own = match local.label {
        None => own,
        Some(label) => {
            strings.push((own.clone(), sockets::CONTINUE));
            own.then(label).then(nul())
        }
    };
    for (operation, byte, free) in [
        (sockets::LISTEN, sockets::LISTEN_FOLLOWS, 2),
        (sockets::OPTIONS, sockets::OPTION_FOLLOWS, 4),
    ] {
        if permissions & operation != 0 {
            let operation = own
                .clone()
                .then(Pattern::literal([byte]))
                .then(any_bytes(free));
            strings.push((operation, permissions));
        }
    }
    strings.push((own, permissions));
    strings
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::super::sockets::{ALL, BIND, CONTINUE, CREATE, LISTEN, SEND};
    use super::*;

    fn kinds(names: &str, addressed: bool) -> Option<Kinds> {
        let names: Vec<_> = names
            .split_whitespace()
            .map(|name| name.as_bytes().into())
            .collect();
        Kinds::of(&names, addressed)
    }

    fn allowed(strings: &[(Pattern, u32)], text: &[u8]) -> u32 {
        strings
            .iter()
            .filter(|(pattern, _)| matches(pattern, text))
            .fold(0, |bits, (_, more)| bits | more)
    }

    #[test]
    fn words_name_families_and_types() {
        for (names, count) in [
            ("", Some(46)),
            ("inet", Some(1)),
            ("stream", Some(45)),
            ("tcp", Some(2)),
            ("icmp", Some(1)),
            ("inet6 udp", Some(1)),
            ("inet6 icmp", None),
            ("netlink tcp", None),
            ("stream inet", None),
            ("inet foo", None),
            ("dccp", None),
        ] {
            let families = kinds(names, false).map(|kinds| kinds.families.iter().count());
            assert_eq!(families, count, "{names}");
        }
        assert_eq!(
            kinds("stream", true).map(|kinds| kinds.families.iter().count()),
            Some(2)
        );
    }

    #[test]
    fn without_addresses_family_and_type_are_all() {
        let strings = strings(
            kinds("inet stream", false).unwrap(),
            false,
            (SEND, 0),
            Endpoint::default(),
            Endpoint::default(),
        );
        assert_eq!(allowed(&strings, b"\0\x02\0\x01"), SEND);
        assert_eq!(allowed(&strings, b"\0\x02\0\x02"), 0);
        assert_eq!(allowed(&strings, b"\0\x0a\0\x01"), 0);
    }

    #[test]
    fn with_addresses_the_permissions_follow_them() {
        let local = Endpoint {
            ports: Some((80, 80)),
            ..Endpoint::default()
        };
        let strings = strings(
            kinds("inet tcp", true).unwrap(),
            true,
            (ALL, 0),
            local,
            Endpoint::default(),
        );
        assert_eq!(allowed(&strings, b"\0\x02\0\x01"), CREATE | CONTINUE);
        assert_eq!(
            allowed(&strings, b"\0\x02\0\x01\0\x06\x01\0\x50\x01\x7f\0\0\x01\0") & BIND,
            BIND
        );
        assert_eq!(
            allowed(&strings, b"\0\x02\0\x01\0\x06\x01\0\x51\x01\x7f\0\0\x01\0") & BIND,
            0
        );
        assert_eq!(
            allowed(&strings, b"\0\x02\0\x01\0\x06\x01\0\x50\0\0\x02\0\x05") & LISTEN,
            LISTEN
        );
        let pair = b"\0\x02\0\x01\0\x06\x02\0\x35\x01\x01\x01\x01\x01\0web\0\x01\x01\0\x50\0\0";
        assert_eq!(allowed(&strings, pair) & SEND, SEND);
    }
}
