//! The real server over real TLS, and everything that can arrive at it.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::{Answer, CertificateFiles, Webhook, parse_answer, post, raw_request, wait_until};

/// A standalone webhook with certificate files.
struct Server {
    webhook: Webhook,
    certificates: CertificateFiles,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let certificates = CertificateFiles::new(folder.path())?;
        let mut webhook = Webhook::start(&program(), &folder.path().join("log"), 0, |command| {
            command.arg("--standalone").args(arguments);
            command
                .arg("--tls-cert")
                .arg(&certificates.chain)
                .arg("--tls-key")
                .arg(&certificates.key);
        })?;
        webhook.wait_until_ready()?;
        Ok(Self {
            webhook,
            certificates,
            _folder: folder,
        })
    }

    fn post(&self, body: &[u8]) -> Result<Answer> {
        post(
            self.webhook.address,
            &self.certificates.ca,
            "/validate",
            body,
        )
    }

    /// The response in the answer to a review of this object.
    fn review(&self, object: &Value) -> Result<Value> {
        let answer = self.post(review(object).to_string().as_bytes())?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_str::<Value>(&answer.text)?["response"].take())
    }

    /// It still does its work.
    fn is_unharmed(&self) -> Result<()> {
        let good = self.review(&pod(&json!({})))?;
        ensure!(good["allowed"] == true && good["uid"] == "u", "{good}");
        let weak = self.review(&pod(
            &json!({ "appArmorProfile": { "type": "Unconfined" } }),
        ))?;
        ensure!(
            weak["allowed"] == false && weak["status"]["code"] == 403,
            "{weak}"
        );
        Ok(())
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_armorgate"))
}

fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "default", "name": "n",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "userInfo": { "username": "somebody", "groups": ["system:authenticated"] },
            "object": object, "oldObject": null,
        },
    })
}

fn pod(context: &Value) -> Value {
    json!({ "spec": { "containers": [{ "name": "web", "securityContext": context }] } })
}

#[test]
fn whatever_is_no_review_gets_a_400_with_one_line_of_reason() -> Result<()> {
    let server = Server::start(&[])?;
    let whole = review(&pod(&json!({}))).to_string();
    let with = |pointer: &str, value: Value| {
        let mut changed = review(&pod(&json!({})));
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "the body is no AdmissionReview: EOF"),
        (
            whole.as_bytes()[..whole.len() / 2].to_vec(),
            "the body is no AdmissionReview",
        ),
        (b"[]".to_vec(), "expected an object"),
        (b"null".to_vec(), "expected an object"),
        (vec![b'['; 1 << 20], "the body is no AdmissionReview"),
        (b"{\"a\":".repeat(200_000), "the body is no AdmissionReview"),
        (vec![0; 1000], "the body is no AdmissionReview"),
        (
            whole.replace("somebody", "\u{0}").into_bytes(),
            "the body is no AdmissionReview",
        ),
        ([whole.as_bytes(), b"x"].concat(), "trailing characters"),
        (
            [b"\xff\xfe", whole.as_bytes()].concat(),
            "not UTF-8, from byte 0 on",
        ),
        (
            with("/apiVersion", json!("admission.k8s.io/v1beta1")).into_bytes(),
            "not `AdmissionReview` of `admission.k8s.io/v1beta1`",
        ),
        (
            with("/kind", json!("Pod\nSecret")).into_bytes(),
            "not `Pod\\nSecret` of",
        ),
        (
            with("/request", Value::Null).into_bytes(),
            "holds no `request`",
        ),
        (
            with("/request", json!([])).into_bytes(),
            "expected an object",
        ),
        (
            with("/request/uid", json!("")).into_bytes(),
            "`request.uid` is empty",
        ),
        (
            with("/request/uid", json!(7)).into_bytes(),
            "expected a string",
        ),
        (
            with("/request/operation", json!("EAT")).into_bytes(),
            "`EAT` is none of",
        ),
        (
            with("/request/userInfo", json!("me")).into_bytes(),
            "expected an object",
        ),
    ];
    for (body, reason) in cases {
        let answer = server.post(&body)?;
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        ensure!(answer.status == 400, "{shown}: {answer:?}");
        ensure!(answer.text.contains(reason), "{shown}: {answer:?}");
        ensure!(
            answer.text.trim_end().lines().count() == 1 && answer.text.len() < 500,
            "{shown}: {answer:?}"
        );
    }
    server.is_unharmed()
}

