//! Objects of every kind through the real API server, and the same objects through `armorgate check`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Cluster, corpus, pod, program, repository, unconfined_pod};

pub(crate) fn good_objects_are_created(cluster: &Cluster) -> Result<()> {
    cluster.namespace("good", None)?;
    for (name, manifest, _) in corpus("good")? {
        let ran = cluster.create("good", &manifest)?;
        ensure!(
            ran.ok && !ran.stderr.contains("AppArmor:"),
            "{name}: {ran:?}"
        );
    }
    Ok(())
}

pub(crate) fn weak_objects_are_refused(cluster: &Cluster) -> Result<()> {
    cluster.namespace("weak", None)?;
    for (name, manifest, comment) in corpus("weak")? {
        let ran = cluster.create("weak", &manifest)?;
        let expected = comment
            .strip_prefix("denied: ")
            .with_context(|| format!("{name}: says what the message holds"))?;
        ensure!(!ran.ok, "{name} was created");
        ensure!(
            ran.stderr.contains("Error from server (Forbidden)"),
            "{name}: {}",
            ran.stderr
        );
        ensure!(
            ran.stderr
                .contains("admission webhook \"validate.armorgate.dev\" denied the request"),
            "{name}: {}",
            ran.stderr
        );
        ensure!(ran.stderr.contains(expected), "{name}: {}", ran.stderr);
    }
    let left = cluster.plane.must(&[
        "-n",
        "weak",
        "get",
        "pods,deployments,jobs,cronjobs,podtemplates",
        "-o",
        "name",
    ])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

/// The same verdict, and the same words, from the webhook and from the command line.
pub(crate) fn check_agrees(cluster: &Cluster) -> Result<()> {
    cluster.namespace("agree", None)?;
    for folder in ["good", "weak"] {
        for (name, manifest, _) in corpus(folder)? {
            let ran = cluster.create_dry("agree", &manifest)?;
            let file = repository("tests/corpus/manifests")
                .join(folder)
                .join(&name);
            let check = Command::new(program())
                .args(["check", "-o", "json", "--profiles"])
                .arg(repository("tests/corpus/profiles"))
                .arg(file)
                .output()?;
            ensure!(
                check.status.code() == Some(i32::from(!ran.ok)),
                "{name}: {check:?}, but {ran:?}"
            );
            let report: Value = serde_json::from_slice(&check.stdout)?;
            let objects = report["objects"].as_array().context("objects")?;
            for finding in objects
                .iter()
                .filter_map(|object| object["findings"].as_array())
                .flatten()
            {
                let words = finding["message"].as_str().context("a message")?;
                ensure!(
                    ran.stderr.contains(words),
                    "{name}: `{words}` is not in {}",
                    ran.stderr
                );
            }
        }
    }
    Ok(())
}

/// KEP-24's order, as the API server itself shows it: what it stores is what we judged by.
pub(crate) fn api_server_resolves_the_same(cluster: &Cluster) -> Result<()> {
    cluster.namespace("resolve", Some("off"))?;
    for name in [
        "good/annotation-over-pod",
        "weak/annotation",
        "weak/annotation-over-pod",
        "weak/localhost-annotation",
    ] {
        let manifest = std::fs::read_to_string(
            repository("tests/corpus/manifests").join(format!("{name}.yaml")),
        )?;
        let ran = cluster.plane.kubectl_with(
            &["-n", "resolve", "create", "-f", "-", "-o", "json"],
            &manifest,
        )?;
        ensure!(ran.ok, "{name}: {ran:?}");
        let stored: Value = serde_json::from_str(&ran.stdout)?;
        let field = &stored["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
        let expected = match name {
            "good/annotation-over-pod" => "RuntimeDefault",
            "weak/localhost-annotation" => "Localhost",
            _ => "Unconfined",
        };
        ensure!(field["type"] == expected, "{name}: {field}");
    }
    Ok(())
}

/// What the API server's validation refuses, `check` fails too: a broken manifest is no passed one.
pub(crate) fn api_server_refuses_the_same(cluster: &Cluster) -> Result<()> {
    cluster.namespace("invalid", Some("off"))?;
    let annotation = |key: &str, value: &str| {
        let manifest = pod("invalid", "{}");
        let annotations = format!(
            r#""name":"invalid","annotations":{{"container.apparmor.security.beta.kubernetes.io/{key}":"{value}"}}"#
        );
        manifest.replace(r#""name":"invalid""#, &annotations)
    };
    let template_disagrees = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"invalid"},"spec":{
        "selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"},"annotations":{
        "container.apparmor.security.beta.kubernetes.io/web":"unconfined"}},"spec":{
        "securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"web","image":"nginx"}]}}}}"#;
    for (manifest, reason) in [
        (
            pod(
                "invalid",
                r#"{"appArmorProfile":{"type":"Runtimedefault"}}"#,
            ),
            "invalid",
        ),
        (pod("invalid", r#"{"appArmorProfile":{}}"#), "invalid"),
        (
            pod("invalid", r#"{"appArmorProfile":{"type":"Localhost"}}"#),
            "invalid",
        ),
        (
            pod(
                "invalid",
                r#"{"appArmorProfile":{"type":"Localhost","localhostProfile":" a"}}"#,
            ),
            "invalid",
        ),
        (
            pod(
                "invalid",
                r#"{"appArmorProfile":{"type":"RuntimeDefault","localhostProfile":"a"}}"#,
            ),
            "invalid",
        ),
        (pod("invalid", r#"{"privileged":"yes"}"#), "malformed"),
        (pod("invalid", r#"{"appArmorProfile":[]}"#), "malformed"),
        (annotation("web", "Unconfined"), "invalid"),
        (annotation("wbe", "unconfined"), "no-such-container"),
        (
            annotation("web", "unconfined").replace(
                "\"securityContext\":{}",
                r#""securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}}"#,
            ),
            "disagreement",
        ),
        (template_disagrees.to_owned(), "disagreement"),
    ] {
        let ran = cluster.create("invalid", &manifest)?;
        ensure!(!ran.ok, "the API server takes {manifest}");
        let file = cluster.folder.path().join("invalid.json");
        std::fs::write(&file, &manifest)?;
        let check = Command::new(program())
            .args(["check", "-o", "json"])
            .arg(file)
            .output()?;
        ensure!(check.status.code() == Some(1), "{manifest}: {check:?}");
        let report: Value = serde_json::from_slice(&check.stdout)?;
        let found = &report["objects"][0]["findings"][0]["reason"];
        ensure!(found == reason, "{manifest}: {found}");
    }
    Ok(())
}

pub(crate) fn dry_run(cluster: &Cluster) -> Result<()> {
    cluster.namespace("dry", None)?;
    let refused = cluster.create_dry("dry", &unconfined_pod("weak"))?;
    ensure!(
        !refused.ok && refused.stderr.contains("denied the request"),
        "{refused:?}"
    );
    let accepted = cluster.create_dry("dry", &pod("good", "{}"))?;
    ensure!(accepted.ok, "{accepted:?}");
    ensure!(!cluster.exists("dry", "pod/good")?);
    Ok(())
}

impl Cluster {
    fn create_dry(&self, namespace: &str, manifest: &str) -> Result<crate::Ran> {
        self.plane.kubectl_with(
            &["-n", namespace, "create", "--dry-run=server", "-f", "-"],
            manifest,
        )
    }
}
