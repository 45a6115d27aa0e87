//! The world: everything that runs, and how it is set up by a user's commands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    node::{NODE, Node},
    registry::{Access, Registry},
    starts, stock,
    support::{
        CertificateFiles, Process, Webhook, control_plane::ControlPlane, free_port, wait_until,
    },
};

/// What runs. Ended in this order.
pub(crate) struct World {
    pub(crate) webhook: Webhook,
    pub(crate) controller: Process,
    pub(crate) node: Node,
    pub(crate) plane: ControlPlane,
    pub(crate) registry: Registry,
    port: u16,
    certificates: CertificateFiles,
    folder: tempfile::TempDir,
}

impl World {
    /// Everything, up to an agent that is ready on a node that is.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let registry = Registry::start(path, &Access::Anybody, None)?;
        stock::system(&registry)?;
        stock::push(&registry, &starts::scratch()?)?;
        let plane = ControlPlane::start_for_a_node(path)?;
        // It boots while the rest starts.
        let node = Node::start(path, &plane, registry.port)?;
        let certificates = CertificateFiles::new(path)?;
        let port = free_port()?;
        install(&plane, &certificates, port)?;
        configure(&plane, path, registry.port)?;
        for name in ["armorgate", "armorgate-controller"] {
            let token =
                plane.must(&["-n", "armorgate", "create", "token", "--duration=8h", name])?;
            fs::write(path.join(name), plane.kubeconfig_for(token.trim()))?;
        }
        let webhook = start_webhook(path, &certificates, port)?;
        let controller = start_controller(path, "first")?;
        let world = Self {
            webhook,
            controller,
            node,
            plane,
            registry,
            port,
            certificates,
            folder,
        };
        world.wait_until_ready()?;
        Ok(world)
    }

    /// The node and the agent on it.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        let condition = r#"{.status.conditions[?(@.type=="Ready")].status}"#;
        let ready = wait_until("a ready node", 180, || {
            let ran = self.plane.kubectl(&[
                "get",
                "node",
                NODE,
                "-o",
                &format!("jsonpath={condition}"),
            ])?;
            Ok((ran.stdout == "True").then_some(()))
        });
        ready.with_context(|| self.told())?;
        let ready = wait_until("an agent that is ready", 240, || {
            Ok(self.agent()?.filter(is_ready).map(|_| ()))
        });
        ready.with_context(|| format!("{:?}", self.agent()))
    }

    /// The agent's pod, the newest.
    pub(crate) fn agent(&self) -> Result<Option<Value>> {
        let list = self.plane.must(&[
            "-n",
            "kube-system",
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/name=armorgate-agent",
            "--sort-by=.metadata.creationTimestamp",
            "-o",
            "json",
        ])?;
        let list: Value = serde_json::from_str(&list)?;
        let pods = list["items"].as_array().context("items")?;
        Ok(pods
            .iter()
            .rfind(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .cloned())
    }

    pub(crate) fn restart_webhook(&mut self) -> Result<()> {
        self.webhook = start_webhook(self.folder.path(), &self.certificates, self.port)?;
        Ok(())
    }

    /// The Secret that the Deployment names.
    pub(crate) fn make_certificate(&self) -> Result<()> {
        let file = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let (chain, key) = (
            file("cert", &self.certificates.chain),
            file("key", &self.certificates.key),
        );
        self.plane.must(&[
            "-n",
            "armorgate",
            "create",
            "secret",
            "tls",
            "armorgate-tls",
            &chain,
            &key,
        ])?;
        Ok(())
    }

    pub(crate) fn start_controller(&self, name: &str) -> Result<Process> {
        start_controller(self.folder.path(), name)
    }

    /// What the node and the programs have said last, for a test that fails.
    pub(crate) fn told(&self) -> String {
        let agent = self.plane.kubectl(&[
            "-n",
            "kube-system",
            "logs",
            "--tail=40",
            "daemonset/armorgate-agent",
        ]);
        let agent = agent.map_or_else(|error| format!("{error:#}"), |ran| ran.stdout + &ran.stderr);
        let pods = self
            .plane
            .kubectl(&["get", "pods", "-A"])
            .map(|ran| ran.stdout)
            .unwrap_or_default();
        let events = self
            .plane
            .kubectl(&["get", "events", "-A", "--sort-by=.lastTimestamp"])
            .map(|ran| ran.stdout)
            .unwrap_or_default();
        let [controller, console] =
            [self.controller.output(), self.node.console()].map(|text| tail(&text));
        format!(
            "== pods\n{pods}\n== events\n{}\n== agent\n{agent}\n== controller\n{controller}\n== console\n{console}\n== node\n{}",
            tail(&events),
            self.node.logs()
        )
    }
}

/// What a user does: `kubectl apply -k deploy/`, with where the images are, and with the address of the webhook that runs here.
/// The Deployments' pods would run on the node: they are left away, the programs run here with the same accounts.
fn install(plane: &ControlPlane, certificates: &CertificateFiles, port: u16) -> Result<()> {
    let mut manifests = plane.manifests(port, certificates.authority.pem())?;
    for (what, by) in [
        ("replicas: 2", "replicas: 0"),
        ("image: armorgate:", "image: registry.test/armorgate:"),
    ] {
        ensure!(manifests.contains(what), "deploy/ has changed: {what}");
        manifests = manifests.replace(what, by);
    }
    plane.must_apply(&manifests)
}

/// The configuration as it is deployed, with the registry's address.
fn configure(plane: &ControlPlane, folder: &Path, registry: u16) -> Result<()> {
    let host = format!("localhost:{registry}");
    let insecure = format!("insecureHosts: [\"{host}\"]");
    let mirrors = format!("mirrors: {}", json!({ "registry.test": [host] }));
    let config = plane.config(&[
        ("insecureHosts: []", &insecure),
        ("partial: audit", "partial: enforce"),
        ("mirrors: {}", &mirrors),
    ])?;
    Ok(fs::write(folder.join("config.yaml"), config)?)
}

fn start_webhook(folder: &Path, certificates: &CertificateFiles, port: u16) -> Result<Webhook> {
    let mut webhook = Webhook::start(&program(), &folder.join("webhook.log"), port, |command| {
        command.env("KUBECONFIG", folder.join("armorgate"));
        command.arg("--config").arg(folder.join("config.yaml"));
        command.arg("--tls-cert").arg(&certificates.chain);
        command.arg("--tls-key").arg(&certificates.key);
    })?;
    webhook.wait_until_ready()?;
    Ok(webhook)
}

fn start_controller(folder: &Path, name: &str) -> Result<Process> {
    let mut command = Command::new(program());
    command.args([
        "controller",
        "--admin-listen",
        "127.0.0.1:0",
        "--identity",
        name,
    ]);
    command.arg("--config").arg(folder.join("config.yaml"));
    command.arg("--cache").arg(folder.join("cache"));
    command.env("KUBECONFIG", folder.join("armorgate-controller"));
    Process::start(
        "controller",
        folder.join(format!("controller-{name}.log")),
        &command,
    )
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_armorgate"))
}
