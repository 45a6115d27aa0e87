//! The letters of file permissions: `rwPux`.

use super::super::{Exec, ExecTarget, Fallback};
use super::file::{APPEND, EXECUTE, LINK, LOCK, MAP, READ, WRITE};

/// What the letters say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileMode {
    /// Bits of one half.
    pub(super) bits: u32,
    /// How programs are run; none for a plain `x`.
    pub(super) exec: Option<Exec>,
}

/// Reads the letters, which the lexer knows to be some of them. The error is the end of a sentence.
///
/// As in the parser upper case is the same as lower case, but for the first letter of `px`, `cx` and `ux`: there lower case
/// keeps the environment.
pub(super) fn read_file_mode(letters: &[u8]) -> Result<FileMode, String> {
    let mut mode = FileMode::default();
    let mut rest = letters;
    while let Some((&letter, tail)) = rest.split_first() {
        rest = tail;
        match letter.to_ascii_lowercase() {
            b'r' => mode.bits |= READ,
            b'w' if mode.bits & (APPEND | WRITE) == APPEND => return Err(WRITE_AND_APPEND.into()),
            b'w' => mode.bits |= WRITE | APPEND,
            b'a' if mode.bits & WRITE != 0 => return Err(WRITE_AND_APPEND.into()),
            b'a' => mode.bits |= APPEND,
            b'l' => mode.bits |= LINK,
            b'k' => mode.bits |= LOCK,
            b'm' => mode.bits |= MAP,
            b'x' => mode.bits |= EXECUTE,
            b'i' | b'u' | b'p' | b'c' => {
                let (exec, length) = exec(letter, tail);
                rest = tail
                    .get(length..)
                    .ok_or("an exec qualifier without its `x`")?;
                qualify(&mut mode, exec)?;
            }
            _ => {
                return Err(format!(
                    "`{}` is not a file permission",
                    char::from(letter).escape_default()
                ));
            }
        }
    }
    Ok(mode)
}

const WRITE_AND_APPEND: &str = "`w` and `a` exclude each other, as `w` includes appending";

/// The exec that a qualifier stands for, and how many letters follow the first.
fn exec(first: u8, tail: &[u8]) -> (Exec, usize) {
    let lower = first.to_ascii_lowercase();
    let second = tail.first().map(u8::to_ascii_lowercase);
    let target = match lower {
        b'i' => ExecTarget::Inherit,
        b'u' => ExecTarget::Unconfined,
        b'p' => ExecTarget::Profile,
        _ => ExecTarget::Child,
    };
    let (fallback, length) = match (lower, second) {
        (b'i', _) => (Fallback::Inherit, 1),
        (b'p' | b'c', Some(b'i')) => (Fallback::Inherit, 2),
        (b'p' | b'c', Some(b'u')) => (Fallback::Unconfined, 2),
        _ => (Fallback::Deny, 1),
    };
    let exec = Exec {
        target,
        keeps_environment: lower != b'i' && first == lower,
        fallback,
    };
    (exec, length)
}

fn qualify(mode: &mut FileMode, exec: Exec) -> Result<(), String> {
    let conflict = match &mode.exec {
        // A plain `x` before `ix` is one with it; before the others it is not.
        None => mode.bits & EXECUTE != 0 && exec.target != ExecTarget::Inherit,
        Some(before) => *before != exec,
    };
    if conflict {
        return Err(
            "a rule runs programs in one way only, and this has two exec qualifiers".into(),
        );
    }
    mode.bits |= EXECUTE;
    mode.exec = Some(exec);
    Ok(())
}
