//! `capability net_admin,`

use super::super::super::ast::{RuleMode, Word};
use super::super::super::diagnostic::Diagnostic;
use super::super::lowering::{Lowering, Qualifiers};
use super::super::policy::Capabilities;

/// Capabilities in the order of their numbers (`include/uapi/linux/capability.h`).
pub const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// No name: all of them, those that Linux has yet to get included. Priorities do not count here, as the parser only keeps two
/// masks.
pub(in super::super) fn lower(
    cx: &mut Lowering<'_>,
    qualifiers: &Qualifiers,
    names: &[Word],
    capabilities: &mut Capabilities,
) {
    let mut mask = 0_u64;
    for word in names {
        let name = cx.decoded(word);
        match NAMES.iter().position(|known| known.as_bytes() == &*name) {
            Some(number) => mask |= 1 << number,
            None => cx.report(
                Diagnostic::error(
                    "unknown-capability",
                    word.span,
                    format!("`{}` is not a capability", String::from_utf8_lossy(&name)),
                )
                .help("names are those of capabilities(7), in lower case and without `CAP_`"),
            ),
        }
    }
    if names.is_empty() {
        mask = u64::MAX;
    }
    if !cx.is_discarding() {
        capabilities.add(qualifiers.mode == RuleMode::Deny, mask, qualifiers.span);
    }
}
