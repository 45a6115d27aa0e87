//! User namespaces: `userns create,`
//!
//! The kernel looks at the state right after class byte 21 (`profile_ns_perm` in security/apparmor/task.c): a query is the
//! empty string. The parser adds bit 4 there to tell that the class is mediated, even by rules that deny; it permits nothing,
//! and is left out here.

use super::super::super::ast;
use super::super::super::diagnostic::Diagnostic;
use super::super::super::pattern::Pattern;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions;

/// `AA_USERNS_CREATE`
pub(crate) const CREATE: u32 = 0x8;

/// Reads a userns rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "userns", qualifiers);
    conditions::no_group(cx, "userns", rule.peer.as_deref(), qualifiers.span);
    for condition in &rule.conditions {
        conditions::unknown_condition(cx, "userns", condition, "");
    }
    let mut known = true;
    for word in &rule.permissions {
        let text = cx.decoded(word);
        if *text != *b"create" {
            known = false;
            cx.report(
                Diagnostic::error(
                    "unknown-permission",
                    word.span,
                    format!(
                        "`{}` is no permission of userns rules",
                        conditions::shown(&text)
                    ),
                )
                .help("there is create only"),
            );
        }
    }
    if !known {
        return;
    }
    if !cx.features().userns {
        conditions::not_mediated(cx, "user namespaces", qualifiers.span);
        return;
    }
    conditions::push(cx, Class::Userns, qualifiers, Pattern::empty(), CREATE);
}
