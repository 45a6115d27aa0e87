//! What a pod says of the programs that its containers run: from its JSON text to a [`Workload`] for each.
//!
//! The same for a pod and for the template in a Deployment. What stands elsewhere, in ConfigMaps, Secrets and volumes, is not
//! read: it is an unknown of the list.

mod json;

use serde::{Deserialize, de::IgnoredAny};

use self::json::{
    Handler, Lifecycle, Metadata, PodSpec, SecurityContext, Variable, Volume, VolumeMount,
};
use super::workload::{Mount, MountKind, PodVariable, Workload};
use crate::verdict::{AppArmorField, ContainerList, JsonObject, Text, bounded_list};

/// What of a pod, or of a template, shapes its lists.
#[derive(Debug, Deserialize)]
pub struct PodTemplate<'a> {
    #[serde(borrow, default)]
    metadata: Option<JsonObject<Metadata<'a>>>,
    #[serde(borrow)]
    spec: JsonObject<PodSpec<'a>>,
}

/// A container of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodContainer<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    image: Text<'a>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    command: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    args: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    env: Vec<JsonObject<Variable<'a>>>,
    #[serde(default, deserialize_with = "bounded_list")]
    env_from: Vec<IgnoredAny>,
    #[serde(borrow, default)]
    working_dir: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    volume_mounts: Vec<JsonObject<VolumeMount<'a>>>,
    #[serde(borrow, default)]
    liveness_probe: Option<JsonObject<Handler<'a>>>,
    #[serde(borrow, default)]
    readiness_probe: Option<JsonObject<Handler<'a>>>,
    #[serde(borrow, default)]
    startup_probe: Option<JsonObject<Handler<'a>>>,
    #[serde(borrow, default)]
    lifecycle: Option<JsonObject<Lifecycle<'a>>>,
    #[serde(borrow, default)]
    security_context: Option<JsonObject<SecurityContext<'a>>>,
}

impl<'a> PodTemplate<'a> {
    /// The containers that a list can be made for, in the order in which they start: not the ephemeral ones, which people start by
    /// hand to look around.
    pub fn containers(&self) -> impl Iterator<Item = (ContainerList, usize, &PodContainer<'a>)> {
        let JsonObject(spec) = &self.spec;
        let init = spec.init_containers.iter().enumerate();
        let regular = spec.containers.iter().enumerate();
        init.map(|(index, container)| (ContainerList::Init, index, &container.0))
            .chain(regular.map(|(index, container)| (ContainerList::Regular, index, &container.0)))
    }

    /// The value of the annotation `<prefix><rest>`, of those of AppArmor and Armorgate; the last one where the object repeats it,
    /// as Go reads it.
    #[must_use]
    pub fn annotation(&self, prefix: &str, rest: &str) -> Option<&str> {
        self.metadata.as_ref()?.0.annotations.get(prefix, rest)
    }

    /// Whether there is any annotation.
    #[must_use]
    pub fn has_annotations(&self) -> bool {
        self.metadata
            .as_ref()
            .is_some_and(|metadata| metadata.0.annotations.any)
    }

    /// `spec.runtimeClassName`
    #[must_use]
    pub fn runtime_class(&self) -> Option<&str> {
        text(self.spec.0.runtime_class_name.as_ref())
    }

