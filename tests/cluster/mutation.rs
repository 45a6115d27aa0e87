//! Pods are given the names of their generated profiles, with images in a real registry.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    Cluster, images,
    registry::{Access, Registry},
    support::{post, wait_until},
};

const NAMESPACE: &str = "mutated";

pub(crate) fn profiles_of_images(cluster: &Cluster) -> Result<()> {
    let folder = cluster.folder.path().join("mutated");
    fs::create_dir_all(&folder)?;
    let registry = Registry::start(&folder, &Access::Anybody, None)?;
    let mut digests = Vec::new();
    for name in ["web", "other"] {
        let mut store = images::Store::default();
        let run = json!({ "Entrypoint": [format!("/bin/{name}")] });
        let layer = images::tar(&[(&format!("bin/{name}"), "#!/bin/sh\n")])?;
        let image = store.image(&[layer], "amd64", &run)?;
        registry.push(name, &store, "1", &image)?;
        digests.push(images::digest(&image));
    }
    let host = registry.host();
    let before = fs::read_to_string(cluster.config())?;
    let config = before
        .replace("insecureHosts: []", &format!("insecureHosts: [\"{host}\"]"))
        .replace("privateHosts: []", &format!("privateHosts: [\"{host}\"]"));
    ensure!(config != before, "deploy/config.yaml has changed");
    fs::write(cluster.config(), config)?;
    let label = json!({ "armorgate.dev/whitelist": "enforce" });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": label } });
    cluster.plane.must_apply(&namespace.to_string())?;

    // Once the new configuration holds, an image of the registry on loopback is found.
    let web = format!("{host}/web:1");
    wait_until("an image of the registry is found", 20, || {
        let name = profile_of(cluster, &pod("probe", &web, &json!({})), true)?;
        Ok(name.filter(|name| name.starts_with("armorgate.web.")))
    })?;

    let name = profile_of(cluster, &pod("web", &web, &json!({})), false)?.context("a profile")?;
    let created = read(cluster, "web")?;
    let recorded: Value = created["metadata"]["annotations"]["armorgate.dev/images"]
        .as_str()
        .context("the annotation")?
        .parse()?;
    ensure!(
        recorded == json!({ "main": digests[0].to_string() }),
        "{recorded}"
    );
    // The same pod again, and one that brings the name and the annotation along, as a copy of it does.
    let again = profile_of(cluster, &pod("again", &web, &json!({})), false)?;
    ensure!(again.as_ref() == Some(&name), "{again:?} {name}");
    let mut copy = created;
    copy["metadata"] = json!({ "name": "copy", "annotations": copy["metadata"]["annotations"] });
    let copied = profile_of(cluster, &copy, false)?;
    ensure!(copied.as_ref() == Some(&name), "{copied:?} {name}");
    // Another command is another profile.
    let more = json!({ "args": ["-v"] });
    let other = profile_of(cluster, &pod("args", &web, &more), false)?.context("a profile")?;
    ensure!(
        other != name && other.starts_with("armorgate.web."),
        "{other}"
    );

    // The list of another image is not to be had by its name.
    let context = |name: &str| json!({ "securityContext": { "appArmorProfile": { "type": "Localhost", "localhostProfile": name } } });
    let borrowed = pod("borrowed", &format!("{host}/other:1"), &context(&name));
    let ran = cluster.create(NAMESPACE, &borrowed.to_string())?;
    ensure!(
        !ran.ok
            && ran.stderr.contains(
                "which was generated for another image or command: its own is `armorgate.other."
            ),
        "{ran:?}"
    );
    // Its own name may be written by hand.
    let own = profile_of(cluster, &pod("own", &web, &context(&name)), false)?;
    ensure!(own.as_ref() == Some(&name), "{own:?}");

    // Large ones are read on another thread.
    for (of, context) in [("large", json!({})), ("large-own", context(&name))] {
        let mut large = pod(of, &web, &context);
        large["metadata"]["annotations"] = json!({ "padding": "x".repeat(200 << 10) });
        let given = profile_of(cluster, &large, false)?;
        ensure!(given.as_ref() == Some(&name), "{given:?} {name}");
    }

    // Before Kubernetes 1.30 the name stands in an annotation. The API server of today copies it to the field: it is sent past it.
    for (image, is_own) in [(&web, true), (&format!("{host}/other:1"), false)] {
        let mut annotated = pod("annotated", image, &json!({}));
        let key = "container.apparmor.security.beta.kubernetes.io/main";
        annotated["metadata"]["annotations"] = json!({ key: format!("localhost/{name}") });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "CREATE", "namespace": NAMESPACE,
                "kind": { "group": "", "version": "v1", "kind": "Pod" }, "object": annotated,
            },
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port));
        let ca = &cluster.certificates.ca;
        let answer = post(address, ca, "/validate", review.to_string().as_bytes())?;
        let allowed = answer.text.contains("\"allowed\":true");
        ensure!(answer.status == 200 && allowed == is_own, "{answer:?}");
    }

    // What cannot be told stays under the runtime's default, and is told.
    let missing = pod("missing", &format!("{host}/none:1"), &json!({}));
    let ran = cluster.create(NAMESPACE, &missing.to_string())?;
    ensure!(
        ran.ok
            && ran.stderr.contains("no profile can be named for image")
            && ran.stderr.contains("the runtime's default profile holds"),
        "{ran:?}"
    );
    ensure!(profile(&read(cluster, "missing")?).is_none());
    let default = json!({ "securityContext": { "appArmorProfile": { "type": "RuntimeDefault" } } });
    ensure!(profile_of(cluster, &pod("default", &web, &default), false)?.is_none());

    fs::write(cluster.config(), before)?;
    Ok(())
}

