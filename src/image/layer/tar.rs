//! The entries of a tar, one after the other, read as Go's `archive/tar` reads them: what containerd unpacks is what is
//! looked at here. POSIX.1-2001 (PAX) and GNU extensions.
//!
//! The headers' fields are the `tar` crate's business. Its own reading of long names and of extended headers takes
//! whatever memory an archive asks for, so that is done here, within limits.

use std::{
    io::{self, BufRead, Read},
    ops::Range,
};

use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// LIMIT: bytes of an extended header or a long name, as Go has it.
const MAX_EXTENDED: u64 = 1 << 20;

/// An entry.
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A block or character device, a pipe.
    Device,
    Directory,
    File {
        size: u64,
        layout: Layout,
    },
    HardLink(Vec<u8>),
    Link(Vec<u8>),
}

/// How a file's bytes stand in the tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One behind the other.
    Plain,
    /// With holes left out: the bytes are not put together here.
    Sparse,
}

/// Why a tar cannot be read on.
#[derive(Debug)]
pub(crate) enum TarError {
    /// It is broken there.
    Broken(u64, &'static str),
    /// Where it comes from fails.
    Read(io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Reads entry after entry.
pub(crate) struct Entries<'a, R> {
    from: &'a mut R,
    /// Bytes that were read.
    at: u64,
    /// Bytes of the current entry that were not, and the padding behind them.
    content: u64,
    padding: u64,
}

/// What stands in front of an entry to say more about it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a, R: BufRead> Entries<'a, R> {
    pub(crate) fn new(from: &'a mut R) -> Self {
        Self {
            from,
            at: 0,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry; what was not read of the one before is passed by.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let kind = header.entry_type();
            let size = field(&header, 124..136, header.entry_size())
                .map_err(|_| self.broken("its size is no number"))?;
            match kind {
                EntryType::XHeader => {
                    let text = self.extended(size)?;
                    extended.records = records(&text)
                        .ok_or_else(|| self.broken("its extended header is malformed"))?;
                }
                EntryType::GNULongName => extended.name = Some(until_zero(self.extended(size)?)),
                EntryType::GNULongLink => extended.target = Some(until_zero(self.extended(size)?)),
                // Go takes these for themselves only.
                EntryType::XGlobalHeader => self.start(size),
                _ => return self.entry(&header, size, &extended).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        size: u64,
        extended: &Extended,
    ) -> Result<Entry, TarError> {
        let record = |key: &str| {
            let records = extended.records.iter().rev();
            let mut values = records.filter(|(name, _)| name == key.as_bytes());
            // The last one counts; an empty one leaves what the header has.
            values
                .next()
                .map(|(_, value)| value.as_slice())
                .filter(|value| !value.is_empty())
        };
        let number = |key: &str| match record(key) {
            None => Ok(None),
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse::<u64>().ok())
                .map(Some)
                .ok_or("a size in its extended header is no number"),
        };
        let size = number("size")
            .map_err(|what| self.broken(what))?
            .unwrap_or(size);
        let mut real_size = None;
        let mut name = match (&extended.name, record("path")) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path.to_vec(),
            (None, None) => header.path_bytes().into_owned(),
        };
        let target = || match (&extended.target, record("linkpath")) {
            (Some(target), _) => target.clone(),
            (None, Some(path)) => path.to_vec(),
            (None, None) => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        let version = (record("GNU.sparse.major"), record("GNU.sparse.minor"));
        let is_sparse = match version {
            (None, None) => {
                record("GNU.sparse.map").is_some() || record("GNU.sparse.offset").is_some()
            }
            (Some(b"0"), Some(b"0" | b"1")) | (Some(b"1"), Some(b"0")) => true,
            _ => false,
        };
        if is_sparse {
            if let Some(real) = record("GNU.sparse.name") {
                name = real.to_vec();
            }
            let told = number("GNU.sparse.realsize").and_then(|size| match size {
                Some(size) => Ok(Some(size)),
                None => number("GNU.sparse.size"),
            });
            real_size = told.map_err(|what| self.broken(what))?;
        }
        let kind = match header.entry_type() {
            EntryType::Regular if name.ends_with(b"/") && header.as_old().linkflag == [0] => {
                Kind::Directory
            }
            EntryType::Regular => Kind::File {
                size: real_size.unwrap_or(size),
                layout: if is_sparse {
                    Layout::Sparse
                } else {
                    Layout::Plain
                },
            },
            EntryType::GNUSparse => Kind::File {
                size: self.old_sparse(header)?,
                layout: Layout::Sparse,
            },
            EntryType::Link => Kind::HardLink(target()),
            EntryType::Symlink => Kind::Link(target()),
            EntryType::Directory => Kind::Directory,
            EntryType::Block | EntryType::Char | EntryType::Fifo => Kind::Device,
            _ => return Err(self.broken("its entry is of an unknown type")),
        };
        // Only files have bytes, whatever the header says of others.
        match kind {
            Kind::File { .. } => self.start(size),
            _ if header.entry_type() == EntryType::Regular => self.start(size),
            _ => {}
        }
        let mode = field(header, 100..108, header.mode())
            .map_err(|_| self.broken("its mode is no number"))?;
        Ok(Entry {
            name,
            kind,
            mode: mode & 0o7777,
        })
    }

    /// The bytes of the current entry.
    pub(crate) fn content(&mut self) -> Body<'_, 'a, R> {
        Body(self)
    }

    /// Bytes that were read.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// How many bytes of the current entry are left. It is the caller's to pass them by.
    pub(crate) fn pass_by(&mut self) -> u64 {
        let left = self.content.saturating_add(self.padding);
        (self.content, self.padding) = (0, 0);
        left
    }

    /// Where it is read.
    fn broken(&self, what: &'static str) -> TarError {
        TarError::Broken(self.at, what)
    }

    /// An entry's bytes follow, and what fills its last block.
    fn start(&mut self, size: u64) {
        self.content = size;
        self.padding = (512 - size % 512) % 512;
    }

    /// Passes by what is left of an entry.
    fn skip(&mut self) -> Result<(), TarError> {
        let mut left = self.pass_by();
        while left > 0 {
            let here = self.from.fill_buf()?.len();
            if here == 0 {
                return Err(self.broken("it ends inside of a file"));
            }
            let passed = usize::try_from(left).unwrap_or(usize::MAX).min(here);
            self.from.consume(passed);
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            self.at = self.at.saturating_add(passed);
            left = left.saturating_sub(passed);
        }
        Ok(())
    }

    /// A header; nothing at the end.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if is_zero(header.as_bytes()) {
            // Two blocks of zeros are the end. One of them at the very end will do.
            if self.block(header.as_mut_bytes())? && !is_zero(header.as_bytes()) {
                return Err(self.broken("a block of zeros stands among its entries"));
            }
            return Ok(None);
        }
        if is_sum(&header) {
            Ok(Some(header))
        } else {
            Err(self.broken("a header's checksum is wrong"))
        }
    }

    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut read = 0;
        while let Some(rest) = block.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest)? {
                0 if read == 0 => return Ok(false),
                0 => return Err(self.broken("it ends inside of a header")),
                count => read += count,
            }
        }
        self.at = self.at.saturating_add(512);
        Ok(true)
    }

    /// The text of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENDED {
            return Err(self.broken("an extended header is over a mebibyte long"));
        }
        self.start(size);
        let mut text = Vec::new();
        self.content().read_to_end(&mut text)?;
        if u64::try_from(text.len()).ok() == Some(size) {
            Ok(text)
        } else {
            Err(self.broken("it ends inside of an extended header"))
        }
    }

    /// The size of a file of GNU's first kind of sparse files, behind whose header more headers may stand.
    fn old_sparse(&mut self, header: &Header) -> Result<u64, TarError> {
        let sparse = header
            .as_gnu()
            .ok_or_else(|| self.broken("a sparse file has no header of GNU's"))?;
        let size = sparse
            .real_size()
            .map_err(|_| self.broken("its size is no number"))?;
        let mut is_extended = sparse.is_extended();
        while is_extended {
            let mut more = [0; BLOCK];
            if !self.block(&mut more)? {
                return Err(self.broken("it ends inside of a header"));
            }
            // The byte that says that one more follows (`isextended`).
            is_extended = more.get(504).is_some_and(|&flag| flag != 0);
        }
        Ok(size)
    }
}