#[test]
fn an_object_of_the_wrong_shape_is_denied_with_the_field_at_fault() -> Result<()> {
    let server = Server::start(&[])?;
    let deep = serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100)))?;
    for (object, field) in [
        (Value::Null, ""),
        (json!(7), ""),
        (json!({}), ""),
        (json!({ "spec": "x" }), "spec"),
        (json!({ "spec": { "containers": 7 } }), "spec.containers"),
        (
            json!({ "spec": { "containers": deep } }),
            "spec.containers[0]",
        ),
        (
            json!({ "spec": { "containers": [{ "securityContext": { "privileged": 1 } }] } }),
            "spec.containers[0].securityContext.privileged",
        ),
        (
            json!({ "metadata": { "annotations": ["x"] }, "spec": { "containers": [] } }),
            "metadata.annotations",
        ),
    ] {
        let separator = if field.is_empty() { "" } else { ": " };
        let advice = format!("\n  {field}{separator}correct that field");
        let response = server.review(&object)?;
        let message = response["status"]["message"].as_str().unwrap_or_default();
        ensure!(
            response["allowed"] == false && message.contains("this Pod cannot be read"),
            "{object}: {response}"
        );
        ensure!(message.ends_with(&advice), "{object}: {message}");
    }
    server.is_unharmed()
}

#[test]
fn hostile_names_stay_in_their_place() -> Result<()> {
    let server = Server::start(&[])?;
    let name = format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(100_000));
    let object = json!({ "spec": { "containers": [{ "name": name, "securityContext": { "appArmorProfile": { "type": "Unconfined" } } }] } });
    let response = server.review(&object)?;
    let message = response["status"]["message"]
        .as_str()
        .context("a message")?;
    ensure!(
        message.lines().count() == 3 && message.len() < 1000,
        "{message}"
    );
    ensure!(!message.contains(['\u{1b}', '\u{202e}']), "{message:?}");
    let log = server.webhook.process.output();
    ensure!(
        log.lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{log}"
    );
    Ok(())
}

#[test]
fn five_thousand_containers_are_judged_and_the_message_stays_readable() -> Result<()> {
    let server = Server::start(&[])?;
    let containers: Vec<Value> = (0..5000)
        .map(|index| json!({ "name": format!("c{index}"), "securityContext": { "privileged": true } }))
        .collect();
    let started = Instant::now();
    let response = server.review(&json!({ "spec": { "containers": containers } }))?;
    ensure!(
        started.elapsed() < Duration::from_secs(5),
        "within the API server's timeout"
    );
    let message = response["status"]["message"]
        .as_str()
        .context("a message")?;
    ensure!(
        message.contains("container `c0`, container `c1`") && message.contains("and 4950 more"),
        "{message}"
    );
    ensure!(message.len() < 8192, "{}", message.len());
    server.is_unharmed()
}

#[test]
fn a_hundred_megabytes_are_turned_away_with_bounded_memory() -> Result<()> {
    let server = Server::start(&[])?;
    let big = vec![b' '; 100 << 20];
    let answer = server.post(&big)?;
    ensure!(
        answer.status == 413 && answer.text.contains("over 4194304 bytes"),
        "{answer:?}"
    );
    // Without a length, in chunks.
    let mut chunked =
        b"POST /validate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..100 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&big[..1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = parse_answer(&raw_request(
        server.webhook.address,
        &server.certificates.ca,
        &chunked,
        20,
    )?)?;
    ensure!(answer.status == 413, "{answer:?}");
    let peak = server.webhook.process.memory("VmHWM")?;
    ensure!(peak < 64 << 10, "{peak} KiB");
    server.is_unharmed()
}

