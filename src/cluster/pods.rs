//! Which Localhost profiles the pods of one node name, from a watch of that node's pods alone.
//!
//! Of a pod only its id, whether it has ended, and those names are kept. A watch of metadata would be without the fields. What a name means is
//! not this module's matter.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, Object},
    runtime::{WatchStreamExt as _, watcher},
};
use serde::Deserialize;
use tokio::sync::watch;

/// The Localhost profiles that pods name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNames {
    /// Of pods that run, or will.
    pub wanted: BTreeSet<Arc<str>>,
    /// Of all, also of those that have ended.
    pub named: BTreeSet<Arc<str>>,
}

/// The pods of one node.
pub struct NodePods {
    client: Client,
    node: String,
}

impl NodePods {
    /// Of this node. Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, node: String) -> Self {
        Self { client, node }
    }

    /// Follows the pods for ever, coping with whatever the API server does. Nothing is said before all were listed once.
    pub async fn watch(self, names: watch::Sender<Option<PodNames>>) {
        let api: Api<PodObject> = Api::all_with(self.client, &ApiResource::erase::<Pod>(&()));
        let config = watcher::Config {
            // Asked so, the API server answers from its memory, where pods are found by their nodes. For the newest list, or a
            // page of it, it may have to read every pod of the cluster from etcd, for each agent. The watch brings what is newer.
            // LIMIT: an answer has all pods of the node, as that to its kubelet.
            list_semantic: watcher::ListSemantic::Any,
            page_size: None,
            ..watcher::Config::default()
        };
        let config = config.fields(&format!("spec.nodeName={}", self.node));
        let stream = watcher(api, config).default_backoff();
        pin_mut!(stream);
        let mut watched = Watched::default();
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    watched.apply(event);
                    if let Some(found) = watched.names() {
                        names.send_if_modified(|names| {
                            let is_new = names.as_ref() != Some(&found);
                            *names = Some(found);
                            is_new
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot watch the node's pods, trying again"),
            }
        }
    }
}

/// LIMIT: names that are kept of a pod. Its object has at most a few megabytes, which is room for ten thousand containers.
const MAX_NAMES: usize = 100;

