//! `/validate` and `/mutate` against a handler on the same stack that only reads the body, and against upstream's Go pod security
//! webhook: the same review, the same load, one run.
//!
//! They take turns, several rounds of each, and the table holds the medians. The control plane that the webhooks watch is
//! stopped (as by Ctrl-Z) while they are measured, so that it takes no time from them. `/mutate` gives each of the pod's
//! containers a profile; the digests of their images come from a registry, once a minute.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it may fail loudly, and prints a table"
)]

#[path = "../support/images.rs"]
mod images;
#[expect(dead_code, reason = "access is open here")]
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use armorgate::{
    admission::{ServerLimits, Shutdown, runtime, serve},
    tls::{Certificates, Source, server_config},
};
use axum::{Router, body::Bytes, routing::post};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use registry::{Access, Registry};
use serde_json::{Value, json};
use support::{
    CertificateFiles, Process, Webhook, control_plane::ControlPlane, free_port, from_setup,
};
use tokio_rustls::TlsAcceptor;

const ROUNDS: usize = 5;
const SECONDS: usize = 4;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--bare") {
        Some(at) => {
            bare(arguments.get(at + 1..).unwrap_or_default())?;
            Ok(ExitCode::SUCCESS)
        }
        None => compare(),
    }
}

/// What one load came to.
#[derive(Clone, Copy, Debug)]
struct Load {
    per_second: f64,
    p50: f64,
    p99: f64,
}

struct Contender {
    name: &'static str,
    port: u16,
    path: &'static str,
    process: u32,
    loads: Vec<Load>,
    /// Of memory under that load, in MiB.
    peak: f64,
}

fn compare() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let plane = ControlPlane::start(folder)?;
    plane.must(&[
        "label",
        "namespace",
        "default",
        "pod-security.kubernetes.io/enforce=baseline",
    ])?;
    let registry = Registry::start(folder, &Access::Anybody, None)?;
    let review = review(&plane, &push(&registry)?)?;
    let script = folder.join("load.lua");
    fs::write(folder.join("review.json"), &review)?;
    fs::write(
        &script,
        LOAD.replace("REVIEW", &folder.join("review.json").display().to_string()),
    )?;

    let certificates = CertificateFiles::new(folder)?;
    let (config, host) = (folder.join("config.yaml"), registry.host());
    let names = json!({
        "modes": { "whitelist": "enforce" },
        "whitelist": { "runtimeDefault": "replace" },
        "registries": { "privateHosts": [host], "insecureHosts": [host] },
    });
    fs::write(&config, names.to_string())?;
    let mut webhook = Webhook::start(
        Path::new(env!("CARGO_BIN_EXE_armorgate")),
        &folder.join("armorgate.log"),
        0,
        |command| {
            command.env("KUBECONFIG", &plane.kubeconfig);
            command.arg("--config").arg(&config);
            command
                .arg("--tls-cert")
                .arg(&certificates.chain)
                .arg("--tls-key")
                .arg(&certificates.key);
        },
    )?;
    webhook.wait_until_ready()?;
    let (bare, bare_port) = start_bare(folder, &certificates)?;
    let (go, go_port) = start_go(folder, &plane, &certificates)?;
    let contender = |name, port, path, process| Contender {
        name,
        port,
        path,
        process,
        loads: Vec::new(),
        peak: 0.0,
    };
    let mut contenders = [
        contender(
            "armorgate /validate",
            webhook.address.port(),
            "/validate",
            webhook.process.id(),
        ),
        contender(
            "armorgate /mutate",
            webhook.address.port(),
            "/mutate",
            webhook.process.id(),
        ),
        contender("handler that only reads", bare_port, "/validate", bare.id()),
        contender("Go pod security webhook", go_port, "/", go.id()),
    ];
    for contender in &contenders {
        check(contender, &certificates, &review)?;
    }
    plane.signal("STOP")?;
    let measured = measure(&mut contenders, &script);
    plane.signal("CONT")?;
    measured?;
    for contender in &mut contenders {
        contender.peak = peak(contender.process)?;
    }
    let largest = largest(webhook.address, &certificates, &review)?;
    print(&contenders, review.len(), largest)
}

/// The pod, with an image in the registry for each of its own.
fn push(registry: &Registry) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/pod.yaml");
    let mut pod = fs::read_to_string(path)?;
    let images: Vec<String> = pod
        .lines()
        .filter_map(|line| {
            Some(
                line.split_once("image: registry.example.test/")?
                    .1
                    .to_owned(),
            )
        })
        .collect();
    ensure!(images.len() == 3, "{images:?}");
    for image in images {
        let (repository, tag) = image.rsplit_once(':').context("a tag")?;
        let mut store = images::Store::default();
        let run = json!({ "Entrypoint": ["/bin/main"], "Env": [format!("IMAGE={image}")] });
        let layer = images::tar(&[("bin/main", "#!/bin/sh\n")])?;
        let manifest = store.image(&[layer], "amd64", &run)?;
        registry.push(repository, &store, tag, &manifest)?;
    }
    pod = pod.replace("registry.example.test", &registry.host());
    Ok(pod)
}

