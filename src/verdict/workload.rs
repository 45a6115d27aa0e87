//! A Pod, or an object with a pod template: what of it decides the AppArmor profiles of its containers.
//!
//! Everything else in the object is skipped unread, so this is no validation of the object: the API server does that.

use serde::{Deserialize, Deserializer, de::DeserializeSeed};

use super::{
    fields::{
        AppArmorField, Container, ContainerList, CronJobSpec, Metadata, Object, PodSpec,
        PodTemplateObject, Template, Templated,
    },
    kind::Kind,
    object::JsonObject,
    path::FieldPath,
    text::Text,
};

/// A Pod, or an object with a pod template.
#[derive(Debug)]
pub struct Workload<'a> {
    /// What it is.
    pub kind: Kind,
    /// `metadata.name`, else `metadata.generateName`, else empty.
    pub name: Text<'a>,
    /// `metadata.namespace`, empty where the object does not say.
    pub namespace: Text<'a>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub being_deleted: bool,
    /// The pod it is or makes.
    pub pod: Pod<'a>,
}

/// An object that does not have the shape of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// The field where reading ended; the object itself where that is not known.
    pub path: FieldPath,
    /// What is wrong, in serde's words.
    pub message: String,
}

impl Malformed {
    /// No object at all.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            path: FieldPath::default(),
            message: "there is no object".to_owned(),
        }
    }
}

impl<'a> Workload<'a> {
    /// Reads an object of the given kind from its JSON text.
    pub fn parse(kind: Kind, json: &'a str) -> Result<Self, Malformed> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let workload = Self::read(kind, &mut reader);
        match workload.and_then(|workload| reader.end().map(|()| workload)) {
            Ok(workload) => Ok(workload),
            // Read again, slower, to learn which field it was.
            Err(error) => Err(explain(kind, json, &error)),
        }
    }

    fn read<D: Deserializer<'a>>(kind: Kind, reader: D) -> Result<Self, D::Error> {
        let (metadata, template) = match kind {
            Kind::CronJob => {
                let JsonObject(object) =
                    JsonObject::<Object<'_, CronJobSpec<'_>>>::deserialize(reader)?;
                (
                    object.metadata,
                    object.spec.0.job_template.0.spec.0.template.0,
                )
            }
            Kind::Pod => {
                let JsonObject(mut object) =
                    JsonObject::<Object<'_, PodSpec<'_>>>::deserialize(reader)?;
                let annotations = object
                    .metadata
                    .as_mut()
                    .map(|metadata| std::mem::take(&mut metadata.0.annotations));
                let metadata = annotations.map(|annotations| {
                    JsonObject(Metadata {
                        annotations,
                        ..Metadata::default()
                    })
                });
                (
                    object.metadata,
                    Template {
                        metadata,
                        spec: object.spec,
                    },
                )
            }
            Kind::PodTemplate => {
                let JsonObject(object) = JsonObject::<PodTemplateObject<'_>>::deserialize(reader)?;
                (object.metadata, object.template.0)
            }
            _ => {
                let JsonObject(object) =
                    JsonObject::<Object<'_, Templated<'_>>>::deserialize(reader)?;
                (object.metadata, object.spec.0.template.0)
            }
        };
        let JsonObject(metadata) = metadata.unwrap_or_default();
        let JsonObject(spec) = template.spec;
        let mut annotations = template.metadata.unwrap_or_default().0.annotations.0;
        annotations.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Ok(Self {
            kind,
            name: metadata.name.or(metadata.generate_name).unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            being_deleted: metadata.deletion_timestamp.is_some(),
            pod: Pod {
                annotations,
                profile: spec
                    .security_context
                    .and_then(|context| context.0.app_armor_profile)
                    .map(|profile| profile.0),
                windows: spec
                    .os
                    .and_then(|os| os.0.name)
                    .is_some_and(|name| name.as_str() == "windows"),
                runtime_class: spec.runtime_class_name,
                node_name: spec.node_name,
                init_containers: spec.init_containers,
                containers: spec.containers,
                ephemeral_containers: spec.ephemeral_containers,
            },
        })
    }
}

/// What of a pod decides its AppArmor profiles.
#[derive(Debug)]
pub struct Pod<'a> {
    /// The legacy annotations: container name and value, in the order of the names.
    pub annotations: Vec<(Text<'a>, Text<'a>)>,
    /// `spec.securityContext.appArmorProfile`
    pub profile: Option<AppArmorField<'a>>,
    /// Whether `spec.os.name` is `windows`.
    pub windows: bool,
    runtime_class: Option<Text<'a>>,
    node_name: Option<Text<'a>>,
    /// `spec.initContainers`, sidecars among them
    pub init_containers: Vec<Container<'a>>,
    /// `spec.containers`
    pub containers: Vec<Container<'a>>,
    /// `spec.ephemeralContainers`
    pub ephemeral_containers: Vec<Container<'a>>,
}

