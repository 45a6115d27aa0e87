//! A real etcd and kube-apiserver on loopback, and the real kubectl.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{Process, free_port, from_setup};

/// A running control plane. Requests of `admin` may do anything.
pub(crate) struct ControlPlane {
    pub(crate) folder: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) etcd_url: String,
    assets: PathBuf,
    server: String,
    // Ended in this order: the API server before its etcd.
    api_server: Process,
    etcd: Process,
}

/// What kubectl did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ControlPlane {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
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
        let etcd = Process::start("etcd", folder.join("etcd.log"), &etcd)?;

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
        fs::write(folder.join("tokens.csv"), "admin,admin,1,system:masters\n")?;
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
            // Without kube-controller-manager nobody makes the default service accounts that it wants.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--allow-privileged".to_owned(),
        ]);
        let api_server = Process::start("kube-apiserver", folder.join("apiserver.log"), &command)?;
        let mut plane = Self {
            folder: folder.to_owned(),
            kubeconfig: folder.join("admin.kubeconfig"),
            etcd_url,
            assets,
            server: format!("https://127.0.0.1:{secure}"),
            api_server,
            etcd,
        };
        let admin = plane.kubeconfig_for("admin");
        fs::write(&plane.kubeconfig, admin)?;
        plane.wait_until_ready()?;
        Ok(plane)
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
        let ca = self.folder.join("apiserver/apiserver.crt");
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": self.server, "certificate-authority": ca } }],
            "users": [{ "name": "test", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        })
        .to_string()
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

/// Who did what to pods and workloads, with the annotations of admission.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{ "level": "Metadata", "verbs": ["create", "update", "patch"] }, { "level": "None" }]
}"#;