fn pod(name: &str, image: &str, more: &Value) -> Value {
    let mut container = json!({ "name": "main", "image": image });
    if let (Some(container), Some(more)) = (container.as_object_mut(), more.as_object()) {
        container.extend(more.clone());
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": { "containers": [container] },
    })
}

/// The name of the profile that a new pod is given.
fn profile_of(cluster: &Cluster, pod: &Value, dry: bool) -> Result<Option<String>> {
    let mut arguments = vec!["-n", NAMESPACE, "create", "-f", "-", "-o", "json"];
    if dry {
        arguments.push("--dry-run=server");
    }
    let ran = cluster.plane.kubectl_with(&arguments, &pod.to_string())?;
    ensure!(ran.ok, "{}", ran.stderr);
    Ok(profile(&serde_json::from_str(&ran.stdout)?))
}

fn profile(pod: &Value) -> Option<String> {
    let profile = &pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
    profile["localhostProfile"].as_str().map(str::to_owned)
}

fn read(cluster: &Cluster, name: &str) -> Result<Value> {
    let text = cluster
        .plane
        .must(&["-n", NAMESPACE, "get", "pod", name, "-o", "json"])?;
    Ok(serde_json::from_str(&text)?)
}

pub(crate) fn profile_objects(cluster: &Cluster) -> Result<()> {
    cluster.namespace("objects", None)?;
    let object = |name: &str, text: &str| {
        json!({
            "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile", "metadata": { "name": name },
            "spec": { "text": text },
        })
        .to_string()
    };
    let apply = |manifest: &str| {
        cluster
            .plane
            .kubectl_with(&["apply", "--server-side", "-f", "-"], manifest)
    };
    // What no node could load is refused at once, with its line; so is a text of another name.
    for (text, expected) in [
        (
            "profile object-web {\n  /x{ r,\n}",
            "spec.text: object-web:2: ",
        ),
        (
            "profile web { }",
            "declare one profile, `object-web`, as the object is called; there is `web`",
        ),
    ] {
        let ran = apply(&object("object-web", text))?;
        ensure!(!ran.ok && ran.stderr.contains(expected), "{ran:?}");
    }
    // A weak one is an object like any other: a pod that names it is refused.
    cluster.plane.must_apply(&object(
        "object-web",
        "abi <abi/3.0>,\nprofile object-web { /x r, /proc/kcore r, }",
    ))?;
    let named = crate::pod(
        "web",
        r#"{"appArmorProfile":{"type":"Localhost","localhostProfile":"object-web"}}"#,
    );
    wait_until("refused for what it permits", 20, || {
        let ran = cluster.create("objects", &named)?;
        ensure!(!ran.ok, "{ran:?}");
        Ok(ran.stderr.contains("may read /proc/kcore").then_some(()))
    })?;
    cluster.plane.must_apply(&object(
        "object-web",
        "abi <abi/3.0>,\nprofile object-web { /x r, }",
    ))?;
    wait_until("created", 20, || {
        Ok(cluster.create("objects", &named)?.ok.then_some(()))
    })?;
    // Its definition holds a generated one to what it was made of.
    let generated = |digest: &str, text: Option<&str>| {
        let source = json!({ "image": "i", "digest": digest, "stage": "enforce" });
        let spec = json!({ "source": source, "text": text });
        json!({
            "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile", "metadata": { "name": "object-made" },
            "spec": spec,
        })
        .to_string()
    };
    cluster.plane.must_apply(&generated("sha256:1", None))?;
    let text = "profile object-made { }";
    cluster
        .plane
        .must_apply(&generated("sha256:1", Some(text)))?;
    for (manifest, expected) in [
        (
            generated("sha256:2", Some(text)),
            "spec.source: what a generated profile",
        ),
        (
            generated("sha256:1", Some("profile object-made { /x r, }")),
            "spec.text: the text of a generated profile",
        ),
    ] {
        let ran = apply(&manifest)?;
        ensure!(!ran.ok && ran.stderr.contains(expected), "{ran:?}");
    }
    let table = cluster.plane.must(&["get", "aap"])?;
    ensure!(
        table.starts_with("NAME") && table.contains("RELATION") && table.contains("WITNESS"),
        "{table}"
    );
    Ok(())
}
