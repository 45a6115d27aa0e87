//! The agent against the real API server, as its DaemonSet runs it: with a token of a pod on a node, and nothing else. What it
//! does with a kernel is for `tests/agent.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::cluster::{NodePods, ObjectText, Texts};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::{
    Cluster, program,
    support::{Process, listening, wait_until},
};

const NODE: &str = "agents-node";

/// Reports the node's state by server-side apply, once; ends on SIGTERM; and writes no other node's object.
pub(crate) fn reports(cluster: &Cluster) -> Result<()> {
    let kubeconfig = cluster.agent_kubeconfig()?;
    let mut agent = Agent::start(cluster, &kubeconfig, NODE)?;
    let status = wait_until("reported", 30, || {
        let object = cluster.node_profiles(NODE)?;
        Ok(object.filter(|object| object["status"]["appArmor"].is_string()))
    })?;
    // Whatever this machine's kernel is.
    let expected = if has_apparmor() {
        "Enabled"
    } else {
        "Disabled"
    };
    ensure!(status["status"]["appArmor"] == expected, "{status}");
    ensure!(
        has_apparmor() || status["status"]["message"].is_string(),
        "{status}"
    );
    agent.wait_until_ready()?;
    let metrics = agent.get("/metrics")?;
    ensure!(metrics.contains("armorgate_build_info"), "{metrics}");
    // What it holds itself: of a program with debug information, the mapped file counts for more than that.
    let memory = agent.process.memory("RssAnon")?;
    ensure!(memory <= 24 << 10, "{memory} KiB");

    agent.process.signal("TERM")?;
    ensure!(
        agent.process.wait_for_end(20)?.success(),
        "{}",
        agent.process.output()
    );
    // The next one has nothing new to say.
    Agent::start(cluster, &kubeconfig, NODE)?.wait_until_ready()?;
    let again = cluster.node_profiles(NODE)?.context("it stays")?;
    ensure!(
        again["metadata"]["resourceVersion"] == status["metadata"]["resourceVersion"],
        "{again}"
    );

    // A token that says nothing of a node. The API server takes a while to hear of a new policy.
    let token = cluster
        .plane
        .must(&["-n", "kube-system", "create", "token", "armorgate-agent"])?;
    let manifest = json!({ "apiVersion": "armorgate.dev/v1alpha1", "kind": "NodeProfiles", "metadata": { "name": NODE }, "spec": {} });
    let token = format!("--token={}", token.trim());
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        &token,
    ];
    wait_until("refused by the policy", 30, || {
        let ran = cluster
            .plane
            .kubectl_with(&arguments, &manifest.to_string())?;
        Ok((!ran.ok && ran.stderr.contains("own node only")).then_some(()))
    })?;

    let mut other = Agent::start(cluster, &kubeconfig, "another-node")?;
    let address = other.address.clone();
    other.process.wait_until("refused", 30, || {
        let state = get(&address, "/readyz").ok()?;
        state.contains("of its own node only").then_some(())
    })?;
    ensure!(cluster.node_profiles("another-node")?.is_none());
    Ok(())
}

/// Hears of its own node's pods and of the profiles that it follows, with the agent's own permissions.
pub(crate) fn hears(cluster: &Cluster) -> Result<()> {
    armorgate::tls::install_provider();
    let kubeconfig = cluster.agent_kubeconfig()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    cluster.namespace("agent", Some("off"))?;
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        let (said, mut names) = tokio::sync::watch::channel(None);
        let watching = tokio::spawn(NodePods::new(client.clone(), NODE.to_owned()).watch(said));
        let mut texts = Texts::new(client.clone());
        let name = "agent-web";
        texts.follow(&BTreeSet::from([name.into()]));
        ensure!(texts.text("agent-web") == ObjectText::NotYet);
        let heard = async |texts: &Texts, expected: &ObjectText| {
            while texts.text(name) != *expected {
                texts.changed().await;
            }
        };
        within("that there is no object", heard(&texts, &ObjectText::NoObject)).await?;
        for (node, profile) in [(NODE, name), ("another-node", "agent-other")] {
            cluster.plane.must_apply(&pod_on(node, "agent", profile, "default"))?;
        }
        let first = async { names.wait_for(|names: &Option<armorgate::cluster::PodNames>| {
            names.as_ref().is_some_and(|names| names.wanted.contains(name))
        }).await.map(|names| names.clone()) };
        let found = within("the pod's profile", first).await??.context("names")?;
        // That of the agent's own pod, and not that of another node's.
        let expected = BTreeSet::from(["/not/ours".into(), name.into()]);
        ensure!(
            found.wanted == expected && found.named == expected,
            "{found:?}"
        );

        let profile = |text: &str| json!({
            "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile", "metadata": { "name": name }, "spec": { "text": text },
        });
        for text in ["profile agent-web { }", "profile agent-web { file, }"] {
            cluster.plane.must_apply(&profile(text).to_string())?;
            within(text, heard(&texts, &ObjectText::Known(text.into()))).await?;
        }
        cluster.plane.must(&["delete", "apparmorprofile", name])?;
        within("that it is gone", heard(&texts, &ObjectText::NoObject)).await?;
        cluster.plane.must(&["-n", "agent", "delete", "pod", "--all", "--force", "--grace-period=0"])?;
        let last = names.wait_for(|names| names.as_ref().is_some_and(|names| !names.named.contains(name)));
        within("that no pod is left", last).await??;
        texts.follow(&BTreeSet::new());
        ensure!(texts.text(name) == ObjectText::NotYet, "it is not followed any more");

        // A text that nobody can change is read, and not watched.
        let generated = "agent-generated";
        let mut object = profile("profile agent-generated { }");
        object["metadata"]["name"] = generated.into();
        object["spec"]["source"] = json!({ "image": "x", "digest": "sha256:0", "argv": [], "stage": "enforce" });
        cluster.plane.must_apply(&object.to_string())?;
        texts.follow(&BTreeSet::from([generated.into()]));
        let known = async {
            while !matches!(texts.text(generated), ObjectText::Known(_)) {
                texts.changed().await;
            }
        };
        within("a generated profile's text", known).await?;
        let watches = |name: &str| -> Result<usize> {
            let log = cluster.plane.audit_log()?;
            let watches = log.iter().filter(|entry| entry["verb"] == "watch");
            let places = watches.filter_map(|entry| entry["requestURI"].as_str());
            let selected = format!("metadata.name%3D{name}");
            Ok(places.filter(|place| place.split('&').any(|part| part.ends_with(&selected))).count())
        };
        ensure!(watches(name)? > 0 && watches(generated)? == 0, "it is watched");

        // Deleted and made anew, it has the new text before long; and none while there is none.
        let mut texts = Texts::looking_every(client, Duration::from_millis(200));
        texts.follow(&BTreeSet::from([generated.into()]));
        let is = async |expected: &ObjectText| {
            while texts.text(generated) != *expected {
                texts.changed().await;
            }
        };
        let known = |text: &str| ObjectText::Known(text.into());
        within("its text", is(&known("profile agent-generated { }"))).await?;
        cluster.plane.must(&["delete", "apparmorprofile", generated])?;
        within("that it is gone", is(&ObjectText::NoObject)).await?;
        let text = "profile agent-generated { /x r, }";
        object["spec"]["text"] = text.into();
        cluster.plane.must_apply(&object.to_string())?;
        within("the new text", is(&known(text))).await?;
        watching.abort();
        anyhow::Ok(())
    })
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let heard = tokio::time::timeout(Duration::from_secs(30), future).await;
    heard.with_context(|| format!("not heard: {what}"))
}

