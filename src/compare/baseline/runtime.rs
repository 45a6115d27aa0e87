//! The container runtimes that have a default profile.

use std::iter;

use super::{
    eras::{self, Era},
    template::Rules,
    version::Version,
};

/// A container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// containerd, also inside k3s, RKE2 and most managed clusters.
    Containerd,
    /// CRI-O.
    Crio,
    /// Docker, in Kubernetes through cri-dockerd.
    Docker,
    /// Podman. Not a node's runtime, but `podman kube play` reads the same manifests.
    Podman,
}

impl Runtime {
    /// All of them, by name.
    pub const ALL: [Self; 4] = [Self::Containerd, Self::Crio, Self::Docker, Self::Podman];

    /// The runtime of this name, as in configuration; `None` for any other text.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|runtime| runtime.as_str() == name)
    }

    /// The name, as in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// What the runtime calls its default profile in the kernel. Podman adds a version to it.
    #[must_use]
    pub const fn profile_name(self) -> &'static str {
        match self {
            Self::Containerd => "cri-containerd.apparmor.d",
            Self::Crio => "crio-default",
            Self::Docker => "docker-default",
            Self::Podman => "containers-default",
        }
    }

    /// The runtime's templates by the versions that came with them, oldest first. A new line of releases may begin with an
    /// older template than the line before it ended with: fixes went into both.
    pub fn eras(self) -> impl Iterator<Item = Era> {
        let (oldest, changes) = self.changes();
        let since = iter::once((None, oldest)).chain(changes.iter().map(|(v, r)| (Some(*v), *r)));
        let until = changes
            .iter()
            .map(|(v, _)| Some(*v))
            .chain(iter::once(None));
        since.zip(until).map(move |((since, rules), until)| Era {
            runtime: self,
            since,
            until,
            rules,
        })
    }

    /// The rules of a version's template; without a version, of the newest one known.
    pub(super) fn rules(self, version: Option<Version>) -> Rules {
        let (oldest, changes) = self.changes();
        changes
            .iter()
            .rfind(|(since, _)| version.is_none_or(|version| since.at_most(version)))
            .map_or(oldest, |(_, rules)| *rules)
    }

    const fn changes(self) -> (Rules, &'static [(Version, Rules)]) {
        match self {
            Self::Containerd => eras::CONTAINERD,
            Self::Crio => eras::CRIO,
            Self::Docker => eras::DOCKER,
            Self::Podman => eras::PODMAN,
        }
    }
}
