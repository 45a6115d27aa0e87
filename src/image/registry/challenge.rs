//! What a registry wants to see first: `WWW-Authenticate` (RFC 9110, and the token specification of the distribution
//! project).

use std::collections::HashMap;

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token of a service.
    Bearer {
        /// Where the service is.
        realm: String,
        /// Which registry the token is for.
        service: Option<String>,
    },
}

impl Challenge {
    /// The challenge that can be met, a token's first. Nothing when there is none.
    pub(super) fn of<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut is_basic = false;
        for header in headers {
            for (scheme, mut parameters) in challenges(header) {
                match scheme.to_ascii_lowercase().as_str() {
                    "basic" => is_basic = true,
                    "bearer" => {
                        if let Some(realm) = parameters.remove("realm") {
                            return Some(Self::Bearer {
                                realm,
                                service: parameters.remove("service"),
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
        is_basic.then_some(Self::Basic)
    }
}

/// The challenges of a header with their parameters. What is malformed ends the list.
fn challenges(header: &str) -> Vec<(&str, HashMap<String, String>)> {
    let mut challenges: Vec<(&str, HashMap<String, String>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = token(rest);
        if word.is_empty() {
            return challenges;
        }
        rest = rest.get(word.len()..).unwrap_or_default();
        let after = rest.trim_start();
        match (after.strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let Some((value, behind)) = value_of(value.trim_start()) else {
                    return challenges;
                };
                parameters.insert(word.to_ascii_lowercase(), value);
                rest = behind;
            }
            (Some(_), None) => return challenges,
            (None, _) => challenges.push((word, HashMap::new())),
        }
    }
}

/// A value, in quotes or not, and what stands behind it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let value = token(text);
        return Some((value.to_owned(), text.get(value.len()..)?));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

fn token(text: &str) -> &str {
    let end = text.find(|character: char| {
        !character.is_ascii_graphic() || matches!(character, '=' | ',' | '"' | ';')
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Challenge;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        for (headers, expected) in [
            (
                &[r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull""#][..],
                Some(bearer("https://a/t", Some("s"))),
            ),
            (
                &[r#"bearer service=s , realm = "https://a/t?x=\"1,2\"""#],
                Some(bearer("https://a/t?x=\"1,2\"", Some("s"))),
            ),
            (
                &[r#"Basic realm="r", Bearer realm="https://a""#],
                Some(bearer("https://a", None)),
            ),
            (
                &["Basic realm=\"r\"", "Bearer realm=\"https://a\""],
                Some(bearer("https://a", None)),
            ),
            (&["Basic realm=\"Registry Realm\""], Some(Challenge::Basic)),
            (&["Negotiate", "NTLM"], None),
            (&["Bearer service=\"s\""], None),
            (&["Bearer realm=\"unterminated"], None),
            (&["=x", ""], None),
            (&[], None),
        ] {
            assert_eq!(
                Challenge::of(headers.iter().copied()),
                expected,
                "{headers:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~é\\t]{0,60}", prefix in "(Bearer )?(realm=\"?)?") {
            let header = prefix + &text;
            let _ = Challenge::of([header.as_str()]);
        }
    }
}
