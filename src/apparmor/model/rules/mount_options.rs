//! Options of mounts: their words, their flags, and the operations that a set of flags means.
//!
//! Flags are those of mount(2); some words only say that a flag is not to be set, and make a difference in nothing but that
//! they contradict the others.

use super::super::super::pattern::Pattern;

const RDONLY: u32 = 1;
const NOSUID: u32 = 1 << 1;
const NODEV: u32 = 1 << 2;
const NOEXEC: u32 = 1 << 3;
const SYNCHRONOUS: u32 = 1 << 4;
const REMOUNT: u32 = 1 << 5;
const MANDLOCK: u32 = 1 << 6;
const DIRSYNC: u32 = 1 << 7;
const NOSYMFOLLOW: u32 = 1 << 8;
const NOATIME: u32 = 1 << 10;
const NODIRATIME: u32 = 1 << 11;
const BIND: u32 = 1 << 12;
const MOVE: u32 = 1 << 13;
const REC: u32 = 1 << 14;
const SILENT: u32 = 1 << 15;
const ACL: u32 = 1 << 16;
const UNBINDABLE: u32 = 1 << 17;
const PRIVATE: u32 = 1 << 18;
const SLAVE: u32 = 1 << 19;
const SHARED: u32 = 1 << 20;
const RELATIME: u32 = 1 << 21;
const IVERSION: u32 = 1 << 23;
const STRICTATIME: u32 = 1 << 24;
const LAZYTIME: u32 = 1 << 25;
const NOUSER: u32 = 1 << 31;

/// All flags that the parser knows, but for `nouser`.
const ALL: u32 = RDONLY
    | NOSUID
    | NODEV
    | NOEXEC
    | SYNCHRONOUS
    | REMOUNT
    | MANDLOCK
    | DIRSYNC
    | NOSYMFOLLOW
    | NOATIME
    | NODIRATIME
    | BIND
    | MOVE
    | REC
    | SILENT
    | ACL
    | PROPAGATION
    | RELATIME
    | IVERSION
    | STRICTATIME
    | LAZYTIME;
/// How mounts spread, without [`REC`].
const PROPAGATION: u32 = UNBINDABLE | PRIVATE | SLAVE | SHARED;
/// Flags that make an operation another one than a new mount.
const COMMANDS: u32 = MOVE | REMOUNT | BIND | REC | PROPAGATION;
/// Flags of a mount rather than of its file system, which the parser does not let through when the way it spreads changes.
const PER_MOUNT: u32 = NOSUID | NODEV | NOEXEC | NOATIME | NODIRATIME | RELATIME | STRICTATIME;

/// Words, the flags they set, and those they clear.
const WORDS: &[(&str, u32, u32)] = &[
    ("B", BIND, 0),
    ("M", MOVE, 0),
    ("R", BIND | REC, 0),
    ("acl", ACL, 0),
    ("async", 0, SYNCHRONOUS),
    ("atime", 0, NOATIME),
    ("bind", BIND, 0),
    ("dev", 0, NODEV),
    ("diratime", 0, NODIRATIME),
    ("dirsync", DIRSYNC, 0),
    ("exec", 0, NOEXEC),
    ("iversion", IVERSION, 0),
    ("lazytime", LAZYTIME, 0),
    ("loud", 0, SILENT),
    ("make-private", PRIVATE, 0),
    ("make-rprivate", PRIVATE | REC, 0),
    ("make-rshared", SHARED | REC, 0),
    ("make-rslave", SLAVE | REC, 0),
    ("make-runbindable", UNBINDABLE | REC, 0),
    ("make-shared", SHARED, 0),
    ("make-slave", SLAVE, 0),
    ("make-unbindable", UNBINDABLE, 0),
    ("mand", MANDLOCK, 0),
    ("move", MOVE, 0),
    ("noacl", 0, ACL),
    ("noatime", NOATIME, 0),
    ("nodev", NODEV, 0),
    ("nodiratime", NODIRATIME, 0),
    ("noexec", NOEXEC, 0),
    ("noiversion", 0, IVERSION),
    ("nolazytime", 0, LAZYTIME),
    ("nomand", 0, MANDLOCK),
    ("norelatime", 0, RELATIME),
    ("nostrictatime", 0, STRICTATIME),
    ("nosuid", NOSUID, 0),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("nouser", NOUSER, 0),
    ("private", PRIVATE, 0),
    ("r", RDONLY, 0),
    ("rbind", BIND | REC, 0),
    ("read-only", RDONLY, 0),
    ("relatime", RELATIME, 0),
    ("remount", REMOUNT, 0),
    ("ro", RDONLY, 0),
    ("rprivate", PRIVATE | REC, 0),
    ("rshared", SHARED | REC, 0),
    ("rslave", SLAVE | REC, 0),
    ("runbindable", UNBINDABLE | REC, 0),
    ("rw", 0, RDONLY),
    ("shared", SHARED, 0),
    ("silent", SILENT, 0),
    ("slave", SLAVE, 0),
    ("strictatime", STRICTATIME, 0),
    ("suid", 0, NOSUID),
    ("symfollow", 0, NOSYMFOLLOW),
    ("sync", SYNCHRONOUS, 0),
    ("unbindable", UNBINDABLE, 0),
    ("user", 0, NOUSER),
    ("verbose", SILENT, 0),
    ("w", 0, RDONLY),
];

