//! `select name in words; do …; done` (bash(1), SHELL GRAMMAR), which brush-parser does not know.
//!
//! It has the form of a `for`, so its tokens are given to the parser as those of one, under a name that tells of it. What differs is
//! what the variable holds: one of the words, or nothing where the answer is none of the numbers; the answer itself is
//! `REPLY`. A shell that has no `select` fails on the `do`.

use brush_parser::Token;

use super::word;

/// What the name of the variable begins with.
const MARK: &str = "__select__";

/// The tokens with each `select` as a `for`.
pub(super) fn as_loops(tokens: &mut [Token]) {
    let mut starts = true;
    for index in 0..tokens.len() {
        let [token, rest @ ..] = tokens.get_mut(index..).unwrap_or_default() else {
            return;
        };
        if let (true, Token::Word(text, _), [Token::Word(name, _), behind @ ..]) =
            (starts, &mut *token, rest)
            && text == "select"
            && word::is_name(name)
            && behind
                .iter()
                .map(Token::to_str)
                .find(|text| *text != "\n")
                .is_some_and(|text| matches!(text, "in" | ";" | "do"))
        {
            "for".clone_into(text);
            name.insert_str(0, MARK);
        }
        starts = match token {
            // Behind these operators a file's name follows.
            Token::Operator(operator, _) => !operator.contains(['<', '>']),
            Token::Word(text, _) => matches!(
                text.as_str(),
                "!" | "do" | "elif" | "else" | "if" | "then" | "time" | "until" | "while" | "{"
            ),
        };
    }
}

/// The variable of a `select`, by the name that its loop was given.
pub(super) fn chosen(name: &str) -> Option<&str> {
    name.strip_prefix(MARK)
}

#[cfg(test)]
mod tests {
    use brush_parser::{Token, tokenize_str};

    use super::as_loops;

    #[test]
    fn only_a_select_that_is_one_becomes_a_loop() {
        for (text, expected) in [
            (
                "select x in a; do b; done",
                "for __select__x in a ; do b ; done",
            ),
            ("a; select x do b; done", "a ; for __select__x do b ; done"),
            (
                "a && { select x\ndo b; done; }",
                "a && { for __select__x \n do b ; done ; }",
            ),
            ("select x", "select x"),
            ("echo select x in a", "echo select x in a"),
            ("case select in x) a;; esac", "case select in x ) a ;; esac"),
            ("a > select x in", "a > select x in"),
            ("select \"$x\" in a", "select \"$x\" in a"),
        ] {
            let mut tokens = tokenize_str(text).unwrap();
            as_loops(&mut tokens);
            let texts: Vec<&str> = tokens.iter().map(Token::to_str).collect();
            assert_eq!(texts.join(" "), expected);
        }
    }
}
