//! Shell patterns on bytes: `*`, `?`, `[…]` and `\`.
//!
//! Used for `case`, for `${name#pattern}` and for file names. Extended patterns (`@(a|b)`) are not among them.

/// Whether a pattern matches all of a text. In file names `*` and `?` do not match `/`: callers split paths there.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // One place to come back to is enough: a later `*` can always take what an earlier one could have.
    let (mut rest, mut left) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match step(rest, left) {
            Step::Done => return true,
            Step::On(pattern, text) => (rest, left) = (pattern, text),
            Step::Star(pattern) => {
                retry = Some((pattern, left));
                rest = pattern;
            }
            Step::Mismatch => match retry {
                Some((pattern, [_, text @ ..])) => {
                    retry = Some((pattern, text));
                    (rest, left) = (pattern, text);
                }
                _ => return false,
            },
        }
    }
}

/// Whether a text has a character that is special in patterns.
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    let opens = text.iter().position(|byte| *byte == b'[');
    let is_set = opens.is_some_and(|opens| text.iter().skip(opens + 2).any(|byte| *byte == b']'));
    is_set || text.iter().any(|byte| b"*?".contains(byte))
}

/// Whether a text has the form of an extended pattern, `@(a|b)` and its like, which bash knows in `[[` always and elsewhere by
/// `shopt -s extglob`, and ksh everywhere.
pub(crate) fn is_extended(text: &[u8]) -> bool {
    text.windows(2)
        .any(|pair| matches!(pair, [b'!' | b'*' | b'+' | b'?' | b'@', b'(']))
}

/// The pattern that matches exactly this text.
pub(crate) fn escaped(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len());
    for byte in text {
        if b"*?[]\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

/// Without the backslashes that quote.
pub(crate) fn unescaped(pattern: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.extend(bytes.next()),
            _ => text.push(*byte),
        }
    }
    text
}

enum Step<'a> {
    Done,
    Mismatch,
    On(&'a [u8], &'a [u8]),
    Star(&'a [u8]),
}

fn step<'a>(pattern: &'a [u8], text: &'a [u8]) -> Step<'a> {
    match (pattern, text) {
        ([], []) => Step::Done,
        ([b'*', pattern @ ..], _) => Step::Star(pattern),
        ([b'?', pattern @ ..], [_, text @ ..]) => Step::On(pattern, text),
        ([b'[', rest @ ..], [byte, text @ ..]) => match set(rest) {
            Some((set, pattern)) if set.has(*byte) => Step::On(pattern, text),
            None if *byte == b'[' => Step::On(rest, text),
            _ => Step::Mismatch,
        },
        ([b'\\', quoted, pattern @ ..], [byte, text @ ..]) if quoted == byte => {
            Step::On(pattern, text)
        }
        ([b'\\', _, ..], _) => Step::Mismatch,
        ([expected, pattern @ ..], [byte, text @ ..]) if expected == byte => {
            Step::On(pattern, text)
        }
        _ => Step::Mismatch,
    }
}

struct Set<'a> {
    negated: bool,
    members: &'a [u8],
}

/// What stands between `[` and `]`, and the pattern behind it.
fn set(pattern: &[u8]) -> Option<(Set<'_>, &[u8])> {
    let (negated, members) = match pattern {
        [b'!' | b'^', members @ ..] => (true, members),
        members => (false, members),
    };
    // A `]` that comes first is a member; `[:alpha:]` has one of its own.
    let mut end = usize::from(members.first() == Some(&b']'));
    while *members.get(end)? != b']' {
        let class = members.get(end..end.saturating_add(2)) == Some(b"[:");
        let close = class
            .then(|| {
                members
                    .get(end..)?
                    .windows(2)
                    .position(|pair| pair == b":]")
            })
            .flatten();
        end += close.map_or(1, |close| close + 2);
    }
    let members = members.split_at_checked(end)?;
    Some((
        Set {
            negated,
            members: members.0,
        },
        members.1.get(1..)?,
    ))
}

impl Set<'_> {
    fn has(&self, byte: u8) -> bool {
        let mut rest = self.members;
        let mut found = false;
        while !rest.is_empty() {
            if let Some((class, behind)) = class(rest) {
                found |= in_class(class, byte);
                rest = behind;
            } else if let [low, b'-', high, behind @ ..] = rest {
                found |= (*low..=*high).contains(&byte);
                rest = behind;
            } else if let [member, behind @ ..] = rest {
                found |= *member == byte;
                rest = behind;
            }
        }
        found != self.negated
    }
}

fn class(members: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = members.strip_prefix(b"[:")?;
    let end = name.windows(2).position(|pair| pair == b":]")?;
    Some((name.get(..end)?, name.get(end + 2..)?))
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"digit" => byte.is_ascii_digit(),
        b"lower" => byte.is_ascii_lowercase(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace(),
        b"upper" => byte.is_ascii_uppercase(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, matches, unescaped};

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*.sh", "/hooks/10-a.sh", true),
            ("*.sh", "/hooks/10-a.sh.bak", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "ab", false),
            ("[0-9][0-9]-*", "10-x", true),
            ("[!0-9]*", "1", false),
            ("[]]", "]", true),
            ("[[:digit:]a]", "7", true),
            ("[[:digit:]a]", "b", false),
            ("[a", "[a", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("-", "-", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn an_escaped_text_matches_itself() {
        let text = br"/a[b]*?\c";
        assert!(matches(&escaped(text), text));
        assert_eq!(unescaped(&escaped(text)), text);
    }

    #[test]
    fn many_stars_take_no_longer_than_their_product() {
        let pattern = b"*a".repeat(200);
        let text = b"a".repeat(2000);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text));
    }
}