/// The review that the API server would send of the pod: defaults, managed fields and all.
fn review(plane: &ControlPlane, pod: &str) -> Result<String> {
    let arguments = [
        "create",
        "--dry-run=server",
        "--show-managed-fields",
        "-o",
        "json",
        "-f",
        "-",
    ];
    let ran = plane.kubectl_with(&arguments, pod)?;
    ensure!(ran.ok, "{ran:?}");
    let object: Value = serde_json::from_str(&ran.stdout)?;
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    Ok(json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "namespace": "default", "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "014fbff9-a07a-4c0d-9b15-2e2a5b8f8d2c",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            },
            "object": object, "oldObject": null, "dryRun": false,
            "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    })
    .to_string())
}

fn start_bare(folder: &Path, certificates: &CertificateFiles) -> Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--bare")
        .arg(port.to_string())
        .arg(&certificates.chain)
        .arg(&certificates.key);
    let mut process = Process::start("the bare handler", folder.join("bare.log"), &command)?;
    process.wait_until("listening", 20, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    })?;
    Ok((process, port))
}

fn start_go(
    folder: &Path,
    plane: &ControlPlane,
    certificates: &CertificateFiles,
) -> Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = Command::new(from_setup("ARMORGATE_TEST_GO_WEBHOOK")?);
    command.arg("--kubeconfig").arg(&plane.kubeconfig);
    command.args([
        "--bind-address=127.0.0.1",
        "--secure-port",
        &port.to_string(),
    ]);
    command
        .arg("--tls-cert-file")
        .arg(&certificates.chain)
        .arg("--tls-private-key-file")
        .arg(&certificates.key);
    let mut process = Process::start("the Go webhook", folder.join("go.log"), &command)?;
    let url = format!("https://127.0.0.1:{port}/readyz");
    process.wait_until("ready", 30, || {
        let ready = Command::new("curl")
            .args(["-sf", "--cacert"])
            .arg(&certificates.ca)
            .arg(&url)
            .output();
        ready
            .is_ok_and(|output| output.status.success())
            .then_some(())
    })?;
    Ok((process, port))
}

/// Each must answer the review, and let the pod in; `/mutate` gives it profiles.
fn check(contender: &Contender, certificates: &CertificateFiles, review: &str) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, contender.port));
    let answer = support::post(address, &certificates.ca, contender.path, review.as_bytes())?;
    let allowed = answer.status == 200 && answer.text.contains("\"allowed\":true");
    ensure!(allowed, "{}: {answer:?}", contender.name);
    let is_patched = answer.text.contains("\"patch\":");
    ensure!(is_patched == (contender.path == "/mutate"), "{answer:?}");
    ensure!(!answer.text.contains("warnings"), "{answer:?}");
    Ok(())
}

/// How long `/mutate` takes for a pod with as many containers, volumes and annotations as are read.
fn largest(address: SocketAddr, certificates: &CertificateFiles, review: &str) -> Result<Duration> {
    let mut review: Value = serde_json::from_str(review)?;
    let pod = &mut review["request"]["object"];
    let image = &pod["spec"]["containers"][0]["image"];
    let container = |number: usize| {
        let mount = json!({ "name": format!("v{}", MOST - 1 - number), "mountPath": "/mnt" });
        json!({ "name": format!("c{number}"), "image": image, "volumeMounts": [mount] })
    };
    let containers: Vec<Value> = (0..MOST).map(container).collect();
    let volumes = (0..MOST).map(|number| json!({ "name": format!("v{number}") }));
    let annotations = (0..MOST).map(|number| {
        let key = format!("container.apparmor.security.beta.kubernetes.io/x{number}");
        (key, "runtime/default".into())
    });
    pod["spec"]["volumes"] = volumes.collect();
    pod["metadata"]["annotations"] = Value::Object(annotations.collect());
    pod["spec"]["containers"] = containers.into();
    let body = review.to_string();
    let began = Instant::now();
    let answer = support::post(address, &certificates.ca, "/mutate", body.as_bytes())?;
    let took = began.elapsed();
    let is_patched = answer.status == 200 && answer.text.contains("\"patch\":");
    ensure!(is_patched, "{}: {:.300}", answer.status, answer.text);
    Ok(took)
}

/// Elements of one list that the webhook reads.
const MOST: usize = 10_000;

fn measure(contenders: &mut [Contender], script: &Path) -> Result<()> {
    for round in 0..=ROUNDS {
        for contender in &mut *contenders {
            let load = load(contender, script)?;
            // The first round warms up.
            if round > 0 {
                contender.loads.push(load);
            }
        }
    }
    Ok(())
}

