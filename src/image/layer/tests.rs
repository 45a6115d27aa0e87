//! Layers as tools write them, and as nobody should.

use std::{
    fs,
    io::{self, Read, Write as _},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use super::{BlobError, Expected, Layer, LayerError, read};
use crate::image::{
    digest::ImageDigest,
    limits::Limits,
    tree::{Content, Node, Tree, TreeError},
};

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(u64::try_from(size).unwrap());
    header
}

/// A small layer with one of everything.
fn sample() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut file = |name: &str, mode: u32, bytes: &[u8]| {
        let mut header = header(EntryType::Regular, mode, bytes.len());
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    file("./bin/script", 0o4755, b"#!/bin/sh\nexec x\n");
    file("bin/data", 0o644, &[0; 3000]);
    file(&format!("long/{}", "n".repeat(250)), 0o755, b"long");
    for (kind, name, target) in [
        (EntryType::Symlink, "bin/sh", "/bin/script"),
        (EntryType::Link, "bin/other", "bin/script"),
    ] {
        tar.append_link(&mut header(kind, 0o777, 0), name, target)
            .unwrap();
    }
    for (kind, name) in [
        (EntryType::Directory, "folder/"),
        (EntryType::Char, "device"),
        (EntryType::Fifo, "pipe"),
    ] {
        tar.append_data(&mut header(kind, 0o750, 0), name, io::empty())
            .unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A byte at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

/// Fails where it ends.
struct Cut<'a>(&'a [u8]);

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the cable")),
            count => Ok(count),
        }
    }
}

fn read_all(mut blob: &[u8]) -> Result<Layer, LayerError> {
    read(&mut blob, &Expected::default(), &Limits::default())
}

fn tree(layer: Layer) -> Tree {
    Tree::from_layers([layer.tree], &Limits::default()).unwrap()
}

#[test]
fn every_compression_gives_the_same_tree() {
    let plain = sample();
    let (first, second) = plain.split_at(700);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"toc"].concat();
    let expected = read_all(&plain).unwrap();
    assert_eq!(expected.diff_id, ImageDigest::of(&plain));
    assert_eq!(expected.bytes, u64::try_from(plain.len()).unwrap());
    for (name, blob) in [
        ("gzip", gzip(&plain)),
        (
            "gzip members",
            [gzip(first), gzip(second), gzip(b"")].concat(),
        ),
        ("zstd", zstd(&plain)),
        (
            "zstd frames",
            [skipped.clone(), zstd(first), skipped, zstd(second)].concat(),
        ),
    ] {
        assert_eq!(read_all(&blob).unwrap(), expected, "{name}");
        // A byte at a time, as a slow connection gives them.
        let slow = read(&mut Slow(&blob), &Expected::default(), &Limits::default());
        assert_eq!(slow.unwrap(), expected, "{name}");
    }
    let tree = tree(expected);
    let Some(Node::File(script)) = tree.node(b"/bin/script") else {
        panic!("a file")
    };
    assert_eq!((script.mode, script.size), (0o4755, 17));
    assert_eq!(
        script.content,
        Content::Text(b"#!/bin/sh\nexec x\n"[..].into())
    );
    assert_eq!(tree.node(b"/bin/other"), tree.node(b"/bin/script"));
    assert_eq!(tree.resolve(b"/bin/sh").unwrap().path, b"/bin/script");
    assert_eq!(
        tree.node(b"/folder"),
        Some(&Node::Directory { mode: 0o750 })
    );
    assert_eq!(tree.node(b"/device"), Some(&Node::Other { mode: 0o750 }));
    assert_eq!(tree.children(b"/long").next().unwrap().0.len(), 250);
    assert_eq!(tree.len(), 11);
    assert!(read_all(b"").unwrap().tree.is_empty());
}

