//! The files that cases are made of.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Result;

/// Text that is made when it is written: all of it together would take a gigabyte.
pub(super) enum Content {
    Noise(usize),
    Repeated {
        front: String,
        middle: String,
        count: usize,
        back: String,
    },
    /// Lines of a profile.
    Rules(usize, Box<dyn Fn(usize) -> String + Send>),
    /// Zeros, so many.
    Sparse(u64),
    Text(Vec<u8>),
}

impl Content {
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path)?;
        if let Self::Sparse(bytes) = self {
            return Ok(file.set_len(*bytes)?);
        }
        let mut out = BufWriter::new(file);
        match self {
            Self::Noise(bytes) => {
                let mut state = 1_u64;
                for _ in 0..bytes / 8 {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    out.write_all(&state.to_le_bytes())?;
                }
            }
            Self::Repeated {
                front,
                middle,
                count,
                back,
            } => {
                out.write_all(front.as_bytes())?;
                for _ in 0..*count {
                    out.write_all(middle.as_bytes())?;
                }
                out.write_all(back.as_bytes())?;
            }
            Self::Rules(count, rule) => {
                // The line that keeps sockets from being permitted.
                out.write_all(b"abi <abi/3.0>,\nprofile p {\n")?;
                for index in 0..*count {
                    writeln!(out, "  {}", rule(index))?;
                }
                out.write_all(b"}\n")?;
            }
            Self::Sparse(_) => {}
            Self::Text(text) => out.write_all(text)?,
        }
        Ok(out.flush()?)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text.into_bytes())
    }
}

impl<const N: usize> From<&[u8; N]> for Content {
    fn from(text: &[u8; N]) -> Self {
        Self::Text(text.to_vec())
    }
}

pub(super) fn repeated(front: &str, middle: &str, count: usize, back: &str) -> Content {
    Content::Repeated {
        front: front.to_owned(),
        middle: middle.to_owned(),
        count,
        back: back.to_owned(),
    }
}

/// A profile of one rule after the other.
pub(super) fn rules(count: usize, rule: impl Fn(usize) -> String + Send + 'static) -> Content {
    Content::Rules(count, Box::new(rule))
}

/// A profile whose rules are one piece again and again, 16 MiB of it.
pub(super) fn full(piece: &str) -> Content {
    repeated("profile p {\n", piece, MOST / piece.len(), "}\n")
}

/// Lines, one for each number.
pub(super) fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for index in 0..count {
        text.push_str(&line(index));
        text.push('\n');
    }
    text
}

/// `{0,{1,{2,x}}}`
pub(super) fn nested(depth: usize) -> String {
    let mut text = lines(depth, |index| format!("{{{index},")).replace('\n', "");
    text.push('x');
    text + &"}".repeat(depth)
}

pub(super) fn values(count: usize) -> String {
    lines(count, |index| format!(" {index}")).replace('\n', "")
}

/// 16 MiB, less a little.
pub(super) const MOST: usize = (16 << 20) - 1024;
