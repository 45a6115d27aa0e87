//! Protocols, start and stop, reloads, metrics, exemptions.

use std::{
    fs,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    Server, pod, program, review,
    support::{CertificateFiles, Webhook, free_port, post, wait_until},
};

#[test]
fn http2_and_tls_from_1_2_on_are_served_and_nothing_else() -> Result<()> {
    let server = Server::start(&[])?;
    let curl = |arguments: &[&str]| -> Result<Output> {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
        ]);
        command
            .arg("--cacert")
            .arg(&server.certificates.ca)
            .args(arguments);
        Ok(command
            .arg(format!(
                "https://127.0.0.1:{}/validate",
                server.webhook.address.port()
            ))
            .output()?)
    };
    let body = review(&pod(&json!({}))).to_string();
    for (arguments, expected) in [
        (vec!["--http2", "-d", &body], "2 200"),
        (vec!["--http1.1", "-d", &body], "1.1 200"),
        (vec!["--tls-max", "1.2", "-d", &body], "2 200"),
        (vec!["--http2"], "2 405"),
    ] {
        let output = curl(&arguments)?;
        ensure!(
            output.stdout == expected.as_bytes(),
            "{arguments:?}: {output:?}"
        );
    }
    let old = curl(&[
        "--tls-max",
        "1.1",
        "--ciphers",
        "ALL:@SECLEVEL=0",
        "-d",
        &body,
    ])?;
    ensure!(!old.status.success(), "{old:?}");
    let answer = post(
        server.webhook.address,
        &server.certificates.ca,
        "/elsewhere",
        b"",
    )?;
    ensure!(answer.status == 404, "{answer:?}");
    Ok(())
}

#[test]
fn a_broken_start_is_one_line_and_exit_code_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificates = CertificateFiles::new(folder.path())?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("typo.yaml"), "modes: {profile: enforec}")?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let (chain, key) = (path("tls.crt"), path("tls.key"));
    let sound = [
        "--tls-cert",
        &chain,
        "--tls-key",
        &key,
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let ca = path("ca.crt");
    for (arguments, expected) in [
        (
            [
                &sound[..],
                &["--standalone", "--config", &path("typo.yaml")],
            ]
            .concat(),
            "did you mean `enforce`?",
        ),
        (
            [
                &sound[..],
                &["--standalone", "--config", &path("none.yaml")],
            ]
            .concat(),
            "cannot read",
        ),
        (
            [&sound[..], &["--standalone", "--listen", &taken]].concat(),
            "cannot listen on",
        ),
        (
            vec!["--standalone", "--tls-cert", &ca, "--tls-key", &key],
            "the key does not fit the certificate",
        ),
        (
            vec!["--standalone", "--tls-cert", &key, "--tls-key", &key],
            "holds no PEM certificate",
        ),
        (
            vec!["--standalone", "--tls-self-signed", "two words"],
            "cannot make a certificate",
        ),
        (
            [&sound[..], &["--listen", "127.0.0.1:0"]].concat(),
            "no cluster: neither a kubeconfig nor a pod's service account",
        ),
    ] {
        let output = Command::new("timeout")
            .arg("10")
            .arg(program())
            .arg("serve")
            .args(&arguments)
            .env_remove("KUBECONFIG")
            .env("HOME", folder.path())
            .env("ARMORGATE_LOG", "error")
            .output()?;
        let error = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.code() == Some(2),
            "{arguments:?}: {:?} {error}",
            output.status
        );
        ensure!(
            error.contains(expected) && error.lines().count() == 1,
            "{arguments:?}: {error}"
        );
    }
    drop(certificates);
    Ok(())
}

