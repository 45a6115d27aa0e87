//! The JSON of a pod, as far as it shapes lists: borrowed from the text, and bounded.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::PodContainer;
use crate::verdict::{AppArmorField, JsonObject, Text, bounded_list};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "annotations")]
    pub(super) annotations: Vec<(Text<'a>, Text<'a>)>,
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
    #[serde(borrow, default, deserialize_with = "bounded_list")]
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

/// The annotations that anybody here asks about; the rest is dropped at once.
fn annotations<'de, D: Deserializer<'de>>(
    reader: D,
) -> Result<Vec<(Text<'de>, Text<'de>)>, D::Error> {
    struct AnnotationsVisitor;
    impl<'de> serde::de::Visitor<'de> for AnnotationsVisitor {
        type Value = Vec<(Text<'de>, Text<'de>)>;
        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("an object of strings")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut annotations = Vec::new();
            while let Some(key) = map.next_key::<Text<'de>>()? {
                let value = map.next_value::<Option<Text<'de>>>()?.unwrap_or_default();
                if annotations.len() == MAX_ANNOTATIONS {
                    return Err(serde::de::Error::custom(format_args!(
                        "more than {MAX_ANNOTATIONS} annotations"
                    )));
                }
                annotations.push((key, value));
            }
            Ok(annotations)
        }
    }
    reader.deserialize_any(AnnotationsVisitor)
}

/// LIMIT: annotations of a pod. The API server has no limit but 256 KiB for all of them.
const MAX_ANNOTATIONS: usize = 10_000;
