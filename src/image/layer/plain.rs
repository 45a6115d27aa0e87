//! A layer's plain tar out of its blob: decompressed, counted, limited.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::{BUFFER, LayerError, blob::Blob, zstd::Frames};
use crate::image::{digest::ImageDigest, limits::Limits};

/// A blob whose first bytes were looked at.
type Source<'a> = Chain<Cursor<Vec<u8>>, BufReader<Blob<'a>>>;

enum Decoder<'a> {
    /// Any number of gzip members: builders compress in parallel, and eStargz compresses file by file.
    Gzip(Box<MultiGzDecoder<Source<'a>>>),
    Plain(Box<Source<'a>>),
    Zstd(Box<Frames<Source<'a>>>),
}

/// The plain tar, as it comes.
pub(super) struct Plain<'a> {
    decoder: Decoder<'a>,
    buffer: Vec<u8>,
    /// What of the buffer was not taken yet.
    start: usize,
    end: usize,
    hasher: Sha256,
    bytes: u64,
    limits: &'a Limits,
    failed: Option<LayerError>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(blob: Blob<'a>, limits: &'a Limits) -> Result<Self, LayerError> {
        let mut blob = BufReader::with_capacity(BUFFER, blob);
        let mut first = Vec::new();
        if let Err(error) = (&mut blob).take(4).read_to_end(&mut first) {
            return Err(told(blob.get_mut(), &error));
        }
        let kind = first.clone();
        let source = Cursor::new(first).chain(blob);
        let decoder = match kind[..] {
            [0x1f, 0x8b, ..] => Decoder::Gzip(Box::new(MultiGzDecoder::new(source))),
            // A frame, or one to be skipped in front of it.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                Decoder::Zstd(Box::new(Frames::new(source)))
            }
            _ => Decoder::Plain(Box::new(source)),
        };
        Ok(Self {
            decoder,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            hasher: Sha256::new(),
            bytes: 0,
            limits,
            failed: None,
        })
    }

    /// What an error that came out of here was about.
    pub(super) fn error(&mut self, error: &io::Error) -> LayerError {
        match self.failed.take() {
            Some(failed) => failed,
            None => told(self.blob_mut(), error),
        }
    }

    /// Reads what is left.
    pub(super) fn read_to_end(&mut self) -> io::Result<()> {
        loop {
            let left = self.fill_buf()?.len();
            if left == 0 {
                return Ok(());
            }
            self.consume(left);
        }
    }

    /// How many bytes there were, their digest, and the blob they came from.
    pub(super) fn finish(self) -> (u64, ImageDigest, Blob<'a>) {
        let (_, blob) = match self.decoder {
            Decoder::Gzip(decoder) => decoder.into_inner().into_inner(),
            Decoder::Plain(source) => source.into_inner(),
            Decoder::Zstd(frames) => frames.into_inner().into_inner(),
        };
        (
            self.bytes,
            ImageDigest::from_hasher(self.hasher),
            blob.into_inner(),
        )
    }

    fn blob_mut(&mut self) -> &mut Blob<'a> {
        let source = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Plain(source) => source,
            Decoder::Zstd(frames) => frames.get_mut(),
        };
        source.get_mut().1.get_mut()
    }

    fn blob(&self) -> &Blob<'a> {
        let source = match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Plain(source) => source,
            Decoder::Zstd(frames) => frames.get_ref(),
        };
        source.get_ref().1.get_ref()
    }

    fn fail(&mut self, error: LayerError) -> io::Error {
        self.failed = Some(error);
        io::Error::other("see what failed")
    }
}

impl BufRead for Plain<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            let count = match &mut self.decoder {
                Decoder::Gzip(decoder) => decoder.read(&mut self.buffer)?,
                Decoder::Plain(source) => source.read(&mut self.buffer)?,
                Decoder::Zstd(frames) => frames.read(&mut self.buffer)?,
            };
            (self.start, self.end) = (0, count);
            self.hasher
                .update(self.buffer.get(..count).unwrap_or_default());
            self.bytes = self
                .bytes
                .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if self.bytes > self.limits.layer_bytes {
                return Err(self.fail(LayerError::Large(self.limits.layer_bytes)));
            }
            let grown = self.blob().bytes().saturating_mul(self.limits.ratio);
            if self.bytes > self.limits.ratio_from && self.bytes > grown {
                return Err(self.fail(LayerError::Ratio(self.limits.ratio)));
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

fn told(blob: &mut Blob<'_>, error: &io::Error) -> LayerError {
    match blob.failure() {
        Some(failure) => failure.into(),
        None => LayerError::Damaged(error.to_string()),
    }
}
