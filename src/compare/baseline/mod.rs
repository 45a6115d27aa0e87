//! The runtimes' default profiles: what a container runs under that asks for nothing.
//!
//! "The default" is a family. Each runtime generates its profile from a template of its own, changes the template between
//! releases, and lets the host's AppArmor files shape it too; a [`Baseline`] names one member. The texts are Armorgate's,
//! written from what the templates permit and forbid (moby's `profiles/apparmor`, containerd's `contrib/apparmor`,
//! `pkg/apparmor` of containers/common, which Podman and CRI-O share).
//!
//! Not here: what an administrator may have put in the default's place (`apparmor_profile` in crio.conf, Docker 29.8's own
//! templates, the patched profiles of some distributions).

mod eras;
mod runtime;
mod template;
mod version;

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::Deserialize;

pub use eras::Era;
pub use runtime::Runtime;
pub use template::{AbiLine, ProcessPattern, PtraceWithin, Rules, Sender, Template};
pub use version::{NoVersion, Version};

/// A runtime's default profile: `RUNTIME[@VERSION][:bare]`, such as `containerd`, `crio@1.33` or `docker@29.4.3:bare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Baseline {
    /// The runtime.
    pub runtime: Runtime,
    /// Its version; without one, the newest template known.
    pub version: Option<Version>,
    /// Whether the host has no `/etc/apparmor.d`: templates include `abstractions/base` where they find it, which comes along
    /// wherever a distribution's package brought `apparmor_parser`.
    pub bare: bool,
}

impl Baseline {
    /// The default of a runtime's newest known version, on a host with AppArmor's usual files.
    #[must_use]
    pub const fn newest(runtime: Runtime) -> Self {
        Self {
            runtime,
            version: None,
            bare: false,
        }
    }

    /// The baseline of a Kubernetes node, by its `status.nodeInfo.containerRuntimeVersion`: `containerd://2.1.4`.
    ///
    /// `None` for another runtime, and for a version that is none: the newest template may forbid less than the node's.
    #[must_use]
    pub fn from_node(container_runtime_version: &str) -> Option<Self> {
        let (scheme, version) = container_runtime_version.split_once("://")?;
        let runtime = match scheme {
            "containerd" => Runtime::Containerd,
            "cri-o" => Runtime::Crio,
            // cri-dockerd: Docker's own version.
            "docker" => Runtime::Docker,
            _ => return None,
        };
        Some(Self {
            version: Some(version.parse().ok()?),
            ..Self::newest(runtime)
        })
    }

    /// The first release with the same template: what stands for all that have it. Before all known changes that is 0.0.0.
    #[must_use]
    pub fn first_alike(self) -> Self {
        let rules = self.runtime.rules(self.version);
        let mut eras = self.runtime.eras();
        let since = eras
            .find(|era| era.rules == rules)
            .and_then(|era| era.since);
        Self {
            version: Some(since.unwrap_or(Version::new(0, 0, 0))),
            ..self
        }
    }

    /// An order of releases ([`Self::first_alike`]) in which a runtime's older ones come first.
    pub(crate) fn by_age(&self, other: &Self) -> Ordering {
        let key = |baseline: &Self| {
            let age = baseline.version.map(Version::key);
            (baseline.runtime, age, baseline.bare)
        };
        key(self).cmp(&key(other))
    }

    /// The template that this version generates the profile from.
    #[must_use]
    pub fn template(self) -> Template {
        Template {
            runtime: self.runtime,
            bare: self.bare,
            rules: self.runtime.rules(self.version),
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.runtime.as_str())?;
        if let Some(version) = self.version {
            write!(out, "@{version}")?;
        }
        if self.bare {
            out.write_str(BARE)?;
        }
        Ok(())
    }
}

/// A text that names no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// There is no such runtime.
    #[error("unknown runtime `{found}`, {}", hint(found))]
    Runtime {
        /// What stands in its place.
        found: String,
    },
    /// Something else than `:bare` at the end.
    #[error("unknown `:{found}`, only `{BARE}` may stand there")]
    Suffix {
        /// What stands in its place.
        found: String,
    },
    /// A version that is none.
    #[error(transparent)]
    Version(#[from] NoVersion),
}

impl FromStr for Baseline {
    type Err = BaselineError;

    fn from_str(text: &str) -> Result<Self, BaselineError> {
        let (text, bare) = match text.split_once(':') {
            None => (text, false),
            Some((text, "bare")) => (text, true),
            Some((_, found)) => {
                let found = found.to_owned();
                return Err(BaselineError::Suffix { found });
            }
        };
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        let runtime = Runtime::named(name).ok_or_else(|| BaselineError::Runtime {
            found: name.to_owned(),
        })?;
        Ok(Self {
            runtime,
            version: version.map(str::parse).transpose()?,
            bare,
        })
    }
}

impl TryFrom<String> for Baseline {
    type Error = BaselineError;

    fn try_from(text: String) -> Result<Self, BaselineError> {
        text.parse()
    }
}

fn hint(found: &str) -> String {
    let names = Runtime::ALL.map(Runtime::as_str);
    let distance = |name: &&str| strsim::damerau_levenshtein(&found.to_lowercase(), name);
    match names.iter().min_by_key(|name| distance(name)) {
        // Two slips in a short word still show what was meant.
        Some(name) if distance(name) <= 2 => format!("did you mean `{name}`?"),
        _ => format!("there are {}", names.join(", ")),
    }
}

const BARE: &str = ":bare";

#[cfg(test)]
mod tests;