fn load(contender: &Contender, script: &Path) -> Result<Load> {
    let url = format!("https://127.0.0.1:{}{}", contender.port, contender.path);
    let output = Command::new("wrk")
        .args(["-t1", "-c8", &format!("-d{SECONDS}s"), "-s"])
        .arg(script)
        .arg(url)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("result "))
        .with_context(|| text.clone())?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, microseconds, p50, p99, errors] = numbers[..] else {
        anyhow::bail!("{line}")
    };
    ensure!(errors == 0.0, "{}: {errors} errors", contender.name);
    Ok(Load {
        per_second: requests / microseconds * 1e6,
        p50: p50 / 1000.0,
        p99: p99 / 1000.0,
    })
}

/// The most that a process has had in memory so far, in MiB.
fn peak(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn print(contenders: &[Contender; 4], bytes: usize, largest: Duration) -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "",
        "requests/s",
        "spread",
        "p50 ms",
        "p99 ms",
        "peak memory MiB",
    ]);
    let mut medians = Vec::new();
    for contender in contenders {
        let median = |of: fn(&Load) -> f64| {
            let mut values: Vec<f64> = contender.loads.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            (
                values.get(values.len() / 2).copied().unwrap_or_default(),
                values.first().copied().unwrap_or_default(),
                values.last().copied().unwrap_or_default(),
            )
        };
        let (rate, least, most) = median(|load| load.per_second);
        let ((p50, ..), (p99, ..)) = (median(|load| load.p50), median(|load| load.p99));
        let peak = contender.peak;
        table.add_row([
            contender.name.to_owned(),
            format!("{rate:.0}"),
            format!("{least:.0}–{most:.0}"),
            format!("{p50:.3}"),
            format!("{p99:.3}"),
            format!("{peak:.1}"),
        ]);
        medians.push((rate, p50, p99, peak));
    }
    let [ours, mutate, bare, go] = medians[..] else {
        anyhow::bail!("four")
    };
    let mut all = true;
    println!(
        "AdmissionReview of {bytes} bytes, TLS 1.3, 8 connections, medians of {ROUNDS} rounds of {SECONDS} s, {} cores",
        cores()
    );
    println!("{table}");
    for (what, value, bound, held) in [
        (
            "throughput against the Go webhook",
            format!("{:.1}×", ours.0 / go.0),
            "at least 6×",
            ours.0 >= 6.0 * go.0,
        ),
        (
            "throughput against the bare handler",
            format!("{:.2}×", ours.0 / bare.0),
            "at least 0.6×",
            ours.0 >= 0.6 * bare.0,
        ),
        (
            "throughput of /mutate against /validate",
            format!("{:.2}×", mutate.0 / ours.0),
            "at least 0.8×",
            mutate.0 >= 0.8 * ours.0,
        ),
        (
            "p99 against the Go webhook's p50",
            format!("{:.3} against {:.3} ms", ours.2, go.1),
            "below",
            ours.2 < go.1,
        ),
        (
            "peak memory",
            format!("{:.1} MiB", ours.3),
            "at most 24 MiB",
            ours.3 <= 24.0,
        ),
        (
            "/mutate of a pod of 10,000 containers, volumes and annotations",
            format!("{} ms", largest.as_millis()),
            "at most 500 ms",
            largest <= Duration::from_millis(500),
        ),
    ] {
        all &= held;
        println!(
            "{}  {what}: {value} ({bound})",
            if held { "held  " } else { "MISSED" }
        );
    }
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The same server with a handler that only reads the body.
fn bare(arguments: &[String]) -> Result<()> {
    let [port, chain, key] = arguments else {
        anyhow::bail!("PORT CHAIN KEY")
    };
    let runtime = runtime()?;
    runtime.block_on(async {
        let source = Source::Files {
            chain: PathBuf::from(chain),
            key: PathBuf::from(key),
        };
        let certificates = Certificates::load(source, std::time::SystemTime::now())?;
        let tls = TlsAcceptor::from(Arc::new(server_config(Arc::new(certificates))?));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
        let router = Router::new().route("/validate", post(async |_: Bytes| ANSWER));
        serve(
            listener,
            Some(tls),
            router,
            ServerLimits::default(),
            prometheus_client::metrics::gauge::Gauge::default(),
            Shutdown::new(),
        )
        .await;
        Ok(())
    })
}

/// As long as the answer to a pod that passes.
const ANSWER: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true,"auditAnnotations":{"mode":"enforce","verdict":"pass"}}}"#;

/// `wrk`'s side: the request, and a line of numbers at the end.
const LOAD: &str = r#"
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("REVIEW"):read("*a")
function done(summary, latency)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  print(string.format("result %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors))
end
"#;
