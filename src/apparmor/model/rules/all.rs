//! `all,`: a rule of each other kind that permits, or forbids, whatever there is.
//!
//! Files and capabilities are lowered where theirs are.

use super::super::super::ast::{Conditional, Mount};
use super::super::super::diagnostic::Diagnostic;
use super::super::lowering::{Lowering, Qualifiers};
use super::{conditions, dbus, io_uring, mount, mqueue, network, ptrace, signal, userns};

/// Reads an `all` rule, but for files and capabilities. Classes that the policy's ABI does not have are passed over.
pub(in super::super) fn lower(cx: &mut Lowering<'_>, qualifiers: Qualifiers) {
    conditions::no_owner(cx, "all", qualifiers);
    if qualifiers.priority != 0 {
        cx.report(Diagnostic::error(
            "priority-not-allowed",
            qualifiers.span,
            "`priority` is not allowed on `all`",
        ));
    }
    if qualifiers.owner.is_some() || qualifiers.priority != 0 {
        return;
    }
    let features = cx.features();
    let any = Conditional::default();
    // Sockets: that of network rules is about Unix sockets as well.
    if features.network_v8 || features.network_v9 || features.network_unix {
        // What is denied here is never quiet, which makes a difference for sockets.
        let loud = Qualifiers {
            audit: true,
            ..qualifiers
        };
        network::lower(cx, loud, &any);
    }
    if features.dbus {
        dbus::lower(cx, qualifiers, &any);
    }
    if features.io_uring {
        io_uring::lower(cx, qualifiers, &any);
    }
    if features.posix_mqueue || features.sysv_mqueue {
        mqueue::lower(cx, qualifiers, &any);
    }
    if features.ptrace {
        ptrace::lower(cx, qualifiers, &any);
    }
    if features.signal {
        signal::lower(cx, qualifiers, &any);
    }
    if features.userns {
        userns::lower(cx, qualifiers, &any);
    }
    if features.mount {
        let everywhere = Mount {
            conditions: Vec::new(),
            source: None,
            target: None,
        };
        mount::lower(cx, qualifiers, &everywhere);
        mount::lower_remount(cx, qualifiers, &[], None);
        mount::lower_umount(cx, qualifiers, &[], None);
        mount::lower_pivot_root(cx, qualifiers, &[], None, None);
    }
}
