//! What network and unix rules share: permissions, families and types of sockets.

use super::super::super::pattern::{ByteSet, Pattern};
use super::permissions::Permissions;

/// `AA_MAY_SEND`
pub(crate) const SEND: u32 = 0x2;
/// `AA_MAY_RECEIVE`
pub(crate) const RECEIVE: u32 = 0x4;
/// `AA_MAY_CREATE`
pub(crate) const CREATE: u32 = 0x10;
/// `AA_MAY_SHUTDOWN`
pub(crate) const SHUTDOWN: u32 = 0x20;
/// `AA_MAY_CONNECT`
pub(crate) const CONNECT: u32 = 0x40;
/// `AA_MAY_SETATTR`, as the parser writes it: the kernel reads it as `0x100` (`map_other` in security/apparmor).
pub(crate) const SETATTR: u32 = 0x4000;
/// `AA_MAY_GETATTR`, as the parser writes it: the kernel reads it as `0x200`.
pub(crate) const GETATTR: u32 = 0x8000;
/// `AA_MAY_ACCEPT`, as the parser writes it: the kernel reads it as `0x0010_0000`.
pub(crate) const ACCEPT: u32 = 0x1_0000;
/// `AA_MAY_BIND`, as the parser writes it: the kernel reads it as `0x0020_0000`.
pub(crate) const BIND: u32 = 0x2_0000;
/// `AA_MAY_LISTEN`, as the parser writes it: the kernel reads it as `0x0040_0000`.
pub(crate) const LISTEN: u32 = 0x4_0000;
/// `AA_MAY_SETOPT`, as the parser writes it: the kernel reads it as `0x0100_0000`.
pub(crate) const SETOPT: u32 = 0x8_0000;
/// `AA_MAY_GETOPT`, as the parser writes it: the kernel reads it as `0x0200_0000`.
pub(crate) const GETOPT: u32 = 0x10_0000;
/// `AA_CONT_MATCH`, as the parser writes it: no permission, but that there may be some further down the string. Where it is
/// missing the kernel does not look (`early_match` in security/apparmor/net.c).
pub(crate) const CONTINUE: u32 = 0x1000_0000;

/// All that a rule without permissions permits.
pub(crate) const ALL: u32 = SEND
    | RECEIVE
    | CREATE
    | SHUTDOWN
    | CONNECT
    | SETATTR
    | GETATTR
    | ACCEPT
    | BIND
    | LISTEN
    | SETOPT
    | GETOPT;
/// Those that need the other side to be looked at. `accept` is checked for the own side too.
pub(super) const ABOUT_PEER: u32 = SEND | RECEIVE | CONNECT | ACCEPT;
/// Those about options of a socket.
pub(super) const OPTIONS: u32 = SETOPT | GETOPT;

/// Their words.
pub(super) const PERMISSIONS: &Permissions = &[
    ("create", CREATE),
    ("bind", BIND),
    ("listen", LISTEN),
    ("accept", ACCEPT),
    ("connect", CONNECT),
    ("shutdown", SHUTDOWN),
    ("getattr", GETATTR),
    ("setattr", SETATTR),
    ("getopt", GETOPT),
    ("setopt", SETOPT),
    ("send", SEND),
    ("write", SEND),
    ("receive", RECEIVE),
    ("read", RECEIVE),
];

/// Bytes between the two addresses of a string, or in front of what an operation is about (`CMD_*` in the kernel's and the
/// parser's af_unix sources).
pub(super) const PEER_FOLLOWS: u8 = 1;
/// The queue's length follows.
pub(super) const LISTEN_FOLLOWS: u8 = 2;
/// Level and name of an option follow.
pub(super) const OPTION_FOLLOWS: u8 = 4;

/// `AF_UNIX`
pub(crate) const UNIX: u8 = 1;
/// `AF_INET`
pub(crate) const INET: u8 = 2;
/// `AF_INET6`
pub(crate) const INET6: u8 = 10;

