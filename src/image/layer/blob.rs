//! A blob's bytes as they come, counted towards its size and digest.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::image::digest::ImageDigest;

/// A blob that cannot be read, or is another one than it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// Other bytes.
    #[error("the blob's digest is {found}, and {expected} was asked for")]
    Digest {
        /// What it should be.
        expected: ImageDigest,
        /// What it is.
        found: ImageDigest,
    },
    /// Where it comes from fails.
    #[error("the blob cannot be read to its end")]
    Read(#[source] io::Error),
    /// More bytes, or fewer.
    #[error("the blob {expected} bytes long has {found}{}", if found > expected { " or more" } else { "" })]
    Size {
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
}

/// A blob that is checked while it is read.
pub(super) struct Blob<'a> {
    from: &'a mut dyn Read,
    hasher: Sha256,
    read: u64,
    expected: Option<ImageDigest>,
    size: Option<u64>,
    /// What went wrong. Decompressors say less about it.
    failed: Option<BlobError>,
}

impl<'a> Blob<'a> {
    pub(super) fn new(
        from: &'a mut dyn Read,
        expected: Option<ImageDigest>,
        size: Option<u64>,
    ) -> Self {
        Self {
            from,
            hasher: Sha256::new(),
            read: 0,
            expected,
            size,
            failed: None,
        }
    }

    /// How many bytes were read.
    pub(super) fn bytes(&self) -> u64 {
        self.read
    }

    /// What went wrong while it was read.
    pub(super) fn failure(&mut self) -> Option<BlobError> {
        self.failed.take()
    }

    /// Reads what is left, then compares. The digest comes first: with the right one the size is right as well.
    pub(super) fn finish(mut self) -> Result<(), BlobError> {
        let mut buffer = vec![0; super::BUFFER];
        while self.failed.is_none() && !matches!(self.read(&mut buffer), Ok(0)) {}
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if let Some(expected) = self.size
            && self.read != expected
        {
            return Err(BlobError::Size {
                expected,
                found: self.read,
            });
        }
        let found = ImageDigest::from_hasher(self.hasher);
        match self.expected {
            Some(expected) if expected != found => Err(BlobError::Digest { expected, found }),
            _ => Ok(()),
        }
    }

    fn fail(&mut self, error: BlobError) -> io::Error {
        self.failed = Some(error);
        io::Error::other("see what failed")
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.from.read(buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(BlobError::Read(error))),
            }
        };
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.read = self
            .read
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        match self.size {
            Some(expected) if self.read > expected => Err(self.fail(BlobError::Size {
                expected,
                found: self.read,
            })),
            _ => Ok(count),
        }
    }
}
