//! What the kernel asks an ELF file before it starts it: its kind, and the program that loads it. Program headers only
//! (ELF specification, and `fs/binfmt_elf.c` for what the kernel insists on).
//!
//! The file is read once and forwards: of a file whose headers stand behind what they speak of nothing is known.

use std::{
    io::{self, Read},
    sync::Arc,
};

use super::tree::{Elf, ElfKind, Linkage};

const MAGIC: &[u8] = b"\x7fELF";

/// LIMIT: bytes of the table of program headers, as the kernel has it.
const MAX_TABLE: usize = 65_536;

/// LIMIT: bytes of the interpreter's path (`PATH_MAX`).
const MAX_INTERPRETER: usize = 4096;

/// Whether these are the first bytes of an ELF file.
pub(crate) fn is_elf(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads what counts, of a file's first bytes and a reader of the rest. Nothing when no kernel would start it so.
pub(crate) fn read(head: &[u8], rest: &mut dyn Read) -> io::Result<Option<Elf>> {
    let mut file = Forward {
        bytes: head.to_vec(),
        start: 0,
        rest,
    };
    let Some(header) = file.slice(0, 64)? else {
        return Ok(None);
    };
    let Some(header) = Header::parse(&header) else {
        return Ok(None);
    };
    let entry_size = header.class.entry_size();
    let table_size = usize::from(header.entries) * entry_size;
    if usize::from(header.entry_size) != entry_size || table_size == 0 || table_size > MAX_TABLE {
        return Ok(None);
    }
    let Some(table) = file.slice(header.table, table_size)? else {
        return Ok(None);
    };
    let mut interpreter = None;
    let mut linkage = Linkage::Static;
    for entry in table.chunks_exact(entry_size) {
        match header.number(entry, 0, 4) {
            Some(DYNAMIC) => linkage = Linkage::Dynamic,
            // The first one counts.
            Some(INTERPRETER) if interpreter.is_none() => {
                let (offset, size) = header.class.extent();
                let width = header.class.width();
                interpreter = header
                    .number(entry, offset, width)
                    .zip(header.number(entry, size, width));
            }
            _ => {}
        }
    }
    let interpreter = match interpreter {
        None => None,
        Some((offset, size)) => {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if !(2..=MAX_INTERPRETER).contains(&size) {
                return Ok(None);
            }
            // The path ends with a zero byte, and the kernel insists on it.
            match file.slice(offset, size)?.as_deref() {
                Some([path @ .., 0]) => {
                    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
                    Some(Arc::from(path))
                }
                _ => return Ok(None),
            }
        }
    };
    Ok(Some(Elf {
        interpreter,
        kind: header.kind,
        linkage,
    }))
}

/// Types of program headers.
const DYNAMIC: u64 = 2;
const INTERPRETER: u64 = 3;

#[derive(Clone, Copy)]
enum Class {
    Bits32,
    Bits64,
}

impl Class {
    /// Bytes of an address or offset.
    fn width(self) -> usize {
        match self {
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }

    /// Bytes of a program header.
    fn entry_size(self) -> usize {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 56,
        }
    }

    /// Where a program header has its part's offset and size.
    fn extent(self) -> (usize, usize) {
        match self {
            Self::Bits32 => (4, 16),
            Self::Bits64 => (8, 32),
        }
    }
}

#[derive(Clone, Copy)]
enum ByteOrder {
    Big,
    Little,
}

struct Header {
    class: Class,
    order: ByteOrder,
    kind: ElfKind,
    table: u64,
    entry_size: u16,
    entries: u16,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let class = match bytes.get(4)? {
            1 => Class::Bits32,
            2 => Class::Bits64,
            _ => return None,
        };
        let order = match bytes.get(5)? {
            1 => ByteOrder::Little,
            2 => ByteOrder::Big,
            _ => return None,
        };
        let number = |at: usize, width: usize| number(order, bytes, at, width);
        let short = |at: usize| number(at, 2).and_then(|value| u16::try_from(value).ok());
        let (table, sizes) = match class {
            Class::Bits32 => (28, 42),
            Class::Bits64 => (32, 54),
        };
        Some(Self {
            class,
            order,
            kind: match number(16, 2)? {
                2 => ElfKind::Executable,
                3 => ElfKind::SharedObject,
                _ => ElfKind::Other,
            },
            table: number(table, class.width())?,
            entry_size: short(sizes)?,
            entries: short(sizes + 2)?,
        })
    }

    fn number(&self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        number(self.order, bytes, at, width)
    }
}

fn number(order: ByteOrder, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Some(match order {
        ByteOrder::Big => bytes.iter().fold(0, join),
        ByteOrder::Little => bytes.iter().rev().fold(0, join),
    })
}

/// A file that is read forwards.
struct Forward<'a> {
    /// The last bytes that were read, and where they stand.
    bytes: Vec<u8>,
    start: u64,
    rest: &'a mut dyn Read,
}

