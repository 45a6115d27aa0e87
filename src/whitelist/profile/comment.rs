//! Comments that tell where a rule comes from. What they quote is as hostile as a name: a comment ends with its line, and one
//! that begins `#include` is none.

/// LIMIT: characters of a text that a comment shows.
const MAX_TEXT: usize = 160;

/// One line that starts with `# ` and a word of ours, so that whatever comes then is no `include`.
pub(super) fn comment(word: &str, text: &str) -> String {
    let mut line = format!("# {word} ");
    for (count, character) in text.chars().enumerate() {
        if count == MAX_TEXT {
            line.push_str("...");
            break;
        }
        match character {
            ' '..='~' => line.push(character),
            // Also what is no control character: text that runs from right to left shows a comment as something else.
            _ => line.extend(character.escape_unicode()),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn a_comment_is_one_harmless_line() {
        for (text, expected) in [
            ("web:3 `exec nginx`", "# - web:3 `exec nginx`"),
            ("", "# -"),
            ("a\nfile ux,", "# - a\\u{a}file ux,"),
            ("include <x>", "# - include <x>"),
            ("\r\u{202e}\0é", "# - \\u{d}\\u{202e}\\u{0}\\u{e9}"),
        ] {
            assert_eq!(comment("-", text), expected);
        }
        let long = comment("-", &"x".repeat(1000));
        assert_eq!(long, format!("# - {}...", "x".repeat(160)));
    }
}
