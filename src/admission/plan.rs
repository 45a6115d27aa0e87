//! What is changed in a pod whose containers get generated profiles. Pure: digests come from outside.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    image::ImageDigest,
    verdict::{ANNOTATION_PREFIX, ContainerList, Mode, WhitelistRules},
    whitelist::{Asked, IMAGES_ANNOTATION, PodContainer, PodTemplate, Recorded, Stage, of_field},
};

/// A container that gets a profile.
pub(super) struct Placed<'p> {
    pub(super) list: ContainerList,
    pub(super) index: usize,
    pub(super) container: &'p PodContainer<'p>,
    pub(super) digest: ImageDigest,
    /// The profile's.
    pub(super) name: String,
}

/// What of the mode a profile does.
pub(super) fn stage(mode: Mode) -> Stage {
    match mode {
        Mode::Enforce => Stage::Enforce,
        Mode::Audit | Mode::Off | Mode::Warn => Stage::Audit,
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
    (pod, recorded): (&PodTemplate<'_>, &Recorded),
    placed: &'p [Placed<'_>],
    rules: &WhitelistRules,
    place: Place,
) -> Vec<Operation<'p>> {
    let mut operations = Vec::with_capacity(placed.len() + 1);
    let mut annotations = BTreeMap::new();
    for at in placed {
        let container = at.container;
        match place {
            Place::Annotation => {
                let value = format!("localhost/{}", at.name);
                if pod.annotation(ANNOTATION_PREFIX, container.name()) != Some(&value) {
                    annotations.insert(annotation(container), value);
                }
            }
            Place::Field => set_field(pod, at, &mut operations),
        }
        if rules.pin_images && !container.image().contains('@') {
            let pinned = format!("{}@{}", container.image(), at.digest);
            operations.push(Operation::add(path(at, "image"), Added::Text(pinned)));
        }
    }
    if let Some(images) = images(recorded, placed) {
        annotations.insert(IMAGES_ANNOTATION.to_owned(), images);
    }
    if pod.has_annotations() {
        operations.extend(
            annotations
                .into_iter()
                .map(|(key, value)| Operation::add(annotation_path(&key), Added::Text(value))),
        );
    } else if !annotations.is_empty() {
        let path = "/metadata/annotations".to_owned();
        operations.push(Operation::add(path, Added::Annotations(annotations)));
    }
    operations
}

/// The annotation of the images' digests, where it is not so yet.
fn images(Recorded(before): &Recorded, placed: &[Placed<'_>]) -> Option<String> {
    let mut after: BTreeMap<&str, Cow<'_, str>> = before
        .iter()
        .map(|(container, digest)| (container.as_str(), digest.as_str().into()))
        .collect();
    for at in placed {
        after.insert(at.container.name(), at.digest.to_string().into());
    }
    let is_known = |(container, digest): (&&str, &Cow<'_, str>)| {
        before.get(*container).is_some_and(|known| known == digest)
    };
    // Strings can always be written.
    (!after.iter().all(is_known)).then(|| serde_json::to_string(&after).unwrap_or_default())
}

fn set_field<'p>(pod: &PodTemplate<'_>, at: &'p Placed<'_>, operations: &mut Vec<Operation<'p>>) {
    let container = at.container;
    let field = container.profile();
    if field.is_some_and(|field| matches!(of_field(field), Asked::Localhost(old) if old == at.name))
    {
        return;
    }
    let profile = Profile {
        r#type: "Localhost",
        localhost_profile: &at.name,
    };
    operations.push(if container.has_security_context() {
        Operation::add(
            path(at, "securityContext/appArmorProfile"),
            Added::Profile(profile),
        )
    } else {
        let added = Added::Context(Context {
            app_armor_profile: profile,
        });
        Operation::add(path(at, "securityContext"), added)
    });
    if pod
        .annotation(ANNOTATION_PREFIX, container.name())
        .is_some()
    {
        // The API server refuses a field and an annotation that differ.
        operations.push(Operation {
            op: "remove",
            path: annotation_path(&annotation(container)),
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
const TYPICAL: usize = 320;

/// The path of a member of a container.
fn path(at: &Placed<'_>, member: &str) -> String {
    let mut path = String::with_capacity(TYPICAL_PATH);
    // Writing to a string does not fail.
    let _ = write!(path, "/spec/{}/{}/{member}", at.list.field(), at.index);
    path
}

/// The path of an annotation: its key is a token of a JSON pointer (RFC 6901).
fn annotation_path(key: &str) -> String {
    let mut path = String::with_capacity(TYPICAL_PATH);
    path.push_str("/metadata/annotations/");
    for character in key.chars() {
        match character {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
    path
}

/// Bytes of most paths, and of a name with its container.
const TYPICAL_PATH: usize = 64;

/// `web=armorgate.nginx.0123456789abcdef, …`
pub(super) fn listed(placed: &[Placed<'_>]) -> String {
    let mut list = String::with_capacity(TYPICAL_PATH * placed.len());
    for at in placed {
        if !list.is_empty() {
            list.push_str(", ");
        }
        // Writing to a string does not fail.
        let _ = write!(list, "{}={}", at.container.name(), at.name);
    }
    list
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Place, Placed, patch};
    use crate::{
        image::ImageDigest,
        verdict::WhitelistRules,
        whitelist::{PodTemplate, Recorded},
    };

    fn patched(pod: &Value, rules: &WhitelistRules) -> Value {
        patched_at(pod, rules, Place::Field)
    }

    fn patched_at(pod: &Value, rules: &WhitelistRules, place: Place) -> Value {
        let text = pod.to_string();
        let pod: PodTemplate<'_> = serde_json::from_str(&text).unwrap();
        let placed = pod.containers().map(|(list, index, container)| Placed {
            list,
            index,
            container,
            digest: ImageDigest::of(b"image"),
            name: "armorgate.x.0".to_owned(),
        });
        let placed: Vec<_> = placed.collect();
        serde_json::to_value(patch((&pod, &Recorded::of(&pod)), &placed, rules, place)).unwrap()
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
