//! What is installed by one command: the gate, the controller and the agents, again and again, with whatever certificate.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Cluster, repository};

/// With the gate at work a second `kubectl apply -k deploy/` changes nothing, and puts back what was deleted: an agent runs
/// unconfined, and is let in.
pub(crate) fn is_applied_again(cluster: &Cluster) -> Result<()> {
    let manifests = fs::read_to_string(cluster.manifests())?;
    let before = versions(cluster)?;
    cluster.plane.must_apply(&manifests)?;
    let after = versions(cluster)?;
    ensure!(before == after, "{before:?}\n{after:?}");
    let deleted = ["-n", "kube-system", "delete", "daemonset/armorgate-agent"];
    cluster.plane.must(&deleted)?;
    cluster.plane.must_apply(&manifests)?;
    ensure!(cluster.exists("kube-system", "daemonset/armorgate-agent")?);
    Ok(())
}

/// Every object that was applied, with its version.
fn versions(cluster: &Cluster) -> Result<Vec<String>> {
    let manifests = cluster.manifests().display().to_string();
    let found = cluster
        .plane
        .must(&["get", "-f", &manifests, "-o", "json"])?;
    let found: Value = serde_json::from_str(&found)?;
    let items = found["items"].as_array().context("a list")?;
    let version = |item: &Value| {
        let metadata = &item["metadata"];
        format!(
            "{} {} {}",
            item["kind"], metadata["name"], metadata["resourceVersion"]
        )
    };
    Ok(items.iter().map(version).collect())
}

/// Each way to a certificate installs all of it, with the image that `kustomize edit set image` writes into `deploy/` alone.
pub(crate) fn every_way_installs_all(cluster: &Cluster) -> Result<()> {
    let copy = tempfile::tempdir()?;
    for folder in ["deploy", "certs"] {
        let copied = Command::new("cp")
            .arg("-R")
            .arg(repository(folder))
            .arg(copy.path())
            .status()?;
        ensure!(copied.success(), "cp {folder}");
    }
    let kustomization = copy.path().join("deploy/kustomization.yaml");
    let text = fs::read_to_string(&kustomization)?;
    let is_set = "newName: registry.example/gate\n    newTag: 0.2.0\n";
    fs::write(kustomization, text.replace("newTag: 0.1.0\n", is_set))?;
    let made = Command::new(copy.path().join("certs/files/make.sh")).output()?;
    ensure!(made.status.success(), "{made:?}");

    let built = |way: &str| -> Result<Vec<Value>> {
        let folder = copy.path().join(way).display().to_string();
        let text = cluster.plane.must(&["kustomize", &folder])?;
        serde_saphyr::from_multiple(&text).with_context(|| text.clone())
    };
    let bare = built("deploy")?;
    let placed = places(&bare);
    for object in [
        "Deployment armorgate/armorgate",
        "Deployment armorgate/armorgate-controller",
        "DaemonSet kube-system/armorgate-agent",
        "ServiceAccount kube-system/armorgate-agent",
    ] {
        ensure!(placed.contains(object), "{object}: {placed:?}");
    }
    for (way, more) in [
        ("certs/files", &["Secret armorgate/armorgate-tls"][..]),
        (
            "certs/cert-manager",
            &[
                "Certificate armorgate/armorgate",
                "Certificate armorgate/armorgate-ca",
                "Issuer armorgate/armorgate",
                "Issuer armorgate/armorgate-ca",
            ],
        ),
    ] {
        let objects = built(way)?;
        let mut expected = placed.clone();
        expected.extend(more.iter().map(ToString::to_string));
        ensure!(
            places(&objects) == expected,
            "{way}: {:?}",
            places(&objects)
        );
        let images: BTreeSet<&str> = objects.iter().filter_map(image).collect();
        ensure!(
            images == BTreeSet::from(["registry.example/gate:0.2.0"]),
            "{way}: {images:?}"
        );
        let bundles: Vec<&Value> = objects.iter().filter_map(bundle).collect();
        let is_right = |bundle: &Value| match way {
            "certs/files" => *bundle == ca(&objects),
            // cert-manager puts it in.
            _ => bundle.is_null(),
        };
        ensure!(
            bundles.len() == 2 && bundles.into_iter().all(is_right),
            "{way}"
        );
    }
    Ok(())
}

/// `Kind namespace/name` of each.
fn places(objects: &[Value]) -> BTreeSet<String> {
    let place = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        format!("{} {namespace}/{name}", text(&object["kind"]))
    };
    objects.iter().map(place).collect()
}

fn image(object: &Value) -> Option<&str> {
    object
        .pointer("/spec/template/spec/containers/0/image")?
        .as_str()
}

fn bundle(object: &Value) -> Option<&Value> {
    Some(&object.pointer("/webhooks/0/clientConfig")?["caBundle"])
}

fn ca(objects: &[Value]) -> Value {
    let mut found = objects
        .iter()
        .filter_map(|object| object.pointer("/data/ca.crt"));
    found.next().cloned().unwrap_or_default()
}