/// The flags of a word: those it sets, and those it clears.
pub(super) fn word(word: &[u8]) -> Option<(u32, u32)> {
    WORDS
        .iter()
        .find(|(known, _, _)| known.as_bytes() == word)
        .map(|&(_, set, clear)| (set, clear))
}

/// Flags that an operation must have, and those that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    required: u32,
    optional: u32,
}

/// What the options of a rule say.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// Those of each `options=(…)`.
    pub(super) exact: Vec<u32>,
    /// Those of each `options in (…)`.
    pub(super) within: Vec<u32>,
}

impl Options {
    /// Each combination of what the conditions say. Without any, all flags are free; a remount has its own flag.
    pub(super) fn flags(mut self, remount: bool) -> Vec<Flags> {
        let own = if remount { REMOUNT } else { 0 };
        for flags in &mut self.exact {
            *flags |= own;
        }
        match (self.exact.is_empty(), self.within.is_empty()) {
            (true, true) if remount => {
                self.exact.push(REMOUNT);
                self.within.push(ALL & !MOVE & !REMOUNT);
            }
            (true, true) => {
                self.exact.push(ALL);
                self.within.push(ALL);
            }
            (true, false) => self.exact.push(own),
            (false, true) => self.within.push(0),
            (false, false) => {}
        }
        let within = &self.within;
        self.exact
            .iter()
            .flat_map(|&required| {
                within
                    .iter()
                    .map(move |&optional| Flags { required, optional })
            })
            .collect()
    }
}

/// What a mount does, as the kernel tells apart (`path_mount` in fs/namespace.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Bind,
    ChangeType,
    Move,
    New,
    Remount,
}

/// What else a rule says: operations that do not fit it are none of its.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// The source.
    pub(super) source: bool,
    /// The mount point.
    pub(super) target: bool,
    /// `fstype=`
    pub(super) types: bool,
}

impl Flags {
    /// What a rule with these flags is about. Without flags, or without options at all, it is about all operations; with
    /// some, about the first that fits.
    pub(super) fn operations(self, shape: Shape) -> Vec<Operation> {
        let Self { required, optional } = self;
        let Shape {
            source,
            target,
            types,
        } = shape;
        let one_place = (!source || !target) && !types;
        if required == 0 || required == ALL {
            return [
                (Operation::Remount, !source && !types),
                (Operation::Bind, !types),
                (Operation::ChangeType, one_place),
                (Operation::Move, !types),
                (Operation::New, true),
            ]
            .into_iter()
            .filter_map(|(operation, fits)| fits.then_some(operation))
            .collect();
        }
        let operation = if required & REMOUNT != 0 && !source && !types {
            Operation::Remount
        } else if required & BIND != 0 && !types {
            Operation::Bind
        } else if required & (PROPAGATION | REC) != 0 && one_place {
            Operation::ChangeType
        } else if required & MOVE != 0 && !types {
            Operation::Move
        } else if (required | optional) & !COMMANDS != 0 {
            Operation::New
        } else {
            return Vec::new();
        };
        vec![operation]
    }

