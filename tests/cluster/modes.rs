//! Modes: by the cluster's configuration, by namespace, changed while everything runs.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::{
    Cluster, pod,
    support::{post, wait_until},
    unconfined_pod,
};

pub(crate) fn warn(cluster: &Cluster) -> Result<()> {
    cluster.namespace("warn", Some("warn"))?;
    let ran = cluster.create("warn", &unconfined_pod("weak"))?;
    ensure!(ran.ok, "{ran:?}");
    let warning = "Warning: AppArmor: container `web` asks for no AppArmor profile at all";
    ensure!(ran.stderr.contains(warning), "{ran:?}");
    let many: Vec<String> =
        (0..40).map(|index| format!(r#"{{"name":"c{index}","image":"i","securityContext":{{"appArmorProfile":{{"type":"Localhost","localhostProfile":"p{index}"}}}}}}"#)).collect();
    let manifest = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"many"}},"spec":{{"containers":[{}]}}}}"#,
        many.join(",")
    );
    let ran = cluster.create("warn", &manifest)?;
    let warnings: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("Warning: AppArmor:"))
        .collect();
    ensure!(
        ran.ok && warnings.len() > 5 && ran.stderr.contains("more"),
        "{ran:?}"
    );
    Ok(())
}

pub(crate) fn audit(cluster: &Cluster) -> Result<()> {
    cluster.namespace("audit", Some("audit"))?;
    let ran = cluster.create("audit", &unconfined_pod("weak"))?;
    ensure!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
    let annotations = annotations_of(cluster, "audit", "weak")?;
    ensure!(
        annotations["validate.armorgate.dev/mode"] == "audit",
        "{annotations}"
    );
    ensure!(
        annotations["validate.armorgate.dev/verdict"] == "fail",
        "{annotations}"
    );
    let reasons = annotations["validate.armorgate.dev/reasons"]
        .as_str()
        .context("reasons")?;
    ensure!(
        reasons.starts_with("container `web` asks for no AppArmor profile"),
        "{reasons}"
    );
    Ok(())
}

pub(crate) fn denied_in_audit_log(cluster: &Cluster) -> Result<()> {
    cluster.namespace("denied", None)?;
    ensure!(!cluster.create("denied", &unconfined_pod("weak"))?.ok);
    ensure!(cluster.create("denied", &pod("good", "{}"))?.ok);
    let denied = annotations_of(cluster, "denied", "weak")?;
    ensure!(
        denied["validate.armorgate.dev/verdict"] == "fail"
            && denied["validate.armorgate.dev/mode"] == "enforce",
        "{denied}"
    );
    let passed = annotations_of(cluster, "denied", "good")?;
    ensure!(
        passed["validate.armorgate.dev/verdict"] == "pass",
        "{passed}"
    );
    // And in the program's own log, one line.
    let log = cluster
        .webhook()
        .as_ref()
        .context("running")?
        .process
        .output();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let ours = lines
        .iter()
        .filter(|line| line["message"] == "denied" && line["namespace"] == "denied")
        .count();
    ensure!(ours == 1, "{ours} lines");
    Ok(())
}

pub(crate) fn off(cluster: &Cluster) -> Result<()> {
    cluster.namespace("off", Some("off"))?;
    let ran = cluster.create("off", &unconfined_pod("weak"))?;
    ensure!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
    let annotations = annotations_of(cluster, "off", "weak")?;
    ensure!(
        annotations["validate.armorgate.dev/verdict"].is_null(),
        "{annotations}"
    );
    Ok(())
}

pub(crate) fn label_flips(cluster: &Cluster) -> Result<()> {
    cluster.namespace("flip", None)?;
    let created = |name: &str| -> Result<bool> {
        let ran = cluster.create("flip", &unconfined_pod(name))?;
        ensure!(
            ran.ok || ran.stderr.contains("denied the request"),
            "{ran:?}"
        );
        Ok(ran.ok)
    };
    ensure!(!created("first")?);
    cluster
        .plane
        .must(&["label", "namespace", "flip", "armorgate.dev/profile=off"])?;
    wait_until("off", 10, || Ok(created("second")?.then_some(())))?;
    cluster.plane.must(&[
        "label",
        "namespace",
        "flip",
        "--overwrite",
        "armorgate.dev/profile=enforce",
    ])?;
    let mut count = 0;
    wait_until("enforced", 10, || {
        count += 1;
        Ok((!created(&format!("third-{count}"))?).then_some(()))
    })
}

