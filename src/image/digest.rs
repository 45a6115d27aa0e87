//! Digests of content: `sha256:` and 64 hexadecimal digits (OCI image specification, "Digests").
//!
//! A digest that was parsed is safe as a file name. Other algorithms are refused: registries and runtimes serve sha256,
//! and what cannot be checked must not be read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// The sha256 of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageDigest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Another algorithm.
    #[error("`{0}` is a digest of an unknown algorithm: `sha256:` is needed")]
    Algorithm(String),
    /// Not 64 hexadecimal digits.
    #[error("`{0}` is no digest: `sha256:` and 64 digits of 0-9 and a-f are needed")]
    Malformed(String),
}

impl ImageDigest {
    /// The digest of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The digest that this hasher has come to.
    pub(crate) fn from_hasher(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The 64 digits, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        self.to_string().split_off(ALGORITHM.len())
    }

    /// As text, ASCII.
    pub(crate) fn text(&self) -> [u8; TEXT] {
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let digits = text.iter_mut().skip(ALGORITHM.len());
        for (place, digit) in digits.zip(hex(&self.0)) {
            *place = digit;
        }
        text
    }
}

/// Bytes as two digits each. Not by `{:02x}`: names and digests are most of what is written of a pod.
pub(crate) fn hex(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |half: u8| {
        if half < 10 {
            b'0' + half
        } else {
            b'a' - 10 + half
        }
    };
    bytes
        .iter()
        .flat_map(move |byte| [digit(byte >> 4), digit(byte & 0xf)])
}

const ALGORITHM: &str = "sha256:";

/// Bytes of a digest as text.
const TEXT: usize = ALGORITHM.len() + 64;

impl FromStr for ImageDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(shown(text));
        let hex = match text.split_once(':') {
            Some(("sha256", hex)) => hex.as_bytes(),
            Some(_) => return Err(DigestError::Algorithm(shown(text))),
            None => return Err(malformed()),
        };
        let mut bytes = [0; 32];
        let (pairs, rest) = hex.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(malformed());
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                return Err(malformed());
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is ASCII.
        out.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<'de> Deserialize<'de> for ImageDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for ImageDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_string())
    }
}

/// A text from outside, short enough for a message and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

/// Lower case only: one digest, one text.
fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DigestError, ImageDigest};

    /// Of no bytes, as `sha256sum </dev/null` prints it.
    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_what_it_prints() {
        let digest: ImageDigest = EMPTY.parse().unwrap();
        assert_eq!(digest, ImageDigest::of(b""));
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest.hex(), EMPTY.split_at(7).1);
    }

    #[test]
    fn rejects_all_else() {
        let hex = "a".repeat(64);
        for text in [
            "",
            "sha256",
            "sha256:",
            &hex,
            &format!("sha256:{hex}0"),
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("sha256:../{}", "a".repeat(61)),
            &format!("sha256:+{}", "a".repeat(63)),
            &format!("sha256:{}é", "a".repeat(62)),
        ] {
            let result = text.parse::<ImageDigest>();
            assert!(
                matches!(result, Err(DigestError::Malformed(_))),
                "{text:?}: {result:?}"
            );
        }
        for text in [format!("sha512:{hex}{hex}"), format!("../x:{hex}")] {
            let result = text.parse::<ImageDigest>();
            assert!(matches!(result, Err(DigestError::Algorithm(_))), "{text:?}");
        }
        let message = format!("sha256:\n{}", "x".repeat(500)).parse::<ImageDigest>();
        let message = message.unwrap_err().to_string();
        assert!(
            !message.contains('\n') && message.chars().count() < 300,
            "{message}"
        );
    }
}
