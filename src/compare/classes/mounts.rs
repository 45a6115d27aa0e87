//! Mounts, umounts, and changes of the root.

use crate::apparmor::model::{Class, rules::mount};
use crate::apparmor::pattern::ByteSet;

use super::super::domain::Field;
use super::{Kind, Query, text};

const MOUNT: Kind = Kind {
    name: "mount",
    class: Class::Mount,
    mediated: |features| features.mount,
    describe: |string, _| mounted(string),
};

const UMOUNT: Kind = Kind {
    name: "umount",
    class: Class::Mount,
    mediated: |features| features.mount,
    describe: |string, _| text(string),
};

const PIVOT_ROOT: Kind = Kind {
    name: "pivot_root",
    class: Class::Mount,
    mediated: |features| features.mount,
    describe: |string, _| {
        let mut parts = string.split(|&byte| byte == 0).map(text);
        let root = parts.next().unwrap_or_default();
        format!("{root} (old root {})", parts.next().unwrap_or_default())
    },
};

/// All questions.
pub(super) const QUERIES: &[Query] = &[
    MOUNT.query(
        || {
            mounting(
                &[Field::Byte(ByteSet::NOT_NUL), Field::Text],
                Field::Ascending(MOUNT_FLAGS),
            )
        },
        &[(mount::MOUNT, "mount")],
    ),
    MOUNT.query(
        || mounting(&[], Field::OneOf(vec![b"\x0d".to_vec()])),
        &[(mount::MOUNT, "bind")],
    ),
    MOUNT.query(
        || mounting(&[], Field::OneOf(vec![b"\x0d\x0f".to_vec()])),
        &[(mount::MOUNT, "rbind")],
    ),
    MOUNT.query(
        || mounting(&[], Field::OneOf(vec![b"\x0e".to_vec()])),
        &[(mount::MOUNT, "move")],
    ),
    MOUNT.query(
        || {
            vec![
                Field::Path,
                Field::Literal(b"\0\0\0"),
                Field::OneOf(propagation()),
            ]
        },
        &[(mount::MOUNT, "change propagation of")],
    ),
    MOUNT.query(
        || {
            vec![
                Field::Path,
                Field::Literal(b"\0\0\0"),
                Field::Ascending(FLAGS_BEFORE_REMOUNT),
                Field::Literal(b"\x06"),
                Field::Ascending(FLAGS_AFTER_REMOUNT),
            ]
        },
        &[(mount::MOUNT, "remount")],
    ),
    UMOUNT.query(|| vec![Field::Path], &[(mount::UMOUNT, "umount")]),
    PIVOT_ROOT.query(
        || vec![Field::Path, Field::Literal(b"\0"), Field::Path],
        &[(mount::PIVOT_ROOT, "pivot_root")],
    ),
];

/// Flags of new mounts, each as the byte one above its bit: all but those that make it another operation.
const MOUNT_FLAGS: ByteSet =
    ByteSet::of(&[1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 22, 24, 25, 26]);

const FLAGS_BEFORE_REMOUNT: ByteSet = ByteSet::of(&[1, 2, 3, 4, 5]);

/// Among them that of bind: `mount -o remount,bind,ro` changes one mount only.
const FLAGS_AFTER_REMOUNT: ByteSet = ByteSet::of(&[7, 8, 9, 11, 12, 13, 16, 17, 22, 24, 25, 26]);

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
