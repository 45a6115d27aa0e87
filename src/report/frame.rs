//! Findings about a policy's text, each with the line it is about.
//!
//! The text is hostile: what a terminal would not show as it is written is escaped, and long lines are cut.

use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use super::text::{quote_at_most, sentence};
use crate::apparmor::{
    diagnostic::{Diagnostic, Severity},
    source::{Sources, Span},
};

/// LIMIT: bytes of a line that are shown in front of what it is about, and from there on.
const MAX_BEFORE: usize = 160;
const MAX_FROM: usize = 100;

/// A finding with a frame around its place, ending in a newline.
#[must_use]
pub fn frame(sources: &Sources, diagnostic: &Diagnostic, styled: bool) -> String {
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(sentence(&diagnostic.message))
        .id(diagnostic.code)
        .elements(None::<Snippet<'_, Annotation<'_>>>);
    if let Some(place) = sources.location(diagnostic.span)
        && let Some(line) = Line::of(sources, diagnostic.span)
    {
        group = group.element(
            Snippet::source(line.text)
                .path(quote_at_most(place.file, 1024))
                .line_start(place.line)
                .annotation(AnnotationKind::Primary.span(line.start..line.end)),
        );
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(sentence(help)));
    }
    renderer.render(&[group]) + "\n"
}

/// The part of a line that is shown, and where in it the span stands.
struct Line {
    text: String,
    start: usize,
    end: usize,
}

impl Line {
    fn of(sources: &Sources, span: Span) -> Option<Self> {
        let bytes = &sources.file(span.file)?.text;
        let start = (span.start as usize).min(bytes.len());
        let before = bytes.get(..start)?;
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let line_start = line_start.max(start.saturating_sub(MAX_BEFORE));
        let from = bytes.get(start..)?;
        let from = from.get(..MAX_FROM.min(from.len()))?;
        let line_end = from.iter().position(|&byte| byte == b'\n');
        let from = from.get(..line_end.unwrap_or(from.len()))?;
        let length = (span.end.saturating_sub(span.start)) as usize;
        let (inside, after) = from.split_at_checked(length).unwrap_or((from, &[]));
        let mut text = printable(bytes.get(line_start..start)?);
        let start = text.len();
        text.push_str(&printable(inside));
        // An empty place is shown as one column.
        let end = text.len().max(start + 1);
        text.push_str(&printable(after));
        if end > text.len() {
            text.push(' ');
        }
        Some(Self { text, start, end })
    }
}

/// A piece of a line as a terminal can show it.
fn printable(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // The renderer widens tabs.
                '\t' | '"' | '\'' | '\\' => shown.push(character),
                _ => shown.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::frame;
    use crate::apparmor::{
        diagnostic::Diagnostic,
        source::{Sources, Span},
    };

    fn framed(text: &[u8], start: u32, end: u32) -> String {
        let mut sources = Sources::default();
        let file = sources.add("a\u{1b}b".to_owned(), Arc::from(text));
        let diagnostic = Diagnostic::error("code", Span { file, start, end }, "bad \u{7}");
        frame(&sources, &diagnostic.help("better"), false)
    }

    #[test]
    fn the_line_is_shown_with_the_place_marked() {
        let expected = "\
error[code]: bad \\u{7}
 --> a\\u{1b}b:2:5
  |
2 |     /a \\u{1b}[31m\\xff rw,
  |        ^^^^^^^^^^^^^^
  |
  = help: better
";
        assert_eq!(framed(b"x\n\t/a \x1b[31m\xff rw,\ny", 6, 12), expected);
    }

    #[test]
    fn places_at_the_end_and_long_lines_are_shown_too() {
        for (text, start, end) in [
            (&b""[..], 0, 0),
            (b"a", 1, 1),
            (b"a", 5, 9),
            (b"\xf0\x9f", 0, 2),
            (&[b'x'; 10_000], 5_000, 6_000),
            (&[0xcc; 10_000], 5_000, 6_000),
        ] {
            let shown = framed(text, start, end);
            assert!(shown.len() < 2_000, "{shown}");
        }
    }
}
