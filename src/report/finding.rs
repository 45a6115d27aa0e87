//! A finding: a verdict that is no `pass`, in words.

use serde::Serialize;

use super::{
    comparison,
    text::{MAX_NAME, quote, quote_at_most},
};
use crate::compare::Baseline;
use crate::verdict::{
    ContainerList, Doubt, FieldPath, Judgement, Kind, Origin, Problem, Profile, Reason, Standing,
    Subject, Treatment, Verdict,
};

/// A place in a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as the user named it.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A verdict that is no `pass`, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `fail` or `unknown`.
    pub verdict: &'static str,
    /// A short stable name of the reason.
    pub reason: &'static str,
    /// What it is about: "container `web`".
    pub subject: String,
    /// What is wrong, as the sentence that the subject begins.
    pub message: String,
    /// What to write instead.
    pub advice: String,
    /// The field at fault.
    pub field: String,
    /// Its place in a file, where the object came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What the policy makes of it.
    #[serde(serialize_with = "treatment_name")]
    pub treatment: Treatment,
    /// Whether the object was already so before this update.
    pub inherited: bool,
    #[serde(skip)]
    pub(super) path: FieldPath,
}

impl Finding {
    /// The field at fault, to be looked up in a file.
    #[must_use]
    pub fn path(&self) -> &FieldPath {
        &self.path
    }
}