pub(crate) fn unknown_label(cluster: &Cluster) -> Result<()> {
    cluster.namespace("typo", Some("enforec"))?;
    let ran = cluster.create("typo", &pod("good", "{}"))?;
    ensure!(
        ran.ok
            && ran
                .stderr
                .contains("`enforec`, none of enforce, warn, audit, off: `enforce` holds"),
        "{ran:?}"
    );
    ensure!(!cluster.create("typo", &unconfined_pod("weak"))?.ok);
    Ok(())
}

/// The watch may be behind: the webhook waits for it instead of judging by the wrong mode.
pub(crate) fn new_namespace(cluster: &Cluster) -> Result<()> {
    for index in 0..10 {
        let name = format!("new-{index}");
        let namespace = format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}","labels":{{"armorgate.dev/profile":"off"}}}}}}"#
        );
        let weak = unconfined_pod("weak").replacen(
            "\"name\":\"weak\"",
            &format!(r#""name":"weak","namespace":"{name}""#),
            1,
        );
        let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{namespace},{weak}]}}"#);
        let ran = cluster.plane.kubectl_with(&["apply", "-f", "-"], &list)?;
        ensure!(ran.ok, "{ran:?}");
    }
    Ok(())
}

/// Requests for namespaces that nobody has made wait a moment, go by the cluster's mode, and hold up nobody else.
pub(crate) fn unknown_namespaces(cluster: &Cluster) -> Result<()> {
    let (address, ca) = (
        SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port)),
        &cluster.certificates.ca,
    );
    let ask = |namespace: &str| -> Result<Value> {
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": "CREATE", "namespace": namespace,
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "object": serde_json::from_str::<Value>(&unconfined_pod("weak"))?,
            },
        });
        let answer = post(address, ca, "/validate", review.to_string().as_bytes())?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_str(&answer.text)?)
    };
    thread::scope(|scope| {
        let flood: Vec<_> = (0..100)
            .map(|index| scope.spawn(move || ask(&format!("nobodys-{index}"))))
            .collect();
        let known = ask("default")?;
        ensure!(known["response"]["allowed"] == false, "{known}");
        for request in flood {
            let unknown = request.join().map_err(|_| anyhow!("panicked"))??;
            let mode = &unknown["response"]["auditAnnotations"]["mode"];
            ensure!(
                mode == "enforce" && unknown["response"]["allowed"] == false,
                "{unknown}"
            );
        }
        Ok(())
    })
}

pub(crate) fn configuration_reload(cluster: &Cluster) -> Result<()> {
    cluster.namespace("reload", None)?;
    let before = fs::read_to_string(cluster.config())?;
    let ready = || -> Result<(u16, String)> {
        cluster
            .webhook()
            .as_ref()
            .context("running")?
            .admin_get("/readyz")
    };
    let warned = || -> Result<bool> {
        let ran = cluster.plane.kubectl_with(
            &["-n", "reload", "create", "--dry-run=server", "-f", "-"],
            &unconfined_pod("weak"),
        )?;
        Ok(ran.ok && ran.stderr.contains("Warning:"))
    };
    ensure!(before.contains("profile: enforce") && !warned()?);
    fs::write(
        cluster.config(),
        before.replace("profile: enforce", "profile: warn"),
    )?;
    wait_until("warned", 10, || Ok(warned()?.then_some(())))?;
    // A mistake changes nothing, and is told.
    fs::write(
        cluster.config(),
        before.replace("profile: enforce", "profile: enforec"),
    )?;
    let (status, text) = wait_until("told", 10, || {
        Ok(Some(ready()?).filter(|(_, text)| text.contains("config")))
    })?;
    ensure!(
        status == 200 && text.contains("did you mean `enforce`?"),
        "{status} {text}"
    );
    ensure!(warned()?);
    let (_, metrics) = cluster
        .webhook()
        .as_ref()
        .context("running")?
        .admin_get("/metrics")?;
    ensure!(metrics.contains("armorgate_inputs_current 0"), "{metrics}");
    ensure!(
        metrics.contains("armorgate_reloads_total{what=\"config\",result=\"refused\"} 1"),
        "{metrics}"
    );
    fs::write(cluster.config(), &before)?;
    wait_until("enforced again", 10, || Ok((!warned()?).then_some(())))?;
    wait_until("all is current", 10, || {
        Ok((!ready()?.1.contains("config")).then_some(()))
    })
}

/// The audit annotations of the request that created (or tried to create) a pod.
fn annotations_of(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value> {
    wait_until("in the audit log", 10, || {
        let log = cluster.plane.audit_log()?;
        let entry = log.into_iter().find(|entry| {
            let object = &entry["objectRef"];
            object["resource"] == "pods"
                && object["namespace"] == namespace
                && object["name"] == name
        });
        Ok(entry.map(|mut entry| entry["annotations"].take()))
    })
}