#[test]
fn many_large_bodies_at_once_are_answered_or_shed() -> Result<()> {
    let server = Arc::new(Server::start(&[])?);
    let padding = json!({ "padding": "x".repeat(3 << 20) });
    let padded = json!({ "metadata": { "annotations": padding }, "spec": { "containers": [{ "name": "web" }] } });
    let mut groups = review(&pod(&json!({})));
    groups["request"]["userInfo"]["groups"] = json!(vec![""; 1_000_000]);
    let mut containers = review(&pod(&json!({})));
    containers["request"]["object"]["spec"]["containers"] = json!(vec![json!({}); 1_000_000]);
    let bodies =
        [review(&padded), groups, containers].map(|body| Arc::new(body.to_string().into_bytes()));
    let workers: Vec<_> = (0..24)
        .map(|index| {
            let (server, body) = (
                Arc::clone(&server),
                Arc::clone(&bodies[index % bodies.len()]),
            );
            thread::spawn(move || server.post(&body))
        })
        .collect();
    let mut answered = 0;
    for worker in workers {
        let answer = worker.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        // 400 for a million groups, a denial for a million containers.
        ensure!(matches!(answer.status, 200 | 400 | 503), "{answer:?}");
        answered += usize::from(answer.status == 200);
    }
    ensure!(answered > 0);
    let peak = server.webhook.process.memory("VmHWM")?;
    ensure!(peak < 96 << 10, "{peak} KiB");
    server.is_unharmed()
}

#[test]
fn who_announces_much_and_sends_little_keeps_nobody_out() -> Result<()> {
    let server = Server::start(&[])?;
    let (address, ca) = (server.webhook.address, server.certificates.ca.clone());
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let ca = ca.clone();
            let head = b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n{";
            thread::spawn(move || raw_request(address, &ca, head, 15))
        })
        .collect();
    wait_until("all are being read", 10, || {
        let (_, metrics) = server.webhook.admin_get("/metrics")?;
        Ok(metrics
            .contains("armorgate_admission_in_flight 20")
            .then_some(()))
    })?;
    server.is_unharmed()?;
    for worker in slow {
        let answer = worker.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        ensure!(parse_answer(&answer)?.status == 408);
    }
    Ok(())
}

