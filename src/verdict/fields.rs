//! The fields that are read, in the shapes in which Kubernetes writes them.
//!
//! `null` stands for an absent field wherever Go's encoder may write it.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{object::JsonObject, text::Text};

/// Prefix of the legacy annotation; the container's name follows. Deprecated since Kubernetes 1.30, still honoured.
pub const ANNOTATION_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// LIMIT: elements of one container list, and AppArmor annotations of one pod. The API server has no limit but the size
/// of the object; real pods have fewer than a hundred.
const MAX_ELEMENTS: usize = 10_000;

/// The list of a pod's spec that a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerList {
    /// `ephemeralContainers`
    Ephemeral,
    /// `initContainers`
    Init,
    /// `containers`
    Regular,
}

impl ContainerList {
    /// The name of the list's field.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeralContainers",
            Self::Init => "initContainers",
            Self::Regular => "containers",
        }
    }
}

/// What of a container decides its AppArmor profile.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its name; empty where the object has none.
    pub name: Text<'a>,
    /// `securityContext.privileged`
    pub privileged: bool,
    /// `securityContext.appArmorProfile`
    pub profile: Option<AppArmorField<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Container<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let JsonObject(fields) = JsonObject::<ContainerFields<'_>>::deserialize(reader)?;
        let JsonObject(context) = fields.security_context.unwrap_or_default();
        Ok(Self {
            name: fields.name.unwrap_or_default(),
            privileged: context.privileged.unwrap_or_default(),
            profile: context.app_armor_profile.map(|profile| profile.0),
        })
    }
}

/// An `appArmorProfile` field, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppArmorField<'a> {
    /// `type`
    #[serde(rename = "type", borrow, default)]
    pub kind: Option<Text<'a>>,
    /// `localhostProfile`
    #[serde(borrow, default)]
    pub localhost_profile: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a, S: Deserialize<'de>"))]
pub(super) struct Object<'a, S> {
    #[serde(default)]
    pub(super) metadata: Option<JsonObject<Metadata<'a>>>,
    pub(super) spec: JsonObject<S>,
}

#[derive(Deserialize)]
pub(super) struct PodTemplateObject<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Option<JsonObject<Metadata<'a>>>,
    #[serde(borrow)]
    pub(super) template: JsonObject<Template<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) generate_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(default)]
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) annotations: Annotations<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CronJobSpec<'a> {
    #[serde(borrow)]
    pub(super) job_template: JsonObject<JobTemplate<'a>>,
}

#[derive(Deserialize)]
pub(super) struct JobTemplate<'a> {
    #[serde(borrow)]
    pub(super) spec: JsonObject<Templated<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Templated<'a> {
    #[serde(borrow)]
    pub(super) template: JsonObject<Template<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Template<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Option<JsonObject<Metadata<'a>>>,
    #[serde(borrow)]
    pub(super) spec: JsonObject<PodSpec<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow, default)]
    pub(super) security_context: Option<JsonObject<PodSecurityContext<'a>>>,
    #[serde(borrow, default)]
    pub(super) os: Option<JsonObject<Os<'a>>>,
    #[serde(borrow, default)]
    pub(super) runtime_class_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) node_name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) init_containers: Vec<Container<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) containers: Vec<Container<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    pub(super) ephemeral_containers: Vec<Container<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSecurityContext<'a> {
    #[serde(borrow, default)]
    pub(super) app_armor_profile: Option<JsonObject<AppArmorField<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Os<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerFields<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    security_context: Option<JsonObject<SecurityContext<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext<'a> {
    #[serde(default)]
    privileged: Option<bool>,
    #[serde(borrow, default)]
    app_armor_profile: Option<JsonObject<AppArmorField<'a>>>,
}

/// The AppArmor annotations among a pod's annotations: container name and value. The others are skipped unread.
#[derive(Default)]
pub(super) struct Annotations<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Annotations<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of strings")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Annotations::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut annotations = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let Some(container) = key.strip_prefix(ANNOTATION_PREFIX) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if annotations.len() == MAX_ELEMENTS {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX_ELEMENTS} AppArmor annotations"
                        )));
                    }
                    annotations.push((
                        container,
                        map.next_value::<Option<Text<'de>>>()?.unwrap_or_default(),
                    ));
                }
                Ok(Annotations(annotations))
            }
        }
        reader.deserialize_any(MapVisitor)
    }
}

/// Reads a list of at most 10,000 elements, `null` as an empty one: for `deserialize_with`.
pub fn bounded_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    reader: D,
) -> Result<Vec<T>, D::Error> {
    struct ListVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
        type Value = Vec<T>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a list")
        }
        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element()? {
                if elements.len() == MAX_ELEMENTS {
                    return Err(A::Error::custom(format_args!(
                        "more than {MAX_ELEMENTS} elements"
                    )));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }
    reader.deserialize_any(ListVisitor(PhantomData))
}
