//! A real etcd and kube-apiserver on loopback, and the real kubectl.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Process, free_port, from_setup};

/// A running control plane. Requests of `admin` may do anything.
pub(crate) struct ControlPlane {
    pub(crate) folder: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) etcd_url: String,
    assets: PathBuf,
    server: String,
    /// The API server's port on loopback.
    pub(crate) port: u16,
    commands: Commands,
    // Ended in this order: the API server before its etcd.
    controllers: Vec<Process>,
    api_server: Process,
    etcd: Process,
}

/// Whether there will be a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    One,
}

/// How its programs are started, also after they were stopped.
struct Commands {
    etcd: Command,
    api_server: Command,
}

/// What kubectl did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ControlPlane {
    /// Nothing but the API server: pods are objects, and stay where they are put.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        Self::begin(folder, Nodes::None)
    }

    /// With Kubernetes' own controllers and its scheduler, for a kubelet that reaches loopback as 10.0.2.2 and is reached there.
    pub(crate) fn start_for_a_node(folder: &Path) -> Result<Self> {
        Self::begin(folder, Nodes::One)
    }

    fn begin(folder: &Path, nodes: Nodes) -> Result<Self> {
        let assets = from_setup("KUBEBUILDER_ASSETS")?;
        let (client, peer, secure) = (free_port()?, free_port()?, free_port()?);
        let etcd_url = format!("http://127.0.0.1:{client}");
        let mut etcd = Command::new(assets.join("etcd"));
        etcd.arg("--data-dir").arg(folder.join("etcd"));
        etcd.args([
            "--listen-client-urls",
            &etcd_url,
            "--advertise-client-urls",
            &etcd_url,
        ]);
        etcd.args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer}")]);
        let commands_etcd = etcd;
        let etcd = Process::start("etcd", folder.join("etcd.log"), &commands_etcd)?;

        let service_account_key = folder.join("service-accounts.key");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&service_account_key)
            .arg("2048")
            .output()?;
        ensure!(
            made.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::write(folder.join("tokens.csv"), TOKENS)?;
        fs::write(folder.join("audit.yaml"), AUDIT_POLICY)?;
        let flag = |name: &str, path: &str| format!("--{name}={}", folder.join(path).display());
        let mut command = Command::new(assets.join("kube-apiserver"));
        command.args([
            format!("--etcd-servers={etcd_url}"),
            format!("--secure-port={secure}"),
            "--bind-address=127.0.0.1".to_owned(),
            flag("cert-dir", "apiserver"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            flag("service-account-key-file", "service-accounts.key"),
            flag("service-account-signing-key-file", "service-accounts.key"),
            flag("token-auth-file", "tokens.csv"),
            flag("audit-policy-file", "audit.yaml"),
            flag("audit-log-path", "audit.log"),
            "--authorization-mode=RBAC,Node".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--allow-privileged".to_owned(),
        ]);
        command.args(match nodes {
            // Without kube-controller-manager nobody makes the default service accounts that it wants.
            Nodes::None => ["--disable-admission-plugins=ServiceAccount"].as_slice(),
            // In the certificate, and in the endpoints of the service `kubernetes`.
            Nodes::One => &[
                "--advertise-address=10.0.2.2",
                "--kubelet-preferred-address-types=Hostname",
            ],
        });
        let api_server = Process::start("kube-apiserver", folder.join("apiserver.log"), &command)?;
        let mut plane = Self {
            folder: folder.to_owned(),
            kubeconfig: folder.join("admin.kubeconfig"),
            etcd_url,
            assets,
            server: format!("https://127.0.0.1:{secure}"),
            port: secure,
            commands: Commands {
                etcd: commands_etcd,
                api_server: command,
            },
            controllers: Vec::new(),
            api_server,
            etcd,
        };
        let admin = plane.kubeconfig_for("admin");
        fs::write(&plane.kubeconfig, admin)?;
        plane.wait_until_ready()?;
        if nodes == Nodes::One {
            plane.start_controllers()?;
        }
        Ok(plane)
    }

    /// What makes pods of workloads, gives them nodes, and service accounts to namespaces.
    fn start_controllers(&mut self) -> Result<()> {
        let programs = from_setup("ARMORGATE_TEST_KUBERNETES")?;
        let config = format!("--kubeconfig={}", self.kubeconfig.display());
        let path =
            |name: &str, file: &str| format!("--{name}={}", self.folder.join(file).display());
        let manager = [
            config.clone(),
            "--leader-elect=false".to_owned(),
            format!("--secure-port={}", free_port()?),
            "--bind-address=127.0.0.1".to_owned(),
            path("cert-dir", "manager"),
            path("root-ca-file", "apiserver/apiserver.crt"),
            path("service-account-private-key-file", "service-accounts.key"),
        ];
        let scheduler = [
            config,
            "--leader-elect=false".to_owned(),
            format!("--secure-port={}", free_port()?),
            "--bind-address=127.0.0.1".to_owned(),
            path("cert-dir", "scheduler"),
        ];
        for (name, arguments) in [
            ("kube-controller-manager", &manager[..]),
            ("kube-scheduler", &scheduler),
        ] {
            let mut command = Command::new(programs.join(name));
            command.args(arguments);
            let log = self.folder.join(format!("{name}.log"));
            self.controllers.push(Process::start(name, log, &command)?);
        }
        Ok(())
    }

    /// Ends the API server as a crash does, and starts it again on its port.
    pub(crate) fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.signal("KILL")?;
        self.api_server.wait_for_end(10)?;
        let log = self.folder.join("apiserver.again.log");
        self.api_server = Process::start("kube-apiserver", log, &self.commands.api_server)?;
        self.wait_until_ready()
    }

    /// Ends etcd as a crash does.
    pub(crate) fn stop_etcd(&mut self) -> Result<()> {
        self.etcd.signal("KILL")?;
        self.etcd.wait_for_end(10)?;
        Ok(())
    }

    /// Starts it again with what it has on disk.
    pub(crate) fn start_etcd(&mut self) -> Result<()> {
        let log = self.folder.join("etcd.again.log");
        self.etcd = Process::start("etcd", log, &self.commands.etcd)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let (kubectl, kubeconfig) = (self.assets.join("kubectl"), self.kubeconfig.clone());
        self.api_server.wait_until("ready", 90, || {
            let mut command = Command::new(&kubectl);
            command
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args(["get", "--raw", "/readyz"]);
            // Its hooks make the namespaces; without them nothing can be created.
            let ready = command.output().is_ok_and(|output| output.stdout == b"ok");
            ready.then_some(())
        })
    }

    /// Sends a signal to the API server and its etcd.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        self.api_server.signal(signal)?;
        self.etcd.signal(signal)
    }

    /// A kubeconfig with this token.
    pub(crate) fn kubeconfig_for(&self, token: &str) -> String {
        kubeconfig(
            &self.server,
            &self.certificate().display().to_string(),
            token,
        )
    }

    /// The certificate of the API server.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("apiserver/apiserver.crt")
    }

    /// Runs kubectl with this on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<Ran> {
        let mut child = Command::new(self.assets.join("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl-cache"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        child
            .stdin
            .take()
            .context("piped")?
            .write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        Ok(Ran {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs kubectl.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<Ran> {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl, which must succeed.
    pub(crate) fn must(&self, arguments: &[&str]) -> Result<String> {
        let ran = self.kubectl(arguments)?;
        ensure!(ran.ok, "kubectl {}: {}", arguments.join(" "), ran.stderr);
        Ok(ran.stdout)
    }

    /// Applies a manifest, which must succeed.
    pub(crate) fn must_apply(&self, manifest: &str) -> Result<()> {
        let ran = self.kubectl_with(&["apply", "--server-side", "-f", "-"], manifest)?;
        ensure!(ran.ok, "kubectl apply: {}", ran.stderr);
        Ok(())
    }

    /// What `kubectl apply -k deploy/` applies, with a webhook on a port of loopback that has a certificate of this CA.
    pub(crate) fn manifests(&self, port: u16, authority: &str) -> Result<String> {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        let mut manifests = self.must(&["kustomize", &deploy.display().to_string()])?;
        let bundle = format!("caBundle: {}", STANDARD.encode(authority));
        let mut changes = vec![("caBundle: Cg==".to_owned(), bundle)];
        for path in ["validate", "mutate"] {
            let service = format!(
                "    service:\n      name: armorgate\n      namespace: armorgate\n      path: /{path}\n"
            );
            let address = format!("    url: https://127.0.0.1:{port}/{path}\n");
            changes.push((service, address));
        }
        for (what, by) in changes {
            ensure!(manifests.contains(&what), "deploy/webhook.yaml has changed");
            manifests = manifests.replace(&what, &by);
        }
        Ok(manifests)
    }

    /// The configuration as it is deployed, but for these changes.
    pub(crate) fn config(&self, changes: &[(&str, &str)]) -> Result<String> {
        let data = "jsonpath={.data.config\\.yaml}";
        let mut config = self.must(&[
            "-n",
            "armorgate",
            "get",
            "configmap",
            "armorgate",
            "-o",
            data,
        ])?;
        for (what, by) in changes {
            ensure!(config.contains(what), "deploy/config.yaml has changed");
            config = config.replace(what, by);
        }
        Ok(config)
    }

    /// The audit log so far: a JSON object per line.
    pub(crate) fn audit_log(&self) -> Result<Vec<serde_json::Value>> {
        let text = fs::read_to_string(self.folder.join("audit.log"))?;
        // The last line may be half written.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

/// A kubeconfig with a token, for a server whose certificate is in a file.
pub(crate) fn kubeconfig(server: &str, certificate: &str, token: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": server, "certificate-authority": certificate } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
    .to_string()
}

/// Who is who: token, name, number, groups.
const TOKENS: &str = "\
admin,admin,1,system:masters
kubelet,system:node:localhost,2,system:nodes
";

/// Who did what to pods and workloads, with the annotations of admission; what agents say that they have loaded, and which profiles
/// are watched.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    { "level": "Request", "verbs": ["patch"], "resources": [{ "group": "armorgate.dev", "resources": ["nodeprofiles/status"] }] },
    { "level": "Metadata", "verbs": ["watch"], "resources": [{ "group": "armorgate.dev", "resources": ["apparmorprofiles"] }] },
    { "level": "Metadata", "verbs": ["create", "update", "patch"] },
    { "level": "None" }
  ]
}"#;
