//! Small languages whose texts stand in arguments, `awk` and `sed`: whether a text can start a program.
//!
//! Nothing is followed: a text that starts none is passed over, any other is told. What cannot be read counts as one that does.

use super::{super::script::Value, Inner, take, unknown};

pub(super) fn awk(arguments: &[Value]) -> Vec<Inner> {
    let mut texts = Vec::new();
    let mut rest = arguments;
    while let Some(word) = take(&mut rest) {
        let Some(option) = word.bytes().filter(|word| word.len() > 1) else {
            texts.push(word);
            break;
        };
        match option {
            b"--" => {
                texts.extend(take(&mut rest).filter(|_| texts.is_empty()));
                break;
            }
            b"-v" | b"-F" | b"--assign" | b"--field-separator" => drop(take(&mut rest)),
            b"-e" | b"--source" => texts.extend(take(&mut rest)),
            [b'-', b'v' | b'F' | b'O' | b'S', ..] | [b'-', b'b' | b'c' | b'P' | b'r' | b't'] => {}
            [b'-', b'-', ..] if is_harmless_awk(option) => {}
            // A text in a file, an extension, the output of a profiler: whatever it is.
            [b'-', ..] => {
                return vec![unknown(format!(
                    "what `awk {}` runs is not followed",
                    String::from_utf8_lossy(option)
                ))];
            }
            _ => {
                if texts.is_empty() {
                    texts.push(word);
                }
                break;
            }
        }
    }
    told("awk", &texts, awk_starts_none)
}

fn is_harmless_awk(option: &[u8]) -> bool {
    [
        &b"--assign="[..],
        b"--field-separator=",
        b"--posix",
        b"--re-interval",
        b"--sandbox",
        b"--traditional",
        b"--version",
    ]
    .iter()
    .any(|known| option.starts_with(known))
}

pub(super) fn sed(arguments: &[Value]) -> Vec<Inner> {
    let mut texts = Vec::new();
    let mut operands = Vec::new();
    let mut rest = arguments;
    while let Some(word) = take(&mut rest) {
        match word.bytes() {
            Some(b"--") => {
                operands.extend(rest.iter().cloned());
                break;
            }
            Some(b"-e" | b"--expression") => texts.extend(take(&mut rest)),
            Some(b"-l" | b"--line-length") => drop(take(&mut rest)),
            Some(option) if option.starts_with(b"--") => {
                if let Some(text) = option.strip_prefix(b"--expression=") {
                    texts.push(Value::known(text));
                } else if option.starts_with(b"--f") && !option.starts_with(b"--fo") {
                    return vec![unknown(
                        "what a file of `sed` runs is not followed".to_owned(),
                    )];
                }
            }
            Some([b'-', letters @ ..]) if !letters.is_empty() => {
                // `-i` takes all that is attached for a suffix; `-ne TEXT`, `-n -eTEXT`.
                let end = letters
                    .iter()
                    .position(|letter| matches!(letter, b'e' | b'f' | b'i'));
                let Some(end) = end else { continue };
                let attached = letters.get(end + 1..).unwrap_or_default();
                match letters.get(end) {
                    Some(b'e') if attached.is_empty() => texts.extend(take(&mut rest)),
                    Some(b'e') => texts.push(Value::known(attached)),
                    Some(b'f') => {
                        return vec![unknown(
                            "what a file of `sed` runs is not followed".to_owned(),
                        )];
                    }
                    _ => {}
                }
            }
            _ => operands.push(word),
        }
    }
    if texts.is_empty() {
        texts.extend(operands.into_iter().next());
    }
    told("sed", &texts, sed_starts_none)
}

pub(super) fn told(name: &str, texts: &[Value], starts_none: fn(&[u8]) -> bool) -> Vec<Inner> {
    for text in texts {
        match text.script() {
            Some(text) if starts_none(text) => {}
            Some(_) => {
                return vec![unknown(format!(
                    "what a text of `{name}` runs is not followed"
                ))];
            }
            None => {
                let why = text.why().map(|why| why.to_string()).unwrap_or_default();
                return vec![unknown(format!("a text of `{name}` is not known: {why}"))];
            }
        }
    }
    Vec::new()
}

