//! Pods of the test: what they are made of, and what the node's kernel says of them.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    stock::TAG,
    subject::Subject,
    support::wait_until,
    world::{World, is_ready},
};

/// The one container's name.
pub(crate) const CONTAINER: &str = "main";

/// A namespace with these modes: of the gate, and of generated profiles.
pub(crate) fn namespace(world: &World, name: &str, gate: &str, whitelist: &str) -> Result<()> {
    let labels = json!({ "armorgate.dev/profile": gate, "armorgate.dev/whitelist": whitelist });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    world.plane.must_apply(&namespace.to_string())?;
    // Kubernetes' own controllers make it: pods without are refused.
    wait_until("a service account", 60, || {
        let ran = world
            .plane
            .kubectl(&["-n", name, "get", "serviceaccount", "default"])?;
        Ok(ran.ok.then_some(()))
    })
}

/// A container of an image.
pub(crate) fn container(image: &str) -> Value {
    json!({ "name": CONTAINER, "image": format!("registry.test/{image}:{TAG}") })
}

/// A container of a subject, with its probe and its hook.
pub(crate) fn container_of(subject: &Subject) -> Value {
    let mut container = container(subject.name);
    if !subject.command.is_empty() {
        container["command"] = json!(subject.command);
    }
    container["readinessProbe"] =
        json!({ "exec": { "command": subject.probe }, "periodSeconds": 10, "timeoutSeconds": 30 });
    container["lifecycle"] = json!({ "preStop": { "exec": { "command": subject.hook } } });
    container
}

/// A pod of a container. Without a token: mounting that is much of what the start of a pod costs an emulated node.
pub(crate) fn pod(name: &str, container: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [container], "terminationGracePeriodSeconds": 60, "automountServiceAccountToken": false },
    })
}

/// `kubectl apply` in a namespace, which must succeed.
pub(crate) fn apply(world: &World, namespace: &str, object: &Value) -> Result<()> {
    let ran = world
        .plane
        .kubectl_with(&["-n", namespace, "apply", "-f", "-"], &object.to_string())?;
    ensure!(ran.ok, "kubectl apply: {}", ran.stderr);
    Ok(())
}

/// The object of a pod.
pub(crate) fn read(world: &World, namespace: &str, name: &str) -> Result<Value> {
    let text = world
        .plane
        .must(&["-n", namespace, "get", "pod", name, "-o", "json"])?;
    Ok(serde_json::from_str(&text)?)
}

/// Waits until a pod is ready.
pub(crate) fn wait_until_ready(
    world: &World,
    namespace: &str,
    name: &str,
    seconds: u64,
) -> Result<Value> {
    let ready = wait_until("ready", seconds, || {
        Ok(Some(read(world, namespace, name)?).filter(is_ready))
    });
    ready.with_context(|| {
        format!(
            "{namespace}/{name}: {:#}",
            read(world, namespace, name).unwrap_or_default()["status"]
        )
    })
}

/// The name of the profile that a pod's container asks for.
pub(crate) fn asked(pod: &Value) -> Result<String> {
    let profile = &pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
    ensure!(profile["type"] == "Localhost", "{profile}");
    Ok(profile["localhostProfile"]
        .as_str()
        .context("a name")?
        .to_owned())
}

/// What the kernel says that the processes of a pod's container run under: label and mode. Without those of the sandbox, and without
/// the runtime's own, which becomes a probe's program and is in the container's control group before it is under the profile. One
/// that has ended meanwhile has no label.
pub(crate) fn labels(world: &World, pod: &Value) -> Result<Vec<String>> {
    let id = pod["metadata"]["uid"].as_str().context("a uid")?;
    let container = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .context("a container")?;
    let container = container.trim_start_matches("containerd://");
    let script = format!(
        "for process in $(cat $(find /sys/fs/cgroup/kubepods -path '*{id}/{container}*' -name cgroup.procs)); do
            case $(cat /proc/$process/comm 2>/dev/null) in
                runc*) ;;
                *) cat /proc/$process/attr/current 2>/dev/null || true ;;
            esac
        done"
    );
    let labels = world.node.must(&script)?;
    Ok(labels.lines().map(str::to_owned).collect())
}

/// Runs a command in a pod's container by `kubectl exec`: whether it succeeded, and what it said.
pub(crate) fn exec(
    world: &World,
    namespace: &str,
    name: &str,
    command: &[&str],
) -> Result<(bool, String)> {
    let arguments = [&["-n", namespace, "exec", name, "--"], command].concat();
    let ran = world.plane.kubectl(&arguments)?;
    Ok((ran.ok, ran.stdout + &ran.stderr))
}

/// Deletes a pod as a user does, and says how its container has ended: exit status. A finalizer keeps the object until that is
/// known.
pub(crate) fn delete(world: &World, namespace: &str, name: &str) -> Result<i64> {
    let patch = r#"{"metadata":{"finalizers":["armorgate.dev/test"]}}"#;
    world
        .plane
        .must(&["-n", namespace, "patch", "pod", name, "-p", patch])?;
    world
        .plane
        .must(&["-n", namespace, "delete", "pod", name, "--wait=false"])?;
    let status = wait_until("the container's end", 150, || {
        let pod = read(world, namespace, name)?;
        let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        Ok(state["exitCode"].as_i64())
    })?;
    world.plane.must(&[
        "-n",
        namespace,
        "patch",
        "pod",
        name,
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ])?;
    wait_until("gone", 60, || {
        let arguments = ["-n", namespace, "get", "pod", name, "--ignore-not-found"];
        Ok(world.plane.must(&arguments)?.is_empty().then_some(()))
    })?;
    Ok(status)
}
