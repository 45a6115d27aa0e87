//! Where text comes from: files, spans in them, and their lines.

use std::sync::Arc;

/// A file of a [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

impl Span {
    /// From the start of this one to the end of another in the same file.
    #[must_use]
    pub fn to(self, end: Self) -> Self {
        Self {
            end: end.end,
            ..self
        }
    }
}

/// A value and where it stands. Two are equal when their values are, wherever they stand.
#[derive(Clone, Copy, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

/// The files that a policy was read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The name to show.
    pub name: String,
    /// Its bytes.
    pub text: Arc<[u8]>,
    /// Where lines are counted from: at the start of each block.
    marks: Vec<Mark>,
}

/// Bytes from one mark to the next. Marks instead of all lines: a text of newlines alone would take four times its size again.
const BLOCK: usize = 1024;

/// The line that a block starts in.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Counted from 1.
    line: u32,
    /// The offset of its first byte.
    start: u32,
}

impl Mark {
    const FIRST: Self = Self { line: 1, start: 0 };

    /// The line that a text ends in, which starts in this one and at an offset.
    fn after(mut self, text: &[u8], offset: u32) -> Self {
        for (&byte, next) in text.iter().zip(offset.saturating_add(1)..) {
            if byte == b'\n' {
                self.line += 1;
                self.start = next;
            }
        }
        self
    }
}

/// A place that people can find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The file's name.
    pub file: &'a str,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1.
    pub column: usize,
}

impl Sources {
    /// Adds a file. Its text is at most 4 GiB (readers limit it far below that).
    pub fn add(&mut self, name: String, text: Arc<[u8]>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let mut marks = vec![Mark::FIRST];
        for (block, offset) in text.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            let mark = marks.last().map(|mark| mark.after(block, offset));
            marks.extend(mark);
        }
        self.files.push(SourceFile { name, text, marks });
        id
    }

    /// All files, in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// A file that was added.
    #[must_use]
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Where a span starts.
    #[must_use]
    pub fn location(&self, span: Span) -> Option<Location<'_>> {
        let file = self.file(span.file)?;
        let block = span.start as usize / BLOCK;
        let offset = (block * BLOCK).min(file.text.len());
        let before = file.text.get(offset..span.start as usize);
        let before = before.or_else(|| file.text.get(offset..));
        let mark = file.marks.get(block).or(file.marks.last()).copied();
        let mark = mark
            .unwrap_or(Mark::FIRST)
            .after(before.unwrap_or_default(), u32::try_from(offset).ok()?);
        Some(Location {
            file: &file.name,
            line: mark.line as usize,
            column: (span.start - mark.start) as usize + 1,
        })
    }

    /// The text of a span.
    #[must_use]
    pub fn text(&self, span: Span) -> Option<&[u8]> {
        self.file(span.file)?
            .text
            .get(span.start as usize..span.end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_across_blocks() {
        let texts = [
            Vec::new(),
            b"\n".repeat(3 * BLOCK),
            b"a".repeat(2 * BLOCK),
            [b"a".repeat(BLOCK - 1), b"\n".repeat(2), b"b".to_vec()].concat(),
            [b"ab\n".repeat(BLOCK), b"c".repeat(BLOCK)].concat(),
        ];
        for text in texts {
            let mut sources = Sources::default();
            let file = sources.add("a".to_owned(), Arc::from(text.as_slice()));
            let mut line = 1;
            let mut column = 1;
            // The end is a place as well, and what is said to be behind it stands on its line.
            for (start, byte) in (0..).zip(text.iter().map(Some).chain([None, None])) {
                let span = Span {
                    file,
                    start,
                    end: start,
                };
                let place = sources.location(span).unwrap();
                assert_eq!((place.line, place.column), (line, column), "{start}");
                column += 1;
                if byte == Some(&b'\n') {
                    line += 1;
                    column = 1;
                }
            }
        }
    }
}