/// Whether a text of awk starts nothing: no `system`, no pipe, no `@` (gawk: extensions, files, calls by a name that is computed).
fn awk_starts_none(text: &[u8]) -> bool {
    let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if !holds(b"system") && !holds(b"|") && !holds(b"@") {
        return true;
    }
    let mut rest = text;
    // Whether a `/` here divides: behind a value.
    let mut divides = false;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'"' => {
                let Some(end) = closed(rest, b'"', Brackets::Ordinary) else {
                    return false;
                };
                rest = end;
                divides = true;
            }
            b'/' if !divides => {
                let Some(end) = closed(rest, b'/', Brackets::Quote) else {
                    return false;
                };
                rest = end;
                divides = true;
            }
            b'#' => {
                let end = rest.iter().position(|byte| *byte == b'\n');
                rest = end.and_then(|end| rest.get(end..)).unwrap_or_default();
            }
            b'|' => match rest {
                [b'|', behind @ ..] => {
                    rest = behind;
                    divides = false;
                }
                _ => return false,
            },
            // Behind `)` may stand a division or, behind that of an `if`, an expression: not told apart.
            b'@' => return false,
            b')' if rest.trim_ascii_start().starts_with(b"/") => return false,
            b')' | b']' | b'$' => divides = true,
            byte if byte.is_ascii_alphanumeric() || *byte == b'_' => {
                let more = rest
                    .iter()
                    .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
                    .unwrap_or(rest.len());
                let word = [&[*byte], rest.get(..more).unwrap_or_default()].concat();
                rest = rest.get(more..).unwrap_or_default();
                if word == b"system" {
                    return false;
                }
                divides = !matches!(
                    &word[..],
                    b"case"
                        | b"delete"
                        | b"do"
                        | b"else"
                        | b"exit"
                        | b"getline"
                        | b"in"
                        | b"print"
                        | b"printf"
                        | b"return"
                );
            }
            b' ' | b'\t' => {}
            b'+' | b'-' if rest.first() == Some(byte) => {
                // `x++ / y`: what stood before still counts.
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => divides = false,
        }
    }
    true
}

/// Whether a text of sed starts nothing: no command `e` and no flag `e` of `s` (sed(1) of GNU; others have neither).
fn sed_starts_none(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = skip(rest, |byte| {
            byte.is_ascii_whitespace() || matches!(byte, b';' | b'{' | b'}')
        });
        if rest.is_empty() {
            return true;
        }
        let Some(behind) = behind_addresses(rest) else {
            return false;
        };
        let [command, behind @ ..] = behind else {
            return false;
        };
        rest = match command {
            b'{' | b'}' | b'=' | b'd' | b'D' | b'g' | b'G' | b'h' | b'H' | b'l' | b'n' | b'N'
            | b'p' | b'P' | b'q' | b'Q' | b'x' | b'z' | b'F' => skip(behind, |byte| {
                byte.is_ascii_digit() || matches!(byte, b' ' | b'\t')
            }),
            b'b' | b't' | b'T' | b':' | b'v' => skip(behind, |byte| !matches!(byte, b';' | b'\n')),
            b'#' | b'r' | b'R' | b'w' | b'W' => skip(behind, |byte| byte != b'\n'),
            // The text ends with a line that no backslash ends.
            b'a' | b'i' | b'c' => behind_text(behind),
            b'y' | b's' => {
                let Some((delimiter, pattern)) = behind.split_first() else {
                    return false;
                };
                let brackets = if *command == b's' {
                    Brackets::Quote
                } else {
                    Brackets::Ordinary
                };
                let Some(behind) = closed(pattern, *delimiter, brackets)
                    .and_then(|behind| closed(behind, *delimiter, Brackets::Ordinary))
                else {
                    return false;
                };
                let behind_flags = skip(behind, |byte| {
                    byte.is_ascii_digit()
                        || matches!(byte, b'g' | b'p' | b'i' | b'I' | b'm' | b'M' | b' ' | b'\t')
                });
                match behind_flags.first() {
                    Some(b'w') => skip(behind_flags, |byte| byte != b'\n'),
                    _ => behind_flags,
                }
            }
            _ => return false,
        };
        // Else a flag or command that is not known here.
        if !matches!(rest.first(), None | Some(b';' | b'\n' | b'}' | b'#' | b'{'))
            && !matches!(command, b'{' | b'}')
        {
            return false;
        }
    }
}

