//! Unix sockets: `unix (send receive) type=stream addr=@bus peer=(label=web addr=none),`
//!
//! The kernel walks class byte 15, or 14 where the ABI has no `network_v9`, or 4 where it has no `network_v8` either, then
//! family (1), type and protocol in two bytes each, the high one first (security/apparmor/af_unix.c). That much is the string of a
//! query for `create`; the others go on:
//!
//! * `address NUL label NUL` for `bind`, `accept`, `shutdown`, `getattr`, `setattr`,
//! * `address NUL label NUL 2 backlog(2)` for `listen`,
//! * `address NUL label NUL 4 level(2)` for `setopt` and `getopt`,
//! * `address NUL label NUL 1 address NUL label` for `send`, `receive`, `connect`, `accept`, the second pair being the peer's.
//!
//! An address is 1 for a socket without one, or NUL and a name; nothing at all when `bind` is to choose one.
//!
//! Kernels that do not look so deep see family and type alone: rules that permit something are
//! [network rules](super::network) of family `unix` too, with the same permissions whatever their conditions, at
//! priority 0. As those strings end after the type, none of the class [`Unix`](Class::Unix) is among them.

use super::super::super::ast::{self, Condition, RuleMode, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::glob::Glob;
use super::super::super::pattern::{ByteSet, Pattern};
use super::super::lowering::{Lowering, Qualifiers, Slashes};
use super::super::{Class, Features};
use super::conditions::{self, Reading, any_bytes, or_any};
use super::permissions;
use super::sockets::{self, number, only};
use super::{network, network_strings};

/// What one side of a rule says.
#[derive(Default)]
struct Given<'a> {
    address: Option<&'a Word>,
    label: Option<&'a Word>,
    kind: Option<&'a Word>,
}

/// A side's address.
#[derive(Clone, Debug)]
enum Address {
    /// Any, or none.
    Any,
    /// `auto`: five hexadecimal digits that the kernel chooses.
    Auto,
    /// `none`
    None,
    /// `@name`
    Named(Pattern),
}

/// The strings that a rule is about.
struct Sockets {
    /// Types; any at all when there are none.
    kinds: Option<ByteSet>,
    address: Address,
    /// Address and label of the other side, when the rule asks for one.
    peer: Option<(Address, Option<Pattern>)>,
}

/// Whether an ABI mediates Unix sockets by address.
pub(super) fn mediated(features: Features) -> bool {
    features.network_unix || features.network_v9_unix
}

/// Reads a unix rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "unix", qualifiers);
    let permissions = permissions::read(cx, "unix", &rule.permissions, sockets::PERMISSIONS);
    let local = given(cx, &rule.conditions, Side::Own);
    let peer = given(cx, rule.peer.as_deref().unwrap_or_default(), Side::Peer);
    let features = cx.features();
    let mediated = mediated(features);
    let kind = kind(cx, local.kind);
    let address = address(cx, mediated, local.address);
    let peer_address = self::address(cx, mediated, peer.address);
    let peer_label = conditions::given(cx, mediated, peer.label, Reading::Label);
    if let (Some(bits), Some(condition)) = (permissions, peer.address.or(peer.label))
        && bits & !sockets::ABOUT_PEER != 0
    {
        network::peer_permissions(cx, condition);
        return;
    }
    let (Some(permissions), Some(kind), Some(address), Some(peer_address), Some(peer_label)) =
        (permissions, kind, address, peer_address, peer_label)
    else {
        return;
    };
    let permissions = if permissions == 0 {
        sockets::ALL
    } else {
        permissions
    };
    let plain = features.network_v8 || features.network_v9;
    if plain {
        push_plain(cx, qualifiers, kind, permissions);
    }
    if mediated {
        let sockets = Sockets {
            kinds: kind.map(only),
            address,
            peer: (peer.address.is_some() || peer.label.is_some())
                .then_some((peer_address, peer_label)),
        };
        push(cx, qualifiers, sockets, permissions);
    } else if !plain {
        conditions::not_mediated(cx, "unix sockets", qualifiers.span);
    } else if !cx.is_discarding() {
        cx.report(Diagnostic::warning(
            "rule-downgraded",
            qualifiers.span,
            "the policy's ABI mediates unix sockets by their type only: other conditions have no effect",
        ));
    }
}

/// Pushes what a network rule, or a rule about all there is, says about unix sockets of some types, or of any.
pub(super) fn push_all(cx: &mut Lowering<'_>, qualifiers: Qualifiers, kinds: Option<ByteSet>) {
    let sockets = Sockets {
        kinds,
        address: Address::Any,
        peer: None,
    };
    push(cx, qualifiers, sockets, sockets::ALL);
}

fn push(cx: &mut Lowering<'_>, qualifiers: Qualifiers, sockets: Sockets, permissions: u32) {
    let quiet = qualifiers.mode == RuleMode::Deny && !qualifiers.audit;
    for (pattern, mut bits) in strings(sockets, permissions) {
        if quiet && bits & sockets::OPTIONS != 0 {
            // The parser is quiet about both, and takes away whatever it is quiet about.
            bits |= sockets::OPTIONS;
        }
        conditions::push(cx, Class::Unix, qualifiers, pattern, bits);
    }
}

