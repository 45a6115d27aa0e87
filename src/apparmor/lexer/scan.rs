//! How far words reach: lengths of what a slice begins with, 0 when it begins with nothing of the kind.
//!
//! What a word may hold depends on where it stands. All of these are linear in what they take.

/// Spaces and tabs.
pub(super) fn blanks(text: &[u8]) -> usize {
    count(text, |byte| matches!(byte, b' ' | b'\t'))
}

/// A letter, then letters, digits and underscores.
pub(super) fn name(text: &[u8]) -> usize {
    match text.first() {
        Some(byte) if byte.is_ascii_alphabetic() => {
            count(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }
        _ => 0,
    }
}

/// How many bytes in a row are such ones.
pub(super) fn count(text: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| !is_one(byte))
        .unwrap_or(text.len())
}

/// What ends every word that is not quoted, unless a backslash or a comma brings it in.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'"' | b'!' | b',')
}

/// A plain word: a backslash brings in what would end it, and a comma belongs to it unless the word ends right behind.
pub(super) fn word(text: &[u8]) -> usize {
    plain(text, |byte| ends_word(byte) || byte == b'\r')
}

/// A plain word of an include or abi statement.
pub(super) fn path(text: &[u8]) -> usize {
    plain(text, |byte| {
        ends_word(byte) || matches!(byte, b'\r' | b'<' | b'>')
    })
}

fn plain(text: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    // Whether the byte before is a backslash that stands for itself so far.
    let mut escaping = false;
    while let Some(&byte) = text.get(at) {
        if !ends(byte) {
            escaping = byte == b'\\';
            at += 1;
        } else if escaping && matches!(byte, b' ' | b'\t' | b'"' | b'!') {
            escaping = false;
            at += 1;
        } else if byte == b',' {
            match text.get(at + 1) {
                // A backslash that a comma brought in brings in nothing itself, unless the comma was escaped.
                Some(&next) if !ends(next) => {
                    escaping = escaping && next == b'\\';
                    at += 2;
                }
                _ if escaping => {
                    escaping = false;
                    at += 1;
                }
                _ => break,
            }
        } else {
            break;
        }
    }
    at
}

/// A word of a rule with conditions, or a name in the parentheses of `peer=(…)`: it ends at `=` and `)`, and a backslash brings in nothing.
pub(super) fn bare(text: &[u8]) -> usize {
    let inside = |byte| !ends_word(byte) && !matches!(byte, b'=' | b')');
    match text.first() {
        Some(&first) if inside(first) && !matches!(first, b'(' | b'+' | b'&') => {}
        _ => return 0,
    }
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        if inside(byte) {
            at += 1;
        } else if byte == b',' && text.get(at + 1).is_some_and(|&next| inside(next)) {
            at += 2;
        } else {
            break;
        }
    }
    at
}

/// A value in parentheses.
pub(super) fn list_value(text: &[u8]) -> usize {
    let mut at = 0;
    let mut escaping = false;
    while let Some(&byte) = text.get(at) {
        if !ends_word(byte) && !matches!(byte, b'(' | b')') {
            escaping = byte == b'\\';
        } else if escaping && byte != b'\n' {
            escaping = false;
        } else {
            break;
        }
        at += 1;
    }
    at
}

/// An identity.
pub(super) fn identity(text: &[u8]) -> usize {
    count(text, |byte| {
        !ends_word(byte) && !matches!(byte, b'\r' | b'{' | b'}' | b'\\' | b'=')
    })
}

/// A quoted word with its quotes. One that ends in `\"` ends there only when no other quote follows.
pub(super) fn quoted(text: &[u8]) -> usize {
    if text.first() != Some(&b'"') {
        return 0;
    }
    let mut end = 0;
    let mut escaping = false;
    for (&byte, after) in text.iter().zip(1..).skip(1) {
        match byte {
            b'"' if escaping => end = after,
            b'"' => return after,
            0 => break,
            _ => {}
        }
        escaping = byte == b'\\';
    }
    end
}

/// A quoted word that is a path, label or pattern.
pub(super) fn quoted_label(text: &[u8]) -> usize {
    match text {
        [b'"', b'/' | b'@' | b':' | b'&', ..] => quoted(text),
        _ => 0,
    }
}

/// `@{NAME}` or `@NAME`, and the same with `$`.
pub(super) fn variable(text: &[u8]) -> usize {
    match text {
        [b'@' | b'$', b'{', rest @ ..] => match name(rest) {
            0 => 0,
            length if rest.get(length) == Some(&b'}') => length + 3,
            _ => 0,
        },
        [b'@' | b'$', rest @ ..] => match name(rest) {
            0 => 0,
            length => length + 1,
        },
        _ => 0,
    }
}

/// A path or label: what begins with `/`, a variable, `:` or `&`.
pub(super) fn label(text: &[u8]) -> usize {
    let rest_of = |length: usize| length + word_rest(text, length);
    match text {
        [b'/' | b'&', ..] => rest_of(1),
        [b':', next, ..] if *next != b'=' => rest_of(2),
        [b'@', ..] => {
            let variable = variable(text);
            if variable == 0 {
                return 0;
            }
            // The last letter of a name without braces counts as what follows a shorter name.
            if variable > 2 && text.get(1) != Some(&b'{') {
                return rest_of(variable);
            }
            match after_variable(text.get(variable..).unwrap_or_default()) {
                0 => 0,
                length => rest_of(variable + length),
            }
        }
        _ => 0,
    }
}