/// What GNU tar makes of a long name, a sparse file and a name that is no UTF-8, in each of its formats.
#[test]
fn what_gnu_tar_writes_is_read() {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    fs::create_dir(folder.path().join("d".repeat(120))).unwrap();
    fs::write(folder.path().join(&long), "#!/long\n").unwrap();
    symlink(&long, folder.path().join("link")).unwrap();
    let raw = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(folder.path().join(raw), "#!/raw\n").unwrap();
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(10 << 20).unwrap();
    for piece in 0..60 {
        use std::os::unix::fs::FileExt as _;
        sparse.write_at(b"#!/holes\n", piece * 150_000).unwrap();
    }
    fs::write(folder.path().join("z"), "#!/last\n").unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ] {
        let made = Command::new("tar")
            .args(format)
            .args(["--sort=name", "-cf", "-", "-C"])
            .arg(folder.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let tree = tree(read_all(&made.stdout).unwrap());
        let text = |path: &[u8]| match &tree.resolve(path).unwrap().node {
            Node::File(file) => match &file.content {
                Content::Text(text) => (file.size, text.to_vec()),
                Content::Head(head) => (file.size, head.to_vec()),
                Content::Elf(_) => panic!("{path:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(text(b"/link"), (8, b"#!/long\n".to_vec()), "{format:?}");
        assert_eq!(text(b"/\xff\xfe"), (7, b"#!/raw\n".to_vec()));
        assert_eq!(text(b"/z"), (8, b"#!/last\n".to_vec()));
        let (size, head) = text(b"/sparse");
        assert_eq!(size, 10 << 20, "{format:?}");
        assert_eq!(
            head.is_empty(),
            format.len() > 1,
            "holes are not filled: {format:?}"
        );
        assert_eq!(tree.len(), 7);
    }
}

#[test]
fn another_blob_or_plain_tar_is_refused() {
    let plain = sample();
    let blob = gzip(&plain);
    let size = u64::try_from(blob.len()).unwrap();
    let right = Expected {
        digest: Some(ImageDigest::of(&blob)),
        diff_id: Some(ImageDigest::of(&plain)),
        size: Some(size),
    };
    let other = ImageDigest::of(b"other");
    let with = |expected: Expected, mut blob: &[u8]| read(&mut blob, &expected, &Limits::default());
    with(right, &blob).unwrap();

    let error = with(
        Expected {
            digest: Some(other),
            ..right
        },
        &blob,
    )
    .unwrap_err();
    assert!(
        matches!(error, LayerError::Blob(BlobError::Digest { expected, .. }) if expected == other)
    );
    let error = with(
        Expected {
            diff_id: Some(other),
            ..right
        },
        &blob,
    )
    .unwrap_err();
    assert!(matches!(error, LayerError::DiffId { expected, .. } if expected == other));
    for wrong in [size - 1, size + 1] {
        let error = with(
            Expected {
                size: Some(wrong),
                ..right
            },
            &blob,
        )
        .unwrap_err();
        assert!(
            matches!(error, LayerError::Blob(BlobError::Size { .. })),
            "{error:?}"
        );
    }
    // That it is no tar either is no news then.
    let error = with(
        Expected {
            size: None,
            ..right
        },
        &gzip(b"no tar"),
    )
    .unwrap_err();
    assert!(
        matches!(error, LayerError::Blob(BlobError::Digest { .. })),
        "{error:?}"
    );
    // What follows the tar counts.
    let longer = gzip(&[&plain[..], b"more"].concat());
    let expected = Expected {
        diff_id: right.diff_id,
        ..Expected::default()
    };
    let error = with(expected, &longer).unwrap_err();
    assert!(matches!(error, LayerError::DiffId { .. }), "{error:?}");
}

#[test]
fn a_source_that_fails_is_told_from_a_damaged_layer() {
    for (is_plain, whole) in [
        (true, sample()),
        (false, gzip(&sample())),
        (false, zstd(&sample())),
    ] {
        for cut in [0, 3, 20, whole.len() / 2, whole.len() - 1] {
            let read = |blob: &mut dyn Read| read(blob, &Expected::default(), &Limits::default());
            let error = read(&mut Cut(&whole[..cut])).unwrap_err();
            let LayerError::Blob(BlobError::Read(cause)) = error else {
                panic!("{cut}: {error:?}")
            };
            assert_eq!(cause.to_string(), "the cable");
            let cut_off = read(&mut &whole[..cut]);
            match cut_off {
                Err(LayerError::Damaged(_)) if !is_plain => {}
                Err(LayerError::Tar { .. }) if is_plain || cut < 4 => {}
                // A tar may lack the zeros at its end.
                Ok(_) if cut == 0 || is_plain && cut > 10_000 => {}
                other => panic!("{cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn bombs_end_at_their_limits() {
    let zeros = vec![0; 1 << 20];
    let with = |limits: Limits, mut blob: &[u8]| {
        read(&mut blob, &Expected::default(), &limits).unwrap_err()
    };
    let limits = Limits::default();
    let low = Limits {
        ratio: 50,
        ratio_from: 100_000,
        ..limits
    };
    for blob in [gzip(&zeros), zstd(&zeros)] {
        let error = with(low, &blob);
        assert!(matches!(error, LayerError::Ratio(50)), "{error:?}");
    }
    assert!(
        read_all(&gzip(&zeros)).is_ok(),
        "small enough to need no reason"
    );
    let small = Limits {
        layer_bytes: 5000,
        ..limits
    };
    for blob in [gzip(&zeros), zstd(&zeros), sample()] {
        let error = with(small, &blob);
        assert!(matches!(error, LayerError::Large(5000)), "{error:?}");
    }
    let error = with(
        Limits {
            entries: 4,
            ..limits
        },
        &sample(),
    );
    assert!(
        matches!(error, LayerError::Tree(TreeError::Entries(4))),
        "{error:?}"
    );
    // A frame that wants 64 MiB of memory.
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3][..], &[0; 20]].concat();
    assert!(matches!(read_all(&window), Err(LayerError::Damaged(_))));
}

/// Changes a header and makes its checksum right again.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut tar = sample();
    tar[at..at + bytes.len()].copy_from_slice(bytes);
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(&tar[..512]);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    tar
}

#[test]
fn broken_tars_are_errors() {
    let mut checksum = sample();
    checksum[0] = b'x';
    let mut zero_block = vec![0; 512];
    zero_block.extend(sample());
    let extended = |kind: EntryType, text: &[u8]| {
        let mut tar = Builder::new(Vec::new());
        let mut header = header(kind, 0, text.len());
        header.set_cksum();
        tar.append(&header, text).unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(sample());
        bytes
    };
    let big = vec![b'a'; (1 << 20) + 1];
    for (name, tar, message) in [
        ("checksum", checksum, "checksum"),
        ("zeros", zero_block, "a block of zeros"),
        ("size", changed(124, b"zzzz"), "its size"),
        ("mode", changed(100, b"zzzz"), "its mode"),
        (
            "huge",
            changed(124, b"77777777777"),
            "ends inside of a file",
        ),
        ("negative", changed(124, &[0xff; 12]), ""),
        ("type", changed(156, b"M"), "unknown type"),
        (
            "name",
            extended(EntryType::GNULongName, &big),
            "over a mebibyte",
        ),
        (
            "record",
            extended(EntryType::XHeader, b"9 path=a\n99 b=c\n"),
            "malformed",
        ),
        (
            "no blank",
            extended(EntryType::XHeader, b"path=a\n"),
            "malformed",
        ),
        (
            "no end",
            extended(EntryType::XHeader, b"8 path=a"),
            "malformed",
        ),
        (
            "number",
            extended(EntryType::XHeader, b"11 size=-1\n"),
            "no number",
        ),
    ] {
        let error = read_all(&tar).unwrap_err();
        assert!(matches!(error, LayerError::Tar { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(message), "{name}: {error}");
    }
    // Of several records the last counts, and an empty one does not.
    let records = b"9 path=a\n9 path=b\n8 path=\n13 linkpath=\n";
    let tree = tree(read_all(&extended(EntryType::XHeader, records)).unwrap());
    assert!(tree.node(b"/a").is_none() && tree.node(b"/bin/script").is_some());
    let global = read_all(&extended(EntryType::XGlobalHeader, b"9 path=a\n")).unwrap();
    assert_eq!(global.tree, read_all(&sample()).unwrap().tree);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), magic in 0..4_usize) {
        let magic = [&[][..], &[0x1f, 0x8b, 8], &[0x28, 0xb5, 0x2f, 0xfd], &[0x50, 0x2a, 0x4d, 0x18]][magic];
        let _ = read_all(&[magic, &bytes].concat());
    }

    #[test]
    fn no_damage_panics(
        which in 0..3_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut blob = match which {
            0 => sample(),
            1 => gzip(&sample()),
            _ => zstd(&sample()),
        };
        for (at, byte) in damage {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        let _ = read_all(&blob);
    }
}
