//! The profiles that a file declares, by their full names.
//!
//! A child or hat is named as the kernel names it: `parent//child`. Includes are not followed, so a child that one brings
//! (Debian's `abstractions/ubuntu-helpers` does) is not seen, and variables in names stay as written.

use super::words::{Word, WordKind, Words};

/// LIMIT: blocks inside of each other. The parser allows profiles two deep, and `if` blocks without limit.
const MAX_DEPTH: usize = 64;

/// A declared profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its full name.
    pub name: String,
    /// The line of its head, counted from 1.
    pub line: usize,
}

/// A file whose profiles cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DeclarationError {
    /// What is wrong.
    pub kind: DeclarationErrorKind,
    /// Where, counted from 1.
    pub line: usize,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarationErrorKind {
    /// A profile head without a name.
    #[error("a profile needs a name before its `{{`")]
    NoName,
    /// A name that is not UTF-8: Kubernetes cannot name it.
    #[error("this profile's name is not UTF-8")]
    NotUtf8,
    /// Blocks nested too deep.
    #[error("more than 64 blocks inside of each other")]
    TooDeep,
    /// A `}` without its `{`.
    #[error("this `}}` closes nothing")]
    UnopenedBlock,
    /// A `{` without its `}`.
    #[error("this `{{` is never closed")]
    UnclosedBlock,
    /// A quote or parenthesis without its end.
    #[error("this quote or parenthesis is never closed")]
    Unterminated,
}

/// The profiles that a file's text declares, in its order, parents before their children.
pub fn declarations(text: &[u8]) -> Result<Vec<Declaration>, DeclarationError> {
    let mut found = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut statement: Vec<Word<'_>> = Vec::new();
    for word in Words::new(text) {
        let line = word.line;
        let error = |kind| Err(DeclarationError { kind, line });
        match word.kind {
            WordKind::Close => {
                statement.clear();
                if blocks.pop().is_none() {
                    return error(DeclarationErrorKind::UnopenedBlock);
                }
            }
            WordKind::Comma => statement.clear(),
            WordKind::Newline => {
                if blocks.is_empty() && !may_be_head(&statement) {
                    statement.clear();
                }
            }
            WordKind::Open => {
                if blocks.len() == MAX_DEPTH {
                    return error(DeclarationErrorKind::TooDeep);
                }
                let parent = blocks.last().and_then(|block| block.profile.as_deref());
                let profile = match head_name(&statement, blocks.is_empty()) {
                    Head::None => parent.map(str::to_owned),
                    Head::Unnamed => return error(DeclarationErrorKind::NoName),
                    Head::Named(name, line) => {
                        let Ok(name) = std::str::from_utf8(name) else {
                            return Err(DeclarationError {
                                kind: DeclarationErrorKind::NotUtf8,
                                line,
                            });
                        };
                        let name = parent
                            .map_or_else(|| name.to_owned(), |parent| format!("{parent}//{name}"));
                        found.push(Declaration {
                            name: name.clone(),
                            line,
                        });
                        Some(name)
                    }
                };
                blocks.push(Block { profile, line });
                statement.clear();
            }
            WordKind::Parentheses => {}
            WordKind::Text(ref text) => {
                // An include ends with its argument, with or without a newline or a comma.
                let is_argument = statement.first().is_some_and(is_include);
                if is_argument && text.as_ref() != b"if" && text.as_ref() != b"exists" {
                    statement.clear();
                } else if statement.len() < MAX_WORDS {
                    statement.push(word);
                }
            }
            WordKind::Unterminated => return error(DeclarationErrorKind::Unterminated),
        }
    }
    match blocks.first() {
        Some(block) => Err(DeclarationError {
            kind: DeclarationErrorKind::UnclosedBlock,
            line: block.line,
        }),
        None => Ok(found),
    }
}

/// LIMIT: words of a statement that are kept; a head's name is its first or second.
const MAX_WORDS: usize = 4;

struct Block {
    /// The profile whose rules stand in it.
    profile: Option<String>,
    line: usize,
}

