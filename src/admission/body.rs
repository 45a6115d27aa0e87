//! Reading a request's body within bounds of size, time and memory of all requests together.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body broke off")]
    Broken,
    #[error("too many bytes are being read already, try again")]
    Busy,
    #[error("the body took too long")]
    Slow,
    #[error("the body is over {0} bytes")]
    TooLarge(usize),
}

/// How much is read, and how long that may take.
///
/// Memory is counted as bytes arrive, not as they are announced: who announces much and sends little takes little. The
/// first part of every body has a budget of its own, so that a few large bodies never keep small ones out.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    /// Bytes of one body.
    most: usize,
    /// How long reading one may take.
    at_most: Duration,
    /// Memory for the first [`SMALL`] bytes of all bodies, in units.
    small: Arc<Semaphore>,
    /// Memory for the rest of them, in units.
    large: Arc<Semaphore>,
}

/// A body, and the memory it is allowed to take for as long as it lives.
#[derive(Debug)]
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    _memory: Vec<OwnedSemaphorePermit>,
}

/// Bytes that one permit of a budget stands for.
const UNIT: usize = 1024;

/// Bytes of a small body: most pods have less than a quarter of it.
const SMALL: usize = 64 * 1024;

/// LIMIT: memory for small bodies.
const SMALL_TOGETHER: usize = 8 << 20;

impl BodyReader {
    /// A reader of bodies of up to `most` bytes, what is not small of them together up to `together` bytes.
    pub(super) fn new(most: usize, together: usize, at_most: Duration) -> Self {
        let budget = |bytes: usize| Arc::new(Semaphore::new(bytes.div_ceil(UNIT)));
        Self {
            most,
            at_most,
            small: budget(SMALL_TOGETHER),
            large: budget(together),
        }
    }

    /// Reads a body.
    pub(super) async fn read(&self, body: &mut Body) -> Result<ReadBody, BodyError> {
        let announced = body.size_hint().lower();
        if usize::try_from(announced).map_or(true, |announced| announced > self.most) {
            return Err(BodyError::TooLarge(self.most));
        }
        let whole = tokio::time::timeout(self.at_most, self.read_frames(body));
        whole.await.unwrap_or(Err(BodyError::Slow))
    }

    async fn read_frames(&self, body: &mut Body) -> Result<ReadBody, BodyError> {
        let mut memory = Vec::new();
        let mut frames: Vec<Bytes> = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
                continue;
            };
            length += data.len();
            if length > self.most {
                return Err(BodyError::TooLarge(self.most));
            }
            memory.push(self.reserve(data.len(), length)?);
            frames.push(data);
        }
        let bytes = match frames.as_mut_slice() {
            [one] => std::mem::take(one),
            frames => frames.concat().into(),
        };
        Ok(ReadBody {
            bytes,
            _memory: memory,
        })
    }

    /// Memory for a frame that brings the body to this length. Every frame counts a unit at least, for its own bookkeeping.
    fn reserve(&self, frame: usize, length: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let budget = if length <= SMALL {
            &self.small
        } else {
            &self.large
        };
        let units = u32::try_from(frame.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        Arc::clone(budget)
            .try_acquire_many_owned(units)
            .map_err(|_| BodyError::Busy)
    }
}

/// Reads on and keeps nothing, for a while: who is still sending would otherwise get a reset connection instead of the
/// answer.
pub(super) async fn discard(mut body: Body) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(MAX_DISCARD, rest).await;
}

/// LIMIT: how long a body is read that nobody wants.
const MAX_DISCARD: Duration = Duration::from_secs(2);
