//! io_uring: `io_uring sqpoll,`, `io_uring override_creds label=web,`
//!
//! The kernel looks at the state after class byte 22 for [`SQPOLL`], and after that and a label for [`OVERRIDE_CREDS`]
//! (`profile_uring` in security/apparmor/lsm.c): a query is the empty string, or the label of the credentials to take.
//! The parser adds bit 4 to the empty string to tell that the class is mediated, even by rules that deny; it permits nothing,
//! and is left out here.

use super::super::super::ast;
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::Pattern;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading};

/// `AA_MAY_OVERRIDE_CRED`
pub(crate) const OVERRIDE_CREDS: u32 = 0x8;
/// `AA_MAY_CREATE_SQPOLL`
pub(crate) const SQPOLL: u32 = 0x10;

/// Reads an io_uring rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "io_uring", qualifiers);
    let permissions = permissions(cx, rule);
    let mut label = None;
    // Whether the label stands in a group makes no difference.
    for condition in rule.conditions.iter().chain(rule.peer.iter().flatten()) {
        if !conditions::equals(cx, "io_uring", condition) {
            continue;
        }
        match cx.decoded(&condition.name).as_ref() {
            b"label" => conditions::single(cx, &mut label, condition),
            _ => conditions::unknown_condition(cx, "io_uring", condition, "label only"),
        }
    }
    let mediated = cx.features().io_uring;
    let Some(label) = conditions::given(cx, mediated, label, Reading::Unexpanded) else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "io_uring", qualifiers.span);
        return;
    }
    for pattern in patterns(permissions, label) {
        conditions::push(cx, Class::IoUring, qualifiers, pattern, permissions);
    }
}

/// The parser takes words that it does not know for nothing: with no other, they mean all permissions.
fn permissions(cx: &mut Lowering<'_>, rule: &ast::Conditional) -> u32 {
    let mut bits = 0;
    for word in &rule.permissions {
        match cx.decoded(word).as_ref() {
            b"override_creds" => bits |= OVERRIDE_CREDS,
            b"sqpoll" => bits |= SQPOLL,
            other => cx.report(
                Diagnostic::warning(
                    "unknown-permission",
                    word.span,
                    format!(
                        "`{}` is no permission of io_uring rules",
                        conditions::shown(other)
                    ),
                )
                .help("there are override_creds and sqpoll"),
            ),
        }
    }
    if bits == 0 {
        OVERRIDE_CREDS | SQPOLL
    } else {
        bits
    }
}

/// The empty string, and the label.
fn patterns(permissions: u32, label: Option<Pattern>) -> Vec<Pattern> {
    let mut patterns = vec![Pattern::empty()];
    if permissions & OVERRIDE_CREDS != 0 {
        patterns.push(conditions::or_any(label));
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    #[test]
    fn labels_are_for_credentials_only() {
        let any = |patterns: &[Pattern], text: &[u8]| {
            patterns.iter().any(|pattern| matches(pattern, text))
        };
        let label = || Some(Pattern::literal(*b"web"));
        let both = patterns(SQPOLL | OVERRIDE_CREDS, label());
        assert!(any(&both, b"") && any(&both, b"web") && !any(&both, b"db"));
        let poll = patterns(SQPOLL, label());
        assert!(any(&poll, b"") && !any(&poll, b"web"));
        assert!(any(&patterns(OVERRIDE_CREDS, None), b"db"));
    }
}