#[test]
fn a_broken_profile_does_not_keep_the_gate_from_starting() -> Result<()> {
    let profiles = tempfile::tempdir()?;
    fs::write(profiles.path().join("broken"), "profile a {")?;
    let server = Server::start(&["--profiles", &profiles.path().display().to_string()])?;
    let object =
        pod(&json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": "a" } }));
    let answer = server.review(&object)?;
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("could not be compared with containerd's default")
            && message.contains("broken:1"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_broken_new_certificate_or_profile_leaves_the_old_one_and_is_told() -> Result<()> {
    let profiles = tempfile::tempdir()?;
    fs::write(profiles.path().join("web"), "profile web { file, }")?;
    let server = Server::start(&["--profiles", &profiles.path().display().to_string()])?;
    let named =
        pod(&json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": "web" } }));
    let message = |object: &Value| -> Result<String> {
        Ok(server.review(object)?["status"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    ensure!(
        message(&named)?.contains("which permits what containerd's default forbids: may "),
        "its text is known: {}",
        message(&named)?
    );
    let told = |text: &'static str| {
        wait_until(text, 10, || {
            let (status, ready) = server.webhook.admin_get("/readyz")?;
            let (_, metrics) = server.webhook.admin_get("/metrics")?;
            let told = status == 200
                && ready.contains(text)
                && metrics.contains("armorgate_inputs_current 0");
            Ok(told.then_some(()))
        })
    };
    fs::write(&server.certificates.chain, "broken")?;
    told("certificate: the newest is refused, an older one is in use")?;
    server.is_unharmed()?;
    server.certificates.renew()?;
    fs::write(profiles.path().join("web"), "profile web {")?;
    told("profiles: the newest is refused, an older one is in use")?;
    ensure!(
        message(&named)?.contains("permits what containerd's default forbids"),
        "the old profiles stay"
    );
    fs::write(profiles.path().join("web"), "profile other { }")?;
    wait_until("reloaded", 10, || {
        Ok(message(&named)?.contains("does not have").then_some(()))
    })?;
    let (_, metrics) = server.webhook.admin_get("/metrics")?;
    ensure!(
        metrics.contains("armorgate_profiles 1") && metrics.contains("armorgate_inputs_current 1"),
        "{metrics}"
    );
    Ok(())
}

#[test]
fn metrics_count_by_operation_kind_verdict_and_mode() -> Result<()> {
    let server = Server::start(&[])?;
    server.is_unharmed()?;
    server.post(b"{")?;
    let (status, metrics) = server.webhook.admin_get("/metrics")?;
    ensure!(status == 200);
    for line in [
        r#"armorgate_admission_requests_total{operation="CREATE",kind="Pod",verdict="pass",mode="enforce"} 1"#,
        r#"armorgate_admission_requests_total{operation="CREATE",kind="Pod",verdict="fail",mode="enforce"} 1"#,
        r#"armorgate_admission_requests_total{operation="none",kind="none",verdict="error",mode="none"} 1"#,
        "armorgate_admission_latency_seconds_count 3",
        "armorgate_admission_in_flight 0",
        "armorgate_certificate_expiry_timestamp_seconds 1",
        concat!(
            "armorgate_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "# EOF",
    ] {
        ensure!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    Ok(())
}

#[test]
fn what_holds_no_pod_or_cannot_change_one_passes() -> Result<()> {
    let server = Server::start(&[])?;
    let weak = pod(&json!({ "appArmorProfile": { "type": "Unconfined" } }));
    let answer = |pointer: &str, value: Value| -> Result<Value> {
        let mut changed = review(&weak);
        changed["request"]["subResource"] = json!("");
        *changed.pointer_mut(pointer).context("a field")? = value;
        let answer = server.post(changed.to_string().as_bytes())?;
        Ok(serde_json::from_str::<Value>(&answer.text)?["response"].take())
    };
    for (pointer, value) in [
        ("/request/kind/kind", json!("Service")),
        ("/request/kind/group", json!("example.test")),
        ("/request/subResource", json!("status")),
        ("/request/subResource", json!("scale")),
        ("/request/operation", json!("DELETE")),
        ("/request/operation", json!("CONNECT")),
    ] {
        let response = answer(pointer, value.clone())?;
        ensure!(response["allowed"] == true, "{pointer} {value}: {response}");
        ensure!(
            response["auditAnnotations"]["verdict"] == "not-applicable",
            "{response}"
        );
    }
    ensure!(answer("/request/subResource", json!("ephemeralcontainers"))?["allowed"] == false);
    Ok(())
}

#[test]
fn exemptions_hold_and_say_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    fs::write(
        &config,
        "exemptions: {namespaces: [a], users: [b], groups: [c], runtimeClasses: [gvisor]}",
    )?;
    let server = Server::start(&["--config", &config.display().to_string()])?;
    let weak = pod(&json!({ "appArmorProfile": { "type": "Unconfined" } }));
    for (pointer, value, exempt) in [
        ("/request/namespace", json!("a"), Some("namespace")),
        ("/request/userInfo/username", json!("b"), Some("user")),
        ("/request/userInfo/groups", json!(["x", "c"]), Some("group")),
        (
            "/request/object/spec/runtimeClassName",
            json!("gvisor"),
            Some("runtimeClass"),
        ),
        ("/request/namespace", json!("ab"), None),
        ("/request/userInfo/groups", json!(["C"]), None),
    ] {
        let mut changed = review(&weak);
        changed["request"]["object"]["spec"]["runtimeClassName"] = json!("runc");
        *changed.pointer_mut(pointer).context("a field")? = value;
        let answer = server.post(changed.to_string().as_bytes())?;
        let response = serde_json::from_str::<Value>(&answer.text)?["response"].take();
        ensure!(
            response["allowed"] == exempt.is_some(),
            "{pointer}: {response}"
        );
        ensure!(
            response["auditAnnotations"]["exempt"].as_str() == exempt,
            "{pointer}: {response}"
        );
    }
    Ok(())
}

#[test]
fn a_second_signal_aborts() -> Result<()> {
    let mut server = Server::start(&["--drain-seconds", "600"])?;
    server.webhook.process.signal("TERM")?;
    wait_until("stopping", 5, || {
        Ok((server.webhook.admin_get("/readyz")?.0 == 503).then_some(()))
    })?;
    server.is_unharmed()?;
    server.webhook.process.signal("TERM")?;
    let status = server.webhook.process.wait_for_end(5)?;
    ensure!(status.code() == Some(2), "{status}");
    ensure!(server.webhook.process.output().contains("second signal"));
    Ok(())
}

#[test]
fn self_signed_prints_a_ca_bundle_that_verifies_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut webhook = Webhook::start(&program(), &folder.path().join("log"), 0, |command| {
        command
            .args(["--standalone", "--tls-self-signed", "localhost,127.0.0.1"])
            .env("TMPDIR", folder.path());
    })?;
    webhook.wait_until_ready()?;
    let output = webhook.process.output();
    let bundle = output
        .lines()
        .find_map(|line| line.strip_prefix("CA bundle: "))
        .context("it prints the path")?;
    let body = review(&pod(&json!({}))).to_string();
    let answer = post(
        webhook.address,
        bundle.as_ref(),
        "/validate",
        body.as_bytes(),
    )?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

#[test]
fn without_its_cluster_it_is_alive_but_not_ready() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let nobody = format!("https://127.0.0.1:{}", free_port()?);
    fs::write(
        &kubeconfig,
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": nobody } }],
            "users": [{ "name": "c", "user": { "token": "t" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        })
        .to_string(),
    )?;
    let webhook = Webhook::start(&program(), &folder.path().join("log"), 0, |command| {
        command
            .args(["--tls-self-signed", "localhost"])
            .env("KUBECONFIG", &kubeconfig)
            .env("TMPDIR", folder.path());
    })?;
    let (alive, _) = webhook.admin_get("/healthz")?;
    let (ready, text) = webhook.admin_get("/readyz")?;
    ensure!(
        alive == 200 && ready == 503 && text.contains("namespaces: not listed yet"),
        "{alive} {ready} {text}"
    );
    Ok(())
}