#[test]
fn who_is_slow_is_cut_off() -> Result<()> {
    let server = Server::start(&[])?;
    let (address, ca) = (server.webhook.address, server.certificates.ca.clone());
    let slow = |bytes: &'static [u8]| {
        let ca = ca.clone();
        thread::spawn(move || raw_request(address, &ca, bytes, 15))
    };
    let headers = slow(b"POST /validate HTTP/1.1\r\nHost: loc");
    let body = slow(b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{");
    // The next request's headers do not come.
    let next = slow(b"POST /validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    // No handshake at all.
    let mut silent = TcpStream::connect(address)?;
    silent.set_read_timeout(Some(Duration::from_secs(15)))?;
    ensure!(silent.read(&mut [0; 1])? == 0, "closed without a handshake");
    let joined = |worker: thread::JoinHandle<Result<Vec<u8>>>| {
        worker.join().map_err(|_| anyhow::anyhow!("panicked"))?
    };
    let cut_off = joined(headers)?;
    ensure!(
        cut_off.is_empty() || cut_off.starts_with(b"HTTP/1.1 408"),
        "closed: {cut_off:?}"
    );
    ensure!(parse_answer(&joined(body)?)?.status == 408);
    ensure!(
        parse_answer(&joined(next)?)?.status == 400,
        "answered, then closed"
    );
    server.is_unharmed()
}

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
    fs::create_dir(path("profiles"))?;
    fs::write(path("profiles/broken"), "profile a {")?;
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
            [
                &sound[..],
                &["--standalone", "--profiles", &path("profiles")],
            ]
            .concat(),
            "line 1: this `{` is never closed",
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
        message(&named)?.contains("could not be compared with containerd's default"),
        "its text is known"
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
        message(&named)?.contains("could not be compared"),
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
    let nobody = format!("https://127.0.0.1:{}", support::free_port()?);
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

/// The server in this process, with limits small enough to reach.
mod limits {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, SocketAddr, TcpStream},
        sync::Arc,
        time::Duration,
    };

    use anyhow::{Result, ensure};
    use arc_swap::ArcSwap;
    use armorgate::{
        admission::{
            Gate, NamespaceModes, RequestLimits, ServerLimits, Shutdown, runtime, serve,
            webhook_router,
        },
        telemetry::Metrics,
        verdict::{NoProfiles, Policy, Profiles},
    };

    use crate::support::{Answer, parse_answer, wait_until};

    struct Small {
        address: SocketAddr,
        metrics: Arc<Metrics>,
        stop: Shutdown,
        _runtime: tokio::runtime::Runtime,
    }

    impl Small {
        /// Plain HTTP: what is tested here lies below or above TLS.
        fn start(requests: RequestLimits, server: ServerLimits) -> Result<Self> {
            let runtime = runtime()?;
            let listener =
                runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
            let address = listener.local_addr()?;
            let profiles: Arc<dyn Profiles> = Arc::new(NoProfiles);
            let gate = Arc::new(Gate {
                policy: ArcSwap::from_pointee(Policy::default()),
                profiles: ArcSwap::from_pointee(profiles),
                namespaces: NamespaceModes::Standalone,
            });
            let metrics = Arc::new(Metrics::default());
            let router = webhook_router(gate, Arc::clone(&metrics), requests);
            let stop = Shutdown::new();
            runtime.spawn(serve(
                listener,
                None,
                router,
                server,
                metrics.connections.clone(),
                stop.clone(),
            ));
            Ok(Self {
                address,
                metrics,
                stop,
                _runtime: runtime,
            })
        }

        fn connect(&self) -> Result<TcpStream> {
            let stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(stream)
        }
    }

    const EMPTY: &[u8] =
        b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

    fn answer(mut stream: TcpStream) -> Result<Answer> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse_answer(&bytes)
    }

    #[test]
    fn one_request_too_many_is_shed_with_retry_after() -> Result<()> {
        let requests = RequestLimits {
            in_flight: 1,
            ..RequestLimits::default()
        };
        let small = Small::start(requests, ServerLimits::default())?;
        let mut first = small.connect()?;
        let (head, last) = EMPTY.split_at(EMPTY.len() - 1);
        first.write_all(head)?;
        wait_until("in flight", 5, || {
            Ok((small.metrics.in_flight.get() == 1).then_some(()))
        })?;
        let mut second = small.connect()?;
        second.write_all(EMPTY)?;
        let mut bytes = Vec::new();
        second.read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes)?;
        ensure!(
            text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"),
            "{text}"
        );
        ensure!(small.metrics.shed.get() == 1);
        first.write_all(last)?;
        let first = answer(first)?;
        ensure!(first.status == 400, "the one before is answered: {first:?}");
        Ok(())
    }

    #[test]
    fn one_connection_too_many_waits_until_an_idle_one_is_closed() -> Result<()> {
        let idle = Duration::from_millis(500);
        let server = ServerLimits {
            connections: 1,
            idle,
            ..ServerLimits::default()
        };
        let small = Small::start(RequestLimits::default(), server)?;
        let mut silent = small.connect()?;
        wait_until("accepted", 5, || {
            Ok((small.metrics.connections.get() == 1).then_some(()))
        })?;
        let mut second = small.connect()?;
        second.write_all(EMPTY)?;
        ensure!(silent.read(&mut [0; 1])? == 0, "closed for idling");
        let second = answer(second)?;
        ensure!(second.status == 400, "{second:?}");
        Ok(())
    }

    #[test]
    fn a_stopping_server_lets_open_requests_end() -> Result<()> {
        let small = Small::start(RequestLimits::default(), ServerLimits::default())?;
        let mut open = small.connect()?;
        let (head, last) = EMPTY.split_at(EMPTY.len() - 1);
        open.write_all(head)?;
        wait_until("in flight", 5, || {
            Ok((small.metrics.in_flight.get() == 1).then_some(()))
        })?;
        small.stop.start();
        wait_until("not listening", 5, || {
            Ok(TcpStream::connect(small.address).is_err().then_some(()))
        })?;
        open.write_all(last)?;
        let open = answer(open)?;
        ensure!(open.status == 400, "{open:?}");
        Ok(())
    }
}
