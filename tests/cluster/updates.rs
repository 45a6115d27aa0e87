//! Updates: only what makes an object worse is refused.

use anyhow::{Result, ensure};

use crate::{Cluster, pod, support::wait_until, unconfined_pod};

const DEPLOYMENT: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"old"},"spec":{"replicas":1,
    "selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[
    {"name":"web","image":"nginx:1","securityContext":{"appArmorProfile":{"type":"Unconfined"}}},
    {"name":"log","image":"nginx:1"}]}}}}"#;

/// A namespace with a weak Deployment from before the gate looked, now enforced.
fn with_old_deployment(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.namespace(namespace, Some("off"))?;
    ensure!(cluster.create(namespace, DEPLOYMENT)?.ok);
    enforce(cluster, namespace)
}

fn enforce(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.plane.must(&[
        "label",
        "namespace",
        namespace,
        "--overwrite",
        "armorgate.dev/profile=enforce",
    ])?;
    wait_until("enforced", 10, || {
        let ran = cluster.plane.kubectl_with(
            &["-n", namespace, "create", "--dry-run=server", "-f", "-"],
            &unconfined_pod("probe"),
        )?;
        ensure!(
            ran.ok || ran.stderr.contains("denied the request"),
            "{ran:?}"
        );
        Ok((!ran.ok).then_some(()))
    })
}

pub(crate) fn old_weak_deployment(cluster: &Cluster) -> Result<()> {
    with_old_deployment(cluster, "scaling")?;
    let scaled =
        cluster
            .plane
            .kubectl(&["-n", "scaling", "scale", "deployment/old", "--replicas=5"])?;
    ensure!(
        scaled.ok && scaled.stderr.is_empty(),
        "the scale subresource is not asked for: {scaled:?}"
    );
    let scaled = cluster.plane.kubectl(&[
        "-n",
        "scaling",
        "patch",
        "deployment/old",
        "-p",
        r#"{"spec":{"replicas":7}}"#,
    ])?;
    ensure!(
        scaled.ok && scaled.stderr.contains("Warning: AppArmor: container `web`"),
        "{scaled:?}"
    );
    let updated = cluster.plane.kubectl(&[
        "-n",
        "scaling",
        "set",
        "image",
        "deployment/old",
        "web=nginx:2",
    ])?;
    ensure!(updated.ok, "{updated:?}");
    let status = r#"{"status":{"replicas":1}}"#;
    let patched = cluster.plane.kubectl(&[
        "-n",
        "scaling",
        "patch",
        "deployment/old",
        "--subresource=status",
        "-p",
        status,
    ])?;
    ensure!(patched.ok && patched.stderr.is_empty(), "{patched:?}");
    // Better is always welcome, and then it stays so.
    let template = |profile: &str| {
        format!(
            r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"web","securityContext":{{"appArmorProfile":{{"type":"{profile}"}}}}}}]}}}}}}}}"#
        )
    };
    let better = cluster.plane.kubectl(&[
        "-n",
        "scaling",
        "patch",
        "deployment/old",
        "-p",
        &template("RuntimeDefault"),
    ])?;
    ensure!(better.ok && better.stderr.is_empty(), "{better:?}");
    let back = cluster.plane.kubectl(&[
        "-n",
        "scaling",
        "patch",
        "deployment/old",
        "-p",
        &template("Unconfined"),
    ])?;
    ensure!(
        !back.ok && back.stderr.contains("denied the request"),
        "{back:?}"
    );
    Ok(())
}

pub(crate) fn worse_update(cluster: &Cluster) -> Result<()> {
    with_old_deployment(cluster, "worse")?;
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"log","securityContext":{"privileged":true}}]}}}}"#;
    let ran = cluster
        .plane
        .kubectl(&["-n", "worse", "patch", "deployment/old", "-p", patch])?;
    ensure!(
        !ran.ok && ran.stderr.contains("container `log` is privileged"),
        "{ran:?}"
    );
    ensure!(
        !ran.stderr.contains("`web`"),
        "what was so before is not held against the update: {ran:?}"
    );
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"new","image":"i","securityContext":{"appArmorProfile":{"type":"Unconfined"}}}]}}}}"#;
    let ran = cluster
        .plane
        .kubectl(&["-n", "worse", "patch", "deployment/old", "-p", patch])?;
    ensure!(
        !ran.ok && ran.stderr.contains("container `new` asks for no"),
        "{ran:?}"
    );
    Ok(())
}

pub(crate) fn debug_containers(cluster: &Cluster) -> Result<()> {
    cluster.namespace("debug", Some("off"))?;
    ensure!(cluster.create("debug", &unconfined_pod("target"))?.ok);
    enforce(cluster, "debug")?;
    let debug = |name: &str, more: &[&str]| {
        let container = format!("--container={name}");
        let mut arguments = vec![
            "-n",
            "debug",
            "debug",
            "target",
            "--image=busybox",
            &container,
        ];
        arguments.extend(more);
        cluster.plane.kubectl(&arguments)
    };
    let fine = debug("fine", &["--profile=general"])?;
    ensure!(fine.ok, "a weak pod can still be debugged: {fine:?}");
    let privileged = debug("root", &["--profile=sysadmin"])?;
    ensure!(
        !privileged.ok
            && privileged
                .stderr
                .contains("ephemeral container `root` is privileged"),
        "{privileged:?}"
    );
    let custom = cluster.folder.path().join("custom.json");
    std::fs::write(
        &custom,
        r#"{"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}"#,
    )?;
    let custom = format!("--custom={}", custom.display());
    let unconfined = debug("free", &["--profile=general", &custom])?;
    ensure!(
        !unconfined.ok
            && unconfined
                .stderr
                .contains("ephemeral container `free` asks for no AppArmor profile"),
        "{unconfined:?}"
    );
    let names = cluster.plane.must(&[
        "-n",
        "debug",
        "get",
        "pod",
        "target",
        "-o",
        "jsonpath={.spec.ephemeralContainers[*].name}",
    ])?;
    ensure!(names == "fine", "{names}");
    Ok(())
}

/// A finalizer's removal is an update of a weak object: it passes, and the object can go.
pub(crate) fn deletion(cluster: &Cluster) -> Result<()> {
    cluster.namespace("deletion", Some("off"))?;
    let weak = DEPLOYMENT.replace(
        r#""name":"old""#,
        r#""name":"old","finalizers":["example.test/wait"]"#,
    );
    ensure!(cluster.create("deletion", &weak)?.ok);
    ensure!(cluster.create("deletion", &pod("bystander", "{}"))?.ok);
    enforce(cluster, "deletion")?;
    cluster
        .plane
        .must(&["-n", "deletion", "delete", "deployment/old", "--wait=false"])?;
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let ran = cluster.plane.kubectl(&[
        "-n",
        "deletion",
        "patch",
        "deployment/old",
        "--type=merge",
        "-p",
        patch,
    ])?;
    ensure!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
    ensure!(!cluster.exists("deletion", "deployment/old")?);
    Ok(())
}
