//! What is asked of each class: the strings of its operations, the bits that count, and how to say it.
//!
//! Files have questions of their own besides ([`super::execs`], [`super::links`]); capabilities are a mask.

use crate::apparmor::model::rules::{
    dbus, file, io_uring, mount, mqueue, ptrace, signal, sockets, userns,
};
use crate::apparmor::model::{Class, Features};
use crate::apparmor::pattern::ByteSet;

use super::domain::Field;
use super::walk::Early;

/// A kind of question.
pub(super) struct Query {
    /// The class as witnesses name it.
    pub(super) name: &'static str,
    /// The entries that are asked.
    pub(super) class: Class,
    /// The strings.
    pub(super) fields: fn() -> Vec<Field>,
    /// The bits that count, with what they permit; the gravest first.
    pub(super) bits: &'static [(u32, &'static str)],
    /// Where the kernel asks for the beginning first.
    pub(super) early: Option<Early>,
    /// Whether a policy of these features has the class; whatever it does not have is permitted.
    pub(super) mediated: fn(Features) -> bool,
    /// Of which policies.
    pub(super) asked: Asked,
    /// A string for people. The second argument is the name of the profile that is asked.
    pub(super) describe: fn(&[u8], &[u8]) -> String,
}

impl Query {
    /// All bits that count.
    pub(super) fn mask(&self) -> u32 {
        self.bits.iter().fold(0, |mask, (bit, _)| mask | bit)
    }

    /// What bits permit, the gravest first.
    pub(super) fn operations(&self, bits: u32) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for (bit, name) in self.bits {
            if bits & bit != 0 && !names.contains(name) {
                names.push(name);
            }
        }
        names
    }
}

/// Of which policies a question is asked: some know addresses of sockets, others only their families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Of all.
    Always,
    /// Where neither of two knows addresses.
    Coarsely,
    /// Where one of them does.
    InDetail,
}

impl Asked {
    /// Whether it is asked of two policies.
    pub(super) fn of(self, first: Features, second: Features) -> bool {
        let detailed = |features: Features| features.network_v8_inet;
        match self {
            Self::Always => true,
            Self::Coarsely => !detailed(first) && !detailed(second),
            Self::InDetail => detailed(first) || detailed(second),
        }
    }
}

fn always(_: Features) -> bool {
    true
}

