//! The webhook going away, coming back, and changing its certificate.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Cluster, pod, support::wait_until, unconfined_pod};

/// Certificates are swapped while pods are created: every weak one is refused by the gate, every good one accepted.
pub(crate) fn certificate_swap(cluster: &Cluster) -> Result<()> {
    cluster.namespace("swap", None)?;
    let port = cluster.port;
    let stop = AtomicBool::new(false);
    let (through_api_server, direct) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures: Mutex<Vec<String>> = Mutex::default();
    let fail = |text: String| {
        failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    };
    let first = serial(cluster)?;
    let swaps = thread::scope(|scope| -> Result<usize> {
        for worker in 0..2 {
            let (stop, fail, count) = (&stop, &fail, &through_api_server);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let (manifest, good) = match number % 2 {
                        0 => (unconfined_pod(&format!("weak-{worker}-{number}")), false),
                        _ => (pod(&format!("good-{worker}-{number}"), "{}"), true),
                    };
                    match cluster.create("swap", &manifest) {
                        Ok(ran)
                            if ran.ok == good
                                && (good || ran.stderr.contains("container `web` asks for no")) => {
                        }
                        other => fail(format!("through the API server: {other:?}")),
                    }
                }
            });
        }
        // A new connection each time, verified against the CA: the API server itself keeps its connection.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                direct.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = direct_request(cluster) {
                    fail(format!("directly: {error:?}"));
                }
            }
        });
        let mut last = first.clone();
        let mut swaps = 0;
        let swapped = (0..4).try_for_each(|_| -> Result<()> {
            cluster.certificates.renew()?;
            last = wait_until("the new certificate served", 10, || {
                let now = serial(cluster)?;
                Ok((now != last).then_some(now))
            })?;
            swaps += 1;
            Ok(())
        });
        let enough = wait_until("enough requests", 60, || {
            let counts = [&through_api_server, &direct].map(|count| count.load(Ordering::Relaxed));
            Ok(counts.iter().all(|count| *count > 20).then_some(()))
        });
        stop.store(true, Ordering::Relaxed);
        swapped.and(enough).map(|()| swaps)
    })?;
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    ensure!(
        failures.is_empty(),
        "{} failed, first: {}",
        failures.len(),
        failures[0]
    );
    let (through, direct) = (through_api_server.into_inner(), direct.into_inner());
    println!(
        "{swaps} swaps on port {port} under {through} requests through the API server and {direct} direct ones"
    );
    ensure!(swaps == 4, "{swaps} swaps");
    Ok(())
}

pub(crate) fn killed(cluster: &Cluster) -> Result<()> {
    cluster.namespace("closed", None)?;
    // Its end is waited for.
    drop(cluster.webhook().take());
    let ran = cluster.create("closed", &pod("good", "{}"))?;
    ensure!(
        !ran.ok
            && ran
                .stderr
                .contains("failed calling webhook \"validate.armorgate.dev\""),
        "{ran:?}"
    );
    // What a cold cluster needs goes on without it, so that it can come back.
    for namespace in ["kube-system", "armorgate"] {
        let restricted = r#"{"runAsNonRoot":true,"runAsUser":1,"allowPrivilegeEscalation":false,"seccompProfile":{"type":"RuntimeDefault"},"capabilities":{"drop":["ALL"]}}"#;
        let ran = cluster.create(namespace, &pod("system", restricted))?;
        ensure!(ran.ok, "{ran:?}");
    }
    cluster.start_webhook()?;
    let ran = cluster.create("closed", &pod("good", "{}"))?;
    ensure!(ran.ok, "{ran:?}");
    let ran = cluster.create("closed", &unconfined_pod("weak"))?;
    ensure!(
        !ran.ok && ran.stderr.contains("container `web` asks for no"),
        "{ran:?}"
    );
    Ok(())
}

/// SIGTERM: not ready at once, still answering for the drain time, then gone with exit code 0.
pub(crate) fn stopping(cluster: &Cluster) -> Result<()> {
    cluster.namespace("stopping", None)?;
    let webhook = cluster.webhook().take();
    let mut webhook = webhook.context("running")?;
    webhook.process.signal("TERM")?;
    wait_until("not ready", 5, || {
        let (status, text) = webhook.admin_get("/readyz")?;
        Ok((status == 503 && text.contains("stopping")).then_some(()))
    })?;
    for _ in 0..5 {
        let ran = cluster.create("stopping", &unconfined_pod("weak"))?;
        ensure!(
            !ran.ok && ran.stderr.contains("container `web` asks for no"),
            "{ran:?}"
        );
    }
    let status = webhook.process.wait_for_end(30)?;
    ensure!(status.success(), "{status}: {}", webhook.process.output());
    cluster.start_webhook()
}

/// The serial number of the certificate that is served.
fn serial(cluster: &Cluster) -> Result<String> {
    let address = format!("127.0.0.1:{}", cluster.port);
    let shell = format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &shell])
        .output()?;
    ensure!(output.status.success(), "openssl: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// A review on a connection of its own.
fn direct_request(cluster: &Cluster) -> Result<()> {
    let review = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","operation":"CREATE",
            "kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"swap","object":{}}}}}"#,
        unconfined_pod("weak")
    );
    let url = format!("https://127.0.0.1:{}/validate", cluster.port);
    let output = std::process::Command::new("curl")
        .args(["-sS", "-m", "5", "--cacert"])
        .arg(&cluster.certificates.ca)
        .args(["--data-binary", &review, &url])
        .output()?;
    let answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(answer["response"]["allowed"] == false, "{answer}");
    Ok(())
}