    /// `spec.nodeName`
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        text(self.spec.0.node_name.as_ref())
    }

    /// `spec.serviceAccountName`, `default` where there is none.
    #[must_use]
    pub fn service_account(&self) -> &str {
        text(self.spec.0.service_account_name.as_ref()).unwrap_or("default")
    }

    /// The names of `spec.imagePullSecrets`.
    pub fn pull_secrets(&self) -> impl Iterator<Item = &str> {
        let secrets = self.spec.0.image_pull_secrets.iter();
        secrets.filter_map(|secret| text(secret.0.name.as_ref()))
    }

    /// Whether `spec.os.name` is `windows`.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        let os = self.spec.0.os.as_ref();
        os.and_then(|os| os.0.name.as_ref())
            .is_some_and(|name| name.as_str() == "windows")
    }

    /// `spec.securityContext.appArmorProfile`
    #[must_use]
    pub fn profile(&self) -> Option<&AppArmorField<'a>> {
        profile(self.spec.0.security_context.as_ref())
    }

    /// What a container of this pod runs, as far as the pod says it.
    #[must_use]
    pub fn workload<'p>(&'p self, container: &'p PodContainer<'_>) -> Workload<&'p str> {
        let probes = [
            &container.startup_probe,
            &container.liveness_probe,
            &container.readiness_probe,
        ];
        let hooks = container.lifecycle.as_ref();
        let hooks = hooks.map_or([None, None], |JsonObject(hooks)| {
            [hooks.post_start.as_ref(), hooks.pre_stop.as_ref()]
        });
        Workload {
            command: strings(&container.command),
            args: strings(&container.args),
            env: container.env.iter().map(variable).collect(),
            unread_env: !container.env_from.is_empty(),
            working_dir: text(container.working_dir.as_ref()),
            probes: probes.into_iter().flatten().filter_map(command).collect(),
            hooks: hooks.into_iter().flatten().filter_map(command).collect(),
            mounts: self.mounts(container),
            allow_exec: Vec::new(),
        }
    }

    fn mounts<'p>(&self, container: &'p PodContainer<'_>) -> Vec<Mount<&'p str>> {
        let mounts = container.volume_mounts.iter();
        let told = mounts.filter(|mount| mount.0.mount_path.as_str() != TOKEN_FOLDER);
        told.map(|JsonObject(mount)| Mount {
            path: mount.mount_path.as_str(),
            read_only: mount.read_only.unwrap_or_default(),
            kind: kind(self.volume(mount.name.as_str()), mount),
        })
        .collect()
    }

    /// A volume, the last of that name.
    fn volume(&self, name: &str) -> Option<&Volume<'a>> {
        let volumes = &self.spec.0.volumes;
        let end = volumes.partition_point(|volume| volume.0.name.as_str() <= name);
        let JsonObject(volume) = volumes.get(end.checked_sub(1)?)?;
        (volume.name.as_str() == name).then_some(volume)
    }
}

impl<'a> PodContainer<'a> {
    /// Its name; empty where the object has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its image, as written.
    #[must_use]
    pub fn image(&self) -> &str {
        self.image.as_str()
    }

    /// `securityContext.privileged`
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        let context = self.security_context.as_ref();
        context.is_some_and(|context| context.0.privileged.unwrap_or_default())
    }

    /// `securityContext.appArmorProfile`
    #[must_use]
    pub fn profile(&self) -> Option<&AppArmorField<'a>> {
        profile(self.security_context.as_ref())
    }

    /// Whether it has a `securityContext`.
    #[must_use]
    pub fn has_security_context(&self) -> bool {
        self.security_context.is_some()
    }

    /// Whether it is given `CAP_SYS_ADMIN`, by name or with all others.
    #[must_use]
    pub fn may_mount(&self) -> bool {
        let context = self.security_context.as_ref();
        let capabilities = context.and_then(|context| context.0.capabilities.as_ref());
        let added = capabilities
            .into_iter()
            .flat_map(|capabilities| &capabilities.0.add);
        let mut names = added.map(|name| name.as_str().trim_start_matches("CAP_"));
        names.any(|name| name == "SYS_ADMIN" || name == "ALL")
    }
}

fn profile<'s, 'a>(
    context: Option<&'s JsonObject<SecurityContext<'a>>>,
) -> Option<&'s AppArmorField<'a>> {
    let profile = context?.0.app_armor_profile.as_ref()?;
    Some(&profile.0)
}

/// Something that is not empty, as Go takes it.
fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(Text::as_str).filter(|text| !text.is_empty())
}

