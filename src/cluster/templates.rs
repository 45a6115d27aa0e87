//! The pods that objects make, as JSON text; and which generated profiles running pods name.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::Pod,
};
use kube::{
    Api, Client, Resource,
    api::{GetParams, ListParams},
    core::{ApiResource, DynamicObject, Request},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

use super::{ClusterError, watches::ObjectKey};
use crate::verdict::{ANNOTATION_PREFIX, GENERATED_PREFIX, Kind};

/// Reads the pod of an object: of a pod itself, of others the template. `None` where the object is gone, or holds none.
pub async fn pod_template(
    client: &Client,
    key: &ObjectKey,
) -> Result<Option<Box<RawValue>>, ClusterError> {
    let Some(resource) = resource(key.kind) else {
        return Ok(None);
    };
    let path = DynamicObject::url_path(&resource, Some(&key.namespace));
    let request = Request::new(path).get(&key.name, &GetParams::default());
    let request = request.map_err(kube::Error::BuildRequest)?;
    match client.request_text(request).await {
        Ok(text) => Ok(template(key.kind, text)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where the API server has the objects of a kind that is looked at.
pub(super) fn resource(kind: Kind) -> Option<ApiResource> {
    Some(match kind {
        Kind::CronJob => ApiResource::erase::<CronJob>(&()),
        Kind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        Kind::Deployment => ApiResource::erase::<Deployment>(&()),
        Kind::Job => ApiResource::erase::<Job>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        Kind::PodTemplate | Kind::ReplicationController => return None,
    })
}

#[derive(Deserialize)]
struct Outer<S> {
    spec: S,
}

#[derive(Deserialize)]
struct Templated {
    template: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scheduled {
    job_template: Outer<Templated>,
}

fn template(kind: Kind, text: String) -> Option<Box<RawValue>> {
    match kind {
        Kind::Pod => RawValue::from_string(text).ok(),
        Kind::CronJob => {
            let object: Outer<Scheduled> = serde_json::from_str(&text).ok()?;
            Some(object.spec.job_template.spec.template)
        }
        _ => {
            let object: Outer<Templated> = serde_json::from_str(&text).ok()?;
            Some(object.spec.template)
        }
    }
}

/// LIMIT: pods in an answer of the API server, all of each.
const PAGE: u32 = 50;

/// The generated profiles that any pod names, from a list that is read to its end.
pub async fn profiles_of_pods(client: &Client) -> Result<HashSet<String>, ClusterError> {
    let api: Api<Pod> = Api::all(client.clone());
    let mut named = HashSet::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let pods = api.list(&page).await?;
        for pod in pods.items {
            named.extend(names(&pod));
        }
        match pods.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(named),
        }
    }
}

fn names(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let contexts = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let of_containers = contexts.filter_map(|container| {
        container
            .security_context
            .as_ref()?
            .app_armor_profile
            .as_ref()
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let of_ephemeral = ephemeral.filter_map(|container| {
        container
            .security_context
            .as_ref()?
            .app_armor_profile
            .as_ref()
    });
    let of_pod = spec.security_context.iter();
    let of_pod = of_pod.filter_map(|context| context.app_armor_profile.as_ref());
    let fields = of_containers.chain(of_ephemeral).chain(of_pod);
    let annotations = pod.metadata.annotations.iter().flatten();
    let of_annotations = annotations.filter_map(|(key, value)| {
        key.strip_prefix(ANNOTATION_PREFIX)?;
        Some(value.strip_prefix("localhost/")?.to_owned())
    });
    fields
        .filter_map(|profile| profile.localhost_profile.clone())
        .chain(of_annotations)
        .filter(|name| name.starts_with(GENERATED_PREFIX))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, names, template};

    #[test]
    fn profiles_are_named_in_fields_and_annotations() {
        let localhost = |name: &str| json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": name } });
        let pod = json!({
            "metadata": { "annotations": {
                "container.apparmor.security.beta.kubernetes.io/a": "localhost/armorgate.annotated",
                "container.apparmor.security.beta.kubernetes.io/b": "runtime/default",
                "other": "localhost/armorgate.no",
            } },
            "spec": {
                "securityContext": localhost("armorgate.pod"),
                "initContainers": [{ "name": "i", "securityContext": localhost("armorgate.init") }],
                "containers": [{ "name": "a" }, { "name": "b", "securityContext": localhost("theirs") }],
                "ephemeralContainers": [{ "name": "e", "securityContext": localhost("armorgate.debug") }],
            },
        });
        let mut found = names(&serde_json::from_value(pod).unwrap());
        found.sort();
        assert_eq!(
            found,
            [
                "armorgate.annotated",
                "armorgate.debug",
                "armorgate.init",
                "armorgate.pod"
            ]
        );
    }

    #[test]
    fn templates_are_found_where_each_kind_has_them() {
        let pod = r#"{"spec":{"containers":[]}}"#;
        let deployment =
            format!(r#"{{"metadata":{{"name":"a"}},"spec":{{"replicas":1,"template":{pod}}}}}"#);
        let cron_job = format!(r#"{{"spec":{{"jobTemplate":{{"spec":{{"template":{pod}}}}}}}}}"#);
        for (kind, text) in [
            (Kind::Pod, pod),
            (Kind::Deployment, &deployment),
            (Kind::CronJob, &cron_job),
        ] {
            assert_eq!(template(kind, text.to_owned()).unwrap().get(), pod);
        }
        assert!(template(Kind::CronJob, deployment).is_none());
    }
}
