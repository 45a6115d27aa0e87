//! What an image was built for: `linux/amd64`, `linux/arm64/v8`.

use std::{fmt, str::FromStr};

/// An operating system, an architecture, and of some architectures a variant, in Go's names for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system: `linux`.
    pub os: String,
    /// The architecture: `amd64`.
    pub architecture: String,
    /// The variant: `v8`.
    pub variant: Option<String>,
}

/// A text that names no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform: write `linux/amd64` or `linux/arm64/v8`")]
pub struct PlatformError(String);

impl Default for Platform {
    /// Linux on the architecture that this program was built for.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }
}

impl Platform {
    /// How well what another platform's image holds runs here, or nothing when it does not: smaller is better.
    ///
    /// Without a wish for a variant any will do, the architecture's usual one first; with one, an entry that names none is
    /// taken for the usual one, as containerd does.
    #[must_use]
    pub(crate) fn distance(&self, offered: &Self) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let usual = self.usual_variant();
        let offered = offered.variant.as_deref().or(usual);
        match self.variant.as_deref() {
            Some(wanted) => (offered == Some(wanted)).then_some(0),
            None if offered == usual => Some(0),
            None => Some(1),
        }
    }

    fn usual_variant(&self) -> Option<&'static str> {
        match self.architecture.as_str() {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            "amd64" => Some("v1"),
            _ => None,
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError(super::digest::shown(text));
        let is_word = |word: &&str| {
            !word.is_empty()
                && word.len() <= 64
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        let words: Vec<&str> = text.split('/').collect();
        if !words.iter().all(is_word) {
            return Err(error());
        }
        let (os, architecture, variant) = match words[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(error()),
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_it_prints_and_rejects_the_rest() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(platform(text).to_string(), text);
        }
        for text in ["", "linux", "linux/", "linux//v8", "a/b/c/d", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_is_matched_as_containerd_does() {
        for (wanted, offered, distance) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v1", Some(0)),
            ("linux/amd64", "linux/amd64/v3", Some(1)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm/v7", "linux/arm", Some(0)),
            ("linux/arm", "linux/arm/v5", Some(1)),
        ] {
            assert_eq!(
                platform(wanted).distance(&platform(offered)),
                distance,
                "{wanted} {offered}"
            );
        }
    }
}
