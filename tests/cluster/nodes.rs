//! Baselines from nodes: these come and go by the API, with the status that a kubelet would have written.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    Cluster, pod,
    support::{control_plane::Ran, wait_until},
};

/// What `deploy/config.yaml` says.
pub(crate) const FROM_NODES: &str = "baselines: nodes";

/// What the other tests go by.
pub(crate) const LISTED: &str = "baselines: [containerd]";

/// May write `/proc/sys/kernel/shmmax`: containerd's default permits that from 2.3 on, CRI-O's does not.
const PROFILE: &str = r#"{"appArmorProfile":{"type":"Localhost","localhostProfile":"shm"}}"#;

pub(crate) fn cold_cluster(cluster: &Cluster) -> Result<()> {
    cluster.namespace("cold", None)?;
    cluster.with_nodes_as_baselines(|| {
        let words = "names profile `shm`, and no Linux node has been seen";
        cluster.wait_until_refused("cold", words)?;
        let windows = node("windows", "windows", "containerd://2.3.0");
        cluster.must_create(&windows)?;
        let ran = cluster.create("cold", &pod("nothing-asked", "{}"))?;
        ensure!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
        // It has been seen by then, and does not count.
        cluster.must_create(&node("first", "linux", "containerd://2.3.0"))?;
        cluster.wait_until_created("cold", "first")?;
        cluster.delete_node("first")?;
        cluster.wait_until_refused("cold", words).map(drop)
    })
}

pub(crate) fn come_and_go(cluster: &Cluster) -> Result<()> {
    cluster.namespace("nodes", None)?;
    cluster.with_nodes_as_baselines(|| {
        cluster.must_create(&node("worker-1", "linux", "containerd://2.3.0"))?;
        cluster.wait_until_created("nodes", "on-containerd")?;

        cluster.must_create(&node("worker-2", "linux", "cri-o://1.33.0"))?;
        let witness =
            "names profile `shm`, which permits what crio@1.33.0's default (as on node `worker-2`) forbids: may write";
        let refused = cluster.wait_until_refused("nodes", witness)?;
        ensure!(
            refused.contains("/proc/sys/kernel/shmmax"),
            "{refused}"
        );
        // Its node is certain, and it is not that one.
        for (name, node, ok) in [("on-1", "worker-1", true), ("on-2", "worker-2", false)] {
            let ran = cluster.create("nodes", &bound(name, node)?)?;
            ensure!(ran.ok == ok, "{ran:?}");
        }

        cluster.delete_node("worker-2")?;
        cluster.wait_until_created("nodes", "on-containerd-again")?;

        cluster.must_create(&node("worker-3", "linux", "frakti://1.0"))?;
        let unknown = "the default of node `worker-3`: it runs `frakti://1.0`, which Armorgate does not know";
        let refused = cluster.wait_until_refused("nodes", unknown)?;
        ensure!(
            refused.contains("such as `baselines: [containerd@2.1]`"),
            "{refused}"
        );
        let ran = cluster.create("nodes", &pod("needs-none", "{}"))?;
        ensure!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
        cluster.patch_status("worker-3", &status("linux", "containerd://2.3.1"))?;
        cluster.wait_until_created("nodes", "on-a-known-one")?;

        // A kubelet that only says that it is alive changes nothing; what comes after it does.
        let before = cluster.told()?;
        for beat in 0..5 {
            let beat = json!({ "status": { "conditions": [
                { "type": "Ready", "status": "True", "message": format!("beat {beat}") }
            ] } });
            cluster.patch_status("worker-1", &beat)?;
        }
        cluster.must_create(&node("worker-4", "linux", "cri-o://1.34.2"))?;
        cluster.wait_until_refused("nodes", "crio@1.34.2's default (as on node `worker-4`)")?;
        let after = cluster.told()?;
        ensure!(after == before + 1, "{before} {after}");
        Ok(())
    })
}

pub(crate) fn many(cluster: &Cluster) -> Result<()> {
    cluster.namespace("many", None)?;
    // The last one by name, so on the last of several pages.
    let mut nodes: Vec<Value> = (0..60)
        .map(|index| node(&format!("pool-{index}"), "linux", "containerd://2.3.0"))
        .collect();
    nodes.push(node("zone", "linux", "cri-o://1.33.0"));
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": nodes });
    cluster.must_create(&list)?;
    cluster.with_nodes_as_baselines(|| {
        cluster.wait_until_refused("many", "(as on node `zone`)")?;
        // Whoever is ready has them all: a new webhook's first answer is the same.
        drop(cluster.webhook().take());
        cluster.start_webhook()?;
        let ran = cluster.create("many", &pod("first", PROFILE))?;
        ensure!(
            !ran.ok && ran.stderr.contains("(as on node `zone`)"),
            "{ran:?}"
        );
        cluster.delete_node("zone")?;
        cluster.wait_until_created("many", "on-containerd")
    })
}

