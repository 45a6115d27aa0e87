//! A cluster that grows: nodes with their agents, profiles that people write and profiles that are generated, and pods that name
//! both.

use std::{fmt::Debug, ops::Range, path::Path};

use anyhow::{Context as _, Result, ensure};
use armorgate::{cluster::objects::AppArmorProfile, compare::Baseline, whitelist::Stage};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Node, Pod},
};
use kube::{
    Api, Client, Config, Resource,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    fleet::{self, Agent, patiently},
    replica::{Shop, generating_namespace, written_profile},
    support::control_plane::ControlPlane,
};

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    /// Profiles that people write.
    pub(crate) written: usize,
    /// Profiles that are made for pods and templates.
    pub(crate) generated: usize,
}

impl Size {
    pub(crate) fn profiles(self) -> usize {
        self.written + self.generated
    }

    pub(crate) fn pods(self) -> usize {
        self.nodes * PODS
    }
}

/// Pods on each node.
pub(crate) const PODS: usize = 5;
/// Profiles that the pods of a node name: so many that people write, which the pods share, and one that is generated.
const WRITTEN: usize = 3;
pub(crate) const NAMED: usize = WRITTEN + 1;
/// What all of the nodes run: as deployed, the controller goes by that.
const RUNTIME: &str = "containerd://2.1.4";
/// Where the pods are.
const NAMESPACE: &str = "scale";
/// Requests at the same time.
const AT_ONCE: usize = 32;

pub(crate) struct World {
    // Ended in this order: what talks to the API server goes before it.
    pub(crate) agents: Vec<Agent>,
    pub(crate) shop: Shop,
    pub(crate) client: Client,
    pub(crate) plane: ControlPlane,
    pub(crate) size: Size,
}

impl World {
    /// A control plane with what `kubectl apply -k` of the project's folder brings, but for the webhooks: nobody serves them.
    pub(crate) async fn new(folder: &Path) -> Result<Self> {
        let plane = ControlPlane::start(folder)?;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        let all = plane.must(&["kustomize", &path.display().to_string()])?;
        let kept = all
            .split("---\n")
            .filter(|manifest| !manifest.contains("WebhookConfiguration"));
        plane.must_apply(&kept.collect::<Vec<_>>().join("---\n"))?;
        let kubeconfig = Kubeconfig::read_from(&plane.kubeconfig)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let world = Self {
            agents: Vec::new(),
            shop: Shop::new(&plane, &json!("nodes"), baseline()?)?,
            client: Client::try_from(config)?,
            plane,
            size: Size::default(),
        };
        world
            .create::<Namespace>(
                Api::all(world.client.clone()),
                vec![generating_namespace(NAMESPACE, "enforce")],
            )
            .await?;
        Ok(world)
    }

    /// Nodes join, each with an agent.
    pub(crate) async fn join(&self, nodes: Range<usize>) -> Result<Vec<Agent>> {
        let objects = nodes.clone().map(node).collect();
        self.create::<Node>(Api::all(self.client.clone()), objects)
            .await?;
        let pods = nodes
            .clone()
            .map(|number| fleet::pod(&node_name(number)))
            .collect();
        let api = Api::<Pod>::namespaced(self.client.clone(), fleet::NAMESPACE);
        self.create(api, pods).await?;
        let started = stream::iter(nodes)
            .map(|number| Agent::start(&self.plane, &self.client, node_name(number)))
            .buffered(AT_ONCE);
        started.try_collect().await
    }

