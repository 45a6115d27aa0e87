//! What a test brings along: a disk with the kubelet, its configuration, and the first process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Result, ensure};
use armorgate::tls::Authority;
use serde_json::json;

use crate::support::{
    control_plane::{ControlPlane, kubeconfig},
    from_setup,
};

/// Writes the disk: the kubelet will listen on this port, and find images in a registry on that one of loopback.
pub(super) fn write(
    folder: &Path,
    plane: &ControlPlane,
    kubelet: u16,
    registry: u16,
) -> Result<PathBuf> {
    let root = folder.join("payload");
    fs::create_dir_all(&root)?;
    for (name, text) in FILES {
        fs::write(root.join(name), text)?;
    }
    let program = from_setup("ARMORGATE_TEST_KUBERNETES")?.join("kubelet");
    fs::copy(program, root.join("kubelet"))?;
    fs::copy(plane.certificate(), root.join("apiserver.crt"))?;
    let server = format!("https://10.0.2.2:{}", plane.port);
    let config = kubeconfig(&server, "/payload/apiserver.crt", "kubelet");
    fs::write(root.join("kubeconfig"), config)?;
    // It would make an RSA key otherwise, which takes an emulated processor long.
    let now = SystemTime::now();
    let (chain, key) = Authority::new(now)?.issue_pem(&["localhost".to_owned()], now)?;
    fs::write(root.join("kubelet.crt"), chain)?;
    fs::write(root.join("kubelet.key"), key)?;
    fs::write(
        root.join("kubelet.json"),
        configuration(kubelet).to_string(),
    )?;
    fs::write(
        root.join("hosts.toml"),
        format!(
            "server = \"http://10.0.2.2:{registry}\"\n[host.\"http://10.0.2.2:{registry}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        ),
    )?;
    fs::write(
        root.join("environment"),
        format!("API_SERVER_PORT={}\n", plane.port),
    )?;
    let disk = folder.join("payload.disk");
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(&root)
        .arg(&disk)
        .arg("512M")
        .output()?;
    ensure!(
        made.status.success(),
        "mke2fs: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(disk)
}

fn configuration(port: u16) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "0.0.0.0", "port": port,
        // Whoever reaches it is on loopback.
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "tlsCertFile": "/payload/kubelet.crt", "tlsPrivateKeyFile": "/payload/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        // The agent is killed often.
        "crashLoopBackOff": { "maxContainerRestartPeriod": "2s" },
        "featureGates": { "KubeletCrashLoopBackOffMax": true },
        "failSwapOn": false,
        // Nobody forwards ports here, and iptables is slow.
        "makeIPTablesUtilChains": false,
        "maxPods": 250,
        "registryPullQPS": 0,
        "serializeImagePulls": false,
        // Nothing is thrown away while a test goes on.
        "evictionHard": { "memory.available": "50Mi" },
        "imageGCHighThresholdPercent": 100,
        // One processor, and all of it emulated.
        "runtimeRequestTimeout": "10m",
    })
}

const FILES: [(&str, &str); 3] = [
    ("containerd.toml", include_str!("containerd.toml")),
    ("init.sh", include_str!("init.sh")),
    ("network.conflist", include_str!("network.conflist")),
];
