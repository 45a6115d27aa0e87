//! Sockets: `network (send receive) inet stream ip=127.0.0.1 port=80 peer=(label=web),`
//!
//! The kernel walks class byte 15, or 14 where the ABI has no `network_v9`, then family and type in two bytes each, the high
//! one first. That is the whole string of a query, unless the permission is missing there and [`CONTINUE`](super::sockets::CONTINUE)
//! is not (`aa_match_to_prot` in security/apparmor/net.c); with `network_v8/af_inet`, `inet` and `inet6` go on with
//! `protocol(2)` and an address:
//!
//! * `address NUL` for `create`, `bind`, `accept`, `shutdown`, `getattr`, `setattr`,
//! * `address NUL 2 backlog(2)` for `listen`,
//! * `address NUL 4 level(2) option(2)` for `setopt` and `getopt`,
//! * `peer NUL label NUL 1 address NUL` for `send`, `receive`, `connect`, `accept`,
//!
//! each with the rule's own `label NUL` after the last NUL of `address` when it has one. Addresses are
//! [those of `addresses`](super::addresses::pattern).
//!
//! Where the ABI mediates Unix sockets by address, rules about `unix` are unix rules as well, whatever their permissions.

use super::super::super::ast::{self, Condition, RuleMode, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading};
use super::network_strings::{Endpoint, Kinds, strings};
use super::{addresses, permissions, sockets, unix};

/// What one side of a rule says.
#[derive(Default)]
struct Given<'a> {
    ip: Option<&'a Word>,
    port: Option<&'a Word>,
    label: Option<&'a Word>,
    interface: Option<&'a Word>,
}

/// Reads a network rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "network", qualifiers);
    if qualifiers.priority != 0 {
        cx.report(Diagnostic::error(
            "priority-not-allowed",
            qualifiers.span,
            "`priority` is not allowed on network rules",
        ));
    }
    let permissions = permissions::read(cx, "network", &rule.permissions, sockets::PERMISSIONS);
    let local = given(cx, &rule.conditions);
    let peer = given(cx, rule.peer.as_deref().unwrap_or_default());
    if let Some(interface) = peer.interface {
        cx.report(Diagnostic::error(
            "peer-conditions",
            interface.span,
            "`interface` is not allowed in `peer=(…)`",
        ));
    }
    let addressed = local.ip.or(local.port).or(local.label).or(local.interface);
    let peer_addressed = peer.ip.or(peer.port);
    let kinds = kinds(cx, qualifiers, &rule.names, addressed.or(peer_addressed));
    if let (Some(bits), Some(condition)) = (permissions, peer_addressed)
        && bits & !sockets::ABOUT_PEER != 0
    {
        peer_permissions(cx, condition);
        return;
    }
    let features = cx.features();
    let mediated = (features.network_v8 || features.network_v9) && features.network_v8_inet;
    let (local, peer) = (
        endpoint(cx, mediated, &local),
        endpoint(cx, mediated, &peer),
    );
    let (Some(permissions), Some(kinds), Some(local), Some(peer)) =
        (permissions, kinds, local, peer)
    else {
        return;
    };
    let permissions = if permissions == 0 {
        sockets::ALL
    } else {
        permissions
    };
    let unix = kinds.families.contains(sockets::UNIX);
    if unix && unix::mediated(features) {
        unix::push_all(cx, qualifiers, kinds.unix_types());
    }
    if !features.network_v8 && !features.network_v9 {
        if !(unix && features.network_unix) {
            conditions::not_mediated(cx, "sockets", qualifiers.span);
        }
        return;
    }
    let quiet = if qualifiers.mode == RuleMode::Deny && !qualifiers.audit {
        permissions
    } else {
        0
    };
    let inet = features.network_v8_inet;
    for (pattern, bits) in strings(kinds, inet, (permissions, quiet), local, peer) {
        conditions::push(cx, Class::Network, qualifiers, pattern, bits);
    }
}

/// Says that a rule with `peer=(…)` permits more than what is about peers.
pub(super) fn peer_permissions(cx: &mut Lowering<'_>, condition: &Word) {
    cx.report(
        Diagnostic::error(
            "peer-conditions",
            condition.span,
            "conditions in `peer=(…)` go with `accept`, `connect`, `send` and `receive` only",
        )
        .help("write two rules"),
    );
}

fn kinds(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    names: &[Word],
    addressed: Option<&Word>,
) -> Option<Kinds> {
    let texts: Vec<_> = names.iter().map(|name| cx.decoded(name)).collect();
    let kinds = Kinds::of(&texts, addressed.is_some());
    let Some(kinds) = kinds else {
        let span = match names {
            [first, .., last] => first.span.to(last.span),
            [only] => only.span,
            [] => qualifiers.span,
        };
        let known = texts
            .first()
            .is_some_and(|name| sockets::family(name).is_some());
        cx.report(
            Diagnostic::error(
                "unknown-socket",
                span,
                format!("there are no sockets `{}`", conditions::shown(&texts.join(&b' '))),
            )
            .help(if known {
                "types are stream, dgram, seqpacket, rdm, raw and packet, and for inet tcp, udp and icmp"
            } else {
                "write a family as inet or netlink, then a type as stream or raw"
            }),
        );
        return None;
    };
    let other = kinds
        .families
        .iter()
        .any(|family| family != sockets::INET && family != sockets::INET6);
    if let (Some(condition), true) = (addressed, other) {
        cx.report(Diagnostic::error(
            "address-conditions",
            condition.span,
            "conditions about addresses go with `inet` and `inet6` only",
        ));
        return None;
    }
    Some(kinds)
}

fn given<'a>(cx: &mut Lowering<'_>, conditions: &'a [Condition]) -> Given<'a> {
    let mut given = Given::default();
    for condition in conditions {
        if !conditions::equals(cx, "network", condition) {
            continue;
        }
        let slot = match cx.decoded(&condition.name).as_ref() {
            b"ip" => &mut given.ip,
            b"port" => &mut given.port,
            b"label" => &mut given.label,
            b"interface" => &mut given.interface,
            _ => {
                let known = "ip, port, interface and label";
                conditions::unknown_condition(cx, "network", condition, known);
                continue;
            }
        };
        conditions::once(cx, slot, condition);
    }
    given
}

fn endpoint(cx: &mut Lowering<'_>, mediated: bool, given: &Given<'_>) -> Option<Endpoint> {
    let ip = value(cx, given.ip, addresses::ip, "no IPv4 or IPv6 address");
    let ports = value(
        cx,
        given.port,
        addresses::ports,
        "no port from 0 to 65535, nor two with `-`",
    );
    let label = conditions::given(cx, mediated, given.label, Reading::Unexpanded);
    // Only ABIs with `network_v9_skb/iface` look at it. It needs to be a glob all the same.
    conditions::given(cx, true, given.interface, Reading::Unexpanded)?;
    Some(Endpoint {
        ip: ip?,
        ports: ports?,
        label: label?,
    })
}

#[expect(
    clippy::option_option,
    reason = "none when it is bad, and none when it is missing"
)]
fn value<T>(
    cx: &mut Lowering<'_>,
    word: Option<&Word>,
    read: fn(&[u8]) -> Option<T>,
    wrong: &str,
) -> Option<Option<T>> {
    let Some(word) = word else {
        return Some(None);
    };
    let text = cx.decoded(word);
    let value = read(&text);
    if value.is_none() {
        cx.report(Diagnostic::error(
            "bad-address",
            word.span,
            format!("`{}` is {wrong}", conditions::shown(&text)),
        ));
    }
    value.map(Some)
}
