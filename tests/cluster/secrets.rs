//! Images that only who has a pod's pull secrets may read.

use anyhow::{Context as _, Result, ensure};
use armorgate::{
    compare::{Baseline, Runtime},
    whitelist::Stage,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    Cluster, program,
    registry::{Access, NAME, PASSWORD},
    replica::{Shop, generating_namespace},
    support::{Webhook, post, wait_until},
};

const NAMESPACE: &str = "private";

/// `/mutate` and the controller read them, by the pod's own names and by its service account.
pub(crate) fn are_used(cluster: &Cluster) -> Result<()> {
    let baseline = Baseline::newest(Runtime::Containerd);
    let shop = Shop::with(
        &cluster.plane,
        &json!(["containerd"]),
        baseline,
        &Access::Password,
    )?;
    let image = shop.container(&[])["image"].clone();
    let host = image.as_str().and_then(|image| image.split('/').next());
    let auth = STANDARD.encode(format!("{NAME}:{PASSWORD}"));
    let auths = json!({ "auths": { host.context("a host")?: { "auth": auth } } });
    let account =
        |name: &str| json!({ "kind": "ServiceAccount", "name": name, "namespace": "armorgate" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "armorgate-pull-secrets" });
    for object in [
        generating_namespace(NAMESPACE, "enforce"),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "pull", "namespace": NAMESPACE },
            "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": auths.to_string() },
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "puller", "namespace": NAMESPACE },
            "imagePullSecrets": [{ "name": "pull" }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "pull-secrets" },
            "roleRef": role, "subjects": [account("armorgate"), account("armorgate-controller")],
        }),
    ] {
        cluster.plane.must_apply(&object.to_string())?;
    }

    let log = shop.path("webhook.log");
    let mut webhook = Webhook::start(&program(), &log, 0, |command| {
        command.env(
            "KUBECONFIG",
            cluster.folder.path().join("webhook.kubeconfig"),
        );
        command.arg("--config").arg(shop.path("config.yaml"));
        command.arg("--tls-cert").arg(&cluster.certificates.chain);
        command.arg("--tls-key").arg(&cluster.certificates.key);
    })?;
    webhook.wait_until_ready()?;
    let named = json!({ "imagePullSecrets": [{ "name": "pull" }] });
    let of_account = json!({ "serviceAccountName": "puller" });
    for (more, is_read) in [
        (&named, true),
        (&of_account, true),
        (&json!({}), false),
        (&json!({ "imagePullSecrets": [{ "name": "other" }] }), false),
    ] {
        let mut spec = more.clone();
        spec["containers"] = json!([shop.container(&["as", "it", "is"])]);
        let body = review(&spec).to_string();
        let answer = post(
            webhook.address,
            &cluster.certificates.ca,
            "/mutate",
            body.as_bytes(),
        )?;
        let answer: Value = serde_json::from_str(&answer.text)?;
        let response = &answer["response"];
        ensure!(response["patch"].is_string() == is_read, "{more}: {answer}");
        let warned = response["warnings"]
            .to_string()
            .contains("no profile can be named");
        ensure!(warned != is_read, "{more}: {answer}");
    }

    let controller = shop.start(&program(), "pulling", "24h")?;
    for (name, more) in [("named", &named), ("of-account", &of_account)] {
        let mut deployment = shop.deployment(NAMESPACE, name, &[name]);
        let spec = &mut deployment["spec"]["template"]["spec"];
        for (key, value) in more.as_object().context("an object")? {
            spec[key] = value.clone();
        }
        cluster.plane.must_apply(&deployment.to_string())?;
        let profile = shop.name(&[name], Stage::Enforce)?;
        wait_until("made", 60, || {
            let place = "jsonpath={.spec.text}";
            let ran = cluster
                .plane
                .kubectl(&["get", "aap", &profile, "-o", place])?;
            Ok(ran.stdout.contains("/usr/sbin/server").then_some(()))
        })
        .with_context(|| controller.process.output())?;
    }
    controller.stop()?;
    let bound = ["delete", "clusterrolebinding", "pull-secrets"];
    cluster.plane.must(&bound)?;
    Ok(())
}

fn review(spec: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "namespace": NAMESPACE, "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "userInfo": { "username": "someone" }, "object": { "metadata": { "name": "web" }, "spec": spec },
        },
    })
}