/// The findings among these judgements on an object of this kind.
#[must_use]
pub fn findings(kind: Kind, judgements: &[Judgement<'_>]) -> Vec<Finding> {
    judgements
        .iter()
        .filter_map(|judgement| finding(kind, judgement))
        .collect()
}

fn finding(kind: Kind, judgement: &Judgement<'_>) -> Option<Finding> {
    let (verdict, reason, message, advice) = match &judgement.verdict {
        Verdict::Fail(reason) => (
            "fail",
            reason.code(),
            failure(reason),
            failure_advice(reason, judgement.origin),
        ),
        Verdict::Pass => return None,
        Verdict::Unknown(doubt) => (
            "unknown",
            doubt.code(),
            uncertainty(doubt),
            doubt_advice(doubt),
        ),
    };
    let path = path(kind, judgement);
    Some(Finding {
        verdict,
        reason,
        subject: subject(kind, judgement.subject),
        message,
        advice,
        field: quote_at_most(&path.to_string(), MAX_FIELD),
        place: None,
        treatment: judgement.treatment,
        inherited: judgement.standing == Standing::Inherited,
        path,
    })
}

/// LIMIT: witnesses in a finding.
const MAX_SHOWN: usize = 3;

/// LIMIT: characters of a field's path that are shown.
const MAX_FIELD: usize = 200;

fn subject(kind: Kind, subject: Subject<'_>) -> String {
    match subject {
        Subject::Annotation(name) => format!("the AppArmor annotation for `{}`", quote(name)),
        Subject::Container { list, name, index } => {
            let list = match list {
                ContainerList::Ephemeral => "ephemeral container",
                ContainerList::Init => "init container",
                ContainerList::Regular => "container",
            };
            if name.is_empty() {
                format!("{list} {index}")
            } else {
                format!("{list} `{}`", quote(name))
            }
        }
        Subject::Object => format!("this {}", kind.as_str()),
        Subject::Pod => "the pod's security context".to_owned(),
    }
}

fn failure(reason: &Reason<'_>) -> String {
    match reason {
        Reason::Borrowed { profile, own } => {
            let own = own.as_ref().map_or_else(
                || "it has none of its own".to_owned(),
                |own| format!("its own is `{}`", quote(own)),
            );
            format!(
                "names profile `{}`, which was generated for another image or command: {own}",
                quote(profile)
            )
        }
        Reason::Invalid(problem) => invalid(problem),
        Reason::Malformed(malformed) => format!(
            "cannot be read: {}",
            quote_at_most(&malformed.message, MAX_FIELD)
        ),
        Reason::NoSuchContainer => "is for no container of this pod".to_owned(),
        Reason::Privileged => {
            "is privileged and names no profile, so the runtime runs it unconfined".to_owned()
        }
        Reason::PrivilegedIgnoresProfile { profile } => {
            format!(
                "is privileged, so CRI-O runs it unconfined and ignores its profile `{}`",
                quote(profile)
            )
        }
        Reason::Unconfined => "asks for no AppArmor profile at all (unconfined)".to_owned(),
        Reason::Weaker {
            profile,
            baseline,
            node,
            comparison: found,
        } => {
            let shown: Vec<String> = found
                .witnesses
                .iter()
                .take(MAX_SHOWN)
                .map(comparison::short)
                .collect();
            let more = found.witnesses.len().saturating_sub(MAX_SHOWN);
            let more = if more > 0 {
                format!("; and {more} more")
            } else {
                String::new()
            };
            format!(
                "names profile `{}`, which permits what {} forbids: {}{more}",
                quote(profile),
                default(*baseline, node.as_deref()),
                shown.join("; ")
            )
        }
    }
}

fn invalid(problem: &Problem<'_>) -> String {
    match problem {
        Problem::Disagreement { field, annotation } => {
            format!(
                "has a field that asks for {} and an annotation that asks for {}",
                profile(field),
                profile(annotation)
            )
        }
        Problem::ForeignName => {
            "has a `localhostProfile`, but its type is not `Localhost`".to_owned()
        }
        Problem::MissingName => "asks for a Localhost profile without its name".to_owned(),
        Problem::MissingType => "has an `appArmorProfile` without a `type`".to_owned(),
        Problem::PaddedName => "names a Localhost profile with blanks around it".to_owned(),
        Problem::TooLongName => "names a Localhost profile of more than 4095 bytes".to_owned(),
        Problem::UnknownAnnotation(value) => format!(
            "has an AppArmor annotation of unknown value `{}`",
            quote(value)
        ),
        Problem::UnknownType(name) => {
            format!("has an `appArmorProfile` of unknown type `{}`", quote(name))
        }
    }
}

fn profile(profile: &Profile<'_>) -> String {
    match profile {
        Profile::Localhost(name) => format!("profile `{}`", quote(name)),
        Profile::RuntimeDefault => "`RuntimeDefault`".to_owned(),
        Profile::Unconfined => "`Unconfined`".to_owned(),
    }
}

/// `containerd@2.1.4's default (as on node `worker-3`)`.
fn default(baseline: Baseline, node: Option<&str>) -> String {
    let node = node.map_or_else(String::new, |node| {
        format!(" (as on node `{}`)", quote(node))
    });
    format!("{baseline}'s default{node}")
}

fn uncertainty(doubt: &Doubt<'_>) -> String {
    match doubt {
        Doubt::NoBaseline { profile } => {
            format!(
                "names profile `{}`, and no Linux node has been seen whose default it could be compared with",
                quote(profile)
            )
        }
        Doubt::NoText { profile } => {
            format!(
                "names profile `{}`, whose text Armorgate does not have",
                quote(profile)
            )
        }
        Doubt::Undecided {
            profile,
            baseline,
            node,
            why,
        } => {
            let (profile, default) = (quote(profile), default(*baseline, node.as_deref()));
            let why = quote_at_most(why, MAX_FIELD);
            format!("names profile `{profile}`, which could not be compared with {default}: {why}")
        }
        Doubt::Unresolved { profile, why } => format!(
            "names generated profile `{}`, and whether it is its own cannot be told: {}",
            quote(profile),
            quote_at_most(why, MAX_FIELD)
        ),
        Doubt::UnknownRuntime {
            profile,
            node,
            version,
        } => {
            let (profile, node) = (quote(profile), quote(node));
            let runtime = if version.is_empty() {
                "does not say what it runs".to_owned()
            } else {
                format!("runs `{}`, which Armorgate does not know", quote(version))
            };
            format!(
                "names profile `{profile}`, which could not be compared with the default of node `{node}`: it {runtime}"
            )
        }
    }
}

fn failure_advice(reason: &Reason<'_>, origin: Origin) -> String {
    match reason {
        Reason::Borrowed { .. } => {
            "delete the field: Armorgate names the right profile itself".to_owned()
        }
        Reason::Invalid(Problem::Disagreement { .. }) => {
            "delete the annotation, and keep the right one in the field".to_owned()
        }
        Reason::Invalid(_) | Reason::Unconfined => match origin {
            Origin::Annotation => "write `runtime/default`, or delete the annotation".to_owned(),
            _ => "write `type: RuntimeDefault`, or delete the field".to_owned(),
        },
        Reason::Malformed(_) => "correct that field".to_owned(),
        Reason::NoSuchContainer => format!(
            "put a container's name after `{}`, or delete it",
            crate::verdict::ANNOTATION_PREFIX
        ),
        Reason::Privileged => {
            "delete `privileged: true`, or (containerd and Docker only) name a Localhost profile"
                .to_owned()
        }
        Reason::PrivilegedIgnoresProfile { .. } => "delete `privileged: true`".to_owned(),
        Reason::Weaker { .. } => profile_advice(),
    }
}

fn doubt_advice(doubt: &Doubt<'_>) -> String {
    match doubt {
        Doubt::NoBaseline { .. } | Doubt::UnknownRuntime { .. } => {
            "write `type: RuntimeDefault`, or list the nodes' runtimes in Armorgate's configuration, such as `baselines: [containerd@2.1]`".to_owned()
        }
        Doubt::Unresolved { .. } => {
            "delete the field: Armorgate names the right profile itself, or says why there is none".to_owned()
        }
        Doubt::NoText { .. } | Doubt::Undecided { .. } => profile_advice(),
    }
}

fn profile_advice() -> String {
    "write `type: RuntimeDefault`, or name a profile that is known to be no weaker".to_owned()
}

fn path(kind: Kind, judgement: &Judgement<'_>) -> FieldPath {
    let pod = kind.pod_path();
    match (judgement.subject, &judgement.verdict) {
        (Subject::Object, Verdict::Fail(Reason::Malformed(malformed))) => malformed.path.clone(),
        (Subject::Object, _) => FieldPath::default(),
        (Subject::Annotation(name), _) => {
            Origin::Annotation.path(pod, FieldPath::default(), shown(name))
        }
        (Subject::Pod, _) => Origin::Pod.path(pod, FieldPath::default(), ""),
        (Subject::Container { list, index, name }, verdict) => {
            let container = pod.clone().key("spec").key(list.field()).index(index);
            match verdict {
                Verdict::Fail(Reason::Privileged | Reason::PrivilegedIgnoresProfile { .. }) => {
                    container.key("securityContext").key("privileged")
                }
                Verdict::Fail(Reason::Invalid(Problem::Disagreement { .. })) => {
                    Origin::Annotation.path(pod, container, shown(name))
                }
                _ => judgement.origin.path(pod, container, shown(name)),
            }
        }
    }
}

/// A name that fits into a path: a hostile one is cut, and then its place in a file is not found.
fn shown(name: &str) -> &str {
    name.char_indices()
        .nth(MAX_NAME * 4)
        .and_then(|(end, _)| name.get(..end))
        .unwrap_or(name)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn treatment_name<S: serde::Serializer>(
    treatment: &Treatment,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match treatment {
        Treatment::Allow => "allow",
        Treatment::Deny => "deny",
        Treatment::Warn => "warn",
    })
}
