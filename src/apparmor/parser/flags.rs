//! A profile's flags: their names, and which exclude each other.

use super::{Parsed, Parser, TokenKind, recovery::shown};
use crate::apparmor::{ast::Word, quoting::decode, source::Located};

/// Flags of which a profile has one at most.
const MODES: [&str; 6] = [
    "complain",
    "default_allow",
    "enforce",
    "kill",
    "prompt",
    "unconfined",
];

/// Flags that exclude each other, with what their names may go on with.
const OPPOSITES: [[&str; 2]; 4] = [
    ["attach_disconnected", "no_attach_disconnected"],
    ["chroot_attach", "chroot_no_attach"],
    ["chroot_relative", "namespace_relative"],
    ["delegate_deleted", "mediate_deleted"],
];

/// Flags that go with all others.
const OTHERS: [&str; 3] = ["audit", "debug", "interruptible"];

/// Flags with a value, which cannot be given twice with different ones.
const VALUED: [&str; 4] = [
    "attach_disconnected.ipc=",
    "attach_disconnected.path=",
    "error=",
    "kill.signal=",
];

impl Parser<'_> {
    /// `flags=( … )`, `( … )`, or nothing.
    pub(super) fn flags(&mut self) -> Parsed<Vec<Word>> {
        if self.skip(TokenKind::Flags) {
            self.expect(TokenKind::Equals, "`=`")?;
        } else if self.token.kind != TokenKind::OpenParenthesis {
            return Ok(Vec::new());
        }
        let flags = self.list()?;
        self.check_flags(&flags);
        Ok(flags)
    }

    fn check_flags(&mut self, flags: &[Word]) {
        let mut seen: Vec<Located<Vec<u8>>> = Vec::new();
        for flag in flags {
            let text = decode(&flag.value).into_owned();
            if let Some((message, help)) = fault(&text) {
                let message = format!("{message} `{}`", shown(&text));
                let _ = self.error("invalid-flag", flag.span, message, help);
                continue;
            }
            if seen.iter().any(|earlier| earlier.value == text) {
                continue;
            }
            if let Some(earlier) = seen.iter().find(|earlier| exclude(&earlier.value, &text)) {
                let message = format!(
                    "`{}` and `{}` exclude each other",
                    shown(&earlier.value),
                    shown(&text)
                );
                let _ = self.error(
                    "conflicting-flags",
                    flag.span,
                    message,
                    "remove one of them",
                );
            }
            seen.push(Located {
                value: text,
                span: flag.span,
            });
        }
    }
}

/// What is wrong with a flag, and what to do about it.
fn fault(flag: &[u8]) -> Option<(&'static str, &'static str)> {
    let is = |name: &&str| name.as_bytes() == flag;
    if let Some(signal) = flag.strip_prefix(b"kill.signal=") {
        return (!is_signal(signal)).then_some((
            "no signal is named so:",
            "name it in lower case and without `sig`, such as `kill.signal=term`",
        ));
    }
    if let Some(error) = flag.strip_prefix(b"error=") {
        return (!is_error(error)).then_some((
            "no error is named so:",
            "use a name of errno(3), such as `error=EPERM`",
        ));
    }
    let path = flag.strip_prefix(b"attach_disconnected.path=");
    if let Some(path) = path.or_else(|| flag.strip_prefix(b"attach_disconnected.ipc=")) {
        return (!path.starts_with(b"/") && !path.starts_with(b"@{")).then_some((
            "the path is not a whole one:",
            "begin it with `/`, as in `attach_disconnected.path=/mnt`",
        ));
    }
    let known = MODES.iter().any(is)
        || OTHERS.iter().any(is)
        || OPPOSITES.iter().flatten().any(is)
        || flag == b"attach_disconnected.ipc"
        || VALUED.iter().any(|name| flag.starts_with(name.as_bytes()));
    (!known).then_some(("no flag is named so:", "see apparmor.d(5) for the flags"))
}

/// Whether two different flags exclude each other.
fn exclude(left: &[u8], right: &[u8]) -> bool {
    let is_mode = |flag: &[u8]| MODES.iter().any(|mode| mode.as_bytes() == flag);
    // Flags with a part of their own imply the one they begin with.
    let base = |flag: &[u8]| {
        let end = flag.iter().position(|&byte| byte == b'.');
        flag.get(..end.unwrap_or(flag.len()))
            .unwrap_or(flag)
            .to_vec()
    };
    let (base_left, base_right) = (base(left), base(right));
    let opposite = OPPOSITES.iter().any(|[one, other]| {
        let [one, other] = [one, other].map(|name| name.as_bytes());
        (base_left == one && base_right == other) || (base_left == other && base_right == one)
    });
    let valued = VALUED.iter().any(|name| {
        left.starts_with(name.as_bytes())
            && right.starts_with(name.as_bytes())
            && !left.eq_ignore_ascii_case(right)
    });
    (is_mode(left) && is_mode(right)) || opposite || valued
}