/// The rest of a word behind so many bytes of it.
fn word_rest(text: &[u8], length: usize) -> usize {
    let rest = text.get(length..).unwrap_or_default();
    word(rest)
}

/// What must follow a variable for it to be part of a longer word, not the left side of an assignment.
fn after_variable(text: &[u8]) -> usize {
    let follows = |byte: u8| {
        !matches!(
            byte,
            b' ' | b'\t' | b'\n' | b'"' | b'!' | b',' | b'=' | b'+' | b'?'
        )
    };
    match text {
        [b'\\', b' ' | b'\t' | b'"' | b'!' | b',', ..] => 2,
        [b',', next, ..] if follows(*next) => 2,
        [first, b'?', ..] if !ends_word(*first) && !matches!(first, b'=' | b'+') => 2,
        [first, ..] if follows(*first) => 1,
        _ => 0,
    }
}

/// Letters of file permissions, the whole slice.
pub(super) fn is_permissions(mut word: &[u8]) -> bool {
    loop {
        let length = match word {
            [] => return true,
            [b'P' | b'p' | b'C' | b'c', rest @ ..] => 1 + executes(rest).max(executes_by(rest)),
            [b'I' | b'i' | b'U' | b'u', ..] => executes_by(word),
            [
                b'R' | b'r' | b'W' | b'w' | b'a' | b'L' | b'l' | b'M' | b'm' | b'k',
                ..,
            ] => 1,
            _ => executes(word),
        };
        // A `p` or `c` with nothing to run.
        if length == 0 || (length == 1 && matches!(word, [b'P' | b'p' | b'C' | b'c', ..])) {
            return false;
        }
        word = word.get(length..).unwrap_or_default();
    }
}

/// `x`
fn executes(word: &[u8]) -> usize {
    usize::from(matches!(word, [b'X' | b'x', ..]))
}

/// `ix` or `ux`
fn executes_by(word: &[u8]) -> usize {
    match word {
        [b'I' | b'i' | b'U' | b'u', b'X' | b'x', ..] => 2,
        _ => 0,
    }
}

/// `if exists` behind blanks, with a blank behind.
pub(super) fn if_exists(text: &[u8]) -> usize {
    let Some(condition) = text.get(blanks(text)..) else {
        return 0;
    };
    let Some(rest) = condition.strip_prefix(b"if") else {
        return 0;
    };
    let gap = blanks(rest);
    let ends_well = rest
        .get(gap..)
        .and_then(|rest| rest.strip_prefix(b"exists"))
        .is_some_and(|rest| blanks(rest) > 0);
    if gap > 0 && ends_well && condition.len() < text.len() {
        text.len() - rest.len() + gap + b"exists".len()
    } else {
        0
    }
}

/// What may follow permission letters.
pub(super) fn is_space_or_comma(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b',')
}

#[cfg(test)]
mod tests {
    use super::{bare, if_exists, is_permissions, label, list_value, quoted, word};

    fn taken(scan: fn(&[u8]) -> usize, text: &str) -> &str {
        text.get(..scan(text.as_bytes())).unwrap_or_default()
    }

    #[test]
    fn commas_and_escapes_belong_to_words() {
        for (text, expected) in [
            ("/a,b c", "/a,b"),
            ("/a, c", "/a"),
            ("/a,\n", "/a"),
            (r"/a\ b c", r"/a\ b"),
            (r"a\\ b", r"a\\ b"),
            (r"a\, b", r"a\,"),
            (r"a,\ b", r"a,\"),
            (r"a\,\ b c", r"a\,\ b"),
            ("a\"b\"", "a"),
            (",a", ",a"),
            (", a", ""),
            ("a\rb", "a"),
        ] {
            assert_eq!(taken(word, text), expected, "{text}");
        }
    }

    #[test]
    fn other_words_end_elsewhere() {
        assert_eq!(taken(bare, "a,b=c"), "a,b");
        assert_eq!(taken(bare, r"a\ b"), r"a\");
        assert_eq!(taken(bare, "(a"), "");
        assert_eq!(taken(list_value, r"a\)b,c"), r"a\)b");
        assert_eq!(taken(quoted, r#""a\"b" "c""#), r#""a\"b""#);
        assert_eq!(taken(quoted, r#""a\" b"#), r#""a\""#);
        assert_eq!(taken(quoted, "\"a"), "");
        assert_eq!(taken(quoted, "\"\" \""), "\"\"");
        assert_eq!(taken(label, "@{A}b=c d"), "@{A}b=c");
        assert_eq!(taken(label, "@{A}=b"), "");
        assert_eq!(taken(label, "@{A} b"), "");
        assert_eq!(taken(label, "@A=b"), "");
        assert_eq!(taken(label, "@AB=b"), "@AB=b");
        assert_eq!(taken(label, "@{A}:=b"), "@{A}:=b");
        assert_eq!(taken(label, ":=b"), "");
        assert_eq!(taken(if_exists, " if exists <a>"), " if exists");
        assert_eq!(taken(if_exists, "if exists <a>"), "");
        assert_eq!(taken(if_exists, " if exists\n"), "");
    }

    #[test]
    fn permission_letters_come_in_groups() {
        for word in ["r", "rwPux", "x", "ixr", "lkm", "RWLMX", "cuxpix"] {
            assert!(is_permissions(word.as_bytes()), "{word}");
        }
        for word in ["p", "i", "pr", "A", "K", "rp", "piix", "u"] {
            assert!(!is_permissions(word.as_bytes()), "{word}");
        }
    }
}
