//! Lists of hosts, as configuration writes them.

use std::{fmt, str::FromStr};

use crate::image::digest::shown;

/// A host with its port where it is not the usual one, or all hosts below a domain: `registry.example:5000`,
/// `*.registry.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Whether names stand in front of the host.
    is_wildcard: bool,
    /// In lower case, with the port.
    host: String,
}

/// A text that is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host: write `registry.example`, `registry.example:5000` or `*.registry.example`"
)]
pub struct HostPatternError(String);

impl HostPattern {
    /// Whether a host with its port (none when it is the usual one) is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match host.strip_suffix(&self.host) {
            Some(front) if self.is_wildcard => front.len() > 1 && front.ends_with('.'),
            Some(front) => front.is_empty(),
            None => false,
        }
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.is_wildcard
    }

    /// Whether a host is one of these, on whichever port.
    pub(super) fn matches_name(&self, name: &str) -> bool {
        let port = port(&self.host);
        let pattern = Self {
            is_wildcard: self.is_wildcard,
            host: self
                .host
                .get(..self.host.len() - port.len())
                .unwrap_or_default()
                .to_owned(),
        };
        pattern.matches(name)
    }
}

impl HostPatternError {
    pub(super) fn of(text: &str) -> Self {
        Self(shown(text))
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (is_wildcard, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        if !crate::image::reference::is_host(host) {
            return Err(HostPatternError(shown(text)));
        }
        Ok(Self {
            is_wildcard,
            host: host.to_ascii_lowercase(),
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = if self.is_wildcard { "*." } else { "" };
        write!(out, "{front}{}", self.host)
    }
}

/// Whether a list has a host with its port.
pub(super) fn contain(list: &[HostPattern], host: &str) -> bool {
    list.iter().any(|pattern| pattern.matches(host))
}

/// The port of a host, with its colon; empty without one.
fn port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host.ends_with(']') => host.get(at..).unwrap_or_default(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn hosts_match_with_their_ports() {
        for (pattern, host, matches) in [
            ("a.b", "a.b", true),
            ("A.b", "a.B", true),
            ("a.b", "a.b:5000", false),
            ("a.b:5000", "a.b:5000", true),
            ("a.b:5000", "a.b:50001", false),
            ("a.b", "x.a.b", false),
            ("a.b", "xa.b", false),
            ("*.a.b", "x.a.b", true),
            ("*.a.b", "y.x.a.b", true),
            ("*.a.b", "a.b", false),
            ("*.a.b", ".a.b", false),
            ("*.a.b", "xa.b", false),
            ("*.a.b:1", "x.a.b:1", true),
            ("[::1]:5000", "[::1]:5000", true),
        ] {
            let pattern: HostPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(host), matches, "{pattern} {host}");
        }
        let names =
            |pattern: &str, name| pattern.parse::<HostPattern>().unwrap().matches_name(name);
        assert!(names("a.b:5000", "a.b") && names("[::1]:1", "[::1]") && names("[::1]", "[::1]"));
        assert!(!names("a.b:5000", "b") && !names("*.a.b:1", "a.b"));
        for text in ["", "*", "*.", "a.*", "http://a", "a/b", "a:b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
