//! The verdict on each container of a workload.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    effective::{GENERATED_PREFIX, Origin, Problem, Profile, effective, read_field},
    fields::{Container, ContainerList},
    generated::Ownership,
    policy::{Policy, Treatment},
    standard::{NodeDefault, Standard},
    workload::{Malformed, Pod, Workload},
};
use crate::compare::{Baseline, Comparison, Relation};

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject<'w> {
    /// A legacy annotation for a container that the pod does not have.
    Annotation(&'w str),
    /// A container.
    Container {
        /// The list it stands in.
        list: ContainerList,
        /// Its place in that list.
        index: usize,
        /// Its name.
        name: &'w str,
    },
    /// The object itself.
    Object,
    /// The pod's own `securityContext`.
    Pod,
}

/// Whether a container may run, as far as its profile goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'w> {
    /// No.
    Fail(Reason<'w>),
    /// Yes.
    Pass,
    /// It cannot be told.
    Unknown(Doubt<'w>),
}

/// Why a container fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason<'w> {
    /// The profile was generated for another image or command.
    Borrowed {
        /// The profile's name.
        profile: &'w str,
        /// The one that was generated for this container, where there is one.
        own: Option<String>,
    },
    /// What is asked for cannot be told.
    Invalid(Problem<'w>),
    /// The object does not have the shape of its kind.
    Malformed(&'w Malformed),
    /// An annotation names no container: a misspelt name leaves the real container without its profile.
    NoSuchContainer,
    /// Privileged, and no profile named: every runtime runs it unconfined.
    Privileged,
    /// Privileged, and the profile it names is ignored by CRI-O.
    PrivilegedIgnoresProfile {
        /// The profile's name.
        profile: &'w str,
    },
    /// `Unconfined` is asked for.
    Unconfined,
    /// The profile permits something that the baseline forbids.
    Weaker {
        /// The profile's name.
        profile: &'w str,
        /// The baseline.
        baseline: Baseline,
        /// A node that has this baseline, where it came from a node.
        node: Option<Arc<str>>,
        /// What it permits beyond that.
        comparison: Arc<Comparison>,
    },
}

impl Reason<'_> {
    /// A short stable name, as in metrics and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Borrowed { .. } => "borrowed",
            Self::Invalid(Problem::Disagreement { .. }) => "disagreement",
            Self::Invalid(_) => "invalid",
            Self::Malformed(_) => "malformed",
            Self::NoSuchContainer => "no-such-container",
            Self::Privileged => "privileged",
            Self::PrivilegedIgnoresProfile { .. } => "privileged-ignores-profile",
            Self::Unconfined => "unconfined",
            Self::Weaker { .. } => "weaker",
        }
    }

    /// Whether a container of this pod runs without any profile on every node, so that no change can make it weaker.
    fn leaves_unconfined(&self, pod: &Pod<'_>, standard: Standard<'_>) -> bool {
        match self {
            Self::Privileged | Self::Unconfined => true,
            Self::PrivilegedIgnoresProfile { .. } => {
                standard.defaults(pod).all(NodeDefault::is_crio)
            }
            _ => false,
        }
    }
}

/// Why nothing can be told of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt<'w> {
    /// No node has been seen whose default it could be compared with.
    NoBaseline {
        /// The profile's name.
        profile: &'w str,
    },
    /// Its text is not known.
    NoText {
        /// The profile's name.
        profile: &'w str,
    },
    /// Its text is known, its relation to the baseline is not.
    Undecided {
        /// The profile's name.
        profile: &'w str,
        /// The baseline.
        baseline: Baseline,
        /// A node that has this baseline, where it came from a node.
        node: Option<Arc<str>>,
        /// Why, as the end of a sentence.
        why: String,
    },
    /// A generated profile, and it cannot be told whether it was made for this container's image and command.
    Unresolved {
        /// The profile's name.
        profile: &'w str,
        /// Why, as the end of a sentence.
        why: Arc<str>,
    },
    /// A node that the pod may land on has a default that is not known.
    UnknownRuntime {
        /// The profile's name.
        profile: &'w str,
        /// The node.
        node: Arc<str>,
        /// What it says of its container runtime; empty where it says nothing.
        version: Arc<str>,
    },
}

