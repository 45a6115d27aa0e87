//! Words as written, and what they stand for.
//!
//! A word may be quoted, and may hold escapes. Some escapes are for the pattern that the word may be: a backslash stays in
//! front of what would otherwise be a wildcard, so [`decode`]d words are patterns, and [`quote`] makes a word of one.

use std::borrow::Cow;

/// What must stay escaped, because a pattern would take it for something else.
const SPECIAL: &[u8] = b"*?[]{}^,\\";

/// What a word stands for: without its quotes, escapes replaced.
///
/// A backslash stays in front of what is special in patterns, unknown escapes stay as they are, and so does an encoded
/// NUL, which no path can hold.
#[must_use]
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    let inner = match raw {
        [b'"', inner @ .., b'"'] => inner,
        [b'"'] => &[],
        _ => raw,
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut decoded = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&first, after)) = rest.split_first() {
        let escape = if first == b'\\' { escape(after) } else { None };
        let Some((byte, length)) = escape else {
            decoded.push(first);
            rest = after;
            continue;
        };
        let (written, after) = rest.split_at_checked(1 + length).unwrap_or((rest, &[]));
        match byte {
            0 => decoded.extend_from_slice(written),
            _ if SPECIAL.contains(&byte) => decoded.extend([b'\\', byte]),
            _ => decoded.push(byte),
        }
        rest = after;
    }
    Cow::Owned(decoded)
}

/// The byte that an escape stands for, and how many bytes follow its backslash.
pub(super) fn escape(after: &[u8]) -> Option<(u8, usize)> {
    let (&kind, digits) = after.split_first()?;
    let byte = match kind {
        b'0'..=b'7' => return number(after, 8, 3),
        b'd' => return number(digits, 10, 3).map(|(byte, length)| (byte, length + 1)),
        b'x' => return number(digits, 16, 2).map(|(byte, length)| (byte, length + 1)),
        b'\\' | b'"' => kind,
        b'a' => 0x07,
        b'e' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    };
    Some((byte, 1))
}

/// The number that the longest run of at most so many digits makes without passing 255, and its length.
fn number(digits: &[u8], base: u32, most: usize) -> Option<(u8, usize)> {
    let mut value = 0_u8;
    let mut length = 0;
    for &digit in digits.iter().take(most) {
        let larger = char::from(digit)
            .to_digit(base)
            .and_then(|digit| u8::try_from(u32::from(value) * base + digit).ok());
        let Some(larger) = larger else { break };
        value = larger;
        length += 1;
    }
    (length > 0).then_some((value, length))
}

/// A word that [`decode`]s to the text, quoted where it must be.
///
/// The text is a pattern already: escapes that it holds stay, and only what would end the word or change its meaning is
/// escaped. A NUL cannot be written other than as an escape.
#[must_use]
pub fn quote(text: &[u8]) -> Vec<u8> {
    let plain = |&byte: &u8| {
        byte.is_ascii_alphanumeric() || b"/_.-@{}*?[]^:+~%".contains(&byte) || byte >= 0x80
    };
    if !text.is_empty() && text.iter().all(plain) {
        return text.to_vec();
    }
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => quoted.extend_from_slice(b"\\\""),
            b'\\' => match after.split_first() {
                // What `decode` leaves as it is: an escape for the pattern, or an encoded NUL.
                Some((&special, after)) if SPECIAL.contains(&special) => {
                    quoted.extend([b'\\', special]);
                    rest = after;
                }
                Some(_) if escape(after).is_none_or(|(byte, _)| byte == 0) => quoted.push(b'\\'),
                _ => quoted.extend_from_slice(b"\\134"),
            },
            0 => quoted.extend_from_slice(b"\\000"),
            b'\n' => quoted.extend_from_slice(b"\\n"),
            b'\r' => quoted.extend_from_slice(b"\\r"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{decode, quote};

    #[test]
    fn escapes_are_decoded_and_those_for_patterns_stay() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"/a", b"/a"),
            (b"\"/a b\"", b"/a b"),
            (b"\"\"", b""),
            (b"\"", b""),
            (b"\\1", b"\x01"),
            (b"\\8", b"\\8"),
            (b"\\18", b"\x018"),
            (b"\\421", b"\x221"),
            (b"\\378", b"\x1f8"),
            (b"\\d65x", b"Ax"),
            (b"\\d256", b"\x196"),
            (b"\\x4z", b"\x04z"),
            (b"\\x41", b"A"),
            (b"\\x", b"\\x"),
            (b"\\a\\e\\f\\n\\r\\t\\\"", b"\x07\x1b\x0c\n\r\t\""),
            (b"\\\\", b"\\\\"),
            (b"\\*\\?\\,", b"\\*\\?\\,"),
            (b"\\052\\x7b\\054", b"\\*\\{\\,"),
            (b"\\000\\x0", b"\\000\\x0"),
            (b"a\\", b"a\\"),
            (b"\"a\\\"", b"a\\"),
            (b"/\xff\\377", b"/\xff\xff"),
        ];
        for (raw, expected) in cases {
            assert_eq!(&*decode(raw), *expected, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_quoted_text_decodes_to_itself() {
        let cases: &[&[u8]] = &[
            b"/usr/{,s}bin/*",
            b"/a b",
            b"",
            b"a\"b",
            b"a,b",
            b"\\*\\{",
            b"\\\\",
            b"\\000",
            b"a\nb\r",
            b"#a",
            b"\\8",
            b"/\xff",
            b"a\\\\nb",
        ];
        for text in cases {
            let quoted = quote(text);
            assert_eq!(&*decode(&quoted), *text, "{}", quoted.escape_ascii());
        }
        assert_eq!(quote(b"/usr/{,s}bin/*"), b"\"/usr/{,s}bin/*\"");
        assert_eq!(quote(b"/usr/bin/*"), b"/usr/bin/*");
    }
}
