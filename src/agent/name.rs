//! The names of profiles that the agent looks at at all.

use std::{borrow::Borrow, fmt, sync::Arc};

/// LIMIT: bytes of a name. Objects may have 253; with what the agent's own files beside it add, a file name has 255.
const MAX_NAME: usize = 220;

/// A profile's name that an `AppArmorProfile` can have as well: a DNS subdomain, so that it is no path, no hidden file, no
/// namespace and no child of another profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileName(Arc<str>);

impl ProfileName {
    /// The name, if an object can have it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name.len() <= MAX_NAME && is_subdomain(name)).then(|| Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether container runtimes load their own default under this name. They look first whether there is one: whoever is
    /// there before them sets what every other container runs under.
    pub(crate) fn is_of_a_runtime(&self) -> bool {
        let own = ["cri-containerd.apparmor.d", "docker-default", "unconfined"];
        let families = ["containers-default-", "crio-default"];
        own.contains(&self.as_str())
            || families
                .iter()
                .any(|family| self.as_str().starts_with(family))
    }
}

impl Borrow<str> for ProfileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As the API server has it (RFC 1123): labels of lower-case letters, digits and inner dashes, with dots between.
fn is_subdomain(name: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split('.').all(|label| match label.as_bytes() {
        [] => false,
        [only] => is_alphanumeric(*only),
        [first, inner @ .., last] => {
            is_alphanumeric(*first)
                && is_alphanumeric(*last)
                && inner
                    .iter()
                    .all(|byte| is_alphanumeric(*byte) || *byte == b'-')
        }
    })
}

#[cfg(test)]
mod tests {
    use super::ProfileName;

    #[test]
    fn only_names_of_objects_are_names() {
        for name in ["a", "web", "armorgate.redis.4a9eda506fdf8202", "0-a.b"] {
            assert_eq!(ProfileName::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(221);
        for name in [
            "", ".", "..", ".a", "a.", "a..b", "-a", "a-", "A", "a/b", "../a", "/a", "a//b", "a b",
            "a\n", "a\0", "ä", ":a:b", "a_b", &long,
        ] {
            assert_eq!(ProfileName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn runtimes_names_are_known() {
        for (name, expected) in [
            ("cri-containerd.apparmor.d", true),
            ("containers-default-0.62.0", true),
            ("web", false),
        ] {
            assert_eq!(
                ProfileName::parse(name).unwrap().is_of_a_runtime(),
                expected
            );
        }
    }
}