impl Doubt<'_> {
    /// A short stable name, as in metrics and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoBaseline { .. } => "no-baseline",
            Self::NoText { .. } => "no-text",
            Self::Undecided { .. } => "undecided",
            Self::UnknownRuntime { .. } => "unknown-runtime",
            Self::Unresolved { .. } => "unresolved",
        }
    }
}

/// Whether an update brings a finding or finds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The object is no worse than it was.
    Inherited,
    /// The object is new, or worse than it was.
    New,
}

/// A verdict, on whom, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<'w> {
    /// On whom.
    pub subject: Subject<'w>,
    /// Where the profile is asked for.
    pub origin: Origin,
    /// The verdict.
    pub verdict: Verdict<'w>,
    /// What it comes to under the policy, before the mode.
    pub treatment: Treatment,
    /// Whether an update brought it.
    pub standing: Standing,
}

impl<'w> Judgement<'w> {
    fn new(policy: &Policy, subject: Subject<'w>, origin: Origin, verdict: Verdict<'w>) -> Self {
        let treatment = policy.treatment(&verdict);
        Self {
            subject,
            origin,
            verdict,
            treatment,
            standing: Standing::New,
        }
    }

    /// The judgement on an object that could not be read.
    #[must_use]
    pub fn malformed(policy: &Policy, malformed: &'w Malformed) -> Self {
        Self::new(
            policy,
            Subject::Object,
            Origin::Unset,
            Verdict::Fail(Reason::Malformed(malformed)),
        )
    }
}

/// Judges every container of a workload, and what else of it would be refused. Windows pods know no AppArmor: nothing.
pub(super) fn judge<'w>(workload: &'w Workload<'_>, standard: Standard<'_>) -> Vec<Judgement<'w>> {
    let (pod, policy) = (&workload.pod, standard.policy);
    if pod.windows {
        return Vec::new();
    }
    let mut judgements = Vec::with_capacity(pod.containers.len());
    let pod_problem = read_field(pod.profile.as_ref()).err();
    if let Some(problem) = pod_problem {
        let verdict = Verdict::Fail(Reason::Invalid(problem));
        judgements.push(Judgement::new(policy, Subject::Pod, Origin::Pod, verdict));
    }
    for (list, index, container) in pod.all_containers() {
        let subject = Subject::Container {
            list,
            index,
            name: container.name.as_str(),
        };
        let (origin, verdict) = match effective(workload.kind, pod, container) {
            Ok(declared) => (
                declared.origin,
                judge_container(pod, container, declared.profile, standard),
            ),
            // Said once, of the pod.
            Err((_, Origin::Pod)) if pod_problem.is_some() => continue,
            Err((problem, origin)) => (origin, Verdict::Fail(Reason::Invalid(problem))),
        };
        judgements.push(Judgement::new(policy, subject, origin, verdict));
    }
    if !pod.annotations.is_empty() {
        let names: HashSet<&str> = pod
            .all_containers()
            .map(|(_, _, container)| container.name.as_str())
            .collect();
        for (name, _) in pod
            .annotations
            .iter()
            .filter(|(name, _)| !names.contains(name.as_str()))
        {
            let verdict = Verdict::Fail(Reason::NoSuchContainer);
            judgements.push(Judgement::new(
                policy,
                Subject::Annotation(name.as_str()),
                Origin::Annotation,
                verdict,
            ));
        }
    }
    judgements
}

fn judge_container<'w>(
    pod: &Pod<'_>,
    container: &Container<'_>,
    profile: Profile<'w>,
    standard: Standard<'_>,
) -> Verdict<'w> {
    match profile {
        Profile::Unconfined => Verdict::Fail(Reason::Unconfined),
        // Runtimes apply no profile to a privileged container unless one is named.
        Profile::RuntimeDefault if container.privileged => Verdict::Fail(Reason::Privileged),
        Profile::RuntimeDefault => Verdict::Pass,
        // CRI-O applies none even then (`specSetApparmorProfile`); containerd and Docker do apply a named one.
        Profile::Localhost(profile)
            if container.privileged && standard.defaults(pod).any(NodeDefault::is_crio) =>
        {
            Verdict::Fail(Reason::PrivilegedIgnoresProfile { profile })
        }
        Profile::Localhost(profile) => judge_named(pod, container, profile, standard),
    }
}

