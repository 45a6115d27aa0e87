//! From the text of a script to brush-parser's tree, whatever the text is.
//!
//! brush-parser reads nearly every script that containers start with, but it was not written for hostile ones: it recurses
//! with the nesting of the text, tries some constructs twice (each level of nesting then doubles the time), and panics over
//! a few numbers. So the tokens are looked over first, and a text that could cost too much is refused; a panic that is
//! left is caught. Callers run this on a stack of known size.

use std::panic::{AssertUnwindSafe, catch_unwind};

use brush_parser::{
    ParseError, ParserOptions, Token, ast::Program, parse_tokens, uncached_tokenize_str,
};

use super::choice::as_loops;

/// LIMIT: bytes of a script.
const MAX_SCRIPT: usize = 256 << 10;
/// LIMIT: `$(`, `${` and `$[` of a script. The tokenizer recurses into each.
const MAX_EXPANSIONS: usize = 6_000;
/// LIMIT: how deep commands are nested.
const MAX_DEPTH: usize = 64;
/// LIMIT: how many tokens may be looked at, where each level of `(` and `case` looks twice.
const MAX_LOOKS: usize = 1 << 20;
/// LIMIT: bytes of a line with a here-document. The tokenizer moves all that follow for each of its tokens.
const MAX_HERE_LINE: usize = 2 << 10;

/// Why a script is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotParsed {
    /// A limit.
    #[error("it is larger or deeper nested than what is read ({0})")]
    Limit(&'static str),
    /// The parser gave up.
    #[error("the parser fails on it")]
    Panicked,
    /// No shell script.
    #[error("it is no shell script from line {line}")]
    Syntax {
        /// Where the parser ended.
        line: usize,
    },
}

/// Parses a script.
pub(super) fn program(text: &str) -> Result<Program, NotParsed> {
    check_text(text)?;
    let options = ParserOptions::default();
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        let mut tokens =
            uncached_tokenize_str(text, &options.tokenizer_options()).map_err(|_| {
                NotParsed::Syntax {
                    line: text.lines().count().max(1),
                }
            })?;
        as_loops(&mut tokens);
        check_tokens(&tokens)?;
        parse_tokens(&tokens, &options).map_err(|error| NotParsed::Syntax {
            line: match error {
                ParseError::ParsingNear(position) => position.line,
                ParseError::ParsingAtEndOfInput | ParseError::Tokenizing { .. } => {
                    text.lines().count().max(1)
                }
            },
        })
    }));
    parsed.unwrap_or(Err(NotParsed::Panicked))
}

/// Parses the lines up to one with `exec`, where the whole is no script: a shell reads line by line, and what stands behind
/// an `exec` is never looked at. Scripts that are Python below their second line are made so.
pub(super) fn head(text: &str) -> Option<Program> {
    let mut end = 0;
    let mut attempts = 0;
    for line in text.split_inclusive('\n').take(200) {
        end += line.len();
        if !line.contains("exec") {
            continue;
        }
        attempts += 1;
        if attempts > 8 {
            return None;
        }
        if let Ok(program) = text.get(..end).map_or(Err(NotParsed::Panicked), program) {
            return Some(program);
        }
    }
    None
}

fn check_text(text: &str) -> Result<(), NotParsed> {
    if text.len() > MAX_SCRIPT {
        return Err(NotParsed::Limit("bytes"));
    }
    let expansions = text
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [b'$', b'(' | b'{' | b'[']))
        .count();
    if expansions > MAX_EXPANSIONS {
        return Err(NotParsed::Limit("expansions"));
    }
    let (mut length, mut here) = (0, false);
    for line in text.split_inclusive('\n') {
        length += line.len();
        here |= line.contains("<<");
        if here && length > MAX_HERE_LINE {
            return Err(NotParsed::Limit("line with a here-document"));
        }
        if !line.ends_with("\\\n") {
            (length, here) = (0, false);
        }
    }
    Ok(())
}

