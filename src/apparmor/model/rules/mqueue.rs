//! Message queues: `mqueue (create read) type=posix label=web /queue,`
//!
//! The kernel walks class byte 17 and the path of a POSIX queue in its file system; when that state lacks a permission and
//! the queue has a label of its own, NUL and that label follow (`aa_profile_mqueue_perm` in Ubuntu's security/apparmor). A query
//! is `path`, or `path NUL label`. No kernel mediates System V queues yet; the parser writes class byte 18 and four bytes of the
//! key, the highest first.

use super::super::super::ast::{self, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::Pattern;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading};
use super::permissions::{self, Permissions};

/// `AA_MAY_WRITE`
pub(crate) const WRITE: u32 = 0x2;
/// `AA_MAY_READ`
pub(crate) const READ: u32 = 0x4;
/// `AA_MAY_CREATE`
pub(crate) const CREATE: u32 = 0x10;
/// `AA_MAY_DELETE`
pub(crate) const DELETE: u32 = 0x20;
/// `AA_MAY_OPEN`
pub(crate) const OPEN: u32 = 0x40;
/// `AA_MAY_SETATTR`, as the parser writes it: the kernel reads it as `0x100`.
pub(crate) const SETATTR: u32 = 0x4000;
/// `AA_MAY_GETATTR`, as the parser writes it: the kernel reads it as `0x200`.
pub(crate) const GETATTR: u32 = 0x8000;

const ALL: u32 = WRITE | READ | CREATE | DELETE | OPEN | SETATTR | GETATTR;
/// What may be done to a queue that has no label yet.
const ON_CREATION: u32 = CREATE | READ | WRITE;

const PERMISSIONS: &Permissions = &[
    ("create", CREATE),
    ("open", OPEN),
    ("delete", DELETE),
    ("getattr", GETATTR),
    ("setattr", SETATTR),
    ("write", WRITE),
    ("read", READ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Posix,
    SysV,
}

impl Kind {
    /// What a name says by itself.
    fn of(name: &[u8]) -> Option<Self> {
        if name.starts_with(b"/") {
            Some(Self::Posix)
        } else if !name.is_empty() && name.iter().all(u8::is_ascii_digit) {
            Some(Self::SysV)
        } else {
            None
        }
    }
}

/// Reads an mqueue rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "mqueue", qualifiers);
    conditions::no_group(cx, "mqueue", rule.peer.as_deref(), qualifiers.span);
    let permissions = permissions::read(cx, "mqueue", &rule.permissions, PERMISSIONS);
    let mut label = None;
    let mut kind = Some(None);
    for condition in &rule.conditions {
        if !conditions::equals(cx, "mqueue", condition) {
            continue;
        }
        match cx.decoded(&condition.name).as_ref() {
            b"label" => conditions::once(cx, &mut label, condition),
            // Of several the first one counts: the parser goes through them from the last.
            b"type" => {
                let found = condition
                    .values
                    .first()
                    .and_then(|value| read_kind(cx, value));
                kind = kind.and_then(|kind| {
                    kind.map_or(found.map(Some), |kind| found.and(Some(Some(kind))))
                });
            }
            _ => conditions::unknown_condition(cx, "mqueue", condition, "label and type"),
        }
    }
    let name = rule.names.first();
    let kind = kind.and_then(|kind| name.map_or(Some(kind), |name| named(cx, kind, name)));
    let features = cx.features();
    let mediated = match kind {
        Some(Some(Kind::Posix)) => features.posix_mqueue,
        Some(Some(Kind::SysV)) => features.sysv_mqueue,
        Some(None) | None => features.posix_mqueue || features.sysv_mqueue,
    };
    let label = conditions::given(cx, mediated, label, Reading::Label);
    let key = name.map(|name| key(&cx.decoded(name)));
    let name = conditions::given(cx, mediated, name, Reading::Label);
    let (Some(permissions), Some(label), Some(kind), Some(name)) = (permissions, label, kind, name)
    else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "message queues of this type", qualifiers.span);
        return;
    }
    let permissions = if permissions == 0 { ALL } else { permissions };
    if kind != Some(Kind::SysV) {
        for (pattern, bits) in strings(conditions::or_any(name), label.clone(), permissions) {
            conditions::push(cx, Class::PosixMqueue, qualifiers, pattern, bits);
        }
    }
    if kind != Some(Kind::Posix) {
        let key = key.map_or_else(|| conditions::any_bytes(4), Pattern::literal);
        // The parser forgets to empty its buffer after the other type.
        let label = match kind {
            None => label.map(|label| label.clone().then(label)),
            _ => label,
        };
        for (pattern, bits) in strings(key, label, permissions) {
            conditions::push(cx, Class::SysvMqueue, qualifiers, pattern, bits);
        }
    }
}

