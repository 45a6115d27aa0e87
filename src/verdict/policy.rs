//! What the people who run a cluster decide: modes, exemptions, and what doubtful verdicts come to.
//!
//! The types here are also the configuration file's schema; reading the file is the caller's.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Unexpected, Visitor},
};

use super::{
    judge::{Reason, Verdict},
    nodes::NodeDefaults,
};
use crate::compare::{Baseline, Runtime};

/// What a verdict does to the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Allow in silence; audit annotations tell.
    Audit,
    /// Deny what fails.
    #[default]
    Enforce,
    /// Do not look.
    Off,
    /// Allow, with warnings to the author.
    Warn,
}

impl Mode {
    /// The mode of this name, as in a namespace label; `None` for any other text.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Audit, Self::Enforce, Self::Off, Self::Warn]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }

    /// The name, as in configuration and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
            Self::Off => "off",
            Self::Warn => "warn",
        }
    }
}

/// What an `unknown` verdict comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownRule {
    /// Nothing.
    Allow,
    /// The same as a failure.
    #[default]
    Deny,
    /// A warning.
    Warn,
}

/// What a privileged container that its runtime leaves unconfined comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrivilegedRule {
    /// Nothing.
    Allow,
    /// A failure.
    #[default]
    Fail,
    /// A warning.
    Warn,
}

/// What a verdict comes to under a policy, before the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// Nothing.
    Allow,
    /// The author is warned, the request goes on.
    Warn,
    /// The request is denied.
    Deny,
}

/// What is not looked at. Names are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exemptions {
    /// Groups of the user who asks.
    #[serde(deserialize_with = "null_as_default")]
    pub groups: Vec<String>,
    /// Namespaces of the object.
    #[serde(deserialize_with = "null_as_default")]
    pub namespaces: Vec<String>,
    /// `runtimeClassName` of the pod: gVisor and Kata containers are not confined by the node's AppArmor.
    #[serde(deserialize_with = "null_as_default")]
    pub runtime_classes: Vec<String>,
    /// Users who ask. Pods of a Deployment are created by a controller, not by the Deployment's author.
    #[serde(deserialize_with = "null_as_default")]
    pub users: Vec<String>,
}

/// Why a request is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// The user is in an exempt group.
    Group,
    /// The namespace is exempt.
    Namespace,
    /// The pod's runtime class is exempt.
    RuntimeClass,
    /// The user is exempt.
    User,
}

impl Exemption {
    /// The name, as in audit annotations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Namespace => "namespace",
            Self::RuntimeClass => "runtimeClass",
            Self::User => "user",
        }
    }
}

impl Exemptions {
    /// Whether a request of this user for this namespace is exempt.
    pub fn of_request<'a>(
        &self,
        namespace: &str,
        user: &str,
        mut groups: impl Iterator<Item = &'a str>,
    ) -> Option<Exemption> {
        if contains(&self.namespaces, namespace) {
            Some(Exemption::Namespace)
        } else if contains(&self.users, user) {
            Some(Exemption::User)
        } else if groups.any(|group| contains(&self.groups, group)) {
            Some(Exemption::Group)
        } else {
            None
        }
    }

    /// Whether a pod of this runtime class is exempt.
    #[must_use]
    pub fn of_runtime_class(&self, runtime_class: Option<&str>) -> Option<Exemption> {
        runtime_class
            .filter(|class| contains(&self.runtime_classes, class))
            .map(|_| Exemption::RuntimeClass)
    }
}

fn contains(names: &[String], name: &str) -> bool {
    names.iter().any(|listed| listed == name)
}

/// The modes of the cluster; the namespace labels of the same names go over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Modes {
    /// Of the gate: label `armorgate.dev/profile`.
    pub profile: Mode,
    /// Of generated profiles: label `armorgate.dev/whitelist`.
    pub whitelist: Mode,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            profile: Mode::default(),
            whitelist: Mode::Off,
        }
    }
}

/// What a profile that a container asks for itself means where profiles are generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnProfileRule {
    /// It is refused.
    Deny,
    /// It stays.
    #[default]
    Keep,
    /// The generated one takes its place.
    Replace,
}

/// What becomes of a list with unknowns where lists are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartialRule {
    /// The profile permits what the default does, and logs every exec.
    #[default]
    Audit,
    /// It is enforced.
    Enforce,
}

/// What becomes of a container for which no profile can be named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnresolvedRule {
    /// It keeps the runtime's default, with a warning.
    #[default]
    Allow,
    /// The pod is denied.
    Deny,
}