impl Forward<'_> {
    /// Some bytes of the file; nothing when it ends before them, or they were passed by.
    fn slice(&mut self, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut skipped) = offset.checked_sub(self.start) else {
            return Ok(None);
        };
        let held = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        if skipped > held {
            // Far behind: the bytes up to there are let go.
            let between = skipped - held;
            let passed = io::copy(&mut (&mut *self.rest).take(between), &mut io::sink())?;
            if passed < between {
                return Ok(None);
            }
            self.bytes.clear();
            self.start = offset;
            skipped = 0;
        }
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let end = skipped.saturating_add(length);
        if let Some(missing) = end.checked_sub(self.bytes.len()) {
            let missing = u64::try_from(missing).unwrap_or(u64::MAX);
            (&mut *self.rest)
                .take(missing)
                .read_to_end(&mut self.bytes)?;
        }
        Ok(self.bytes.get(skipped..end).map(<[u8]>::to_vec))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::{ElfKind, Linkage, read};
    use crate::image::tree::Elf;

    fn elf(bytes: &[u8], head: usize) -> Option<Elf> {
        let (head, mut rest) = bytes.split_at(head.min(bytes.len()));
        read(head, &mut rest).unwrap()
    }

    /// This test program: linked at start, loadable anywhere.
    #[test]
    fn a_real_program_is_read() {
        let mut bytes = Vec::new();
        let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        program.take(1 << 20).read_to_end(&mut bytes).unwrap();
        let found = elf(&bytes, 4096).unwrap();
        assert_eq!(found.kind, ElfKind::SharedObject);
        assert_eq!(found.linkage, Linkage::Dynamic);
        let interpreter = found.interpreter.as_deref().unwrap();
        assert!(interpreter.starts_with(b"/lib"), "{interpreter:?}");
        assert_eq!(elf(&bytes, 4), Some(found), "however it is read");
    }

    /// A file of either class and byte order whose interpreter stands far behind, or nowhere.
    fn made(class: u8, order: u8, kind: u16, interpreter: Option<(usize, &[u8])>) -> Vec<u8> {
        let wide = class == 2;
        let put = |bytes: &mut Vec<u8>, at: usize, width: usize, value: u64| {
            let mut number = value.to_le_bytes()[..width].to_vec();
            if order == 2 {
                number.reverse();
            }
            bytes[at..at + width].copy_from_slice(&number);
        };
        let (width, entry) = if wide { (8, 56) } else { (4, 32) };
        let mut bytes = vec![0; 128 + entry];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
        put(&mut bytes, 16, 2, u64::from(kind));
        put(&mut bytes, if wide { 32 } else { 28 }, width, 128);
        put(&mut bytes, if wide { 54 } else { 42 }, 2, entry as u64);
        put(&mut bytes, if wide { 56 } else { 44 }, 2, 1);
        if let Some((at, path)) = interpreter {
            put(&mut bytes, 128, 4, 3);
            put(&mut bytes, 128 + if wide { 8 } else { 4 }, width, at as u64);
            put(
                &mut bytes,
                128 + if wide { 32 } else { 16 },
                width,
                path.len() as u64,
            );
            bytes.resize(bytes.len().max(at + path.len()), 0);
            bytes[at..at + path.len()].copy_from_slice(path);
        } else {
            put(&mut bytes, 128, 4, 1);
        }
        bytes
    }

    #[test]
    fn both_classes_and_byte_orders_are_read() {
        for class in [1, 2] {
            for order in [1, 2] {
                let found = elf(&made(class, order, 2, Some((9000, b"/l/ld.so\0"))), 64).unwrap();
                assert_eq!(found.interpreter.as_deref(), Some(&b"/l/ld.so"[..]));
                assert_eq!(found.kind, ElfKind::Executable);
                let found = elf(&made(class, order, 3, None), 4096).unwrap();
                assert_eq!((found.interpreter, found.linkage), (None, Linkage::Static));
                assert_eq!(
                    elf(&made(class, order, 1, None), 64).unwrap().kind,
                    ElfKind::Other
                );
            }
        }
    }

    #[test]
    fn what_no_kernel_starts_is_none() {
        let fine = made(2, 1, 2, Some((9000, b"/l\0")));
        assert!(elf(&fine, 64).is_some());
        for (at, byte) in [(4, 3), (5, 0), (54, 55), (56, 0), (57, 0xff), (39, 0xff)] {
            let mut broken = fine.clone();
            broken[at] = byte;
            assert_eq!(elf(&broken, 64), None, "byte {at}");
        }
        assert_eq!(elf(&fine[..9001], 64), None, "cut off");
        assert_eq!(elf(&fine[..100], 64), None);
        assert_eq!(
            elf(&made(2, 1, 2, Some((9000, b"/l"))), 64),
            None,
            "no zero byte"
        );
        assert_eq!(
            elf(&made(2, 1, 2, Some((8, b"\0\0"))), 64).map(|_| ()),
            None
        );
        let header_behind = {
            let mut bytes = made(2, 1, 2, Some((200, b"/l\0")));
            let table: Vec<u8> = bytes[128..184].to_vec();
            bytes.resize(20_000, 0);
            bytes.extend(table);
            bytes[32..40].copy_from_slice(&20_000_u64.to_le_bytes());
            bytes
        };
        assert_eq!(elf(&header_behind, 64), None);
        assert!(elf(&header_behind, 20_100).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            fix in any::<bool>(),
            head in 0..400_usize,
        ) {
            if fix && bytes.len() > 60 {
                bytes[..4].copy_from_slice(b"\x7fELF");
                bytes[4] = 1 + bytes[4] % 2;
                bytes[5] = 1 + bytes[5] % 2;
                bytes[54] = 56;
                bytes[55] = 0;
            }
            let _ = elf(&bytes, head);
        }
    }
}