fn read_kind(cx: &mut Lowering<'_>, value: &Word) -> Option<Kind> {
    match cx.decoded(value).as_ref() {
        b"posix" => Some(Kind::Posix),
        b"sysv" => Some(Kind::SysV),
        other => {
            cx.report(
                Diagnostic::error(
                    "unknown-mqueue-type",
                    value.span,
                    format!(
                        "there is no type of message queues `{}`",
                        conditions::shown(other)
                    ),
                )
                .help("there are posix and sysv"),
            );
            None
        }
    }
}

/// The kind that a name and a `type=` agree on.
#[expect(
    clippy::option_option,
    reason = "none when they do not, and none when neither is there"
)]
fn named(cx: &mut Lowering<'_>, kind: Option<Kind>, name: &Word) -> Option<Option<Kind>> {
    let text = cx.decoded(name);
    let found = Kind::of(&text);
    if found.is_some() && (kind.is_none() || kind == found) {
        return Some(found);
    }
    cx.report(
        Diagnostic::error(
            "mqueue-name",
            name.span,
            match kind {
                None => format!(
                    "`{}` is no name of a message queue",
                    conditions::shown(&text)
                ),
                Some(_) => format!(
                    "`{}` is no name of this type of message queues",
                    conditions::shown(&text)
                ),
            },
        )
        .help("POSIX names start with `/`, System V ones are numbers"),
    );
    None
}

/// A key's bytes. As `sscanf` and `strtol` read it, what is too great becomes the greatest before it is cut to 32 bits.
fn key(name: &[u8]) -> [u8; 4] {
    let value = name
        .iter()
        .filter_map(|&digit| char::from(digit).to_digit(10))
        .fold(0_i64, |value, digit| {
            value.saturating_mul(10).saturating_add(i64::from(digit))
        });
    let [_, _, _, _, bytes @ ..] = value.to_be_bytes();
    bytes
}

/// A queue by name alone, and with its label.
fn strings(name: Pattern, label: Option<Pattern>, permissions: u32) -> Vec<(Pattern, u32)> {
    let mut strings = Vec::new();
    if label.is_none() {
        strings.push((name.clone(), permissions));
    }
    if permissions & CREATE != 0 {
        strings.push((name.clone(), permissions & ON_CREATION));
    }
    let labelled = conditions::fields([name, conditions::or_anyone(label)]);
    strings.push((labelled, permissions));
    strings
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    #[test]
    fn names_say_the_type() {
        for (name, kind) in [
            ("/q", Some(Kind::Posix)),
            ("12", Some(Kind::SysV)),
            ("q", None),
            ("1q", None),
            ("", None),
            ("@{q}", None),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
        assert_eq!(key(b"258"), [0, 0, 1, 2]);
        assert_eq!(key(b"99999999999999999999"), [0xff; 4]);
    }

    #[test]
    fn labels_do_not_bind_creation() {
        let strings = |label| strings(Pattern::literal(*b"/q"), label, READ | CREATE | OPEN);
        let allowed = |strings: &[(Pattern, u32)], text: &[u8]| {
            strings
                .iter()
                .filter(|(pattern, _)| matches(pattern, text))
                .fold(0, |bits, (_, more)| bits | more)
        };
        let any = strings(None);
        assert_eq!(allowed(&any, b"/q"), READ | CREATE | OPEN);
        assert_eq!(allowed(&any, b"/q\0web"), READ | CREATE | OPEN);
        let web = strings(Some(Pattern::literal(*b"web")));
        assert_eq!(allowed(&web, b"/q"), READ | CREATE);
        assert_eq!(allowed(&web, b"/q\0web"), READ | CREATE | OPEN);
        assert_eq!(allowed(&web, b"/q\0db"), 0);
    }
}