/// What stands behind up to two addresses and a `!`.
fn behind_addresses(mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..2 {
        rest = match rest {
            [b'/', behind @ ..] => closed(behind, b'/', Brackets::Quote)?,
            [b'\\', delimiter, behind @ ..] => closed(behind, *delimiter, Brackets::Quote)?,
            _ => skip(rest, |byte| {
                byte.is_ascii_digit() || matches!(byte, b'$' | b'~' | b'+')
            }),
        };
        rest = skip(rest, |byte| matches!(byte, b'I' | b'M' | b' ' | b'\t'));
        match rest {
            [b',', behind @ ..] => rest = behind.trim_ascii_start(),
            _ => break,
        }
    }
    Some(skip(rest, |byte| matches!(byte, b'!' | b' ' | b'\t')))
}

fn behind_text(mut rest: &[u8]) -> &[u8] {
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at_checked(end).unwrap_or_default();
        if !line.ends_with(b"\\") {
            return behind;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    &[]
}

/// Whether a delimiter between brackets ends a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brackets {
    Ordinary,
    Quote,
}

/// What stands behind a delimiter that no backslash precedes.
fn closed(text: &[u8], delimiter: u8, brackets: Brackets) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        match rest {
            [] => return None,
            [b'\\', _, behind @ ..] => rest = behind,
            [byte, behind @ ..] if *byte == delimiter => return Some(behind),
            [b'[', behind @ ..] if brackets == Brackets::Quote => {
                // A `]` at the start, behind a `^` too, is one of the set; a class such as `[:alpha:]` ends with its own.
                let set = behind.strip_prefix(b"^").unwrap_or(behind);
                let mut set = set.strip_prefix(b"]").unwrap_or(set);
                loop {
                    match set {
                        [] => return None,
                        [b'[', kind @ (b':' | b'.' | b'='), behind @ ..] => {
                            let end = behind.windows(2).position(|pair| pair == [*kind, b']'])?;
                            set = behind.get(end + 2..).unwrap_or_default();
                        }
                        [b']', behind @ ..] => break rest = behind,
                        [_, behind @ ..] => set = behind,
                    }
                }
            }
            [_, behind @ ..] => rest = behind,
        }
    }
}

fn skip(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !skipped(*byte));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{awk_starts_none, sed_starts_none};

    #[test]
    fn texts_of_awk_that_start_programs_are_told_from_others() {
        for text in [
            "{print $2}",
            "/a|b/ {print}",
            "$1 ~ \"x|y\" || /z/ { n++ / 2 }",
            "{ print \"system\" } # system()",
            "/[/|]/ { print /a|b/ }",
        ] {
            assert!(awk_starts_none(text.as_bytes()), "{text}");
        }
        for text in [
            "BEGIN{system(\"x\")}",
            "{print | \"sh\"}",
            "\"date\" | getline",
            "{ print |& \"x\" }",
            "@load \"x\"",
            "{ f = \"system\"; @f(\"x\") }",
            "if (x) /\"/ {}; system(\"x\") #\"",
            "{ x = a / 2; system(\"y\") / 2 }",
        ] {
            assert!(!awk_starts_none(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn texts_of_sed_that_start_programs_are_told_from_others() {
        for text in [
            "s/a/e/",
            "s|[/|]|x|gp",
            "/e/d;$!N;s/x/y/w e",
            "1,/x/{s/a/b/;p}",
            "/^$/d",
            "s/^\\(GF_[^=]*\\)__FILE=.*/\\1/p",
            "a\\\ne ls\\\nmore\np",
            ":e;N;$!be;y/ab/cd/",
            "\\,e,d",
        ] {
            assert!(sed_starts_none(text.as_bytes()), "{text}");
        }
        for text in [
            "e",
            "1e ls",
            "s/x/ls/e",
            "s/x/ls/ge",
            "p;e ls",
            "/x/e",
            "s/a/b",
            "{e}",
            "s,a,b,;e",
            "a\\\nx\ne ls",
        ] {
            assert!(!sed_starts_none(text.as_bytes()), "{text}");
        }
    }
}