/// Pushes the network rule that a rule is too. Those that forbid are none: they would forbid more than they say.
fn push_plain(cx: &mut Lowering<'_>, qualifiers: Qualifiers, kind: Option<u8>, permissions: u32) {
    if qualifiers.mode != RuleMode::Deny {
        let qualifiers = Qualifiers {
            priority: 0,
            ..qualifiers
        };
        let pattern = network_strings::family_and_type(sockets::UNIX, kind);
        conditions::push(cx, Class::Network, qualifiers, pattern, permissions);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Own,
    Peer,
}

fn given<'a>(cx: &mut Lowering<'_>, conditions: &'a [Condition], side: Side) -> Given<'a> {
    let mut given = Given::default();
    for condition in conditions {
        let (slot, wrong) = match (cx.decoded(&condition.name).as_ref(), side) {
            (b"addr", _) => (&mut given.address, None),
            (b"label", Side::Peer) => (&mut given.label, None),
            (b"label", Side::Own) => (&mut given.label, Some("`label` belongs into `peer=(…)`")),
            (b"type", Side::Own) => (&mut given.kind, None),
            (b"type", Side::Peer) => (
                &mut given.kind,
                Some("`type` does not belong into `peer=(…)`"),
            ),
            (b"protocol", _) => (
                &mut given.kind,
                Some("`protocol` is not supported in unix rules"),
            ),
            _ => {
                let known = "type and addr, and in `peer=(…)` addr and label";
                conditions::unknown_condition(cx, "unix", condition, known);
                continue;
            }
        };
        if let Some(wrong) = wrong {
            cx.report(Diagnostic::error(
                "unix-conditions",
                condition.name.span,
                wrong,
            ));
        } else if conditions::equals(cx, "unix", condition) {
            conditions::single(cx, slot, condition);
        }
    }
    given
}

/// Types that unix rules know, with two that network rules do not.
#[expect(
    clippy::option_option,
    reason = "none when it is bad, and none when it is missing"
)]
fn kind(cx: &mut Lowering<'_>, word: Option<&Word>) -> Option<Option<u8>> {
    let Some(word) = word else {
        return Some(None);
    };
    let name = cx.decoded(word);
    let kind = match name.as_ref() {
        b"none" => Some(0),
        b"dccp" => Some(6),
        name => sockets::socket_type(name),
    };
    if kind.is_none() {
        cx.report(
            Diagnostic::error(
                "unknown-socket",
                word.span,
                format!(
                    "there are no unix sockets of type `{}`",
                    conditions::shown(&name)
                ),
            )
            .help("there are stream, dgram, seqpacket, rdm, raw, packet, dccp and none"),
        );
    }
    kind.map(Some)
}

/// Reads `addr=`. The parser checks its first byte before there are values for variables, and takes one off behind.
fn address(cx: &mut Lowering<'_>, mediated: bool, word: Option<&Word>) -> Option<Address> {
    let Some(word) = word else {
        return Some(Address::Any);
    };
    let written = cx.decoded(word);
    if !written.starts_with(b"@") && *written != *b"none" && *written != *b"auto" {
        cx.report(
            Diagnostic::error(
                "bad-address",
                word.span,
                format!(
                    "`{}` is no address of a unix socket",
                    conditions::shown(&written)
                ),
            )
            .help(
                "write `none`, `auto`, or a name as `@bus`; sockets in the file system are files",
            ),
        );
        return None;
    }
    let text = cx.text(word)?;
    match text.as_slice() {
        b"none" => Some(Address::None),
        b"auto" => Some(Address::Auto),
        _ if !mediated => Some(Address::Any),
        text => {
            let mut name = text.get(1..).unwrap_or_default().to_vec();
            name.dedup_by(|next, byte| (*next, *byte) == (b'/', b'/'));
            let name = cx.pattern_of(&name, word.span, Glob::Null, Slashes::Keep)?;
            Some(Address::Named(name.pattern))
        }
    }
}

impl Address {
    /// Its bytes.
    fn pattern(self) -> Pattern {
        match self {
            Self::Any => Pattern::Star(ByteSet::ALL),
            Self::Auto => {
                let mut digits = ByteSet::of(b"abcdef");
                digits.insert_range(b'0', b'9');
                Pattern::literal(*b"\0").then(Pattern::Concat(vec![Pattern::Set(digits); 5]))
            }
            Self::None => Pattern::literal(*b"\x01"),
            Self::Named(name) => Pattern::literal(*b"\0").then(name),
        }
    }
}

