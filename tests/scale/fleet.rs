//! Agents without kernels: they ask and tell the API server what real ones do, by the same code, each with the token of a pod on
//! its own node. To load a profile is to hash its text here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use armorgate::{
    agent::Fingerprint,
    cluster::{
        NodeObject, NodePods, ObjectText, Texts,
        objects::{AppArmorState, NodeProfile, NodeProfileState, NodeProfilesStatus},
    },
};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{heard::Heard, support::control_plane::ControlPlane};

/// An agent on its way; it ends when this goes.
pub(crate) struct Agent {
    pub(crate) node: String,
    pub(crate) heard: Heard,
    /// The last status that the API server took.
    pub(crate) written: watch::Receiver<Option<NodeProfilesStatus>>,
    _task: JoinSet<()>,
}

impl Agent {
    /// Starts the agent of a node, in a pod there as its DaemonSet would have it.
    pub(crate) async fn start(plane: &ControlPlane, admin: &Client, node: String) -> Result<Self> {
        let token = token(admin, &node).await?;
        let kubeconfig = Kubeconfig::from_yaml(&plane.kubeconfig_for(&token))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let heard = Heard::default();
        let client = ClientBuilder::try_from(config)?.with_layer(&heard).build();
        let (told, written) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(run(client, node.clone(), told));
        Ok(Self {
            node,
            heard,
            written,
            _task: task,
        })
    }

    /// How many profiles it says are loaded.
    pub(crate) fn loaded(&self) -> Option<usize> {
        let written = self.written.borrow();
        written.as_ref().map(|status| status.profiles.len())
    }
}

/// The agent's pod on a node.
pub(crate) fn pod(node: &str) -> Value {
    json!({
        "metadata": { "name": pod_name(node) },
        "spec": {
            "nodeName": node, "serviceAccountName": ACCOUNT,
            "containers": [{ "name": "agent", "image": "armorgate" }],
        },
    })
}

fn pod_name(node: &str) -> String {
    format!("agent-{node}")
}

/// A token of that pod.
async fn token(admin: &Client, node: &str) -> Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod_name(node)),
                uid: None,
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), NAMESPACE);
    let parameters = PostParams::default();
    let given = patiently(async || {
        let asked = accounts.create_token_request(ACCOUNT, &parameters, &request);
        asked.await
    });
    Ok(given.await?.status.context("a token")?.token)
}

/// Asks again where there was no answer: the API server may close an idle connection just as it is used again.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
    for _ in 0..ATTEMPTS {
        match ask().await {
            Err(kube::Error::HyperError(_) | kube::Error::Service(_)) => {}
            answer => return answer,
        }
    }
    ask().await
}

const ACCOUNT: &str = "armorgate-agent";
pub(crate) const NAMESPACE: &str = "kube-system";
const ATTEMPTS: usize = 3;

/// What `agent::run` does, with nothing between what is heard and what is told but a hash.
async fn run(client: Client, node: String, told: watch::Sender<Option<NodeProfilesStatus>>) {
    let object = NodeObject::new(client.clone(), node.clone());
    let mut texts = Texts::new(client.clone());
    let (said, mut names) = watch::channel(None);
    let mut tasks = JoinSet::new();
    tasks.spawn(NodePods::new(client, node).watch(said));
    loop {
        let heard: Option<armorgate::cluster::PodNames> = names.borrow_and_update().clone();
        if let Some(heard) = heard {
            texts.follow(&heard.wanted);
            let status = status(&texts, &heard.wanted);
            let is_new = status.is_some() && *told.borrow() != status;
            if let Some(newest) = &status
                && is_new
            {
                match object.write(newest).await {
                    Ok(()) => drop(told.send_replace(status)),
                    Err(_) => sleep(Duration::from_secs(1)).await,
                }
                continue;
            }
        }
        tokio::select! {
            changed = names.changed() => if changed.is_err() { return },
            () = texts.changed() => {}
        }
    }
}

/// What is loaded, once it is known of all that is wanted: what waits is not told here.
fn status(texts: &Texts, wanted: &BTreeSet<Arc<str>>) -> Option<NodeProfilesStatus> {
    let profile = |name: &Arc<str>| {
        let ObjectText::Known(text) = texts.text(name) else {
            return None;
        };
        let hash: String = Fingerprint::of(text.as_bytes()).into();
        Some(NodeProfile {
            name: name.to_string(),
            state: NodeProfileState::Loaded,
            text: Some(hash.clone()),
            policy: Some(hash),
            message: None,
        })
    };
    let profiles: Vec<NodeProfile> = wanted.iter().map(profile).collect::<Option<_>>()?;
    Some(NodeProfilesStatus {
        app_armor: AppArmorState::Enabled,
        loaded: u32::try_from(profiles.len()).unwrap_or(u32::MAX),
        profiles,
        ..NodeProfilesStatus::default()
    })
}
