//! Reading a request's body within bounds of size, time and memory of all requests together.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
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
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    /// Bytes of one body.
    most: usize,
    /// How long reading one may take.
    at_most: Duration,
    /// Memory for the bodies of all requests, in units.
    budget: Arc<Semaphore>,
}

/// Bytes that one permit of the budget stands for.
const UNIT: usize = 1024;

impl BodyReader {
    /// A reader of bodies of up to `most` bytes, all of them together up to `together` bytes.
    pub(super) fn new(most: usize, together: usize, at_most: Duration) -> Self {
        Self {
            most,
            at_most,
            budget: Arc::new(Semaphore::new(together.div_ceil(UNIT))),
        }
    }

    /// Reads a body. Keep the permit as long as the bytes.
    pub(super) async fn read(
        &self,
        body: &mut Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), BodyError> {
        // A length that was not told is taken for the longest.
        let length = body.size_hint().exact().map_or(self.most, |length| {
            usize::try_from(length).unwrap_or(usize::MAX)
        });
        if length > self.most {
            return Err(BodyError::TooLarge(self.most));
        }
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.budget)
            .try_acquire_many_owned(units)
            .map_err(|_| BodyError::Busy)?;
        let whole = tokio::time::timeout(self.at_most, Limited::new(body, self.most).collect());
        match whole.await {
            Ok(Ok(collected)) => Ok((collected.to_bytes(), permit)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(self.most)),
            Ok(Err(_)) => Err(BodyError::Broken),
            Err(_) => Err(BodyError::Slow),
        }
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