fn strings<'t>(words: &'t [Text<'_>]) -> Vec<&'t str> {
    words.iter().map(Text::as_str).collect()
}

fn variable<'t>(JsonObject(variable): &'t JsonObject<Variable<'_>>) -> PodVariable<&'t str> {
    let value = match (&variable.value, &variable.value_from) {
        (_, Some(_)) => None,
        (value, None) => Some(value.as_ref().map_or("", Text::as_str)),
    };
    PodVariable {
        name: variable.name.as_str(),
        value,
    }
}

fn command<'t>(handler: &'t JsonObject<Handler<'_>>) -> Option<Vec<&'t str>> {
    let exec = handler.0.exec.as_ref()?;
    Some(strings(&exec.0.command)).filter(|words| !words.is_empty())
}

fn kind(volume: Option<&Volume<'_>>, mount: &VolumeMount<'_>) -> MountKind {
    let Some(volume) = volume else {
        return MountKind::Opaque;
    };
    let holds_files = volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some();
    let is_one =
        text(mount.sub_path.as_ref()).is_some() || text(mount.sub_path_expr.as_ref()).is_some();
    match (holds_files, is_one) {
        (true, true) => MountKind::ConfigMapFile { file: None },
        (true, false) => MountKind::ConfigMap { files: None },
        (false, _) if volume.empty_dir.is_some() => MountKind::EmptyDir,
        (false, _) => MountKind::Opaque,
    }
}

/// Where the API server mounts the token of a pod's service account. The pod has the mount, its template has not: left out, both
/// ask for the same profile. Nothing runs from there: what it hides is not found, and so is not on the list.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MountKind, PodTemplate};

    fn workload(pod: &serde_json::Value) -> super::Workload {
        let text = pod.to_string();
        let pod: PodTemplate<'_> = serde_json::from_str(&text).unwrap();
        let (_, _, container) = pod.containers().last().unwrap();
        pod.workload(container).to_owned()
    }

    #[test]
    fn all_that_starts_programs_is_read() {
        let workload = workload(&json!({ "metadata": null, "spec": {
            "volumes": [
                { "name": "c", "configMap": { "name": "x" } }, { "name": "e", "emptyDir": {} },
                { "name": "h", "hostPath": { "path": "/" } },
            ],
            "containers": [{
                "name": "a", "image": "i", "command": ["/c"], "args": ["$(A)"], "workingDir": "/w",
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": {} }, { "name": "C" }],
                "envFrom": [{}],
                "livenessProbe": { "exec": { "command": ["p"] } }, "readinessProbe": { "httpGet": {} },
                "lifecycle": { "preStop": { "exec": { "command": ["h", "1"] } }, "postStart": null },
                "volumeMounts": [
                    { "name": "c", "mountPath": "/c" }, { "name": "c", "mountPath": "/c/f", "subPath": "f" },
                    { "name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true },
                    { "name": "e", "mountPath": "/e", "readOnly": true }, { "name": "h", "mountPath": "/h" },
                ],
            }],
        }}));
        assert_eq!(
            (workload.command, workload.args),
            (vec!["/c".to_owned()], vec!["$(A)".to_owned()])
        );
        let values: Vec<_> = workload
            .env
            .iter()
            .map(|variable| variable.value.as_deref())
            .collect();
        assert_eq!(values, [Some("1"), None, Some("")]);
        assert!(workload.unread_env);
        assert_eq!(workload.probes, [["p"]]);
        assert_eq!(workload.hooks, [["h", "1"]]);
        assert!(matches!(
            workload.mounts[0].kind,
            MountKind::ConfigMap { files: None }
        ));
        assert!(matches!(
            workload.mounts[1].kind,
            MountKind::ConfigMapFile { file: None }
        ));
        assert!(matches!(workload.mounts[2].kind, MountKind::EmptyDir));
        assert!(workload.mounts[2].read_only);
        assert!(matches!(workload.mounts[3].kind, MountKind::Opaque));
    }

    #[test]
    fn the_last_of_what_is_repeated_holds() {
        let text = r#"{
            "metadata": { "annotations": {
                "armorgate.dev/b": "1", "other": "x", "armorgate.dev/bc": "2", "armorgate.dev/b": "3", "armorgate.dev/": null
            } },
            "spec": {
                "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "a" }, { "name": "v", "secret": {} }],
                "containers": [{ "volumeMounts": [{ "name": "v", "mountPath": "/v" }, { "name": "w", "mountPath": "/w" }] }]
            }
        }"#;
        let pod: PodTemplate<'_> = serde_json::from_str(text).unwrap();
        let value = |rest| pod.annotation("armorgate.dev/", rest);
        assert_eq!(
            ["", "a", "b", "bc", "bcd"].map(value),
            [Some(""), None, Some("3"), Some("2"), None]
        );
        // Nobody asks about it.
        assert_eq!(pod.annotation("other", ""), None);
        assert_eq!(pod.annotation("armorgate", ".dev/b"), Some("3"));
        let (_, _, container) = pod.containers().next().unwrap();
        let mounts = pod.workload(container).mounts;
        assert!(matches!(mounts[0].kind, MountKind::ConfigMap { .. }));
        assert!(matches!(mounts[1].kind, MountKind::Opaque));
    }

    #[test]
    fn an_object_of_another_shape_is_an_error() {
        for text in [
            "[]",
            r#"{"spec":[]}"#,
            r#"{"spec":{"containers":{}}}"#,
            r#"{"metadata":{"annotations":[]},"spec":{}}"#,
        ] {
            assert!(
                serde_json::from_str::<PodTemplate<'_>>(text).is_err(),
                "{text}"
            );
        }
    }
}