    /// The bytes of these flags, without those that the operation has no use for: bit 0 is 1, bit 1 is 2, in ascending order
    /// (`match_mnt_flags` in security/apparmor/mount.c).
    pub(super) fn pattern(self, operation: Operation) -> Pattern {
        let mask = match operation {
            Operation::Bind => BIND | REC,
            Operation::ChangeType => ALL & !PER_MOUNT,
            Operation::Move => MOVE,
            Operation::New => ALL & !COMMANDS,
            Operation::Remount => ALL & !MOVE,
        };
        (0..u8::MAX)
            .take(32)
            .filter_map(|bit| {
                let flag = mask & 1 << bit;
                let byte = Pattern::literal([bit + 1]);
                if flag & self.optional != 0 {
                    Some(byte.optional())
                } else if flag & self.required != 0 {
                    Some(byte)
                } else {
                    None
                }
            })
            .fold(Pattern::empty(), Pattern::then)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::testing::matches;
    use super::*;

    fn flags(exact: &[&str], within: &[&str]) -> Flags {
        let all = |words: &[&str]| {
            words
                .iter()
                .fold(0, |bits, name| bits | word(name.as_bytes()).unwrap().0)
        };
        Flags {
            required: all(exact),
            optional: all(within),
        }
    }

    #[test]
    fn words_are_sorted_and_known() {
        assert!(WORDS.is_sorted_by_key(|&(name, _, _)| name));
        assert_eq!(word(b"rw"), Some((0, RDONLY)));
        assert_eq!(word(b"rbind"), Some((BIND | REC, 0)));
        assert_eq!(word(b"defaults"), None);
    }

    #[test]
    fn flags_choose_the_operation() {
        let place = Shape {
            source: true,
            target: true,
            types: false,
        };
        let target = Shape {
            source: false,
            ..place
        };
        let typed = Shape {
            types: true,
            ..place
        };
        for (words, shape, expected) in [
            (&["ro", "bind"][..], place, vec![Operation::Bind]),
            (&["remount"], target, vec![Operation::Remount]),
            (&["remount"], place, vec![]),
            (&["private"], target, vec![Operation::ChangeType]),
            (&["private"], place, vec![]),
            (&["move"], place, vec![Operation::Move]),
            (&["ro"], typed, vec![Operation::New]),
            (&["bind"], typed, vec![]),
            (&["rw"], typed, vec![Operation::New]),
            (
                &["rw"],
                place,
                vec![Operation::Bind, Operation::Move, Operation::New],
            ),
        ] {
            assert_eq!(flags(words, &[]).operations(shape), expected, "{words:?}");
        }
    }

    #[test]
    fn flags_are_bytes_in_order() {
        let ro = flags(&["ro"], &["nodev", "bind"]);
        let pattern = ro.pattern(Operation::New);
        assert!(matches(&pattern, b"\x01") && matches(&pattern, b"\x01\x03"));
        assert!(
            !matches(&pattern, b"")
                && !matches(&pattern, b"\x03\x01")
                && !matches(&pattern, b"\x01\x0d")
        );
        assert!(matches(
            &flags(&["ro", "bind"], &[]).pattern(Operation::Bind),
            b"\x0d"
        ));
        assert!(matches(&flags(&["rw"], &[]).pattern(Operation::New), b""));
    }

    #[test]
    fn missing_options_leave_flags_free() {
        let free = Options::default().flags(false);
        assert!(
            free.iter()
                .all(|flags| flags.pattern(Operation::New) == flags.pattern(Operation::New))
        );
        assert_eq!(free.len(), 1);
        let remount = Options::default().flags(true);
        assert_eq!(remount[0].required, REMOUNT);
        let two = Options {
            exact: vec![RDONLY, NODEV],
            within: vec![NOEXEC],
        };
        assert_eq!(two.flags(false).len(), 2);
    }
}
