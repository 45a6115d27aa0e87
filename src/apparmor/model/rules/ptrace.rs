//! Tracing: `ptrace (trace read) peer=web,`
//!
//! The kernel walks class byte 9 and the label of the other side, in the profiles of both (`profile_ptrace_perm` in
//! security/apparmor/ipc.c): a query is the label, with [`TRACE`] or [`READ`] for the tracer and [`TRACED_BY`] or [`READ_BY`]
//! for the traced. The rules are in the policy a second time, for queries about whole labels; what they say is the same.

use super::super::super::ast;
use super::super::Class;
use super::super::lowering::{Lowering, Qualifiers};
use super::conditions::{self, Reading};
use super::permissions::{self, Permissions};

/// `AA_PTRACE_TRACE`
pub(crate) const TRACE: u32 = 0x2;
/// `AA_PTRACE_READ`
pub(crate) const READ: u32 = 0x4;
/// `AA_MAY_BE_TRACED`
pub(crate) const TRACED_BY: u32 = 0x8;
/// `AA_MAY_BE_READ`
pub(crate) const READ_BY: u32 = 0x10;

const PERMISSIONS: &Permissions = &[
    ("trace", TRACE),
    ("write", TRACE),
    ("read", READ),
    ("tracedby", TRACED_BY),
    ("readby", READ_BY),
];

/// Reads a ptrace rule.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: Qualifiers,
    rule: &ast::Conditional,
) {
    conditions::no_owner(cx, "ptrace", qualifiers);
    conditions::no_group(cx, "ptrace", rule.peer.as_deref(), qualifiers.span);
    let permissions = permissions::read(cx, "ptrace", &rule.permissions, PERMISSIONS);
    let mut peer = None;
    for condition in &rule.conditions {
        if !conditions::equals(cx, "ptrace", condition) {
            continue;
        }
        match cx.decoded(&condition.name).as_ref() {
            b"peer" => conditions::once(cx, &mut peer, condition),
            _ => conditions::unknown_condition(cx, "ptrace", condition, "peer only"),
        }
    }
    let mediated = cx.features().ptrace;
    let peer = conditions::given(cx, mediated, peer, Reading::Label);
    let (Some(permissions), Some(peer)) = (permissions, peer) else {
        return;
    };
    if !mediated {
        conditions::not_mediated(cx, "ptrace", qualifiers.span);
        return;
    }
    let permissions = match permissions {
        0 => TRACE | READ | TRACED_BY | READ_BY,
        some => some,
    };
    conditions::push(
        cx,
        Class::Ptrace,
        qualifiers,
        conditions::or_anyone(peer),
        permissions,
    );
}