/// Families in the order of their numbers, from 0 (`AF_*` in Linux's socket.h). 12 has no name.
const FAMILIES: [&str; 46] = [
    "unspec",
    "unix",
    "inet",
    "ax25",
    "ipx",
    "appletalk",
    "netrom",
    "bridge",
    "atmpvc",
    "x25",
    "inet6",
    "rose",
    "",
    "netbeui",
    "security",
    "key",
    "netlink",
    "packet",
    "ash",
    "econet",
    "atmsvc",
    "rds",
    "sna",
    "irda",
    "pppox",
    "wanpipe",
    "llc",
    "ib",
    "mpls",
    "can",
    "tipc",
    "bluetooth",
    "iucv",
    "rxrpc",
    "isdn",
    "phonet",
    "ieee802154",
    "caif",
    "alg",
    "nfc",
    "vsock",
    "kcm",
    "qipcrtr",
    "smc",
    "xdp",
    "mctp",
];

/// Types that each family has in network rules.
const TYPES: &[(&str, u8)] = &[
    ("stream", 1),
    ("dgram", 2),
    ("raw", 3),
    ("rdm", 4),
    ("seqpacket", 5),
    ("packet", 10),
];

/// A family's number.
pub(crate) fn family(name: &[u8]) -> Option<u8> {
    let index = FAMILIES
        .iter()
        .position(|known| !known.is_empty() && known.as_bytes() == name)?;
    u8::try_from(index).ok()
}

/// Every family that the parser knows, by number: those without a name too.
pub(crate) fn families() -> ByteSet {
    let mut all = ByteSet::NONE;
    all.insert_range(0, u8::try_from(FAMILIES.len() - 1).unwrap_or(u8::MAX));
    all
}

/// The families that have names.
pub(super) fn named_families() -> ByteSet {
    let mut named = ByteSet::NONE;
    for number in FAMILIES.iter().filter_map(|name| family(name.as_bytes())) {
        named.insert(number);
    }
    named
}

/// The word for a family's number.
pub(crate) fn family_name(number: u8) -> String {
    FAMILIES
        .get(usize::from(number))
        .filter(|name| !name.is_empty())
        .map_or_else(|| format!("family {number}"), |name| (*name).into())
}

/// The word for a type's number.
pub(crate) fn type_name(number: u8) -> &'static str {
    TYPES
        .iter()
        .find(|(_, known)| *known == number)
        .map_or("", |(name, _)| name)
}

/// A type's number.
pub(crate) fn socket_type(name: &[u8]) -> Option<u8> {
    TYPES
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|&(_, number)| number)
}

/// The types that each family has.
pub(crate) fn socket_types() -> ByteSet {
    let mut all = ByteSet::NONE;
    for &(_, number) in TYPES {
        all.insert(number);
    }
    all
}

/// Two bytes of a number below 256, the high one first.
pub(super) fn number(numbers: ByteSet) -> Pattern {
    Pattern::literal(*b"\0").then(Pattern::Set(numbers))
}

/// A set of one byte.
pub(super) fn only(byte: u8) -> ByteSet {
    ByteSet::of(&[byte])
}

/// The bytes of both sets.
pub(super) fn both(first: ByteSet, second: ByteSet) -> ByteSet {
    let mut both = first;
    for byte in second.iter() {
        both.insert(byte);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_numbers() {
        for (name, number) in [
            ("unspec", Some(0)),
            ("unix", Some(1)),
            ("inet6", Some(10)),
            ("netlink", Some(16)),
            ("vsock", Some(40)),
            ("mctp", Some(45)),
            ("", None),
            ("local", None),
            ("max", None),
        ] {
            assert_eq!(family(name.as_bytes()), number, "{name}");
        }
        assert!(families().contains(12) && !families().contains(46));
        assert!(!named_families().contains(12) && named_families().contains(45));
    }
}
