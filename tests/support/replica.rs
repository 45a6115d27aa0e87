//! The real controller with its own service account's token, and a registry with one image for it to read.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::{
    compare::Baseline,
    image::ImageDigest,
    verdict::WhitelistRules,
    whitelist::{ClusterTerms, PodTemplate, ProfileRequest, Stage},
};
use serde_json::{Value, json};

use crate::{
    images::{PROGRAM, Store, digest, tar},
    registry::{Access, Registry},
    support::{Process, control_plane::ControlPlane, get, listening},
};

/// A registry with one image, and what a controller needs to read it.
pub(crate) struct Shop {
    folder: tempfile::TempDir,
    _registry: Registry,
    image: String,
    digest: ImageDigest,
    baseline: Baseline,
}

impl Shop {
    /// With `baselines` in the configuration; `baseline` is the one that generated profiles begin with.
    pub(crate) fn new(plane: &ControlPlane, baselines: &Value, baseline: Baseline) -> Result<Self> {
        Self::with(plane, baselines, baseline, &Access::Anybody)
    }

    /// The same, and who may read the image: where not everybody, pull secrets are read.
    pub(crate) fn with(
        plane: &ControlPlane,
        baselines: &Value,
        baseline: Baseline,
        access: &Access<'_>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let reads_secrets = !matches!(access, Access::Anybody);
        let mut store = Store::default();
        let run = json!({ "Entrypoint": ["/usr/sbin/server"], "Env": ["PATH=/usr/sbin"] });
        let files = tar(&[("usr/sbin/server", PROGRAM), ("usr/sbin/other", PROGRAM)])?;
        let image = store.image(&[files], "amd64", &run)?;
        let index = store.index(&[image])?;
        // One that everybody may write to has the same folder.
        let open = Registry::start(folder.path(), &Access::Anybody, None)?;
        open.push("shop/web", &store, "1", &index)?;
        let registry = if reads_secrets {
            Registry::start(folder.path(), access, None)?
        } else {
            open
        };
        let host = registry.host();
        let config = json!({
            "baselines": baselines,
            "registries": { "privateHosts": [host], "insecureHosts": [host], "pullSecrets": reads_secrets },
        });
        fs::write(folder.path().join("config.yaml"), config.to_string())?;
        let token = plane.must(&["-n", "armorgate", "create", "token", "armorgate-controller"])?;
        let kubeconfig = plane.kubeconfig_for(token.trim());
        fs::write(folder.path().join("kubeconfig"), kubeconfig)?;
        Ok(Self {
            image: format!("{host}/shop/web:1"),
            folder,
            _registry: registry,
            digest: digest(&index),
            baseline,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a controller of this name with the token of its service account, and nothing else.
    pub(crate) fn start(&self, program: &Path, name: &str, unused_for: &str) -> Result<Replica> {
        let log = self.path(&format!("{name}.log"));
        let mut command = Command::new(program);
        command.args(["controller", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--identity", name, "--unused-for", unused_for]);
        command.args(["--reload-seconds", "1", "--config"]);
        command.arg(self.path("config.yaml"));
        command
            .arg("--cache")
            .arg(self.path(&format!("{name}-cache")));
        command.env("KUBECONFIG", self.path("kubeconfig"));
        let mut process = Process::start(name, log.clone(), &command)?;
        let admin = process.wait_until("listening", 20, || {
            let addresses = listening(&fs::read_to_string(&log).ok()?);
            addresses.first().copied()
        })?;
        Ok(Replica { process, admin })
    }

    /// A container of the image, with these arguments.
    pub(crate) fn container(&self, args: &[&str]) -> Value {
        json!({ "name": "web", "image": self.image, "args": args })
    }

    /// A Deployment of one such container.
    pub(crate) fn deployment(&self, namespace: &str, name: &str, args: &[&str]) -> Value {
        let labels = json!({ "app": name });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [self.container(args)] },
            } },
        })
    }

    /// A pod as `/mutate` leaves it, with a profile of this name.
    pub(crate) fn pod(&self, name: &str, args: &[&str], profile: &str) -> Value {
        let mut container = self.container(args);
        container["securityContext"] = json!({
            "appArmorProfile": { "type": "Localhost", "localhostProfile": profile },
        });
        let images = json!({ "web": self.digest }).to_string();
        json!({
            "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [container] },
            "metadata": { "name": name, "annotations": { "armorgate.dev/images": images } },
        })
    }

    /// The name of the profile of a container with these arguments.
    pub(crate) fn name(&self, args: &[&str], stage: Stage) -> Result<String> {
        let text = json!({ "spec": { "containers": [self.container(args)] } }).to_string();
        let pod: PodTemplate<'_> = serde_json::from_str(&text)?;
        let (_, _, container) = pod.containers().next().context("a container")?;
        let rules = WhitelistRules::default();
        let terms = ClusterTerms::new(&rules, self.baseline, stage);
        Ok(ProfileRequest::of(&pod, container, self.digest, &terms).name())
    }
}

/// A namespace in which profiles are generated, and nothing is refused.
pub(crate) fn generating_namespace(name: &str, mode: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": {
            "armorgate.dev/profile": "off", "armorgate.dev/whitelist": mode,
        } },
    })
}

/// A profile as people write one.
pub(crate) fn written_profile(name: &str, text: &str) -> Value {
    json!({
        "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile",
        "metadata": { "name": name }, "spec": { "text": text },
    })
}

/// A running controller.
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) admin: SocketAddr,
}

impl Replica {
    pub(crate) fn leads(&self) -> Result<bool> {
        Ok(self.metric("armorgate_controller_leader")? == Some(1))
    }

    /// The value of a metric, by its name with its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<Option<u64>> {
        metric(self.admin, name, 5)
    }

    /// Stops it as Kubernetes would: it releases its lease.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.signal("TERM")?;
        let status = self.process.wait_for_end(30)?;
        ensure!(status.success(), "{status}: {}", self.process.output());
        ensure!(
            !self.process.output().contains("this is a defect"),
            "{}",
            self.process.output()
        );
        Ok(())
    }
}

/// The value of a metric, by its name with its labels, from who serves there and answers within `seconds`.
pub(crate) fn metric(admin: SocketAddr, name: &str, seconds: u64) -> Result<Option<u64>> {
    let text = get(admin, "/metrics", seconds)?.text;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value))
}
