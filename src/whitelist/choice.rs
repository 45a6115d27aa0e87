//! Which containers of a pod get a generated profile: the same answer at admission and ahead of it, from a template.

use std::collections::BTreeMap;

use super::{IMAGES_ANNOTATION, PodContainer, PodTemplate, request::asks_for_too_much};
use crate::verdict::{
    ANNOTATION_PREFIX, AppArmorField, GENERATED_PREFIX, OwnProfileRule, Text, WhitelistRules,
};

/// What becomes of a container.
#[derive(Debug)]
pub enum Step {
    /// It gets a generated profile.
    Generate,
    /// It stays as it is, and nobody need be told.
    Keep,
    /// It stays as it is: why.
    Skip(&'static str),
    /// It would get a profile, but none can be named: why.
    Unnamable(&'static str),
    /// The pod is refused: why.
    Refuse(&'static str),
    /// It names a generated profile, which `/validate` judges.
    Named,
}

/// What becomes of a container, as far as the pod says it.
#[must_use]
pub fn step(
    pod: &PodTemplate<'_>,
    recorded: &Recorded,
    container: &PodContainer<'_>,
    rules: &WhitelistRules,
) -> Step {
    if container.is_privileged() {
        return Step::Skip("privileged containers get none");
    }
    match wanted(pod, recorded, container, rules) {
        Step::Generate if rules.allow_exec && asks_for_too_much(pod, container) => {
            Step::Unnamable("its annotation `armorgate.dev/allow-exec.<container>` is over 4 KiB")
        }
        step => step,
    }
}

/// The same, as far as the container's own profile decides it.
fn wanted(
    pod: &PodTemplate<'_>,
    recorded: &Recorded,
    container: &PodContainer<'_>,
    rules: &WhitelistRules,
) -> Step {
    match asked(pod, container) {
        Asked::Nothing => Step::Generate,
        Asked::Localhost(name) if name.starts_with(GENERATED_PREFIX) => {
            // Whoever wrote both is given the name that is right for it.
            if recorded.0.contains_key(container.name()) {
                Step::Generate
            } else {
                Step::Named
            }
        }
        Asked::Localhost(_) => own(
            rules.localhost,
            "a profile of its own is refused here (`whitelist.localhost: deny`)",
        ),
        Asked::RuntimeDefault => own(
            rules.runtime_default,
            "`RuntimeDefault` is refused here (`whitelist.runtimeDefault: deny`): leave the profile out",
        ),
        // The gate's business.
        Asked::Other => Step::Keep,
    }
}

fn own(rule: OwnProfileRule, why: &'static str) -> Step {
    match rule {
        OwnProfileRule::Deny => Step::Refuse(why),
        OwnProfileRule::Keep => Step::Keep,
        OwnProfileRule::Replace => Step::Generate,
    }
}

pub(crate) enum Asked<'p> {
    Localhost(&'p str),
    Nothing,
    /// `Unconfined`, or what the API server refuses.
    Other,
    RuntimeDefault,
}

/// The generated profile that a container is to run under, as the pod says it.
pub(crate) fn generated<'p>(
    pod: &'p PodTemplate<'_>,
    container: &'p PodContainer<'_>,
) -> Option<&'p str> {
    match asked(pod, container) {
        Asked::Localhost(name) if name.starts_with(GENERATED_PREFIX) => Some(name),
        Asked::Localhost(_) | Asked::Nothing | Asked::Other | Asked::RuntimeDefault => None,
    }
}

/// What is asked for: the container's field, its annotation, the pod's field, as the kubelet takes them.
fn asked<'p>(pod: &'p PodTemplate<'_>, container: &'p PodContainer<'_>) -> Asked<'p> {
    if let Some(field) = container.profile() {
        return of_field(field);
    }
    match pod.annotation(ANNOTATION_PREFIX, container.name()) {
        Some("runtime/default") => return Asked::RuntimeDefault,
        None | Some("") => {}
        Some(value) => {
            return value
                .strip_prefix("localhost/")
                .map_or(Asked::Other, Asked::Localhost);
        }
    }
    pod.profile().map_or(Asked::Nothing, of_field)
}

pub(crate) fn of_field<'p>(field: &'p AppArmorField<'_>) -> Asked<'p> {
    let name = field.localhost_profile.as_ref().map(Text::as_str);
    match (field.kind.as_ref().map_or("", Text::as_str), name) {
        ("Localhost", Some(name)) => Asked::Localhost(name),
        ("RuntimeDefault", None) => Asked::RuntimeDefault,
        _ => Asked::Other,
    }
}

/// The digests that the pod's annotation holds, by container. Read once for a pod: it may be as large as the pod.
#[derive(Clone, Debug, Default)]
pub struct Recorded(pub(crate) BTreeMap<String, String>);

impl Recorded {
    /// What a pod has; nothing where that is no object of texts, or too much.
    #[must_use]
    pub fn of(pod: &PodTemplate<'_>) -> Self {
        let annotation = pod.annotation(IMAGES_ANNOTATION, "");
        let annotation = annotation.filter(|text| text.len() <= MAX_ANNOTATION);
        let digests = annotation.and_then(|text| serde_json::from_str(text).ok());
        Self(digests.unwrap_or_default())
    }
}

/// LIMIT: bytes of the annotation with a pod's digests; the API server keeps no more of all annotations together.
const MAX_ANNOTATION: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{OwnProfileRule, PodTemplate, Recorded, Step, WhitelistRules, step};

    #[test]
    fn what_a_container_asks_for_decides() {
        let localhost = |name: &str| json!({ "type": "Localhost", "localhostProfile": name });
        let replacing = WhitelistRules {
            localhost: OwnProfileRule::Deny,
            runtime_default: OwnProfileRule::Replace,
            ..WhitelistRules::default()
        };
        for (own, of_pod, images, kept, replaced) in [
            (json!(null), json!(null), "", "Generate", "Generate"),
            (
                json!({ "type": "RuntimeDefault" }),
                json!(null),
                "",
                "Keep",
                "Generate",
            ),
            (
                json!(null),
                json!({ "type": "RuntimeDefault" }),
                "",
                "Keep",
                "Generate",
            ),
            (
                json!({ "type": "Unconfined" }),
                json!(null),
                "",
                "Keep",
                "Keep",
            ),
            (localhost("web"), json!(null), "", "Keep", "Refuse"),
            (
                localhost("armorgate.x.0"),
                json!(null),
                "",
                "Named",
                "Named",
            ),
            (
                localhost("armorgate.x.0"),
                json!(null),
                r#"{"c":"sha256:0"}"#,
                "Generate",
                "Generate",
            ),
        ] {
            let text = json!({
                "metadata": { "annotations": { "armorgate.dev/images": images } },
                "spec": {
                    "securityContext": { "appArmorProfile": of_pod },
                    "containers": [{ "name": "c", "securityContext": { "appArmorProfile": own } }],
                },
            })
            .to_string();
            let pod: PodTemplate<'_> = serde_json::from_str(&text).unwrap();
            let (_, _, container) = pod.containers().next().unwrap();
            for (rules, expected) in [(&WhitelistRules::default(), kept), (&replacing, replaced)] {
                let step = match step(&pod, &Recorded::of(&pod), container, rules) {
                    Step::Generate => "Generate",
                    Step::Keep => "Keep",
                    Step::Named => "Named",
                    Step::Refuse(_) => "Refuse",
                    Step::Unnamable(_) => "Unnamable",
                    Step::Skip(_) => "Skip",
                };
                assert_eq!(step, expected, "{text}");
            }
        }
    }
}
