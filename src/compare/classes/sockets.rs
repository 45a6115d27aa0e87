//! Sockets: by family and type, by address, and Unix sockets.

use crate::apparmor::model::{Class, Features, rules::sockets};
use crate::apparmor::pattern::ByteSet;

use super::super::domain::Field;
use super::super::walk::Early;
use super::{ANY, Asked, Kind, Query, peer};

const NETWORK: Kind = Kind {
    name: "network",
    class: Class::Network,
    mediated: network,
    describe: |string, _| socket(string),
};

const UNIX: Kind = Kind {
    name: "unix",
    class: Class::Unix,
    mediated: unix_sockets,
    describe: |string, own| unix_socket(string, own),
};

/// All questions.
pub(super) const QUERIES: &[Query] = &[
    NETWORK.query(|| family_and_type(without_inet()), SOCKET_BITS),
    NETWORK
        .query(|| family_and_type(INET_FAMILIES), SOCKET_BITS)
        .asked(Asked::Coarsely),
    NETWORK
        .query(
            || family_and_type(INET_FAMILIES),
            &[(sockets::CREATE, "create")],
        )
        .asked(Asked::InDetail),
    NETWORK
        .query(|| local(IPV4, &[]), LOCAL_BITS)
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(
            || local(IPV4, &[Field::Literal(b"\x02"), ANY, ANY]),
            &[(sockets::LISTEN, "listen")],
        )
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(
            || local(IPV4, &[Field::Literal(b"\x04"), ANY, ANY, ANY, ANY]),
            &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
        )
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(|| connected(IPV4), PEER_BITS)
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(|| local(IPV6, &[]), LOCAL_BITS)
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(
            || local(IPV6, &[Field::Literal(b"\x02"), ANY, ANY]),
            &[(sockets::LISTEN, "listen")],
        )
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(
            || local(IPV6, &[Field::Literal(b"\x04"), ANY, ANY, ANY, ANY]),
            &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
        )
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    NETWORK
        .query(|| connected(IPV6), PEER_BITS)
        .early(INET_EARLY)
        .asked(Asked::InDetail),
    UNIX.query(unix, &[(sockets::CREATE, "create")]),
    UNIX.query(
        || {
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
        LOCAL_BITS,
    ),
    UNIX.query(
        || {
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
        &[(sockets::LISTEN, "listen")],
    ),
    UNIX.query(
        || {
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
        &[(sockets::SETOPT, "setopt"), (sockets::GETOPT, "getopt")],
    ),
    UNIX.query(
        || {
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
        PEER_BITS,
    ),
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

/// Families and types are below 256: the high byte of the two is 0.
const FAMILY_HIGH: Field = Field::Literal(b"\0");

const INET_EARLY: Early = Early {
    fields: 4,
    goes_on: Some(sockets::CONTINUE),
};

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