/// What its token may do, and no more.
pub(crate) fn may_no_more(cluster: &Cluster) -> Result<()> {
    let account = "--as=system:serviceaccount:kube-system:armorgate-agent";
    let can = |verb: &str, what: &str| -> Result<bool> {
        let ran = cluster
            .plane
            .kubectl(&["auth", "can-i", verb, what, account, "-A"])?;
        Ok(ran.stdout.starts_with("yes"))
    };
    for (what, may) in [
        ("pods", &["list", "watch"][..]),
        ("apparmorprofiles.armorgate.dev", &["get", "list", "watch"]),
        ("nodeprofiles.armorgate.dev", &["create", "patch"]),
        ("secrets", &[]),
        ("configmaps", &[]),
        ("nodes", &[]),
        ("namespaces", &[]),
    ] {
        for verb in [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ] {
            ensure!(can(verb, what)? == may.contains(&verb), "{verb} {what}");
        }
    }
    Ok(())
}

fn has_apparmor() -> bool {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|enabled| enabled.trim() == "Y")
        && Path::new("/sys/kernel/security/apparmor/policy").is_dir()
}

fn pod_on(node: &str, namespace: &str, profile: &str, account: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("on-{node}"), "namespace": namespace },
        "spec": {
            "nodeName": node, "serviceAccountName": account,
            "containers": [{ "name": "a", "image": "i", "securityContext": {
                "appArmorProfile": { "type": "Localhost", "localhostProfile": profile } } }],
        },
    })
    .to_string()
}

impl Cluster {
    /// The credentials of an agent's pod on [`NODE`].
    fn agent_kubeconfig(&self) -> Result<PathBuf> {
        self.plane
            .must_apply(&pod_on(NODE, "kube-system", "/not/ours", "armorgate-agent"))?;
        let pod = format!("on-{NODE}");
        let token = self.plane.must(&[
            "-n",
            "kube-system",
            "create",
            "token",
            "armorgate-agent",
            "--bound-object-kind=Pod",
            "--bound-object-name",
            &pod,
        ])?;
        let path = self.folder.path().join("agent.kubeconfig");
        fs::write(&path, self.plane.kubeconfig_for(token.trim()))?;
        Ok(path)
    }

    fn node_profiles(&self, name: &str) -> Result<Option<Value>> {
        let text = self.plane.must(&[
            "get",
            "nodeprofiles",
            name,
            "--ignore-not-found",
            "-o",
            "json",
        ])?;
        Ok((!text.trim().is_empty())
            .then(|| serde_json::from_str(&text))
            .transpose()?)
    }
}

struct Agent {
    process: Process,
    address: String,
}

impl Agent {
    fn start(cluster: &Cluster, kubeconfig: &Path, node: &str) -> Result<Self> {
        let mut command = Command::new(program());
        command.args(["agent", "--admin-listen", "127.0.0.1:0"]);
        command.env("KUBECONFIG", kubeconfig).env("NODE_NAME", node);
        command
            .arg("--profiles-dir")
            .arg(cluster.folder.path().join("profiles"));
        let log = cluster.folder.path().join(format!("{node}.log"));
        let mut process = Process::start("agent", log.clone(), &command)?;
        let address = process.wait_until("listening", 20, || {
            let addresses = listening(&fs::read_to_string(&log).unwrap_or_default());
            addresses.first().map(ToString::to_string)
        })?;
        Ok(Self { process, address })
    }

    fn get(&self, path: &str) -> Result<String> {
        get(&self.address, path)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let address = self.address.clone();
        self.process.wait_until("ready", 30, || {
            let state = get(&address, "/readyz").ok()?;
            state.contains("report: ok").then_some(())
        })
    }
}

fn get(address: &str, path: &str) -> Result<String> {
    let url = format!("http://{address}{path}");
    let output = Command::new("curl")
        .args(["-s", "-m", "5", &url])
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}