impl<'a> Pod<'a> {
    /// `spec.runtimeClassName`
    #[must_use]
    pub fn runtime_class(&self) -> Option<&str> {
        self.runtime_class.as_ref().map(Text::as_str)
    }

    /// `spec.nodeName`: the node that it is bound to, `None` while it may land on any.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        let name = self.node_name.as_ref().map(Text::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// All containers with their list and their index in it, in the order in which they start.
    pub fn all_containers(&self) -> impl Iterator<Item = (ContainerList, usize, &Container<'a>)> {
        let lists = [
            ContainerList::Init,
            ContainerList::Regular,
            ContainerList::Ephemeral,
        ];
        lists.into_iter().flat_map(|list| {
            self.list(list)
                .iter()
                .enumerate()
                .map(move |(index, container)| (list, index, container))
        })
    }

    /// The value of a container's legacy annotation; the last one where the object repeats it, as Go reads it.
    #[must_use]
    pub fn annotation(&self, container: &str) -> Option<&str> {
        let after = self
            .annotations
            .partition_point(|(name, _)| name.as_str() <= container);
        let (name, value) = self.annotations.get(after.checked_sub(1)?)?;
        (name.as_str() == container).then_some(value.as_str())
    }

    fn list(&self, list: ContainerList) -> &[Container<'a>] {
        match list {
            ContainerList::Ephemeral => &self.ephemeral_containers,
            ContainerList::Init => &self.init_containers,
            ContainerList::Regular => &self.containers,
        }
    }
}

/// A kind reads an object of its own from any deserializer, on the way through a larger text.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Workload<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Workload<'de>, D::Error> {
        Workload::read(self, reader)
    }
}

/// Reads again, slower, to learn which field it was.
fn explain(kind: Kind, json: &str, error: &serde_json::Error) -> Malformed {
    let mut track = serde_path_to_error::Track::new();
    let mut reader = serde_json::Deserializer::from_str(json);
    let located = Workload::read(
        kind,
        serde_path_to_error::Deserializer::new(&mut reader, &mut track),
    )
    .err();
    let mut path = FieldPath::default();
    for segment in &track.path() {
        path = match segment {
            serde_path_to_error::Segment::Map { key } => path.key(key),
            serde_path_to_error::Segment::Seq { index } => path.index(*index),
            _ => path,
        };
    }
    let message = located.as_ref().unwrap_or(error).to_string();
    // The position in the API server's encoding says nothing to the author of a manifest.
    let message = message
        .split_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message)
        .to_owned();
    Malformed { path, message }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Workload};

    #[test]
    fn finds_the_pod_in_every_kind() {
        let pod = r#"{"metadata":{"annotations":{"x":"y","container.apparmor.security.beta.kubernetes.io/c":"unconfined"}},
            "spec":{"containers":[{"name":"c"}],"initContainers":null}}"#;
        for (kind, json) in [
            (Kind::Pod, pod.to_owned()),
            (Kind::PodTemplate, format!(r#"{{"template":{pod}}}"#)),
            (
                Kind::Deployment,
                format!(r#"{{"spec":{{"template":{pod}}}}}"#),
            ),
            (
                Kind::CronJob,
                format!(r#"{{"spec":{{"jobTemplate":{{"spec":{{"template":{pod}}}}}}}}}"#),
            ),
        ] {
            let workload = Workload::parse(kind, &json).unwrap();
            assert_eq!(workload.pod.containers.len(), 1, "{kind:?}");
            assert_eq!(
                workload.pod.annotations,
                [("c".into(), "unconfined".into())],
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_wrong_type_is_told_with_its_place() {
        for (json, expected) in [
            (
                r#"{"spec":{"containers":[{},{"securityContext":{"privileged":"yes"}}]}}"#,
                "spec.containers[1].securityContext.privileged: invalid type: string \"yes\", expected a boolean",
            ),
            (
                r#"{"spec":{"containers":{}}}"#,
                "spec.containers: invalid type: map, expected a list",
            ),
            (r#"{"metadata":{}}"#, ": missing field `spec`"),
            (
                r#"{"spec":[]}"#,
                "spec: invalid type: sequence, expected an object",
            ),
            (
                r#"[{"containers":[]}]"#,
                ": invalid type: sequence, expected an object",
            ),
            (
                r#"{"spec":null}"#,
                "spec: invalid type: null, expected an object",
            ),
            (r#"{"spec":{}} x"#, ": trailing characters"),
            ("{", ": EOF while parsing an object"),
        ] {
            let error = Workload::parse(Kind::Pod, json).unwrap_err();
            assert_eq!(format!("{}: {}", error.path, error.message), expected);
        }
    }

    #[test]
    fn a_list_ends_at_its_limit() {
        let json = format!(
            r#"{{"spec":{{"containers":[{}{{}}]}}}}"#,
            "{},".repeat(10_000)
        );
        let error = Workload::parse(Kind::Pod, &json).unwrap_err();
        assert_eq!(error.message, "more than 10000 elements");
    }
}