/// Nobody is locked out by it, and the old configuration stays until it can be done.
pub(crate) fn permission(cluster: &Cluster) -> Result<()> {
    cluster.namespace("permission", None)?;
    let binding = "clusterrolebinding/armorgate-nodes";
    let saved = cluster.plane.must(&["get", binding, "-o", "json"])?;
    let mut saved: Value = serde_json::from_str(&saved)?;
    let metadata = saved["metadata"].as_object_mut().context("metadata")?;
    metadata.retain(|key, _| key == "name");
    cluster.plane.must(&["delete", binding])?;
    cluster.must_create(&node("worker", "linux", "cri-o://1.33.0"))?;
    cluster.with_nodes_as_baselines(|| {
        wait_until("told", 20, || {
            let (status, text) = cluster.ready()?;
            ensure!(status == 200, "{status} {text}");
            let told = text.contains("config: the newest is refused, an older one is in use")
                && text.contains("the nodes cannot be listed")
                && text.contains("forbidden");
            Ok(told.then_some(()))
        })?;
        cluster.wait_until_created("permission", "by-the-list")?;
        cluster.must_create(&saved)?;
        cluster.wait_until_refused("permission", "(as on node `worker`)")?;
        let (status, text) = cluster.ready()?;
        ensure!(
            status == 200 && text.contains("nodes: ok"),
            "{status} {text}"
        );
        Ok(())
    })
}

impl Cluster {
    /// Runs a test with the configuration as deployed, and leaves no node behind.
    fn with_nodes_as_baselines(&self, test: impl FnOnce() -> Result<()>) -> Result<()> {
        let before = fs::read_to_string(self.config())?;
        fs::write(self.config(), before.replace(LISTED, FROM_NODES))?;
        let result = test();
        fs::write(self.config(), before)?;
        self.plane.must(&["delete", "nodes", "--all"])?;
        result?;
        wait_until("no longer asked", 20, || {
            let (_, state) = self.ready()?;
            let done = state.contains("nodes: not asked") && !state.contains("config:");
            Ok(done.then_some(()))
        })
    }

    fn must_create(&self, object: &Value) -> Result<()> {
        let ran = self
            .plane
            .kubectl_with(&["create", "-f", "-"], &object.to_string())?;
        ensure!(ran.ok, "{ran:?}");
        Ok(())
    }

    fn delete_node(&self, name: &str) -> Result<()> {
        self.plane.must(&["delete", "node", name]).map(drop)
    }

    fn patch_status(&self, node: &str, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        let arguments = ["patch", "node", node, "--subresource=status", "-p", &patch];
        self.plane.must(&arguments).map(drop)
    }

    /// Waits until a pod with the profile is refused with these words, and gives all of them.
    fn wait_until_refused(&self, namespace: &str, words: &str) -> Result<String> {
        let arguments = ["-n", namespace, "create", "--dry-run=server", "-f", "-"];
        wait_until(&format!("refused: {words}"), 20, || {
            let Ran { ok, stderr, .. } = self
                .plane
                .kubectl_with(&arguments, &pod("refused", PROFILE))?;
            let refused = !ok && stderr.contains("denied the request") && stderr.contains(words);
            Ok(refused.then_some(stderr))
        })
    }

    /// Waits until a pod with the profile is created.
    fn wait_until_created(&self, namespace: &str, name: &str) -> Result<()> {
        wait_until(&format!("created: {name}"), 20, || {
            let ran = self.create(namespace, &pod(name, PROFILE))?;
            Ok(ran.ok.then_some(()))
        })
    }

    fn ready(&self) -> Result<(u16, String)> {
        let webhook = self.webhook();
        webhook.as_ref().context("running")?.admin_get("/readyz")
    }

    /// How often the program has said what the nodes run.
    fn told(&self) -> Result<usize> {
        let webhook = self.webhook();
        let log = webhook.as_ref().context("running")?.process.output();
        Ok(log.matches("what the nodes run").count())
    }
}

/// A node as a kubelet makes it.
fn node(name: &str, system: &str, runtime: &str) -> Value {
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": system } },
        "spec": {},
    });
    node["status"] = status(system, runtime)["status"].take();
    node
}

fn status(system: &str, runtime: &str) -> Value {
    json!({ "status": { "nodeInfo": {
        "architecture": "amd64", "bootID": "", "containerRuntimeVersion": runtime, "kernelVersion": "6.12.0",
        "kubeProxyVersion": "", "kubeletVersion": "v1.36.2", "machineID": "", "operatingSystem": system,
        "osImage": "", "systemUUID": "",
    } } })
}

/// A pod with the profile that is bound to a node.
fn bound(name: &str, node: &str) -> Result<String> {
    let mut pod: Value = serde_json::from_str(&pod(name, PROFILE))?;
    pod["spec"]["nodeName"] = node.into();
    Ok(pod.to_string())
}