    /// People write profiles, and deploy what gets generated ones: half of those, the pods are the first to name the others.
    pub(crate) async fn write(&self, from: Size, to: Size) -> Result<()> {
        let written = (from.written..to.written).map(|number| {
            let name = written_name(number);
            Ok(written_profile(&name, &text(&name, "")?))
        });
        let written: Result<Vec<Value>> = written.collect();
        self.create::<AppArmorProfile>(Api::all(self.client.clone()), written?)
            .await?;
        let templates = (from.generated..to.generated).step_by(2).map(|number| {
            self.shop
                .deployment(NAMESPACE, &format!("app-{number}"), &[&argument(number)])
        });
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE);
        self.create(deployments, templates.collect()).await
    }

    /// Pods come to these nodes, and name the profiles of a cluster of this size.
    pub(crate) async fn fill(&self, nodes: Range<usize>, size: Size) -> Result<()> {
        let pods: Result<Vec<Value>> = nodes
            .flat_map(|node| (0..PODS).map(move |number| (node, number)))
            .map(|(node, number)| self.pod(node, number, size))
            .collect();
        let api = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        self.create(api, pods?).await
    }

    /// A pod as the API server has it after `/mutate` and the scheduler.
    fn pod(&self, node: usize, number: usize, size: Size) -> Result<Value> {
        let generated = node % size.generated;
        let argument = argument(generated);
        let profile = self.generated_name(generated)?;
        let mut pod = self
            .shop
            .pod(&pod_name(node, number), &[&argument], &profile);
        pod["metadata"]["labels"] =
            json!({ "app": format!("app-{generated}"), "pod-template-hash": "5d5b8bb4c7" });
        let spec = &mut pod["spec"];
        spec["nodeName"] = node_name(node).into();
        let sidecar = json!({
            "name": "sidecar", "image": "proxy:1", "args": ["--upstream", "127.0.0.1:8080"],
            "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "64Mi" } },
            "securityContext": { "appArmorProfile": {
                "type": "Localhost", "localhostProfile": written_name(written(node, number % WRITTEN, size)),
            } },
        });
        let containers = spec["containers"].as_array_mut();
        containers.context("containers")?.push(sidecar);
        Ok(pod)
    }

    /// The profiles that the pods of a node name: that which is generated first.
    pub(crate) fn profiles_of(&self, node: usize, size: Size) -> Result<Vec<String>> {
        let written = (0..WRITTEN).map(|which| written_name(written(node, which, size)));
        let generated = self.generated_name(node % size.generated)?;
        Ok(std::iter::once(generated).chain(written).collect())
    }

    pub(crate) fn generated_name(&self, number: usize) -> Result<String> {
        self.shop.name(&[&argument(number)], Stage::Enforce)
    }

    /// Every profile as it is, with its status.
    pub(crate) async fn profiles(&self) -> Result<Vec<AppArmorProfile>> {
        let api: Api<AppArmorProfile> = Api::all(self.client.clone());
        Ok(api.list(&kube::api::ListParams::default()).await?.items)
    }

    async fn create<K>(&self, api: Api<K>, objects: Vec<Value>) -> Result<()>
    where
        K: Resource + Clone + DeserializeOwned + Serialize + Debug,
    {
        let parameters = PostParams::default();
        let created = stream::iter(objects)
            .map(async |object| {
                let object: K = serde_json::from_value(object)?;
                let created = patiently(async || api.create(&parameters, &object).await).await;
                match created {
                    // The answer to an earlier attempt was lost.
                    Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                    created => drop(created?),
                }
                anyhow::Ok(())
            })
            .buffer_unordered(AT_ONCE);
        created.try_collect().await
    }
}

pub(crate) fn node_name(number: usize) -> String {
    format!("node-{number:04}")
}

pub(crate) fn pod_name(node: usize, number: usize) -> String {
    format!("pod-{node:04}-{number}")
}

pub(crate) fn written_name(number: usize) -> String {
    format!("team-{number:03}")
}

fn argument(number: usize) -> String {
    format!("--shard={number}")
}

/// Which of the profiles that people write.
fn written(node: usize, which: usize, size: Size) -> usize {
    (node * WRITTEN + which) % size.written
}

/// A profile as people write one: the runtime's default, and something more that is forbidden.
pub(crate) fn text(name: &str, more: &str) -> Result<String> {
    let default = baseline()?.template();
    let own = format!("deny /srv/{name}/** wl,{more}\n    file,");
    let text = default.text().replace(default.runtime.profile_name(), name);
    Ok(text.replacen("file,", &own, 1))
}

fn baseline() -> Result<Baseline> {
    Baseline::from_node(RUNTIME).context("a known runtime")
}

/// A node as a kubelet makes it, which names the images that are there.
fn node(number: usize) -> Value {
    let name = node_name(number);
    let images = (0..50).map(|image| {
        let digest = format!("{:064x}", number * 50 + image);
        json!({ "names": [format!("registry.example/team/app-{image}@sha256:{digest}")], "sizeBytes": 50_000_000 })
    });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
        "spec": {},
        "status": {
            "images": images.collect::<Vec<_>>(),
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": RUNTIME, "kernelVersion": "6.12.0",
                "kubeProxyVersion": "", "kubeletVersion": "v1.36.2", "machineID": "", "operatingSystem": "linux",
                "osImage": "", "systemUUID": "",
            },
        },
    })
}

/// The text of a profile that is there changes.
pub(crate) async fn change(world: &World, name: &str, text: &str) -> Result<()> {
    let api: Api<AppArmorProfile> = Api::all(world.client.clone());
    let patch = kube::api::Patch::Merge(json!({ "spec": { "text": text } }));
    let changed = api
        .patch(name, &kube::api::PatchParams::default(), &patch)
        .await?;
    ensure!(changed.spec.text.as_deref() == Some(text));
    Ok(())
}
