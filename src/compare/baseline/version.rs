//! The versions of runtimes, as far as templates depend on them.

use std::{fmt, str::FromStr};

/// A version: `2`, `1.7` or `2.1.4`. What distributions and release candidates add is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second; without it, the latest of that major version.
    pub minor: Option<u32>,
    /// The third; without it, the latest of that minor version.
    pub patch: Option<u32>,
}

impl Version {
    /// A version in full.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor: Some(minor),
            patch: Some(patch),
        }
    }

    /// Whether this release is not after the other.
    pub(super) fn at_most(self, other: Self) -> bool {
        self.key() <= other.key()
    }

    /// Greater for what is newer.
    pub(super) fn key(self) -> (u32, u32, u32) {
        let latest = |part: Option<u32>| part.unwrap_or(u32::MAX);
        (self.major, latest(self.minor), latest(self.patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.major)?;
        for part in [self.minor, self.patch].into_iter().flatten() {
            write!(out, ".{part}")?;
        }
        Ok(())
    }
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no version: write one like `2`, `1.7` or `2.1.4`")]
pub struct NoVersion {
    /// The text.
    pub found: String,
}

impl FromStr for Version {
    type Err = NoVersion;

    /// Reads also `v1.30`, and what follows the numbers in `27.0.3-rc.1`, `2.0.5-k3s2`, `1.7.24~ds1` and `28.5.1+1`.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let none = || NoVersion {
            found: text.to_owned(),
        };
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let numbers = numbers.split(['-', '~', '+']).next().unwrap_or(numbers);
        let mut parts = numbers.split('.').map(number);
        let major = parts.next().flatten().ok_or_else(none)?;
        let mut next = || match parts.next() {
            None => Ok(None),
            Some(None) => Err(none()),
            Some(part) => Ok(part),
        };
        let (minor, patch) = (next()?, next()?);
        match next()? {
            None => Ok(Self {
                major,
                minor,
                patch,
            }),
            Some(_) => Err(none()),
        }
    }
}

/// Digits only: `str::parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
