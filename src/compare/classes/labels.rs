//! What is asked of another process or of the process itself: signals, tracing, D-Bus, namespaces, queues.

use crate::apparmor::model::Class;
use crate::apparmor::model::rules::{dbus, io_uring, mqueue, ptrace, signal, userns};
use crate::apparmor::pattern::ByteSet;

use super::super::domain::Field;
use super::super::walk::Early;
use super::{Kind, Query, peer, text};

const SIGNAL: Kind = Kind {
    name: "signal",
    class: Class::Signal,
    mediated: |features| features.signal,
    describe: |string, own| match string.split_first() {
        Some((&number, label)) => {
            format!("{} with {}", signal::name(number), peer(label, own))
        }
        None => String::new(),
    },
};

const PTRACE: Kind = Kind {
    name: "ptrace",
    class: Class::Ptrace,
    mediated: |features| features.ptrace,
    describe: peer,
};

const DBUS: Kind = Kind {
    name: "dbus",
    class: Class::Dbus,
    mediated: |features| features.dbus,
    describe: |string, own| message(string, own),
};

const USERNS: Kind = Kind {
    name: "userns",
    class: Class::Userns,
    mediated: |features| features.userns,
    describe: |_, _| "user namespaces".into(),
};

const IO_URING: Kind = Kind {
    name: "io_uring",
    class: Class::IoUring,
    mediated: |features| features.io_uring,
    describe: |_, _| "a kernel thread that polls".into(),
};

const IO_URING_LABEL: Kind = Kind {
    name: "io_uring",
    class: Class::IoUring,
    mediated: |features| features.io_uring,
    describe: peer,
};

const MQUEUE: Kind = Kind {
    name: "mqueue",
    class: Class::PosixMqueue,
    mediated: |features| features.posix_mqueue,
    describe: |string, _| text(string),
};

const MQUEUE_LABEL: Kind = Kind {
    name: "mqueue",
    class: Class::PosixMqueue,
    mediated: |features| features.posix_mqueue,
    describe: |string, own| {
        let mut parts = string.split(|&byte| byte == 0);
        let queue = text(parts.next().unwrap_or_default());
        format!("{queue} of {}", peer(parts.next().unwrap_or_default(), own))
    },
};

/// All questions.
pub(super) const QUERIES: &[Query] = &[
    SIGNAL.query(
        || vec![Field::Byte(signal_numbers()), Field::Label],
        &[(signal::SEND, "send"), (signal::RECEIVE, "receive")],
    ),
    PTRACE.query(
        || vec![Field::Label],
        &[
            (ptrace::TRACE, "trace"),
            (ptrace::READ, "read"),
            (ptrace::TRACED_BY, "tracedby"),
            (ptrace::READ_BY, "readby"),
        ],
    ),
    DBUS.query(
        || vec![Field::Text, Field::Literal(b"\0"), Field::Text],
        &[(dbus::BIND, "bind")],
    ),
    DBUS.query(
        || {
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
        &[(dbus::SEND, "send"), (dbus::RECEIVE, "receive")],
    ),
    DBUS.query(|| vec![Field::Text], &[(dbus::EAVESDROP, "eavesdrop")]),
    USERNS.query(Vec::new, &[(userns::CREATE, "create")]),
    IO_URING.query(Vec::new, &[(io_uring::SQPOLL, "sqpoll")]),
    IO_URING_LABEL.query(
        || vec![Field::Label],
        &[(io_uring::OVERRIDE_CREDS, "override_creds")],
    ),
    MQUEUE.query(|| vec![Field::Path], QUEUE_BITS),
    MQUEUE_LABEL
        .query(
            || vec![Field::Path, Field::Literal(b"\0"), Field::Label],
            QUEUE_BITS,
        )
        .early(Early {
            fields: 1,
            goes_on: None,
        }),
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

fn signal_numbers() -> ByteSet {
    let mut numbers = ByteSet::NONE;
    numbers.insert_range(1, 31);
    numbers.insert(signal::EXISTS);
    numbers.insert_range(signal::REALTIME, signal::REALTIME + signal::MAX_REALTIME);
    numbers
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
