//! What a shell does itself: names that start no program.
//!
//! A builtin hides a program of the same name, so a name on the wrong list would make a program vanish from the whitelist: each
//! shell has its own list (bash 5.2: `compgen -b`; dash 0.5.12 and busybox 1.36 ash: their manuals and `type NAME`).

/// Which shell reads a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dialect {
    /// bash
    Bash,
    /// busybox ash
    Busybox,
    /// ksh and its like
    Korn,
    /// dash, and what is not known better: POSIX and little else
    Posix,
}

impl Dialect {
    /// The shell of a program, by the name of its file. None for what is no shell that can be read.
    pub(crate) fn of(file_name: &[u8]) -> Option<Self> {
        Some(match file_name {
            b"bash" | b"rbash" => Self::Bash,
            b"busybox" | b"ash" => Self::Busybox,
            b"ksh" | b"ksh93" | b"mksh" | b"lksh" | b"yash" => Self::Korn,
            b"dash" | b"sh" | b"posh" => Self::Posix,
            _ => return None,
        })
    }

    /// Whether a name is a builtin.
    pub(crate) fn has(self, name: &str) -> bool {
        COMMON.contains(&name)
            || match self {
                Self::Bash => BASH.contains(&name),
                Self::Busybox => BUSYBOX.contains(&name),
                // Those of ksh know what dash does; what each of them knows beyond starts no programs.
                Self::Korn | Self::Posix => DASH.contains(&name),
            }
    }
}

/// POSIX special builtins, and what bash, dash and ash share beyond.
const COMMON: &[&str] = &[
    ".", ":", "[", "alias", "bg", "break", "cd", "command", "continue", "echo", "eval", "exec",
    "exit", "export", "false", "fg", "getopts", "hash", "jobs", "kill", "local", "printf", "pwd",
    "read", "readonly", "return", "set", "shift", "test", "times", "trap", "true", "type",
    "ulimit", "umask", "unalias", "unset", "wait",
];

const BASH: &[&str] = &[
    "bind",
    "builtin",
    "caller",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "fc",
    "help",
    "history",
    "let",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "readarray",
    "shopt",
    "source",
    "suspend",
    "typeset",
];

const BUSYBOX: &[&str] = &["[[", "chdir", "help", "history", "let", "source"];

const DASH: &[&str] = &["chdir", "fc"];

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn each_shell_has_its_own() {
        for (name, bash, busybox, posix) in [
            ("source", true, true, false),
            ("mapfile", true, false, false),
            ("echo", true, true, true),
            ("time", false, false, false),
            ("which", false, false, false),
            ("declare", true, false, false),
            ("env", false, false, false),
            ("chdir", false, true, true),
        ] {
            assert_eq!(Dialect::Bash.has(name), bash, "{name}");
            assert_eq!(Dialect::Busybox.has(name), busybox, "{name}");
            assert_eq!(Dialect::Posix.has(name), posix, "{name}");
        }
    }
}