/// What is open at a token. Words that could be read as an argument count as opening, and as closing only where a command may
/// stand: so the depth is never under that of the parser, as far as it gets.
fn check_tokens(tokens: &[Token]) -> Result<(), NotParsed> {
    let mut open: Vec<Open> = Vec::new();
    let (mut looks, mut coprocesses) = (0_usize, 0_usize);
    let mut command_next = true;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        match token {
            Token::Operator(operator, _) => {
                match operator.as_str() {
                    "(" => open.push(Open::Parenthesis),
                    ")" if open.last() == Some(&Open::Parenthesis) => {
                        open.pop();
                    }
                    _ => {}
                }
                command_next = true;
            }
            Token::Word(word, _) => {
                check_word(word, next)?;
                // Nothing closes it: the next may stand in it.
                coprocesses += usize::from(word == "coproc");
                let is_case = word == "case"
                    && tokens
                        .iter()
                        .skip(index + 2)
                        .find(|token| token.to_str() != "\n")
                        .is_some_and(|token| token.to_str() == "in");
                if is_case {
                    open.push(Open::Case);
                } else if matches!(word.as_str(), "if" | "while" | "until" | "for" | "{" | "[[") {
                    open.push(Open::Other);
                } else if command_next
                    && matches!(word.as_str(), "fi" | "done" | "}" | "esac")
                    && !(word == "esac" && may_be_pattern(tokens, index))
                {
                    close(&mut open, word == "esac");
                } else if word == "]]" {
                    close(&mut open, false);
                }
                command_next = matches!(
                    word.as_str(),
                    "then"
                        | "else"
                        | "elif"
                        | "do"
                        | "fi"
                        | "done"
                        | "esac"
                        | "{"
                        | "}"
                        | "!"
                        | "if"
                        | "while"
                        | "until"
                        | "time"
                        | "]]"
                );
            }
        }
        if open.len() + coprocesses > MAX_DEPTH {
            return Err(NotParsed::Limit("nesting"));
        }
        let doubling = open.iter().filter(|open| **open != Open::Other).count();
        let cost = u32::try_from(doubling)
            .ok()
            .and_then(|doubling| 1_usize.checked_shl(doubling))
            .unwrap_or(usize::MAX);
        looks = looks.saturating_add(cost);
        if looks > MAX_LOOKS {
            return Err(NotParsed::Limit("nesting of parentheses and `case`"));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Case,
    Other,
    Parenthesis,
}

/// Whether an `esac` can be taken for a pattern, as in `(esac)`: the parser tries that first.
fn may_be_pattern(tokens: &[Token], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| tokens.get(before));
    before.is_some_and(|token| matches!(token.to_str(), "(" | "|" | "in"))
        || tokens
            .get(index + 1)
            .is_some_and(|token| matches!(token.to_str(), ")" | "|"))
}

/// Closes what a closing word closes. Parentheses stay open until theirs comes.
fn close(open: &mut Vec<Open>, case: bool) {
    match open.last() {
        Some(Open::Case) if case => {
            open.pop();
        }
        Some(Open::Other) if !case => {
            open.pop();
        }
        // An opener that was an argument, as in `echo if`: below it is what this closes.
        Some(Open::Other) => {
            while open.last() == Some(&Open::Other) {
                open.pop();
            }
            if open.last() == Some(&Open::Case) {
                open.pop();
            }
        }
        _ => {}
    }
}

/// Words over which brush-parser takes too long or panics.
fn check_word(word: &str, next: Option<&Token>) -> Result<(), NotParsed> {
    // A descriptor that is no number of 32 bits.
    if word.len() > 9
        && word.bytes().all(|byte| byte.is_ascii_digit())
        && next.is_some_and(|next| next.to_str().starts_with(['<', '>']))
    {
        return Err(NotParsed::Limit("number of a descriptor"));
    }
    // An assignment to an element: the index goes through the word grammar.
    let name = word
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count();
    let Some(index) = word
        .get(name..)
        .filter(|rest| name > 0 && rest.starts_with('['))
    else {
        return Ok(());
    };
    let expansions = index
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [b'$', b'(' | b'{' | b'[']))
        .count();
    let brackets = index.bytes().filter(|byte| *byte == b'[').count();
    if expansions > 8 || brackets > 64 {
        return Err(NotParsed::Limit("index of an array"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{NotParsed, head, program};

    #[test]
    fn what_would_take_for_ever_or_overflow_is_refused() {
        let cases = [
            "(".repeat(100_000),
            "( ".repeat(100_000),
            "{ ".repeat(50_000),
            "$(".repeat(100_000),
            "$(".repeat(5_900),
            "${a:-".repeat(5_900),
            "\"$(".repeat(5_900),
            "if ".repeat(80_000),
            "coproc ".repeat(37_000),
            "case x in a) ".repeat(40) + &"esac ".repeat(40),
            "case x in (esac) ".repeat(1000),
            "[[ x =~ ".to_owned() + &"(".repeat(60),
            "((".to_owned() + &"(".repeat(60),
            "x < <(".repeat(1000),
            "f() { ".repeat(1000),
            "a[".to_owned() + &"\"${b[\"".repeat(1000),
            "99999999999>x".to_owned(),
            "x <<a ".repeat(2000),
            "x".repeat(300_000),
        ];
        for text in cases {
            let start = text.chars().take(20).collect::<String>();
            let began = std::time::Instant::now();
            let parsed = std::thread::Builder::new()
                .stack_size(crate::whitelist::script::STACK)
                .spawn(move || program(&text).map(drop))
                .unwrap()
                .join()
                .unwrap();
            assert!(parsed.is_err(), "{start}");
            assert!(began.elapsed().as_secs() < 20, "{start}");
        }
    }

    #[test]
    fn ordinary_scripts_are_not_refused() {
        let nested = "if a; then case $1 in a|b) (x; case y in *) z;; esac; w) ;; esac; fi\n";
        assert!(program(&nested.repeat(500)).is_ok());
        let nine = "if a; then ".repeat(9) + "x\n" + &"fi; ".repeat(9);
        assert!(program(&nine).is_ok());
    }

    #[test]
    fn what_stands_behind_exec_need_not_be_shell() {
        let text =
            "#!/bin/sh\n'''exec' /venv/bin/python \"$0\" \"$@\"\n' '''\nif x == (1, 2):\n    y()\n";
        assert_eq!(program(text).unwrap_err(), NotParsed::Syntax { line: 4 });
        assert_eq!(head(text).unwrap().complete_commands.len(), 1);
        assert!(head("if (:\n").is_none());
    }
}
