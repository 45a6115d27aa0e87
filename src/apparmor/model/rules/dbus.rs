//! D-Bus: `dbus send bus=session path=/org/example peer=(name=org.example label=web),`
//!
//! Not the kernel but dbus-daemon and its kin ask, with class byte 32 (`aa_query_label`). A query is
//! `bus NUL name` for [`BIND`], `bus NUL name NUL label NUL path NUL interface NUL member` for [`SEND`] and [`RECEIVE`],
//! and `bus` for [`EAVESDROP`]; name and label are those of the other side but for `bind`.

use super::super::super::ast::{self, Condition, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::Pattern;
use super::super::super::source::Span;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading, or_any};
use super::permissions::{self, Permissions};

/// `AA_DBUS_SEND`
pub(crate) const SEND: u32 = 0x2;
/// `AA_DBUS_RECEIVE`
pub(crate) const RECEIVE: u32 = 0x4;
/// `AA_DBUS_EAVESDROP`
pub(crate) const EAVESDROP: u32 = 0x20;
/// `AA_DBUS_BIND`
pub(crate) const BIND: u32 = 0x40;

const ALL: u32 = SEND | RECEIVE | EAVESDROP | BIND;

const PERMISSIONS: &Permissions = &[
    ("send", SEND),
    ("write", SEND),
    ("receive", RECEIVE),
    ("read", RECEIVE),
    ("bind", BIND),
    ("eavesdrop", EAVESDROP),
];

/// The values of a rule's conditions.
struct Given<T> {
    bus: Option<T>,
    name: Option<T>,
    label: Option<T>,
    path: Option<T>,
    interface: Option<T>,
    member: Option<T>,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self {
            bus: None,
            name: None,
            label: None,
            path: None,
            interface: None,
            member: None,
        }
    }
}

/// Reads a dbus rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "dbus", qualifiers);
    let permissions = permissions::read(cx, "dbus", &rule.permissions, PERMISSIONS);
    let mut given = Given::default();
    take(cx, &mut given, &rule.conditions);
    // A name outside of the group is the rule's own, one inside is the other's.
    let service = given.name.is_some();
    if let Some(label) = given.label {
        report(cx, label.span, "`label` belongs into `peer=(…)`");
    }
    take(cx, &mut given, rule.peer.as_deref().unwrap_or_default());
    let permissions =
        permissions.and_then(|bits| meant(cx, bits, &given, service, qualifiers.span));
    let mediated = cx.features().dbus;
    let given = patterns(cx, mediated, &given);
    let (Some(permissions), Some(given)) = (permissions, given) else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "D-Bus", qualifiers.span);
        return;
    }
    for (pattern, permissions) in strings(given, permissions) {
        conditions::push(cx, Class::Dbus, qualifiers, pattern, permissions);
    }
}

fn report(cx: &mut Lowering<'_>, span: Span, message: &str) {
    cx.report(Diagnostic::error("dbus-conditions", span, message));
}

fn take<'a>(cx: &mut Lowering<'_>, given: &mut Given<&'a Word>, conditions: &'a [Condition]) {
    for condition in conditions {
        if !conditions::equals(cx, "dbus", condition) {
            continue;
        }
        let slot = match cx.decoded(&condition.name).as_ref() {
            b"bus" => &mut given.bus,
            b"name" => &mut given.name,
            b"label" => &mut given.label,
            b"path" => &mut given.path,
            b"interface" => &mut given.interface,
            b"member" => &mut given.member,
            _ => {
                let known =
                    "bus, name, path, interface and member, and in `peer=(…)` name and label";
                conditions::unknown_condition(cx, "dbus", condition, known);
                continue;
            }
        };
        conditions::single(cx, slot, condition);
    }
}

/// What a rule permits, with what its conditions imply.
fn meant(
    cx: &mut Lowering<'_>,
    permissions: u32,
    given: &Given<&Word>,
    service: bool,
    span: Span,
) -> Option<u32> {
    let message = given.path.is_some()
        || given.interface.is_some()
        || given.member.is_some()
        || given.label.is_some()
        || (given.name.is_some() && !service);
    let wrong = if message && service {
        "conditions about messages do not go with a `name` outside of `peer=(…)`"
    } else if message && permissions & BIND != 0 {
        "`bind` does not go with conditions about messages"
    } else if service && permissions & (SEND | RECEIVE) != 0 {
        "`send` and `receive` do not go with a `name` outside of `peer=(…)`"
    } else if permissions & EAVESDROP != 0 && (message || service) {
        "`eavesdrop` goes with `bus` only"
    } else {
        return Some(match permissions {
            0 if message => SEND | RECEIVE,
            0 if service => BIND,
            0 => ALL,
            some => some,
        });
    };
    report(cx, span, wrong);
    None
}

fn patterns(cx: &mut Lowering<'_>, mediated: bool, given: &Given<&Word>) -> Option<Given<Pattern>> {
    let mut read = |word, reading| conditions::given(cx, mediated, word, reading);
    let bus = read(given.bus, Reading::Label);
    let name = read(given.name, Reading::Label);
    let label = read(given.label, Reading::Label);
    let path = read(given.path, Reading::Path);
    let interface = read(given.interface, Reading::Label);
    let member = read(given.member, Reading::Label);
    Some(Given {
        bus: bus?,
        name: name?,
        label: label?,
        path: path?,
        interface: interface?,
        member: member?,
    })
}

/// The strings of each kind of access.
fn strings(given: Given<Pattern>, permissions: u32) -> Vec<(Pattern, u32)> {
    let bus = or_any(given.bus);
    let name = conditions::fields([bus.clone(), or_any(given.name)]);
    let message = conditions::fields([
        name.clone(),
        or_any(given.label),
        or_any(given.path),
        or_any(given.interface),
        or_any(given.member),
    ]);
    [(name, BIND), (message, SEND | RECEIVE), (bus, EAVESDROP)]
        .into_iter()
        .map(|(pattern, kind)| (pattern, kind & permissions))
        .filter(|&(_, bits)| bits != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    #[test]
    fn each_access_has_its_own_string() {
        let given = || Given {
            bus: Some(Pattern::literal(*b"session")),
            member: Some(Pattern::literal(*b"Ping")),
            ..Given::default()
        };
        let all = strings(given(), ALL);
        let allowed = |text: &[u8]| {
            all.iter()
                .filter(|(pattern, _)| matches(pattern, text))
                .fold(0, |bits, (_, more)| bits | more)
        };
        assert_eq!(allowed(b"session"), EAVESDROP);
        assert_eq!(allowed(b"system"), 0);
        assert_eq!(allowed(b"session\0org.example"), BIND);
        assert_eq!(
            allowed(b"session\0:1.2\0web\0/a\0org.example\0Ping"),
            SEND | RECEIVE
        );
        assert_eq!(allowed(b"session\0:1.2\0web\0/a\0org.example\0Pong"), 0);
        assert_eq!(strings(given(), SEND).len(), 1);
    }
}
