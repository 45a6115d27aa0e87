//! What an idle agent takes: the real program against the real API server, watching the pods of its node.
//!
//! Whether this machine has AppArmor or not, the agent is shown one that has nothing loaded, in a mount namespace of its own: an
//! agent without AppArmor would watch nothing, and one with it would look at profiles that are none of its business.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{Process, control_plane::ControlPlane, listening};

/// The bound, in MiB.
const RESIDENT: f64 = 24.0;
/// For how long it is looked at.
const LOOK: Duration = Duration::from_secs(45);
/// Pods of the node: as many as a kubelet takes.
const PODS: usize = 110;

fn main() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let plane = ControlPlane::start(folder)?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    plane.must_apply(&fs::read_to_string(
        repository.join("deploy/definitions.yaml"),
    )?)?;
    let pods: Vec<_> = (0..PODS).map(pod).collect();
    plane.must_apply(&json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string())?;

    let log = folder.join("agent.log");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", PRETEND]);
    command.arg(env!("CARGO_BIN_EXE_armorgate"));
    command.args([
        "agent",
        "--node",
        "idle",
        "--admin-listen",
        "127.0.0.1:0",
        "--profiles-dir",
    ]);
    command.arg(folder.join("profiles"));
    command.env("KUBECONFIG", &plane.kubeconfig);
    let mut agent = Process::start("the agent", log.clone(), &command)?;
    agent.wait_until("ready", 60, || {
        let text = fs::read_to_string(&log).ok()?;
        let url = format!("http://{}/readyz", listening(&text).first()?);
        let output = Command::new("curl")
            .args(["-sf", "-m", "5", &url])
            .output()
            .ok()?;
        let ready = String::from_utf8(output.stdout).ok()?;
        (ready.contains("pods: ok") && ready.contains("report: ok")).then_some(())
    })?;

    let (deadline, mut most) = (Instant::now() + LOOK, 0);
    while Instant::now() < deadline {
        most = most.max(agent.memory("VmRSS")?);
        std::thread::sleep(Duration::from_millis(200));
    }
    let mebibytes = |kibibytes: u64| -> Result<f64> {
        Ok(f64::from(u32::try_from(kibibytes).context("too much memory")?) / 1024.0)
    };
    let (resident, peak) = (mebibytes(most)?, mebibytes(agent.memory("VmHWM")?)?);
    let held = resident <= RESIDENT;
    println!(
        "{}  an idle agent of a node with {PODS} pods: {resident:.1} MiB resident (at most {RESIDENT} MiB), {peak:.1} at its peak",
        if held { "held  " } else { "MISSED" }
    );
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A kernel with AppArmor, in which no profile is loaded; then the program.
const PRETEND: &str = "set -e
mount -t tmpfs none /sys/module
mkdir -p /sys/module/apparmor/parameters
echo Y > /sys/module/apparmor/parameters/enabled
mount -t tmpfs none /sys/kernel/security
mkdir -p /sys/kernel/security/apparmor/policy/profiles
exec \"$0\" \"$@\"";

fn pod(number: usize) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pod-{number}"), "namespace": "default" },
        "spec": { "nodeName": "idle", "containers": [{ "name": "main", "image": "image" }] },
    })
}