enum Head<'a> {
    Named(&'a [u8], usize),
    /// No head: a block of rules, of an `if` or of a qualifier.
    None,
    Unnamed,
}

fn head_name<'a>(statement: &'a [Word<'_>], top: bool) -> Head<'a> {
    let mut words = statement.iter().filter_map(|word| match &word.kind {
        WordKind::Text(text) => Some((text.as_ref(), word.line)),
        _ => None,
    });
    let Some((first, line)) = words.next() else {
        return if top { Head::Unnamed } else { Head::None };
    };
    match (first, words.next()) {
        (b"profile" | b"hat" | b"^", Some((name, line))) => Head::Named(name, line),
        (b"profile" | b"hat" | b"^", None) => Head::Unnamed,
        (b"if" | b"else", _) => Head::None,
        ([b'^', name @ ..], _) => Head::Named(name, line),
        _ if top => Head::Named(first, line),
        _ => Head::None,
    }
}

/// Whether a preamble line may go on: a head's `{` may stand on a line of its own, as may that of an `if`.
fn may_be_head(statement: &[Word<'_>]) -> bool {
    let text = |index: usize| match statement.get(index).map(|word| &word.kind) {
        Some(WordKind::Text(text)) => text.as_ref(),
        _ => b"",
    };
    match text(0) {
        b"profile" | b"hat" | b"if" | b"else" | [b'/' | b':' | b'^', ..] => true,
        // An assignment ends with its line: `@{A} = b`, `@{A}+=b`.
        [b'@', ..] => !text(0).contains(&b'=') && !text(1).contains(&b'='),
        _ => false,
    }
}

fn is_include(word: &Word<'_>) -> bool {
    matches!(&word.kind, WordKind::Text(text) if matches!(text.as_ref(), b"include" | b"#include"))
}

#[cfg(test)]
mod tests {
    use super::{DeclarationErrorKind, declarations};

    fn names(text: &str) -> Vec<String> {
        declarations(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|found| format!("{}:{}", found.line, found.name))
            .collect()
    }

    #[test]
    fn names_every_profile_with_its_children() {
        let text = r#"
            abi <abi/4.0>,
            include <tunables/global>
            @{EXEC} = /usr/bin/{a,b} /c
            $LOUD = true
            if $LOUD { }
            alias /a -> /b,
            profile web /usr/bin/{nginx,httpd} flags=(attach_disconnected, mediate_deleted) {
              include if exists <local/web>
              /etc/** r,
              deny { /proc/** w, }
              if defined $LOUD { /x r, }
              profile helper { signal (send, receive) peer=web, }
              ^worker { }
              hat login { }
            }
            profile "two words"
            {
            }
            /usr/bin/{x,y} (complain) { }
            profile last @{EXEC} { }
        "#;
        let expected = [
            "8:web",
            "13:web//helper",
            "14:web//worker",
            "15:web//login",
            "17:two words",
            "20:/usr/bin/{x,y}",
            "21:last",
        ];
        assert_eq!(names(text), expected);
    }

    #[test]
    fn comments_hold_no_profiles() {
        assert_eq!(names("# profile a {\nprofile b { # }\n}"), ["2:b"]);
        assert_eq!(names(""), [""; 0]);
    }

    #[test]
    fn broken_blocks_are_told_with_their_line() {
        for (text, line, kind) in [
            ("profile a {\n", 1, DeclarationErrorKind::UnclosedBlock),
            ("profile a { }\n}", 2, DeclarationErrorKind::UnopenedBlock),
            ("\nprofile {", 2, DeclarationErrorKind::NoName),
            ("{ }", 1, DeclarationErrorKind::NoName),
            ("profile \"a", 1, DeclarationErrorKind::Unterminated),
            (&"profile a { ".repeat(65), 1, DeclarationErrorKind::TooDeep),
        ] {
            let error = declarations(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.kind), (line, kind), "{text}");
        }
        assert_eq!(
            declarations(b"profile \xff { }").unwrap_err().kind,
            DeclarationErrorKind::NotUtf8
        );
    }
}
