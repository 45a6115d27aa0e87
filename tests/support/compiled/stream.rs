//! The items of the binary policy: a byte that says what follows, little-endian numbers, names before what they name.

use anyhow::{Context as _, Result, ensure};

/// A reader that takes an item if it is the one asked for, and otherwise stays where it is.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// The name of the next item, if it has one.
    pub(crate) fn peek_name(&self) -> Option<String> {
        let mut ahead = Stream { ..*self };
        ahead.take_byte(NAME).then(|| ahead.sized(Width::Two))??;
        let mut ahead = Stream { ..*self };
        ahead.take_byte(NAME);
        let name = ahead.sized(Width::Two)?;
        Some(String::from_utf8_lossy(name.strip_suffix(&[0])?).into_owned())
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        let bytes = self.number(U16, None, 2)?.context("a 16 bit number")?;
        Ok(u16::from_le_bytes(bytes.try_into()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.optional_u32(None)?.context("a 32 bit number")
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        let bytes = self.number(U64, None, 8)?.context("a 64 bit number")?;
        Ok(u64::from_le_bytes(bytes.try_into()?))
    }

    pub(crate) fn optional_u32(&mut self, name: Option<&str>) -> Result<Option<u32>> {
        let bytes = self.number(U32, name, 4)?;
        Ok(bytes
            .map(TryInto::try_into)
            .transpose()?
            .map(u32::from_le_bytes))
    }

    /// A string without its final NUL; it may have others inside.
    pub(crate) fn string(&mut self, name: Option<&str>) -> Result<Option<Vec<u8>>> {
        if !self.take(STRING, name) {
            return Ok(None);
        }
        let text = self.sized(Width::Two).context("a string is cut off")?;
        Ok(Some(text.strip_suffix(&[0]).unwrap_or(text).to_vec()))
    }

    pub(crate) fn blob(&mut self, name: &str) -> Result<Option<&'a [u8]>> {
        if !self.take(BLOB, Some(name)) {
            return Ok(None);
        }
        self.sized(Width::Four)
            .context("a blob is cut off")
            .map(Some)
    }

    /// The number of elements of an array that starts here.
    pub(crate) fn open_array(&mut self, name: Option<&str>) -> Result<Option<usize>> {
        if !self.take(ARRAY, name) {
            return Ok(None);
        }
        let bytes = self.fixed(2).context("an array is cut off")?;
        Ok(Some(u16::from_le_bytes(bytes.try_into()?).into()))
    }

    pub(crate) fn close_array(&mut self) -> Result<()> {
        ensure!(self.take(ARRAY_END, None), "the array goes on");
        Ok(())
    }

    pub(crate) fn open_struct(&mut self, name: &str) -> bool {
        self.take(STRUCT, Some(name))
    }

    pub(crate) fn close_struct(&mut self) -> Result<()> {
        let ends = self.take(STRUCT_END, None);
        ensure!(ends, "unknown item {:?}", self.peek_name());
        Ok(())
    }

    fn number(&mut self, code: u8, name: Option<&str>, width: usize) -> Result<Option<&'a [u8]>> {
        if !self.take(code, name) {
            return Ok(None);
        }
        self.fixed(width).context("a number is cut off").map(Some)
    }

    /// Takes the code of an item, and before it the name when one is asked for.
    fn take(&mut self, code: u8, name: Option<&str>) -> bool {
        let before = self.position;
        let named = name.is_none_or(|name| {
            let found = self.take_byte(NAME).then(|| self.sized(Width::Two));
            found.flatten().and_then(|found| found.strip_suffix(&[0])) == Some(name.as_bytes())
        });
        let taken = named && self.take_byte(code);
        if !taken {
            self.position = before;
        }
        taken
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let taken = self.bytes.get(self.position) == Some(&byte);
        self.position += usize::from(taken);
        taken
    }

    fn sized(&mut self, width: Width) -> Option<&'a [u8]> {
        let length = match width {
            Width::Two => u16::from_le_bytes(self.fixed(2)?.try_into().ok()?).into(),
            Width::Four => u32::from_le_bytes(self.fixed(4)?.try_into().ok()?),
        };
        self.fixed(length.try_into().ok()?)
    }

    fn fixed(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }
}

#[derive(Debug, Clone, Copy)]
enum Width {
    Two,
    Four,
}

const U16: u8 = 1;
const U32: u8 = 2;
const U64: u8 = 3;
const NAME: u8 = 4;
const STRING: u8 = 5;
const BLOB: u8 = 6;
const STRUCT: u8 = 7;
const STRUCT_END: u8 = 8;
const ARRAY: u8 = 11;
const ARRAY_END: u8 = 12;
