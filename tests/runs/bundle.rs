//! The container that runc is told to make.

use serde_json::{Value, json};

use crate::{machine::commands::GuestCommand, subject::Subject};

/// What a container runtime tells runc, by `config.json`: namespaces, mounts and capabilities are those of a plain container. Its
/// environment is the image's, and what the pod adds.
pub(crate) fn bundle(
    subject: &Subject,
    profile: &str,
    command: &[String],
    added: &[&str],
) -> GuestCommand {
    let config = &subject.config;
    let environment = config.get("Env").and_then(Value::as_array);
    let environment = environment.into_iter().flatten().cloned();
    let environment: Vec<Value> = environment
        .chain(added.iter().map(|&entry| entry.into()))
        .collect();
    let namespaces = ["ipc", "mount", "network", "pid", "uts"].map(|kind| json!({ "type": kind }));
    let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let bundle = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": command,
            "env": environment,
            "cwd": config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/"),
            "apparmorProfile": profile,
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
        },
        "root": { "path": "rootfs" },
        "hostname": subject.name,
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "cgroupsPath": format!("/{}", subject.name),
            "namespaces": namespaces,
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    GuestCommand::Write {
        path: format!("{BUNDLE}/config.json"),
        content: bundle.to_string().into_bytes(),
        mode: 0o644,
        user: 0,
    }
}

pub(crate) const BUNDLE: &str = "/bundle";
/// What container engines leave to root.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
