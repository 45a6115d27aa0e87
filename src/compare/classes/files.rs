//! Files and links.

use crate::apparmor::model::{Class, rules::file};

use super::super::domain::Field;
use super::{Kind, Query, always, text};

const FILE: Kind = Kind {
    name: "file",
    class: Class::File,
    mediated: always,
    describe: |string, _| text(string),
};

const LINK: Kind = Kind {
    name: "link",
    class: Class::File,
    mediated: always,
    describe: |string, _| {
        let mut names = string.split(|&byte| byte == 0).map(text);
        let link = names.next().unwrap_or_default();
        format!("{link} to {}", names.next().unwrap_or_default())
    },
};

/// All questions.
pub(super) const QUERIES: &[Query] = &[
    FILE.query(|| vec![Field::Path], FILE_BITS),
    LINK.query(
        || vec![Field::Path, Field::Literal(b"\0"), Field::Path],
        &[(file::LINK, "link"), (file::LINK << file::OTHER, "link")],
    ),
];

/// Paths that tell people more than the shortest ones do, by what can be done with them.
pub(in super::super) const KNOWN_PATHS: &[&str] = &[
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "/proc/kmem",
    "/proc/mem",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/shmmax",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/bus/pci/00/00.0",
    "/proc/irq/0/smp_affinity",
    "/proc/acpi/wakeup",
    "/proc/timer_list",
    "/sys/firmware/acpi/tables/DSDT",
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "/sys/kernel/security/apparmor/.replace",
    "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/selinux/enforce",
    "/sys/fs/bpf/ip/globals",
    "/sys/fs/ext4/sda1/trigger_fs_error",
    "/sys/fs/cgroup/release_agent",
    "/etc/shadow",
    "/bin/sh",
];

/// Links are asked for in pairs.
const FILE_BITS: &[(u32, &str)] = &[
    (file::WRITE, "write"),
    (file::WRITE << file::OTHER, "write"),
    (file::READ, "read"),
    (file::READ << file::OTHER, "read"),
    (file::EXECUTE, "execute"),
    (file::EXECUTE << file::OTHER, "execute"),
    (file::APPEND, "append"),
    (file::APPEND << file::OTHER, "append"),
    (file::MAP, "map"),
    (file::MAP << file::OTHER, "map"),
    (file::LOCK, "lock"),
    (file::LOCK << file::OTHER, "lock"),
];