/// The strings of a rule, in the order of the kernel's operations.
fn strings(sockets: Sockets, permissions: u32) -> Vec<(Pattern, u32)> {
    let Sockets {
        kinds,
        address,
        peer,
    } = sockets;
    let nul = || Pattern::literal(*b"\0");
    let prefix = number(only(sockets::UNIX))
        .then(kinds.map_or_else(|| any_bytes(2), number))
        .then(any_bytes(2));
    let mut left = permissions;
    let mut strings = Vec::new();
    if peer.is_none() {
        strings.push((prefix.clone(), left & sockets::CREATE));
        left &= !sockets::CREATE;
    }
    if matches!(address, Address::Any | Address::Auto) {
        let chosen = prefix.clone().then(nul()).then(or_any(None)).then(nul());
        strings.push((chosen, left & sockets::BIND));
        // Addresses of that form are not to be had by asking for them.
        if matches!(address, Address::Auto) {
            left &= !sockets::BIND;
        }
    }
    let own = conditions::fields([prefix.then(address.pattern()), or_any(None)]).then(nul());
    let operation = |byte, free| {
        own.clone()
            .then(Pattern::literal([byte]))
            .then(any_bytes(free))
    };
    if peer.is_none() {
        let rest = sockets::BIND
            | sockets::ACCEPT
            | sockets::SHUTDOWN
            | sockets::GETATTR
            | sockets::SETATTR;
        strings.push((own.clone(), left & rest));
        strings.push((
            operation(sockets::LISTEN_FOLLOWS, 2),
            left & sockets::LISTEN,
        ));
        strings.push((
            operation(sockets::OPTION_FOLLOWS, 2),
            left & sockets::OPTIONS,
        ));
    } else {
        strings.push((own.clone(), left & sockets::ACCEPT));
    }
    let (peer_address, peer_label) = peer.unwrap_or((Address::Any, None));
    let pair = own
        .then(Pattern::literal([sockets::PEER_FOLLOWS]))
        .then(conditions::fields([
            peer_address.pattern(),
            or_any(peer_label),
        ]));
    strings.push((pair, permissions & sockets::ABOUT_PEER));
    strings.retain(|&(_, bits)| bits != 0);
    strings
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::super::sockets::{ACCEPT, ALL, BIND, CREATE, GETOPT, LISTEN, SEND};
    use super::*;

    fn allowed(sockets: Sockets, permissions: u32, text: &[u8]) -> u32 {
        strings(sockets, permissions)
            .iter()
            .filter(|(pattern, _)| matches(pattern, text))
            .fold(0, |bits, (_, more)| bits | more)
    }

    fn sockets(address: Address, peer: Option<(Address, Option<Pattern>)>) -> Sockets {
        Sockets {
            kinds: Some(only(1)),
            address,
            peer,
        }
    }

    fn named(name: &[u8]) -> Address {
        Address::Named(Pattern::literal(name))
    }

    #[test]
    fn own_addresses_bind_own_operations() {
        let bus = || sockets(named(b"bus"), None);
        for (text, bits) in [
            (&b"\0\x01\0\x01\0\0"[..], CREATE),
            (b"\0\x01\0\x02\0\0", 0),
            (b"\0\x01\0\x01\0\0\0bus\0web\0", BIND),
            (b"\0\x01\0\x01\0\0\0sub\0web\0", 0),
            (b"\0\x01\0\x01\0\0\0bus\0web\0\x02\0\x05", LISTEN),
            (b"\0\x01\0\x01\0\0\0bus\0web\0\x04\0\x01", GETOPT),
            (b"\0\x01\0\x01\0\0\0bus\0web\0\x01\x01\0peer", SEND),
        ] {
            let asked = CREATE | BIND | LISTEN | GETOPT | SEND;
            assert_eq!(
                allowed(bus(), asked, text) & asked,
                bits,
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn peers_leave_what_is_about_them() {
        let peer = || {
            sockets(
                Address::Any,
                Some((Address::None, Some(Pattern::literal(*b"web")))),
            )
        };
        let own = b"\0\x01\0\x01\0\0\0bus\0me\0";
        assert_eq!(allowed(peer(), ALL, own), ACCEPT);
        assert_eq!(
            allowed(peer(), ALL, &[&own[..], b"\x01\x01\0web"].concat()) & SEND,
            SEND
        );
        assert_eq!(
            allowed(peer(), ALL, &[&own[..], b"\x01\x01\0db"].concat()),
            0
        );
    }

    #[test]
    fn chosen_addresses_may_be_bound() {
        let chosen = b"\0\x01\0\x01\0\0\0me\0";
        let asked = b"\0\x01\0\x01\0\0\x0012abf\0me\0";
        assert_eq!(allowed(sockets(Address::Auto, None), BIND, chosen), BIND);
        assert_eq!(allowed(sockets(Address::Auto, None), BIND, asked), 0);
        assert_eq!(allowed(sockets(Address::Any, None), BIND, chosen), BIND);
        assert_eq!(allowed(sockets(Address::Any, None), BIND, asked), BIND);
        assert_eq!(allowed(sockets(named(b"a"), None), BIND, chosen), 0);
    }
}
