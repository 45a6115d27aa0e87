//! A blob as it comes from a registry: a connection that is cut is taken up again where it was (RFC 9110, "Range
//! Requests"). What was put together is checked by its digest, like any other blob.

use std::io::{self, Read};

use hyper::body::Bytes;
use reqwest::{Response, StatusCode, header::CONTENT_RANGE};

use super::{
    Registry,
    client::{Ask, Endpoint},
    error::RegistryError,
};
use crate::image::digest::{ImageDigest, shown};

/// Bytes after which a connection that is cut is no trouble: many of them for a large blob are not.
const PROGRESS: u64 = 16 << 20;

/// A blob that is being read.
pub(super) struct RegistryBlob<'a> {
    registry: &'a mut Registry,
    endpoint: Endpoint,
    path: String,
    size: u64,
    answer: Option<Response>,
    piece: Bytes,
    /// Bytes that were given on.
    at: u64,
    /// Bytes that are to be passed by first.
    again: u64,
    resumes_left: u32,
    /// Where the connection was cut last.
    cut: u64,
}

impl<'a> RegistryBlob<'a> {
    pub(super) fn new(
        registry: &'a mut Registry,
        endpoint: Endpoint,
        digest: ImageDigest,
        size: u64,
        answer: Response,
    ) -> Self {
        Self {
            resumes_left: registry.options.attempts,
            registry,
            endpoint,
            path: format!("blobs/{digest}"),
            size,
            answer: Some(answer),
            piece: Bytes::new(),
            at: 0,
            again: 0,
            cut: 0,
        }
    }

    /// The next piece; an empty one at the end.
    fn next(&mut self) -> Result<Bytes, RegistryError> {
        loop {
            if self.at >= self.size {
                return Ok(Bytes::new());
            }
            let piece = match &mut self.answer {
                None => None,
                Some(answer) => match self.registry.piece(&self.endpoint.host, answer) {
                    Ok(piece) => piece,
                    Err(error) if error.is_passing() => None,
                    Err(error) => return Err(error),
                },
            };
            let Some(mut piece) = piece.filter(|piece| !piece.is_empty()) else {
                self.resume()?;
                continue;
            };
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let passed = self.again.min(length);
            self.again = self.again.saturating_sub(passed);
            let piece = piece.split_off(
                usize::try_from(passed)
                    .unwrap_or(usize::MAX)
                    .min(piece.len()),
            );
            self.at = self.at.saturating_add(length.saturating_sub(passed));
            if !piece.is_empty() {
                return Ok(piece);
            }
        }
    }

    /// Asks for the rest.
    fn resume(&mut self) -> Result<(), RegistryError> {
        self.answer = None;
        if self.at.saturating_sub(self.cut) >= PROGRESS {
            self.resumes_left = self.registry.options.attempts;
        }
        self.cut = self.at;
        let cut = RegistryError::Cut {
            host: shown(&self.endpoint.host),
            at: self.at,
            size: self.size,
        };
        let Some(left) = self.resumes_left.checked_sub(1) else {
            return Err(cut);
        };
        self.resumes_left = left;
        let ask = Ask {
            path: &self.path,
            accept: &[],
            from: self.at,
        };
        let answer = self.registry.ask(&self.endpoint, ask)?;
        self.again = match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, self.at) => 0,
            StatusCode::PARTIAL_CONTENT => return Err(cut),
            // The whole blob, as from registries that know no ranges.
            _ => self.at,
        };
        self.answer = Some(answer);
        Ok(())
    }
}

impl Read for RegistryBlob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.next().map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.piece.len());
        let taken = self.piece.split_to(count);
        if let Some(part) = buffer.get_mut(..count) {
            part.copy_from_slice(&taken);
        }
        Ok(count)
    }
}

/// Whether a part of a blob is the one that was asked for.
fn starts_at(answer: &Response, at: u64) -> bool {
    let range = answer
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    start.and_then(|start| start.parse().ok()) == Some(at)
}
