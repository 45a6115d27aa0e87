//! What is changed in a pod whose containers get generated profiles. Pure: digests come from outside.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

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
        ProfileRequest::name_of(pod, container, digest, self.rules, terms)
    }
}

/// An operation of a JSON patch (RFC 6902).
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Operation<'p> {
    op: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Added<'p>>,
}

/// What is added.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Added<'p> {
    Annotations(BTreeMap<String, String>),
    Context(Context<'p>),
    Profile(Profile<'p>),
    Text(String),
}

/// A container's `securityContext`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'p> {
    app_armor_profile: Profile<'p>,
}

/// `appArmorProfile`
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'p> {
    r#type: &'static str,
    localhost_profile: &'p str,
}

impl<'p> Operation<'p> {
    /// Adds a member, or replaces the one that is there.
    fn add(path: String, value: Added<'p>) -> Self {
        Self {
            op: "add",
            path,
            value: Some(value),
        }
    }
}

/// Where a container's profile is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The legacy annotation: before Kubernetes 1.30 there is nothing else.
    Annotation,
    /// `securityContext.appArmorProfile`
    Field,
}

/// The patch that gives containers their profiles: nothing where they have them.
pub(super) fn patch<'p>(
    pod: &PodTemplate<'_>,
    placed: &'p [(Placed<'_>, String)],
    rules: &WhitelistRules,
    place: Place,
) -> Vec<Operation<'p>> {
    let mut operations = Vec::new();
    let mut annotations = BTreeMap::new();
    let mut digests = recorded(pod);
    let before = digests.clone();
    for (at, name) in placed {
        let container = at.container;
        match place {
            Place::Annotation => {
                let (annotation, value) = (annotation(container), format!("localhost/{name}"));
                if pod.annotation(&annotation) != Some(&value) {
                    annotations.insert(annotation, value);
                }
            }
            Place::Field => set_field(pod, (at, name), &mut operations),
        }
        let digest = at.digest.to_string();
        if rules.pin_images && !container.image().contains('@') {
            let pinned = format!("{}@{digest}", container.image());
            operations.push(Operation::add(
                format!("{}/image", holder(at)),
                Added::Text(pinned),
            ));
        }
        digests.insert(container.name().to_owned(), digest);
    }
    if digests != before {
        // Strings can always be written.
        let text = serde_json::to_string(&digests).unwrap_or_default();
        annotations.insert(IMAGES_ANNOTATION.to_owned(), text);
    }
    if pod.has_annotations() {
        operations.extend(annotations.into_iter().map(|(key, value)| {
            let path = format!("/metadata/annotations/{}", escaped(&key));
            Operation::add(path, Added::Text(value))
        }));
    } else if !annotations.is_empty() {
        let path = "/metadata/annotations".to_owned();
        operations.push(Operation::add(path, Added::Annotations(annotations)));
    }
    operations
}

fn set_field<'p>(
    pod: &PodTemplate<'_>,
    (at, name): (&Placed<'_>, &'p str),
    operations: &mut Vec<Operation<'p>>,
) {
    let container = at.container;
    let field = container.profile();
    if field.is_some_and(|field| matches!(of_field(field), Asked::Localhost(old) if old == name)) {
        return;
    }
    let context = format!("{}/securityContext", holder(at));
    let profile = Profile {
        r#type: "Localhost",
        localhost_profile: name,
    };
    operations.push(if container.has_security_context() {
        Operation::add(
            format!("{context}/appArmorProfile"),
            Added::Profile(profile),
        )
    } else {
        let added = Added::Context(Context {
            app_armor_profile: profile,
        });
        Operation::add(context, added)
    });
    if !pod.has_annotations() {
        return;
    }
    let annotation = annotation(container);
    if pod.annotation(&annotation).is_some() {
        // The API server refuses a field and an annotation that differ.
        operations.push(Operation {
            op: "remove",
            path: format!("/metadata/annotations/{}", escaped(&annotation)),
            value: None,
        });
    }
}

/// The legacy annotation of a container.
fn annotation(container: &PodContainer<'_>) -> String {
    format!("{ANNOTATION_PREFIX}{}", container.name())
}

/// The patch as it is sent.
pub(super) fn to_json(patch: &[Operation<'_>]) -> Option<Vec<u8>> {
    let mut json = Vec::with_capacity(TYPICAL * patch.len());
    // Strings, lists and numbers can always be written.
    serde_json::to_writer(&mut json, patch).ok()?;
    Some(json)
}

/// Bytes of most operations.
const TYPICAL: usize = 256;

/// The path of a container.
fn holder(at: &Placed<'_>) -> String {
    format!("/spec/{}/{}", at.list.field(), at.index)
}

/// A name as a token of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `web=armorgate.nginx.0123456789abcdef, …`
pub(super) fn listed(placed: &[(Placed<'_>, String)]) -> String {
    let mut list = String::with_capacity(TYPICAL * placed.len());
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

    use super::{Place, Placed, patch};
    use crate::{image::ImageDigest, verdict::WhitelistRules, whitelist::PodTemplate};

    fn patched(pod: &Value, rules: &WhitelistRules) -> Value {
        patched_at(pod, rules, Place::Field)
    }

    fn patched_at(pod: &Value, rules: &WhitelistRules, place: Place) -> Value {
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
        serde_json::to_value(patch(&pod, &placed, rules, place)).unwrap()
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

    #[test]
    fn before_there_were_fields_the_annotation_has_the_profile() {
        let images = json!({ "c": ImageDigest::of(b"image").to_string() }).to_string();
        let rules = WhitelistRules::default();
        let key = "container.apparmor.security.beta.kubernetes.io/c";
        let spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
        let annotations = json!({ key: "localhost/armorgate.x.0", "armorgate.dev/images": images });
        assert_eq!(
            patched_at(&json!({ "spec": spec }), &rules, Place::Annotation),
            json!([{ "op": "add", "path": "/metadata/annotations", "value": annotations }])
        );
        let annotated =
            json!({ "metadata": { "annotations": { key: "runtime/default" } }, "spec": spec });
        assert_eq!(
            patched_at(&annotated, &rules, Place::Annotation),
            json!([
                { "op": "add", "path": "/metadata/annotations/armorgate.dev~1images", "value": images },
                { "op": "add", "path": "/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1c",
                    "value": "localhost/armorgate.x.0" },
            ])
        );
        let done = json!({ "metadata": { "annotations": annotations }, "spec": spec });
        assert_eq!(patched_at(&done, &rules, Place::Annotation), json!([]));
    }
}
