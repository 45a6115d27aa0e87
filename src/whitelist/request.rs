//! A profile that is asked for: all that decides it, known before any of the image's files was read, and so its name.
//!
//! The name stands in the pod from admission on; the text follows. Two pods that say the same of the same image share a profile.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    CodeRule, Enforcement, MountKind, Mounts, NameError, Outcome, PodContainer, PodTemplate,
    ProfileError, ProfileInputs, Slug, Stage, Whitelist, Workload, analyse,
};
use crate::{
    compare::{Baseline, Relation},
    image::{Config, ImageDigest, tree::Tree},
    verdict::{GENERATED_PREFIX, PartialRule, WhitelistRules},
};

/// All that decides a profile of a container.
#[derive(Clone, Debug)]
pub struct ProfileRequest {
    /// The image, as the pod names it.
    pub image: String,
    /// The digest that it has: of its index, where it has one.
    pub digest: ImageDigest,
    /// What the pod says.
    pub workload: Workload,
    /// How the list becomes a profile.
    pub terms: Terms,
}

/// The annotation in which Armorgate writes the digests of a pod's images: a JSON object, by container.
pub const IMAGES_ANNOTATION: &str = "armorgate.dev/images";
/// The prefix of the annotation by which a pod asks for more programs; the container's name follows. Absolute paths, with commas
/// between them.
pub const ALLOW_EXEC_ANNOTATION: &str = "armorgate.dev/allow-exec.";

/// How a list becomes a profile, where the cluster decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The runtime's default that it begins with.
    pub baseline: Baseline,
    /// Whether anything is forbidden yet.
    pub stage: Stage,
    /// The same of a list that is not complete.
    pub partial_stage: Stage,
    /// What becomes of `CAP_SYS_ADMIN`.
    pub mounts: Mounts,
}

/// A profile that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedProfile {
    /// What `apparmor_parser` reads.
    pub text: String,
    /// What it is to its baseline.
    pub relation: Relation,
    /// How much of the list is known.
    pub outcome: Outcome,
    /// What the profile does: the terms' stage for what the list is.
    pub stage: Stage,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A program's name is none that a rule can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The text cannot be written.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// Raised whenever the same request may give another text: a name is of one text.
const FORMAT: u32 = 1;

/// Bytes of the digest that the name shows, two digits each.
const HASHED: usize = 8;

impl ProfileRequest {
    /// What a container of a pod asks for.
    #[must_use]
    pub fn of(
        pod: &PodTemplate<'_>,
        container: &PodContainer<'_>,
        digest: ImageDigest,
        rules: &WhitelistRules,
        (baseline, stage): (Baseline, Stage),
    ) -> Self {
        let mut workload = pod.workload(container);
        if rules.allow_exec
            && let Some(paths) =
                pod.annotation(&format!("{ALLOW_EXEC_ANNOTATION}{}", container.name()))
        {
            let paths = paths.split(',').map(str::trim);
            let paths = paths.filter(|path| path.starts_with('/'));
            workload.allow_exec = paths.map(str::to_owned).collect();
        }
        Self {
            image: container.image().to_owned(),
            digest,
            workload,
            terms: Terms {
                // Nodes of other versions with the same template must not change the names.
                baseline: baseline.first_alike(),
                stage,
                partial_stage: match rules.partial {
                    PartialRule::Audit => Stage::Audit,
                    PartialRule::Enforce => stage,
                },
                mounts: if container.may_mount() {
                    Mounts::Open
                } else {
                    Mounts::Closed
                },
            },
        }
    }

    /// `armorgate.<slug>.<16 hex>`
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = format!("{GENERATED_PREFIX}{}.", Slug::of_image(&self.image));
        for byte in self.hash().iter().take(HASHED) {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    fn hash(&self) -> [u8; 32] {
        let workload = &self.workload;
        let mounts = workload.mounts.iter();
        let facts = Facts {
            format: FORMAT,
            digest: self.digest.to_string(),
            command: &workload.command,
            args: &workload.args,
            env: workload
                .env
                .iter()
                .map(|variable| (variable.name.as_str(), variable.value.as_deref()))
                .collect(),
            unread_env: workload.unread_env,
            working_dir: workload.working_dir.as_deref(),
            probes: &workload.probes,
            hooks: &workload.hooks,
            mounts: mounts
                .map(|mount| (mount.path.as_str(), mount.read_only, word(&mount.kind)))
                .collect(),
            allow_exec: &workload.allow_exec,
            baseline: self.terms.baseline.to_string(),
            stages: [self.terms.stage, self.terms.partial_stage].map(Stage::as_str),
            may_mount: self.terms.mounts == Mounts::Open,
        };
        // Strings, lists and numbers are always written.
        let facts = serde_json::to_vec(&facts).unwrap_or_default();
        Sha256::digest(facts).into()
    }

    /// Reads the image's files, and writes the profile of this request's name.
    pub fn answer(&self, config: &Config, tree: &Tree) -> Result<RequestedProfile, RequestError> {
        let whitelist = analyse(config, tree, &self.workload);
        let stage = match whitelist.outcome {
            Outcome::Complete => self.terms.stage,
            Outcome::Partial => self.terms.partial_stage,
            // No list is worth enforcing: the default, with every exec logged.
            Outcome::NotWhitelistable { .. } => Stage::Audit,
        };
        let inputs = self.inputs(&whitelist, tree, stage)?;
        let generated = inputs.generate_named(&self.name())?;
        Ok(RequestedProfile {
            text: generated.text,
            relation: generated.relation,
            outcome: whitelist.outcome,
            stage,
        })
    }

    fn inputs(
        &self,
        whitelist: &Whitelist,
        tree: &Tree,
        stage: Stage,
    ) -> Result<ProfileInputs, NameError> {
        let starts = whitelist.starts.iter().map(super::Start::to_string);
        whitelist.enforced(
            tree,
            Enforcement {
                slug: Slug::of_image(&self.image),
                baseline: self.terms.baseline,
                code_rule: CodeRule::Only,
                mounts: self.terms.mounts,
                stage,
                sources: std::iter::once(format!("image {}", self.digest))
                    .chain(starts)
                    .collect(),
            },
        )
    }
}

/// What is hashed, in this order.
#[derive(Serialize)]
struct Facts<'a> {
    format: u32,
    digest: String,
    command: &'a [String],
    args: &'a [String],
    env: Vec<(&'a str, Option<&'a str>)>,
    unread_env: bool,
    working_dir: Option<&'a str>,
    probes: &'a [Vec<String>],
    hooks: &'a [Vec<String>],
    mounts: Vec<(&'a str, bool, &'static str)>,
    allow_exec: &'a [String],
    baseline: String,
    stages: [&'static str; 2],
    may_mount: bool,
}

/// A kind of mount as a pod's text tells it, without what it holds.
fn word(kind: &MountKind) -> &'static str {
    match kind {
        MountKind::ConfigMap { .. } => "files",
        MountKind::ConfigMapFile { .. } => "file",
        MountKind::EmptyDir => "empty",
        MountKind::Image { .. } => "image",
        MountKind::Opaque => "opaque",
    }
}
