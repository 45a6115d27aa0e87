//! Zstandard streams of any number of frames (RFC 8878). Frames that are to be skipped carry tables of contents
//! (`zstd:chunked`), which nobody vouches for.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// LIMIT: bytes of a frame's window, all of which are kept in memory. The format asks decoders for 8 MiB; encoders go
/// beyond only when they are told to.
const MAX_WINDOW: u64 = 32 << 20;

/// Decompresses frame after frame.
pub(super) struct Frames<R> {
    from: R,
    decoder: FrameDecoder,
    is_inside: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self {
            from,
            decoder,
            is_inside: false,
        }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.from
    }

    pub(super) fn get_mut(&mut self) -> &mut R {
        &mut self.from
    }

    pub(super) fn into_inner(self) -> R {
        self.from
    }

    /// Goes to the next frame that holds something; tells whether there is one.
    fn start(&mut self) -> io::Result<bool> {
        while !self.from.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.from) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.from).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.is_inside && !self.decoder.is_finished() {
                let blocks = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.from, blocks);
                decoded.map_err(io::Error::other)?;
            } else {
                self.is_inside = self.start()?;
                if !self.is_inside {
                    return Ok(0);
                }
            }
        }
    }
}
