//! A profile that is asked for: all that decides it, known before any of the image's files was read, and so its name.
//!
//! The name stands in the pod from admission on; the text follows. Two pods that say the same of the same image share a profile.

use sha2::{Digest as _, Sha256};

use super::{
    CodeRule, Enforcement, Mounts, NameError, Outcome, PodContainer, PodTemplate, ProfileError,
    ProfileInputs, Slug, Stage, Whitelist, Workload, analyse, facts::facts,
};
use crate::{
    compare::{Baseline, Relation},
    image::{Config, ImageDigest, hex, tree::Tree},
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

/// What a cluster decides for all profiles of a pod.
#[derive(Clone, Copy, Debug)]
pub struct ClusterTerms<'r> {
    rules: &'r WhitelistRules,
    baseline: Baseline,
    stage: Stage,
}

impl<'r> ClusterTerms<'r> {
    /// By these rules, from this default of a runtime, at this stage.
    #[must_use]
    pub fn new(rules: &'r WhitelistRules, baseline: Baseline, stage: Stage) -> Self {
        Self {
            rules,
            // Nodes of other versions with the same template must not change the names.
            baseline: baseline.first_alike(),
            stage,
        }
    }
}

/// How a list becomes a profile.
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

/// Bytes of the digest that the name shows, two digits each.
const HASHED: usize = 8;

impl ProfileRequest {
    /// What a container of a pod asks for.
    #[must_use]
    pub fn of(
        pod: &PodTemplate<'_>,
        container: &PodContainer<'_>,
        digest: ImageDigest,
        cluster: &ClusterTerms<'_>,
    ) -> Self {
        let annotation = allow_exec(pod, container, cluster.rules);
        Self {
            image: container.image().to_owned(),
            digest,
            workload: workload(pod, container, annotation).to_owned(),
            terms: Terms::of(container, cluster),
        }
    }

    /// The name of what a container of a pod asks for: that of [`Self::of`], without its copies of the pod's strings.
    #[must_use]
    pub fn name_of(
        pod: &PodTemplate<'_>,
        container: &PodContainer<'_>,
        digest: ImageDigest,
        cluster: &ClusterTerms<'_>,
    ) -> String {
        let annotation = allow_exec(pod, container, cluster.rules);
        let workload = workload(pod, container, annotation);
        let terms = Terms::of(container, cluster);
        name(container.image(), digest, &workload, &terms)
    }

    /// `armorgate.<slug>.<16 hex>`
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.image, self.digest, &self.workload, &self.terms)
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

impl Terms {
    fn of(container: &PodContainer<'_>, cluster: &ClusterTerms<'_>) -> Self {
        Self {
            baseline: cluster.baseline,
            stage: cluster.stage,
            partial_stage: match cluster.rules.partial {
                PartialRule::Audit => Stage::Audit,
                PartialRule::Enforce => cluster.stage,
            },
            mounts: if container.may_mount() {
                Mounts::Open
            } else {
                Mounts::Closed
            },
        }
    }
}

/// What a pod asks for in an annotation, where the rules let it.
fn allow_exec<'p>(
    pod: &'p PodTemplate<'_>,
    container: &PodContainer<'_>,
    rules: &WhitelistRules,
) -> Option<&'p str> {
    let annotation = pod.annotation(ALLOW_EXEC_ANNOTATION, container.name());
    annotation.filter(|paths| rules.allow_exec && paths.len() <= MAX_ALLOW_EXEC)
}

/// Whether what a pod asks for in an annotation is more than is read.
pub(super) fn asks_for_too_much(pod: &PodTemplate<'_>, container: &PodContainer<'_>) -> bool {
    let annotation = pod.annotation(ALLOW_EXEC_ANNOTATION, container.name());
    annotation.is_some_and(|paths| paths.len() > MAX_ALLOW_EXEC)
}

/// LIMIT: bytes of the paths that a pod may ask for. Until the API server has looked at a pod, thousands of its containers may have
/// one name, and so one such annotation.
const MAX_ALLOW_EXEC: usize = 4 << 10;

fn workload<'p>(
    pod: &'p PodTemplate<'_>,
    container: &'p PodContainer<'_>,
    allow_exec: Option<&'p str>,
) -> Workload<&'p str> {
    let paths = allow_exec
        .into_iter()
        .flat_map(|paths| paths.split(',').map(str::trim));
    Workload {
        allow_exec: paths.filter(|path| path.starts_with('/')).collect(),
        ..pod.workload(container)
    }
}

fn name<S: AsRef<str>>(
    image: &str,
    digest: ImageDigest,
    workload: &Workload<S>,
    terms: &Terms,
) -> String {
    let hash: [u8; 32] = Sha256::digest(facts(digest, workload, terms)).into();
    let mut name = String::with_capacity(LONGEST);
    name.push_str(GENERATED_PREFIX);
    name.push_str(Slug::of_image(image).as_str());
    name.push('.');
    let hashed = hash.first_chunk::<HASHED>().unwrap_or(&[0; HASHED]);
    name.extend(hex(hashed).map(char::from));
    name
}

/// Bytes of the longest name: a Kubernetes label's value.
const LONGEST: usize = 63;
