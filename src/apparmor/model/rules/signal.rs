//! Signals: `signal (send) set=(term kill) peer=web,`
//!
//! The kernel walks class byte 10, a byte for the signal and the peer's label, in the profiles of both sides
//! (`aa_profile_signal_perm` in security/apparmor/ipc.c): a query is `signal label`, with [`SEND`] for the sender and
//! [`RECEIVE`] for the other.
//! Signals 1 to 31 have numbers of their own there (`sig_map`): those of x86, 35 for the check that a process exists, and
//! real-time signals from 128. Rules without `set=` are in the policy a second time, for queries about whole labels; what
//! they say is the same.

use super::super::super::ast;
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::{ByteSet, Pattern};
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading};
use super::permissions::{self, Permissions};

/// `AA_MAY_SEND`
pub(crate) const SEND: u32 = 0x2;
/// `AA_MAY_RECEIVE`
pub(crate) const RECEIVE: u32 = 0x4;

const PERMISSIONS: &Permissions = &[
    ("send", SEND),
    ("write", SEND),
    ("receive", RECEIVE),
    ("read", RECEIVE),
];

/// Signals in the order of their numbers, from 1.
const SIGNALS: [&str; 32] = [
    "hup", "int", "quit", "ill", "trap", "abrt", "bus", "fpe", "kill", "usr1", "segv", "usr2",
    "pipe", "alrm", "term", "stkflt", "chld", "cont", "stop", "stp", "ttin", "ttou", "urg", "xcpu",
    "xfsz", "vtalrm", "prof", "winch", "io", "pwr", "sys", "emt",
];
/// Signal 0, which only checks that a process is there.
pub(crate) const EXISTS: u8 = 35;
/// The first real-time signal.
pub(crate) const REALTIME: u8 = 128;
/// `rtmin+32` is the last.
pub(crate) const MAX_REALTIME: u8 = 32;

/// Reads a signal rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "signal", qualifiers);
    conditions::no_group(cx, "signal", rule.peer.as_deref(), qualifiers.span);
    let permissions = permissions::read(cx, "signal", &rule.permissions, PERMISSIONS);
    let mut signals = Some(ByteSet::NONE);
    let mut peer = None;
    for condition in &rule.conditions {
        if !conditions::equals(cx, "signal", condition) {
            continue;
        }
        match cx.decoded(&condition.name).as_ref() {
            b"set" => {
                for value in &condition.values {
                    signals = add(cx, signals, value);
                }
            }
            b"peer" => conditions::once(cx, &mut peer, condition),
            _ => conditions::unknown_condition(cx, "signal", condition, "set and peer"),
        }
    }
    let mediated = cx.features().signal;
    let peer = conditions::given(cx, mediated, peer, Reading::Label);
    let (Some(permissions), Some(signals), Some(peer)) = (permissions, signals, peer) else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "signals", qualifiers.span);
        return;
    }
    let permissions = if permissions == 0 {
        SEND | RECEIVE
    } else {
        permissions
    };
    conditions::push(
        cx,
        Class::Signal,
        qualifiers,
        pattern(signals, peer),
        permissions,
    );
}

fn add(cx: &mut Lowering<'_>, signals: Option<ByteSet>, value: &ast::Word) -> Option<ByteSet> {
    let name = cx.decoded(value);
    let Some(number) = number(&name) else {
        cx.report(
            Diagnostic::error(
                "unknown-signal",
                value.span,
                format!("there is no signal `{}`", conditions::shown(&name)),
            )
            .help("signals are written as `term`, `exists` or `rtmin+3`"),
        );
        return None;
    };
    let mut signals = signals?;
    signals.insert(number);
    Some(signals)
}

/// A signal's number in the kernel's own order.
pub(crate) fn number(name: &[u8]) -> Option<u8> {
    if name == b"exists" {
        return Some(EXISTS);
    }
    if let Some(digits) = name.strip_prefix(b"rtmin+") {
        // What follows the number, or stands in its place, is not looked at.
        let (number, _) = conditions::unsigned(digits);
        let number = u8::try_from(number?).ok()?;
        return (number <= MAX_REALTIME).then(|| REALTIME.saturating_add(number));
    }
    let index = SIGNALS.iter().position(|known| known.as_bytes() == name)?;
    u8::try_from(index + 1).ok()
}

/// `signal label`; all signals when none are given.
fn pattern(signals: ByteSet, peer: Option<Pattern>) -> Pattern {
    let signals = if signals.is_empty() {
        ByteSet::ALL
    } else {
        signals
    };
    Pattern::Set(signals).then(conditions::or_anyone(peer))
}

/// The word for a signal's byte in a query.
pub(crate) fn name(number: u8) -> String {
    if number == EXISTS {
        return "exists".into();
    }
    if number >= REALTIME {
        return format!("rtmin+{}", number - REALTIME);
    }
    let index = usize::from(number).checked_sub(1);
    index
        .and_then(|index| SIGNALS.get(index))
        .map_or_else(|| number.to_string(), |name| (*name).into())
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    #[test]
    fn signals_have_numbers() {
        for (name, expected) in [
            ("hup", Some(1)),
            ("term", Some(15)),
            ("emt", Some(32)),
            ("exists", Some(35)),
            ("rtmin+0", Some(128)),
            ("rtmin+32", Some(160)),
            ("rtmin+", Some(128)),
            ("rtmin+1x", Some(129)),
            ("rtmin+33", None),
            ("rtmin+-3", None),
            ("rtmin+999999", None),
            ("lost", None),
            ("HUP", None),
            ("9", None),
        ] {
            assert_eq!(number(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn peers_without_a_name_are_anyone() {
        let all = pattern(ByteSet::NONE, None);
        assert!(matches(&all, b"\x01unconfined"));
        assert!(!matches(&all, b"\x01"));
        let some = pattern(ByteSet::of(b"\x01\x09"), Some(Pattern::literal(*b"web")));
        assert!(matches(&some, b"\x09web"));
        assert!(!matches(&some, b"\x02web"));
        assert!(!matches(&some, b"\x01webs"));
    }
}