/// A generated profile is for the container that it was generated for, and is as good as its text, which may still be to come:
/// until then the container waits on its node.
fn judge_named<'w>(
    pod: &Pod<'_>,
    container: &Container<'_>,
    profile: &'w str,
    standard: Standard<'_>,
) -> Verdict<'w> {
    let generated = standard
        .generated
        .filter(|_| profile.starts_with(GENERATED_PREFIX));
    let Some(generated) = generated else {
        return judge_localhost(pod, profile, standard);
    };
    match generated.ownership(container.name.as_str(), profile) {
        Ownership::Borrowed(own) => Verdict::Fail(Reason::Borrowed { profile, own }),
        Ownership::Free => judge_localhost(pod, profile, standard),
        Ownership::Own => match judge_localhost(pod, profile, standard) {
            Verdict::Unknown(Doubt::NoText { .. }) => Verdict::Pass,
            verdict => verdict,
        },
        Ownership::Untold(why) => Verdict::Unknown(Doubt::Unresolved { profile, why }),
    }
}

/// A profile passes when it is no weaker than the default of any node that the pod may land on; failing any one goes before
/// doubt about another.
fn judge_localhost<'w>(pod: &Pod<'_>, profile: &'w str, standard: Standard<'_>) -> Verdict<'w> {
    let mut defaults = standard.defaults(pod).peekable();
    if defaults.peek().is_none() {
        return Verdict::Unknown(Doubt::NoBaseline { profile });
    }
    let mut verdict = Verdict::Pass;
    for default in defaults {
        let (baseline, node) = match default {
            NodeDefault::Known(baseline, node) => (baseline, node.cloned()),
            NodeDefault::Unknown(node, version) => {
                verdict = Verdict::Unknown(Doubt::UnknownRuntime {
                    profile,
                    node: Arc::clone(node),
                    version: Arc::clone(version),
                });
                continue;
            }
        };
        let Some(comparison) = standard.profiles.comparison(profile, baseline) else {
            verdict = Verdict::Unknown(Doubt::NoText { profile });
            continue;
        };
        match &comparison.relation {
            Relation::Equal | Relation::Stronger => {}
            Relation::Incomparable | Relation::Weaker => {
                return Verdict::Fail(Reason::Weaker {
                    profile,
                    baseline,
                    node,
                    comparison,
                });
            }
            Relation::Unknown { why } => {
                verdict = Verdict::Unknown(Doubt::Undecided {
                    profile,
                    baseline,
                    node,
                    why: why.clone(),
                });
            }
        }
    }
    verdict
}

/// Marks what the old object already had: an update that makes nothing worse must go through, such as scaling a
/// Deployment that was weak before the gate came.
pub(super) fn mark_inherited(
    new: &mut [Judgement<'_>],
    old: &Workload<'_>,
    standard: Standard<'_>,
) {
    let pod = &old.pod;
    let judgements = judge(old, standard);
    let old: HashMap<Key<'_>, &Judgement<'_>> = judgements
        .iter()
        .map(|judgement| (Key::of(judgement.subject), judgement))
        .collect();
    for judgement in new {
        let Some(before) = old.get(&Key::of(judgement.subject)) else {
            continue;
        };
        let was_unconfined = matches!(&before.verdict, Verdict::Fail(reason) if reason.leaves_unconfined(pod, standard));
        let is_readable = !matches!(
            judgement.verdict,
            Verdict::Fail(Reason::Invalid(_) | Reason::Malformed(_))
        );
        if same(&before.verdict, &judgement.verdict) || (was_unconfined && is_readable) {
            judgement.standing = Standing::Inherited;
        }
    }
}

/// Two verdicts that say the same of two objects.
fn same(old: &Verdict<'_>, new: &Verdict<'_>) -> bool {
    match (old, new) {
        (Verdict::Fail(old), Verdict::Fail(new)) => old == new,
        (Verdict::Unknown(old), Verdict::Unknown(new)) => old == new,
        (Verdict::Pass, Verdict::Pass) => true,
        _ => false,
    }
}

/// A subject without its place: containers may move within their list.
#[derive(PartialEq, Eq, Hash)]
enum Key<'w> {
    Annotation(&'w str),
    Container(ContainerList, &'w str),
    Object,
    Pod,
}

impl<'w> Key<'w> {
    fn of(subject: Subject<'w>) -> Self {
        match subject {
            Subject::Annotation(name) => Self::Annotation(name),
            Subject::Container { list, name, .. } => Self::Container(list, name),
            Subject::Object => Self::Object,
            Subject::Pod => Self::Pod,
        }
    }
}
