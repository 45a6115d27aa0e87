//! What is changed in a pod whose containers get generated profiles. Pure: digests come from outside.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    compare::Baseline,
    image::ImageDigest,
    verdict::{ANNOTATION_PREFIX, ContainerList, Mode, WhitelistRules},
    whitelist::{
        Asked, IMAGES_ANNOTATION, PodContainer, PodTemplate, ProfileRequest, Stage, of_field,
        recorded,
    },
};

/// A container that gets a profile.
pub(super) struct Placed<'p> {
    pub(super) list: ContainerList,
    pub(super) index: usize,
    pub(super) container: &'p PodContainer<'p>,
    pub(super) digest: ImageDigest,
}

/// What is decided for all containers of a pod.
pub(super) struct Terms<'r> {
    pub(super) rules: &'r WhitelistRules,
    pub(super) baseline: Baseline,
    pub(super) stage: Stage,
}

/// What of the mode a profile does.
pub(super) fn stage(mode: Mode) -> Stage {
    match mode {
        Mode::Enforce => Stage::Enforce,
        Mode::Audit | Mode::Off | Mode::Warn => Stage::Audit,
    }
}

impl Terms<'_> {
    /// The name of a container's profile.
    pub(super) fn name(
        &self,
        pod: &PodTemplate<'_>,
        container: &PodContainer<'_>,
        digest: ImageDigest,
    ) -> String {
        let terms = (self.baseline, self.stage);
        ProfileRequest::of(pod, container, digest, self.rules, terms).name()
    }
}

/// An operation of a JSON patch (RFC 6902).
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Operation {
    op: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Operation {
    /// Adds a member, or replaces the one that is there.
    fn add(path: String, value: Value) -> Self {
        Self {
            op: "add",
            path,
            value: Some(value),
        }
    }
}

/// The patch that gives containers their profiles: nothing where they have them.
pub(super) fn patch(
    pod: &PodTemplate<'_>,
    placed: &[(Placed<'_>, String)],
    rules: &WhitelistRules,
) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut digests = recorded(pod);
    let before = digests.clone();
    for (at, name) in placed {
        let container = at.container;
        let holder = format!("/spec/{}/{}", at.list.field(), at.index);
        let field = container.profile();
        let has_it = field
            .is_some_and(|field| matches!(of_field(field), Asked::Localhost(old) if old == name));
        if !has_it {
            let profile = json!({ "type": "Localhost", "localhostProfile": name });
            operations.push(if container.has_security_context() {
                Operation::add(format!("{holder}/securityContext/appArmorProfile"), profile)
            } else {
                let context = json!({ "appArmorProfile": profile });
                Operation::add(format!("{holder}/securityContext"), context)
            });
            let annotation = format!("{ANNOTATION_PREFIX}{}", container.name());
            if pod.annotation(&annotation).is_some() {
                // The API server refuses a field and an annotation that differ.
                operations.push(Operation {
                    op: "remove",
                    path: format!("/metadata/annotations/{}", escaped(&annotation)),
                    value: None,
                });
            }
        }
        let digest = at.digest.to_string();
        if rules.pin_images && !container.image().contains('@') {
            let pinned = format!("{}@{digest}", container.image());
            operations.push(Operation::add(format!("{holder}/image"), pinned.into()));
        }
        digests.insert(container.name().to_owned(), digest);
    }
    if digests != before {
        let text = json!(digests).to_string();
        operations.push(if pod.has_annotations() {
            let path = format!("/metadata/annotations/{}", escaped(IMAGES_ANNOTATION));
            Operation::add(path, text.into())
        } else {
            let annotations = json!({ IMAGES_ANNOTATION: text });
            Operation::add("/metadata/annotations".to_owned(), annotations)
        });
    }
    operations
}

/// A name as a token of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `web=armorgate.nginx.0123456789abcdef, …`
pub(super) fn listed(placed: &[(Placed<'_>, String)]) -> String {
    let mut list = String::new();
    for (at, name) in placed {
        if !list.is_empty() {
            list.push_str(", ");
        }
        // Writing to a string does not fail.
        let _ = write!(list, "{}={name}", at.container.name());
    }
    list
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Placed, patch};
    use crate::{image::ImageDigest, verdict::WhitelistRules, whitelist::PodTemplate};

    fn patched(pod: &Value, rules: &WhitelistRules) -> Value {
        let text = pod.to_string();
        let pod: PodTemplate<'_> = serde_json::from_str(&text).unwrap();
        let placed = pod.containers().map(|(list, index, container)| {
            let at = Placed {
                list,
                index,
                container,
                digest: ImageDigest::of(b"image"),
            };
            (at, "armorgate.x.0".to_owned())
        });
        let placed: Vec<_> = placed.collect();
        serde_json::to_value(patch(&pod, &placed, rules)).unwrap()
    }

    #[test]
    fn a_patch_adds_what_is_missing_and_a_second_nothing() {
        let digest = ImageDigest::of(b"image").to_string();
        let images = json!({ "c": digest }).to_string();
        let profile = json!({ "type": "Localhost", "localhostProfile": "armorgate.x.0" });
        let rules = WhitelistRules::default();
        let bare =
            json!({ "metadata": {}, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let expected = json!([
            { "op": "add", "path": "/spec/containers/0/securityContext", "value": { "appArmorProfile": profile } },
            { "op": "add", "path": "/metadata/annotations", "value": { "armorgate.dev/images": images } },
        ]);
        assert_eq!(patched(&bare, &rules), expected);
        let annotation = "container.apparmor.security.beta.kubernetes.io/c";
        let annotated = json!({
            "metadata": { "annotations": { annotation: "runtime/default" } },
            "spec": { "initContainers": [{ "name": "c", "image": "i:1", "securityContext": {} }] },
        });
        let pinning = WhitelistRules {
            pin_images: true,
            ..WhitelistRules::default()
        };
        let expected = json!([
            { "op": "add", "path": "/spec/initContainers/0/securityContext/appArmorProfile", "value": profile },
            { "op": "remove", "path": "/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1c" },
            { "op": "add", "path": "/spec/initContainers/0/image", "value": format!("i:1@{digest}") },
            { "op": "add", "path": "/metadata/annotations/armorgate.dev~1images", "value": images },
        ]);
        assert_eq!(patched(&annotated, &pinning), expected);
        let done = json!({
            "metadata": { "annotations": { "armorgate.dev/images": images } },
            "spec": { "containers": [{
                "name": "c", "image": format!("i:1@{digest}"), "securityContext": { "appArmorProfile": profile },
            }] },
        });
        assert_eq!(patched(&done, &pinning), json!([]));
    }
}
