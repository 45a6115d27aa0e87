//! The JSON of a pod, as far as it shapes lists: borrowed from the text, and bounded.

use std::{cmp::Ordering, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::PodContainer;
use crate::verdict::{ANNOTATION_PREFIX, AppArmorField, JsonObject, Text, bounded_list};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) annotations: Annotations<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow, default)]
    pub(super) runtime_class_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) node_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) service_account_name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) image_pull_secrets: Vec<JsonObject<Named<'a>>>,
    #[serde(borrow, default)]
    pub(super) os: Option<JsonObject<Named<'a>>>,
    #[serde(borrow, default)]
    pub(super) security_context: Option<JsonObject<SecurityContext<'a>>>,
    #[serde(borrow, default, deserialize_with = "volumes")]
    pub(super) volumes: Vec<JsonObject<Volume<'a>>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) init_containers: Vec<JsonObject<PodContainer<'a>>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) containers: Vec<JsonObject<PodContainer<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext<'a> {
    #[serde(default)]
    pub(super) privileged: Option<bool>,
    #[serde(borrow, default)]
    pub(super) app_armor_profile: Option<JsonObject<AppArmorField<'a>>>,
    #[serde(borrow, default)]
    pub(super) capabilities: Option<JsonObject<Capabilities<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Capabilities<'a> {
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) add: Vec<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(default)]
    pub(super) config_map: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) secret: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) projected: Option<IgnoredAny>,
    #[serde(default, rename = "downwardAPI")]
    pub(super) downward_api: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) empty_dir: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variable<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) value: Option<Text<'a>>,
    #[serde(default)]
    pub(super) value_from: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) mount_path: Text<'a>,
    #[serde(borrow, default)]
    pub(super) sub_path: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) sub_path_expr: Option<Text<'a>>,
    #[serde(default)]
    pub(super) read_only: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Handler<'a> {
    #[serde(borrow, default)]
    pub(super) exec: Option<JsonObject<Exec<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Exec<'a> {
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) command: Vec<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle<'a> {
    #[serde(borrow, default)]
    pub(super) post_start: Option<JsonObject<Handler<'a>>>,
    #[serde(borrow, default)]
    pub(super) pre_stop: Option<JsonObject<Handler<'a>>>,
}

/// A pod's annotations, as far as anybody here asks about them.
#[derive(Debug, Default)]
pub(super) struct Annotations<'a> {
    /// Whether there is any.
    pub(super) any: bool,
    /// Those of AppArmor and of Armorgate, by key; of one that the object repeats, in its order.
    known: Vec<(Text<'a>, Text<'a>)>,
}

impl Annotations<'_> {
    /// The value of the annotation `<prefix><rest>`; the last one where the object repeats it, as Go reads it.
    pub(super) fn get(&self, prefix: &str, rest: &str) -> Option<&str> {
        let at_or_before = |key: &str| compare(key, (prefix, rest)).is_le();
        let end = self
            .known
            .partition_point(|(key, _)| at_or_before(key.as_str()));
        let (key, value) = self.known.get(end.checked_sub(1)?)?;
        compare(key.as_str(), (prefix, rest))
            .is_eq()
            .then_some(value.as_str())
    }
}

/// The order of a key and one in two parts.
fn compare(key: &str, (prefix, rest): (&str, &str)) -> Ordering {
    let key = key.as_bytes();
    let (head, tail) = key.split_at(prefix.len().min(key.len()));
    head.cmp(prefix.as_bytes())
        .then_with(|| tail.cmp(rest.as_bytes()))
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Annotations::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut annotations = Annotations::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            annotations.any = true;
            let value = map.next_value::<Option<Text<'de>>>()?.unwrap_or_default();
            if !PREFIXES
                .iter()
                .any(|prefix| key.as_str().starts_with(prefix))
            {
                continue;
            }
            if annotations.known.len() == MAX_ANNOTATIONS {
                return Err(A::Error::custom(format_args!(
                    "more than {MAX_ANNOTATIONS} annotations of AppArmor"
                )));
            }
            annotations.known.push((key, value));
        }
        // Looked for once for each container: not one by one, as there may be as many of both.
        annotations
            .known
            .sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Ok(annotations)
    }
}

const PREFIXES: [&str; 2] = [ANNOTATION_PREFIX, "armorgate.dev/"];

/// LIMIT: annotations of AppArmor and Armorgate. The API server has no limit but 256 KiB for all of a pod.
const MAX_ANNOTATIONS: usize = 10_000;

/// Volumes, in the order of their names; of those of one name, in the object's.
fn volumes<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<JsonObject<Volume<'de>>>, D::Error> {
    let mut volumes: Vec<JsonObject<Volume<'de>>> = bounded_list(reader)?;
    volumes.sort_by(|one, other| one.0.name.as_str().cmp(other.0.name.as_str()));
    Ok(volumes)
}
