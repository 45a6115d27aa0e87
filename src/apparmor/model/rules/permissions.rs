//! Words for permissions, of rules about other things than files.
//!
//! They are looked up as written, without variables: the parser reads them before it knows any.

use super::super::super::ast::Word;
use super::super::super::diagnostic::Diagnostic;
use super::super::lowering::Lowering;
use super::conditions;

/// A permission's words, and its bit.
pub(super) type Permissions = [(&'static str, u32)];

/// The bits of a rule's permissions; none at all when it names none, which means all of them.
///
/// Words other than those of the class may be made of `r` and `w`, as `rw`, in either case (`parse_X_perms`).
pub(super) fn read(
    cx: &mut Lowering<'_>,
    rule: &str,
    words: &[Word],
    known: &Permissions,
) -> Option<u32> {
    let mut bits = Some(0);
    for word in words {
        let text = cx.decoded(word);
        let found = bit(known, &text).or_else(|| letters(known, &text));
        if found.is_none() {
            let names: Vec<_> = known.iter().map(|&(name, _)| name).collect();
            cx.report(
                Diagnostic::error(
                    "unknown-permission",
                    word.span,
                    format!(
                        "`{}` is no permission of {rule} rules",
                        conditions::shown(&text)
                    ),
                )
                .help(format!("there are {}", names.join(", "))),
            );
        }
        bits = bits.zip(found).map(|(bits, bit)| bits | bit);
    }
    bits
}

fn bit(known: &Permissions, text: &[u8]) -> Option<u32> {
    known
        .iter()
        .find(|(name, _)| name.as_bytes() == text)
        .map(|&(_, bit)| bit)
}

fn letters(known: &Permissions, text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |bits, letter| {
        let name: &[u8] = match letter.to_ascii_lowercase() {
            b'r' => b"read",
            b'w' => b"write",
            _ => return None,
        };
        Some(bits | bit(known, name)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &Permissions = &[("send", 2), ("write", 2), ("receive", 4), ("read", 4)];

    #[test]
    fn permission_words_may_be_letters() {
        for (word, bits) in [
            ("send", Some(2)),
            ("read", Some(4)),
            ("rw", Some(6)),
            ("WrR", Some(6)),
            ("", Some(0)),
            ("rx", None),
            ("Send", None),
        ] {
            let text = word.as_bytes();
            assert_eq!(
                bit(KNOWN, text).or_else(|| letters(KNOWN, text)),
                bits,
                "{word}"
            );
        }
    }
}
