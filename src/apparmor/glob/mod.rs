//! Globs to patterns.
//!
//! `apparmor_parser` rewrites a glob to the text of a regular expression and reads that with a small grammar of its own. The
//! rewriting sees the text so far (a star after a `/` differs from one after a `{`), and stars inside of `[…]` come out
//! strangely. The same two steps are taken here (`tokens`, `reader`), over tokens instead of text, so that the strange cases
//! agree as well.

mod reader;
mod tokens;

use super::pattern::Pattern;
use reader::Reader;
use tokens::{MAX_NESTING, tokens};

/// Which bytes `*` and `?` leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glob {
    /// `/` and NUL, and `**` leaves out NUL: paths, labels, most others.
    Default,
    /// `/`, and `**` nothing: values of extended attributes.
    Null,
}

/// A glob that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `{a}`
    #[error("`{{…}}` needs a comma between two alternatives")]
    LonelyAlternative,
    /// A `\` at the end.
    #[error("a `\\` at the end escapes nothing")]
    TrailingEscape,
    /// More than 49 alternations inside of each other.
    #[error("more than {MAX_NESTING} alternations inside of each other")]
    TooDeep,
    /// `[` without `]`, or `{` without `}`.
    #[error("a `{{` or `[` is never closed")]
    Unclosed,
    /// `}` or `]` without its opening.
    #[error("a `}}` or `]` closes nothing")]
    Unopened,
    /// `[a-]`, `[]`, `[a-b-c]`
    #[error("`[…]` is not a set of bytes that the parser reads")]
    InvalidSet,
}

/// A glob's pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globbed {
    /// The strings that it matches.
    pub pattern: Pattern,
    /// Whether it has neither stars nor negated sets (`?` is one).
    pub exact: bool,
}

/// Reads a glob whose variables are expanded.
pub fn pattern(glob: &[u8], kind: Glob) -> Result<Globbed, GlobError> {
    let tokens = tokens(glob, kind)?;
    Reader::read(&tokens)
}

/// Makes runs of `/` one, as the parser does in paths: but for two at the start, which are a name space of their own.
#[must_use]
pub fn collapse_slashes(path: &[u8]) -> Vec<u8> {
    let (kept, rest): (&[u8], _) = match path {
        [b'/', b'/', third, ..] if *third != b'/' => path.split_at(2),
        [b'/', b'/'] => (b"//", b""),
        _ => (b"", path),
    };
    let mut collapsed = kept.to_vec();
    let mut after_slash = false;
    for &byte in rest {
        if !(after_slash && byte == b'/') {
            collapsed.push(byte);
        }
        after_slash = byte == b'/';
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::super::automaton::{Automaton, Budget};
    use super::*;

    fn matches(glob: &str, text: &[u8]) -> bool {
        let globbed = pattern(glob.as_bytes(), Glob::Default).unwrap();
        let mut budget = Budget::default();
        let mut automaton =
            Automaton::new([(&globbed.pattern, 1)].into_iter(), &mut budget).unwrap();
        let mut state = automaton.start();
        for &byte in text {
            state = automaton.next(state, byte, &mut budget).unwrap();
        }
        !automaton.accepts(state).is_empty()
    }

    #[test]
    fn stars_match_a_whole_component_of_at_least_one_byte() {
        for (glob, text, expected) in [
            ("/*", "/a", true),
            ("/*", "/", false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b/", false),
            ("/a/*.b", "/a/.b", true),
            ("/**", "/", false),
            ("/a/**", "/a/b/", true),
            ("/a/{,**}", "/a/", true),
            ("/{**,}", "/", true),
            ("/***", "/a", true),
            ("/d**", "/d", true),
            ("/?", "//", false),
        ] {
            assert_eq!(matches(glob, text.as_bytes()), expected, "{glob} {text}");
        }
    }

    #[test]
    fn negated_sets_match_slashes_and_nul() {
        assert!(matches("/[^x]y", b"//y"));
        assert!(matches("/[^x]y", b"/\0y"));
        assert!(!matches("/[^x]y", b"/xy"));
        assert!(matches("/[c-a]", b"/b"));
        assert!(matches("/[a^]", b"/^"));
    }

    #[test]
    fn escapes_stand_for_themselves() {
        for (glob, text) in [
            (r"/\*", "/*"),
            (r"/\x61\101\d97", "/aAa"),
            (r"/{a\,b,c}", "/a,b"),
            (r"/a\q", "/aq"),
            ("/a.b+c|d$", "/a.b+c|d$"),
        ] {
            assert!(matches(glob, text.as_bytes()), "{glob} {text}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        for (glob, error) in [
            ("/{a}", GlobError::LonelyAlternative),
            ("/{a,b", GlobError::Unclosed),
            ("/[a", GlobError::Unclosed),
            ("/a}", GlobError::Unopened),
            ("/[]a]", GlobError::Unopened),
            ("/[a-]", GlobError::InvalidSet),
            ("/a\\", GlobError::TrailingEscape),
        ] {
            assert_eq!(
                pattern(glob.as_bytes(), Glob::Default),
                Err(error),
                "{glob}"
            );
        }
        let deep = format!("{}a{}", "{".repeat(50), ",}".repeat(50));
        assert_eq!(
            pattern(deep.as_bytes(), Glob::Default),
            Err(GlobError::TooDeep)
        );
    }

    #[test]
    fn sets_are_exact_and_stars_are_not() {
        for (glob, exact) in [
            ("/a", true),
            ("/[ab]{c,d}", true),
            ("/?", false),
            ("/[^a]", false),
            ("/a*", false),
        ] {
            assert_eq!(
                pattern(glob.as_bytes(), Glob::Default).unwrap().exact,
                exact,
                "{glob}"
            );
        }
    }

    #[test]
    fn slashes_collapse_but_for_two_in_front() {
        for (path, collapsed) in [
            ("/a//b///", "/a/b/"),
            ("//a//b", "//a/b"),
            ("///a", "/a"),
            ("//", "//"),
            ("a//", "a/"),
            ("", ""),
        ] {
            assert_eq!(
                collapse_slashes(path.as_bytes()),
                collapsed.as_bytes(),
                "{path}"
            );
        }
    }
}