/// The bytes of an entry that were not read yet.
pub(crate) struct Body<'b, 'a, R>(&'b mut Entries<'a, R>);

impl<R: BufRead> Read for Body<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let entries = &mut *self.0;
        let left = usize::try_from(entries.content).unwrap_or(usize::MAX);
        let buffer = match buffer.len().min(left) {
            0 => return Ok(0),
            count => buffer.get_mut(..count).unwrap_or_default(),
        };
        let count = entries.from.read(buffer)?;
        let counted = u64::try_from(count).unwrap_or(u64::MAX);
        entries.at = entries.at.saturating_add(counted);
        entries.content = entries.content.saturating_sub(counted);
        Ok(count)
    }
}

/// A number of a header. One that is left empty is 0, as Go has it.
fn field<T: Default>(header: &Header, at: Range<usize>, number: io::Result<T>) -> io::Result<T> {
    let bytes = header.as_bytes().get(at).unwrap_or_default();
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    number
}

fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Whether a header's checksum is right: the sum of its bytes with blanks in its own place. Some add signed bytes.
fn is_sum(header: &Header) -> bool {
    let Ok(expected) = header.cksum() else {
        return false;
    };
    let bytes = header.as_bytes().iter().enumerate();
    let bytes = bytes.map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
    let (unsigned, signed) = bytes.fold((0_i64, 0_i64), |(unsigned, signed), byte| {
        (
            unsigned + i64::from(byte),
            signed + i64::from(byte.cast_signed()),
        )
    });
    let expected = i64::from(expected);
    expected == unsigned || expected == signed
}

fn until_zero(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|&byte| byte == 0);
    text.truncate(end.unwrap_or(text.len()));
    text
}

/// The records of an extended header: `LENGTH KEY=VALUE\n`, the length counting all of it. Nothing when it is malformed.
fn records(mut text: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !text.is_empty() {
        let blank = text.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(text.get(..blank)?).ok()?.parse().ok()?;
        let record = text.get(..length)?.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let (key, value) = record.split_at_checked(equals)?;
        if key.is_empty() {
            return None;
        }
        records.push((key.to_vec(), value.get(1..)?.to_vec()));
        text = text.get(length..)?;
    }
    Some(records)
}