fn is_signal(name: &[u8]) -> bool {
    match name.strip_prefix(b"rtmin+") {
        Some(number) => {
            let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0_u32, |number, digit| {
                number
                    .saturating_mul(10)
                    .saturating_add(u32::from(digit - b'0'))
            });
            number <= 32
        }
        None => SIGNALS.iter().any(|signal| signal.as_bytes() == name),
    }
}

fn is_error(name: &[u8]) -> bool {
    ERRORS
        .iter()
        .any(|error| error.as_bytes().eq_ignore_ascii_case(name))
}

const SIGNALS: [&str; 33] = [
    "hup", "int", "quit", "ill", "trap", "abrt", "bus", "fpe", "kill", "usr1", "segv", "usr2",
    "pipe", "alrm", "term", "stkflt", "chld", "cont", "stop", "stp", "ttin", "ttou", "urg", "xcpu",
    "xfsz", "vtalrm", "prof", "winch", "io", "pwr", "sys", "emt", "exists",
];

/// The names of errno(3) on Linux.
const ERRORS: [&str; 134] = [
    "E2BIG",
    "EACCES",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "EADV",
    "EAFNOSUPPORT",
    "EAGAIN",
    "EALREADY",
    "EBADE",
    "EBADF",
    "EBADFD",
    "EBADMSG",
    "EBADR",
    "EBADRQC",
    "EBADSLT",
    "EBFONT",
    "EBUSY",
    "ECANCELED",
    "ECHILD",
    "ECHRNG",
    "ECOMM",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EDEADLK",
    "EDEADLOCK",
    "EDESTADDRREQ",
    "EDOM",
    "EDOTDOT",
    "EDQUOT",
    "EEXIST",
    "EFAULT",
    "EFBIG",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EHWPOISON",
    "EIDRM",
    "EILSEQ",
    "EINPROGRESS",
    "EINTR",
    "EINVAL",
    "EIO",
    "EISCONN",
    "EISDIR",
    "EISNAM",
    "EKEYEXPIRED",
    "EKEYREJECTED",
    "EKEYREVOKED",
    "EL2HLT",
    "EL2NSYNC",
    "EL3HLT",
    "EL3RST",
    "ELIBACC",
    "ELIBBAD",
    "ELIBEXEC",
    "ELIBMAX",
    "ELIBSCN",
    "ELNRNG",
    "ELOOP",
    "EMEDIUMTYPE",
    "EMFILE",
    "EMLINK",
    "EMSGSIZE",
    "EMULTIHOP",
    "ENAMETOOLONG",
    "ENAVAIL",
    "ENETDOWN",
    "ENETRESET",
    "ENETUNREACH",
    "ENFILE",
    "ENOANO",
    "ENOBUFS",
    "ENOCSI",
    "ENODATA",
    "ENODEV",
    "ENOENT",
    "ENOEXEC",
    "ENOKEY",
    "ENOLCK",
    "ENOLINK",
    "ENOMEDIUM",
    "ENOMEM",
    "ENOMSG",
    "ENONET",
    "ENOPKG",
    "ENOPROTOOPT",
    "ENOSPC",
    "ENOSR",
    "ENOSTR",
    "ENOSYS",
    "ENOTBLK",
    "ENOTCONN",
    "ENOTDIR",
    "ENOTEMPTY",
    "ENOTNAM",
    "ENOTRECOVERABLE",
    "ENOTSOCK",
    "ENOTSUP",
    "ENOTTY",
    "ENOTUNIQ",
    "ENXIO",
    "EOPNOTSUPP",
    "EOVERFLOW",
    "EOWNERDEAD",
    "EPERM",
    "EPFNOSUPPORT",
    "EPIPE",
    "EPROTO",
    "EPROTONOSUPPORT",
    "EPROTOTYPE",
    "ERANGE",
    "EREMCHG",
    "EREMOTE",
    "EREMOTEIO",
    "ERESTART",
    "ERFKILL",
    "EROFS",
    "ESHUTDOWN",
    "ESOCKTNOSUPPORT",
    "ESPIPE",
    "ESRCH",
    "ESRMNT",
    "ESTALE",
    "ESTRPIPE",
    "ETIME",
    "ETIMEDOUT",
    "ETOOMANYREFS",
    "ETXTBSY",
    "EUCLEAN",
    "EUNATCH",
    "EUSERS",
    "EWOULDBLOCK",
    "EXDEV",
    "EXFULL",
];