/// What is read of a pod.
type PodObject = Object<PodSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    security_context: Option<SecurityContext>,
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    security_context: Option<SecurityContext>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecurityContext {
    app_armor_profile: Option<Profile>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    r#type: String,
    localhost_profile: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

/// What is kept of a pod.
#[derive(Debug)]
struct Kept {
    has_ended: bool,
    names: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct Watched {
    pods: HashMap<String, Kept>,
    listed: HashMap<String, Kept>,
    is_listed: bool,
}

impl Watched {
    fn apply(&mut self, event: watcher::Event<PodObject>) {
        match event {
            watcher::Event::Apply(pod) => insert(&mut self.pods, &pod),
            watcher::Event::Delete(pod) => {
                self.pods.remove(&pod.uid().unwrap_or_default());
            }
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => insert(&mut self.listed, &pod),
            watcher::Event::InitDone => {
                self.pods = std::mem::take(&mut self.listed);
                self.is_listed = true;
            }
        }
    }

    fn names(&self) -> Option<PodNames> {
        if !self.is_listed {
            return None;
        }
        let mut names = PodNames::default();
        for pod in self.pods.values() {
            names.named.extend(pod.names.iter().cloned());
            if !pod.has_ended {
                names.wanted.extend(pod.names.iter().cloned());
            }
        }
        Some(names)
    }
}

/// Most pods name nothing: of those nothing is kept.
fn insert(pods: &mut HashMap<String, Kept>, pod: &PodObject) {
    let uid = pod.uid().unwrap_or_default();
    let names = names_of(pod);
    if names.is_empty() {
        pods.remove(&uid);
        return;
    }
    let phase = pod.status.as_ref().map(|status| status.phase.as_str());
    let has_ended = matches!(phase, Some("Failed" | "Succeeded"));
    pods.insert(uid, Kept { has_ended, names });
}

/// All that its fields and legacy annotations name. Which of them counts is the kubelet's to say: one too many is loaded in vain.
fn names_of(pod: &PodObject) -> Vec<Arc<str>> {
    let spec = &pod.spec;
    let containers = spec
        .init_containers
        .iter()
        .chain(&spec.containers)
        .chain(&spec.ephemeral_containers);
    let contexts = std::iter::once(&spec.security_context)
        .chain(containers.map(|container| &container.security_context));
    let fields = contexts.filter_map(|context| {
        let profile = context.as_ref()?.app_armor_profile.as_ref()?;
        let name = profile.localhost_profile.as_deref()?;
        (profile.r#type == "Localhost").then_some(name)
    });
    let annotations = pod.annotations().iter().filter_map(|(key, value)| {
        key.strip_prefix("container.apparmor.security.beta.kubernetes.io/")?;
        value.strip_prefix("localhost/")
    });
    let names: BTreeSet<&str> = fields.chain(annotations).collect();
    names.into_iter().take(MAX_NAMES).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::{PodNames, PodObject, Watched};

    fn pod(uid: &str, phase: &str, spec: &Value) -> PodObject {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "uid": uid },
            "spec": spec, "status": { "phase": phase, "conditions": [] },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn naming(name: &str) -> Value {
        json!({ "containers": [{ "name": "a", "securityContext": localhost(name) }] })
    }

    fn localhost(name: &str) -> Value {
        json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": name } })
    }

    fn names(wanted: &[&str], named: &[&str]) -> PodNames {
        let set = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        PodNames {
            wanted: set(wanted),
            named: set(named),
        }
    }

    #[test]
    fn every_place_that_can_name_a_profile_is_read() {
        let mut watched = Watched::default();
        let mut whole = pod(
            "1",
            "Pending",
            &json!({
                "securityContext": localhost("pod"),
                "initContainers": [{ "name": "i", "securityContext": localhost("init") }],
                "containers": [
                    { "name": "a", "securityContext": localhost("web") },
                    { "name": "b", "securityContext": { "appArmorProfile": { "type": "RuntimeDefault" } } },
                    { "name": "c", "securityContext": { "appArmorProfile": { "type": "Unconfined", "localhostProfile": "no" } } },
                    { "name": "d", "securityContext": { "privileged": true } },
                    { "name": "e" },
                ],
                "ephemeralContainers": [{ "name": "x", "securityContext": localhost("debug") }],
            }),
        );
        let annotation =
            |name: &str| format!("container.apparmor.security.beta.kubernetes.io/{name}");
        whole.metadata.annotations = Some(
            [
                (annotation("e"), "localhost/old".to_owned()),
                (annotation("d"), "runtime/default".to_owned()),
                ("other".to_owned(), "localhost/no".to_owned()),
            ]
            .into(),
        );
        watched.apply(Event::Init);
        watched.apply(Event::InitApply(whole));
        assert_eq!(watched.names(), None, "not before all are listed");
        watched.apply(Event::InitDone);
        let all = ["debug", "init", "old", "pod", "web"];
        assert_eq!(watched.names(), Some(names(&all, &all)));
    }

    #[test]
    fn ended_pods_name_and_do_not_want_and_deleted_ones_do_neither() {
        let mut watched = Watched::default();
        for event in [Event::Init, Event::InitDone] {
            watched.apply(event);
        }
        assert_eq!(watched.names(), Some(names(&[], &[])));
        watched.apply(Event::Apply(pod("1", "Running", &naming("a"))));
        watched.apply(Event::Apply(pod("2", "Running", &naming("b"))));
        watched.apply(Event::Apply(pod("2", "Succeeded", &naming("b"))));
        watched.apply(Event::Apply(pod(
            "3",
            "Running",
            &json!({ "containers": [{}] }),
        )));
        assert_eq!(watched.names(), Some(names(&["a"], &["a", "b"])));
        assert_eq!(watched.pods.len(), 2, "nothing of one that names nothing");
        watched.apply(Event::Delete(pod("2", "Succeeded", &naming("b"))));
        assert_eq!(watched.names(), Some(names(&["a"], &["a"])));
        // What went while the watch was away.
        for event in [Event::Init, Event::InitDone] {
            watched.apply(event);
        }
        assert_eq!(watched.names(), Some(names(&[], &[])));
    }

    #[test]
    fn a_pod_cannot_name_without_end() {
        let containers: Vec<Value> = (0..5000)
            .map(|number| json!({ "securityContext": localhost(&format!("p{number}")) }))
            .collect();
        let mut watched = Watched::default();
        watched.apply(Event::InitDone);
        watched.apply(Event::Apply(pod(
            "1",
            "Running",
            &json!({ "containers": containers }),
        )));
        assert_eq!(watched.names().unwrap().wanted.len(), 100);
    }
}
