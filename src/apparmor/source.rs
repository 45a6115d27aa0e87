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
    /// Offsets at which its lines start.
    lines: Vec<u32>,
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
        let lines = std::iter::once(0)
            .chain(
                text.iter()
                    .zip(1_u32..)
                    .filter(|&(&byte, _)| byte == b'\n')
                    .map(|(_, next)| next),
            )
            .collect();
        self.files.push(SourceFile { name, text, lines });
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
        let line = file.lines.partition_point(|&start| start <= span.start);
        let start = line
            .checked_sub(1)
            .and_then(|index| file.lines.get(index))
            .copied()
            .unwrap_or(0);
        Some(Location {
            file: &file.name,
            line,
            column: (span.start - start) as usize + 1,
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