/// All questions.
pub(super) const QUERIES: &[Query] = &[
    Query {
        name: "file",
        class: Class::File,
        fields: || vec![Field::Path],
        bits: FILE_BITS,
        early: None,
        mediated: always,
        asked: Asked::Always,
        describe: |string, _| text(string),
    },
    Query {
        name: "link",
        class: Class::File,
        fields: || vec![Field::Path, Field::Literal(b"\0"), Field::Path],
        bits: &[(file::LINK, "link"), (file::LINK << file::OTHER, "link")],
        early: None,
        mediated: always,
        asked: Asked::Always,
        describe: |string, _| {
            let mut names = string.split(|&byte| byte == 0).map(text);
            let link = names.next().unwrap_or_default();
            format!("{link} to {}", names.next().unwrap_or_default())
        },
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || family_and_type(without_inet()),
        bits: SOCKET_BITS,
        early: None,
        mediated: network,
        asked: Asked::Always,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || family_and_type(INET_FAMILIES),
        bits: SOCKET_BITS,
        early: None,
        mediated: network,
        asked: Asked::Coarsely,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || family_and_type(INET_FAMILIES),
        bits: &[(sockets::CREATE, "create")],
        early: None,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV4, &[]),
        bits: LOCAL_BITS,
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV4, &[Field::Literal(b"\x02"), ANY, ANY]),
        bits: &[(sockets::LISTEN, "listen")],
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV4, &[Field::Literal(b"\x04"), ANY, ANY, ANY, ANY]),
        bits: &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || connected(IPV4),
        bits: PEER_BITS,
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV6, &[]),
        bits: LOCAL_BITS,
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV6, &[Field::Literal(b"\x02"), ANY, ANY]),
        bits: &[(sockets::LISTEN, "listen")],
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || local(IPV6, &[Field::Literal(b"\x04"), ANY, ANY, ANY, ANY]),
        bits: &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "network",
        class: Class::Network,
        fields: || connected(IPV6),
        bits: PEER_BITS,
        early: INET_EARLY,
        mediated: network,
        asked: Asked::InDetail,
        describe: |string, _| socket(string),
    },
    Query {
        name: "unix",
        class: Class::Unix,
        fields: unix,
        bits: &[(sockets::CREATE, "create")],
        early: None,
        mediated: unix_sockets,
        asked: Asked::Always,
        describe: |string, own| unix_socket(string, own),
    },
    Query {
        name: "unix",
        class: Class::Unix,
        fields: || {
            let mut fields = unix();
            fields.extend([
                Field::Literal(b"\0"),
                Field::Text,
                Field::Literal(b"\0"),
                Field::Label,
                Field::Literal(b"\0"),
            ]);
            fields
        },
        bits: LOCAL_BITS,
        early: None,
        mediated: unix_sockets,
        asked: Asked::Always,
        describe: |string, own| unix_socket(string, own),
    },
    Query {
        name: "unix",
        class: Class::Unix,
        fields: || {
            let mut fields = unix();
            fields.extend([
                Field::Literal(b"\0"),
                Field::Text,
                Field::Literal(b"\0"),
                Field::Label,
            ]);
            fields.extend([Field::Literal(b"\0\x02"), ANY, ANY]);
            fields
        },
        bits: &[(sockets::LISTEN, "listen")],
        early: None,
        mediated: unix_sockets,
        asked: Asked::Always,
        describe: |string, own| unix_socket(string, own),
    },
    Query {
        name: "unix",
        class: Class::Unix,
        fields: || {
            let mut fields = unix();
            fields.extend([
                Field::Literal(b"\0"),
                Field::Text,
                Field::Literal(b"\0"),
                Field::Label,
            ]);
            fields.extend([Field::Literal(b"\0\x04"), ANY, ANY]);
            fields
        },
        bits: &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
        early: None,
        mediated: unix_sockets,
        asked: Asked::Always,
        describe: |string, own| unix_socket(string, own),
    },
    Query {
        name: "unix",
        class: Class::Unix,
        fields: || {
            let mut fields = unix();
            fields.extend([
                Field::Literal(b"\0"),
                Field::Text,
                Field::Literal(b"\0"),
                Field::Label,
            ]);
            fields.extend([
                Field::Literal(b"\0\x01\0"),
                Field::Text,
                Field::Literal(b"\0"),
                Field::Label,
            ]);
            fields
        },
        bits: PEER_BITS,
        early: None,
        mediated: unix_sockets,
        asked: Asked::Always,
        describe: |string, own| unix_socket(string, own),
    },
    Query {
        name: "signal",
        class: Class::Signal,
        fields: || vec![Field::Byte(signal_numbers()), Field::Label],
        bits: &[(signal::SEND, "send"), (signal::RECEIVE, "receive")],
        early: None,
        mediated: |features| features.signal,
        asked: Asked::Always,
        describe: |string, own| match string.split_first() {
            Some((&number, label)) => {
                format!("{} with {}", signal::name(number), peer(label, own))
            }
            None => String::new(),
        },
    },
    Query {
        name: "ptrace",
        class: Class::Ptrace,
        fields: || vec![Field::Label],
        bits: &[
            (ptrace::TRACE, "trace"),
            (ptrace::READ, "read"),
            (ptrace::TRACED_BY, "tracedby"),
            (ptrace::READ_BY, "readby"),
        ],
        early: None,
        mediated: |features| features.ptrace,
        asked: Asked::Always,
        describe: peer,
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || {
            mounting(
                &[Field::Byte(ByteSet::NOT_NUL), Field::Text],
                Field::Ascending(MOUNT_FLAGS),
            )
        },
        bits: &[(mount::MOUNT, "mount")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || mounting(&[], Field::OneOf(vec![b"\x0d".to_vec()])),
        bits: &[(mount::MOUNT, "bind")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || mounting(&[], Field::OneOf(vec![b"\x0d\x0f".to_vec()])),
        bits: &[(mount::MOUNT, "rbind")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || mounting(&[], Field::OneOf(vec![b"\x0e".to_vec()])),
        bits: &[(mount::MOUNT, "move")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || {
            vec![
                Field::Path,
                Field::Literal(b"\0\0\0"),
                Field::OneOf(propagation()),
            ]
        },
        bits: &[(mount::MOUNT, "change propagation of")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "mount",
        class: Class::Mount,
        fields: || {
            vec![
                Field::Path,
                Field::Literal(b"\0\0\0"),
                Field::Ascending(FLAGS_BEFORE_REMOUNT),
                Field::Literal(b"\x06"),
                Field::Ascending(FLAGS_AFTER_REMOUNT),
            ]
        },
        bits: &[(mount::MOUNT, "remount")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| mounted(string),
    },
    Query {
        name: "umount",
        class: Class::Mount,
        fields: || vec![Field::Path],
        bits: &[(mount::UMOUNT, "umount")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| text(string),
    },
    Query {
        name: "pivot_root",
        class: Class::Mount,
        fields: || vec![Field::Path, Field::Literal(b"\0"), Field::Path],
        bits: &[(mount::PIVOT_ROOT, "pivot_root")],
        early: None,
        mediated: |features| features.mount,
        asked: Asked::Always,
        describe: |string, _| {
            let mut parts = string.split(|&byte| byte == 0).map(text);
            let root = parts.next().unwrap_or_default();
            format!("{root} (old root {})", parts.next().unwrap_or_default())
        },
    },
    Query {
        name: "dbus",
        class: Class::Dbus,
        fields: || vec![Field::Text, Field::Literal(b"\0"), Field::Text],
        bits: &[(dbus::BIND, "bind")],
        early: None,
        mediated: |features| features.dbus,
        asked: Asked::Always,
        describe: |string, own| message(string, own),
    },
    Query {
        name: "dbus",
        class: Class::Dbus,
        fields: || {
            let nul = || Field::Literal(b"\0");
            vec![
                Field::Text,
                nul(),
                Field::Text,
                nul(),
                Field::Label,
                nul(),
                Field::Text,
                nul(),
                Field::Text,
                nul(),
                Field::Text,
            ]
        },
        bits: &[(dbus::SEND, "send"), (dbus::RECEIVE, "receive")],
        early: None,
        mediated: |features| features.dbus,
        asked: Asked::Always,
        describe: |string, own| message(string, own),
    },
    Query {
        name: "dbus",
        class: Class::Dbus,
        fields: || vec![Field::Text],
        bits: &[(dbus::EAVESDROP, "eavesdrop")],
        early: None,
        mediated: |features| features.dbus,
        asked: Asked::Always,
        describe: |string, own| message(string, own),
    },
    Query {
        name: "userns",
        class: Class::Userns,
        fields: Vec::new,
        bits: &[(userns::CREATE, "create")],
        early: None,
        mediated: |features| features.userns,
        asked: Asked::Always,
        describe: |_, _| "user namespaces".into(),
    },
    Query {
        name: "io_uring",
        class: Class::IoUring,
        fields: Vec::new,
        bits: &[(io_uring::SQPOLL, "sqpoll")],
        early: None,
        mediated: |features| features.io_uring,
        asked: Asked::Always,
        describe: |_, _| "a kernel thread that polls".into(),
    },
    Query {
        name: "io_uring",
        class: Class::IoUring,
        fields: || vec![Field::Label],
        bits: &[(io_uring::OVERRIDE_CREDS, "override_creds")],
        early: None,
        mediated: |features| features.io_uring,
        asked: Asked::Always,
        describe: peer,
    },
    Query {
        name: "mqueue",
        class: Class::PosixMqueue,
        fields: || vec![Field::Path],
        bits: QUEUE_BITS,
        early: None,
        mediated: |features| features.posix_mqueue,
        asked: Asked::Always,
        describe: |string, _| text(string),
    },
    Query {
        name: "mqueue",
        class: Class::PosixMqueue,
        fields: || vec![Field::Path, Field::Literal(b"\0"), Field::Label],
        bits: QUEUE_BITS,
        early: Some(Early {
            fields: 1,
            goes_on: None,
        }),
        mediated: |features| features.posix_mqueue,
        asked: Asked::Always,
        describe: |string, own| {
            let mut parts = string.split(|&byte| byte == 0);
            let queue = text(parts.next().unwrap_or_default());
            format!("{queue} of {}", peer(parts.next().unwrap_or_default(), own))
        },
    },
];

/// Paths that tell people more than the shortest ones do, by what can be done with them.
pub(super) const KNOWN_PATHS: &[&str] = &[
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

const SOCKET_BITS: &[(u32, &str)] = &[
    (sockets::CREATE, "create"),
    (sockets::BIND, "bind"),
    (sockets::CONNECT, "connect"),
    (sockets::SEND, "send"),
    (sockets::RECEIVE, "receive"),
    (sockets::LISTEN, "listen"),
    (sockets::ACCEPT, "accept"),
    (sockets::SHUTDOWN, "shutdown"),
    (sockets::SETOPT, "setopt"),
    (sockets::GETOPT, "getopt"),
    (sockets::SETATTR, "setattr"),
    (sockets::GETATTR, "getattr"),
];

/// Bits that are about the own side of a socket.
const LOCAL_BITS: &[(u32, &str)] = &[
    (sockets::BIND, "bind"),
    (sockets::ACCEPT, "accept"),
    (sockets::SHUTDOWN, "shutdown"),
    (sockets::GETATTR, "getattr"),
    (sockets::SETATTR, "setattr"),
];

/// Bits that are about both sides.
const PEER_BITS: &[(u32, &str)] = &[
    (sockets::CONNECT, "connect"),
    (sockets::SEND, "send"),
    (sockets::RECEIVE, "receive"),
    (sockets::ACCEPT, "accept"),
];

const QUEUE_BITS: &[(u32, &str)] = &[
    (mqueue::WRITE, "write"),
    (mqueue::READ, "read"),
    (mqueue::CREATE, "create"),
    (mqueue::DELETE, "delete"),
    (mqueue::OPEN, "open"),
    (mqueue::SETATTR, "setattr"),
    (mqueue::GETATTR, "getattr"),
];

/// Flags of new mounts, each as the byte one above its bit: all but those that make it another operation.
const MOUNT_FLAGS: ByteSet =
    ByteSet::of(&[1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 22, 24, 25, 26]);
const FLAGS_BEFORE_REMOUNT: ByteSet = ByteSet::of(&[1, 2, 3, 4, 5]);
/// Among them that of bind: `mount -o remount,bind,ro` changes one mount only.
const FLAGS_AFTER_REMOUNT: ByteSet = ByteSet::of(&[7, 8, 9, 11, 12, 13, 16, 17, 22, 24, 25, 26]);

const ANY: Field = Field::Byte(ByteSet::ALL);
/// Families and types are below 256: the high byte of the two is 0.
const FAMILY_HIGH: Field = Field::Literal(b"\0");

const INET_EARLY: Option<Early> = Some(Early {
    fields: 4,
    goes_on: Some(sockets::CONTINUE),
});

fn network(features: Features) -> bool {
    features.network_v8 || features.network_v9
}

fn unix_sockets(features: Features) -> bool {
    features.network_unix || features.network_v9_unix
}

/// Families that have addresses in rules.
const INET_FAMILIES: ByteSet = ByteSet::of(&[sockets::INET, sockets::INET6]);
/// The family, the byte for the size of an address, and that size.
const IPV4: (u8, &[u8], usize) = (sockets::INET, b"\x01", 4);
const IPV6: (u8, &[u8], usize) = (sockets::INET6, b"\x02", 16);

fn without_inet() -> ByteSet {
    let mut families = ByteSet::NONE;
    for family in sockets::families()
        .iter()
        .filter(|family| !INET_FAMILIES.contains(*family))
    {
        families.insert(family);
    }
    families
}

fn family_and_type(families: ByteSet) -> Vec<Field> {
    vec![
        FAMILY_HIGH,
        Field::Byte(families),
        FAMILY_HIGH,
        Field::Byte(sockets::socket_types()),
    ]
}

/// The kind of a port, the port, and an address.
fn address((_, size, bytes): (u8, &'static [u8], usize)) -> Vec<Field> {
    let mut fields = vec![ANY, ANY, ANY, Field::Literal(size)];
    fields.extend(std::iter::repeat_n(ANY, bytes));
    fields
}

/// A socket with its protocol.
fn inet(family: u8) -> Vec<Field> {
    let mut fields = family_and_type(ByteSet::of(&[family]));
    fields.extend([ANY, ANY]);
    fields
}

/// A socket with its own address, and what follows that.
fn local(kind: (u8, &'static [u8], usize), rest: &[Field]) -> Vec<Field> {
    let mut fields = inet(kind.0);
    fields.extend(address(kind));
    fields.push(Field::Literal(b"\0"));
    fields.extend_from_slice(rest);
    fields
}

/// A socket with the other side's address and label, and its own address.
fn connected(kind: (u8, &'static [u8], usize)) -> Vec<Field> {
    let mut fields = inet(kind.0);
    fields.extend(address(kind));
    fields.extend([
        Field::Literal(b"\0"),
        Field::Label,
        Field::Literal(b"\0\x01"),
    ]);
    fields.extend(address(kind));
    fields.push(Field::Literal(b"\0"));
    fields
}

/// A Unix socket with its protocol, which is always 0.
fn unix() -> Vec<Field> {
    vec![
        Field::Literal(b"\0\x01\0"),
        Field::Byte(ByteSet::of(&[1, 2, 5])),
        Field::Literal(b"\0\0"),
    ]
}

fn signal_numbers() -> ByteSet {
    let mut numbers = ByteSet::NONE;
    numbers.insert_range(1, 31);
    numbers.insert(signal::EXISTS);
    numbers.insert_range(signal::REALTIME, signal::REALTIME + signal::MAX_REALTIME);
    numbers
}

/// Target, source, type and flags.
fn mounting(kind: &[Field], flags: Field) -> Vec<Field> {
    let nul = || Field::Literal(b"\0");
    let mut fields = vec![Field::Path, nul(), Field::Text, nul()];
    fields.extend(kind.iter().cloned());
    fields.extend([nul(), flags]);
    fields
}

/// Unbindable, private, slave and shared, each for one mount or for all below it.
fn propagation() -> Vec<Vec<u8>> {
    [18_u8, 19, 20, 21]
        .into_iter()
        .flat_map(|kind| [vec![kind], vec![15, kind]])
        .collect()
}

/// A string for people: hostile bytes are escaped where it is printed.
fn text(string: &[u8]) -> String {
    String::from_utf8_lossy(string).into_owned()
}

/// The other side of something.
pub(super) fn peer(label: &[u8], own: &[u8]) -> String {
    if label == own {
        "its own profile".into()
    } else {
        format!("profile {}", text(label))
    }
}

fn socket(string: &[u8]) -> String {
    match string {
        [_, family, _, kind, ..] => format!(
            "{} {}",
            sockets::family_name(*family),
            sockets::type_name(*kind)
        ),
        _ => String::new(),
    }
}

fn unix_socket(string: &[u8], own: &[u8]) -> String {
    let kind = string.get(3).map_or("", |&kind| sockets::type_name(kind));
    let label = string
        .rsplit(|&byte| byte == 0)
        .find(|part| part.len() > 1)
        .filter(|_| string.len() > 6);
    match label {
        Some(label) => format!("{kind} sockets with {}", peer(label, own)),
        None => format!("{kind} sockets"),
    }
}

fn mounted(string: &[u8]) -> String {
    let mut parts = string.splitn(4, |&byte| byte == 0).map(text);
    let target = parts.next().unwrap_or_default();
    let source = parts.next().unwrap_or_default();
    let kind = parts.next().unwrap_or_default();
    match (source.as_str(), kind.as_str()) {
        ("", "") => target,
        (source, "") => format!("{source} on {target}"),
        ("", kind) => format!("a {kind} file system on {target}"),
        (source, kind) => format!("{source}, type {kind}, on {target}"),
    }
}

fn message(string: &[u8], own: &[u8]) -> String {
    let parts: Vec<&[u8]> = string.split(|&byte| byte == 0).collect();
    let bus = text(parts.first().copied().unwrap_or_default());
    match parts.as_slice() {
        [_, name] => format!("name {} on bus {bus}", text(name)),
        [_, _, label, ..] => format!("messages on bus {bus} with {}", peer(label, own)),
        _ => format!("bus {bus}"),
    }
}