/// How profiles are generated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WhitelistRules {
    /// Whether pods may ask for more programs, by `armorgate.dev/allow-exec.<container>`.
    pub allow_exec: bool,
    /// What a Localhost profile that is asked for means.
    pub localhost: OwnProfileRule,
    /// What becomes of a container for which no profile can be named.
    pub on_unresolved: UnresolvedRule,
    /// What becomes of a list with unknowns.
    pub partial: PartialRule,
    /// Whether images are pinned to the digests that their profiles are made for.
    pub pin_images: bool,
    /// What `RuntimeDefault` means where it is asked for.
    pub runtime_default: OwnProfileRule,
}

/// How registries are reached to learn what images hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Registries {
    /// The hosts that images may be read from; any where there is none.
    #[serde(deserialize_with = "null_as_default")]
    pub allowed_hosts: Vec<String>,
    /// Files of certificate authorities beside the system's, in PEM.
    #[serde(deserialize_with = "null_as_default")]
    pub certificate_authorities: Vec<String>,
    /// Hosts that are asked without encryption.
    #[serde(deserialize_with = "null_as_default")]
    pub insecure_hosts: Vec<String>,
    /// What is asked before a registry: `HOST[/PATH]`, by the registry's host.
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts that may have private, loopback and link-local addresses.
    #[serde(deserialize_with = "null_as_default")]
    pub private_hosts: Vec<String>,
    /// Whether pull secrets of pods and their service accounts are read.
    pub pull_secrets: bool,
}

/// Where the baselines come from: the runtimes' defaults that no container may be weaker than.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baselines {
    /// These: all of those that the nodes run.
    Listed(Vec<Baseline>),
    /// Those that the cluster's nodes say they run.
    Nodes,
}

impl<'de> Deserialize<'de> for Baselines {
    /// Reads the word `nodes`, or a list.
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct BaselinesVisitor;
        impl<'de> Visitor<'de> for BaselinesVisitor {
            type Value = Baselines;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`nodes`, or a list such as `[containerd@2.1]`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Baselines, E> {
                match text {
                    "nodes" => Ok(Baselines::Nodes),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Baselines, A::Error> {
                let mut listed = Vec::new();
                while let Some(baseline) = list.next_element()? {
                    listed.push(baseline);
                }
                Ok(Baselines::Listed(listed))
            }
        }
        reader.deserialize_any(BaselinesVisitor)
    }
}

/// A cluster's policy: the configuration file's content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// The runtimes' defaults that no container may be weaker than.
    pub baselines: Baselines,
    /// What is not looked at.
    #[serde(deserialize_with = "null_as_default")]
    pub exemptions: Exemptions,
    /// What verdicts do.
    #[serde(deserialize_with = "null_as_default")]
    pub modes: Modes,
    /// What a privileged container without a profile comes to.
    pub privileged: PrivilegedRule,
    /// How registries are reached.
    #[serde(deserialize_with = "null_as_default")]
    pub registries: Registries,
    /// What an `unknown` verdict comes to.
    pub unknown: UnknownRule,
    /// How profiles are generated.
    #[serde(deserialize_with = "null_as_default")]
    pub whitelist: WhitelistRules,
}

/// A key whose lines are all commented out holds `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    reader: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            baselines: Baselines::Listed(vec![Baseline::newest(Runtime::Containerd)]),
            exemptions: Exemptions::default(),
            modes: Modes::default(),
            privileged: PrivilegedRule::default(),
            registries: Registries::default(),
            whitelist: WhitelistRules::default(),
            unknown: UnknownRule::default(),
        }
    }
}

impl Policy {
    /// The default that generated profiles begin with: the first that is listed, or what [`NodeDefaults::first`] has of the nodes'.
    /// `None` where no node has been seen whose default is known.
    #[must_use]
    pub fn generation_baseline(&self, nodes: Option<&NodeDefaults>) -> Option<Baseline> {
        match &self.baselines {
            Baselines::Listed(listed) => listed.first().copied(),
            Baselines::Nodes => nodes?.first(),
        }
    }

    /// What a verdict comes to. The one place that maps `unknown`.
    #[must_use]
    pub fn treatment(&self, verdict: &Verdict<'_>) -> Treatment {
        match verdict {
            Verdict::Pass => Treatment::Allow,
            Verdict::Fail(Reason::Privileged | Reason::PrivilegedIgnoresProfile { .. }) => {
                match self.privileged {
                    PrivilegedRule::Allow => Treatment::Allow,
                    PrivilegedRule::Fail => Treatment::Deny,
                    PrivilegedRule::Warn => Treatment::Warn,
                }
            }
            Verdict::Fail(_) => Treatment::Deny,
            Verdict::Unknown(_) => match self.unknown {
                UnknownRule::Allow => Treatment::Allow,
                UnknownRule::Deny => Treatment::Deny,
                UnknownRule::Warn => Treatment::Warn,
            },
        }
    }
}
